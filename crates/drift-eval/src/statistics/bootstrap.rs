//! The percentile bootstrap (Efron 1979) of a mean, resampling whole clusters (conversations, prompts): values of one
//! cluster are not independent.

use super::Interval;
use crate::mersenne::Mersenne;
use std::collections::BTreeMap;

const RESAMPLES: usize = 2000;

/// Interval of the mean of `(cluster, value)`; `None` with fewer than two clusters. The same seed gives the same bits,
/// in whatever order the clusters come.
pub fn bootstrap_mean(values: &[(&str, f64)], seed: u64) -> Option<Interval> {
    let mut clusters: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for &(cluster, value) in values {
        let (sum, count) = clusters.entry(cluster).or_default();
        *sum += value;
        *count += 1;
    }
    let clusters: Vec<(f64, usize)> = clusters.into_values().collect();
    if clusters.len() < 2 {
        return None;
    }
    let mut random = Mersenne::from_text(&format!("bootstrap {seed}"));
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (mut sum, mut count) = (0.0, 0);
            for _ in 0..clusters.len() {
                let (s, n) = clusters[random.below(clusters.len())];
                sum += s;
                count += n;
            }
            sum / count as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    Some(Interval { low: means[RESAMPLES / 40], high: means[RESAMPLES - 1 - RESAMPLES / 40] })
}

/// How much better the first of two systems is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Mean of first - second.
    pub mean: f64,
    /// `None` with fewer than two clusters.
    pub interval: Option<Interval>,
}

/// The paired difference of two systems on the same cases, rows of `(cluster, first, second)`: what makes a case hard
/// for both cancels. `None` without rows.
pub fn bootstrap_difference(rows: &[(&str, f64, f64)], seed: u64) -> Option<Difference> {
    let differences: Vec<(&str, f64)> = rows.iter().map(|&(cluster, a, b)| (cluster, a - b)).collect();
    let sum: f64 = differences.iter().map(|(_, difference)| difference).sum();
    let interval = bootstrap_mean(&differences, seed);
    (!rows.is_empty()).then(|| Difference { mean: sum / rows.len() as f64, interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_drawn_whole() {
        // One hundred values of two clusters tell as little as two values.
        let two: Vec<(&str, f64)> = (0..100).map(|i| if i % 2 == 0 { ("a", 0.0) } else { ("b", 1.0) }).collect();
        assert_eq!(bootstrap_mean(&two, 1), Some(Interval { low: 0.0, high: 1.0 }));
        assert_eq!(bootstrap_mean(&two[..1], 1), None);
        let names: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let apart: Vec<(&str, f64)> = names.iter().enumerate().map(|(i, name)| (&name[..], (i % 2) as f64)).collect();
        // Standard error of the mean: 0.5 / 20 = 0.025, so about 0.45 to 0.55.
        let interval = bootstrap_mean(&apart, 1).unwrap();
        assert!((interval.low - 0.451).abs() < 0.01 && (interval.high - 0.549).abs() < 0.01, "{interval:?}");
    }

    #[test]
    fn the_same_draws_in_python_give_the_same_interval() {
        // g = [(1, 2), (0.5, 1), (3, 4), (2, 2), (-1, 1)]; r = random.Random("bootstrap 7")
        // m = sorted(sum(a) / sum(b) for _ in range(2000) for a, b in [zip(*r.choices(g, k=5))]); m[50], m[1949]
        let values = [
            ("a", 0.75),
            ("a", 0.25),
            ("b", 0.5),
            ("c", 1.0),
            ("c", 1.0),
            ("c", 0.5),
            ("c", 0.5),
            ("d", 1.5),
            ("d", 0.5),
            ("e", -1.0),
        ];
        let interval = bootstrap_mean(&values, 7).unwrap();
        assert_eq!((interval.low, interval.high), (0.0, 0.8333333333333334));
        let mut turned = values;
        turned.reverse();
        assert_eq!(bootstrap_mean(&turned, 7), Some(interval));
    }

    #[test]
    fn what_is_hard_for_both_cancels() {
        let names: Vec<String> = (0..50).map(|i| i.to_string()).collect();
        let rows: Vec<(&str, f64, f64)> =
            names.iter().enumerate().map(|(i, name)| (&name[..], i as f64 + 0.5, i as f64)).collect();
        let difference = bootstrap_difference(&rows, 3).unwrap();
        assert_eq!(difference, Difference { mean: 0.5, interval: Some(Interval { low: 0.5, high: 0.5 }) });
        assert_eq!(bootstrap_difference(&[], 3), None);
    }
}
