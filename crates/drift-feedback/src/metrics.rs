//! How good scores are against labels: precision, recall, F1, AUROC, average precision, each with a
//! bootstrap interval over conversations.

use rayon::prelude::*;
use serde::Serialize;

/// Resamples of a bootstrap.
const DRAWS: u64 = 1000;

/// One labelled turn: what the detector said, and what is so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub score: f64,
    /// The detector's decision at its own threshold.
    pub said: bool,
    pub truth: bool,
    /// Number of the conversation, counted from 0.
    pub group: usize,
}

/// `None` where a figure is not defined: recall without a positive, precision without a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    pub turns: usize,
    pub positives: usize,
    /// Decisions "yes", among them right ones.
    pub found: usize,
    pub hits: usize,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    pub auroc: Option<f64>,
    pub average_precision: Option<f64>,
    pub intervals: Intervals,
}

/// 95 % intervals: the 2.5th and 97.5th percentile of the bootstrap.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Intervals {
    pub precision: Option<[f64; 2]>,
    pub recall: Option<[f64; 2]>,
    pub f1: Option<[f64; 2]>,
    pub auroc: Option<[f64; 2]>,
    pub average_precision: Option<[f64; 2]>,
}

/// Precision, recall, F1, AUROC, average precision.
type Figures = [Option<f64>; 5];

pub fn measure(scored: &[Scored], seed: u64) -> Metrics {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    let once = vec![1.0; sorted.iter().map(|s| s.group + 1).max().unwrap_or(0)];
    let [precision, recall, f1, auroc, average_precision] = figures(&sorted, &once);
    let count = |is: fn(&Scored) -> bool| sorted.iter().filter(|s| is(s)).count();
    Metrics {
        turns: sorted.len(),
        positives: count(|s| s.truth),
        found: count(|s| s.said),
        hits: count(|s| s.said && s.truth),
        precision,
        recall,
        f1,
        auroc,
        average_precision,
        intervals: intervals(&sorted, once.len(), seed),
    }
}

/// The chance that a positive scores above a negative; ties count half.
pub fn auroc(scored: &[Scored]) -> Option<f64> {
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    figures(&sorted, &vec![1.0; sorted.iter().map(|s| s.group + 1).max().unwrap_or(0)])[3]
}

/// `sorted` by score, highest first; a turn counts as often as its group.
fn figures(sorted: &[Scored], times: &[f64]) -> Figures {
    let (mut found, mut hits) = (0.0, 0.0);
    let (mut above_true, mut above_false, mut won, mut area) = (0.0, 0.0, 0.0, 0.0);
    let positives: f64 = sorted.iter().filter(|s| s.truth).map(|s| times[s.group]).sum();
    for tie in sorted.chunk_by(|a, b| a.score == b.score) {
        let (mut trues, mut falses) = (0.0, 0.0);
        for s in tie {
            let n = times[s.group];
            *(if s.truth { &mut trues } else { &mut falses }) += n;
            if s.said {
                found += n;
                hits += if s.truth { n } else { 0.0 };
            }
        }
        won += falses * (above_true + trues / 2.0);
        above_true += trues;
        above_false += falses;
        if trues > 0.0 {
            area += trues / positives * above_true / (above_true + above_false);
        }
    }
    let share = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    let f1 = share(2.0 * hits, found + positives).filter(|_| positives > 0.0);
    let negatives = above_false;
    [
        share(hits, found),
        share(hits, positives),
        f1,
        share(won, positives * negatives),
        share(area, f64::from(u8::from(positives > 0.0))),
    ]
}

fn intervals(sorted: &[Scored], groups: usize, seed: u64) -> Intervals {
    if groups == 0 {
        return Intervals::default();
    }
    let draw = |number: u64| {
        let mut random = Random::new(seed.wrapping_mul(DRAWS).wrapping_add(number));
        let mut times = vec![0.0; groups];
        for _ in 0..groups {
            times[random.below(groups)] += 1.0;
        }
        figures(sorted, &times)
    };
    let draws: Vec<Figures> = (0..DRAWS).into_par_iter().map(draw).collect();
    let interval = |figure: usize| {
        let mut values: Vec<f64> = draws.iter().filter_map(|figures| figures[figure]).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64).round() as usize).copied();
        Some([at(0.025)?, at(0.975)?])
    };
    Intervals {
        precision: interval(0),
        recall: interval(1),
        f1: interval(2),
        auroc: interval(3),
        average_precision: interval(4),
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(rows: &[(f64, bool)], threshold: f64) -> Vec<Scored> {
        let scored =
            |(group, &(score, truth)): (usize, &(f64, bool))| Scored { score, said: score >= threshold, truth, group };
        rows.iter().enumerate().map(scored).collect()
    }

    #[test]
    fn worked_by_hand() {
        // positives .9 and .4, negatives .6 and .1: 3 of 4 comparisons are won
        let m = measure(&scored(&[(0.9, true), (0.6, false), (0.4, true), (0.1, false)], 0.5), 0);
        assert_eq!((m.turns, m.positives, m.found, m.hits), (4, 2, 2, 1));
        assert_eq!((m.precision, m.recall, m.f1, m.auroc), (Some(0.5), Some(0.5), Some(0.5), Some(0.75)));
        assert_eq!(m.average_precision, Some(0.5 * 1.0 + 0.5 * (2.0 / 3.0)));
    }

    #[test]
    fn as_scikit_learn_with_ties() {
        let rows = [
            (0.9, true),
            (0.8, true),
            (0.8, false),
            (0.7, true),
            (0.6, false),
            (0.55, true),
            (0.5, false),
            (0.5, true),
            (0.3, false),
            (0.2, false),
            (0.1, false),
            (0.1, true),
        ];
        let m = measure(&scored(&rows, 0.5), 0);
        let close = |ours: Option<f64>, theirs: f64| (ours.unwrap() - theirs).abs() < 1e-12;
        assert!(close(m.auroc, 0.680_555_555_555_555_6) && close(m.average_precision, 0.701_388_888_888_888_8));
        assert!(
            close(m.precision, 0.625)
                && close(m.recall, 0.833_333_333_333_333_4)
                && close(m.f1, 0.714_285_714_285_714_2)
        );
    }

    #[test]
    fn what_is_not_defined_is_absent() {
        let m = measure(&scored(&[(0.2, false), (0.1, false)], 0.5), 0);
        assert_eq!((m.precision, m.recall, m.f1, m.auroc, m.average_precision), (None, None, None, None, None));
        assert_eq!(measure(&[], 0).auroc, None);
        // found nothing of what is there
        let m = measure(&scored(&[(0.2, true), (0.1, false)], 0.5), 0);
        assert_eq!((m.precision, m.recall, m.f1, m.auroc), (None, Some(0.0), Some(0.0), Some(1.0)));
    }

    #[test]
    fn an_interval_surrounds_its_figure_and_depends_on_the_seed_alone() {
        let rows: Vec<(f64, bool)> = (0..200).map(|i| (f64::from(i * 37 % 101), i % 3 == 0)).collect();
        let m = measure(&scored(&rows, 50.0), 7);
        let [low, high] = m.intervals.auroc.unwrap();
        assert!(low < m.auroc.unwrap() && m.auroc.unwrap() < high && high - low < 0.25);
        assert_eq!(m, measure(&scored(&rows, 50.0), 7));
        assert_ne!(m.intervals, measure(&scored(&rows, 50.0), 8).intervals);
        // turns of one conversation come and go together: with a single one there is nothing to resample
        let mut one = scored(&rows, 50.0);
        one.iter_mut().for_each(|s| s.group = 0);
        assert_eq!(measure(&one, 7).intervals.auroc, Some([m.auroc.unwrap(); 2]));
    }
}
