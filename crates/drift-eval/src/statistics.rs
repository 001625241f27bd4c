//! Figures and how sure they are: every interval of the project comes from here. Intervals are of 95 %.

mod bootstrap;
mod ranking;
mod runs;
mod student;

pub use bootstrap::{Difference, bootstrap_difference, bootstrap_mean};
pub use ranking::{auroc, average_precision};
pub use runs::{Combined, combine_runs};

/// 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    fn around(centre: f64, half: f64) -> Interval {
        Interval { low: centre - half, high: centre + half }
    }
}

/// Wilson's score interval of a share (Wilson 1927, eq. 8); `None` without trials. A tie counts as half a success.
pub fn wilson(successes: f64, trials: usize) -> Option<Interval> {
    if trials == 0 {
        return None;
    }
    let n = trials as f64;
    let p = successes / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some(Interval { low: ((centre - half) / scale).max(0.0), high: ((centre + half) / scale).min(1.0) })
}

/// A mean of independent values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    pub n: usize,
    pub mean: f64,
    /// Sample standard deviation (n - 1) over the root of n; `None` of a single value.
    pub standard_error: Option<f64>,
}

impl Mean {
    /// `None` without values.
    pub fn of(values: &[f64]) -> Option<Mean> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let standard_error = standard_deviation(values, mean).map(|deviation| deviation / (n as f64).sqrt());
        Some(Mean { n, mean, standard_error })
    }

    /// Of the normal distribution: for many values.
    pub fn interval(&self) -> Option<Interval> {
        self.standard_error.map(|error| Interval::around(self.mean, Z * error))
    }
}

/// Sample standard deviation (n - 1) around the values' mean; `None` with fewer than two.
pub(crate) fn standard_deviation(values: &[f64], mean: f64) -> Option<f64> {
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// Two-sided p of McNemar's exact test (McNemar 1947; binomial form): of two systems judged on the same cases, `only_a`
/// cases were right with the first alone and `only_b` with the second alone.
pub fn mcnemar(only_a: u64, only_b: u64) -> f64 {
    let (fewer, n) = (only_a.min(only_b), only_a + only_b);
    // P(X <= fewer), X ~ Binomial(n, 1/2), as its last term times a sum of ratios: terms fall from the last down.
    let last: f64 = (0..fewer).map(|i| ((n - i) as f64 / (i + 1) as f64).ln()).sum::<f64>() - n as f64 * 2f64.ln();
    let (mut ratio, mut sum) = (1.0, 1.0);
    for i in (1..=fewer).rev() {
        ratio *= i as f64 / (n - i + 1) as f64;
        sum += ratio;
        if ratio < 1e-18 {
            break;
        }
    }
    (2.0 * last.exp() * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_as_scipy() {
        // scipy.stats.binomtest(k, n).proportion_ci(method="wilson") for (7, 10), (1, 805), (500, 1000)
        let expected = [
            (7.0, 10, (0.39677814746114526, 0.892208732593699)),
            (1.0, 805, (0.0002193188283494893, 0.007002688348694923)),
            (500.0, 1000, (0.4690696003681042, 0.5309303996318958)),
        ];
        for (k, n, (low, high)) in expected {
            let interval = wilson(k, n).unwrap();
            assert!((interval.low - low).abs() < 1e-12 && (interval.high - high).abs() < 1e-12, "{interval:?}");
        }
        assert_eq!(wilson(0.0, 0), None);
        assert_eq!(wilson(0.0, 5).unwrap().low, 0.0);
        assert_eq!(wilson(5.0, 5).unwrap().high, 1.0);
    }

    #[test]
    fn the_mean_and_its_error_as_scipy() {
        // numpy.mean(x), scipy.stats.sem(x) of x = [1, 2, 4, 8, 16.5]
        let mean = Mean::of(&[1.0, 2.0, 4.0, 8.0, 16.5]).unwrap();
        assert_eq!((mean.n, mean.mean), (5, 6.3));
        assert!((mean.standard_error.unwrap() - 2.8178005607210737).abs() < 1e-14);
        let interval = mean.interval().unwrap();
        assert!((interval.high + interval.low - 12.6).abs() < 1e-12 && interval.high > 11.0);
        assert_eq!(Mean::of(&[3.0]).unwrap().standard_error, None);
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn mcnemar_as_scipy() {
        // scipy.stats.binomtest(min(a, b), a + b, 0.5).pvalue
        for (a, b, p) in [
            (5, 12, 0.143463134765625),
            (0, 6, 0.03125),
            (60, 40, 0.05688793364098089),
            (4000, 3700, 0.0006548582063047149),
        ] {
            for got in [mcnemar(a, b), mcnemar(b, a)] {
                assert!((got / p - 1.0).abs() < 1e-10, "{a} {b}: {got}, expected {p}");
            }
        }
        assert_eq!((mcnemar(0, 0), mcnemar(7, 7)), (1.0, 1.0));
    }
}
