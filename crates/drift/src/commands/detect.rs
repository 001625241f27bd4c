//! `drift detect`: dissatisfied turns of chat logs, how good a detector is, and detectors of one's own.

mod eval;
mod labels;
mod train;

use crate::cli::{LogArgs, Settings};
use crate::commands::single::alone;
use crate::config::Source;
use crate::config::sections::Precision;
use crate::detectors::{Choice, Tier};
use crate::files::hash_path;
use crate::policy::chat_format;
use crate::privacy;
use crate::run_folder::run_root;
use crate::stages::detect;
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// Chat logs: files, folders, patterns in quotes, or - for standard input
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The folder for cases.jsonl, seed_pairs.jsonl, labels.jsonl and manifest.json
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// Keep e-mail addresses, phone numbers, keys and the like as they are
    #[arg(long)]
    no_redact: bool,
    /// Replace names of persons too, where a text introduces them
    #[arg(long, conflicts_with = "no_redact")]
    redact_names: bool,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    settings: Settings,
}

impl Options {
    /// With the default settings.
    pub fn of(logs: &[PathBuf], out: &Path) -> Options {
        Options {
            action: None,
            logs: logs.to_vec(),
            out: Some(out.into()),
            no_redact: false,
            redact_names: false,
            log: LogArgs::default(),
            detector: DetectorArgs::default(),
            settings: Settings::default(),
        }
    }
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// How good a detector is, against labelled turns
    Eval(eval::Options),
    /// Make a detector from labelled turns
    Train(train::Options),
}

/// Which detector, over what the config says.
#[derive(Clone, Debug, Default, clap::Args)]
struct DetectorArgs {
    /// What finds the turns [default: detect.detector of the config, fast without one]
    #[arg(long, value_enum)]
    detector: Option<Tier>,
    /// With `--detector deep`: a GGUF file or a Hugging Face folder [default: the config's, or that of `drift fetch`]
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
    /// With `--detector fast` or `deep`: a file of `drift detect train` [default: the config's, or the one inside the
    /// program]
    #[arg(long, value_name = "FILE")]
    trained: Option<PathBuf>,
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
    /// # Errors
    /// An option that the detector has no use for.
    fn choice(&self, config: &crate::config::Config) -> Result<Choice> {
        let mut choice = Choice::new(config);
        choice.tier = self.detector.unwrap_or(choice.tier);
        let learnt = matches!(choice.tier, Tier::Fast | Tier::Deep);
        let given = [
            ("--trained", self.trained.is_some(), learnt, "fast and deep"),
            ("--target-precision", self.target_precision.is_some(), learnt, "fast and deep"),
            ("--model", self.model.is_some(), choice.tier == Tier::Deep, "deep"),
            ("--precision", self.precision.is_some(), choice.tier == Tier::Deep, "deep"),
        ];
        for (option, is_given, is_of_use, detectors) in given {
            if is_given && !is_of_use {
                let tier =
                    choice.tier.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default();
                bail!(
                    "{option}: given with --detector {tier}, expected with {detectors} alone; hint: leave out one of the two"
                );
            }
        }
        choice.model = self.model.clone().or(choice.model);
        choice.trained = self.trained.clone().or(choice.trained);
        choice.precision = self.precision.unwrap_or(choice.precision);
        choice.target_precision = self.target_precision.unwrap_or(choice.target_precision);
        Ok(choice)
    }
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    match &options.action {
        Some(Action::Eval(options)) => eval::run(options, talk),
        Some(Action::Train(options)) => train::run(options, talk),
        None => {
            println!("{}", find(options, talk)?.display());
            Ok(())
        }
    }
}

/// The folder of the detected cases.
///
/// # Errors
/// Unreadable logs, or a folder that cannot be written.
pub fn find(options: &Options, talk: &Talk) -> Result<PathBuf> {
    let out = options.out.as_ref().context("--out: missing")?;
    let mut config = options.settings.load()?;
    if !options.settings.given() {
        config.detect.max_held_out = 0; // nothing is drawn for them here, so there is no cost to limit
    }
    let (redact, redact_names, reader) = (!options.no_redact, options.redact_names, options.log.reader());
    let source = Source::Logs { files: options.logs.clone(), redact, redact_names, reader: reader.clone() };
    let root = run_root(out);
    let detector = options.detector.choice(&config)?;
    config.detect.detector = detector.tier;
    config.detect.target_precision = detector.target_precision;
    let stage_config = json!({ "detect": config.detect, "redact": redact, "redact_names": redact_names,
                "reader": reader, "seed": config.seed });
    let logs = detect::inputs(&source)?;
    let mut inputs: Vec<(&str, String)> = logs.iter().map(|(name, hash)| (name.as_str(), hash.clone())).collect();
    inputs.extend(detect::own_inputs(&root)?);
    inputs.push(("detector", detector.identity()?));
    if let Some(model) = detector.model_path()? {
        inputs.push(("model", hash_path(&model)?));
    }
    let format = config.model.as_deref().map(chat_format).transpose()?;
    let outputs = [&detect::OUTPUTS[..], &[privacy::USERS]].concat();
    alone(out, "detect", &outputs, stage_config, &inputs, talk, |stage| {
        let (settings, format) = (&config.detect, format.as_ref());
        let job = detect::Job { source: &source, settings, detector, seed: config.seed, format, root: &root };
        detect::run(stage, &job, talk)
    })
}
