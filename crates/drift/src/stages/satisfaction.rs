//! Simulated prompts in, answers and the share that satisfies out: for the base model, then for every trained model
//! beside it on the same prompts.

use crate::files;
use crate::policy::Policy;
use crate::run_folder::{Counts, Manifest, Stage};
use crate::simulated::asking::{Drawing, Kept};
use crate::simulated::{Suite, answer, comparison, figures, write_answers};
use crate::talk::Talk;
use anyhow::Result;
use drift_eval::satisfaction::{Comparison, Satisfaction};
use drift_eval::simulated::Prompt;
use serde::Serialize;

pub const ANSWERS: &str = "answers.jsonl";
const UNFINISHED: &str = "answers.unfinished";

pub struct Job<'a> {
    pub policy: &'a Policy,
    pub suite: &'a Suite,
    pub prompts: &'a [Prompt],
    pub drawing: &'a Drawing,
    pub seed: u64,
    /// The base model's answers, unless this is the base model.
    pub base: Option<&'a [String]>,
}

/// `satisfaction.json`.
#[derive(Serialize)]
struct Report<'a> {
    weights: &'a str,
    suite: &'a Suite,
    drawing: &'a Drawing,
    seed: u64,
    #[serde(flatten)]
    figures: Satisfaction,
    /// Against the base model (a).
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Comparison>,
}

pub fn run(stage: &Stage, job: &Job, talk: &Talk) -> Result<Manifest> {
    let answers = answers(stage, job, talk)?;
    let report = Report {
        weights: &job.policy.weights,
        suite: job.suite,
        drawing: job.drawing,
        seed: job.seed,
        figures: figures(job.prompts, &answers, job.seed)?,
        change: job.base.map(|base| comparison(job.prompts, base, &answers, job.seed)).transpose()?,
    };
    files::write_json(&stage.path("satisfaction.json"), &report)?;
    finish(stage, job, &["satisfaction.json", ANSWERS])
}

/// Answers the prompts into `answers.jsonl`; what an earlier call drew is not drawn again.
pub fn answers(stage: &Stage, job: &Job, talk: &Talk) -> Result<Vec<String>> {
    stage.begin(&[UNFINISHED])?;
    let mut kept = Kept::open(&stage.path(UNFINISHED), &stage.key())?;
    let answers = answer(job.policy, job.prompts, job.drawing, job.seed, &mut kept, talk)?;
    write_answers(&stage.path(ANSWERS), job.prompts, &answers)?;
    kept.finish()?;
    Ok(answers)
}

pub fn finish(stage: &Stage, job: &Job, outputs: &[&str]) -> Result<Manifest> {
    let n = job.prompts.len();
    stage.finish(Counts { r#in: n, out: n, ..Counts::default() }, outputs)
}
