//! Logistic regression without an intercept, on soft labels, with row weights and an L1 penalty.

/// Features of a row.
pub const FEATURES: usize = 3;

pub type Vector = [f64; FEATURES];

/// A row of a training set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Example {
    pub x: Vector,
    /// Probability of label 1: the row counts as one with label 1 and one with label 0, weighted by it.
    pub target: f64,
    pub weight: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Regression {
    pub weights: Vector,
}

/// Newton steps are taken until none of the weights moves by more than this.
const TOLERANCE: f64 = 1e-12;

impl Regression {
    /// The minimum of sum |w| + c * sum weight * (log(1 + e^z) - target * z), z = w·x, which is liblinear's objective.
    ///
    /// A proximal Newton method (Lee, Sun & Saunders 2014): the loss's second-order model plus the penalty is minimised
    /// by coordinate descent, and the step is halved until the objective falls.
    pub fn fit(examples: &[Example], c: f64, start: Regression) -> Regression {
        let mut at = start;
        let mut value = at.objective(examples, c);
        for _ in 0..200 {
            let (gradient, curvature) = at.slopes(examples, c);
            let step = newton_step(&at.weights, &gradient, &curvature);
            let mut scale = 1.0;
            let next = loop {
                let moved = Regression { weights: std::array::from_fn(|j| at.weights[j] + scale * step[j]) };
                let objective = moved.objective(examples, c);
                if objective <= value || scale < 1e-10 {
                    value = objective.min(value);
                    break moved;
                }
                scale /= 2.0;
            };
            at = next;
            if step.iter().all(|s| s.abs() * scale <= TOLERANCE) {
                break;
            }
        }
        at
    }

    /// Probability of label 1.
    pub fn predict(&self, x: &Vector) -> f64 {
        1.0 / (1.0 + (-dot(&self.weights, x)).exp())
    }

    /// Mean over the rows of weight times cross-entropy, with probabilities kept off 0 and 1.
    pub fn log_loss(&self, examples: &[Example]) -> f64 {
        let loss = |example: &Example| {
            let p = self.predict(&example.x).clamp(1e-15, 1.0 - 1e-15);
            -example.weight * (example.target * p.ln() + (1.0 - example.target) * (1.0 - p).ln())
        };
        examples.iter().map(loss).sum::<f64>() / examples.len() as f64
    }

    fn objective(&self, examples: &[Example], c: f64) -> f64 {
        let loss = |example: &Example| {
            let z = dot(&self.weights, &example.x);
            // log(1 + e^z) without overflow
            let softplus = z.max(0.0) + (-z.abs()).exp().ln_1p();
            example.weight * (softplus - example.target * z)
        };
        self.weights.iter().map(|w| w.abs()).sum::<f64>() + c * examples.iter().map(loss).sum::<f64>()
    }

    /// Gradient and Hessian of the loss.
    fn slopes(&self, examples: &[Example], c: f64) -> (Vector, [Vector; FEATURES]) {
        let mut gradient = [0.0; FEATURES];
        let mut curvature = [[0.0; FEATURES]; FEATURES];
        for example in examples {
            let p = self.predict(&example.x);
            let (first, second) = (c * example.weight * (p - example.target), c * example.weight * p * (1.0 - p));
            for i in 0..FEATURES {
                gradient[i] += first * example.x[i];
                for j in 0..FEATURES {
                    curvature[i][j] += second * example.x[i] * example.x[j];
                }
            }
        }
        (gradient, curvature)
    }
}

/// The step d that minimises gradient·d + d·curvature·d / 2 + sum |w + d|.
fn newton_step(weights: &Vector, gradient: &Vector, curvature: &[Vector; FEATURES]) -> Vector {
    let mut step = [0.0; FEATURES];
    for _ in 0..1000 {
        let mut largest: f64 = 0.0;
        for j in 0..FEATURES {
            // A feature that is 0 everywhere has no curvature: a little keeps the quotient finite.
            let slope = gradient[j] + dot(&curvature[j], &step);
            let bend = curvature[j][j] + 1e-12;
            let target = weights[j] + step[j] - slope / bend;
            let shrunk = target.signum() * (target.abs() - 1.0 / bend).max(0.0);
            let change = shrunk - weights[j] - step[j];
            step[j] += change;
            largest = largest.max(change.abs());
        }
        if largest < TOLERANCE / 10.0 {
            break;
        }
    }
    step
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example(x: Vector, target: f64) -> Example {
        Example { x, target, weight: 1.0 }
    }

    #[test]
    fn one_feature_by_hand() {
        // Ten rows x = 1 with target .75 at c: 1 = c * 10 * (.75 - p), so p = .75 - 1 / (10 c).
        let examples = [example([1.0, 0.0, 0.0], 0.75); 10];
        for (c, p) in [(1.0, 0.65), (10.0, 0.74)] {
            let fit = Regression::fit(&examples, c, Regression::default());
            assert!((fit.predict(&[1.0, 0.0, 0.0]) - p).abs() < 1e-10, "{fit:?}");
            assert_eq!(fit.weights[1..], [0.0, 0.0]);
        }
        // Below c = 1 / (10 * .25) the penalty holds the weight at 0.
        assert_eq!(Regression::fit(&examples, 0.39, Regression::default()), Regression::default());
    }

    proptest! {
        /// At the minimum the loss's slope is -sign(w), or within -1 to 1 where the weight is 0.
        #[test]
        fn the_minimum_is_one(
            rows in prop::collection::vec((prop::array::uniform3(-3.0..3.0f64), 0.0..=1.0f64, 0.05..2.0f64), 8..60),
            log_c in -4.0..3.0f64,
        ) {
            let examples: Vec<Example> =
                rows.into_iter().map(|(x, target, weight)| Example { x, target, weight }).collect();
            let c = log_c.exp();
            let fit = Regression::fit(&examples, c, Regression::default());
            let (gradient, _) = fit.slopes(&examples, c);
            for (w, g) in fit.weights.iter().zip(gradient) {
                match *w == 0.0 {
                    true => prop_assert!(g.abs() <= 1.0 + 1e-6, "{fit:?} {gradient:?}"),
                    // Separable rows drive weights far out, where slopes are flat.
                    false => prop_assert!((g + w.signum()).abs() < 1e-5, "{fit:?} {gradient:?}"),
                }
            }
        }
    }
}
