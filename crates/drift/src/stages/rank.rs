//! Two fresh answers to each prompt in, a score for each out: the higher one is the better answer.

mod command;
mod judge;
mod probe;

pub use judge::open as open_judge;

use crate::config::sections::{Method, Rank};
use crate::policy::Policy;
use crate::run_folder::{Counts, Manifest, Stage};
use crate::stages::sample::{Candidate, Mode, Task};
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_chat::write_jsonl;
use serde::{Deserialize, Serialize};

/// A row of `scores.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Id of the case.
    pub case: String,
    /// Of its answers, in the order of `candidates.jsonl`.
    pub scores: [f64; 2],
}

pub struct Job<'a> {
    pub method: &'a Method,
    pub tasks: &'a [Task<'a>],
    /// Two of each task, one behind the other.
    pub candidates: &'a [Candidate],
    /// What the probe reads.
    pub policy: &'a dyn Fn() -> Result<Policy>,
    /// What it learns from and is judged by: recorded answers, and whether they satisfied.
    pub judged: &'a [(Task<'a>, bool)],
    /// Of rank `judge`.
    pub judge: Option<&'a drift_judge::Judge>,
    pub max_prompt: usize,
    pub seed: u64,
}

pub fn run(stage: &Stage, job: &Job, talk: &Talk) -> Result<Manifest> {
    stage.begin(&[])?;
    let answers: Vec<&[Candidate]> = job.candidates.chunk_by(|a, b| a.case == b.case).collect();
    let mut outputs = vec!["scores.jsonl"];
    let mut without = 0;
    let scores = match job.method.rank {
        Rank::Guided => guided(&answers)?,
        Rank::Command => command::scores(job, &answers, talk)?,
        Rank::Probe => {
            outputs.push(probe::FILE);
            probe::scores(stage, job, &answers, talk)?
        }
        Rank::Judge => {
            let judge = job.judge.context("rank \"judge\": no judge was opened")?;
            let (scores, n) = judge::scores(job, judge, &answers, talk)?;
            without = n;
            scores
        }
    };
    let mut counts = Counts { r#in: answers.len(), out: scores.len(), ..Counts::default() };
    for _ in scores.iter().filter(|scores| scores.scores[0] == scores.scores[1]) {
        counts.note("tie");
    }
    (0..without).for_each(|_| counts.note("without_a_verdict"));
    write_jsonl(&stage.path("scores.jsonl"), &scores)?;
    stage.finish(counts, &outputs)
}

/// A guided answer has 1, a plain one 0: two plain ones, where guidance failed, are a tie.
fn guided(answers: &[&[Candidate]]) -> Result<Vec<Scores>> {
    let score = |candidate: &Candidate| f64::from(u8::from(candidate.mode == Mode::Guided));
    let scores: Vec<Scores> = answers
        .iter()
        .map(|both| Scores { case: both[0].case.clone(), scores: [0, 1].map(|i| score(&both[i])) })
        .collect();
    if !scores.is_empty() && scores.iter().all(|scores| scores.scores == [0.0; 2]) {
        bail!(
            "method.rank: \"guided\", but no answer was sampled with guidance, expected some to prefer; hint: guidance.json \
             beside the candidates says why; sample.guided = \"always\" insists on it, and rank may be \"command\", \"probe\" or \"judge\""
        );
    }
    Ok(scores)
}
