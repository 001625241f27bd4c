//! Answers in, preference pairs out, with the sides that the method's recipe gives them. What cannot teach is dropped,
//! each with its reason.

use crate::answers::{is_refusal, is_remark, same_text};
use crate::config::sections::{Cut, Sample, Train};
use crate::method::{Recipe, Side};
use crate::run_folder::{Counts, Manifest, Stage};
use crate::stages::rank::Scores;
use crate::stages::sample::{Candidate, Finish, Task};
use crate::tokens::{self, fit};
use anyhow::Result;
use drift_chat::{Message, Pair, Role, write_jsonl};
use drift_text::{ChatFormat, CompletionMode};
use serde_json::{Value, json};
use std::collections::HashMap;

pub struct Job<'a> {
    pub format: &'a ChatFormat,
    /// Which side is whose.
    pub recipe: &'a Recipe,
    pub tasks: &'a [Task<'a>],
    /// Where the recipe has a better and a worse answer, those of one task stand together.
    pub candidates: &'a [Candidate],
    /// Where the recipe has a better and a worse answer.
    pub scores: &'a [Scores],
    pub settings: &'a Sample,
    pub max_prompt: usize,
    pub max_length: usize,
    /// A pair counts as much as its recorded answer's label is sure, 1 on average.
    pub confidence_weights: bool,
}

/// For the manifest.
pub fn settings_json(sample: &Sample, train: &Train, confidence_weights: bool) -> Value {
    let mut settings = json!({
        "sample": sample.pairing(), "max_prompt_length": train.max_prompt_length, "max_length": train.max_length,
    });
    if confidence_weights {
        settings["confidence_weights"] = true.into();
    }
    settings
}

pub fn run(stage: &Stage, job: &Job) -> Result<Manifest> {
    stage.begin(&[])?;
    let (mut pairs, counts) = job.pairs()?;
    weigh(&mut pairs);
    write_jsonl(&stage.path("pairs.jsonl"), &pairs)?;
    stage.finish(counts, &["pairs.jsonl"])
}

/// Weights to 1 on average; where all are 0, all alike.
fn weigh(pairs: &mut [Pair]) {
    let weights: Vec<f64> = pairs.iter().filter_map(|pair| pair.weight).collect();
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    for weight in pairs.iter_mut().filter_map(|pair| pair.weight.as_mut()) {
        *weight = if mean > 0.0 { *weight / mean } else { 1.0 };
    }
}

/// One side of a pair: a fresh answer, or else the recorded one.
#[derive(Clone, Copy)]
struct Answer<'a> {
    text: &'a str,
    fresh: Option<&'a Candidate>,
}

impl Job<'_> {
    fn pairs(&self) -> Result<(Vec<Pair>, Counts)> {
        let tasks: HashMap<&str, &Task> = self.tasks.iter().map(|task| (task.id, task)).collect();
        let scores: HashMap<&str, [f64; 2]> =
            self.scores.iter().map(|scores| (scores.case.as_str(), scores.scores)).collect();
        let (mut pairs, mut counts) = (Vec::new(), Counts::default());
        let is_choice = self.recipe.chosen == Side::Better;
        for fresh in self.candidates.chunk_by(|a, b| is_choice && a.case == b.case) {
            counts.r#in += 1;
            let made = match tasks.get(fresh[0].case.as_str()) {
                Some(task) => match sides(self.recipe, task, fresh, scores.get(task.id)) {
                    Ok(sides) => self.pair(task, sides)?,
                    Err(reason) => Err(reason),
                },
                None => Err("unknown_case"),
            };
            match made {
                Ok((pair, has_end)) => {
                    if !has_end {
                        counts.note("without_end_token");
                    }
                    pairs.push(pair);
                }
                Err(reason) => counts.drop(reason),
            }
        }
        counts.out = pairs.len();
        Ok((pairs, counts))
    }

    /// The pair, and whether its answers have their end tokens; or why there is none.
    fn pair(&self, task: &Task, sides: [Answer; 2]) -> Result<Result<(Pair, bool), &'static str>> {
        let [chosen, rejected] = sides;
        let settings = self.settings;
        let request = task.prompt.last().map_or("", |message| &message.content);
        let is_cut = sides.iter().any(|side| side.fresh.is_some_and(|candidate| candidate.finish == Finish::Length));
        // A bad answer may refuse and remark as it likes; a recorded one is what the user saw.
        let to_be_learnt = chosen.fresh.map_or("", |candidate| &candidate.text);
        let reason = match () {
            () if sides.iter().any(|side| side.fresh.is_some() && side.text.trim().is_empty()) => Some("empty"),
            () if same_text(chosen.text, rejected.text) => Some("equal_to_rejected"),
            () if is_cut && settings.cut == Cut::Drop => Some("cut_at_max_new_tokens"),
            () if settings.drop_refusals && is_refusal(to_be_learnt) => Some("refusal"),
            () if settings.drop_remarks && is_remark(to_be_learnt, request) => Some("remark_about_feedback"),
            () => None,
        };
        if let Some(reason) = reason {
            return Ok(Err(reason));
        }
        let Some(fitted) = fit(self.format, task.prompt, 1, self.max_prompt)? else {
            return Ok(Err("prompt_too_long"));
        };
        let message = |answer: &Answer| vec![Message { role: Role::Assistant, content: answer.text.to_string() }];
        let ids = |answer: &Answer| answer.fresh.map(|candidate| candidate.ids.clone());
        let pair = Pair {
            id: task.id.to_string(),
            conversation: task.conversation.to_string(),
            prompt: fitted.messages,
            chosen: message(&chosen),
            rejected: message(&rejected),
            chosen_ids: ids(&chosen),
            rejected_ids: ids(&rejected),
            rejected_feedback: None,
            weight: self.confidence_weights.then(|| task.confidence.map_or(1.0, f64::from)),
            split: task.split,
        };
        let example = tokens::example(self.format, &pair, CompletionMode::Clean)?;
        let fits = example.longest() <= self.max_length;
        Ok(if fits { Ok((pair, tokens::has_end(self.format, &example.chosen))) } else { Err("too_long") })
    }
}

/// Chosen and rejected, or why there are none.
fn sides<'a>(
    recipe: &Recipe,
    task: &'a Task,
    fresh: &'a [Candidate],
    scores: Option<&[f64; 2]>,
) -> Result<[Answer<'a>; 2], &'static str> {
    let is_first_better = match (fresh, scores) {
        ([_, _], Some([first, last])) if first == last => return Err("tie"),
        ([_, _], Some([first, last])) => first > last,
        ([_, _], None) => return Err("without_a_score"),
        _ => true,
    };
    let of = |side| match side {
        Side::Recorded => Answer { text: &task.recorded[0].content, fresh: None },
        _ => {
            let is_first = (side != Side::Worse) == is_first_better;
            let candidate = if is_first { &fresh[0] } else { &fresh[fresh.len() - 1] };
            Answer { text: &candidate.text, fresh: Some(candidate) }
        }
    };
    Ok([of(recipe.chosen), of(recipe.rejected)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Name;
    use crate::stages::sample::Mode;

    #[test]
    fn weights_are_1_on_average() {
        let weighed = |weights: [Option<f64>; 3]| {
            let mut pairs = weights.map(|weight| Pair { weight, ..Pair::default() });
            weigh(&mut pairs);
            pairs.map(|pair| pair.weight)
        };
        assert_eq!(weighed([0.5, 0.75, 0.25].map(Some)), [1.0, 1.5, 0.5].map(Some));
        assert_eq!(weighed([0.0; 3].map(Some)), [1.0; 3].map(Some));
        assert_eq!(weighed([None; 3]), [None; 3]);
    }

    #[test]
    fn the_sides_of_each_method_by_hand() {
        let recorded = [Message { role: Role::Assistant, content: "recorded".into() }];
        let task = Task {
            id: "a",
            conversation: "a",
            split: None,
            prompt: &[],
            recorded: &recorded,
            confidence: None,
            complaint: None,
        };
        let fresh = |text: &str| Candidate {
            case: "a".into(),
            iteration: 1,
            mode: Mode::Unguided,
            number: 0,
            text: text.into(),
            ids: Vec::new(),
            finish: Finish::Stop,
            overlap: 0.0,
            weights: String::new(),
        };
        let (one, two) = ([fresh("fresh")], [fresh("plain"), fresh("guided")]);
        let of = |name: Name, fresh: &[Candidate], scores: Option<[f64; 2]>| {
            let sides = sides(name.recipe(), &task, fresh, scores.as_ref())?;
            Ok(sides.map(|side| side.text.to_string()))
        };
        let pair = |chosen: &str, rejected: &str| Ok::<_, &str>([chosen.to_string(), rejected.to_string()]);
        assert_eq!(of(Name::Drift, &one, None), pair("fresh", "recorded"));
        assert_eq!(of(Name::DriftUnguided, &one, None), pair("fresh", "recorded"));
        assert_eq!(of(Name::Spin, &one, None), pair("recorded", "fresh"));
        assert_eq!(of(Name::Iterdpo, &two, Some([0.0, 1.0])), pair("guided", "plain"));
        assert_eq!(of(Name::Iterdpo, &two, Some([-1.0, -2.5])), pair("plain", "guided"));
        assert_eq!(of(Name::Iterdpo, &two, Some([3.0, 3.0])), Err("tie"));
        assert_eq!(of(Name::Iterdpo, &two, None), Err("without_a_score"));
    }
}
