//! What a step reports: TRL's names, so that curves can be laid over TRL's, and the method's own signals.

use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::loss::{PairLogps, PairTerm, sigmoid};
use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// One pair of a step, before the update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairRecord {
    pub id: String,
    pub n_prompt: usize,
    pub n_chosen: usize,
    pub n_rejected: usize,
    pub policy_chosen_logps: f64,
    pub policy_rejected_logps: f64,
    pub ref_chosen_logps: f64,
    pub ref_rejected_logps: f64,
    /// Of the pair term alone.
    pub loss: f64,
    /// beta (r(y+) - r(y-)), whatever the loss.
    pub margin: f64,
    /// sigma(-margin): for the sigmoid loss the weight of this pair's gradient.
    pub sigma: f64,
}

impl PairRecord {
    pub fn new(id: &str, n_prompt: usize, logps: &PairLogps, term: &PairTerm, beta: f64) -> PairRecord {
        let margin = logps.margin(beta);
        PairRecord {
            id: id.to_string(),
            n_prompt,
            n_chosen: logps.n_chosen,
            n_rejected: logps.n_rejected,
            policy_chosen_logps: logps.policy_chosen,
            policy_rejected_logps: logps.policy_rejected,
            ref_chosen_logps: logps.ref_chosen,
            ref_rejected_logps: logps.ref_rejected,
            loss: term.loss,
            margin,
            sigma: sigmoid(-margin),
        }
    }
}

/// One line of `metrics.jsonl`. Means are over the pairs of the step, with the weights before its update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// From 1.
    pub step: usize,
    /// Epochs done after this step.
    pub epoch: f64,
    /// Mean pair loss + rpo_alpha x `nll`.
    pub loss: f64,
    #[serde(rename = "rewards/chosen")]
    pub rewards_chosen: f64,
    #[serde(rename = "rewards/rejected")]
    pub rewards_rejected: f64,
    #[serde(rename = "rewards/margins")]
    pub rewards_margins: f64,
    /// Share of pairs whose chosen reward is strictly the higher one: 0 while the policy is the reference.
    #[serde(rename = "rewards/accuracies")]
    pub rewards_accuracies: f64,
    #[serde(rename = "logps/chosen")]
    pub logps_chosen: f64,
    #[serde(rename = "logps/rejected")]
    pub logps_rejected: f64,
    /// Before clipping.
    pub grad_norm: f64,
    /// Used by this step.
    pub learning_rate: f64,
    /// Since the start, counted as TRL does: the prompt with each of the two answers.
    pub num_tokens: u64,
    /// -log pi of the chosen answers, mean over all their tokens in the step.
    pub nll: f64,
    /// Mean of sigma(-s); 0.5 while the policy is the reference.
    pub sigma: f64,
    /// Share of pairs with sigma(-s) >= tau, the bound included.
    pub sigma_share_tau: f64,
    /// sigma(-s) of each pair.
    pub sigmas: Vec<f64>,
    /// Mean tokens of an answer.
    #[serde(rename = "length/chosen")]
    pub length_chosen: f64,
    #[serde(rename = "length/rejected")]
    pub length_rejected: f64,
}

/// What a step knows beside its pairs; see the fields of the same names in [`StepMetrics`].
pub struct StepFacts {
    pub step: usize,
    pub epoch: f64,
    pub grad_norm: f64,
    pub learning_rate: f64,
    /// Of the steps before.
    pub num_tokens: u64,
}

impl StepMetrics {
    pub fn new(config: &TrainConfig, pairs: &[PairRecord], facts: StepFacts) -> StepMetrics {
        let mean = |f: &dyn Fn(&PairRecord) -> f64| pairs.iter().map(f).sum::<f64>() / pairs.len() as f64;
        let beta = config.objective.beta;
        let chosen = |p: &PairRecord| beta * (p.policy_chosen_logps - p.ref_chosen_logps);
        let rejected = |p: &PairRecord| beta * (p.policy_rejected_logps - p.ref_rejected_logps);
        let chosen_tokens: usize = pairs.iter().map(|p| p.n_chosen).sum();
        let nll = -pairs.iter().map(|p| p.policy_chosen_logps).sum::<f64>() / chosen_tokens as f64;
        let tokens: usize = pairs.iter().map(|p| 2 * p.n_prompt + p.n_chosen + p.n_rejected).sum();
        StepMetrics {
            step: facts.step,
            epoch: facts.epoch,
            loss: config.objective.step_loss(mean(&|p| p.loss), nll),
            rewards_chosen: mean(&chosen),
            rewards_rejected: mean(&rejected),
            rewards_margins: mean(&|p| chosen(p) - rejected(p)),
            rewards_accuracies: mean(&|p| f64::from(u8::from(chosen(p) > rejected(p)))),
            logps_chosen: mean(&|p| p.policy_chosen_logps),
            logps_rejected: mean(&|p| p.policy_rejected_logps),
            grad_norm: facts.grad_norm,
            learning_rate: facts.learning_rate,
            num_tokens: facts.num_tokens + tokens as u64,
            nll,
            sigma: mean(&|p| p.sigma),
            sigma_share_tau: mean(&|p| f64::from(u8::from(p.sigma >= config.sigma_tau))),
            sigmas: pairs.iter().map(|p| p.sigma).collect(),
            length_chosen: mean(&|p| p.n_chosen as f64),
            length_rejected: mean(&|p| p.n_rejected as f64),
        }
    }
}

/// `metrics.jsonl`: a line a step.
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Keeps the lines of the first `steps` steps; those that a killed run wrote after its last state go.
    pub fn open(dir: &Path, steps: usize) -> Result<MetricsFile> {
        let path = dir.join("metrics.jsonl");
        let text = match fs_err::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io(&path, "read", &e)),
        };
        let lines: Vec<&[u8]> = text.split_inclusive(|&b| b == b'\n').filter(|l| l.ends_with(b"\n")).collect();
        if lines.len() < steps {
            return Err(Error::new(
                path.display(),
                format!("{} steps, expected the {steps} of train.state", lines.len()),
            )
            .hint("restore the file, or delete train.state to start over"));
        }
        let keep: usize = lines[..steps].iter().map(|line| line.len()).sum();
        let file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(|e| Error::io(&path, "open", &e))?;
        file.set_len(keep as u64).map_err(|e| Error::io(&path, "cut", &e))?;
        Ok(MetricsFile { path, file })
    }

    pub fn append(&mut self, metrics: &StepMetrics) -> Result<()> {
        let mut line = serde_json::to_vec(metrics).expect("numbers become JSON");
        line.push(b'\n');
        self.file.write_all(&line).map_err(|e| Error::io(&self.path, "write", &e))
    }

    /// Before a state that counts on the lines.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io(&self.path, "write", &e))
    }
}
