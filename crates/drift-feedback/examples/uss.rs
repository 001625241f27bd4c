//! The USS dialogues (user satisfaction, 1 to 5, by several annotators) as a log and labels, so that
//! `drift detect eval` can be measured on them:
//!
//! `cargo run --release -p drift-feedback --example uss -- MWOZ.txt FOLDER` writes FOLDER/chats.jsonl and
//! FOLDER/labels.jsonl.
//!
//! The rule: a user line is labelled where a system line is before it. Its rating is the mode of its
//! annotations, the lowest of several modes; up to 2 is DSAT, from 4 on SAT, 3 is neither. The line OVERALL
//! is no turn.

use serde_json::json;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, folder] = arguments.as_slice() else { return Err("usage: uss FILE FOLDER".into()) };
    let name = Path::new(file).file_stem().ok_or("no file name")?.to_string_lossy();
    let (mut chats, mut labels, mut counts) = (String::new(), String::new(), [0; 3]);
    let text = std::fs::read_to_string(file)?;
    let dialogues = text.split("\n\n").filter(|dialogue| !dialogue.trim().is_empty());
    for (number, dialogue) in dialogues.enumerate() {
        let id = format!("{name}-{number}");
        let mut messages = Vec::new();
        for line in dialogue.lines().filter(|line| !line.trim().is_empty()) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [role, content, .., ratings] = fields.as_slice() else {
                return Err(format!("{id}: a short line").into());
            };
            if *content == "OVERALL" {
                continue;
            }
            let is_user = *role == "USER";
            let after_system = messages.last().is_some_and(|last: &serde_json::Value| last["role"] == "assistant");
            if let Some(mode) = mode(ratings).filter(|_| is_user && after_system) {
                let class = if mode <= 2 { 0 } else { usize::from(mode >= 4) + 1 };
                counts[class] += 1;
                let label = ["DSAT", "NONE", "SAT"][class];
                writeln!(labels, "{}", json!({ "key": format!("{id}:{}", messages.len()), "label": label }))?;
            }
            messages.push(json!({ "role": if is_user { "user" } else { "assistant" }, "content": content }));
        }
        writeln!(chats, "{}", json!({ "id": id, "messages": messages }))?;
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(Path::new(folder).join("chats.jsonl"), chats)?;
    std::fs::write(Path::new(folder).join("labels.jsonl"), labels)?;
    println!("{} DSAT, {} neither, {} SAT", counts[0], counts[1], counts[2]);
    Ok(())
}

/// The most frequent rating, the lowest of several.
fn mode(ratings: &str) -> Option<u32> {
    let mut counts = [0; 6];
    ratings.split(',').filter_map(|rating| rating.trim().parse::<usize>().ok()).for_each(|r| counts[r.min(5)] += 1);
    let most = counts.into_iter().max().filter(|most| *most > 0)?;
    counts.iter().position(|count| *count == most).map(|rating| rating as u32)
}
