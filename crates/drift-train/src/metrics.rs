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
    /// Of the pair term alone, times the weight of the pair.
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

/// One line of `metrics.jsonl`. Means are over the pairs of the step that have the side in question, with the weights
/// before its update; what the loss or the step does not have (the sigma of single answers, rewards without a reference)
/// is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// From 1.
    pub step: usize,
    /// Epochs done after this step.
    pub epoch: f64,
    /// Mean pair loss + rpo_alpha x `nll`.
    pub loss: f64,
    #[serde(rename = "rewards/chosen", default, skip_serializing_if = "Option::is_none")]
    pub rewards_chosen: Option<f64>,
    #[serde(rename = "rewards/rejected", default, skip_serializing_if = "Option::is_none")]
    pub rewards_rejected: Option<f64>,
    #[serde(rename = "rewards/margins", default, skip_serializing_if = "Option::is_none")]
    pub rewards_margins: Option<f64>,
    /// Share of pairs whose chosen reward is strictly the higher one: 0 while the policy is the reference.
    #[serde(rename = "rewards/accuracies", default, skip_serializing_if = "Option::is_none")]
    pub rewards_accuracies: Option<f64>,
    #[serde(rename = "logps/chosen", default, skip_serializing_if = "Option::is_none")]
    pub logps_chosen: Option<f64>,
    #[serde(rename = "logps/rejected", default, skip_serializing_if = "Option::is_none")]
    pub logps_rejected: Option<f64>,
    /// Before clipping.
    pub grad_norm: f64,
    /// Used by this step.
    pub learning_rate: f64,
    /// Since the start, counted as TRL does: the prompt with each of the two answers.
    pub num_tokens: u64,
    /// -log pi of the chosen answers, mean over all their tokens in the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
    /// Of kto: how far the policy is from the reference on the step's mismatched answers, in nats, at least 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl: Option<f64>,
    /// Mean of sigma(-s); 0.5 while the policy is the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma: Option<f64>,
    /// Share of pairs with sigma(-s) >= tau, the bound included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigma_share_tau: Option<f64>,
    /// sigma(-s) of each pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sigmas: Vec<f64>,
    /// Mean tokens of an answer.
    #[serde(rename = "length/chosen", default, skip_serializing_if = "Option::is_none")]
    pub length_chosen: Option<f64>,
    #[serde(rename = "length/rejected", default, skip_serializing_if = "Option::is_none")]
    pub length_rejected: Option<f64>,
}

/// What a step knows beside its pairs; see the fields of the same names in [`StepMetrics`].
pub struct StepFacts {
    pub step: usize,
    pub epoch: f64,
    pub grad_norm: f64,
    pub learning_rate: f64,
    /// Of the steps before.
    pub num_tokens: u64,
    pub kl: Option<f64>,
}

impl StepMetrics {
    pub fn new(config: &TrainConfig, pairs: &[PairRecord], facts: StepFacts) -> StepMetrics {
        let mean = |of: &[&PairRecord], f: &dyn Fn(&PairRecord) -> f64| {
            (!of.is_empty()).then(|| of.iter().map(|p| f(p)).sum::<f64>() / of.len() as f64)
        };
        let with = |side: fn(&PairRecord) -> bool| pairs.iter().filter(|p| side(p)).collect::<Vec<_>>();
        let has_chosen = with(|p| p.n_chosen > 0);
        let has_rejected = with(|p| p.n_rejected > 0);
        let has_both = with(|p| p.n_chosen > 0 && p.n_rejected > 0);
        let beta = config.objective.beta;
        let chosen = |p: &PairRecord| beta * (p.policy_chosen_logps - p.ref_chosen_logps);
        let rejected = |p: &PairRecord| beta * (p.policy_rejected_logps - p.ref_rejected_logps);
        let reward = |of, f| mean(of, f).filter(|_| config.objective.loss.has_reference());
        let (rewards_chosen, rewards_rejected) = (reward(&has_chosen, &chosen), reward(&has_rejected, &rejected));
        let apart = rewards_chosen.zip(rewards_rejected).map(|(chosen, rejected)| chosen - rejected);
        let chosen_tokens: usize = pairs.iter().map(|p| p.n_chosen).sum();
        let nll = -pairs.iter().map(|p| p.policy_chosen_logps).sum::<f64>() / chosen_tokens as f64;
        let nll = (chosen_tokens > 0).then_some(nll);
        let answers = |p: &PairRecord| usize::from(p.n_chosen > 0) + usize::from(p.n_rejected > 0);
        let tokens: usize = pairs.iter().map(|p| answers(p) * p.n_prompt + p.n_chosen + p.n_rejected).sum();
        let pair_losses = pairs.iter().map(|p| p.loss).sum::<f64>() / pairs.len() as f64;
        StepMetrics {
            step: facts.step,
            epoch: facts.epoch,
            loss: config.objective.step_loss(pair_losses, nll),
            rewards_chosen,
            rewards_rejected,
            rewards_margins: mean(&has_both, &|p| chosen(p) - rejected(p)).or(apart),
            rewards_accuracies: mean(&has_both, &|p| f64::from(u8::from(chosen(p) > rejected(p)))),
            logps_chosen: mean(&has_chosen, &|p| p.policy_chosen_logps),
            logps_rejected: mean(&has_rejected, &|p| p.policy_rejected_logps),
            grad_norm: facts.grad_norm,
            learning_rate: facts.learning_rate,
            num_tokens: facts.num_tokens + tokens as u64,
            nll,
            kl: facts.kl,
            sigma: mean(&has_both, &|p| p.sigma),
            sigma_share_tau: mean(&has_both, &|p| f64::from(u8::from(p.sigma >= config.sigma_tau))),
            sigmas: has_both.iter().map(|p| p.sigma).collect(),
            length_chosen: mean(&has_chosen, &|p| p.n_chosen as f64),
            length_rejected: mean(&has_rejected, &|p| p.n_rejected as f64),
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
