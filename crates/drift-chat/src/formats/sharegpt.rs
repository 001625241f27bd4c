//! ShareGPT: `{id, conversations: [{from: human|gpt|…, value}]}`.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Draft, Id, Parsed, from_slice, role};
use crate::read::Reason;
use crate::types::Message;

#[derive(Deserialize)]
struct Row<'a> {
    id: Option<Id>,
    #[serde(borrow)]
    conversations: Vec<Turn<'a>>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    from: Cow<'a, str>,
    value: String,
}

/// Turns keep their places, empty ones too: labels point at them by index.
pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let message = |turn: Turn| Ok(Message { role: role(&turn.from)?, content: turn.value });
    let messages = row.conversations.into_iter().map(message).collect::<Result<_, _>>()?;
    Ok(Parsed::chat(Draft { id: row.id.and_then(Id::text), messages, ..Draft::default() }))
}
