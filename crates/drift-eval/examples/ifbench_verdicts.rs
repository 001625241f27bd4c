//! Verdicts on IFBench answers, for comparing them with others' (tests/reference/ifbench_agreement.py): the file of prompts
//! as argument, lines `{"key": …, "answer": …}` in, an array of `[strict, loose]` an instruction a line out.

use drift_eval::ifbench::{read_prompts, verdicts};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::BufRead;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args_os().nth(1).ok_or("expected the file of prompts")?);
    let prompts = read_prompts(&path)?;
    let by_key: HashMap<&str, _> = prompts.iter().map(|prompt| (prompt.key.as_str(), prompt)).collect();
    for line in std::io::stdin().lock().lines() {
        let row: Value = serde_json::from_str(&line?)?;
        let prompt = by_key.get(row["key"].as_str().unwrap_or("")).ok_or("a key without a prompt")?;
        let verdicts = verdicts(prompt, row["answer"].as_str().unwrap_or(""));
        let pairs: Vec<[bool; 2]> = verdicts.iter().map(|verdict| [verdict.strict, verdict.loose]).collect();
        println!("{}", json!(pairs));
    }
    Ok(())
}
