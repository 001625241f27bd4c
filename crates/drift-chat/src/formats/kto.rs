//! TRL's unpaired preferences: `{prompt, completion, label}`, messages or text; the label is a thumb.

use serde::Deserialize;
use serde_json::Value;

use super::pairs::messages;
use super::{Draft, Mark, Parsed, Score, from_slice};
use crate::read::Reason;
use crate::types::{Role, Signal};

#[derive(Deserialize)]
struct Row {
    prompt: Value,
    completion: Value,
    label: bool,
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let mut parsed = Parsed::default();
    let mut all = messages(&row.prompt, Role::User, &mut parsed.kept_out)?;
    all.extend(messages(&row.completion, Role::Assistant, &mut parsed.kept_out)?);
    let Some(answer) = all.len().checked_sub(1).filter(|&at| all[at].role == Role::Assistant) else {
        return Err(Reason::WrongShape);
    };
    let score = Score::Signal(Signal::Thumbs(row.label));
    let marks = vec![Mark { message: answer, name: "label".to_string(), score, comment: None }];
    parsed.chats.push(Draft { messages: all, marks, ..Draft::default() });
    Ok(parsed)
}
