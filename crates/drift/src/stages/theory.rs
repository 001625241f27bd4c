//! Pairs and the weights before and after training on them in, the theory's quantities out.
//!
//! A sample of the pairs is measured exactly, a forward and a backward pass each; the steps' own metrics say sigma(-s) of
//! all of them.

use crate::config::sections::{Precision, Train};
use crate::interrupt;
use crate::memory::activation_bytes;
use crate::policy::Policy;
use crate::run_folder::{Manifest, Stage};
use crate::seeds::subset;
use crate::talk::{Talk, Unit};
use crate::{files, tokens};
use anyhow::Result;
use drift_chat::{Pair, write_jsonl};
use drift_train::Example;
use drift_train::score::{Score, score};
use drift_train::theory::{Lemma, PairSignal, Signals, signals};
use serde::{Deserialize, Serialize};

/// Where Lemma 1 is looked at.
pub const TAUS: [f64; 5] = [0.1, 0.2, 0.3, 0.4, 0.5];

/// Tokens of the pairs whose reference log-probs are computed at once.
const MICRO_TOKENS: usize = 2048;

/// `theory.json`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Theory {
    pub beta: f64,
    /// The sample, and of how many pairs it is.
    pub pairs: usize,
    pub of: usize,
    /// Under the policy that training starts from, its own reference.
    pub before: Side,
    /// Under the trained policy.
    pub after: Side,
}

/// Means over the sampled pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    pub sigma: f64,
    /// ‖d‖
    pub contrast: f64,
    /// E‖gradient‖, which Lemma 1 bounds from below.
    pub gradient: f64,
    /// ‖E gradient‖
    pub mean_gradient: f64,
    pub chosen_logp: f64,
    pub rejected_logp: f64,
    pub lemma: Vec<Lemma>,
}

/// A row of `pairs.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row<'a> {
    trained: bool,
    #[serde(flatten)]
    signal: &'a PairSignal,
}

impl Side {
    fn new(of: &Signals, beta: f64) -> Side {
        let mean = |value: fn(&PairSignal) -> f64| of.pairs.iter().map(value).sum::<f64>() / of.pairs.len() as f64;
        Side {
            sigma: mean(|pair| pair.sigma),
            contrast: mean(|pair| pair.contrast),
            gradient: mean(|pair| pair.gradient),
            mean_gradient: of.mean_gradient,
            chosen_logp: mean(|pair| pair.chosen_logp),
            rejected_logp: mean(|pair| pair.rejected_logp),
            lemma: TAUS.map(|tau| of.lemma(beta, tau)).into(),
        }
    }
}

pub struct Job<'a> {
    pub pairs: &'a [Pair],
    /// Opens the policy before and after training; one is in memory at a time.
    pub before: &'a dyn Fn() -> Result<Policy>,
    pub after: &'a dyn Fn() -> Result<Policy>,
    pub train: &'a Train,
    pub precision: Precision,
    /// Pairs to measure.
    pub sample: usize,
    pub seed: u64,
}

pub fn run(stage: &Stage, job: &Job, talk: &Talk) -> Result<Manifest> {
    stage.begin(&[])?;
    let sampled = subset(job.pairs.to_vec(), job.sample, job.seed, "theory", |pair| &pair.id);
    let policy = (job.before)()?;
    let (max_prompt, max_length) = (job.train.max_prompt_length, job.train.max_length);
    let (kept, counts) = tokens::examples(&policy.format, &sampled, max_prompt, max_length);
    let examples: Vec<Example> = kept.into_iter().map(|(_, example)| example).collect();
    drift_train::examples::check(&examples, &policy.model)?;
    let mut reference = Vec::with_capacity(examples.len());
    let flow = score(&policy.model, &examples, MICRO_TOKENS, &mut |_, score| {
        reference.push(score);
        interrupt::flow()
    });
    if flow.is_break() {
        return Err(interrupt::Interrupted.into());
    }
    let before = measure(job, &policy, &examples, &[], talk)?;
    drop(policy);
    let after = measure(job, &(job.after)()?, &examples, &reference, talk)?;
    let rows = [(false, &before), (true, &after)];
    let rows = rows.iter().flat_map(|&(trained, of)| of.pairs.iter().map(move |signal| Row { trained, signal }));
    write_jsonl(&stage.path("pairs.jsonl"), rows)?;
    let beta = job.train.beta;
    let (before, after) = (Side::new(&before, beta), Side::new(&after, beta));
    let theory = Theory { beta, pairs: examples.len(), of: job.pairs.len(), before, after };
    files::write_json(&stage.path("theory.json"), &theory)?;
    stage.finish(counts, &["theory.json", "pairs.jsonl"])
}

fn measure(job: &Job, policy: &Policy, examples: &[Example], reference: &[Score], talk: &Talk) -> Result<Signals> {
    let memory = activation_bytes(policy.model.config(), job.train, job.precision);
    let bar = talk.bar("theory", examples.len() as u64, Unit::Count).with_message("pairs taken apart");
    let measured = signals(&policy.model, examples, reference, job.train.beta, memory, &mut || {
        bar.inc(1);
        interrupt::flow()
    });
    bar.finish_and_clear();
    Ok(measured.ok_or(interrupt::Interrupted)?)
}
