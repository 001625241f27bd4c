//! Simulated users' prompts put to a model: which prompts, its answers to them, and how many satisfy.

pub mod asking;
pub mod conversations;

use crate::files::{read_jsonl, write};
use crate::policy::Policy;
use crate::seeds::seed;
use crate::talk::Talk;
use anyhow::{Result, bail};
use asking::{Drawing, Kept, Question, ask};
use drift_chat::{Message, Role};
use drift_eval::satisfaction::{Comparison, Satisfaction, compare, satisfaction};
use drift_eval::simulated::{Prompt, Prompts, Settings, Split};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// More are not asked for at once, by whatever mistake: they are all made before the first answer.
pub const MOST_PROMPTS: usize = 10_000;

/// Prompts that models are compared on. The same suite gives the same prompts; a larger `n` begins with the same ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suite {
    pub split: Split,
    pub n: usize,
    /// Names of kinds and sets of requirements, docs/evaluation.md.
    pub kinds: Vec<String>,
    /// Of the prompts.
    pub seed: u64,
}

impl Suite {
    pub fn maker(&self) -> Result<Prompts> {
        Ok(Prompts::new(Settings { seed: self.seed, kinds: self.kinds.clone(), ..Settings::default() })?)
    }

    /// # Errors
    /// An unknown kind, or more prompts than there are.
    pub fn prompts(&self) -> Result<Vec<Prompt>> {
        Ok(self.maker()?.draw(self.split, self.n)?)
    }
}

/// A model's answers to the prompts, in their order. Seeds come from prompt and run: models that draw alike at a
/// prompt answer alike, so that a comparison is not blurred by luck.
///
/// # Errors
/// A prompt that does not fit the model's context.
pub fn answer(
    policy: &Policy,
    prompts: &[Prompt],
    drawing: &Drawing,
    run_seed: u64,
    kept: &mut Kept,
    talk: &Talk,
) -> Result<Vec<String>> {
    let questions: Vec<Question> = prompts
        .iter()
        .map(|prompt| Question {
            name: prompt.id.clone(),
            messages: vec![Message { role: Role::User, content: prompt.text.clone() }],
            seed: seed(run_seed, &["simulated", &prompt.id]),
        })
        .collect();
    let answers = ask(policy, &questions, drawing, kept, "answering", talk)?;
    let answer = |(prompt, answer): (&Prompt, Option<String>)| match answer {
        Some(answer) => Ok(answer),
        None => bail!(
            "prompt {}: does not fit the model's context of {} tokens; hint: take another model",
            prompt.id,
            policy.model.context()
        ),
    };
    prompts.iter().zip(answers).map(answer).collect()
}

/// A row of an answers file.
#[derive(Serialize, Deserialize)]
struct Row {
    id: String,
    prompt: String,
    answer: String,
    /// Kinds of requirement.
    missed: Vec<String>,
}

pub fn write_answers(path: &Path, prompts: &[Prompt], answers: &[String]) -> Result<()> {
    write(path, |out| {
        for (prompt, answer) in prompts.iter().zip(answers) {
            let missed = prompt.missed(answer).into_iter().map(str::to_string).collect();
            let row = Row { id: prompt.id.clone(), prompt: prompt.text.clone(), answer: answer.clone(), missed };
            serde_json::to_writer(&mut *out, &row)?;
            writeln!(out)?;
        }
        Ok(())
    })
}

/// The answers to these prompts, in their order. The file may hold others.
pub fn read_answers(path: &Path, prompts: &[Prompt]) -> Result<Vec<String>> {
    let rows: Vec<Row> = read_jsonl(path)?;
    let mut by_id: HashMap<String, String> = rows.into_iter().map(|row| (row.id, row.answer)).collect();
    let answers: Vec<String> = prompts.iter().filter_map(|prompt| by_id.remove(&prompt.id)).collect();
    if answers.len() < prompts.len() {
        bail!(
            "{}: answers to {} of the {} prompts, expected all; hint: --seed, --split, --kinds and --n must be the same",
            path.display(),
            answers.len(),
            prompts.len()
        );
    }
    Ok(answers)
}

fn paired<'a>(prompts: &'a [Prompt], answers: &'a [String]) -> Vec<(&'a Prompt, &'a str)> {
    prompts.iter().zip(answers.iter().map(String::as_str)).collect()
}

pub fn figures(prompts: &[Prompt], answers: &[String], seed: u64) -> Result<Satisfaction> {
    Ok(satisfaction(&paired(prompts, answers), seed)?)
}

/// Is b better than a?
pub fn comparison(prompts: &[Prompt], a: &[String], b: &[String], seed: u64) -> Result<Comparison> {
    Ok(compare(&paired(prompts, a), &paired(prompts, b), seed)?)
}
