//! Fresh answers in, preference pairs out: chosen = the fresh answer, rejected = the recorded one.
//!
//! Nothing is ranked or judged. What cannot teach is dropped, each with its reason.

use crate::answers::{is_refusal, is_remark, same_text};
use crate::config::sections::{Cut, Sample};
use crate::run_folder::{Counts, Manifest, Stage};
use crate::stages::sample::{Candidate, Finish};
use crate::tokens::{self, fit};
use anyhow::Result;
use drift_chat::{Case, Message, Pair, Role, write_jsonl};
use drift_text::{ChatFormat, CompletionMode};
use std::collections::HashMap;

pub struct Job<'a> {
    pub format: &'a ChatFormat,
    pub cases: &'a [Case],
    pub candidates: &'a [Candidate],
    pub settings: &'a Sample,
    pub max_prompt: usize,
    pub max_length: usize,
}

pub fn run(stage: &Stage, job: &Job) -> Result<Manifest> {
    stage.begin(&[])?;
    let cases: HashMap<&str, &Case> = job.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut counts = Counts { r#in: job.candidates.len(), ..Counts::default() };
    let mut pairs = Vec::new();
    for candidate in job.candidates {
        let made = match cases.get(candidate.case.as_str()) {
            Some(case) => job.pair(case, candidate)?,
            None => Err("unknown_case"),
        };
        match made {
            Ok(pair) => {
                if candidate.finish == Finish::Length {
                    counts.note("without_end_token");
                }
                pairs.push(pair);
            }
            Err(reason) => counts.drop(reason),
        }
    }
    counts.out = pairs.len();
    write_jsonl(&stage.path("pairs.jsonl"), &pairs)?;
    stage.finish(counts, &["pairs.jsonl"])
}

impl Job<'_> {
    /// The pair, or why there is none.
    fn pair(&self, case: &Case, candidate: &Candidate) -> Result<Result<Pair, &'static str>> {
        let rejected = &case.rejected[0].content;
        let request = case.prompt.last().map_or("", |message| &message.content);
        let reason = match candidate.text.as_str() {
            text if text.trim().is_empty() => Some("empty"),
            text if same_text(text, rejected) => Some("equal_to_rejected"),
            _ if candidate.finish == Finish::Length && self.settings.cut == Cut::Drop => Some("cut_at_max_new_tokens"),
            text if self.settings.drop_refusals && is_refusal(text) => Some("refusal"),
            text if self.settings.drop_remarks && is_remark(text, request) => Some("remark_about_feedback"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Ok(Err(reason));
        }
        let Some(fitted) = fit(self.format, &case.prompt, 1, self.max_prompt)? else {
            return Ok(Err("prompt_too_long"));
        };
        let pair = Pair {
            id: case.id.clone(),
            conversation: case.conversation.clone(),
            prompt: fitted.messages,
            chosen: vec![Message { role: Role::Assistant, content: candidate.text.clone() }],
            rejected: case.rejected.clone(),
            chosen_ids: Some(candidate.ids.clone()),
            split: case.split,
        };
        let example = tokens::example(self.format, &pair, CompletionMode::Clean)?;
        let fits = example.longest() <= self.max_length;
        Ok(if fits { Ok(pair) } else { Err("too_long") })
    }
}
