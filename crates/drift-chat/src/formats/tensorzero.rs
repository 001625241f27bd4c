//! TensorZero: rows of its inference tables and of its listing API, `{function_name, episode_id,
//! input: {system, messages}, output: [blocks]}`, objects or JSON text. Feedback comes in rows of
//! its own, which name an inference or an episode.

use serde_json::Value;

use super::openai_log::{exchange, last_answer, text_of};
use super::turns::{Turns, unwrapped};
use super::{KeptOut, Mark, Parsed, Score, feedback, from_slice, keep_out};
use crate::read::Reason;
use crate::types::{Role, Signal};

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Value = from_slice(record)?;
    let mut turns = Turns::default();
    let mut found = false;
    if let Some(input) = row.get("input") {
        found |= turns.read(input, Role::User)?;
    }
    if let Some(output) = row.get("output") {
        let output = unwrapped(output);
        // JSON functions answer `{raw, parsed}`
        found |= match output.get("raw") {
            Some(raw) => turns.read(raw, Role::Assistant)?,
            None => turns.read(&output, Role::Assistant)?,
        };
    }
    let mut parsed = Parsed { kept_out: turns.kept_out, ..Parsed::default() };
    let Some(answer) = last_answer(&turns.messages).filter(|_| found) else {
        keep_out(&mut parsed.kept_out, KeptOut::RecordsWithoutMessages, 1);
        return Ok(parsed);
    };
    let tags = row.get("tags").map(unwrapped);
    let places: Vec<&Value> = tags.iter().map(|tags| &**tags).collect();
    let session =
        text_of(&places, &["conversation_id", "session_id", "thread_id"]).or_else(|| text_of(&[&row], &["episode_id"]));
    let mut draft = exchange(turns.messages, session, text_of(&[&row], &["inference_id", "id"]));
    draft.user = text_of(&places, &["user_id", "user"]);
    draft.marks = feedback::marks(&row, answer, &mut parsed.kept_out);
    // an answer that was listed with worse ones beside it was put in their place
    if row.get("dispreferred_outputs").and_then(Value::as_array).is_some_and(|worse| !worse.is_empty()) {
        let score = Score::Signal(Signal::Thumbs(true));
        draft.marks.push(Mark { message: answer, name: "dispreferred_outputs".to_string(), score, comment: None });
    }
    let ids = ["inference_id", "id", "episode_id"].iter().filter_map(|key| row.get(*key)?.as_str());
    draft.names = ids.map(|id| (id.to_string(), answer)).collect();
    parsed.chats.push(draft);
    Ok(parsed)
}
