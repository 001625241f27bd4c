//! LangSmith: runs as the API, the SDK and the bulk export (Parquet, objects as JSON text) write
//! them, `{id, run_type, inputs, outputs, feedback_stats, extra}`. Chains and their model calls hold
//! the same messages; what an earlier record held is marked as repeated.

use serde_json::Value;

use super::langfuse::Page;
use super::openai_log::{exchange, last_answer, text_of};
use super::turns::{Turns, unwrapped};
use super::{KeptOut, Parsed, feedback, keep_out};
use crate::read::Reason;
use crate::types::Role;

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let mut parsed = Parsed::default();
    for row in Page::rows(record)? {
        let kind = row.get("run_type").and_then(Value::as_str).unwrap_or_default();
        let mut turns = Turns::default();
        let mut found = false;
        // tools, retrievers and parsers speak to programs
        if matches!(kind, "llm" | "chain" | "prompt" | "agent" | "") {
            if let Some(inputs) = row.get("inputs") {
                found |= turns.read(inputs, Role::User)?;
            }
            let before = turns.messages.len();
            if let Some(outputs) = row.get("outputs") {
                found |= turns.read(outputs, Role::Assistant)?;
            }
            // a graph's state holds the whole conversation once more, with the answer behind it
            if turns.messages[before..].starts_with(&turns.messages[..before]) {
                turns.messages.drain(..before);
            }
        }
        for (what, n) in std::mem::take(&mut turns.kept_out) {
            keep_out(&mut parsed.kept_out, what, n as usize);
        }
        let Some(answer) = last_answer(&turns.messages).filter(|_| found) else {
            keep_out(&mut parsed.kept_out, KeptOut::RecordsWithoutMessages, 1);
            continue;
        };
        let extra = row.get("extra").map(|extra| match extra.as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            None => unwrapped(extra).into_owned(),
        });
        let metadata = extra.as_ref().and_then(|extra| extra.get("metadata"));
        let places: Vec<&Value> = [metadata, row.get("metadata")].into_iter().flatten().collect();
        // `session_id` of the run itself is the project
        let session = text_of(&places, &["thread_id", "session_id", "conversation_id"]);
        let mut draft = exchange(turns.messages, session, text_of(&[&row], &["id"]));
        draft.user = text_of(&places, &["user_id", "userId", "user", "end_user"]);
        draft.marks = feedback::marks(&row, answer, &mut parsed.kept_out);
        draft.names = ["id", "trace_id"]
            .iter()
            .filter_map(|key| row.get(*key)?.as_str())
            .map(|id| (id.to_string(), answer))
            .collect();
        parsed.chats.push(draft);
    }
    Ok(parsed)
}
