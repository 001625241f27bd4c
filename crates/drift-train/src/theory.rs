//! What pairs have to teach: the quantities of DRIFT's theory (arXiv 2510.02341, section 4), exact.
//!
//! The gradient of one pair's sigmoid loss is -beta sigma(-s) d with d = ∇ log pi(y+|x) - ∇ log pi(y-|x), so its norm is
//! beta sigma(-s) ‖d‖. Lemma 1: if an event of probability at least p0 has sigma(-s) >= tau, and E[‖d‖ | event] >= Delta > 0,
//! then E‖gradient‖ >= beta tau p0 Delta: the signal does not vanish.

use crate::examples::Example;
use crate::loss::sigmoid;
use crate::optim::norm;
use crate::score::{Score, pack, sum};
use drift_lm::{Model, Tape};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Elements a task takes.
const CHUNK: usize = 1 << 15;

/// Of one pair under the policy, before any update by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairSignal {
    pub id: String,
    /// Sums over the answer's tokens, in nats.
    pub chosen_logp: f64,
    pub rejected_logp: f64,
    /// s = beta ((log pi(y+) - log ref(y+)) - (log pi(y-) - log ref(y-)))
    pub margin: f64,
    /// sigma(-s)
    pub sigma: f64,
    /// ‖d‖
    pub contrast: f64,
    /// beta sigma(-s) ‖d‖
    pub gradient: f64,
}

/// Of a sample of pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    pub pairs: Vec<PairSignal>,
    /// Norm of the mean of the pairs' gradients: how much of them agrees.
    pub mean_gradient: f64,
}

/// The ingredients of Lemma 1 at one tau, with the sample's frequencies and means in place of the expectations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lemma {
    pub tau: f64,
    /// Share of the pairs with sigma(-s) >= tau.
    pub p0: f64,
    /// Mean ‖d‖ of those pairs; 0 where there is none.
    pub delta: f64,
    /// beta tau p0 Delta
    pub bound: f64,
}

/// The signals of `examples` under `model`, a forward and a backward pass each. `reference` has a score for each example,
/// or is empty where the model is its own reference. `None` if `on_pair`, told after each, says `Break`.
///
/// No side of an example may be empty, and its ids must be the model's ([`crate::examples::check`]).
pub fn signals(
    model: &Model,
    examples: &[Example],
    reference: &[Score],
    beta: f64,
    activation_bytes: usize,
    on_pair: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Signals> {
    let mut tape = Tape::new(model, activation_bytes);
    let mut d = vec![0.0f32; model.params().len()];
    let mut mean = vec![0.0f32; model.params().len()];
    let mut pairs = Vec::with_capacity(examples.len());
    for (i, example) in examples.iter().enumerate() {
        let (batch, ranges) = pack([example]);
        let [chosen, rejected] = ranges[0].clone();
        let logps = tape.forward(model, &batch);
        let (chosen_logp, rejected_logp) = (sum(&logps[chosen.clone()]), sum(&logps[rejected.clone()]));
        let mut dlogps = vec![0.0; logps.len()];
        dlogps[chosen].fill(1.0);
        dlogps[rejected].fill(-1.0);
        d.fill(0.0);
        tape.backward(model, &batch, &dlogps, &mut d);
        let margin = match reference.get(i) {
            Some(base) => beta * ((chosen_logp - base.chosen_logp) - (rejected_logp - base.rejected_logp)),
            None => 0.0,
        };
        let (sigma, contrast) = (sigmoid(-margin), norm(&d));
        let share = (-beta * sigma / examples.len() as f64) as f32;
        mean.par_chunks_mut(CHUNK).zip(d.par_chunks(CHUNK)).for_each(|(mean, d)| {
            mean.iter_mut().zip(d).for_each(|(mean, d)| *mean += share * d);
        });
        let gradient = beta * sigma * contrast;
        pairs.push(PairSignal {
            id: example.id.clone(),
            chosen_logp,
            rejected_logp,
            margin,
            sigma,
            contrast,
            gradient,
        });
        if on_pair().is_break() {
            return None;
        }
    }
    Some(Signals { pairs, mean_gradient: norm(&mean) })
}

impl Signals {
    /// Lemma 1 at `tau`.
    pub fn lemma(&self, beta: f64, tau: f64) -> Lemma {
        let event: Vec<f64> = self.pairs.iter().filter(|pair| pair.sigma >= tau).map(|pair| pair.contrast).collect();
        let p0 = event.len() as f64 / self.pairs.len().max(1) as f64;
        let sum = event.iter().fold(0.0, |sum, contrast| sum + contrast); // of nothing: 0, where `sum` says -0
        let delta = sum / event.len().max(1) as f64;
        Lemma { tau, p0, delta, bound: beta * tau * p0 * delta }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lemma_by_hand() {
        let pair = |sigma, contrast| PairSignal {
            id: String::new(),
            chosen_logp: 0.0,
            rejected_logp: 0.0,
            margin: 0.0,
            sigma,
            contrast,
            gradient: 0.1 * sigma * contrast,
        };
        let signals = Signals {
            pairs: vec![pair(0.5, 8.0), pair(0.3, 4.0), pair(0.1, 40.0), pair(0.4, 0.0)],
            mean_gradient: 0.0,
        };
        // at tau .3 three of four, with ‖d‖ 8, 4 and 0: Delta 4, bound .1 x .3 x .75 x 4
        let lemma = signals.lemma(0.1, 0.3);
        assert_eq!((lemma.p0, lemma.delta), (0.75, 4.0));
        assert!((lemma.bound - 0.09).abs() < 1e-12);
        let nothing = signals.lemma(0.1, 0.6);
        assert_eq!(nothing, Lemma { tau: 0.6, p0: 0.0, delta: 0.0, bound: 0.0 });
        assert!(nothing.bound.is_sign_positive());
    }
}
