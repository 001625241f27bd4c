//! Preference pairs: TRL's `{prompt, chosen, rejected}` as messages or as text, with the prompt
//! alone or also within both answers; WildFeedback's `{conversations, chosen, rejected}`.

use serde::Deserialize;
use serde_json::Value;

use super::turns::Turns;
use super::{Counts, Id, Parsed, from_slice};
use crate::read::Reason;
use crate::types::{Message, Pair, Role};

#[derive(Deserialize)]
struct Row {
    id: Option<Id>,
    conversation: Option<Value>,
    #[serde(alias = "conversations")]
    prompt: Value,
    chosen: Value,
    rejected: Value,
    weight: Option<f64>,
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let mut parsed = Parsed::default();
    let mut read = |value: &Value, speaker| messages(value, speaker, &mut parsed.kept_out);
    let (prompt, chosen, rejected) =
        (read(&row.prompt, Role::User)?, read(&row.chosen, Role::Assistant)?, read(&row.rejected, Role::Assistant)?);
    let mut pair = pair(prompt, chosen, rejected)?;
    pair.id = row.id.and_then(Id::text).unwrap_or_default();
    pair.conversation = row.conversation.and_then(|id| id.as_str().map(str::to_string)).unwrap_or_default();
    pair.weight = row.weight;
    parsed.pairs.push(pair);
    Ok(parsed)
}

pub(super) fn messages(value: &Value, speaker: Role, kept_out: &mut Counts) -> Result<Vec<Message>, Reason> {
    let mut turns = Turns::default();
    turns.read(value, speaker)?;
    for (what, n) in turns.kept_out {
        super::keep_out(kept_out, what, n as usize);
    }
    Ok(turns.messages)
}

/// A pair from a prompt and two answers that may begin with that prompt, or with one of their own.
///
/// # Errors
/// Not exactly one answer behind what both have in common, or nothing to answer.
pub(super) fn pair(
    mut prompt: Vec<Message>,
    mut chosen: Vec<Message>,
    mut rejected: Vec<Message>,
) -> Result<Pair, Reason> {
    let shared = chosen.iter().zip(&rejected).take_while(|(a, b)| a == b).count();
    let shared = shared.min(chosen.len().saturating_sub(1)).min(rejected.len().saturating_sub(1));
    let within: Vec<Message> = chosen.drain(..shared).collect();
    rejected.drain(..shared);
    // both hold more than one message: what they have in common is the prompt, whatever `prompt` repeats
    if !within.is_empty() {
        prompt = if within.starts_with(&prompt) { within } else { prompt.into_iter().chain(within).collect() };
    }
    let is_answer = |answer: &[Message]| matches!(answer, [one] if one.role == Role::Assistant);
    let answerable = prompt.last().is_some_and(|last| last.role != Role::Assistant);
    if !answerable || !is_answer(&chosen) || !is_answer(&rejected) {
        return Err(Reason::WrongShape);
    }
    Ok(Pair { prompt, chosen, rejected, ..Pair::default() })
}
