//! Records to token ids: prompts that fit, and pairs as training examples. One way for sampling,
//! training, evaluation and `drift score`, so that their numbers can be compared.

use crate::guided::without_oldest_turn;
use crate::run_folder::Counts;
use anyhow::Result;
use drift_chat::{Message, Pair};
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

/// A pair as ids. A chosen answer that was sampled keeps the ids it was sampled with. Where the
/// sampler was cut off, so that the chosen answer has no end token, the rejected one gets none either:
/// else the last token would tell the two apart.
pub fn example(format: &ChatFormat, pair: &Pair, mode: CompletionMode) -> Result<Example> {
    let answer = |text: &str| Ok::<_, anyhow::Error>(format.completion(&pair.prompt, text, mode)?.ids);
    let mut rejected = answer(&pair.rejected[0].content)?;
    let chosen = match &pair.chosen_ids {
        None => answer(&pair.chosen[0].content)?,
        Some(ids) => {
            let ended = ids.last().is_some_and(|last| format.stop_ids().contains(last));
            if !ended && mode == CompletionMode::Clean {
                rejected.pop();
            }
            ids.clone()
        }
    };
    Ok(Example { id: pair.id.clone(), prompt: format.prompt_ids(&pair.prompt)?, chosen, rejected })
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
        let fitted = match fit(format, &pair.prompt, 1, max_prompt) {
            Ok(Some(fitted)) => fitted,
            Ok(None) => {
                counts.drop("prompt_too_long");
                continue;
            }
            Err(_) => {
                counts.drop("refused_by_template");
                continue;
            }
        };
        if fitted.turns_left_out > 0 {
            counts.note("prompt_shortened");
        }
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
