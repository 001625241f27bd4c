//! Langfuse: traces and observations as its table export, its API and its blob storage write them,
//! `{id, sessionId, userId, input, output, scores}`, one a record or as pages `{data: […]}`. A trace
//! that was downloaded alone holds its observations: they are read where the trace has no text itself.

use serde::Deserialize;
use serde_json::Value;

use super::openai_log::{exchange, last_answer, text_of};
use super::turns::Turns;
use super::{Draft, Format, KeptOut, Parsed, feedback, from_slice, keep_out};
use crate::read::Reason;
use crate::types::Role;

/// A page of an API's answer, of Langfuse or of LangSmith.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(alias = "runs", alias = "traces")]
    data: Vec<Value>,
}

impl Page {
    pub fn format(&self) -> Option<Format> {
        let first = serde_json::to_vec(self.data.first()?).ok()?;
        Format::of(&first).filter(|format| matches!(format, Format::Langfuse | Format::LangSmith))
    }

    /// Every row of a page, or the record as the only one.
    pub fn rows(record: &[u8]) -> Result<Vec<Value>, Reason> {
        let value: Value = from_slice(record)?;
        match ["data", "runs", "traces"].iter().find_map(|key| value.get(*key)?.as_array()) {
            Some(rows) if value.get("input").is_none() && value.get("inputs").is_none() => Ok(rows.clone()),
            _ => Ok(vec![value]),
        }
    }
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let mut parsed = Parsed::default();
    for row in Page::rows(record)? {
        // a downloaded trace: `{trace: {…}, observations, scores}`
        let trace = row.get("trace").filter(|trace| trace.is_object()).unwrap_or(&row);
        let mut draft = read(trace, &mut parsed)?;
        if draft.is_none() {
            let generations = row.get("observations").and_then(Value::as_array).into_iter().flatten();
            for generation in generations.filter(|one| one.get("type").and_then(Value::as_str) == Some("GENERATION")) {
                draft = read(generation, &mut parsed)?.or(draft);
            }
        }
        let Some(mut draft) = draft else {
            keep_out(&mut parsed.kept_out, KeptOut::RecordsWithoutMessages, 1);
            continue;
        };
        if let Some(answer) = last_answer(&draft.messages) {
            draft.marks = feedback::marks(&row, answer, &mut parsed.kept_out);
            let ids = ["id", "traceId", "trace_id"].iter().filter_map(|key| trace.get(*key)?.as_str());
            draft.names = ids.map(|id| (id.to_string(), answer)).collect();
        }
        parsed.chats.push(draft);
    }
    Ok(parsed)
}

fn read(row: &Value, parsed: &mut Parsed) -> Result<Option<Draft>, Reason> {
    let mut turns = Turns::default();
    let mut found = false;
    for (key, speaker) in [("input", Role::User), ("output", Role::Assistant)] {
        if let Some(value) = row.get(key) {
            found |= turns.read(value, speaker)?;
        }
    }
    for (what, n) in turns.kept_out {
        keep_out(&mut parsed.kept_out, what, n as usize);
    }
    if !found || last_answer(&turns.messages).is_none() {
        return Ok(None);
    }
    let places: Vec<&Value> = [Some(row), row.get("metadata")].into_iter().flatten().collect();
    let session = text_of(&places, &["sessionId", "session_id", "conversation_id", "thread_id"]);
    let mut draft = exchange(turns.messages, session, text_of(&places, &["id"]));
    draft.user = text_of(&places, &["userId", "user_id"]);
    Ok(Some(draft))
}
