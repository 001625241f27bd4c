//! Chats and what is made of them: cases and pairs, with one reader a log format.
//!
//! Nothing here knows a model or a network.

mod assemble;
mod cases;
mod dedupe;
mod error;
mod export;
mod formats;
mod ids;
mod input;
mod near;
mod pairs;
mod parquet_rows;
mod parquet_write;
mod read;
mod records;
mod redact;
mod rows;
mod scale;
mod table;
mod types;

pub use cases::read_cases;
pub use dedupe::Seen;
pub use error::Error;
pub use export::{ExportReport, Exporter, LeftOut, Target};
pub use formats::{Columns, Format, KeptOut};
pub use ids::{case_id, content_id, conversation_of, pair_id, split_of, turn_key};
pub use input::{STDIN, expand_logs};
pub use near::NearDuplicates;
pub use pairs::read_pairs;
pub use read::{Cut, Entry, LogReader, MAX_RECORD_BYTES, ReadReport, Reason, Skipped, read_logs};
pub use redact::{Hit, Pseudonyms, Redaction, Redactor, Secret};
pub use rows::{JsonlWriter, is_temporary, write_jsonl};
pub use scale::Scale;
pub use types::{Case, Chat, Evidence, Explicit, Message, Pair, Role, Signal, Source, Split, UserPreference};
