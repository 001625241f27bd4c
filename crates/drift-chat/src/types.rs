//! The records that flow through the pipeline: Chat → Case → Pair.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

/// Where a record was read: file and byte offset, for messages about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub file: String,
    pub byte: u64,
}

/// One conversation of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The log's own id, or one made from the content where the log has none.
    pub id: String,
    pub messages: Vec<Message>,
    pub source: Source,
}

/// Why a user turn counts as feedback. `cue` is a byte range of the user turn's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub detector: String,
    pub rubric: String,
    pub confidence: f32,
    pub cue: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    HeldOut,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPreference {
    pub content: String,
}

/// An answer that a user was dissatisfied with. Serialises as a row of the paper's DSAT file
/// (`prompt`, `rejected`, `user_preference`) with our own keys beside it; the own keys are
/// optional on input, so that the paper's files read unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// From the content: equal prompt and rejected answer give an equal id.
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub conversation: String,
    pub prompt: Vec<Message>,
    /// Exactly one assistant message.
    pub rejected: Vec<Message>,
    /// The user's feedback on the rejected answer.
    pub user_preference: UserPreference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// A preference pair in TRL's conversational format, own keys optional on input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub conversation: String,
    pub prompt: Vec<Message>,
    /// Exactly one assistant message.
    pub chosen: Vec<Message>,
    /// Exactly one assistant message.
    pub rejected: Vec<Message>,
    /// Token ids of the chosen answer as they were sampled, end token included. Never re-tokenised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_ids: Option<Vec<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}
