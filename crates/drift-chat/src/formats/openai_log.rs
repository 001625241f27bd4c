//! Logs of calls to a chat-completions API: `{request: {messages}, response: {choices}}`, the keys
//! under their usual other names, as objects or as JSON text, with `body` between or without; also
//! the Responses API (`input`, `output`) and Anthropic's messages.
//!
//! Each record repeats the conversation before it, so what an earlier record held is marked as
//! repeated. Without a session id the first user message stands for the conversation.

use serde_json::Value;

use super::turns::{Turns, unwrapped};
use super::{Draft, KeptOut, Parsed, feedback, from_slice, keep_out};
use crate::ids::content_id;
use crate::read::Reason;
use crate::types::{Message, Role};

const SESSIONS: [&str; 8] = [
    "conversation_id",
    "session_id",
    "sessionId",
    "thread_id",
    "chat_id",
    "conversation",
    "litellm_session_id",
    "threadId",
];
const USERS: [&str; 7] = ["user", "user_id", "userId", "end_user", "safety_identifier", "end_user_id", "username"];

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Value = from_slice(record)?;
    let asked = ["request", "request_body", "body"].iter().find_map(|key| row.get(*key)).unwrap_or(&row);
    let asked = unwrapped(asked);
    let asked = asked.get("body").map_or(asked.clone(), unwrapped);
    let asked = asked
        .get("messages")
        .or_else(|| asked.get("input"))
        .map(|_| asked.clone())
        .unwrap_or_else(|| std::borrow::Cow::Borrowed(&row));
    let answered = ["response", "response_body", "output", "completion"].iter().find_map(|key| row.get(*key));
    let answered = unwrapped(answered.unwrap_or(&row));
    let answered = answered.get("body").map_or(answered.clone(), unwrapped);

    let mut turns = Turns::default();
    let mut found = false;
    for system in ["system", "instructions"].iter().filter_map(|key| asked.get(*key)) {
        found |= turns.read(system, Role::System)?;
    }
    if let Some(messages) = ["messages", "input"].iter().find_map(|key| asked.get(*key)) {
        found |= turns.read(messages, Role::User)?;
    }
    match &*answered {
        Value::Array(chunks) if chunks.iter().any(|chunk| chunk.get("choices").is_some()) => {
            let text: String = chunks.iter().filter_map(delta).collect();
            found |= turns.read(&Value::String(text), Role::Assistant)?;
        }
        answer @ (Value::Array(_) | Value::String(_)) => found |= turns.read(answer, Role::Assistant)?,
        // `choices`, `output` or `content`; never the request once more
        answer => {
            for key in ["choices", "output", "content"] {
                let Some(part) = answer.get(key).filter(|part| !part.is_null()) else { continue };
                found |= match key {
                    "choices" => turns.read(&serde_json::json!({ "choices": part }), Role::Assistant)?,
                    _ => turns.read(part, Role::Assistant)?,
                };
                break;
            }
        }
    }
    let mut parsed = Parsed { kept_out: turns.kept_out, ..Parsed::default() };
    if !found {
        keep_out(&mut parsed.kept_out, KeptOut::RecordsWithoutMessages, 1);
        return Ok(parsed);
    }
    let metadata = [row.get("metadata"), asked.get("metadata"), answered.get("metadata")];
    let places: Vec<&Value> = [Some(&row), Some(&*asked)].into_iter().chain(metadata).flatten().collect();
    let mut draft = exchange(turns.messages, text_of(&places, &SESSIONS), text_of(&places, &["id", "request_id"]));
    draft.user = text_of(&places, &USERS);
    if let Some(answer) = last_answer(&draft.messages) {
        draft.marks = feedback::marks(&row, answer, &mut parsed.kept_out);
        let ids = [row.get("id"), answered.get("id"), row.get("request_id")];
        draft.names = ids.into_iter().flatten().filter_map(Value::as_str).map(|id| (id.to_string(), answer)).collect();
    }
    parsed.chats.push(draft);
    Ok(parsed)
}

/// A chat of which later records may hold more: its id begins with what they have in common.
pub(super) fn exchange(messages: Vec<Message>, session: Option<String>, record: Option<String>) -> Draft {
    let session = session.unwrap_or_else(|| {
        let end = messages.iter().position(|m| m.role == Role::User).map_or(messages.len(), |at| at + 1);
        content_id(&[&messages[..end]])
    });
    let branch = record.unwrap_or_else(|| content_id(&[&messages]));
    Draft { id: Some(session), branch: Some(branch), messages, grows: true, ..Draft::default() }
}

/// The first text under one of the keys, in the first place that has one.
pub(super) fn text_of(places: &[&Value], keys: &[&str]) -> Option<String> {
    places.iter().find_map(|place| {
        keys.iter().find_map(|key| match place.get(*key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            // the Responses API: `conversation: {id}`
            Value::Object(object) => object.get("id")?.as_str().map(str::to_string),
            _ => None,
        })
    })
}

pub(super) fn last_answer(messages: &[Message]) -> Option<usize> {
    messages.iter().rposition(|message| message.role == Role::Assistant)
}

/// What a chunk of a streamed answer adds.
fn delta(chunk: &Value) -> Option<&str> {
    chunk.get("choices")?.get(0)?.get("delta")?.get("content")?.as_str()
}
