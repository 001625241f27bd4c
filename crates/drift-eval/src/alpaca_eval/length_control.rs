//! The length-controlled win rate: what a regression on length difference, the instruction's difficulty and the model
//! predicts if both answers were equally long.

use super::logistic::{Example, Regression, Vector};
use super::records::{Judged, Record};
use super::references::{GamedRow, References};
use crate::error::{Error, Result};
use crate::statistics::{Mean, standard_deviation};

/// Inverse penalties that are tried: `numpy.logspace(-4, 4, 10)`.
const PENALTIES: i32 = 10;

const FOLDS: usize = 5;

/// Two gamed baselines share a weight of 0.2.
const GAMED_WEIGHT: f64 = 0.1;

/// A regression and the inverse penalty that it was fitted with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    pub regression: Regression,
    pub c: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LengthControl {
    /// Mean of the predictions at equal lengths, over all rows, those without a preference too.
    pub win_rate: f64,
    pub standard_error: Option<f64>,
    /// `None` of the baseline itself, and where published weights were taken.
    pub fit: Option<Fit>,
}

/// With the model's published weights if `references` have them and no `c` is given, else fitted. `None` where
/// `references` do not hold what is needed: difficulties, and for a fit gamed rows.
pub fn length_control(judged: &Judged, references: &References, c: Option<f64>) -> Result<Option<LengthControl>> {
    if judged.model == judged.baseline {
        return Ok(summary(&vec![0.5; judged.records.len()], None));
    }
    let Some(difficulty) = &references.difficulty else { return Ok(None) };
    // By position, not by instruction: models with fewer rows were published so, and only so compare.
    let difficulties = judged
        .records
        .iter()
        .map(|record| {
            difficulty.get(record.row).copied().ok_or_else(|| {
                let what = format!("row {} has no difficulty, expected rows 0 to {}", record.row, difficulty.len() - 1);
                Error::new(&judged.file, what).hint("do the difficulties belong to this set of instructions?")
            })
        })
        .collect::<Result<Vec<f64>>>()?;
    let published = references.weights.as_ref().and_then(|weights| weights.0.get(&judged.model));
    let (regression, fit) = match (published, &references.gamed) {
        (Some(weights), _) if c.is_none() => (Regression { weights: *weights }, None),
        (_, Some(gamed)) => {
            let examples = examples(&judged.records, &difficulties, gamed);
            let c = c.unwrap_or_else(|| cross_validated(&examples));
            let regression = Regression::fit(&examples, c, Regression::default());
            (regression, Some(Fit { regression, c }))
        }
        _ => return Ok(None),
    };
    let predictions: Vec<f64> =
        difficulties.iter().map(|&difficulty| regression.predict(&features(0.0, difficulty, true))).collect();
    Ok(summary(&predictions, fit))
}

fn summary(predictions: &[f64], fit: Option<Fit>) -> Option<LengthControl> {
    let mean = Mean::of(predictions)?;
    Some(LengthControl { win_rate: mean.mean, standard_error: mean.standard_error, fit })
}

/// `length`: the difference of the lengths in standard deviations.
fn features(length: f64, difficulty: f64, of_the_model: bool) -> Vector {
    [length.tanh(), difficulty, if of_the_model { 1.0 } else { 0.0 }]
}

/// The gamed rows, then the model's rows that have a preference.
fn examples(records: &[Record], difficulties: &[f64], gamed: &[GamedRow]) -> Vec<Example> {
    let differences: Vec<f64> = records.iter().map(|record| record.len_1 as f64 - record.len_2 as f64).collect();
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    // Answers that all differ alike tell nothing of length.
    let deviation =
        standard_deviation(&differences, mean).filter(|deviation| *deviation > 0.0).unwrap_or(f64::INFINITY);
    let of_gamed = gamed.iter().map(|row| Example {
        x: features(row.std_delta_len, row.instruction_difficulty, false),
        target: row.preference,
        weight: GAMED_WEIGHT,
    });
    let rows = records.iter().zip(&differences).zip(difficulties);
    let of_model = rows.filter_map(|((record, difference), &difficulty)| {
        Some(Example { x: features(difference / deviation, difficulty, true), target: record.win()?, weight: 1.0 })
    });
    of_gamed.chain(of_model).collect()
}

/// The inverse penalty of the lowest mean loss on held-out folds; of equals the smallest.
fn cross_validated(examples: &[Example]) -> f64 {
    let n = examples.len();
    let grid: Vec<f64> =
        (0..PENALTIES).map(|i| 10f64.powf(-4.0 + 8.0 * f64::from(i) / f64::from(PENALTIES - 1))).collect();
    let mut losses = vec![0.0; grid.len()];
    for fold in 0..FOLDS.min(n) {
        let held = |i: usize| (n - 1 - i) % FOLDS == fold;
        let side = |out: bool| (0..n).filter(|&i| held(i) == out).map(|i| examples[i]).collect::<Vec<Example>>();
        let (train, test) = (side(false), side(true));
        let mut warm = Regression::default();
        for (loss, &c) in losses.iter_mut().zip(&grid) {
            warm = Regression::fit(&train, c, warm);
            *loss += warm.log_loss(&test);
        }
    }
    let best = (0..grid.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap_or(0);
    grid[best]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alpaca_eval::BASELINE;

    fn judged(model: &str, n: usize) -> Judged {
        let record = |row| Record { row, preference: Some(1.0 + (row % 3) as f64 / 2.0), len_1: 50, len_2: 50 };
        let records = (0..n).map(record).collect();
        Judged { file: "a.csv".into(), model: model.into(), baseline: BASELINE.into(), records }
    }

    fn references(rows: usize) -> References {
        let gamed = (0..rows)
            .map(|i| GamedRow { preference: 0.4, std_delta_len: (i % 5) as f64 - 2.0, instruction_difficulty: 0.0 })
            .collect();
        References { gamed: Some(gamed), difficulty: Some(vec![0.0; rows]), weights: None }
    }

    #[test]
    fn the_baseline_against_itself_is_even() {
        let control = length_control(&judged(BASELINE, 4), &References::default(), None).unwrap().unwrap();
        assert_eq!((control.win_rate, control.standard_error, control.fit), (0.5, Some(0.0), None));
    }

    #[test]
    fn equal_lengths_and_difficulties_leave_the_plain_win_rate() {
        let control = length_control(&judged("a", 300), &references(300), Some(1e4)).unwrap().unwrap();
        assert!((control.win_rate - 0.5).abs() < 1e-3, "{control:?}");
        assert!(control.fit.unwrap().regression.weights.iter().all(|w| w.is_finite()));
    }

    #[test]
    fn a_row_beyond_the_difficulties_is_named() {
        let error = length_control(&judged("a", 5), &references(3), None).unwrap_err().to_string();
        assert!(error.starts_with("a.csv: row 3 has no difficulty, expected rows 0 to 2"), "{error}");
    }

    #[test]
    fn what_is_missing_leaves_no_figure() {
        let mut references = references(9);
        references.gamed = None;
        assert_eq!(length_control(&judged("a", 9), &references, None).unwrap(), None);
    }
}
