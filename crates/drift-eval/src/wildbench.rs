//! WildBench v2: WB-Score, a judge's score of each answer, and WB-Reward, a judge's choice between an answer and a
//! reference's (Lin et al. 2024). Every definition is that of the official scripts, so that figures compare with the
//! published leaderboard.

mod reward;
mod score;
mod tasks;

pub use reward::{
    Comparison, EMPTY, Outcome, Outcomes, Reward, TRUNCATED, read_comparisons, read_reward_aggregates, reward,
};
pub use score::{Score, ScoredRow, read_score_aggregates, read_scores, score};
pub use tasks::{GROUPS, Prompt, Said, Tasks, cut_words, macro_mean, read_prompts};

use crate::error::{Error, Result};
use crate::json;
use serde_json::Value;
use std::path::Path;

/// What a file of WildBench may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Scored rows of one model: compact CSV, or the official list.
    Scores,
    /// Judged comparisons of one model: the official list.
    Comparisons,
    /// `score.json` of the leaderboard, by model.
    ScoreAggregates,
    /// `pairwise-….json` of the leaderboard, by model.
    RewardAggregates,
}

impl Kind {
    /// Finds out by content.
    pub fn of(path: &Path) -> Result<Kind> {
        let of_rows = [("winner", Kind::Comparisons), ("score", Kind::Scores)];
        let of_models = [("win_much", Kind::RewardAggregates), ("task_categorized_scores", Kind::ScoreAggregates)];
        let bytes = json::read(path)?;
        let (first, marks) = match json::first_byte(&bytes) {
            None => {
                let what = "an empty file, expected records of WildBench";
                return Err(Error::new(path.display(), what).hint("check the path"));
            }
            Some(b'[' | b'{') => match json::parse(path, &bytes, "records of WildBench")? {
                Value::Array(rows) => (rows.into_iter().next(), of_rows),
                Value::Object(models) => (models.into_iter().next().map(|(_, figures)| figures), of_models),
                _ => (None, of_rows),
            },
            Some(_) => return Ok(Kind::Scores),
        };
        let kind = first.and_then(|first| marks.into_iter().find(|(mark, _)| first.get(mark).is_some()));
        kind.map(|(_, kind)| kind).ok_or_else(|| {
            let what =
                "JSON of no known kind, expected rows with score or winner, or the leaderboard's figures by model";
            Error::new(path.display(), what).hint("is this a file of WildBench?")
        })
    }
}

/// The model that a file is about: its name without the ending.
fn model_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
