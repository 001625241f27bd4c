//! WildBench v2: a judge scores each answer against its task's checklist; an empty answer scores 1 without a call.

use super::Options;
use super::judged::Bench;
use crate::commands::evaluate_score::{Figures, lines, wildbench_table};
use crate::files::{must_exist, write_json};
use crate::judge::verdicts;
use crate::talk::Talk;
use anyhow::{Context, Result, anyhow, bail};
use drift_chat::{Message, Role};
use drift_eval::wildbench::{Prompt, Said, Tasks, cut_words, read_prompts, read_scores, score};
use drift_judge::Answer;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

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

/// A row of the official list of scores; `None` where the judge's reply was no verdict.
#[derive(Serialize)]
struct Scored<'a> {
    session_id: &'a str,
    score: Option<f64>,
    model_output: &'a str,
    generator: &'a str,
    judge: &'a str,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let bench = Bench::open(options, "wildbench", talk)?;
    if options.judged.reference.is_some() {
        bail!("--reference: belongs to alpaca-eval; hint: wildbench scores each answer by itself");
    }
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
    let judge = bench.judge::<Answer>()?;
    let outputs = outputs(&bench, &prompts)?;
    let model = outputs.first().map_or("", |output| &output.generator);
    let name = if model.is_empty() { "model" } else { model };
    let name: String = name.chars().map(|c| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' }).collect();
    if name.len() > LONGEST_NAME || name == "outputs" {
        bail!(
            "generator {name:?}: no name for a file, expected up to {LONGEST_NAME} bytes and not \"outputs\"; hint: --name"
        );
    }
    let file = bench.path(&format!("{name}.json"));
    bench.may_write(&[&format!("{name}.json")])?;
    let shown: Vec<[String; 4]> = prompts
        .iter()
        .zip(&outputs)
        .map(|(prompt, output)| {
            let (history, query) = prompt.history_and_query();
            let checklist: Vec<String> = prompt.checklist.iter().map(|point| format!("- {point}")).collect();
            [history, query, checklist.join("\n"), cut_words(&output.output)]
        })
        .collect();
    let is_empty = |output: &Output| output.output.trim().is_empty();
    let asked = shown.iter().zip(&outputs).filter(|(_, output)| !is_empty(output));
    let questions: Vec<Answer> =
        asked.map(|([history, query, checklist, answer], _)| Answer { history, query, checklist, answer }).collect();
    let mut verdicts = verdicts(&judge, &questions, talk)?.into_iter();
    let id = judge.id();
    let mut rows = Vec::with_capacity(outputs.len());
    for output in &outputs {
        let score = match is_empty(output) {
            true => Some(1.0),
            false => verdicts.next().context("a verdict for each question")?,
        };
        let (session_id, model_output, generator) = (&output.session_id[..], &output.output[..], &output.generator[..]);
        rows.push(Scored { session_id, score, model_output, generator, judge: &id });
    }
    write_json(&file, &rows)?;
    talk.step("wildbench", file.display());
    let figures = [Figures::Score(score(&file, &read_scores(&file)?, tasks.as_ref())?)];
    let out = &mut std::io::stdout().lock();
    if options.json { lines(out, &figures) } else { wildbench_table(out, &figures) }.context("stdout")
}

/// The model's answers in the order of the tasks.
fn outputs(bench: &Bench, prompts: &[Prompt]) -> Result<Vec<Output>> {
    if let Some(path) = bench.outputs() {
        must_exist(path, "answers of WildBench")?;
        let rows: Vec<Output> = serde_json::from_str(&fs_err::read_to_string(path)?).map_err(|error| {
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
        return prompts.iter().map(of).collect();
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
