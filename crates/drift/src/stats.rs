//! Intervals for what is measured on held-out pairs.

use crate::seeds;
use std::collections::BTreeMap;

/// 97.5 % point of the standard normal distribution: intervals of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Wilson's 95 % score interval of a share (Wilson 1927, eq. 8); `None` without trials. A tie counts as
/// half a success.
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

/// 95 % percentile bootstrap of the mean, resampling whole groups (conversations): values of one
/// group are not independent. `None` with fewer than two groups.
pub fn bootstrap_mean(values: &[(&str, f64)], seed: u64) -> Option<Interval> {
    let mut groups: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for &(group, value) in values {
        let (sum, count) = groups.entry(group).or_default();
        *sum += value;
        *count += 1;
    }
    let groups: Vec<(f64, usize)> = groups.into_values().collect();
    if groups.len() < 2 {
        return None;
    }
    let mut random = seeds::stream(seed, &["bootstrap"]);
    let mut draw = vec![0; groups.len() * 8];
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            random.fill(&mut draw);
            let (mut sum, mut count) = (0.0, 0);
            for bytes in draw.as_chunks::<8>().0 {
                let (s, n) = groups[(u64::from_le_bytes(*bytes) % groups.len() as u64) as usize];
                sum += s;
                count += n;
            }
            sum / count as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    Some(Interval { low: means[RESAMPLES / 40], high: means[RESAMPLES - 1 - RESAMPLES / 40] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_by_hand() {
        // 7 of 10: p = 0.7, z^2 = 3.841459; centre 0.892073, half 0.342961 over 1.3841459.
        let interval = wilson(7.0, 10).unwrap();
        assert!((interval.low - 0.396_773).abs() < 1e-4 && (interval.high - 0.892_209).abs() < 1e-4, "{interval:?}");
        assert_eq!(wilson(0.0, 0), None);
        assert_eq!(wilson(0.0, 5).unwrap().low, 0.0);
        assert_eq!(wilson(5.0, 5).unwrap().high, 1.0);
    }

    #[test]
    fn the_bootstrap_knows_groups() {
        // One hundred values of two groups tell as little as two values.
        let two: Vec<(&str, f64)> = (0..100).map(|i| if i % 2 == 0 { ("a", 0.0) } else { ("b", 1.0) }).collect();
        assert_eq!(bootstrap_mean(&two, 1), Some(Interval { low: 0.0, high: 1.0 }));
        assert_eq!(bootstrap_mean(&two[..1], 1), None);
        let names: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let apart: Vec<(&str, f64)> = names.iter().enumerate().map(|(i, name)| (&name[..], (i % 2) as f64)).collect();
        // Standard error of the mean: 0.5 / 20 = 0.025, so about 0.45 to 0.55.
        let interval = bootstrap_mean(&apart, 1).unwrap();
        assert!((interval.low - 0.451).abs() < 0.01 && (interval.high - 0.549).abs() < 0.01, "{interval:?}");
    }
}
