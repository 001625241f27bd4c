//! Logistic regression with an L2 penalty, trained by L-BFGS (Nocedal & Wright, algorithm 7.5) with a
//! backtracking line search. The objective is convex, so one run finds the optimum.
//!
//! Sums are taken over a fixed number of parts in a fixed order: the same bits at any thread count.

use rayon::prelude::*;

/// Rows are summed in so many parts.
const PARTS: usize = 8;
/// Pairs of steps and gradient changes that L-BFGS remembers.
const MEMORY: usize = 12;
const MAX_STEPS: usize = 300;
/// Stops where the gradient's norm has fallen to this share of what it was.
const TOLERANCE: f64 = 1e-4;

/// A table of numbers by row, sparse or not.
pub trait Rows: Sync {
    fn len(&self) -> usize;
    /// Weights that `dot` takes.
    fn width(&self) -> usize;
    fn dot(&self, row: usize, weights: &[f64]) -> f64;
    /// `into += scale · row`
    fn add(&self, row: usize, scale: f64, into: &mut [f64]);

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that is trained on, its class, and how much it counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Example {
    pub row: usize,
    pub positive: bool,
    pub weight: f64,
}

/// `log-odds = weights · row + bias`
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub weights: Vec<f64>,
    pub bias: f64,
}

impl Linear {
    pub fn logit(&self, rows: &dyn Rows, row: usize) -> f64 {
        rows.dot(row, &self.weights) + self.bias
    }
}

/// Minimises `Σ weight · log(1 + exp(∓ logit)) + l2/2 · |weights|²`; the bias is free.
pub fn fit(rows: &dyn Rows, examples: &[Example], l2: f64) -> Linear {
    fit_around(rows, examples, l2, &vec![0.0; rows.width()])
}

/// The same with a penalty of `l2/2 · |weights - prior|²`: a weight of which no row tells anything stays as it was.
///
/// # Panics
/// On a prior of another width than the rows.
pub fn fit_around(rows: &dyn Rows, examples: &[Example], l2: f64, prior: &[f64]) -> Linear {
    let width = rows.width();
    assert_eq!(prior.len(), width, "a prior for each weight");
    let objective = |point: &[f64]| objective(rows, examples, l2, prior, point);
    let mut point: Vec<f64> = prior.iter().copied().chain([0.0]).collect();
    // The bias alone is right where nothing else is known.
    let total = |positive: bool| examples.iter().filter(|e| e.positive == positive).map(|e| e.weight).sum::<f64>();
    point[width] = ((total(true) + 0.5) / (total(false) + 0.5)).ln();
    let (mut value, mut gradient) = objective(&point);
    let enough = TOLERANCE * norm(&gradient).max(1e-12);
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..MAX_STEPS {
        if norm(&gradient) <= enough {
            break;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut step = if memory.is_empty() { 1.0 / norm(&gradient).max(1.0) } else { 1.0 };
        let next = loop {
            let candidate: Vec<f64> = point.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let (new_value, new_gradient) = objective(&candidate);
            if new_value <= value + 1e-4 * step * slope {
                break Some((candidate, new_value, new_gradient));
            }
            step /= 2.0;
            if step < 1e-10 {
                break None; // rounding hides any further progress
            }
        };
        let Some((candidate, new_value, new_gradient)) = next else { break };
        let moved: Vec<f64> = candidate.iter().zip(&point).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = new_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        if dot(&moved, &change) > 1e-12 {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((moved, change));
        }
        (point, value, gradient) = (candidate, new_value, new_gradient);
    }
    let bias = point.pop().unwrap_or_default();
    Linear { weights: point, bias }
}

/// Value and gradient; `point` is the weights and, last, the bias.
fn objective(rows: &dyn Rows, examples: &[Example], l2: f64, prior: &[f64], point: &[f64]) -> (f64, Vec<f64>) {
    let width = point.len() - 1;
    let (weights, bias) = (&point[..width], point[width]);
    let part = |examples: &[Example]| {
        let (mut loss, mut gradient) = (0.0, vec![0.0; width + 1]);
        for example in examples {
            let logit = rows.dot(example.row, weights) + bias;
            let signed = if example.positive { logit } else { -logit };
            loss += example.weight * softplus(-signed);
            let pull = example.weight * (sigmoid(logit) - f64::from(example.positive));
            rows.add(example.row, pull, &mut gradient[..width]);
            gradient[width] += pull;
        }
        (loss, gradient)
    };
    let parts: Vec<(f64, Vec<f64>)> = examples.par_chunks(examples.len().div_ceil(PARTS).max(1)).map(part).collect();
    let mut gradient: Vec<f64> = weights.iter().zip(prior).map(|(w, p)| l2 * (w - p)).chain([0.0]).collect();
    let mut value = if l2 > 0.0 { dot(&gradient, &gradient) / (2.0 * l2) } else { 0.0 };
    for (loss, part) in parts {
        value += loss;
        gradient.iter_mut().zip(part).for_each(|(sum, g)| *sum += g);
    }
    (value, gradient)
}

/// `-H · gradient`, H the inverse Hessian as the memory knows it (algorithm 7.4).
fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut alphas = Vec::with_capacity(memory.len());
    for (moved, change) in memory.iter().rev() {
        let alpha = dot(moved, &q) / dot(moved, change);
        q.iter_mut().zip(change).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((moved, change)) = memory.last() {
        let scale = dot(moved, change) / dot(change, change);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((moved, change), alpha) in memory.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(change, &q) / dot(moved, change);
        q.iter_mut().zip(moved).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + exp(x)) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Dense rows of one width, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    width: usize,
    values: Vec<f32>,
}

impl Dense {
    pub fn new(width: usize) -> Dense {
        Dense { width, values: Vec::new() }
    }

    /// # Panics
    /// On a row of another width.
    pub fn push(&mut self, row: &[f32]) {
        assert_eq!(row.len(), self.width, "rows of one width");
        self.values.extend_from_slice(row);
    }

    pub fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width..][..self.width]
    }

    /// Over the first `columns` alone.
    pub fn dot_first(&self, row: usize, columns: usize, weights: &[f64]) -> f64 {
        // eight sums at once: one would wait for itself at every step
        let (row, weights, mut sums) = (&self.row(row)[..columns], &weights[..columns], [0.0; 8]);
        let (heads, tails) = (row.chunks_exact(8), weights.chunks_exact(8));
        let rest: f64 = heads.remainder().iter().zip(tails.remainder()).map(|(x, w)| f64::from(*x) * w).sum();
        for (x, w) in heads.zip(tails) {
            for lane in 0..8 {
                sums[lane] += f64::from(x[lane]) * w[lane];
            }
        }
        sums.iter().sum::<f64>() + rest
    }
}

impl Rows for Dense {
    fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    fn width(&self) -> usize {
        self.width
    }

    fn dot(&self, row: usize, weights: &[f64]) -> f64 {
        self.dot_first(row, self.width, weights)
    }

    fn add(&self, row: usize, scale: f64, into: &mut [f64]) {
        into.iter_mut().zip(self.row(row)).for_each(|(sum, x)| *sum += scale * f64::from(*x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_column(values: &[f32]) -> Dense {
        let mut rows = Dense::new(1);
        values.iter().for_each(|value| rows.push(&[*value]));
        rows
    }

    fn examples(classes: &[bool]) -> Vec<Example> {
        classes.iter().enumerate().map(|(row, &positive)| Example { row, positive, weight: 1.0 }).collect()
    }

    #[test]
    fn two_groups_have_the_log_odds_of_their_shares() {
        // x = 0: 1 of 4 positive; x = 1: 3 of 4. Without a penalty bias = ln(1/3), weight = 2 ln 3.
        let rows = one_column(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        let classes = [true, false, false, false, true, true, true, false];
        let fit = fit(&rows, &examples(&classes), 0.0);
        assert!((fit.bias + 3f64.ln()).abs() < 1e-3 && (fit.weights[0] - 2.0 * 3f64.ln()).abs() < 1e-3, "{fit:?}");
    }

    #[test]
    fn a_row_of_weight_two_is_two_rows() {
        let rows = one_column(&[0.5, -1.0, 2.0]);
        let mut doubled = examples(&[true, false, true]);
        doubled[0].weight = 2.0;
        let twice = fit(&one_column(&[0.5, 0.5, -1.0, 2.0]), &examples(&[true, true, false, true]), 0.5);
        let once = fit(&rows, &doubled, 0.5);
        assert!((once.weights[0] - twice.weights[0]).abs() < 1e-3 && (once.bias - twice.bias).abs() < 1e-3);
    }

    #[test]
    fn the_gradient_vanishes_at_the_optimum_of_scikit_learn() {
        // LogisticRegression(C=0.5, tol=1e-10) of scikit-learn 1.9 on these rows
        let table =
            [[1.0, 0.5, -1.0], [0.2, -0.3, 0.8], [-1.5, 1.0, 0.4], [0.7, 0.1, 0.0], [-0.2, -2.0, 1.0], [2.0, 1.0, 1.0]];
        let mut rows = Dense::new(3);
        table.iter().for_each(|row| rows.push(row));
        let fit = fit(&rows, &examples(&[true, false, false, true, true, false]), 2.0);
        let expected = [0.138254, -0.497521, -0.461057, 0.140899];
        for (ours, theirs) in fit.weights.iter().chain([&fit.bias]).zip(expected) {
            assert!((ours - theirs).abs() < 1e-4, "{fit:?}");
        }
    }

    #[test]
    fn without_rows_that_tell_a_weight_stays_at_its_prior() {
        // the second column is never set; the first pulls away from its prior as far as it would from 0
        let mut rows = Dense::new(2);
        [0.0, 0.0, 1.0, 1.0].iter().for_each(|x| rows.push(&[*x, 0.0]));
        let examples = examples(&[true, false, true, true]);
        let near = fit_around(&rows, &examples, 0.5, &[0.7, 3.0]);
        assert_eq!(near.weights[1], 3.0);
        let strong = fit_around(&rows, &examples, 1e6, &[0.7, 3.0]);
        assert!((strong.weights[0] - 0.7).abs() < 1e-4, "{strong:?}");
        assert!(near.weights[0] > fit(&rows, &examples, 0.5).weights[0]);
    }

    #[test]
    fn threads_change_no_bit() {
        let mut rows = Dense::new(5);
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.5
        };
        let classes: Vec<bool> = (0..101)
            .map(|_| {
                let row = [next(), next(), next(), next(), next()];
                rows.push(&row);
                row[0] + next() > 0.0
            })
            .collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&rows, &examples(&classes), 0.1))
        };
        assert_eq!(on(1), on(5));
    }
}
