//! What redaction does to a log: how much is replaced by kind, how fast, and, where asked for, a sample to read.
//!
//! `cargo run --release -p drift-chat --example redaction -- LOG [SAMPLES]`
//!
//! A sample shows the secret itself with what stands around it: look at it alone.

use drift_chat::{Chat, Redactor, Secret, read_logs};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let log = arguments.next().ok_or("no log given; hint: redaction LOG [SAMPLES]")?;
    let samples: usize = arguments.next().map_or(Ok(0), |n| n.parse())?;
    let mut chats: Vec<Chat> = Vec::new();
    let mut keep = |chat: Chat| {
        chats.push(chat);
        ControlFlow::Continue(())
    };
    read_logs(&[log], &mut keep, &mut |_, _| {})?;
    let turns: usize = chats.iter().map(|chat| chat.messages.len()).sum();
    let bytes: usize = chats.iter().flat_map(|chat| &chat.messages).map(|message| message.content.len()).sum();

    let redactor = Redactor::default();
    let start = Instant::now();
    let hits: Vec<_> = chats.iter().map(|chat| redactor.find(chat)).collect();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{turns} turns, {:.1} MB of text, {:.0} MB/s on one thread",
        bytes as f64 / 1e6,
        bytes as f64 / 1e6 / seconds
    );

    let mut counts: BTreeMap<Secret, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (chat, hits) in chats.iter().zip(&hits) {
        for (message, hits) in chat.messages.iter().zip(hits) {
            for hit in hits {
                *counts.entry(hit.secret).or_default() += 1;
                found.push((hit.secret, &message.content, hit.range.clone()));
            }
        }
    }
    for (secret, n) in counts {
        println!("{:12} {n:6}  {:.2} per 1,000 turns", format!("{secret:?}"), 1e3 * n as f64 / turns as f64);
    }
    let step = (found.len() / samples.max(1)).max(1);
    for (secret, text, range) in found.into_iter().step_by(step).take(samples) {
        let around = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let before: String = text[..range.start].chars().rev().take(50).collect::<Vec<_>>().into_iter().rev().collect();
        let after: String = text[range.end..].chars().take(30).collect();
        println!("{secret:?}\t{}\t[{}]\t{}", around(&before), &text[range], around(&after));
    }
    Ok(())
}
