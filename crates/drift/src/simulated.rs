//! Prompts that a program checks put to a model, above all those of simulated users: which prompts, its answers to them,
//! and how many satisfy.

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// A prompt that a model can be asked, and what a program misses in an answer.
pub trait Asked {
    /// Of its suite; the seeds of answers come from it.
    const SUITE: &'static str;

    /// No two prompts of a suite have the same.
    fn id(&self) -> &str;
    fn text(&self) -> &str;
    fn missed(&self, answer: &str) -> Vec<&'static str>;
}

impl Asked for Prompt {
    const SUITE: &'static str = "simulated";

    fn id(&self) -> &str {
        &self.id
    }

    fn text(&self) -> &str {
        &self.text
    }

    fn missed(&self, answer: &str) -> Vec<&'static str> {
        Prompt::missed(self, answer)
    }
}

/// A model's answers to the prompts, in their order. Seeds come from prompt and run: models that draw alike at a
/// prompt answer alike, so that a comparison is not blurred by luck.
///
/// # Errors
/// A prompt that does not fit the model's context.
pub fn answer<P: Asked>(
    policy: &Policy,
    prompts: &[P],
    drawing: &Drawing,
    run_seed: u64,
    kept: &mut Kept,
    talk: &Talk,
) -> Result<Vec<String>> {
    let questions: Vec<Question> = prompts
        .iter()
        .map(|prompt| Question {
            // Of the text too: under the same id another file of prompts may have another.
            name: blake3::hash(format!("{} {}", prompt.id(), prompt.text()).as_bytes()).to_hex().to_string(),
            messages: vec![Message { role: Role::User, content: prompt.text().to_string() }],
            seed: seed(run_seed, &[P::SUITE, prompt.id()]),
        })
        .collect();
    let answers = ask(policy, &questions, drawing, kept, "answering", talk)?;
    let answer = |(prompt, answer): (&P, Option<String>)| match answer {
        Some(answer) => Ok(answer),
        None => bail!(
            "prompt {}: does not fit the model's context of {} tokens; hint: take another model",
            prompt.id(),
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
    /// Kinds of requirement or instruction.
    missed: Vec<String>,
}

pub fn write_answers<P: Asked>(path: &Path, prompts: &[P], answers: &[String]) -> Result<()> {
    write(path, |out| {
        for (prompt, answer) in prompts.iter().zip(answers) {
            let missed = prompt.missed(answer).into_iter().map(str::to_string).collect();
            let (id, prompt) = (prompt.id().to_string(), prompt.text().to_string());
            let row = Row { id, prompt, answer: answer.clone(), missed };
            serde_json::to_writer(&mut *out, &row)?;
            writeln!(out)?;
        }
        Ok(())
    })
}

/// The answers to these prompts, in their order. The file may hold others.
pub fn read_answers<P: Asked>(path: &Path, prompts: &[P]) -> Result<Vec<String>> {
    let rows: Vec<Row> = read_jsonl(path)?;
    let mut by_id: HashMap<String, Row> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
    let mut answer = |prompt: &P| by_id.remove(prompt.id()).filter(|row| row.prompt == prompt.text());
    let answers: Vec<String> = prompts.iter().filter_map(|prompt| answer(prompt).map(|row| row.answer)).collect();
    if answers.len() < prompts.len() {
        bail!(
            "{}: answers to {} of the {} prompts, expected all; hint: the suite, its options and --seed must be the same",
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
