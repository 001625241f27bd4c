//! `drift score`: log-probs of the answers of pairs, one JSON object a line.

use crate::cli::ModelArgs;
use crate::config::sections::Precision;
use crate::interrupt;
use crate::policy::Policy;
use crate::talk::{Talk, Unit};
use crate::tokens::example;
use anyhow::{Context, Result};
use drift_chat::read_pairs;
use drift_text::CompletionMode;
use drift_train::score::{Score, score};
use serde::Serialize;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Tokens of the pairs that are computed at once.
const MICRO_TOKENS: usize = 2048;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// JSON lines of prompt, chosen, rejected
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// What an answer ends with
    #[arg(long, value_enum, default_value_t = CompletionArg::Clean)]
    completion: CompletionArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CompletionArg {
    /// The end-of-turn token
    Clean,
    /// All that the chat template adds, as TRL counts
    Template,
}

#[derive(Serialize)]
struct Row {
    index: usize,
    #[serde(flatten)]
    score: Score,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let mode = match options.completion {
        CompletionArg::Clean => CompletionMode::Clean,
        CompletionArg::Template => CompletionMode::Template,
    };
    let pairs = read_pairs(&options.pairs)?;
    // Single bf16 operands put small sums off by up to 1.2 %; in two halves they hold.
    let precision = match options.model.precision {
        Precision::F32 => drift_lm::Precision::F32,
        Precision::Bf16 => drift_lm::Precision::Bf16x3,
        Precision::Int8 => drift_lm::Precision::Int8,
    };
    let policy = Policy::load(&options.model.path()?, precision)?;
    let examples = pairs
        .iter()
        .enumerate()
        .map(|(i, pair)| {
            example(&policy.format, pair, mode).with_context(|| format!("{}: pair {}", options.pairs.display(), i + 1))
        })
        .collect::<Result<Vec<_>>>()?;
    drift_train::examples::check(&examples, &policy.model).with_context(|| options.pairs.display().to_string())?;

    let bar = talk.bar("scoring", examples.len() as u64, Unit::Count);
    let mut out = std::io::stdout().lock();
    let mut failure = None;
    let _anytime = interrupt::anytime();
    let _ = score(&policy.model, &examples, MICRO_TOKENS, &mut |index, score| {
        bar.inc(1);
        let line = serde_json::to_string(&Row { index, score }).expect("numbers become JSON");
        match writeln!(out, "{line}") {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    bar.finish_and_clear();
    match failure {
        Some(error) => Err(error).context("stdout"),
        None => Ok(()),
    }
}
