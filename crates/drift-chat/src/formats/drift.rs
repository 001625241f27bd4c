//! Rows of the paper's DSAT file, put back together as the chat: prompt, rejected answer, feedback.

use super::{Draft, Parsed, from_slice};
use crate::read::Reason;
use crate::types::{Case, Message, Role};

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Case = from_slice(record)?;
    let id = [row.conversation, row.id].into_iter().find(|id| !id.is_empty());
    let feedback = Message { role: Role::User, content: row.user_preference.content };
    let messages = row.prompt.into_iter().chain(row.rejected).chain([feedback]).collect();
    Ok(Parsed::chat(Draft { id, messages, ..Draft::default() }))
}
