//! WB-Score: a judge scores each answer from 1 to 10 against the task's checklist.

use super::{GROUPS, Tasks, macro_mean, model_of};
use crate::error::{Error, Result};
use crate::json;
use crate::statistics::Mean;
use crate::table::Table;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// How the official runs end an answer that they cut.
pub(super) const TRUNCATED: &str = "... (truncated)";

#[derive(Clone, Debug, PartialEq)]
pub struct ScoredRow {
    pub session_id: String,
    /// 1 to 10; `None`: the judge's reply was no verdict.
    pub score: Option<f64>,
    /// Characters of the answer.
    pub length: usize,
    /// The answer was cut.
    pub truncated: bool,
}

/// A model's figures, named as the leaderboard's tables name them, and `wb_score` as the board shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    pub model: String,
    /// (mean score - 5) x 20: -80 to 100.
    pub wb_score: f64,
    /// 95 % interval of `wb_score`; `None` where only the aggregate is known.
    pub wb_score_low: Option<f64>,
    pub wb_score_high: Option<f64>,
    /// `task_macro_score` x 10; `None` without the tasks' groups.
    pub wb_score_task_macro: Option<f64>,
    /// Mean score, 1 to 10.
    pub score: f64,
    /// (score - 5) x 2.
    pub adjusted_score: f64,
    pub task_macro_score: Option<f64>,
    /// Adjusted score of each group, over answers that are neither empty nor cut.
    pub task_categorized_scores: BTreeMap<String, f64>,
    /// Rows with a score.
    pub total: usize,
    /// Rows without: the judge's reply was no verdict. `None` where only the aggregate is known.
    pub n_unparsed: Option<usize>,
    /// Scored rows that are in no group since the answer is empty or cut; `None` where only the aggregate is known.
    pub n_skipped: Option<usize>,
    /// Mean characters of the answers that are neither empty nor cut.
    pub avg_len: Option<f64>,
}

/// The figures of the rows of one model; by groups where the tasks are given.
pub fn score(path: &Path, rows: &[ScoredRow], tasks: Option<&Tasks>) -> Result<Score> {
    let scores: Vec<f64> = rows.iter().filter_map(|row| row.score).collect();
    let Some(mean) = Mean::of(&scores) else {
        let what = format!("none of {} rows has a score, expected some", rows.len());
        return Err(Error::new(path.display(), what).hint("were the judge's replies JSON?"));
    };
    let whole = || rows.iter().filter(|row| row.score.is_some() && row.length > 0 && !row.truncated);
    let lengths: Vec<f64> = whole().map(|row| row.length as f64).collect();
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    if let Some(tasks) = tasks {
        for row in whole() {
            for group in tasks.of(&row.session_id, &path.display().to_string())? {
                groups.entry(group.to_string()).or_default().extend(row.score);
            }
        }
    }
    let means = groups.into_iter().filter_map(|(group, scores)| Some((group, adjusted(Mean::of(&scores)?.mean))));
    let interval = mean.interval();
    Ok(Score {
        wb_score_low: interval.map(|interval| 10.0 * adjusted(interval.low)),
        wb_score_high: interval.map(|interval| 10.0 * adjusted(interval.high)),
        n_unparsed: Some(rows.len() - mean.n),
        n_skipped: Some(mean.n - lengths.len()),
        avg_len: Mean::of(&lengths).map(|mean| mean.mean),
        ..Score::of_means(model_of(path), mean.mean, means.collect(), mean.n)
    })
}

fn adjusted(score: f64) -> f64 {
    (score - 5.0) * 2.0
}

impl Score {
    fn of_means(model: String, mean: f64, by_group: BTreeMap<String, f64>, total: usize) -> Score {
        let task_macro_score = (!by_group.is_empty()).then(|| macro_mean(&by_group));
        Score {
            model,
            wb_score: 10.0 * adjusted(mean),
            wb_score_low: None,
            wb_score_high: None,
            wb_score_task_macro: task_macro_score.map(|score| 10.0 * score),
            score: mean,
            adjusted_score: adjusted(mean),
            task_macro_score,
            task_categorized_scores: by_group,
            total,
            n_unparsed: None,
            n_skipped: None,
            avg_len: None,
        }
    }
}

/// Reads compact CSV (session_id, score, len_chars, truncated) or the official list of (session_id, score,
/// model_output).
pub fn read_scores(path: &Path) -> Result<Vec<ScoredRow>> {
    let bytes = json::read(path)?;
    let rows = match json::first_byte(&bytes) {
        Some(b'[') => of_list(path, &bytes)?,
        _ => of_table(path, &bytes)?,
    };
    let mut seen = HashSet::new();
    if let Some(i) = rows.iter().position(|row| !seen.insert(&row.session_id)) {
        let what = format!("record {} has the session id of an earlier one, expected each once", i + 1);
        return Err(Error::new(path.display(), what).hint("one file holds one model"));
    }
    Ok(rows)
}

fn of_table(path: &Path, bytes: &[u8]) -> Result<Vec<ScoredRow>> {
    const COLUMNS: &[&str] = &["session_id", "score", "len_chars", "truncated"];
    let mut table = Table::new(path, bytes, COLUMNS, 4)?;
    let mut rows = Vec::new();
    while let Some(row) = table.next()? {
        let length = row.count(2)?;
        let score = row.number(1)?;
        if score.is_some_and(|score| !(1.0..=10.0).contains(&score)) {
            return Err(row.wrong(1, "1 to 10"));
        }
        let truncated = match row.text(3) {
            "0" | "False" | "false" => false,
            "1" | "True" | "true" => true,
            _ => return Err(row.wrong(3, "0 or 1")),
        };
        let session_id = row.text(0).to_string();
        rows.push(ScoredRow { session_id, score: score.or(of_no_answer(length)), length, truncated });
    }
    Ok(rows)
}

/// An empty answer scores 1 without a call to the judge.
fn of_no_answer(length: usize) -> Option<f64> {
    (length == 0).then_some(1.0)
}

#[derive(Deserialize)]
struct OfficialRow {
    session_id: String,
    #[serde(default)]
    score: Value,
    model_output: String,
}

fn of_list(path: &Path, bytes: &[u8]) -> Result<Vec<ScoredRow>> {
    let rows: Vec<OfficialRow> = json::parse(path, bytes, "a list of session_id, score, model_output")?;
    let convert = |(i, row): (usize, OfficialRow)| {
        let length = row.model_output.chars().count();
        // The judge writes a number, often within quotes; what is neither is no verdict.
        let score = row.score.as_f64().or_else(|| row.score.as_str()?.trim().parse().ok());
        if score.is_some_and(|score| !(1.0..=10.0).contains(&score)) {
            let place = format!("{}: record {}", path.display(), i + 1);
            return Err(Error::new(place, "score is out of range, expected 1 to 10").hint("was another scale used?"));
        }
        let score = score.or(of_no_answer(length));
        let truncated = row.model_output.ends_with(TRUNCATED);
        Ok(ScoredRow { session_id: row.session_id, score, length, truncated })
    };
    rows.into_iter().enumerate().map(convert).collect()
}

#[derive(Deserialize)]
struct Aggregate {
    score: f64,
    task_categorized_scores: BTreeMap<String, f64>,
    total: usize,
    avg_len: f64,
}

/// Reads `score.json` of the leaderboard and computes adjusted and macro scores anew from its means.
pub fn read_score_aggregates(path: &Path) -> Result<Vec<Score>> {
    let expected = "models with score, task_categorized_scores, total, avg_len";
    let models: BTreeMap<String, Aggregate> = json::parse(path, &json::read(path)?, expected)?;
    let convert = |(model, figures): (String, Aggregate)| {
        check_groups(path, figures.task_categorized_scores.keys())?;
        let score = Score::of_means(model, figures.score, figures.task_categorized_scores, figures.total);
        Ok(Score { avg_len: Some(figures.avg_len), ..score })
    };
    models.into_iter().map(convert).collect()
}

pub(super) fn check_groups<'a>(path: &Path, mut groups: impl Iterator<Item = &'a String>) -> Result<()> {
    match groups.all(|group| GROUPS.iter().any(|(name, _)| name == group)) {
        true => Ok(()),
        false => Err(Error::new(path.display(), "an unknown group of tasks, expected the five of WildBench v2")
            .hint("is this version 2?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn groups_skip_empty_and_cut_answers_and_the_mean_does_not() {
        let (_dir, path) =
            file("m.csv", "session_id,score,len_chars,truncated\na,9,100,0\nb,7,50,1\nc,,0,0\nd,6,300,0\ne,,20,0\n");
        let (_dir, tasks) = file(
            "tasks.json",
            r#"[{"id": "a", "primary_tag": "Math", "secondary_tags": ["Planning"]}, {"id": "d", "primary_tag": "Math"}]"#,
        );
        let rows = read_scores(&path).unwrap();
        let score = score(&path, &rows, Some(&Tasks::read(&tasks).unwrap())).unwrap();
        // Scores 9, 7, 1 (empty), 6: mean 5.75. Groups: Math (9 + 6) / 2, Planning 9; macro (5 + 1.25 * 8) / 4.75.
        assert_eq!((&score.model[..], score.total, score.n_unparsed, score.n_skipped), ("m", 4, Some(1), Some(2)));
        assert_eq!((score.score, score.adjusted_score, score.wb_score), (5.75, 1.5, 15.0));
        assert_eq!(score.avg_len, Some(200.0));
        assert!((score.task_macro_score.unwrap() - 15.0 / 4.75).abs() < 1e-12);
        assert!(score.wb_score_low.unwrap() < 15.0 && score.wb_score_high.unwrap() > 15.0);
    }

    #[test]
    fn the_official_list_is_read() {
        let (_dir, path) = file(
            "m.json",
            r#"[{"session_id": "a", "score": "8", "model_output": "zwölf"},
                {"session_id": "b", "score": 3, "model_output": "x... (truncated)"},
                {"session_id": "c", "score": "none", "model_output": "y"}]"#,
        );
        let rows = read_scores(&path).unwrap();
        let short: Vec<_> = rows.iter().map(|row| (row.score, row.length, row.truncated)).collect();
        assert_eq!(short, [(Some(8.0), 5, false), (Some(3.0), 16, true), (None, 1, false)]);
    }
}
