//! From a classifier's log-odds to probabilities that mean what they say, and to thresholds with a
//! known precision. Both are learnt from out-of-fold scores: of turns that the classifier did not see.

use crate::logistic::{Dense, Example, fit, sigmoid};
use serde::{Deserialize, Serialize};

/// `probability = sigmoid(slope · logit + offset)` (Platt 1999).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    pub slope: f64,
    pub offset: f64,
}

impl Platt {
    /// On (log-odds, class), with Platt's targets: never quite 0 and 1.
    pub fn fit(scored: &[(f64, bool)]) -> Platt {
        let positives = scored.iter().filter(|(_, class)| *class).count() as f64;
        let negatives = scored.len() as f64 - positives;
        let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
        let mut rows = Dense::new(1);
        let mut examples = Vec::new();
        for (row, &(logit, class)) in scored.iter().enumerate() {
            rows.push(&[logit as f32]);
            // a target of t is a positive of weight t and a negative of the rest
            let target = if class { high } else { low };
            examples.push(Example { row, positive: true, weight: target });
            examples.push(Example { row, positive: false, weight: 1.0 - target });
        }
        let fit = fit(&rows, &examples, 1e-6);
        Platt { slope: fit.weights[0], offset: fit.bias }
    }

    pub fn probability(&self, logit: f64) -> f64 {
        sigmoid(self.slope * logit + self.offset)
    }
}

/// A threshold, and what it gave on the out-of-fold scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub threshold: f32,
    pub precision: f32,
    pub recall: f32,
}

/// The point of highest recall for each target precision from .50 to .95 in steps of .01 that is reached
/// with at least [`ENOUGH`] turns; a target between two is served by the next higher one.
pub fn points(scored: &[(f64, bool)]) -> Vec<Point> {
    let all = curve(scored);
    let mut points: Vec<Point> = Vec::new();
    for target in (50..=95).map(|percent| percent as f32 / 100.0) {
        let reached = all.iter().filter(|point| point.precision >= target);
        if let Some(best) = reached.max_by(|a, b| a.recall.total_cmp(&b.recall))
            && points.last().is_none_or(|last| last.threshold < best.threshold)
        {
            points.push(*best);
        }
    }
    points
}

/// The point of highest F1.
pub fn best_f1(scored: &[(f64, bool)]) -> Option<Point> {
    let f1 = |point: &Point| 2.0 * point.precision * point.recall / (point.precision + point.recall).max(1e-9);
    curve(scored).into_iter().max_by(|a, b| f1(a).total_cmp(&f1(b)))
}

/// A precision measured on fewer found turns is chance.
const ENOUGH: usize = 20;

/// One point for each score that occurs, from [`ENOUGH`] turns on.
fn curve(scored: &[(f64, bool)]) -> Vec<Point> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = sorted.iter().filter(|(_, class)| *class).count().max(1);
    let (mut found, mut hits) = (0, 0);
    let mut points = Vec::new();
    for tie in sorted.chunk_by(|a, b| a.0 == b.0) {
        found += tie.len();
        hits += tie.iter().filter(|(_, class)| *class).count();
        if found >= ENOUGH {
            let share = |n: usize| hits as f32 / n as f32;
            points.push(Point { threshold: tie[0].0 as f32, precision: share(found), recall: share(positives) });
        }
    }
    points
}

/// Turns whose confidence lies within one tenth: how many are what was said?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    pub from: f64,
    pub turns: usize,
    pub confidence: f64,
    pub share: f64,
}

/// A reliability diagram's ten bins, empty ones left out, and the expected calibration error: the mean
/// distance of confidence and share, by turns.
pub fn reliability(scored: &[(f64, bool)]) -> (Vec<Bin>, f64) {
    let mut bins = Vec::new();
    let mut error = 0.0;
    for tenth in 0..10 {
        let within = |p: f64| ((p * 10.0) as usize).min(9) == tenth;
        let of: Vec<_> = scored.iter().filter(|(p, _)| within(*p)).collect();
        if of.is_empty() {
            continue;
        }
        let n = of.len() as f64;
        let confidence = of.iter().map(|(p, _)| p).sum::<f64>() / n;
        let share = of.iter().filter(|(_, class)| *class).count() as f64 / n;
        error += n / scored.len() as f64 * (confidence - share).abs();
        bins.push(Bin { from: f64::from(tenth as u8) / 10.0, turns: of.len(), confidence, share });
    }
    (bins, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_probabilities() {
        // logit 0: 30 of 100; logit 5: 80 of 100
        let group = |logit, hits| (0..100).map(move |i| (logit, i < hits));
        let scored: Vec<_> = group(0.0, 30).chain(group(5.0, 80)).collect();
        let fit = Platt::fit(&scored);
        assert!((fit.probability(0.0) - 0.3).abs() < 0.01 && (fit.probability(5.0) - 0.8).abs() < 0.01, "{fit:?}");
        let calibrated: Vec<_> = scored.iter().map(|(logit, class)| (fit.probability(*logit), *class)).collect();
        let (bins, error) = reliability(&calibrated);
        assert!(error < 0.01 && bins.iter().map(|bin| bin.turns).sum::<usize>() == 200);
    }

    #[test]
    fn separated_and_constant_scores_stay_finite() {
        for scored in [vec![(-1.0, false), (1.0, true)], vec![(2.0, true), (2.0, false)], vec![(0.0, false)], vec![]] {
            let fit = Platt::fit(&scored);
            assert!(fit.slope.is_finite() && fit.offset.is_finite(), "{scored:?}: {fit:?}");
        }
    }

    #[test]
    fn reliability_by_hand() {
        let (bins, error) = reliability(&[(0.1, false), (0.1, true), (0.9, true), (1.0, true)]);
        assert_eq!(bins.len(), 2);
        assert_eq!((bins[0].turns, bins[0].confidence, bins[0].share), (2, 0.1, 0.5));
        assert_eq!((bins[1].turns, bins[1].confidence, bins[1].share), (2, 0.95, 1.0));
        assert!((error - (0.5 * 0.4 + 0.5 * 0.05)).abs() < 1e-12);
    }

    #[test]
    fn points_reach_their_precision_with_the_most_recall() {
        // the best 30 are all right, of the next 30 every second one, of the last 40 none
        let class = |i: usize| i < 30 || (i < 60 && i.is_multiple_of(2));
        let scored: Vec<_> = (0..100).map(|i| (1.0 - i as f64 / 100.0, class(i))).collect();
        let points = points(&scored);
        let of = |target: f32| points.iter().find(|p| p.precision >= target).unwrap();
        assert_eq!(of(0.95).threshold, 1.0 - 32.0 / 100.0); // 32 of 33: .97; 32 of 34 is too little
        assert!(of(0.75).recall > of(0.9).recall);
        assert!(points.windows(2).all(|pair| pair[0].threshold < pair[1].threshold));
        assert_eq!(best_f1(&scored).unwrap().recall, 1.0);
    }
}
