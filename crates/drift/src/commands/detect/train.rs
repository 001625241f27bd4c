//! `drift detect train`: a detector from labelled turns.

use super::labels::{LabelArgs, Material};
use crate::cli::ModelArgs;
use crate::deep;
use crate::files::write;
use crate::talk::Talk;
use anyhow::Result;
use drift_feedback::decision::Decisions;
use drift_feedback::fast::train as fast;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    labels: LabelArgs,
    #[arg(long, value_enum)]
    tier: Trainable,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// With `--tier deep`: keep the hidden states here, and take them from here
    #[arg(long, value_name = "FILE")]
    states: Option<PathBuf>,
    /// Parts of the cross-validation that calibrates the confidences and chooses the thresholds
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u8).range(2..=50))]
    folds: u8,
    /// Of the parts of the cross-validation
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Trainable {
    /// The classifier that needs no model
    Fast,
    /// A probe on the hidden states of --model
    Deep,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    options.labels.spare(&options.out)?;
    let Material { joined, .. } = options.labels.load(false, talk)?;
    let folds = joined.folds(options.folds.into(), options.seed);
    fast::check(&joined)?;
    let (file, decisions) = match options.tier {
        Trainable::Fast => {
            let fast = fast::train(&joined, &folds);
            (fast.write(), fast.decisions)
        }
        Trainable::Deep => {
            let model = options.model.path()?;
            let states = deep::states(&model, options.model.precision, &joined, options.states.as_deref(), talk)?;
            let probe = deep::train::train(&joined, &states, &folds);
            (probe.write(), probe.decisions)
        }
    };
    write(&options.out, |out| out.write_all(&file))?;
    talk.step("trained", format_args!("on {} labelled turns: {}", joined.rows.len(), summary(&decisions)));
    println!("{}", options.out.display());
    Ok(())
}

/// What the thresholds gave on conversations that were not trained on.
fn summary(decisions: &Decisions) -> String {
    let (dsat, sat) = (decisions.dsat.at, decisions.sat.at);
    format!(
        "DSAT precision {:.2} at recall {:.2}, SAT {:.2} at {:.2}, in cross-validation",
        dsat.precision, dsat.recall, sat.precision, sat.recall
    )
}
