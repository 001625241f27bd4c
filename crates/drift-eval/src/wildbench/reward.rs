//! WB-Reward: a judge says which of two answers, the model's or a reference's, is better, and whether by much.

use super::score::check_groups;
use super::{Tasks, macro_mean, model_of};
use crate::error::{Error, Result};
use crate::json;
use crate::statistics::Mean;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// How the official runs write an answer that they cut, and one that is empty.
pub const TRUNCATED: &str = "... (truncated)";
pub const EMPTY: &str = "[This model response is empty.]";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A++ or B++ for the model: 1.
    WinMuch,
    /// A+ or B+ for the model: 0.5.
    Win,
    Tie,
    Lose,
    LoseMuch,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub session_id: String,
    /// `None`: the judge's reply was no verdict.
    pub outcome: Option<Outcome>,
    /// Characters of the model's answer and of the reference's.
    pub length: usize,
    pub reference_length: usize,
    /// Either answer is empty or cut: counted in the total alone.
    pub skipped: bool,
}

impl Comparison {
    /// The outcome under the length penalty: a slight win whose winner is longer by more than `penalty` characters is a
    /// tie.
    pub fn penalised(&self, penalty: Option<usize>) -> Option<Outcome> {
        let longer = |a: usize, b: usize| penalty.is_some_and(|penalty| a > b.saturating_add(penalty));
        match self.outcome? {
            Outcome::Win if longer(self.length, self.reference_length) => Some(Outcome::Tie),
            Outcome::Lose if longer(self.reference_length, self.length) => Some(Outcome::Tie),
            outcome => Some(outcome),
        }
    }
}

/// Counts of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    pub win_much: usize,
    pub win: usize,
    pub tie: usize,
    pub lose: usize,
    pub lose_much: usize,
}

impl Outcomes {
    fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::WinMuch => &mut self.win_much,
            Outcome::Win => &mut self.win,
            Outcome::Tie => &mut self.tie,
            Outcome::Lose => &mut self.lose,
            Outcome::LoseMuch => &mut self.lose_much,
        };
        *count += 1;
    }

    fn count(&self) -> usize {
        [self.win_much, self.win, self.tie, self.lose, self.lose_much].iter().sum()
    }

    /// Mean reward over `total` comparisons, -1 to 1.
    fn reward(&self, total: usize) -> f64 {
        let slight = self.win as f64 - self.lose as f64;
        (self.win_much as f64 - self.lose_much as f64 + slight / 2.0) / total as f64
    }

    /// Standard error of that mean: counts are all that it takes.
    fn standard_error(&self, total: usize) -> Option<f64> {
        let (n, mean) = (total as f64, self.reward(total));
        let squares = (self.win_much + self.lose_much) as f64 + (self.win + self.lose) as f64 / 4.0;
        (total > 1).then(|| ((squares - n * mean * mean).max(0.0) / (n - 1.0) / n).sqrt())
    }
}

/// A model's figures against one reference, named as the leaderboard's tables name them, and `wb_reward` as the board
/// shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reward {
    pub model: String,
    /// `reward` x 100.
    pub wb_reward: f64,
    /// 95 % interval of `wb_reward`; `None` of a single comparison.
    pub wb_reward_low: Option<f64>,
    pub wb_reward_high: Option<f64>,
    /// `task_macro_reward` x 100.
    pub wb_reward_task_macro: Option<f64>,
    #[serde(flatten)]
    pub outcomes: Outcomes,
    /// Comparisons with a verdict; those with an empty or cut answer are in the total alone.
    pub total: usize,
    /// Comparisons without: the judge's reply was none. `None` where only the aggregate is known.
    pub n_unparsed: Option<usize>,
    pub avg_len: Option<f64>,
    /// -1 to 1.
    pub reward: f64,
    /// `None` without the tasks' groups.
    pub task_macro_reward: Option<f64>,
    pub task_categorized_rewards: BTreeMap<String, f64>,
    /// The length penalty in characters; -1: none.
    #[serde(rename = "K")]
    pub k: i64,
}

impl Reward {
    fn of_outcomes(model: String, outcomes: Outcomes, groups: &BTreeMap<String, Outcomes>, total: usize) -> Reward {
        let filled = groups.iter().filter(|(_, outcomes)| outcomes.count() > 0);
        let by_group: BTreeMap<String, f64> =
            filled.map(|(group, outcomes)| (group.clone(), outcomes.reward(outcomes.count()))).collect();
        let task_macro_reward = (!by_group.is_empty()).then(|| macro_mean(&by_group));
        let reward = outcomes.reward(total);
        let mean = Mean { n: total, mean: reward, standard_error: outcomes.standard_error(total) };
        let interval = mean.interval();
        Reward {
            model,
            wb_reward: 100.0 * reward,
            wb_reward_low: interval.map(|interval| 100.0 * interval.low),
            wb_reward_high: interval.map(|interval| 100.0 * interval.high),
            wb_reward_task_macro: task_macro_reward.map(|reward| 100.0 * reward),
            outcomes,
            total,
            n_unparsed: None,
            avg_len: None,
            reward,
            task_macro_reward,
            task_categorized_rewards: by_group,
            k: -1,
        }
    }
}

/// The figures of the comparisons of one model; by groups where the tasks are given.
pub fn reward(path: &Path, rows: &[Comparison], penalty: Option<usize>, tasks: Option<&Tasks>) -> Result<Reward> {
    let total = rows.iter().filter(|row| row.outcome.is_some()).count();
    if total == 0 {
        let what = format!("none of {} comparisons has a verdict, expected some", rows.len());
        return Err(Error::new(path.display(), what).hint("were the judge's replies JSON?"));
    }
    let (mut outcomes, mut groups, mut lengths) =
        (Outcomes::default(), BTreeMap::<String, Outcomes>::new(), Vec::new());
    for row in rows.iter().filter(|row| !row.skipped) {
        let Some(outcome) = row.penalised(penalty) else { continue };
        outcomes.add(outcome);
        lengths.push(row.length as f64);
        if let Some(tasks) = tasks {
            for group in tasks.of(&row.session_id, &path.display().to_string())? {
                groups.entry(group.to_string()).or_default().add(outcome);
            }
        }
    }
    let k = penalty.map_or(-1, |penalty| i64::try_from(penalty).unwrap_or(i64::MAX));
    let reward = Reward::of_outcomes(model_of(path), outcomes, &groups, total);
    let avg_len = Mean::of(&lengths).map(|mean| mean.mean);
    Ok(Reward { avg_len, n_unparsed: Some(rows.len() - total), k, ..reward })
}

#[derive(Deserialize)]
struct OfficialRow {
    session_id: String,
    /// A model's name or `tie`; null where the judge's reply was no verdict.
    #[serde(deserialize_with = "Option::deserialize")]
    winner: Option<String>,
    /// 2: by much, 1: slightly.
    #[serde(default)]
    extent: Option<i64>,
    model_outputs: BTreeMap<String, String>,
}

/// Reads the official list of (session_id, model_outputs by name, winner, extent). The reference is the model of the
/// name `reference`, or else the one whose name contains it.
pub fn read_comparisons(path: &Path, reference: &str) -> Result<Vec<Comparison>> {
    let expected = "a list of session_id, model_outputs, winner, extent";
    let rows: Vec<OfficialRow> = json::parse(path, &json::read(path)?, expected)?;
    rows.iter().enumerate().map(|(i, row)| comparison(row, reference, path, i)).collect()
}

fn comparison(row: &OfficialRow, reference: &str, path: &Path, i: usize) -> Result<Comparison> {
    let wrong = |what: &str, hint| Error::new(format!("{}: record {}", path.display(), i + 1), what).hint(hint);
    let is_named = row.model_outputs.contains_key(reference);
    let (references, models): (Vec<_>, Vec<_>) = row
        .model_outputs
        .iter()
        .partition(|(name, _)| if is_named { *name == reference } else { name.contains(reference) });
    let ([(reference, theirs)], [(model, ours)]) = (&references[..], &models[..]) else {
        let what = "model_outputs do not hold one answer of the reference and one other, expected both";
        return Err(wrong(what, "which model is the reference?"));
    };
    let outcome = match (row.winner.as_deref(), row.extent) {
        (None, _) => None,
        (Some("tie"), _) => Some(Outcome::Tie),
        (Some(winner), Some(2)) if winner == *model => Some(Outcome::WinMuch),
        (Some(winner), Some(1)) if winner == *model => Some(Outcome::Win),
        (Some(winner), Some(1)) if winner == *reference => Some(Outcome::Lose),
        (Some(winner), Some(2)) if winner == *reference => Some(Outcome::LoseMuch),
        _ => {
            return Err(wrong(
                "no verdict, expected winner tie, or a model with extent 1 or 2",
                "was the file edited?",
            ));
        }
    };
    let skipped = [theirs, ours].iter().any(|text| text.ends_with(TRUNCATED) || text.as_str() == EMPTY);
    let (length, reference_length) = (ours.chars().count(), theirs.chars().count());
    Ok(Comparison { session_id: row.session_id.clone(), outcome, length, reference_length, skipped })
}

#[derive(Deserialize)]
struct Aggregate {
    #[serde(flatten)]
    outcomes: Outcomes,
    total: usize,
    avg_len: f64,
    task_categorized_results: BTreeMap<String, Outcomes>,
    #[serde(rename = "K")]
    k: i64,
}

/// Reads `pairwise-….json` of the leaderboard and computes the rewards anew from its counts.
pub fn read_reward_aggregates(path: &Path) -> Result<Vec<Reward>> {
    let expected = "models with win_much … lose_much, total, avg_len, task_categorized_results, K";
    let models: BTreeMap<String, Aggregate> = json::parse(path, &json::read(path)?, expected)?;
    let convert = |(model, figures): (String, Aggregate)| {
        check_groups(path, figures.task_categorized_results.keys())?;
        let groups = &figures.task_categorized_results;
        if figures.total == 0 {
            return Err(Error::new(path.display(), "a total of 0, expected comparisons").hint("was the file edited?"));
        }
        let reward = Reward::of_outcomes(model, figures.outcomes, groups, figures.total);
        Ok(Reward { avg_len: Some(figures.avg_len), k: figures.k, ..reward })
    };
    models.into_iter().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slight_win_of_the_longer_answer_is_a_tie() {
        let row = |outcome, length| Comparison {
            session_id: "a".into(),
            outcome: Some(outcome),
            length,
            reference_length: 1000,
            skipped: false,
        };
        assert_eq!(row(Outcome::Win, 1500).penalised(Some(500)), Some(Outcome::Win));
        assert_eq!(row(Outcome::Win, 1501).penalised(Some(500)), Some(Outcome::Tie));
        assert_eq!(row(Outcome::Win, 9000).penalised(None), Some(Outcome::Win));
        assert_eq!(row(Outcome::WinMuch, 9000).penalised(Some(0)), Some(Outcome::WinMuch));
        assert_eq!(row(Outcome::Lose, 499).penalised(Some(500)), Some(Outcome::Tie));
        assert_eq!(row(Outcome::Lose, 500).penalised(Some(500)), Some(Outcome::Lose));
    }

    #[test]
    fn the_official_list_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        let outputs = |m: &str, r: &str| serde_json::json!({ "org/m": m, "claude-3-haiku": r });
        let rows = serde_json::json!([
            { "session_id": "a", "winner": "org/m", "extent": 2, "model_outputs": outputs("ab", "a") },
            { "session_id": "b", "winner": "claude-3-haiku", "extent": 1, "model_outputs": outputs("abcd", "a") },
            { "session_id": "c", "winner": "tie", "extent": 0, "model_outputs": outputs("ab", "a") },
            { "session_id": "d", "winner": "org/m", "extent": 1, "model_outputs": outputs("x... (truncated)", "a") },
            { "session_id": "e", "winner": null, "model_outputs": outputs("x", "a") },
        ]);
        std::fs::write(&path, rows.to_string()).unwrap();
        let rows = read_comparisons(&path, "haiku").unwrap();
        let reward = super::reward(&path, &rows, None, None).unwrap();
        // (1 - 0.5) / 4: the cut answer is in the total alone.
        assert_eq!((reward.reward, reward.wb_reward, reward.total, reward.avg_len), (0.125, 12.5, 4, Some(8.0 / 3.0)));
        assert_eq!(reward.n_unparsed, Some(1));
        // Rewards 1, -0.5, 0, 0: squares 1.25, less 4 / 64, over 3 and 4.
        let half = 100.0 * 1.959_964 * (1.1875f64 / 12.0).sqrt();
        assert!((reward.wb_reward_high.unwrap() - 12.5 - half).abs() < 1e-4, "{reward:?}");
        let error = read_comparisons(&path, "gpt-4").unwrap_err().to_string();
        assert!(error.contains("record 1: model_outputs do not hold one answer of the reference"), "{error}");
    }
}
