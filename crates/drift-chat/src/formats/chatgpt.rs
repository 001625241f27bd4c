//! conversations.json of a ChatGPT data export: an array of `{id, mapping, current_node}`, where
//! `mapping` holds a tree of messages by id. Every branch becomes a chat.

use serde::Deserialize;
use serde_json::Value;

use super::{Counts, Id, KeptOut, Node, Parsed, Told, branches, from_slice, keep_out, role};
use crate::read::Reason;
use crate::types::{Message, Role};

#[derive(Deserialize)]
struct Row {
    conversation_id: Option<Id>,
    id: Option<Id>,
    current_node: Option<String>,
    mapping: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Entry {
    message: Option<Written>,
    parent: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    author: Author,
    create_time: Option<f64>,
    content: Option<Content>,
    recipient: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Author {
    role: String,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    content_type: String,
    parts: Option<Vec<Value>>,
    text: Option<String>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    is_visually_hidden_from_conversation: bool,
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let mut parsed = Parsed::default();
    let mut nodes = Vec::with_capacity(row.mapping.len());
    for (id, entry) in row.mapping {
        let entry: Entry = serde_json::from_value(entry).map_err(|_| Reason::WrongShape)?;
        let written = entry.message.as_ref().and_then(|message| message.create_time).unwrap_or_default();
        let message = entry.message.map(|message| seen(message, &mut parsed.kept_out)).transpose()?.flatten();
        nodes.push((written, Node { id: Some(id), parent: entry.parent, message, ..Node::default() }));
    }
    // an answer that was regenerated is the older of two siblings
    nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let nodes: Vec<Node> = nodes.into_iter().map(|(_, node)| node).collect();
    let id = row.conversation_id.or(row.id).and_then(Id::text);
    let told = Told::ByUser { current: row.current_node.as_deref() };
    parsed.chats = branches(&nodes, told, &mut parsed.kept_out);
    for chat in &mut parsed.chats {
        chat.id.clone_from(&id);
    }
    Ok(parsed)
}

/// The message as the user saw it; `None` for calls, thoughts and hidden instructions.
fn seen(message: Written, kept_out: &mut Counts) -> Result<Option<Message>, Reason> {
    let role = role(&message.author.role)?;
    let Some(content) = message.content else { return Ok(None) };
    let to_the_user = message.recipient.as_deref().is_none_or(|recipient| recipient == "all");
    let kind = content.content_type.as_str();
    if role == Role::Tool || !to_the_user || matches!(kind, "code" | "execution_output") {
        keep_out(kept_out, KeptOut::ToolMessages, 1);
        return Ok(None);
    }
    if matches!(kind, "thoughts" | "reasoning_recap") {
        keep_out(kept_out, KeptOut::OtherParts, 1);
        return Ok(None);
    }
    let parts = content.parts.unwrap_or_default();
    let all = parts.len();
    let mut texts: Vec<String> = parts.into_iter().filter_map(|part| part.as_str().map(str::to_string)).collect();
    keep_out(kept_out, KeptOut::OtherParts, all - texts.len());
    texts.extend(content.text);
    let text = texts.join("\n");
    let hidden = message.metadata.is_visually_hidden_from_conversation || kind == "user_editable_context";
    // the empty system message that every conversation begins with is no loss
    if hidden || text.is_empty() {
        keep_out(kept_out, KeptOut::HiddenMessages, usize::from(!text.is_empty()));
        return Ok(None);
    }
    Ok(Some(Message { role, content: text }))
}
