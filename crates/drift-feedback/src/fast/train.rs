//! Training of the fast tier. Every turn is shown twice, with the assistant's reply to it and without:
//! replies help where a log has them, and the last turn of a chat has none.

use rayon::prelude::*;

use super::features::{BITS, Features, width};
use super::{Fast, Head};
use crate::decision::{Decision, Decisions, OutOfFold, TARGET_PRECISION};
use crate::labelled::Joined;
use crate::logistic::{Example, Linear, Rows, fit_around};
use crate::metrics::{Scored, auroc};
use crate::rules::Rules;
use crate::similarity::word_sets;
use crate::turn::Turn;
use crate::weights_file::Quantized;

/// Penalties that are tried: few or noisy labels want a larger one.
const PENALTIES: [f64; 3] = [1.0, 3.0, 10.0];

/// N-grams speak against a label more firmly than the constant of the rules: so must a cue for one.
const FIRMER: f64 = 1.4;

/// Fewer turns of a kind teach nothing.
pub const ENOUGH_DSAT: usize = 20;
pub const ENOUGH_SAT: usize = 10;

/// One line: what there is and what is needed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{dsat} turns with DSAT, {none} without, {sat} with SAT, expected at least {ENOUGH_DSAT}, {ENOUGH_DSAT} and {ENOUGH_SAT}; \
     hint: train on your labels and on others together"
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

    /// A cue that the turns do not hold, as those of other languages, counts as for the rules.
    fn material<'a>(&'a self, joined: &'a Joined) -> Material<'a> {
        let rules = Rules::shared();
        let hashed = (1 << BITS) + self.dense_width - rules.cues();
        let prior = rules.cue_weights().map(|cues| {
            let mut prior = vec![0.0; hashed];
            prior.extend(cues.iter().map(|weight| FIRMER * weight));
            prior
        });
        Material { joined, table: self, has_reply: &self.has_reply, prior }
    }

    fn row(&self, row: usize) -> (&[(u32, f32)], &[f32]) {
        (
            &self.hashed[self.starts[row]..self.starts[row + 1]],
            &self.dense[row * self.dense_width..][..self.dense_width],
        )
    }
}

/// The two rows of each turn in `turns`, together of weight 1.
fn examples(has_reply: &[bool], turns: impl Iterator<Item = usize>, positive: impl Fn(usize) -> bool) -> Vec<Example> {
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

/// What is trained on: labelled turns, and their numbers.
pub struct Material<'a> {
    pub joined: &'a Joined,
    /// Row 2i is turn i as it is, row 2i + 1 with its reply hidden.
    pub table: &'a dyn Rows,
    pub has_reply: &'a [bool],
    /// Weights for dissatisfaction and satisfaction where the turns do not tell.
    pub prior: [Vec<f64>; 2],
}

/// Weights for dissatisfaction and satisfaction from all turns.
pub fn fit_all(material: &Material, l2: [f64; 2]) -> [Linear; 2] {
    [(true, 0), (false, 1)].map(|(dsat, side)| {
        let positive = |turn: usize| is(material.joined, turn, dsat);
        let examples = examples(material.has_reply, 0..material.joined.rows.len(), positive);
        fit_around(material.table, &examples, l2[side], &material.prior[side])
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

/// What cross-validation found, for dissatisfaction and satisfaction.
pub struct CrossValidated {
    /// Log-odds of every turn from weights, and with a penalty, that its part had no share in.
    pub scored: [Vec<OutOfFold>; 2],
    /// The best penalty over all parts: for weights that are trained on all turns.
    pub l2: [f64; 2],
}

/// `folds` gives each turn's part; at most `keep` turns are trained on.
pub fn out_of_fold(joined: &Joined, table: &Table, folds: &[usize], keep: usize) -> CrossValidated {
    cross_validate(&table.material(joined), folds, keep, &PENALTIES)
}

/// The same for any table.
pub fn cross_validate(material: &Material, folds: &[usize], keep: usize, penalties: &[f64]) -> CrossValidated {
    let Material { joined, table, has_reply, prior } = material;
    let order = joined.shuffled();
    let sides = [(true, &prior[0]), (false, &prior[1])].map(|(dsat, prior)| {
        let positive = |turn: usize| is(joined, turn, dsat);
        let score = |l2: f64| {
            let mut scored: Vec<Option<OutOfFold>> = vec![None; folds.len()];
            for part in parts(folds) {
                let others = order.iter().copied().filter(|&turn| folds[turn] != part).take(keep);
                let weights = fit_around(*table, &examples(has_reply, others, positive), l2, prior);
                for turn in (0..folds.len()).filter(|&turn| folds[turn] == part) {
                    scored[turn] = Some(OutOfFold {
                        logit: weights.logit(*table, 2 * turn),
                        without_reply: weights.logit(*table, 2 * turn + 1),
                        has_reply: has_reply[turn],
                        positive: positive(turn),
                    });
                }
            }
            scored.into_iter().map(|scored| scored.expect("every turn is in one part")).collect()
        };
        choose(&penalties.iter().map(|l2| score(*l2)).collect::<Vec<_>>(), folds, penalties)
    });
    let l2 = [sides[0].1, sides[1].1];
    CrossValidated { scored: sides.map(|(scored, _)| scored), l2 }
}

/// For each part the scores with the penalty that ranks the other parts best, and the best one over all.
fn choose(by_penalty: &[Vec<OutOfFold>], folds: &[usize], penalties: &[f64]) -> (Vec<OutOfFold>, f64) {
    let best = |takes: &dyn Fn(usize) -> bool| {
        let rank = |scored: &Vec<OutOfFold>| {
            let turns = (0..folds.len()).filter(|turn| takes(folds[*turn]));
            let of =
                |turn: usize| Scored { score: scored[turn].logit, said: false, truth: scored[turn].positive, group: 0 };
            auroc(&turns.map(of).collect::<Vec<_>>()).unwrap_or(0.5)
        };
        let ranks: Vec<f64> = by_penalty.iter().map(rank).collect();
        (0..ranks.len()).rev().max_by(|a, b| ranks[*a].total_cmp(&ranks[*b])).unwrap_or(0)
    };
    let of_part: Vec<usize> = parts(folds).map(|part| best(&|fold| fold != part)).collect();
    let scored = (0..folds.len()).map(|turn| by_penalty[of_part[folds[turn]]][turn]).collect();
    (scored, penalties[best(&|_| true)])
}

fn parts(folds: &[usize]) -> std::ops::Range<usize> {
    0..folds.iter().max().map_or(0, |last| last + 1)
}

/// The fast tier trained on all of `joined`, calibrated on the out-of-fold log-odds of the same turns.
pub fn train(joined: &Joined, folds: &[usize]) -> Fast {
    let table = Table::new(joined);
    let CrossValidated { scored: [dsat, sat], l2 } = out_of_fold(joined, &table, folds, usize::MAX);
    let decisions = Decisions { dsat: Decision::fit(&dsat, Some(TARGET_PRECISION)), sat: Decision::fit(&sat, None) };
    let [dsat, sat] = fit_all(&table.material(joined), l2).map(head);
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
    let count =
        |wanted: fn(&crate::Verdict) -> bool| joined.rows.iter().filter(|(_, row)| wanted(&row.verdict)).count();
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
