//! Several runs of one experiment, each with another seed, on the same cases.

use super::student::quantile;
use super::{Interval, standard_deviation};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined {
    pub runs: usize,
    pub clusters: usize,
    pub mean: f64,
    pub standard_error: f64,
    /// Standard deviation (n - 1) of the runs' means; `None` of one run.
    pub between_runs: Option<f64>,
    /// Of Student's distribution.
    pub interval: Interval,
}

/// The mean over runs, each a list of `(cluster, value)`, with both reasons for it to vary: other cases could have been
/// drawn (clusters, shared by the runs), and other seeds (the runs' means).
///
/// Their variances are added and the degrees of freedom follow Satterthwaite (1946). What a run does on a case beyond
/// what run and case do on average is counted in both, so the interval is rather too wide than too narrow. One run
/// tells nothing of seeds: its interval is that of the cases alone. `None` with fewer than two clusters or an empty
/// run.
pub fn combine_runs(runs: &[&[(&str, f64)]]) -> Option<Combined> {
    let mut clusters: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut means = Vec::new();
    for run in runs {
        let mut total = 0.0;
        for &(cluster, value) in *run {
            let (sum, count) = clusters.entry(cluster).or_default();
            *sum += value;
            *count += 1.0;
            total += value;
        }
        means.push(total / run.len() as f64);
    }
    if clusters.len() < 2 || runs.iter().any(|run| run.is_empty()) {
        return None;
    }
    let (g, k) = (clusters.len() as f64, runs.len() as f64);
    let mean = means.iter().sum::<f64>() / k;
    let count: f64 = clusters.values().map(|(_, count)| count).sum();
    // Clusters of unequal size: the mean is a ratio, whose variance is that of its linear part (Cochran 1977, ch. 9).
    let ratio = clusters.values().map(|(sum, _)| sum).sum::<f64>() / count;
    let squares: f64 = clusters.values().map(|(sum, n)| (sum - ratio * n).powi(2)).sum();
    let of_cases = squares * g / (g - 1.0) / (count * count);
    let between_runs = standard_deviation(&means, mean);
    let of_seeds = between_runs.map_or(0.0, |deviation| deviation * deviation / k);
    let variance = of_cases + of_seeds;
    let spread = of_cases * of_cases / (g - 1.0) + if of_seeds > 0.0 { of_seeds * of_seeds / (k - 1.0) } else { 0.0 };
    let half = if variance > 0.0 { quantile(0.975, variance * variance / spread) * variance.sqrt() } else { 0.0 };
    Some(Combined {
        runs: runs.len(),
        clusters: clusters.len(),
        mean,
        standard_error: variance.sqrt(),
        between_runs,
        interval: Interval::around(mean, half),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_is_a_t_interval() {
        // scipy.stats.t.interval(0.95, 4, loc=numpy.mean(x), scale=scipy.stats.sem(x)), x = [1, 2, 4, 8, 16.5]
        let run = [("a", 1.0), ("b", 2.0), ("c", 4.0), ("d", 8.0), ("e", 16.5)];
        let combined = combine_runs(&[&run]).unwrap();
        assert_eq!((combined.runs, combined.clusters, combined.mean, combined.between_runs), (1, 5, 6.3, None));
        let (low, high) = (-1.523468574237623, 14.123468574237624);
        assert!((combined.interval.low - low).abs() < 1e-9 && (combined.interval.high - high).abs() < 1e-9);
    }

    #[test]
    fn seeds_and_cases_both_count() {
        // By hand: cases 0.5, 0.5 (no spread), means of runs 0.25, 0.5, 0.75: variance 0.0625 / 3 with 2 degrees of
        // freedom, t = 4.30265: half = 4.30265 * 0.144338 = 0.621037.
        let runs: [[(&str, f64); 2]; 3] =
            [[("a", 0.25), ("b", 0.25)], [("a", 0.5), ("b", 0.5)], [("a", 0.75), ("b", 0.75)]];
        let combined = combine_runs(&[&runs[0], &runs[1], &runs[2]]).unwrap();
        assert_eq!((combined.mean, combined.between_runs), (0.5, Some(0.25)));
        assert!((combined.interval.high - 1.121_037).abs() < 1e-5, "{combined:?}");
        // Equal runs add nothing: as one run.
        let (one, three) = (combine_runs(&[&CASES]).unwrap(), combine_runs(&[&CASES[..]; 3]).unwrap());
        assert!((one.standard_error - three.standard_error).abs() < 1e-15 && one.mean == three.mean);
        assert_eq!(combine_runs(&[&CASES[..1]]), None);
        assert_eq!(combine_runs(&[&CASES, &[]]), None);
    }

    const CASES: [(&str, f64); 5] = [("a", 0.0), ("a", 1.0), ("b", 1.0), ("c", 0.0), ("c", 0.5)];

    #[test]
    fn clusters_of_unequal_size_by_hand() {
        // Mean 0.5; sums less mean times size: 0, 0.5, -0.5; variance 0.5 * 3/2 / 25 = 0.03.
        let combined = combine_runs(&[&CASES]).unwrap();
        assert_eq!(combined.mean, 0.5);
        assert!((combined.standard_error - 0.03f64.sqrt()).abs() < 1e-15);
    }
}
