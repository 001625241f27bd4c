//! How well a score tells the positive cases from the others.

/// Area under the ROC curve: the share of (positive, negative) pairs in which the positive has the higher score, a tie
/// counting half (Mann & Whitney 1947). `None` without both kinds, or with a score that is no number.
pub fn auroc(cases: &[(f64, bool)]) -> Option<f64> {
    let groups = by_score(cases)?;
    let (mut below, mut wins) = (0.0, 0.0);
    for &(positives, negatives) in groups.iter().rev() {
        wins += positives * (below + negatives / 2.0);
        below += negatives;
    }
    let positives: f64 = groups.iter().map(|(positives, _)| positives).sum();
    Some(wins / (positives * below))
}

/// Average precision: precision at each score that occurs, weighted by the recall gained there, without
/// interpolation. `None` as for [`auroc`].
pub fn average_precision(cases: &[(f64, bool)]) -> Option<f64> {
    let groups = by_score(cases)?;
    let (mut hits, mut taken, mut sum) = (0.0, 0.0, 0.0);
    for &(positives, negatives) in &groups {
        hits += positives;
        taken += positives + negatives;
        sum += positives * hits / taken;
    }
    Some(sum / hits)
}

/// Positives and negatives of each score, the highest first.
fn by_score(cases: &[(f64, bool)]) -> Option<Vec<(f64, f64)>> {
    let positives = cases.iter().filter(|(_, positive)| *positive).count();
    if positives == 0 || positives == cases.len() || cases.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let mut sorted = cases.to_vec();
    sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let equal = sorted.chunk_by(|a, b| a.0 == b.0);
    let count = |group: &[(f64, bool)], kind| group.iter().filter(|(_, positive)| *positive == kind).count() as f64;
    Some(equal.map(|group| (count(group, true), count(group, false))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_scikit_learn() {
        // sklearn.metrics.roc_auc_score(y, s), average_precision_score(y, s) of
        // s = [.9, .8, .8, .7, .6, .6, .6, .3, .2, .1], y = [1, 1, 0, 1, 0, 1, 0, 0, 1, 0]
        let scores = [0.9, 0.8, 0.8, 0.7, 0.6, 0.6, 0.6, 0.3, 0.2, 0.1];
        let positive = [1, 1, 0, 1, 0, 1, 0, 0, 1, 0];
        let cases: Vec<(f64, bool)> = scores.into_iter().zip(positive.map(|y| y == 1)).collect();
        assert!((auroc(&cases).unwrap() - 0.7).abs() < 1e-12);
        assert!((average_precision(&cases).unwrap() - 0.7087301587301587).abs() < 1e-12);
    }

    #[test]
    fn without_both_kinds_there_is_no_figure() {
        assert_eq!(auroc(&[(0.5, true), (0.1, true)]), None);
        assert_eq!(average_precision(&[]), None);
        assert_eq!(auroc(&[(f64::NAN, true), (0.1, false)]), None);
        assert_eq!(auroc(&[(0.0, true), (-0.0, false)]), Some(0.5), "both zeros are one score");
    }
}
