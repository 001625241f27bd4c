//! `drift experiment`: the methods side by side on one simulated deployment.
//!
//! ```text
//! base model ─▶ simulated users ─▶ log ─▶ for each method: settings chosen on dev prompts
//!                                         for each seed and method: a run ─▶ satisfaction on test prompts
//! ```
//!
//! The log goes through the same detection as any other; its truth is for measuring alone, but for methods that ask for
//! true labels to see what detection costs. A finished run leaves its
//! answers and figures and loses its checkpoints, so that disk does not grow with the number of runs; a method's last
//! model of the first seed stays, for `drift explore`.

mod figures;
mod labels;
mod page;
mod plan;
mod plot;
mod quality;
mod theory;

use crate::cli::model_path;
use crate::files::{hash_path, read_json, read_jsonl, write, write_json};
use crate::iterate;
use crate::policy::Policy;
use crate::run_folder::{Counts, RunFolder};
use crate::simulated::Suite;
use crate::simulated::asking::{Drawing, Kept};
use crate::simulated::conversations::{self, summary, write_log, write_truth};
use crate::stages::train::CHECKPOINT;
use crate::talk::Talk;
use anyhow::{Context, Result};
use drift_eval::simulated::Split;
use figures::{Model, Run, contrasts, rows, table};
use plan::{Arm, Plan, Setting, nested};
use plot::plot;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// TOML: recipes/compare-simulated.toml is one, docs/evaluation.md explains it
    file: PathBuf,
    /// What its [small] says: fewer prompts, iterations and seeds
    #[arg(long)]
    small: bool,
    /// A GGUF file or a Hugging Face folder [default: that of `drift fetch`]
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
}

/// Seed of the log: it is the same for all runs.
const LOG_SEED: u64 = 42;

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let plan = Plan::load(&options.file, options.small)?;
    let model = model_path(options.model.clone())?;
    let folder = RunFolder::open(&plan.dir())?;
    let lab = Lab { plan: &plan, model_hash: hash_path(&model)?, model, root: folder.root(), talk };
    let log = lab.log(&folder)?;
    let mut choices = Vec::new();
    for arm in &plan.arms {
        choices.push(lab.choose(arm, &log)?);
    }
    let mut runs = Vec::new();
    for &seed in &plan.experiment.seeds {
        for (arm, choice) in plan.arms.iter().zip(&choices) {
            let dir = lab.root.join(&arm.name).join(format!("seed-{seed}"));
            runs.push(lab.run(arm, choice.settings.as_ref(), seed, &log, &dir, Table::new())?);
            lab.write(&runs, &choices)?;
        }
    }
    print!("{}", fs_err::read_to_string(lab.root.join("table.md"))?);
    Ok(())
}

/// What a method is run with, and what its search saw.
#[derive(Debug, Serialize)]
struct Choice {
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Table>,
    /// Settings, and the share of dev prompts that satisfied after one iteration.
    tried: Vec<(Table, f64)>,
}

/// A finished run, `result.json`.
#[derive(Deserialize, Serialize)]
struct Finished {
    /// Of config, log, model and version.
    key: String,
    run: Run,
}

struct Lab<'a> {
    plan: &'a Plan,
    model: PathBuf,
    model_hash: String,
    root: &'a Path,
    talk: &'a Talk,
}

impl Lab<'_> {
    /// The log of simulated users, in the stage `log`.
    fn log(&self, folder: &RunFolder) -> Result<PathBuf> {
        let settings = &self.plan.simulate;
        let stage =
            folder.stage("log", json!({ "simulate": settings, "seed": LOG_SEED }), &[("model", &self.model_hash)]);
        let (log, truth) = (stage.path("log.jsonl"), stage.path("truth.jsonl"));
        if stage.finished().is_some() {
            return Ok(log);
        }
        stage.begin(&["answers.unfinished"])?;
        let policy = Policy::load(&self.model, crate::config::sections::Model::default().precision)?;
        let suite =
            Suite { split: Split::Train, n: settings.conversations, kinds: settings.kinds.clone(), seed: LOG_SEED };
        let drawing = Drawing { temperature: settings.temperature, max_new: settings.max_new_tokens, concurrency: 16 };
        let job = conversations::Job {
            policy: &policy,
            suite: &suite,
            rates: &settings.rates,
            drawing: &drawing,
            seed: LOG_SEED,
        };
        let mut kept = Kept::open(&stage.path("answers.unfinished"), &stage.key())?;
        let made = job.run(&mut kept, self.talk)?;
        write_truth(&truth, &made)?;
        write_log(&log, &made)?;
        write_json(&stage.path("summary.json"), &summary(&made, LOG_SEED)?)?;
        kept.finish()?;
        let n = made.len();
        let counts = Counts { r#in: n, out: n, ..Counts::default() };
        self.talk.step("log", &counts);
        stage.finish(counts, &["log.jsonl", "truth.jsonl", "summary.json"])?;
        Ok(log)
    }

    /// The settings that satisfy most dev prompts after one iteration; the first of equals.
    fn choose(&self, arm: &Arm, log: &Path) -> Result<Choice> {
        let mut tried: Vec<(Table, f64)> = Vec::new();
        for (at, settings) in arm.search.iter().enumerate().filter(|_| arm.search.len() > 1) {
            let dir = self.root.join("search").join(format!("{}-{}", arm.name, at + 1));
            let mut more = nested("evaluate", "split", Value::String("dev".into()));
            more.extend(nested("train", "iterations", Value::Integer(1)));
            let run = self.run(arm, Some(settings), self.plan.experiment.seeds[0], log, &dir, more)?;
            let last = run.models.last().context("no model")?;
            let met = last.satisfied.values().filter(|met| **met).count();
            tried.push((settings.clone(), met as f64 / last.satisfied.len() as f64));
        }
        let best = (0..tried.len()).reduce(|best, at| if tried[at].1 > tried[best].1 { at } else { best });
        let settings = best.map(|at| tried[at].0.clone()).or_else(|| arm.search.first().cloned());
        if let Some(settings) = settings.as_ref().filter(|_| !tried.is_empty()) {
            self.talk.step(&arm.name, format_args!("takes {}", one_line(settings)));
        }
        Ok(Choice { method: arm.name.clone(), settings, tried })
    }

    fn run(&self, arm: &Arm, choice: Option<&Table>, seed: u64, log: &Path, dir: &Path, more: Table) -> Result<Run> {
        let config = self.plan.config(&Setting { arm, choice, dir, seed, log, model: &self.model, more })?;
        let settings = serde_json::to_string(&config)?;
        let labels = format!("{:?} {}", arm.labels, arm.flipped);
        let parts = [settings.as_str(), &self.model_hash, &hash_path(log)?, &labels, env!("CARGO_PKG_VERSION")];
        let key = blake3::hash(parts.join("\n").as_bytes()).to_hex().to_string();
        let result = dir.join("result.json");
        if let Ok(Finished { key: known, run }) = read_json(&result)
            && known == key
        {
            self.forget_checkpoints(dir, &run)?;
            return Ok(run);
        }
        self.talk.step(
            &arm.name,
            format_args!("seed {seed}{}", choice.map_or(String::new(), |choice| format!(", {}", one_line(choice)))),
        );
        self.share(dir, config.warm.epochs > 0)?;
        labels::put(dir, arm.labels, arm.flipped, &log.with_file_name("truth.jsonl"), seed)?;
        let summary = iterate::run(&config, self.talk)?;
        let models = summary.satisfied.iter().map(|of| self.model(dir, &of.model)).collect::<Result<_>>()?;
        let run = Run { method: arm.name.clone(), seed, models };
        let finished = Finished { key, run };
        write_json(&result, &finished)?;
        self.forget_checkpoints(dir, &finished.run)?;
        Ok(finished.run)
    }

    /// Of the iterations; the warm start's is shared with runs to come.
    fn forget_checkpoints(&self, dir: &Path, run: &Run) -> Result<()> {
        let is_first = run.seed == self.plan.experiment.seeds[0] && dir.parent() != Some(&self.root.join("search"));
        let kept = run.models.last().filter(|_| is_first).map(|model| &model.name[..]);
        for folder in folders(dir)? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let checkpoint = folder.join("train").join(CHECKPOINT);
            if name.starts_with("iter-") && Some(&name[..]) != kept && checkpoint.is_dir() {
                fs_err::remove_dir_all(checkpoint)?;
            }
        }
        Ok(())
    }

    fn model(&self, dir: &Path, name: &str) -> Result<Model> {
        #[derive(Deserialize)]
        struct Row {
            id: String,
            missed: Vec<String>,
        }
        let at = dir.join(name);
        let rows: Vec<Row> = read_jsonl(&at.join("satisfaction/answers.jsonl"))?;
        let theory = at.join("theory/theory.json");
        Ok(Model {
            name: name.to_string(),
            satisfied: rows.into_iter().map(|row| (row.id, row.missed.is_empty())).collect(),
            figures: read_json(&at.join("satisfaction/satisfaction.json"))?,
            theory: theory.is_file().then(|| read_json(&theory)).transpose()?,
        })
    }

    fn write(&self, runs: &[Run], choices: &[Choice]) -> Result<()> {
        let methods: Vec<&str> = self.plan.arms.iter().map(|arm| arm.name.as_str()).collect();
        let (rows, contrasts) = (rows(runs, &methods), contrasts(runs, &methods));
        let requests = quality::Requests::read(&self.root.join("log/truth.jsonl"))?;
        let qualities = quality::qualities(self.root, runs, &methods, &requests)?;
        let mut text = table(&rows, &contrasts);
        if !qualities.is_empty() {
            text += &format!("\nPairs, by the requirements themselves:\n\n{}", quality::table(&qualities));
        }
        write(&self.root.join("table.md"), |out| out.write_all(text.as_bytes()))?;
        if let Some(svg) = plot(&rows) {
            write(&self.root.join("plot.svg"), |out| out.write_all(svg.as_bytes()))?;
        }
        let found = page::Found {
            root: self.root,
            model_hash: &self.model_hash,
            methods: &methods,
            seeds: &self.plan.experiment.seeds,
            choices,
            runs,
            rows: &rows,
            contrasts: &contrasts,
            qualities: &qualities,
        };
        page::write(&self.root.join("index.html"), &found)?;
        write_json(
            &self.root.join("experiment.json"),
            &json!({
                "drift": env!("CARGO_PKG_VERSION"), "model_hash": self.model_hash, "seeds": self.plan.experiment.seeds,
                "choices": choices, "rows": rows, "contrasts": contrasts, "qualities": qualities, "runs": runs,
            }),
        )
    }
}

/// Stages that all runs of a seed have alike: they are linked, and what differs after all is done anew.
const SHARED: [&str; 4] = ["detect", "base", "held-out", "warm"];

impl Lab<'_> {
    /// Links the shared stages of earlier runs into a new run's folder.
    fn share(&self, dir: &Path, has_warm_start: bool) -> Result<()> {
        let mut others = Vec::new();
        for group in folders(self.root)? {
            others.extend(
                folders(&group)?.into_iter().filter(|other| other != dir && other.join("result.json").is_file()),
            );
        }
        let missing = |part: &&&str| !dir.join(part).exists() && (has_warm_start || **part != "warm");
        for part in SHARED.iter().filter(missing) {
            let same_seed = |other: &&PathBuf| other.file_name() == dir.file_name() && other.join(part).is_dir();
            let any = |other: &&PathBuf| other.join(part).is_dir();
            if let Some(other) = others.iter().find(same_seed).or_else(|| others.iter().find(any)) {
                link_all(&other.join(part), &dir.join(part))?;
            }
        }
        Ok(())
    }
}

/// Sorted.
fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(path)? {
        found.extend(Some(entry?.path()).filter(|path| path.is_dir()));
    }
    found.sort();
    Ok(found)
}

/// What a finished stage made is replaced by renaming, never written to: a link is as good as a copy. The reference's
/// log-probs beside it are added to, and hold good for all, since a row is known by the weights and its tokens.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => link_all(&path, &target)?,
            false => fs_err::hard_link(&path, &target).or_else(|_| fs_err::copy(&path, &target).map(drop))?,
        }
    }
    Ok(())
}

/// `train.learning_rate = 1e-6`
fn one_line(settings: &Table) -> String {
    let mut all = Vec::new();
    for (section, keys) in settings {
        match keys {
            Value::Table(keys) => all.extend(keys.iter().map(|(key, value)| format!("{section}.{key} = {value}"))),
            value => all.push(format!("{section} = {value}")),
        }
    }
    all.join(", ")
}
