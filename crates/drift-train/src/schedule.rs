//! Learning rate over the steps: linear warm-up, then linear decay to 0, a cosine, or a constant.
//!
//! The same numbers as transformers' `get_{linear,cosine,constant}_schedule_with_warmup`: the first
//! step of a warm-up has rate 0, and the number of warm-up steps is rounded up.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    Linear,
    Cosine,
    Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest rate, reached at the end of the warm-up.
    pub learning_rate: f64,
    pub decay: Decay,
    /// Share of all steps spent warming up, 0 to 1.
    pub warmup_ratio: f64,
}

impl Schedule {
    pub fn warmup_steps(&self, total: usize) -> usize {
        (total as f64 * self.warmup_ratio).ceil() as usize
    }

    /// The rate that update number `step` (from 0) of `total` uses.
    pub fn at(&self, step: usize, total: usize) -> f64 {
        let warmup = self.warmup_steps(total);
        if step < warmup {
            return self.learning_rate * (step as f64 / warmup as f64);
        }
        let span = total.saturating_sub(warmup).max(1) as f64;
        let factor = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => (total as f64 - step as f64) / span,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * ((step - warmup) as f64 / span)).cos()),
        };
        self.learning_rate * factor.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(decay: Decay, warmup_ratio: f64, total: usize) -> Vec<f64> {
        let s = Schedule { learning_rate: 1.0, decay, warmup_ratio };
        (0..=total).map(|step| s.at(step, total)).collect()
    }

    #[test]
    fn warmup_is_rounded_up_and_starts_at_zero() {
        // 10 % of 16 is 1.6: 2 steps, at 0 and 1/2, then 14/14, 13/14, ... 1/14.
        let s = Schedule { learning_rate: 5e-7, decay: Decay::Linear, warmup_ratio: 0.1 };
        assert_eq!(s.warmup_steps(16), 2);
        assert_eq!([s.at(0, 16), s.at(1, 16), s.at(2, 16)], [0.0, 2.5e-7, 5e-7]);
        assert!((s.at(15, 16) - 5e-7 / 14.0).abs() < 1e-20);
        assert_eq!(s.at(16, 16), 0.0);
    }

    #[test]
    fn constant_and_cosine() {
        assert_eq!(rates(Decay::Constant, 0.5, 4), [0.0, 0.5, 1.0, 1.0, 1.0]);
        let cosine = rates(Decay::Cosine, 0.0, 4);
        for (got, want) in cosine.iter().zip([1.0, 0.853_553_390_593_273_8, 0.5, 0.146_446_609_406_726_2, 0.0]) {
            assert!((got - want).abs() < 1e-15, "{cosine:?}");
        }
    }

    #[test]
    fn without_warmup_the_first_step_counts() {
        assert_eq!(rates(Decay::Linear, 0.0, 2), [1.0, 0.5, 0.0]);
        assert_eq!(rates(Decay::Linear, 1.0, 2), [0.0, 0.5, 0.0]);
    }
}
