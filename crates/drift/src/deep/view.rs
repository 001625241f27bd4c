//! What the deep tier shows to the model of a turn, as token ids.
//!
//! ```text
//! user: the request   assistant: the judged answer   user: the turn   assistant: ┬─ "The user"
//!                                                                                └─ the reply's first words
//! ```
//! The branches share what is before them, and none sees the other. Long texts are cut in the middle,
//! as careful readers were shown them.

use anyhow::Result;
use drift_feedback::Turn;
use drift_lm::Packed;
use drift_text::ChatFormat;
use serde_json::{Value, json};
use std::ops::Range;

/// In characters.
const REQUEST: usize = 400;
const ANSWER: usize = 400;
const TURN: usize = 500;
const REPLY: usize = 160;

/// Makes the model sum up what the user thinks.
const SUMMARY: &str = "The user";

/// Stands for a request that the log does not have.
const NO_REQUEST: &str = "…";

/// Takes a message's place, to find out where it lies among the tokens.
const PROBE: &str = "¿§?";

/// Token ids of one turn, and where its parts lie among those of `prompt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub prompt: Vec<u32>,
    pub request: Range<usize>,
    pub answer: Range<usize>,
    pub turn: Range<usize>,
    pub summary: Vec<u32>,
    /// Empty where the log has no reply.
    pub reply: Vec<u32>,
}

impl View {
    /// # Errors
    /// The chat template refuses a chat of user, assistant, user.
    pub fn new(format: &ChatFormat, turn: &Turn) -> Result<View> {
        let texts = [
            shortened(turn.request.filter(|text| !text.trim().is_empty()).unwrap_or(NO_REQUEST), REQUEST),
            shortened(turn.answer, ANSWER),
            shortened(turn.text, TURN),
        ];
        let prompt = format.prompt_ids(&messages(&texts))?;
        let mut spans = [0, 1, 2].map(|at| (at, 0..0));
        for (at, span) in &mut spans {
            let mut probed = texts.clone();
            probed[*at] = PROBE.to_string();
            *span = difference(&prompt, &format.prompt_ids(&messages(&probed))?);
        }
        let [request, answer, turn_span] = spans.map(|(_, span)| span);
        let next = |text: &str| format.words_ids(text);
        let reply = match turn.reply {
            Some(reply) => next(drift_feedback::opening(reply, REPLY))?,
            None => Vec::new(),
        };
        Ok(View { prompt, request, answer, turn: turn_span, summary: next(SUMMARY)?, reply })
    }

    pub fn tokens(&self) -> usize {
        self.prompt.len() + self.summary.len() + self.reply.len()
    }
}

/// Where a view's parts lie among the tokens of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub request: Range<usize>,
    pub answer: Range<usize>,
    pub turn: Range<usize>,
    /// The last token before the branches.
    pub end: usize,
    /// The last token of "The user".
    pub summary: usize,
    pub reply: Range<usize>,
}

pub fn push(batch: &mut Packed, view: &View) -> Placed {
    let start = batch.tokens.len();
    let parent = batch.push_prompt(&view.prompt);
    let moved = |range: &Range<usize>| start + range.start..start + range.end;
    let end = batch.tokens.len() - 1;
    let summary = batch.push_branch(parent, &view.summary).end - 1;
    let reply = batch.push_branch(parent, &view.reply);
    Placed { request: moved(&view.request), answer: moved(&view.answer), turn: moved(&view.turn), end, summary, reply }
}

fn messages(texts: &[String; 3]) -> Vec<Value> {
    let roles = ["user", "assistant", "user"];
    roles.iter().zip(texts).map(|(role, text)| json!({"role": role, "content": text})).collect()
}

/// The tokens of `ids` that `other` does not share with it at the start and at the end; one token where
/// it shares all.
fn difference(ids: &[u32], other: &[u32]) -> Range<usize> {
    let same = |(a, b): &(&u32, &u32)| a == b;
    let start = ids.iter().zip(other).take_while(same).count();
    let tail = ids[start..].iter().rev().zip(other[start.min(other.len())..].iter().rev()).take_while(same).count();
    let start = start.min(ids.len() - 1);
    start..(ids.len() - tail).max(start + 1)
}

/// At most `chars` characters: the first and the last half, with a sign between.
fn shortened(text: &str, chars: usize) -> String {
    let text = text.trim();
    if drift_feedback::opening(text, chars).len() == text.len() {
        return text.to_string();
    }
    format!("{} […] {}", drift_feedback::opening(text, chars / 2), drift_feedback::closing(text, chars / 2))
}
