//! What KTO measures its rewards from: how far the policy as a whole has moved from the reference.
//!
//! The paper (arXiv 2402.01306, section 4.1) estimates z = KL(policy ‖ reference) of a step from mismatched answers: each
//! prompt of the step with the answer to another one, z = max(0, mean of log pi - log ref), and lets no gradient through
//! it. Here, as in TRL, a prompt gets the answer of the one before it in the step, the first one that of the last. A step
//! of a single example, as the last of an epoch may be, has no other answer: its z is 0.

use crate::config::TrainConfig;
use crate::examples::{self, Example, micro_batches};
use crate::score::{Score, score_rows};
use blake3::Hash;
use drift_lm::Model;
use std::ops::Range;

/// The mismatched answers of a whole training.
#[derive(Default)]
pub struct Mismatched {
    pub examples: Vec<Example>,
    /// Which of them are whose step's.
    steps: Vec<Range<usize>>,
}

impl Mismatched {
    /// Of all steps of a training on `examples`, whose hashes are `hashes`.
    pub fn new(config: &TrainConfig, examples: &[Example], hashes: &[Hash], max_length: usize) -> Mismatched {
        let mut all = Mismatched::default();
        for epoch in 0..config.epochs {
            for rows in examples::order(hashes, config.order, epoch).chunks(config.batch_size) {
                let start = all.examples.len();
                all.examples.extend(mismatched(examples, rows, max_length));
                all.steps.push(start..all.examples.len());
            }
        }
        all
    }

    /// z of a step (counted from 0), in nats: its mismatched answers under the policy against `reference`, the scores of
    /// all of them under the weights that training started from.
    pub fn kl(&self, step: usize, model: &Model, reference: &[Score], micro_tokens: usize) -> f64 {
        let (examples, reference) = (&self.examples[self.steps[step].clone()], &reference[self.steps[step].clone()]);
        let batches = micro_batches(examples.iter().map(Example::row_tokens), micro_tokens);
        let scores = batches.into_iter().flat_map(|rows| score_rows(model, &examples[rows]));
        let shifts: Vec<f64> = scores.zip(reference).map(|(now, then)| now.chosen_logp - then.chosen_logp).collect();
        estimate(&shifts)
    }
}

/// z from what log pi - log ref of each mismatched answer is.
pub fn estimate(shifts: &[f64]) -> f64 {
    let mean = shifts.iter().sum::<f64>() / shifts.len().max(1) as f64;
    if mean < 0.0 { 0.0 } else { mean } // what is not a number stays so, and the step is refused
}

/// The mismatched answers of a step whose examples, each with one answer, are at `rows`. They stand on the chosen side;
/// one that is too long behind its new prompt loses its end.
fn mismatched(examples: &[Example], rows: &[usize], max_length: usize) -> Vec<Example> {
    if rows.len() < 2 {
        return Vec::new();
    }
    let before = rows.iter().cycle().skip(rows.len() - 1);
    let pair = |(&at, &other): (&usize, &usize)| {
        let prompt = examples[at].prompt.clone();
        let mut chosen = answer(&examples[other]).to_vec();
        chosen.truncate(max_length.saturating_sub(prompt.len()).max(1));
        Example { id: examples[at].id.clone(), prompt, chosen, rejected: Vec::new(), weight: 1.0 }
    };
    rows.iter().zip(before).map(pair).collect()
}

fn answer(example: &Example) -> &[u32] {
    if example.chosen.is_empty() { &example.rejected } else { &example.chosen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prompt_gets_the_answer_before_it_and_no_row_grows_too_long() {
        let example = |prompt: u32, chosen: &[u32], rejected: &[u32]| Example {
            id: prompt.to_string(),
            prompt: vec![prompt; 2],
            chosen: chosen.to_vec(),
            rejected: rejected.to_vec(),
            weight: 1.0,
        };
        let examples = [example(10, &[1, 2, 3, 4], &[]), example(20, &[], &[5]), example(30, &[6, 7], &[])];
        let rows: Vec<(u32, Vec<u32>)> =
            mismatched(&examples, &[2, 0, 1], 5).into_iter().map(|e| (e.prompt[0], e.chosen)).collect();
        assert_eq!(rows, [(30, vec![5]), (10, vec![6, 7]), (20, vec![1, 2, 3])]);
        assert!(mismatched(&examples, &[1], 5).is_empty());
    }
}
