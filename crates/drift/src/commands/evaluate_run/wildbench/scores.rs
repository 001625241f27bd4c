//! WB-Score: a judge scores each answer; an empty one scores 1 without a call.

use super::{Shown, file_name, outputs};
use crate::commands::evaluate_run::judged::Bench;
use crate::files::write_json;
use crate::judge::verdicts;
use anyhow::{Context, Result};
use drift_eval::wildbench::{Prompt, Score, Tasks, cut_words, read_scores, score};
use drift_judge::Answer;
use serde::Serialize;

/// A row of the official list of scores; `None` where the judge's reply was no verdict.
#[derive(Serialize)]
struct Scored<'a> {
    session_id: &'a str,
    score: Option<f64>,
    model_output: &'a str,
    generator: &'a str,
    judge: &'a str,
}

pub fn run(bench: &Bench, prompts: &[Prompt], tasks: Option<&Tasks>) -> Result<Score> {
    let judge = bench.judge::<Answer>()?;
    let outputs = outputs(bench, prompts)?;
    let name = format!("{}.json", file_name(&outputs[0].name("model"))?);
    bench.may_write(&[&name])?;
    let shown: Vec<(Shown, String)> =
        prompts.iter().zip(&outputs).map(|(prompt, output)| (prompt.into(), cut_words(&output.output))).collect();
    let asked = shown.iter().zip(&outputs).filter(|(_, output)| !output.is_empty());
    let questions: Vec<Answer> = asked
        .map(|((Shown { history, query, checklist }, answer), _)| Answer { history, query, checklist, answer })
        .collect();
    let mut verdicts = verdicts(&judge, &questions, bench.talk)?.into_iter();
    let id = judge.id();
    let mut rows = Vec::with_capacity(outputs.len());
    for output in &outputs {
        let score = match output.is_empty() {
            true => Some(1.0),
            false => verdicts.next().context("a verdict for each question")?,
        };
        let (session_id, model_output, generator) = (&output.session_id[..], &output.output[..], &output.generator[..]);
        rows.push(Scored { session_id, score, model_output, generator, judge: &id });
    }
    let file = bench.path(&name);
    write_json(&file, &rows)?;
    bench.talk.step("wildbench", file.display());
    Ok(score(&file, &read_scores(&file)?, tasks)?)
}
