//! Chats and what is made of them: cases and pairs, with one reader a log format.
//!
//! Nothing here knows a model or a network.

mod cases;
mod dedupe;
mod error;
mod formats;
mod ids;
mod near;
mod pairs;
mod read;
mod records;
mod redact;
mod rows;
mod types;

pub use cases::read_cases;
pub use dedupe::Seen;
pub use error::Error;
pub use formats::Format;
pub use ids::{case_id, content_id, conversation_of, pair_id, split_of, turn_key};
pub use near::NearDuplicates;
pub use pairs::read_pairs;
pub use read::{Cut, MAX_RECORD_BYTES, ReadReport, Reason, Skipped, read_logs};
pub use redact::{Hit, Pseudonyms, Redactor, Secret};
pub use rows::write_jsonl;
pub use types::{Case, Chat, Evidence, Explicit, Message, Pair, Role, Signal, Source, Split, UserPreference};
