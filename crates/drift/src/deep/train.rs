//! Training of a probe: logistic regression on standardised rows, each turn with its reply and without,
//! then the weight of the fast tier beside it, both judged on turns that were not trained on.

use super::pooled::{PARTS, States};
use super::probe::{Head, Origin, Probe, sketch};
use drift_feedback::decision::{Decision, Decisions, OutOfFold, TARGET_PRECISION};
use drift_feedback::fast::train::{self as fast, CrossValidated, Material, cross_validate, fit_all};
use drift_feedback::labelled::Joined;
use drift_feedback::logistic::{Dense, Example, Linear, Rows, fit};

/// Penalties that are tried, for rows of [`LENGTH`].
const PENALTIES: [f64; 3] = [10.0, 33.0, 100.0];
/// The length of a standardised row.
const LENGTH: f32 = 10.0;
/// Numbers that hardly vary are not blown up.
const SMALLEST: f32 = 1e-3;

/// Standardised rows: row 2i is turn i as it is, row 2i + 1 with its reply hidden. Behind the pooled numbers
/// stands whether there is a reply.
struct Table<'a> {
    states: &'a States,
    /// `(x - mean) · scale`
    mean: Vec<f32>,
    scale: Vec<f32>,
    rows: Dense,
}

impl Table<'_> {
    fn new(states: &States) -> Table<'_> {
        let (width, without) = (states.width, states.width / (PARTS + 1) * PARTS);
        // the reply's numbers are those of turns that have one
        let counts = |turn: usize, column: usize| column < without || states.has_reply[turn];
        let over = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f32> {
            let (mut sums, mut n) = (vec![0.0; width], vec![0.0f64; width]);
            for (turn, row) in states.rows.chunks(width).enumerate() {
                for (column, x) in row.iter().enumerate().filter(|(column, _)| counts(turn, *column)) {
                    sums[column] += f(column, f64::from(*x));
                    n[column] += 1.0;
                }
            }
            sums.iter().zip(n).map(|(sum, n)| (sum / n.max(1.0)) as f32).collect()
        };
        let mean = over(&|_, x| x);
        let variance = over(&|column, x| (x - f64::from(mean[column])).powi(2));
        let unit = LENGTH / (width as f32).sqrt();
        let scale: Vec<f32> = variance.iter().map(|v| unit / (v.sqrt() + SMALLEST)).collect();
        let mut rows = Dense::new(width + 1);
        for (turn, row) in states.rows.chunks(width).enumerate() {
            let value = |(column, x): (usize, &f32)| match counts(turn, column) {
                true => (x - mean[column]) * scale[column],
                false => 0.0,
            };
            let replied = f32::from(u8::from(states.has_reply[turn]));
            rows.push(&row.iter().enumerate().map(value).chain([replied]).collect::<Vec<f32>>());
        }
        Table { states, mean, scale, rows }
    }

    fn material<'a>(&'a self, joined: &'a Joined) -> Material<'a> {
        let prior = [0, 1].map(|_| vec![0.0; self.rows.width()]);
        Material { joined, table: self, has_reply: &self.states.has_reply, prior }
    }

    /// Columns that a row uses.
    fn used(&self, row: usize) -> usize {
        match row.is_multiple_of(2) && self.states.has_reply[row / 2] {
            true => self.states.width + 1,
            false => self.states.width / (PARTS + 1) * PARTS,
        }
    }

    /// Weights over the numbers as they are.
    fn head(&self, linear: &Linear, fast: [f64; 2]) -> Head {
        let without = self.states.width / (PARTS + 1) * PARTS;
        let weights: Vec<f32> =
            linear.weights.iter().zip(&self.scale).map(|(w, s)| (*w * f64::from(*s)) as f32).collect();
        let shift = |from: usize, to: usize| -> f64 {
            weights[from..to].iter().zip(&self.mean[from..to]).map(|(w, m)| f64::from(*w) * f64::from(*m)).sum()
        };
        let width = self.states.width;
        Head {
            bias: (linear.bias - shift(0, without)) as f32,
            reply_bias: (linear.weights[width] - shift(without, width)) as f32,
            fast: fast.map(|weight| weight as f32),
            weights,
        }
    }
}

impl Rows for Table<'_> {
    fn len(&self) -> usize {
        2 * self.rows.len()
    }

    fn width(&self) -> usize {
        self.rows.width()
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        self.rows.dot_first(row / 2, self.used(row), weights)
    }

    fn add(&self, row: usize, scale: f64, into: &mut [f64]) {
        let used = self.used(row);
        into.iter_mut().zip(&self.rows.row(row / 2)[..used]).for_each(|(sum, x)| *sum += scale * f64::from(*x));
    }
}

/// Log-odds of every turn, from probe and fast tier together, neither of which saw its conversation.
pub fn out_of_fold(joined: &Joined, states: &States, folds: &[usize], keep: usize) -> [Vec<OutOfFold>; 2] {
    let table = Table::new(states);
    let deep = cross_validate(&table.material(joined), folds, keep, &PENALTIES);
    let fast = fast::out_of_fold(joined, &fast::Table::new(joined), folds, keep);
    mix_apart(&deep.scored, &fast.scored, folds)
}

/// Each part's mixture comes from the other parts.
fn mix_apart(deep: &[Vec<OutOfFold>; 2], fast: &[Vec<OutOfFold>; 2], folds: &[usize]) -> [Vec<OutOfFold>; 2] {
    let parts = folds.iter().max().map_or(0, |last| last + 1);
    [0, 1].map(|side| {
        let mut mixed = deep[side].clone();
        for part in 0..parts {
            let weights = mixture(&deep[side], &fast[side], |turn| folds[turn] != part);
            for turn in (0..folds.len()).filter(|turn| folds[*turn] == part) {
                let fast = fast[side][turn];
                mixed[turn].logit += weights[usize::from(!fast.has_reply)] * fast.logit;
                mixed[turn].without_reply += weights[1] * fast.without_reply;
            }
        }
        mixed
    })
}

/// How much the fast tier counts beside a deep weight of 1, with a reply and without.
fn mixture(deep: &[OutOfFold], fast: &[OutOfFold], takes: impl Fn(usize) -> bool) -> [f64; 2] {
    [true, false].map(|with_reply| {
        let mut rows = Dense::new(2);
        let mut examples = Vec::new();
        for turn in (0..deep.len()).filter(|&turn| takes(turn) && (!with_reply || deep[turn].has_reply)) {
            let logit = |s: &OutOfFold| if with_reply { s.logit } else { s.without_reply };
            examples.push(Example { row: examples.len(), positive: deep[turn].positive, weight: 1.0 });
            rows.push(&[logit(&deep[turn]) as f32, logit(&fast[turn]) as f32]);
        }
        let fit = fit(&rows, &examples, 1e-3);
        (fit.weights[1] / fit.weights[0].max(0.1)).clamp(0.0, 10.0)
    })
}

/// A probe trained on all of `joined`, calibrated on the out-of-fold log-odds of the same turns.
pub fn train(joined: &Joined, states: &States, folds: &[usize]) -> Probe {
    let table = Table::new(states);
    let CrossValidated { scored: deep, l2 } = cross_validate(&table.material(joined), folds, usize::MAX, &PENALTIES);
    let fast = fast::out_of_fold(joined, &fast::Table::new(joined), folds, usize::MAX).scored;
    let [dsat, sat] = mix_apart(&deep, &fast, folds);
    let decisions = Decisions { dsat: Decision::fit(&dsat, Some(TARGET_PRECISION)), sat: Decision::fit(&sat, None) };
    let weights = fit_all(&table.material(joined), l2);
    let head = |side: usize| table.head(&weights[side], mixture(&deep[side], &fast[side], |_| true));
    Probe {
        model: Origin::of(&states.policy),
        sketch: sketch(&states.policy.model),
        layers: states.layers.clone(),
        decisions,
        turns: joined.rows.len(),
        dsat: head(0),
        sat: head(1),
        fast: fast::train(joined, folds),
    }
}
