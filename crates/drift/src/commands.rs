//! Commands that work outside of a run folder.

pub mod compare;
pub mod convert;
pub mod detect;
pub mod evaluate_run;
pub mod evaluate_score;
pub mod generate;
pub mod score;
pub mod serve;
pub mod simulate;
pub mod single;

use anyhow::Result;
use serde::Serialize;
use std::io::{self, StdoutLock, Write};

/// A command's report on stdout: as JSON, or as a table for people.
pub fn print_report<T: Serialize>(
    report: &T,
    json: bool,
    table: impl FnOnce(&mut StdoutLock, &T) -> io::Result<()>,
) -> Result<()> {
    let mut out = io::stdout().lock();
    if !json {
        return Ok(table(&mut out, report)?);
    }
    serde_json::to_writer_pretty(&mut out, report)?;
    Ok(writeln!(out)?)
}
