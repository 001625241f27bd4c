//! Rows of the paper's DSAT file, put back together as the chat: prompt, rejected answer, feedback.

use super::{Draft, Mark, Parsed, Score, from_slice};
use crate::read::Reason;
use crate::types::{Case, Message, Role, Signal};

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Case = from_slice(record)?;
    let id = [row.conversation, row.id].into_iter().find(|id| !id.is_empty());
    let feedback = Message { role: Role::User, content: row.user_preference.content };
    let answer = row.prompt.len();
    let messages = row.prompt.into_iter().chain(row.rejected).chain([feedback]).collect();
    let score = Score::Signal(Signal::Annotated { dsat: true, sat: false });
    let marks = vec![Mark { message: answer, name: "user_preference".to_string(), score, comment: None }];
    Ok(Parsed::chat(Draft { id, messages, marks, ..Draft::default() }))
}
