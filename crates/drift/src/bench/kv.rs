//! What a format of keys and values, or of weights, costs: recorded answers are decoded token by token, with keys and
//! values as they are and in fewer bits, then with weights as bytes, and their log-probs compared.

use super::Row;
use crate::cli::ModelArgs;
use crate::interrupt;
use crate::policy::Policy;
use crate::tokens::example;
use anyhow::{Context, Result, bail};
use drift_chat::read_pairs;
use drift_lm::forced::decoded_logps;
use drift_lm::{KvFormat, Precision};
use drift_text::CompletionMode;
use drift_train::Example;
use serde::Serialize;
use std::path::PathBuf;

/// Answers decoded at once.
const BATCH: usize = 16;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// JSON lines of prompt, chosen, rejected: their chosen answers are decoded
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Pairs to take [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    prompts: Option<u16>,
}

#[derive(Debug, Serialize)]
pub struct Measured {
    answers: usize,
    tokens: usize,
    bf16: Moved,
    int8: Moved,
    /// With weights as bytes, keys and values in f32.
    int8_weights: Moved,
}

/// Differences from f32, in nats.
#[derive(Debug, Default, Serialize)]
struct Moved {
    token_mean_abs: f64,
    token_max_abs: f64,
    /// Of the sums over answers.
    answer_mean: f64,
    answer_mean_abs: f64,
    answer_max_abs: f64,
}

pub fn run(options: &Options) -> Result<(Measured, Vec<Row>)> {
    let policy = Policy::load(&options.model.path()?, options.model.precision)?;
    let pairs = read_pairs(&options.pairs)?;
    let wanted = options.prompts.map_or(pairs.len(), usize::from);
    let mut examples = Vec::new();
    for (i, pair) in pairs.iter().take(wanted).enumerate() {
        let at = || format!("{}: pair {}", options.pairs.display(), i + 1);
        let found = example(&policy.format, pair, CompletionMode::Clean).with_context(at)?;
        let (tokens, context) = (found.prompt.len() + found.chosen.len(), policy.model.context());
        if found.chosen.is_empty() || tokens > context {
            bail!("{}: {tokens} tokens of prompt and answer, expected an answer and at most {context}", at());
        }
        examples.push(found);
    }
    if examples.is_empty() {
        bail!("{}: no pairs, expected at least 1", options.pairs.display());
    }
    let _anytime = interrupt::anytime();
    let [exact, bf16, int8] = KvFormat::ALL.map(|kv| decoded(&policy, &examples, kv));
    let bytes = Policy::load(&options.model.path()?, Precision::Int8)?;
    let int8_weights = Moved::between(&exact, &decoded(&bytes, &examples, KvFormat::F32));
    let result = Measured {
        int8_weights,
        answers: exact.len(),
        tokens: exact.iter().map(Vec::len).sum(),
        bf16: Moved::between(&exact, &bf16),
        int8: Moved::between(&exact, &int8),
    };
    Ok((result, Vec::new()))
}

fn decoded(policy: &Policy, examples: &[Example], kv: KvFormat) -> Vec<Vec<f32>> {
    let batch = |examples: &[Example]| {
        let sequences: Vec<_> = examples.iter().map(|e| (&e.prompt[..], &e.chosen[..])).collect();
        decoded_logps(&policy.model, &sequences, kv)
    };
    examples.chunks(BATCH).flat_map(batch).collect()
}

impl Moved {
    fn between(exact: &[Vec<f32>], other: &[Vec<f32>]) -> Moved {
        let mut moved = Moved::default();
        let (tokens, answers) = (exact.iter().map(Vec::len).sum::<usize>() as f64, exact.len() as f64);
        for (exact, other) in exact.iter().zip(other) {
            let mut sum = 0.0;
            for (a, b) in exact.iter().zip(other) {
                let delta = f64::from(b - a);
                sum += delta;
                moved.token_mean_abs += delta.abs() / tokens;
                moved.token_max_abs = moved.token_max_abs.max(delta.abs());
            }
            moved.answer_mean += sum / answers;
            moved.answer_mean_abs += sum.abs() / answers;
            moved.answer_max_abs = moved.answer_max_abs.max(sum.abs());
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_by_hand() {
        let moved = Moved::between(&[vec![-1.0, -2.0], vec![-3.0]], &[vec![-1.5, -1.75], vec![-3.5]]);
        assert!((moved.token_mean_abs - 1.25 / 3.0).abs() < 1e-12 && moved.token_max_abs == 0.5);
        assert_eq!((moved.answer_mean, moved.answer_mean_abs, moved.answer_max_abs), (-0.375, 0.375, 0.5));
    }
}
