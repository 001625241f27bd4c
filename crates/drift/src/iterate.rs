//! The whole loop on a page: detect, put pairs aside, warm start, then sample, pair, train and evaluate
//! as often as asked, then the report. An iteration is a loop variable.

mod simulated;

pub use simulated::Satisfied;

use crate::cli::model_path;
use crate::config::sections::{Guided, Sample};
use crate::config::{Config, Source};
use crate::detectors::{Choice, Tier};
use crate::files::{hash_path, read_json, read_jsonl, write, write_json};
use crate::interrupt;
use crate::policy::{Policy, chat_format};
use crate::report;
use crate::run_folder::{Manifest, RunFolder, Stage};
use crate::stages::evaluate::{self, Eval, HeldOut, Kind};
use crate::stages::sample::{self, Candidate};
use crate::stages::{detect, pair, train};
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_chat::{Case, Pair, Split};
use drift_text::ChatFormat;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulated::{Promoted, Users};
use std::path::PathBuf;

/// What a run ends with.
#[derive(Debug)]
pub struct Summary {
    /// Of each trained model, by the name of its folder: `warm`, `iter-1` …
    pub evals: Vec<(String, Eval)>,
    /// Of simulated users, the base model first; empty where none were asked.
    pub satisfied: Vec<Satisfied>,
    /// The last checkpoint, or with a gate the last that it let through; with its name.
    pub model: PathBuf,
    pub name: String,
    pub report: PathBuf,
}

pub fn run(config: &Config, talk: &Talk) -> Result<Summary> {
    // Whatever is missing is said before the folder is made.
    let model = model_path(config.model.clone())?;
    let source = config.source.as_ref().context("config: neither [logs] nor [cases]")?;
    let logs = detect::inputs(source)?;
    let format = chat_format(&model)?;
    let base = Weights { hash: hash_path(&model)?, path: model };
    let context = drift_lm::load::inspect(&base.path)?.config.max_position_embeddings;
    if config.train.max_length > context {
        bail!(
            "train.max_length: {} tokens, expected at most the {context} of the model's context; hint: lower it",
            config.train.max_length
        );
    }
    let folder = RunFolder::open(&config.dir)?;
    let run = Run { config, talk, format, folder, base: base.clone() };
    run.write_settings()?;

    let found = run.detect(source, &logs)?;
    if found.cases.is_empty() && config.train.iterations > 0 {
        bail!(
            "{}: no case is left to train on, expected some; hint: detect/manifest.json counts what was dropped and why; lower \
             detect.target_precision, raise the limits on tokens, or give more logs",
            config.dir.display()
        );
    }
    let yardstick = run.put_aside(&found)?;

    let (mut evals, mut satisfied) = (Vec::new(), Vec::new());
    let users = Users::start(&run, &mut satisfied)?;
    let mut promoted = Promoted::start(&run)?;
    let mut policy = base;
    if config.warm.epochs > 0 && found.seed_pairs.rows.is_empty() {
        talk.warn("warm start: left out, there is no seed pair");
    } else if config.warm.epochs > 0 {
        policy = run.train("warm", &policy, &found.seed_pairs, config.warm.epochs)?;
        evals.extend(run.evaluate("warm", &policy, &yardstick)?);
        users.judge(&run, "warm", &policy, &mut satisfied)?;
        policy = promoted.next(&run, "warm", policy)?;
    }
    for k in 1..=config.train.iterations {
        let name = format!("iter-{k}");
        let candidates = run.sample(&name, k, &policy, &found)?;
        let pairs = run.pair(&name, &candidates, &found)?;
        policy = run.train(&name, &policy, &pairs, config.train.epochs)?;
        evals.extend(run.evaluate(&name, &policy, &yardstick)?);
        users.judge(&run, &name, &policy, &mut satisfied)?;
        policy = promoted.next(&run, &name, policy)?;
    }
    promoted.write(&run)?;
    let report = report::write(run.folder.root())?;
    Ok(Summary { evals, satisfied, model: promoted.model.path, name: promoted.name, report })
}

/// A model on disk.
#[derive(Clone, Debug)]
struct Weights {
    path: PathBuf,
    /// Of the files.
    hash: String,
}

/// Rows of a file, and the hash of the file.
struct Rows<T> {
    rows: Vec<T>,
    hash: String,
}

/// What detection gave, split by conversation.
struct Found {
    cases: Vec<Case>,
    seed_pairs: Rows<Pair>,
    held_out_cases: Vec<Case>,
    held_out_pairs: Vec<Pair>,
    /// Of cases.jsonl.
    cases_hash: String,
}

struct Run<'a> {
    config: &'a Config,
    talk: &'a Talk,
    format: ChatFormat,
    folder: RunFolder,
    base: Weights,
}

impl Run<'_> {
    /// Every setting, defaults included, and where it was run.
    fn write_settings(&self) -> Result<()> {
        let root = self.folder.root();
        let text = toml::to_string(&self.config.to_file()).context("config.toml")?;
        write(&root.join("config.toml"), |out| out.write_all(text.as_bytes()))?;
        let facts = json!({
            "drift": env!("CARGO_PKG_VERSION"),
            "seed": self.config.seed,
            "model": self.base.path,
            "model_hash": self.base.hash,
            "kernels": drift_kernels::Isa::current().name(),
            "command": std::env::args().collect::<Vec<_>>().join(" "),
        });
        write_json(&root.join("run.json"), &facts)
    }

    /// Runs the stage in the folder `at`, unless it is finished there.
    fn stage(
        &self,
        at: &str,
        config: Value,
        inputs: &[(&str, &str)],
        work: impl FnOnce(&Stage) -> Result<Manifest>,
    ) -> Result<Manifest> {
        interrupt::check()?;
        let stage = self.folder.stage(at, config, inputs);
        if let Some(manifest) = stage.finished() {
            self.talk.detail(format_args!("{at}: as before, {}", manifest.counts));
            return Ok(manifest);
        }
        if stage.path("manifest.json").exists() {
            self.talk.step(at, "its config, inputs or files have changed: done anew");
        }
        let manifest = work(&stage).with_context(|| at.to_string())?;
        self.talk.step(at, &manifest.counts);
        Ok(manifest)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.root().join(path)
    }

    fn read<T: DeserializeOwned>(&self, manifest: &Manifest, at: &str, file: &str) -> Result<Rows<T>> {
        Ok(Rows { rows: read_jsonl(&self.at(at).join(file))?, hash: manifest.outputs[file].clone() })
    }

    fn detect(&self, source: &Source, logs: &[(String, String)]) -> Result<Found> {
        let config = self.config;
        let mut inputs: Vec<(&str, &str)> = logs.iter().map(|(name, hash)| (name.as_str(), hash.as_str())).collect();
        let detector = Choice { model: Some(self.base.path.clone()), ..Choice::new(config) };
        let identity = detector.identity()?;
        if matches!(source, Source::Logs { .. }) {
            inputs.push(("detector", &identity));
        }
        // its tokenizer counts, or its hidden states tell
        if config.detect.max_prompt_tokens + config.detect.max_answer_tokens > 0 || detector.tier == Tier::Deep {
            inputs.push(("model", &self.base.hash));
        }
        let own = detect::own_inputs(self.folder.root())?;
        inputs.extend(own.iter().map(|(name, hash)| (*name, hash.as_str())));
        let settings = json!({ "source": source, "detect": config.detect, "seed": config.seed });
        let manifest = self.stage("detect", settings, &inputs, |stage| {
            let format = Some(&self.format);
            let (settings, seed, root) = (&config.detect, config.seed, self.folder.root());
            let job = detect::Job { source, settings, detector, seed, format, root };
            detect::run(stage, &job, self.talk)
        })?;
        let cases: Rows<Case> = self.read(&manifest, "detect", "cases.jsonl")?;
        let pairs: Rows<Pair> = self.read(&manifest, "detect", "seed_pairs.jsonl")?;
        let (held_out_cases, train) = cases.rows.into_iter().partition(|case| case.split == Some(Split::HeldOut));
        let (held_out_pairs, seeds) = pairs.rows.into_iter().partition(|pair| pair.split == Some(Split::HeldOut));
        Ok(Found {
            cases: train,
            seed_pairs: Rows { rows: seeds, hash: pairs.hash },
            held_out_cases,
            held_out_pairs,
            cases_hash: cases.hash,
        })
    }

    /// The yardstick of all evaluations, made once: held-out cases with unguided answers of the base
    /// model, held-out seed pairs, and the base model's log-probs of both.
    fn put_aside(&self, found: &Found) -> Result<Rows<HeldOut>> {
        if found.held_out_cases.is_empty() && found.held_out_pairs.is_empty() {
            self.talk.warn("evaluation: left out, nothing is held out; hint: raise detect.held_out");
            return Ok(Rows { rows: Vec::new(), hash: String::new() });
        }
        let settings = Sample { guided: Guided::Never, ..self.config.sample.clone() };
        let candidates =
            self.draw("held-out/sample", 0, &self.base, &found.held_out_cases, &found.cases_hash, &settings)?;
        let pairs = self.make_pairs("held-out/pair", &candidates, &found.held_out_cases, &found.cases_hash)?;
        let train = &self.config.train;
        let settings = json!({
            "precision": self.config.train_precision(), "max_prompt_length": train.max_prompt_length,
            "max_length": train.max_length,
        });
        let inputs = [("model", &*self.base.hash), ("pairs", &*pairs.hash), ("seed_pairs", &*found.seed_pairs.hash)];
        let manifest = self.stage("held-out/score", settings, &inputs, |stage| {
            let fresh = pairs.rows.iter().map(|pair| (Kind::FreshAnswer, pair.clone()));
            let revised = found.held_out_pairs.iter().map(|pair| (Kind::Revision, pair.clone()));
            let policy = Policy::load(&self.base.path, self.config.train_precision())?;
            let all = fresh.chain(revised).collect();
            evaluate::score_base(stage, &policy, all, train.max_prompt_length, train.max_length, self.talk)
        })?;
        self.read(&manifest, "held-out/score", "pairs.jsonl")
    }

    fn sample(&self, name: &str, k: usize, policy: &Weights, found: &Found) -> Result<Rows<Candidate>> {
        self.draw(&format!("{name}/sample"), k, policy, &found.cases, &found.cases_hash, &self.config.sample)
    }

    fn draw(
        &self,
        at: &str,
        iteration: usize,
        policy: &Weights,
        cases: &[Case],
        cases_hash: &str,
        settings: &Sample,
    ) -> Result<Rows<Candidate>> {
        let config = self.config;
        let (max_prompt, max_guided) = (config.train.max_prompt_length, config.train.max_length);
        let stage_config = json!({
            "sample": settings.drawing(), "precision": config.precision, "seed": config.seed, "iteration": iteration,
            "max_prompt_length": max_prompt, "max_length": max_guided,
        });
        let manifest = self.stage(at, stage_config, &[("model", &policy.hash), ("cases", cases_hash)], |stage| {
            let policy = &Policy::load(&policy.path, config.precision)?;
            let job = sample::Job { policy, cases, settings, seed: config.seed, iteration, max_prompt, max_guided };
            sample::run(stage, &job, self.talk)
        })?;
        self.read(&manifest, at, "candidates.jsonl")
    }

    fn pair(&self, name: &str, candidates: &Rows<Candidate>, found: &Found) -> Result<Rows<Pair>> {
        self.make_pairs(&format!("{name}/pair"), candidates, &found.cases, &found.cases_hash)
    }

    fn make_pairs(
        &self,
        at: &str,
        candidates: &Rows<Candidate>,
        cases: &[Case],
        cases_hash: &str,
    ) -> Result<Rows<Pair>> {
        let (settings, train) = (&self.config.sample, &self.config.train);
        let (max_prompt, max_length) = (train.max_prompt_length, train.max_length);
        let stage_config = json!({
            "sample": settings.pairing(), "max_prompt_length": max_prompt, "max_length": max_length,
        });
        let inputs = [("model", &*self.base.hash), ("candidates", &*candidates.hash), ("cases", cases_hash)];
        let manifest = self.stage(at, stage_config, &inputs, |stage| {
            let (format, candidates) = (&self.format, &candidates.rows);
            pair::run(stage, &pair::Job { format, cases, candidates, settings, max_prompt, max_length })
        })?;
        self.read(&manifest, at, "pairs.jsonl")
    }

    fn train(&self, name: &str, policy: &Weights, pairs: &Rows<Pair>, epochs: usize) -> Result<Weights> {
        let config = self.config;
        let at = format!("{name}/train");
        let stage_config = json!({
            "train": config.train.arithmetic(), "epochs": epochs, "precision": config.train_precision(),
            "seed": config.seed,
        });
        let manifest = self.stage(&at, stage_config, &[("model", &policy.hash), ("pairs", &pairs.hash)], |stage| {
            let policy = Policy::load(&policy.path, config.train_precision())?;
            train::run(stage, policy, &pairs.rows, config, epochs, self.talk)
        })?;
        let path = self.at(&at).join(train::CHECKPOINT);
        Ok(Weights { path, hash: manifest.outputs[train::CHECKPOINT].clone() })
    }

    fn evaluate(&self, name: &str, policy: &Weights, yardstick: &Rows<HeldOut>) -> Result<Option<(String, Eval)>> {
        if yardstick.rows.is_empty() {
            return Ok(None);
        }
        let config = self.config;
        let at = format!("{name}/evaluate");
        let stage_config = json!({
            "precision": config.train_precision(), "beta": config.train.beta, "seed": config.seed,
            "max_prompt_length": config.train.max_prompt_length, "max_length": config.train.max_length,
        });
        self.stage(&at, stage_config, &[("model", &policy.hash), ("held_out", &yardstick.hash)], |stage| {
            let job = evaluate::Job {
                policy: &Policy::load(&policy.path, config.train_precision())?,
                held_out: &yardstick.rows,
                beta: config.train.beta,
                seed: config.seed,
                max_prompt: config.train.max_prompt_length,
                max_length: config.train.max_length,
            };
            evaluate::run(stage, &job, self.talk)
        })?;
        Ok(Some((name.to_string(), read_json(&self.at(&at).join("eval.json"))?)))
    }
}
