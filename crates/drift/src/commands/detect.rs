//! `drift detect`: dissatisfied turns of chat logs, how good a detector is, and detectors of one's own.

mod eval;
mod labels;
mod train;

use crate::cli::Settings;
use crate::commands::single::alone;
use crate::config::Source;
use crate::config::sections::Precision;
use crate::detectors::{Choice, Tier};
use crate::policy::chat_format;
use crate::stages::detect;
use crate::talk::Talk;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// Chat logs
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The folder for cases.jsonl, seed_pairs.jsonl, labels.jsonl and manifest.json
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// Keep e-mail addresses, phone numbers, keys and the like as they are
    #[arg(long)]
    no_redact: bool,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// How good a detector is, against labelled turns
    Eval(eval::Options),
    /// Make a detector from labelled turns
    Train(train::Options),
}

/// Which detector, over what the config says.
#[derive(Clone, Debug, clap::Args)]
struct DetectorArgs {
    /// What finds the turns [default: detect.detector of the config, fast without one]
    #[arg(long, value_enum)]
    detector: Option<Tier>,
    /// With `--detector deep`: a GGUF file or a Hugging Face folder [default: the config's, or that of `drift fetch`]
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
    /// With `--detector deep`: a file of `drift detect train --tier deep` [default: the one for the model of `drift fetch`]
    #[arg(long, value_name = "FILE")]
    probe: Option<PathBuf>,
    /// Of the matrix products of the deep tier
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Take the threshold that reached this precision of DSAT in training [default: the config's, 0.83 without one]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    target_precision: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| "expected a number from 0 to 1".into())
}

impl DetectorArgs {
    fn choice(&self, config: &crate::config::Config) -> Choice {
        let mut choice = Choice::new(&config.detect, config.model.as_deref(), config.precision);
        choice.tier = self.detector.unwrap_or(choice.tier);
        choice.model = self.model.clone().or(choice.model);
        choice.probe = self.probe.clone().or(choice.probe);
        choice.precision = self.precision.unwrap_or(choice.precision);
        choice.target_precision = self.target_precision.unwrap_or(choice.target_precision);
        choice
    }
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    match &options.action {
        Some(Action::Eval(options)) => eval::run(options, talk),
        Some(Action::Train(options)) => train::run(options, talk),
        None => find(options, talk),
    }
}

fn find(options: &Options, talk: &Talk) -> Result<()> {
    let out = options.out.as_ref().context("--out: missing")?;
    let mut config = options.settings.load()?;
    if !options.settings.given() {
        config.detect.max_held_out = 0; // nothing is drawn for them here, so there is no cost to limit
    }
    let source = Source::Logs { files: options.logs.clone(), redact: !options.no_redact };
    let mut inputs = detect::inputs(&source)?;
    let detector = options.detector.choice(&config);
    inputs.push(("detector", detector.identity()?));
    if let Some(model) = detector.model_path()? {
        inputs.push(("model", crate::files::hash_path(&model)?));
    }
    config.detect.detector = detector.tier;
    config.detect.target_precision = detector.target_precision;
    let stage_config = json!({ "detect": config.detect, "redact": !options.no_redact, "seed": config.seed });
    let format = config.model.as_deref().map(chat_format).transpose()?;
    alone(out, "detect", stage_config, &inputs, talk, |stage| {
        let job = detect::Job {
            source: &source,
            settings: &config.detect,
            detector,
            seed: config.seed,
            format: format.as_ref(),
        };
        detect::run(stage, &job, talk)
    })
}
