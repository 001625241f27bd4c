//! Reading logs alone, reading and the rules, and the whole of `drift detect` with its default settings.

use super::Row;
use crate::commands::detect;
use crate::talk::Talk;
use anyhow::Result;
use drift_chat::{Chat, read_logs};
use drift_feedback::{Detector, Rules};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Chat logs
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
pub struct Measured {
    megabytes_per_s: f64,
    read_megabytes_per_s: f64,
    /// Reading and the rules detector, nothing else.
    rules_megabytes_per_s: f64,
    conversations_per_s: f64,
    bytes: u64,
    conversations: u64,
    seconds: f64,
    read_seconds: f64,
    rules_seconds: f64,
}

pub fn run(options: &Options, talk: &Talk) -> Result<(Measured, Vec<Row>)> {
    let read = || {
        let start = Instant::now();
        let report = read_logs(&options.logs, &mut |_| ControlFlow::Continue(()), &mut |_, _| ());
        report.map(|report| (report, start.elapsed().as_secs_f64()))
    };
    read()?; // the files come from the disk once
    let (report, read_seconds) = read()?;
    let rules_seconds = label_with_rules(&options.logs)?;
    let dir = tempfile::tempdir()?;
    let start = Instant::now();
    detect::find(&detect::Options::of(&options.logs, dir.path()), talk)?;
    let seconds = start.elapsed().as_secs_f64();
    let result = Measured {
        megabytes_per_s: report.bytes as f64 / 1e6 / seconds,
        read_megabytes_per_s: report.bytes as f64 / 1e6 / read_seconds,
        rules_megabytes_per_s: report.bytes as f64 / 1e6 / rules_seconds,
        conversations_per_s: report.chats as f64 / seconds,
        bytes: report.bytes,
        conversations: report.chats,
        seconds,
        read_seconds,
        rules_seconds,
    };
    Ok((result, Vec::new()))
}

fn label_with_rules(logs: &[PathBuf]) -> Result<f64> {
    let rules = Rules::new();
    let start = Instant::now();
    let (mut batch, mut found) = (Vec::new(), 0);
    let mut label = |batch: &mut Vec<Chat>| {
        let labels = rules.label(batch);
        found += labels.iter().flatten().filter(|label| label.label.is_dsat()).count();
        batch.clear();
    };
    read_logs(
        logs,
        &mut |chat| {
            batch.push(chat);
            if batch.len() == rules.batch() {
                label(&mut batch);
            }
            ControlFlow::Continue(())
        },
        &mut |_, _| (),
    )?;
    label(&mut batch);
    std::hint::black_box(found);
    Ok(start.elapsed().as_secs_f64())
}
