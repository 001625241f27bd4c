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

/// Where a record was read: file and byte offset, for messages about it. In a compressed file the
/// byte counts from the start of what was unpacked; `-` is standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub file: String,
    pub byte: u64,
}

/// One conversation of a log, or one branch of a conversation that was told in several ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// The log's own id, or one made from the content where the log has none.
    pub id: String,
    pub messages: Vec<Message>,
    pub source: Source,
    /// So many leading messages were handed out before, in an earlier branch of the same
    /// conversation: what is found on them is found already.
    #[serde(default)]
    pub repeated: usize,
    /// What the log itself says of single answers, in the order of `message`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explicit: Vec<Explicit>,
    /// The log's id of the person who wrote the user turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The log says that this chat is not to be used for training.
    #[serde(default)]
    pub opted_out: bool,
}

impl Chat {
    /// Every text that a person wrote or read: the messages, then comments and corrected answers.
    pub fn texts(&self) -> impl Iterator<Item = &String> {
        let explicit = self.explicit.iter().flat_map(|explicit| {
            let edited = match &explicit.signal {
                Signal::Edited(text) => text.as_ref(),
                _ => None,
            };
            explicit.comment.as_ref().into_iter().chain(edited)
        });
        self.messages.iter().map(|message| &message.content).chain(explicit)
    }

    /// The same texts, in the same order.
    pub fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let explicit = self.explicit.iter_mut().flat_map(|explicit| {
            let edited = match &mut explicit.signal {
                Signal::Edited(text) => text.as_mut(),
                _ => None,
            };
            explicit.comment.as_mut().into_iter().chain(edited)
        });
        self.messages.iter_mut().map(|message| &mut message.content).chain(explicit)
    }
}

/// Feedback that was given by a deed, not in words of the chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explicit {
    /// Index into `Chat::messages` of the answer that is judged, an assistant message.
    pub message: usize,
    pub signal: Signal,
    /// What the judge wrote beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Signal {
    /// Good (true) or bad. `None`: neither, both, or for a detector to weigh.
    pub fn verdict(&self) -> Option<bool> {
        match *self {
            Signal::Thumbs(up) => Some(up),
            Signal::Rating { value, min, max } => {
                let middle = (min + max) / 2.0;
                (value != middle).then_some(value > middle)
            }
            Signal::Edited(_) => Some(false),
            Signal::Annotated { dsat, sat } => (dsat != sat).then_some(sat),
            Signal::Regenerated | Signal::Reworded | Signal::Commented => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// True: up.
    Thumbs(bool),
    /// `min <= value <= max`, a higher value is better.
    Rating { value: f64, min: f64, max: f64 },
    /// The user had the same request answered again.
    Regenerated,
    /// The user went back, changed the request and had that answered.
    Reworded,
    /// Somebody replaced the answer, by this text where the log has it.
    Edited(Option<String>),
    /// Nothing but the comment.
    Commented,
    /// Labels of an annotator who read the turn after the answer; both false: looked at, none found.
    Annotated { dsat: bool, sat: bool },
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
    /// Which turn the feedback is, as [`crate::turn_key`] writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A preference pair in TRL's conversational format, own keys optional on input.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The same of the rejected answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_ids: Option<Vec<u32>>,
    /// What the user said of the rejected answer, where it is a log's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_feedback: Option<String>,
    /// How much its preference counts in training, 0 to 1e6; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}
