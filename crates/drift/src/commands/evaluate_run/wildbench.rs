//! WildBench v2: a judge scores each answer against its task's checklist, or with `--reference` says whether it or the
//! reference's is better.

mod choices;
mod scores;

use super::Options;
use super::judged::Bench;
use crate::commands::evaluate_score::{Figures, lines, wildbench_table};
use crate::files::{must_exist, write_json};
use crate::talk::Talk;
use anyhow::{Context, Result, anyhow, bail};
use drift_chat::{Message, Role};
use drift_eval::wildbench::{Prompt, Said, Tasks, read_prompts};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// Bytes of a model's name that a file may be named after.
const LONGEST_NAME: usize = 200;

/// An answer as the official result files have it.
#[derive(Deserialize, Serialize)]
struct Output {
    session_id: String,
    #[serde(deserialize_with = "one_or_first")]
    output: String,
    #[serde(default)]
    generator: String,
}

impl Output {
    fn is_empty(&self) -> bool {
        self.output.trim().is_empty()
    }

    /// The generator, `otherwise` where the file names none.
    fn name(&self, otherwise: &str) -> String {
        if self.generator.is_empty() { otherwise.to_string() } else { self.generator.clone() }
    }
}

/// A task as the judge is shown it.
struct Shown {
    history: String,
    query: String,
    checklist: String,
}

impl From<&Prompt> for Shown {
    fn from(prompt: &Prompt) -> Shown {
        let (history, query) = prompt.history_and_query();
        let checklist: Vec<String> = prompt.checklist.iter().map(|point| format!("- {point}")).collect();
        Shown { history, query, checklist: checklist.join("\n") }
    }
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let bench = Bench::open(options, "wildbench", talk)?;
    let what = "--prompts FILE; hint: a local copy of the tasks, JSON of id, conversation_input, checklist";
    let path = bench.needed("--prompts", &options.suite.prompts, what)?;
    let mut prompts = read_prompts(path)?;
    prompts.truncate(bench.n());
    if prompts.is_empty() {
        bail!("{}: no tasks, expected some; hint: is this the right file?", path.display());
    }
    // Before anything is paid for: tags that nobody knows, a judge that cannot be asked.
    let tasks = prompts.iter().all(Prompt::is_tagged).then(|| Tasks::read(path)).transpose()?;
    bench.may_write(&["outputs.json", "judge.jsonl"])?;
    let figures = match &options.judged.reference {
        Some(reference) => Figures::Reward(choices::run(&bench, &prompts, reference, tasks.as_ref())?),
        None => Figures::Score(scores::run(&bench, &prompts, tasks.as_ref())?),
    };
    let out = &mut std::io::stdout().lock();
    if options.json { lines(out, &[figures]) } else { wildbench_table(out, &[figures]) }.context("stdout")
}

/// A generator's name as a file may have it.
fn file_name(generator: &str) -> Result<String> {
    let name: String =
        generator.chars().map(|c| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' }).collect();
    if name.len() > LONGEST_NAME || name == "outputs" {
        bail!(
            "generator {name:?}: no name for a file, expected up to {LONGEST_NAME} bytes and not \"outputs\"; hint: --name"
        );
    }
    Ok(name)
}

/// The answers of an official result file in the order of the tasks.
fn read_outputs(path: &Path, prompts: &[Prompt]) -> Result<Vec<Output>> {
    must_exist(path, "answers of WildBench")?;
    let text = fs_err::read_to_string(path)?;
    let rows: Vec<Output> = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow!(
            "{}:{line}:{column}: no answers, expected a list of session_id, output; hint: an official result file",
            path.display()
        )
    })?;
    let mut known: HashMap<String, Output> = HashMap::new();
    for row in rows {
        let id = row.session_id.clone();
        if known.insert(id.clone(), row).is_some() {
            bail!("{}: two answers to task {id}, expected one; hint: a file holds one model", path.display());
        }
    }
    let of = |prompt: &Prompt| {
        known.remove(&prompt.id).with_context(|| {
            format!(
                "{}: no answer to task {}, expected one to each; hint: --n takes the first ones",
                path.display(),
                prompt.id
            )
        })
    };
    prompts.iter().map(of).collect()
}

/// The model's answers in the order of the tasks.
fn outputs(bench: &Bench, prompts: &[Prompt]) -> Result<Vec<Output>> {
    if let Some(path) = bench.outputs() {
        return read_outputs(path, prompts);
    }
    let message = |said: &Said| {
        let role = match said.role.as_str() {
            "system" => Role::System,
            "assistant" => Role::Assistant,
            _ => Role::User,
        };
        Message { role, content: said.content.clone() }
    };
    let chat = |prompt: &Prompt| prompt.conversation_input.iter().map(message).collect();
    let (generator, answers) = bench.answers(prompts.iter().map(chat).collect())?;
    let too_long = answers.iter().filter(|answer| answer.is_none()).count();
    if too_long > 0 {
        bench.talk.warn(format_args!("{too_long} tasks do not fit the model's context: their answers are empty"));
    }
    let output = |(prompt, answer): (&Prompt, Option<String>)| Output {
        session_id: prompt.id.clone(),
        output: answer.unwrap_or_default(),
        generator: generator.clone(),
    };
    let outputs: Vec<Output> = prompts.iter().zip(answers).map(output).collect();
    write_json(&bench.path("outputs.json"), &outputs)?;
    Ok(outputs)
}

/// A text, or a list whose first one counts.
fn one_or_first<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(from)? {
        Texts::One(text) => text,
        Texts::Many(texts) => texts.into_iter().next().unwrap_or_default(),
    })
}
