//! OpenAI's fine-tuning rows: `{messages: [{role, content, tool_calls}]}`, content a string or a list of parts.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Id, Parsed, from_slice, role};
use crate::read::Reason;
use crate::types::{Message, Role};

#[derive(Deserialize)]
struct Row<'a> {
    id: Option<Id>,
    conversation_id: Option<Id>,
    #[serde(borrow)]
    messages: Vec<Turn<'a>>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    content: Option<Content>,
    tool_calls: Option<Vec<IgnoredAny>>,
    /// The spelling before `tool_calls`.
    function_call: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// Text parts are `text`, or `input_text` and `output_text` in newer logs.
#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let mut parsed = Parsed { id: row.conversation_id.or(row.id).and_then(Id::text), ..Parsed::default() };
    for turn in row.messages {
        let role = role(&turn.role)?;
        let calls = turn.tool_calls.map_or(0, |calls| calls.len()) + usize::from(turn.function_call.is_some());
        let content = match turn.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let all = parts.len();
                let texts: Vec<_> = parts.into_iter().filter_map(|part| part.text).collect();
                parsed.other_parts += (all - texts.len()) as u64;
                texts.join("\n")
            }
        };
        parsed.tool_messages += calls as u64 + u64::from(role == Role::Tool);
        // a message that is nothing but a call, or a call's result, says nothing to the user
        if role == Role::Tool || (calls > 0 && content.trim().is_empty()) {
            continue;
        }
        parsed.messages.push(Message { role, content });
    }
    Ok(parsed)
}
