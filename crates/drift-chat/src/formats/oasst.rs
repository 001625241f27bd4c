//! OpenAssistant: message trees (`{message_tree_id, prompt: {text, role, replies: […]}}`), and the
//! flat rows of the same release, whose trees follow each other. Every branch becomes a chat; the
//! volunteers' quality labels and emojis are ratings; their ranking of sibling answers gives pairs.

use serde::Deserialize;
use serde_json::Value;

use super::{Counts, KeptOut, Mark, Node, Parsed, Place, Row, Score, Told, branches, from_slice, keep_out, role};
use crate::read::Reason;
use crate::types::{Message, Pair, Role, Signal};

#[derive(Deserialize)]
struct Tree {
    message_tree_id: String,
    prompt: Entry,
}

#[derive(Deserialize)]
struct Entry {
    message_id: Option<String>,
    parent_id: Option<String>,
    message_tree_id: Option<String>,
    text: String,
    role: String,
    #[serde(default)]
    deleted: Option<bool>,
    rank: Option<i64>,
    labels: Option<Value>,
    emojis: Option<Value>,
    #[serde(default)]
    replies: Vec<Entry>,
}

pub(super) fn parse_tree(record: &[u8]) -> Result<Parsed, Reason> {
    let tree: Tree = from_slice(record)?;
    let mut parsed = Parsed::default();
    let mut nodes = Vec::new();
    flatten(&tree.prompt, None, &mut nodes, &mut parsed.kept_out)?;
    parsed.chats = branches(&nodes, Told::ByMany, &mut parsed.kept_out);
    for chat in &mut parsed.chats {
        chat.id = Some(tree.message_tree_id.clone());
    }
    pairs(&tree.prompt, &mut Vec::new(), &tree.message_tree_id, &mut parsed.pairs)?;
    Ok(parsed)
}

pub(super) fn parse_message(record: &[u8]) -> Result<Parsed, Reason> {
    let entry: Entry = from_slice(record)?;
    let mut parsed = Parsed::default();
    let parent = entry.parent_id.clone();
    let place = Place::In(entry.message_tree_id.clone().ok_or(Reason::WrongShape)?);
    let node = node(&entry, parent, &mut parsed.kept_out)?;
    parsed.row = Some(Row { place, nodes: vec![node], user: None, opted_out: false });
    Ok(parsed)
}

fn flatten(entry: &Entry, parent: Option<&str>, nodes: &mut Vec<Node>, kept_out: &mut Counts) -> Result<(), Reason> {
    let mut node = node(entry, parent.map(str::to_string), kept_out)?;
    // where the export leaves ids out, the place in the tree is one
    let id = node.id.get_or_insert_with(|| format!("node {}", nodes.len())).clone();
    nodes.push(node);
    entry.replies.iter().try_for_each(|reply| flatten(reply, Some(&id), nodes, kept_out))
}

fn node(entry: &Entry, parent: Option<String>, kept_out: &mut Counts) -> Result<Node, Reason> {
    let role = role(&entry.role)?;
    let deleted = entry.deleted == Some(true);
    keep_out(kept_out, KeptOut::HiddenMessages, usize::from(deleted));
    let message = (!deleted).then(|| Message { role, content: entry.text.clone() });
    let mut marks = Vec::new();
    let mut mark = |name: &str, signal| {
        marks.push(Mark { message: 0, name: name.to_string(), score: Score::Signal(signal), comment: None });
    };
    if role == Role::Assistant {
        if let Some(value) = entry.labels.as_ref().and_then(quality).filter(|value| (0.0..=1.0).contains(value)) {
            mark("quality", Signal::Rating { value, min: 0.0, max: 1.0 });
        }
        let count = |emoji: &str| entry.emojis.as_ref().and_then(|emojis| emojis.get(emoji)?.as_i64()).unwrap_or(0);
        let votes = count("+1") - count("-1");
        if votes != 0 {
            mark("emojis", Signal::Thumbs(votes > 0));
        }
    }
    Ok(Node { id: entry.message_id.clone(), parent, message, marks, on_answer: Vec::new() })
}

/// `{"quality": {"value": 0.75}}`, or the Parquet files' `{"name": [...], "value": [...]}`.
fn quality(labels: &Value) -> Option<f64> {
    if let Some(value) = labels.get("quality") {
        return value.get("value").unwrap_or(value).as_f64();
    }
    let at = labels.get("name")?.as_array()?.iter().position(|name| name.as_str() == Some("quality"))?;
    labels.get("value")?.get(at)?.as_f64()
}

/// The best and the worst ranked answer to each user message; rank 0 is the best.
fn pairs(entry: &Entry, above: &mut Vec<Message>, tree: &str, found: &mut Vec<Pair>) -> Result<(), Reason> {
    above.push(Message { role: role(&entry.role)?, content: entry.text.clone() });
    let ranked = entry.replies.iter().filter(|reply| reply.deleted != Some(true) && reply.role == "assistant");
    let mut ranked: Vec<(i64, &Entry)> = ranked.filter_map(|reply| reply.rank.map(|rank| (rank, reply))).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    if let (Some(best), Some(worst)) = (ranked.first(), ranked.last())
        && best.0 < worst.0
    {
        let answer = |entry: &Entry| vec![Message { role: Role::Assistant, content: entry.text.clone() }];
        let (chosen, rejected) = (answer(best.1), answer(worst.1));
        let prompt = above.clone();
        found.push(Pair { conversation: tree.to_string(), prompt, chosen, rejected, ..Pair::default() });
    }
    for reply in &entry.replies {
        pairs(reply, above, tree, found)?;
    }
    above.pop();
    Ok(())
}
