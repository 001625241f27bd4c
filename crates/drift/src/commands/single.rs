//! One stage alone: `drift sample`, `pair` and `train`, into a folder of one's choice.

use crate::cli::{ModelArgs, Settings};
use crate::config::Config;
use crate::files::{hash_path, read_jsonl};
use crate::method::{Loss, Prompts, Recipe};
use crate::policy::{Policy, chat_format};
use crate::run_folder::{Manifest, RunFolder, Stage, not_ours, run_root};
use crate::stages::{self, sample, train};
use crate::talk::Talk;
use anyhow::{Result, bail};
use drift_chat::{read_cases, read_pairs};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Sample {
    #[command(flatten)]
    model: ModelArgs,
    /// JSON lines of prompt, rejected, user_preference
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// The folder for candidates.jsonl and manifest.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Another number draws other answers
    #[arg(long, value_name = "K", default_value_t = 1)]
    iteration: usize,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Args)]
pub struct Pair {
    /// Whose tokenizer counts the tokens [default: the model of `drift fetch`]
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
    /// JSON lines of prompt, rejected, user_preference
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// candidates.jsonl of `drift sample`
    #[arg(long, value_name = "FILE")]
    candidates: PathBuf,
    /// The folder for pairs.jsonl and manifest.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Args)]
pub struct Train {
    /// A GGUF file or a Hugging Face folder [default: the model of `drift fetch`]
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
    /// JSON lines of prompt, chosen, rejected
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// The folder for checkpoint/, metrics.jsonl and manifest.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

pub fn sample(options: &Sample, talk: &Talk) -> Result<PathBuf> {
    let config = options.settings.load()?;
    let settings = recipe(&config)?.sample(&config.sample);
    let model = options.model.path()?;
    let inputs = [("model", hash_path(&model)?), ("cases", hash_path(&options.cases)?)];
    let stage_config = json!({
        "sample": settings.drawing(), "precision": options.model.precision, "seed": config.seed,
        "iteration": options.iteration, "max_prompt_length": config.train.max_prompt_length,
        "max_length": config.train.max_length,
    });
    alone(&options.out, "sample", &["candidates.jsonl"], stage_config, &inputs, talk, |stage| {
        let cases = read_cases(&options.cases)?;
        let policy = Policy::load(&model, options.model.precision)?;
        let job = sample::Job {
            policy: &policy,
            tasks: &cases.iter().map(Into::into).collect::<Vec<_>>(),
            answers: 1,
            settings: &settings,
            seed: config.seed,
            iteration: options.iteration,
            max_prompt: config.train.max_prompt_length,
            max_guided: config.train.max_length,
        };
        sample::run(stage, &job, talk)
    })
}

pub fn pair(options: &Pair, talk: &Talk) -> Result<PathBuf> {
    let config = options.settings.load()?;
    let recipe = recipe(&config)?;
    let model = crate::cli::model_path(options.model.clone())?;
    let inputs = [
        ("model", hash_path(&model)?),
        ("cases", hash_path(&options.cases)?),
        ("candidates", hash_path(&options.candidates)?),
    ];
    let confidence_weights = config.method.confidence_weights;
    let stage_config = stages::pair::settings_json(&config.sample, &config.train, confidence_weights);
    alone(&options.out, "pair", &["pairs.jsonl"], stage_config, &inputs, talk, |stage| {
        let cases = read_cases(&options.cases)?;
        let job = stages::pair::Job {
            format: &chat_format(&model)?,
            recipe,
            tasks: &cases.iter().map(Into::into).collect::<Vec<_>>(),
            candidates: &read_jsonl(&options.candidates)?,
            scores: &[],
            settings: &config.sample,
            max_prompt: config.train.max_prompt_length,
            max_length: config.train.max_length,
            confidence_weights,
        };
        stages::pair::run(stage, &job)
    })
}

pub fn train(options: &Train, talk: &Talk) -> Result<PathBuf> {
    let config = options.settings.load()?;
    let model = crate::cli::model_path(options.model.clone())?;
    let inputs = [("model", hash_path(&model)?), ("pairs", hash_path(&options.pairs)?)];
    let how = train::Settings {
        method: &config.method,
        loss: Loss::Preference,
        train: &config.train,
        epochs: config.train.epochs,
        precision: config.train_precision(),
        seed: config.seed,
    };
    alone(&options.out, "train", &[train::CHECKPOINT, "metrics.jsonl"], how.to_json(), &inputs, talk, |stage| {
        let pairs = read_pairs(&options.pairs)?;
        let policy = Policy::load(&model, config.train_precision().in_training())?;
        train::run(stage, policy, &train::Material::Pairs(&pairs), &how, talk)
    })
}

/// `drift sample` and `drift pair` are stages of a method with one fresh answer to each case.
fn recipe(config: &Config) -> Result<&'static Recipe> {
    let recipe = config.method.name.recipe();
    match (recipe.prompts, recipe.answers()) {
        (Prompts::Disliked, 1) => Ok(recipe),
        _ => bail!(
            "method.name: not one of a fresh answer to each case, expected \"drift\" or \"drift-unguided\"; hint: `drift run` \
             runs all methods"
        ),
    }
}

/// Runs a stage in a folder of its own, unless it is finished there; returns the folder. `outputs` are what the stage
/// writes beside its manifest.
///
/// # Errors
/// As `run`, and where the folder holds such files of somebody else.
pub fn alone(
    out: &Path,
    name: &str,
    outputs: &[&str],
    config: serde_json::Value,
    inputs: &[(&str, String)],
    talk: &Talk,
    run: impl FnOnce(&Stage) -> Result<Manifest>,
) -> Result<PathBuf> {
    // A folder within a run belongs to the run: not while another process works there.
    let around = Some(run_root(out)).filter(|root| root != out);
    let _around = around.as_deref().map(RunFolder::open).transpose()?;
    must_be_ours(out, outputs)?;
    let folder = RunFolder::open(out)?;
    let inputs: Vec<(&str, &str)> = inputs.iter().map(|(name, hash)| (*name, hash.as_str())).collect();
    let stage = Stage::new(folder.root().to_path_buf(), name, config, &inputs);
    let (manifest, kept) = match stage.finished() {
        Some(manifest) => (manifest, " (as before)"),
        None => (run(&stage)?, ""),
    };
    talk.step(name, format_args!("{}{kept}", manifest.counts));
    Ok(out.to_path_buf())
}

/// A folder that no stage has worked in may hold anything but files of the same names.
fn must_be_ours(out: &Path, outputs: &[&str]) -> Result<()> {
    if Stage::was_in(out) {
        return Ok(());
    }
    match outputs.iter().chain(&["manifest.json"]).map(|name| out.join(name)).find(|path| path.exists()) {
        Some(path) => Err(not_ours(&path)),
        None => Ok(()),
    }
}
