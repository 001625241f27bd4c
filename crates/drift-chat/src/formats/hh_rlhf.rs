//! HH-RLHF: `{chosen, rejected}`, each a whole conversation as text, "\n\nHuman: … \n\nAssistant: …".
//! A pair; and, where the user spoke more than once, the chat up to the chosen answer.

use serde::Deserialize;

use super::pairs::pair;
use super::{Draft, Parsed, from_slice};
use crate::read::Reason;
use crate::types::{Message, Role};

#[derive(Deserialize)]
struct Row {
    chosen: String,
    rejected: String,
}

const SPEAKERS: [(&str, Role); 2] = [("\n\nHuman:", Role::User), ("\n\nAssistant:", Role::Assistant)];

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let (chosen, rejected) = (messages(&row.chosen)?, messages(&row.rejected)?);
    let messages = chosen.clone();
    let pair = pair(Vec::new(), chosen, rejected)?;
    let spoke = messages.iter().filter(|message| message.role == Role::User).count();
    let chats = if spoke > 1 { vec![Draft { messages, ..Draft::default() }] } else { Vec::new() };
    Ok(Parsed { chats, pairs: vec![pair], ..Parsed::default() })
}

/// The marks stand at the start of a paragraph; the same words within a message would be taken for
/// marks too, as by everybody who reads this format.
fn messages(text: &str) -> Result<Vec<Message>, Reason> {
    let next = |from: usize| {
        let found =
            SPEAKERS.iter().filter_map(|(mark, role)| Some((from + text.get(from..)?.find(mark)?, *mark, *role)));
        found.min_by_key(|(at, ..)| *at)
    };
    let mut messages = Vec::new();
    let Some((mut at, mut mark, mut role)) = next(0) else { return Err(Reason::WrongShape) };
    if !text[..at].trim().is_empty() {
        return Err(Reason::WrongShape);
    }
    loop {
        let start = at + mark.len();
        let following = next(start);
        let end = following.map_or(text.len(), |(at, ..)| at);
        messages.push(Message { role, content: text[start..end].trim().to_string() });
        match following {
            Some(found) => (at, mark, role) = found,
            None => return Ok(messages),
        }
    }
}
