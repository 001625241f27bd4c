//! What a detector says about one user turn.

use drift_chat::Evidence;
use serde::{Deserialize, Serialize};

/// The user's judgement of the answer before the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    Dsat,
    Sat,
    /// Praise and complaint in one turn.
    Both,
    None,
}

/// SPUR's rubrics of dissatisfaction, in the order of its publication.
pub const DSAT_RUBRICS: [&str; 9] = [
    "negative_feedback",
    "revision",
    "factual_error",
    "unrealistic_expectation",
    "no_engagement",
    "ignored",
    "lower_quality",
    "insufficient_detail",
    "style",
];

/// SPUR's rubrics of satisfaction.
pub const SAT_RUBRICS: [&str; 9] = [
    "gratitude",
    "learning",
    "compliance",
    "praise",
    "personal_details",
    "humor",
    "acknowledgment",
    "positive_closure",
    "getting_there",
];

impl Verdict {
    pub fn of(dsat: bool, sat: bool) -> Verdict {
        match (dsat, sat) {
            (true, true) => Verdict::Both,
            (true, false) => Verdict::Dsat,
            (false, true) => Verdict::Sat,
            (false, false) => Verdict::None,
        }
    }

    pub fn is_dsat(self) -> bool {
        matches!(self, Verdict::Dsat | Verdict::Both)
    }

    pub fn is_sat(self) -> bool {
        matches!(self, Verdict::Sat | Verdict::Both)
    }
}

/// One line of `labels.jsonl`. Holds no text of the chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The chat's id.
    pub conversation: String,
    /// Index of the user turn among the chat's messages; the judged answer is at `turn - 1`. The number of
    /// messages where the answer was judged without a word, by a thumb or so.
    pub turn: usize,
    pub label: Verdict,
    /// Probability that the turn shows dissatisfaction.
    pub dsat: f32,
    /// Probability that the turn shows satisfaction.
    pub sat: f32,
    /// Why; of `BOTH`, the dissatisfaction. `None` where the label is `NONE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}
