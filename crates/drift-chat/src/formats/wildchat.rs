//! WildChat and LMSYS-Chat-1M as JSON lines or Parquet: `conversation` is a list of `{role, content, …}`.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Draft, Id, Parsed, from_slice, role};
use crate::read::Reason;
use crate::types::Message;

#[derive(Deserialize)]
struct Row<'a> {
    conversation_hash: Option<Id>,
    conversation_id: Option<Id>,
    /// WildChat tells its users apart by a hash of their address.
    hashed_ip: Option<String>,
    user: Option<String>,
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
    let user = row.user.or(row.hashed_ip).filter(|user| !user.is_empty());
    let message = |turn: Turn| Ok(Message { role: role(&turn.role)?, content: turn.content.unwrap_or_default() });
    let messages = row.conversation.into_iter().map(message).collect::<Result<_, _>>()?;
    Ok(Parsed::chat(Draft { id, messages, user, ..Draft::default() }))
}
