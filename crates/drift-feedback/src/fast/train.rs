//! Training of the fast tier. Every turn is shown twice, with the assistant's reply to it and without:
//! replies help where a log has them, and the last turn of a chat has none.

use rayon::prelude::*;

use super::features::{BITS, Features, width};
use super::{Fast, Head};
use crate::decision::{Decision, Decisions, OutOfFold, TARGET_PRECISION};
use crate::labelled::Joined;
use crate::logistic::{Example, Linear, Rows, fit};
use crate::rules::Rules;
use crate::similarity::word_sets;
use crate::turn::Turn;
use crate::weights_file::Quantized;

/// Chosen on the conversations that the cues of the rules were chosen on.
const L2: f64 = 1.0;

/// Fewer turns of a kind teach nothing.
pub const ENOUGH_DSAT: usize = 20;
pub const ENOUGH_SAT: usize = 10;

/// One line: what there is and what is needed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{dsat} DSAT, {sat} SAT and {none} other turns, expected at least {ENOUGH_DSAT}, {ENOUGH_SAT} and {ENOUGH_DSAT}; hint: \
     train on your labels and on others together"
)]
pub struct TooFew {
    dsat: usize,
    sat: usize,
    none: usize,
}

/// The features of labelled turns, with and without their replies: row 2i and row 2i + 1.
pub struct Table {
    starts: Vec<usize>,
    hashed: Vec<(u32, f32)>,
    dense: Vec<f32>,
    dense_width: usize,
    has_reply: Vec<bool>,
}

impl Table {
    pub fn new(joined: &Joined) -> Table {
        let rules = Rules::shared();
        let read = |row: usize| {
            let (chat, turn) = joined.turn(row);
            let sets = word_sets(chat);
            let hidden = Turn { reply: None, ..turn.clone() };
            let has_reply = turn.reply.is_some();
            let features = [turn, hidden].map(|turn| {
                let mut features = Features::default();
                features.read(&rules, &sets, &turn);
                features
            });
            (features, has_reply)
        };
        let rows: Vec<_> = (0..joined.rows.len()).into_par_iter().map(read).collect();
        let dense_width = width(&rules);
        let mut table = Table { starts: vec![0], hashed: vec![], dense: vec![], dense_width, has_reply: vec![] };
        for (features, has_reply) in rows {
            table.has_reply.push(has_reply);
            for features in features {
                table.hashed.extend(features.hashed);
                table.dense.extend(features.dense);
                table.starts.push(table.hashed.len());
            }
        }
        table
    }

    fn row(&self, row: usize) -> (&[(u32, f32)], &[f32]) {
        (&self.hashed[self.starts[row]..self.starts[row + 1]], &self.dense[row * self.dense_width..][..self.dense_width])
    }
}

/// The two rows of each turn in `turns`, together of weight 1.
fn examples(
    has_reply: &[bool],
    turns: impl Iterator<Item = usize>,
    positive: impl Fn(usize) -> bool,
) -> Vec<Example> {
    let mut examples = Vec::new();
    for turn in turns {
        let example = |row, weight| Example { row, positive: positive(turn), weight };
        match has_reply[turn] {
            true => examples.extend([example(2 * turn, 0.5), example(2 * turn + 1, 0.5)]),
            false => examples.push(example(2 * turn + 1, 1.0)),
        }
    }
    examples
}

/// Weights for dissatisfaction and satisfaction from all turns of such a table.
pub fn fit_all(joined: &Joined, table: &dyn Rows, has_reply: &[bool], l2: f64) -> [Linear; 2] {
    [true, false].map(|dsat| {
        fit(table, &examples(has_reply, 0..joined.rows.len(), |turn| is(joined, turn, dsat)), l2)
    })
}

/// The weights: hashed ones, then dense ones.
impl Rows for Table {
    fn len(&self) -> usize {
        self.starts.len() - 1
    }

    fn width(&self) -> usize {
        (1 << BITS) + self.dense_width
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        let (hashed, dense) = self.row(row);
        let sparse: f64 = hashed.iter().map(|&(bucket, x)| f64::from(x) * weights[bucket as usize]).sum();
        sparse + dense.iter().zip(&weights[1 << BITS..]).map(|(x, w)| f64::from(*x) * w).sum::<f64>()
    }

    fn add(&self, row: usize, scale: f64, into: &mut [f64]) {
        let (hashed, dense) = self.row(row);
        hashed.iter().for_each(|&(bucket, x)| into[bucket as usize] += scale * f64::from(x));
        into[1 << BITS..].iter_mut().zip(dense).for_each(|(sum, x)| *sum += scale * f64::from(*x));
    }
}

/// Log-odds of every turn from weights that were trained without its conversation, for dissatisfaction
/// and satisfaction. `folds` gives each turn's part; at most `keep` turns are trained on.
pub fn out_of_fold(joined: &Joined, table: &Table, folds: &[usize], keep: usize) -> [Vec<OutOfFold>; 2] {
    cross_validate(joined, table, &table.has_reply, folds, keep, L2)
}

/// The same for any table that has row 2i of turn i as it is, and row 2i + 1 with its reply hidden.
pub fn cross_validate(
    joined: &Joined,
    table: &dyn Rows,
    has_reply: &[bool],
    folds: &[usize],
    keep: usize,
    l2: f64,
) -> [Vec<OutOfFold>; 2] {
    let parts = folds.iter().max().map_or(0, |last| last + 1);
    let order = joined.shuffled();
    [true, false].map(|dsat| {
        let positive = |turn: usize| is(joined, turn, dsat);
        let mut scored: Vec<Option<OutOfFold>> = vec![None; folds.len()];
        for part in 0..parts {
            let others = order.iter().copied().filter(|&turn| folds[turn] != part).take(keep);
            let weights = fit(table, &examples(has_reply, others, positive), l2);
            for turn in (0..folds.len()).filter(|&turn| folds[turn] == part) {
                scored[turn] = Some(OutOfFold {
                    logit: weights.logit(table, 2 * turn),
                    without_reply: weights.logit(table, 2 * turn + 1),
                    has_reply: has_reply[turn],
                    positive: positive(turn),
                });
            }
        }
        scored.into_iter().map(|scored| scored.expect("every turn is in one part")).collect()
    })
}

/// The fast tier trained on all of `joined`, calibrated on the out-of-fold log-odds of the same turns.
pub fn train(joined: &Joined, folds: &[usize]) -> Fast {
    let table = Table::new(joined);
    let [dsat, sat] = out_of_fold(joined, &table, folds, usize::MAX);
    let decisions = Decisions { dsat: Decision::fit(&dsat, Some(TARGET_PRECISION)), sat: Decision::fit(&sat, None) };
    let [dsat, sat] = fit_all(joined, &table, &table.has_reply, L2).map(head);
    Fast { rules: Rules::shared(), decisions, turns: joined.rows.len(), dsat, sat }
}

fn head(linear: Linear) -> Head {
    let (hashed, dense) = linear.weights.split_at(1 << BITS);
    Head {
        bias: linear.bias as f32,
        dense: dense.iter().map(|weight| *weight as f32).collect(),
        hashed: Quantized::new(hashed),
    }
}

/// # Errors
/// Too few turns of a kind to train a detector.
pub fn check(joined: &Joined) -> Result<(), TooFew> {
    let count = |wanted: fn(&crate::Verdict) -> bool| joined.rows.iter().filter(|(_, row)| wanted(&row.verdict)).count();
    let (dsat, sat) = (count(|verdict| verdict.is_dsat()), count(|verdict| verdict.is_sat()));
    let none = joined.rows.len() - dsat;
    match dsat < ENOUGH_DSAT || sat < ENOUGH_SAT || none < ENOUGH_DSAT {
        true => Err(TooFew { dsat, sat, none }),
        false => Ok(()),
    }
}

fn is(joined: &Joined, turn: usize, dsat: bool) -> bool {
    let verdict = joined.rows[turn].1.verdict;
    if dsat { verdict.is_dsat() } else { verdict.is_sat() }
}
