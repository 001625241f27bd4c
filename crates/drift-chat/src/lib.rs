//! Chats and what is made of them: cases and pairs, with one reader a log format.
//!
//! Nothing here knows a model or a network.

mod types;

pub use types::{Case, Chat, Evidence, Message, Pair, Role, Source, Split, UserPreference};
