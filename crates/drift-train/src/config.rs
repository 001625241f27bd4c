//! What a training run was asked to do: every setting that its numbers depend on.

use crate::error::{Error, Result};
use crate::examples::{Lengths, Order, OverLong};
use crate::loss::{Objective, PairLoss};
use crate::optim::OptimizerKind;
use crate::schedule::{Decay, Schedule};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    pub objective: Objective,
    pub optimizer: OptimizerKind,
    pub schedule: Schedule,
    /// Gradients are scaled down to this norm; > 0, infinite to leave them alone.
    pub max_grad_norm: f64,
    /// Pairs a step; the last step of an epoch takes what is left.
    pub batch_size: usize,
    pub epochs: usize,
    pub order: Order,
    pub lengths: Lengths,
    /// `sigma_share_tau` counts pairs with sigma(-s) >= this.
    pub sigma_tau: f64,
    /// Pairs of a step are computed together while their tokens stay within this; at least one pair is.
    pub micro_tokens: usize,
}

impl Default for TrainConfig {
    /// The published recipe for one epoch.
    fn default() -> TrainConfig {
        TrainConfig {
            objective: Objective { loss: PairLoss::Sigmoid, beta: 0.1, rpo_alpha: 0.001 },
            optimizer: OptimizerKind::RMSPROP,
            schedule: Schedule { learning_rate: 5e-7, decay: Decay::Linear, warmup_ratio: 0.1 },
            max_grad_norm: 1.0,
            batch_size: 4,
            epochs: 1,
            order: Order::Shuffled { seed: 42 },
            lengths: Lengths { max_length: 2048, max_prompt_length: 1024, over_long: OverLong::CutPrompt },
            sigma_tau: 0.5,
            micro_tokens: 2048,
        }
    }
}

impl TrainConfig {
    pub fn check(&self) -> Result<()> {
        self.objective.loss.check()?;
        let at_least_0 = |x: f64| x >= 0.0 && x.is_finite();
        let checks = [
            ("beta", self.objective.beta, self.objective.beta > 0.0 && self.objective.beta.is_finite(), "> 0"),
            ("rpo_alpha", self.objective.rpo_alpha, at_least_0(self.objective.rpo_alpha), ">= 0"),
            ("learning_rate", self.schedule.learning_rate, at_least_0(self.schedule.learning_rate), ">= 0"),
            ("warmup_ratio", self.schedule.warmup_ratio, (0.0..=1.0).contains(&self.schedule.warmup_ratio), "0 to 1"),
            ("max_grad_norm", self.max_grad_norm, self.max_grad_norm > 0.0, "> 0"),
            ("sigma_tau", self.sigma_tau, (0.0..=1.0).contains(&self.sigma_tau), "0 to 1"),
            ("batch_size", self.batch_size as f64, self.batch_size > 0, "at least 1"),
            (
                "batch_size",
                self.batch_size as f64,
                self.batch_size > 1 || !matches!(self.objective.loss, PairLoss::Kto { .. }),
                "at least 2 with kto: its KL comes from the other answers of a step",
            ),
            (
                "rpo_alpha",
                self.objective.rpo_alpha,
                self.objective.rpo_alpha > 0.0 || self.objective.loss != PairLoss::Sft,
                "> 0 with sft: nothing else is left of the loss",
            ),
            ("epochs", self.epochs as f64, self.epochs > 0, "at least 1"),
            (
                "max_prompt_length",
                self.lengths.max_prompt_length as f64,
                self.lengths.max_prompt_length > 0,
                "at least 1",
            ),
            ("max_length", self.lengths.max_length as f64, self.lengths.max_length > 1, "at least 2"),
        ];
        for (key, value, good, expected) in checks {
            if !good {
                return Err(Error::new(key, format!("{value}, expected {expected}")));
            }
        }
        let shares: &[(&str, f64)] = match &self.optimizer {
            OptimizerKind::RmsProp { alpha, .. } => &[("alpha", *alpha)],
            OptimizerKind::AdamW { beta1, beta2, .. } => &[("beta1", *beta1), ("beta2", *beta2)],
        };
        for (key, value) in shares {
            if !(0.0..1.0).contains(value) {
                return Err(Error::new(format!("optimizer.{key}"), format!("{value}, expected 0 <= {key} < 1")));
            }
        }
        let (OptimizerKind::RmsProp { eps, .. } | OptimizerKind::AdamW { eps, .. }) = self.optimizer;
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(Error::new("optimizer.eps", format!("{eps}, expected > 0")));
        }
        Ok(())
    }

    pub fn steps_per_epoch(&self, examples: usize) -> usize {
        examples.div_ceil(self.batch_size)
    }

    pub fn total_steps(&self, examples: usize) -> usize {
        self.epochs * self.steps_per_epoch(examples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_passes_and_each_bad_value_is_named() {
        TrainConfig::default().check().unwrap();
        type Spoil = fn(&mut TrainConfig);
        let bad: [(&str, Spoil); 8] = [
            ("beta", |c| c.objective.beta = 0.0),
            ("rpo_alpha", |c| c.objective.rpo_alpha = f64::NAN),
            ("learning_rate", |c| c.schedule.learning_rate = f64::INFINITY),
            ("warmup_ratio", |c| c.schedule.warmup_ratio = 1.5),
            ("max_grad_norm", |c| c.max_grad_norm = 0.0),
            ("batch_size", |c| c.batch_size = 0),
            ("max_length", |c| c.lengths.max_length = 1),
            ("optimizer.alpha", |c| c.optimizer = OptimizerKind::RmsProp { alpha: 1.0, eps: 1e-8 }),
        ];
        for (key, spoil) in bad {
            let mut config = TrainConfig::default();
            spoil(&mut config);
            let line = config.check().unwrap_err().to_string();
            assert!(line.starts_with(&format!("{key}: ")) && line.contains("expected"), "{line}");
        }
    }

    #[test]
    fn the_last_batch_of_an_epoch_is_kept() {
        let config = TrainConfig { epochs: 3, ..TrainConfig::default() };
        assert_eq!((config.steps_per_epoch(9), config.total_steps(9)), (3, 9));
    }
}
