//! AlpacaEval 2: a judge's preferences between a model's answers and a baseline's, as win rates, plain and with length
//! controlled for (Dubois et al. 2024). Every definition is that of the official package, so that figures compare with
//! the published leaderboard.
//!
//! A preference goes from 1 (the baseline's answer is better) to 2 (the model's is); 0 and 1.5 are draws.

mod leaderboard;
mod length_control;
mod logistic;
mod preference;
mod records;
mod references;

pub use leaderboard::{Entry, read_leaderboard, write_leaderboard};
pub use length_control::{Fit, LengthControl, length_control};
pub use logistic::Regression;
pub use preference::{Order, TokenLogProbs};
pub use records::{Annotation, Judged, ModelOutput, Record, read_judged, read_model_outputs, write_records};
pub use references::{GamedRow, References, Weights};

use crate::error::{Error, Result};
use crate::statistics::Mean;
use serde::Serialize;

/// What the leaderboard compares with.
pub const BASELINE: &str = "gpt4_1106_preview";

/// A model's figures, named as the leaderboard names them. Rates and standard errors are in percent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    pub model: String,
    /// Mean of preference - 1.
    pub win_rate: f64,
    /// `None` of a single row.
    pub standard_error: Option<f64>,
    /// 95 % interval of the win rate.
    pub win_rate_low: Option<f64>,
    pub win_rate_high: Option<f64>,
    /// Rows with a preference above 1.5.
    pub n_wins: usize,
    pub n_wins_base: usize,
    pub n_draws: usize,
    /// Rows with a preference.
    pub n_total: usize,
    /// Rows without: the judge's reply had neither token. They are in none of the counts before.
    pub n_unparsed: usize,
    /// Wins and half the draws.
    pub discrete_win_rate: f64,
    /// Mean characters of the model's answers, cut to a whole number.
    pub avg_length: usize,
    /// `None` without the references that it needs.
    pub length_controlled_winrate: Option<f64>,
    pub lc_standard_error: Option<f64>,
    /// The inverse penalty that cross-validation chose, or that was given; `None` where nothing was fitted.
    pub length_control_c: Option<f64>,
}

/// Scores one model. Length control takes what `references` hold: the model's published weights if they are there, else
/// a fit, at the inverse penalty `c` if one is given.
pub fn score(judged: &Judged, references: &References, c: Option<f64>) -> Result<Score> {
    let wins: Vec<f64> = judged.records.iter().filter_map(Record::win).collect();
    let Some(mean) = Mean::of(&wins) else {
        let what = format!("{}: none of {} rows has a preference, expected some", judged.model, judged.records.len());
        return Err(Error::new(&judged.file, what).hint("did the judge's replies have log-probs of m and M?"));
    };
    let (n_wins, n_wins_base) =
        (wins.iter().filter(|win| **win > 0.5).count(), wins.iter().filter(|win| **win < 0.5).count());
    let n_draws = mean.n - n_wins - n_wins_base;
    let control = length_control(judged, references, c)?;
    let interval = mean.interval();
    let characters: usize = judged.records.iter().map(|record| record.len_2).sum();
    Ok(Score {
        model: judged.model.clone(),
        win_rate: 100.0 * mean.mean,
        standard_error: mean.standard_error.map(|error| 100.0 * error),
        win_rate_low: interval.map(|interval| 100.0 * interval.low.max(0.0)),
        win_rate_high: interval.map(|interval| 100.0 * interval.high.min(1.0)),
        n_wins,
        n_wins_base,
        n_draws,
        n_total: mean.n,
        n_unparsed: judged.records.len() - mean.n,
        discrete_win_rate: 100.0 * (n_wins as f64 + n_draws as f64 / 2.0) / mean.n as f64,
        avg_length: characters / judged.records.len(),
        length_controlled_winrate: control.as_ref().map(|control| 100.0 * control.win_rate),
        lc_standard_error: control.as_ref().and_then(|control| Some(100.0 * control.standard_error?)),
        length_control_c: control.and_then(|control| Some(control.fit?.c)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(preferences: &[Option<f64>]) -> Judged {
        let records = preferences
            .iter()
            .enumerate()
            .map(|(row, &preference)| Record { row, preference, len_1: 10, len_2: 10 + row })
            .collect();
        Judged { file: "a.csv".into(), model: "a".into(), baseline: BASELINE.into(), records }
    }

    #[test]
    fn figures_by_hand() {
        let rows = [Some(2.0), Some(1.75), Some(1.5), Some(0.0), Some(1.25), None];
        let score = score(&judged(&rows), &References::default(), None).unwrap();
        assert_eq!((score.n_wins, score.n_wins_base, score.n_draws, score.n_total), (2, 1, 2, 5));
        assert_eq!((score.n_unparsed, score.avg_length, score.length_controlled_winrate), (1, 12, None));
        assert!((score.win_rate - 60.0).abs() < 1e-12 && (score.discrete_win_rate - 60.0).abs() < 1e-12);
        // Wins 1, .75, .5, .5, .25: squares .16 + .0225 + .01 + .01 + .1225 = .325; sqrt(.325 / 4 / 5) = .127475.
        assert!((score.standard_error.unwrap() - 12.747_548_783_981_96).abs() < 1e-12);
    }

    #[test]
    fn one_row_has_no_error_and_none_no_score() {
        assert_eq!(score(&judged(&[Some(1.0)]), &References::default(), None).unwrap().standard_error, None);
        let error = score(&judged(&[None, None]), &References::default(), None).unwrap_err();
        assert!(error.to_string().starts_with("a.csv: a: none of 2 rows has a preference"), "{error}");
    }
}
