//! WildChat and LMSYS-Chat-1M as JSON lines: `conversation` is a list of `{role, content, …}`.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Id, Parsed, from_slice, role};
use crate::read::Reason;
use crate::types::Message;

#[derive(Deserialize)]
struct Row<'a> {
    conversation_hash: Option<Id>,
    conversation_id: Option<Id>,
    #[serde(borrow)]
    conversation: Vec<Turn<'a>>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    /// WildChat writes null for an answer that never came.
    content: Option<String>,
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let id = row.conversation_hash.or(row.conversation_id).and_then(Id::text);
    let message = |turn: Turn| Ok(Message { role: role(&turn.role)?, content: turn.content.unwrap_or_default() });
    let messages = row.conversation.into_iter().map(message).collect::<Result<_, _>>()?;
    Ok(Parsed { id, messages, ..Parsed::default() })
}
