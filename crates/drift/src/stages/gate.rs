//! The gate: a trained model answers the gate's prompts, and is ruled on beside the model that it would replace.

use crate::config::sections::Gate;
use crate::files;
use crate::run_folder::{Manifest, Stage};
use crate::simulated::comparison;
use crate::stages::satisfaction::{ANSWERS, Job, answers, finish};
use crate::talk::Talk;
use anyhow::Result;
use drift_eval::gate::{Decision, Limits, Ruling, rule};
use drift_eval::satisfaction::Comparison;
use serde::{Deserialize, Serialize};

/// The model that would be replaced.
pub struct Old<'a> {
    pub name: &'a str,
    pub answers: &'a [String],
}

pub fn limits(settings: &Gate) -> Limits {
    Limits {
        margin: settings.margin,
        length: settings.length,
        repetition: settings.repetition,
        refusal: settings.refusal,
        transfer: settings.transfer,
    }
}

/// `gate.json`.
#[derive(Serialize)]
struct Report<'a> {
    /// The run's model until now.
    against: &'a str,
    limits: &'a Limits,
    #[serde(flatten)]
    decision: Decision,
    comparison: Comparison,
}

/// What the run goes on from.
#[derive(Debug, Deserialize)]
pub struct Ruled {
    pub ruling: Ruling,
    pub why: String,
}

/// The base model has nothing to replace: `old` is `None`, and there are answers alone.
pub fn run(stage: &Stage, job: &Job, old: Option<&Old>, limits: &Limits, talk: &Talk) -> Result<Manifest> {
    let answers = answers(stage, job, talk)?;
    let Some(old) = old else { return finish(stage, job, &[ANSWERS]) };
    let comparison = comparison(job.prompts, old.answers, &answers, job.seed)?;
    let report = Report { against: old.name, limits, decision: rule(&comparison, limits), comparison };
    files::write_json(&stage.path("gate.json"), &report)?;
    finish(stage, job, &["gate.json", ANSWERS])
}
