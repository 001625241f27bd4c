//! OpenAI's fine-tuning rows: `{messages: [{role, content, tool_calls}]}`, content a string or a list of parts.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Counts, Draft, Id, KeptOut, Parsed, from_slice, keep_out, role};
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
    let id = row.conversation_id.or(row.id).and_then(Id::text);
    let (mut messages, mut kept_out) = (Vec::with_capacity(row.messages.len()), Counts::new());
    for turn in row.messages {
        let role = role(&turn.role)?;
        let calls = turn.tool_calls.map_or(0, |calls| calls.len()) + usize::from(turn.function_call.is_some());
        let content = match turn.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let all = parts.len();
                let texts: Vec<_> = parts.into_iter().filter_map(|part| part.text).collect();
                keep_out(&mut kept_out, KeptOut::OtherParts, all - texts.len());
                texts.join("\n")
            }
        };
        keep_out(&mut kept_out, KeptOut::ToolMessages, calls + usize::from(role == Role::Tool));
        // a message that is nothing but a call, or a call's result, says nothing to the user
        if role == Role::Tool || (calls > 0 && content.trim().is_empty()) {
            continue;
        }
        messages.push(Message { role, content });
    }
    Ok(Parsed { chats: vec![Draft { id, messages, ..Draft::default() }], kept_out, ..Parsed::default() })
}
