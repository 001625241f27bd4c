//! Log-probs of answers under a model.

use crate::examples::{Example, micro_batches};
use drift_lm::{Model, Packed};
use serde::{Deserialize, Serialize};
use std::ops::{ControlFlow, Range};

/// Token counts of one pair and the sums of log-probs over all tokens of each answer, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub n_prompt: usize,
    pub n_chosen: usize,
    pub n_rejected: usize,
    pub chosen_logp: f64,
    pub rejected_logp: f64,
}

/// Scores `examples` in order, a pair as one row (the prompt computed once), as many consecutive rows at a
/// time as `micro_tokens` holds. `on_score` gets the index of each; `Break` stops after the current rows.
///
/// An empty side scores 0; ids must be the model's ([`crate::examples::check`]).
pub fn score(
    model: &Model,
    examples: &[Example],
    micro_tokens: usize,
    on_score: &mut dyn FnMut(usize, Score) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for rows in micro_batches(examples.iter().map(Example::row_tokens), micro_tokens) {
        let mut flow = ControlFlow::Continue(());
        for (i, score) in rows.clone().zip(score_rows(model, &examples[rows])) {
            if on_score(i, score).is_break() {
                flow = ControlFlow::Break(());
            }
        }
        flow?;
    }
    ControlFlow::Continue(())
}

/// The scores of `examples` from one forward pass.
pub(crate) fn score_rows(model: &Model, examples: &[Example]) -> Vec<Score> {
    let (batch, ranges) = pack(examples);
    let logps = model.logps(&batch);
    examples
        .iter()
        .zip(ranges)
        .map(|(e, [chosen, rejected])| Score {
            n_prompt: e.prompt.len(),
            n_chosen: e.chosen.len(),
            n_rejected: e.rejected.len(),
            chosen_logp: sum(&logps[chosen]),
            rejected_logp: sum(&logps[rejected]),
        })
        .collect()
}

/// One row a pair, and for each pair the targets of its chosen and of its rejected answer.
pub(crate) fn pack<'a>(examples: impl IntoIterator<Item = &'a Example>) -> (Packed, Vec<[Range<usize>; 2]>) {
    let mut batch = Packed::default();
    let ranges = examples.into_iter().map(|e| batch.push_pair(&e.prompt, &e.chosen, &e.rejected)).collect();
    (batch, ranges)
}

/// In token order, in f64.
pub(crate) fn sum(logps: &[f32]) -> f64 {
    logps.iter().map(|&l| f64::from(l)).sum()
}
