//! Records to token ids: prompts that fit, and pairs as training examples. One way for sampling,
//! training, evaluation and `drift score`, so that their numbers can be compared.

use crate::answers::stops_midway;
use crate::guided::without_oldest_turn;
use crate::run_folder::Counts;
use crate::satisfied::Satisfied;
use anyhow::Result;
use drift_chat::{Message, Pair};
use drift_feedback::Unpaired;
use drift_text::{ChatFormat, CompletionMode};
use drift_train::Example;

/// A prompt that fits, and what of the chat it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    pub messages: Vec<Message>,
    pub ids: Vec<u32>,
    /// Old turns left out.
    pub turns_left_out: usize,
}

/// The prompt's ids with the generation prompt, at most `max_tokens` of them: whole old turns are left
/// out until it fits, the last `tail` messages stay. `None`: even those are too long.
pub fn fit(format: &ChatFormat, prompt: &[Message], tail: usize, max_tokens: usize) -> Result<Option<Fitted>> {
    let mut messages = prompt.to_vec();
    let mut turns_left_out = 0;
    loop {
        let ids = format.prompt_ids(&messages)?;
        if ids.len() <= max_tokens {
            return Ok(Some(Fitted { messages, ids, turns_left_out }));
        }
        match without_oldest_turn(&messages, tail) {
            Some(shorter) => messages = shorter,
            None => return Ok(None),
        }
        turns_left_out += 1;
    }
}

/// A pair as ids. An answer that was sampled keeps the ids it was sampled with. Where one side was cut off, the sampler at
/// its limit or a recorded answer by its looks, the other gets no end token either: it would tell the two apart, and
/// reward the shorter one for nothing but its end. Pairs without a sampled side are taken as they are.
pub fn example(format: &ChatFormat, pair: &Pair, mode: CompletionMode) -> Result<Example> {
    let answer = |text: &str| Ok::<_, anyhow::Error>(format.completion(&pair.prompt, text, mode)?.ids);
    let side = |sampled: &Option<Vec<u32>>, text: &str| match sampled {
        Some(ids) => Ok(ids.clone()),
        None => answer(text),
    };
    let texts = [&pair.chosen[0].content, &pair.rejected[0].content];
    let mut chosen = side(&pair.chosen_ids, texts[0])?;
    let mut rejected = side(&pair.rejected_ids, texts[1])?;
    let sampled = [&pair.chosen_ids, &pair.rejected_ids];
    let is_cut = |ids: &Vec<u32>| !has_end(format, ids);
    let any_cut =
        sampled.iter().any(|ids| ids.as_ref().is_some_and(is_cut)) || texts.iter().any(|text| stops_midway(text));
    if mode == CompletionMode::Clean && sampled.iter().any(|ids| ids.is_some()) && any_cut {
        for ids in [&mut chosen, &mut rejected] {
            if has_end(format, ids) {
                ids.pop();
            }
        }
    }
    let (prompt, weight) = (format.prompt_ids(&pair.prompt)?, pair.weight.unwrap_or(1.0));
    Ok(Example { id: pair.id.clone(), prompt, chosen, rejected, weight })
}

/// Whether the last id ends an answer.
pub fn has_end(format: &ChatFormat, ids: &[u32]) -> bool {
    ids.last().is_some_and(|last| format.stop_ids().contains(last))
}

/// A recorded answer and what its user thought of it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub id: &'a str,
    pub prompt: &'a [Message],
    pub text: &'a str,
    pub is_good: bool,
}

impl<'a> From<&'a Unpaired> for Answer<'a> {
    fn from(row: &'a Unpaired) -> Answer<'a> {
        Answer { id: &row.key, prompt: &row.prompt, text: &row.completion[0].content, is_good: row.label }
    }
}

impl<'a> From<&'a Satisfied> for Answer<'a> {
    fn from(row: &'a Satisfied) -> Answer<'a> {
        Answer { id: &row.id, prompt: &row.prompt, text: &row.completion[0].content, is_good: true }
    }
}

/// Single answers as examples within the length limits, good ones on the chosen side, bad ones on the rejected; what does
/// not fit is counted by reason.
pub fn single_answers(
    format: &ChatFormat,
    answers: &[Answer],
    max_prompt: usize,
    max_length: usize,
) -> (Vec<Example>, Counts) {
    let mut counts = Counts { r#in: answers.len(), ..Counts::default() };
    let mut kept = Vec::new();
    for answer in answers {
        let Some(Fitted { messages, ids, .. }) = fitted(format, answer.prompt, max_prompt, &mut counts) else {
            continue;
        };
        match format.completion(&messages, answer.text, CompletionMode::Clean) {
            Err(_) => counts.drop("refused_by_template"),
            Ok(completion) if completion.ids.is_empty() => counts.drop("empty"),
            Ok(completion) if ids.len() + completion.ids.len() > max_length => counts.drop("too_long"),
            Ok(completion) => {
                let (chosen, rejected) =
                    if answer.is_good { (completion.ids, Vec::new()) } else { (Vec::new(), completion.ids) };
                kept.push(Example { id: answer.id.to_string(), prompt: ids, chosen, rejected, weight: 1.0 });
            }
        }
    }
    counts.out = kept.len();
    (kept, counts)
}

/// The prompt within its limit; why there is none, and how often turns were left out, is counted.
fn fitted(format: &ChatFormat, prompt: &[Message], max_prompt: usize, counts: &mut Counts) -> Option<Fitted> {
    match fit(format, prompt, 1, max_prompt) {
        Ok(Some(fitted)) => {
            if fitted.turns_left_out > 0 {
                counts.note("prompt_shortened");
            }
            return Some(fitted);
        }
        Ok(None) => counts.drop("prompt_too_long"),
        Err(_) => counts.drop("refused_by_template"),
    }
    None
}

/// Pairs as examples within the length limits; what does not fit is counted by reason. The index of
/// each example's pair comes with it.
pub fn examples(
    format: &ChatFormat,
    pairs: &[Pair],
    max_prompt: usize,
    max_length: usize,
) -> (Vec<(usize, Example)>, Counts) {
    let mut counts = Counts { r#in: pairs.len(), ..Counts::default() };
    let mut kept = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        let Some(fitted) = fitted(format, &pair.prompt, max_prompt, &mut counts) else { continue };
        match example(format, &Pair { prompt: fitted.messages, ..pair.clone() }, CompletionMode::Clean) {
            Err(_) => counts.drop("refused_by_template"),
            Ok(example) if example.chosen.is_empty() || example.rejected.is_empty() => counts.drop("empty"),
            Ok(example) if example.longest() > max_length => counts.drop("too_long"),
            Ok(example) => kept.push((index, example)),
        }
    }
    counts.out = kept.len();
    (kept, counts)
}
