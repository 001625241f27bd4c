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
mod runs;
mod theory;

use crate::cli::model_path;
use crate::files::{hash_path, read_json, write, write_json};
use crate::policy::Policy;
use crate::run_folder::{Counts, RunFolder};
use crate::simulated::Suite;
use crate::simulated::asking::{Drawing, Kept};
use crate::simulated::conversations::{self, summary, write_log, write_truth};
use crate::talk::Talk;
use anyhow::Result;
use drift_eval::simulated::Split;
use figures::{Run, contrasts, rows, table};
use plan::{Arm, Plan, nested};
use plot::plot;
use runs::{POISONED, Task, forget_checkpoints, one_line};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
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
    /// Runs at once, each on its share of the threads; changes no result
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    jobs: NonZeroUsize,
}

/// Seed of the log: it is the same for all runs.
const LOG_SEED: u64 = 42;

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let plan = Plan::load(&options.file, options.small)?;
    let model = model_path(options.model.clone())?;
    let folder = RunFolder::open(&plan.dir())?;
    let lab = Lab { plan: &plan, model_hash: hash_path(&model)?, model, root: folder.root(), talk, jobs: options.jobs };
    let log = lab.log(&folder)?;
    lab.start(&log)?;
    let choices = lab.choose(&log)?;
    lab.compare(&choices, &log)?;
    print!("{}", fs_err::read_to_string(lab.root.join("table.md"))?);
    Ok(())
}

/// What a method is run with, and what its search saw.
#[derive(Debug, Serialize)]
struct Choice {
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Table>,
    /// Settings, and the share of dev prompts that the last model satisfied.
    tried: Vec<(Table, f64)>,
    /// The run with the settings that were chosen.
    #[serde(skip)]
    searched: Option<PathBuf>,
}

/// Share of the prompts, by the last model.
fn satisfied(run: &Run) -> f64 {
    let Some(last) = run.models.last() else { return 0.0 };
    last.satisfied.values().filter(|met| **met).count() as f64 / last.satisfied.len() as f64
}

/// The run that satisfied most, the first of equals.
fn best<'a>(runs: impl Iterator<Item = (usize, &'a Run)>) -> Option<usize> {
    runs.reduce(|best, run| if satisfied(run.1) > satisfied(best.1) { run } else { best }).map(|(n, _)| n)
}

struct Lab<'a> {
    plan: &'a Plan,
    model: PathBuf,
    model_hash: String,
    root: &'a Path,
    talk: &'a Talk,
    jobs: NonZeroUsize,
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

    /// What all runs of a seed have alike, and what all of the search: detection, the base model's answers, the warm
    /// start.
    fn start(&self, log: &Path) -> Result<()> {
        let seeds = &self.plan.experiment.seeds;
        let no_iteration = || nested("train", "iterations", Value::Integer(0));
        let start = |seed, at, more| Task { arm: &self.plan.arms[0], choice: None, seed, at, done: Vec::new(), more };
        let mut tasks: Vec<Task> = seeds.iter().map(|&seed| start(seed, start_of(seed), no_iteration())).collect();
        if self.plan.arms.iter().any(Arm::has_choice) {
            let mut more = no_iteration();
            more.extend(on_dev());
            tasks.push(start(seeds[0], PathBuf::from(SEARCH_START), more));
        }
        self.run_all(&tasks, log, |_, _| Ok(()))
    }

    /// For each method the settings that satisfy most dev prompts after all iterations; the first of equals.
    fn choose(&self, log: &Path) -> Result<Vec<Choice>> {
        let mut tasks = Vec::new();
        for arm in self.plan.arms.iter().filter(|arm| arm.has_choice()) {
            tasks.extend(arm.search.iter().enumerate().map(|(n, settings)| {
                let mut more = on_dev();
                more.extend(nested("train", "theory_pairs", Value::Integer(0)));
                let at = Path::new("search").join(format!("{}-{}", arm.name, n + 1));
                let done = vec![PathBuf::from(SEARCH_START)];
                Task { arm, choice: Some(settings), seed: self.plan.experiment.seeds[0], at, done, more }
            }));
        }
        let tried = Mutex::new(BTreeMap::new());
        self.run_all(&tasks, log, |n, run| {
            let mut tried = tried.lock().expect(POISONED);
            tried.insert(n, run);
            // The best model's training is not done again.
            let of_arm = || tried.iter().filter(|(other, _)| tasks[**other].arm.name == tasks[n].arm.name);
            let best = best(of_arm().map(|(n, run)| (*n, run)));
            of_arm()
                .filter(|(n, _)| Some(**n) != best)
                .try_for_each(|(n, _)| forget_checkpoints(&self.root.join(&tasks[*n].at), None))
        })?;
        let tried = tried.into_inner().expect(POISONED);
        let choice = |arm: &Arm| {
            let of_arm = || tried.iter().filter(|(n, _)| tasks[**n].arm.name == arm.name).map(|(n, run)| (*n, run));
            let searched = best(of_arm());
            let settings = searched.map_or(arm.search.first(), |n| tasks[n].choice).cloned();
            if let Some((settings, _)) = settings.as_ref().zip(searched) {
                self.talk.step(&arm.name, format_args!("takes {}", one_line(settings)));
            }
            Choice {
                method: arm.name.clone(),
                settings,
                tried: of_arm().filter_map(|(n, run)| Some((tasks[n].choice?.clone(), satisfied(run)))).collect(),
                searched: searched.map(|n| tasks[n].at.clone()),
            }
        };
        Ok(self.plan.arms.iter().map(choice).collect())
    }

    /// Each method with each seed; the record is written anew after each run.
    fn compare(&self, choices: &[Choice], log: &Path) -> Result<()> {
        let mut tasks = Vec::new();
        for &seed in &self.plan.experiment.seeds {
            tasks.extend(self.plan.arms.iter().zip(choices).map(|(arm, choice)| {
                let at = Path::new(&arm.name).join(format!("seed-{seed}"));
                let mut done = vec![start_of(seed)];
                done.extend(choice.searched.clone().filter(|_| seed == self.plan.experiment.seeds[0]));
                Task { arm, choice: choice.settings.as_ref(), seed, at, done, more: Table::new() }
            }));
        }
        let runs = Mutex::new(BTreeMap::new());
        self.run_all(&tasks, log, |n, run| {
            let mut runs = runs.lock().expect(POISONED);
            let last = run.models.last().filter(|_| run.seed == self.plan.experiment.seeds[0]);
            forget_checkpoints(&self.root.join(&tasks[n].at), last.map(|model| &*model.name))?;
            tasks[n].done.iter().try_for_each(|done| forget_checkpoints(&self.root.join(done), None))?;
            runs.insert(n, run);
            self.write(&runs.values().cloned().collect::<Vec<_>>(), choices)
        })?;
        let runs = runs.into_inner().expect(POISONED);
        let kernels: BTreeSet<String> = self.kernels(runs.values())?.into_values().collect();
        if kernels.len() > 1 {
            let kernels = Vec::from_iter(kernels).join(" and ");
            self.talk.warn(format_args!("runs are of different kernels, {kernels}: its own kind alone repeats a run"));
        }
        Ok(())
    }

    /// What the last call of each run computed with: on other kernels a run differs in its last bits.
    fn kernels<'r>(&self, runs: impl IntoIterator<Item = &'r Run>) -> Result<BTreeMap<String, String>> {
        #[derive(Deserialize)]
        struct Facts {
            kernels: String,
        }
        let of = |run: &Run| {
            let name = format!("{}/seed-{}", run.method, run.seed);
            let facts: Facts = read_json(&self.root.join(&name).join("run.json"))?;
            Ok((name, facts.kernels))
        };
        runs.into_iter().map(of).collect()
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
                "kernels": self.kernels(runs)?, "choices": choices, "rows": rows, "contrasts": contrasts, "qualities": qualities, "runs": runs,
            }),
        )
    }
}

const SEARCH_START: &str = "start/search";

fn start_of(seed: u64) -> PathBuf {
    Path::new("start").join(format!("seed-{seed}"))
}

/// Settings are chosen by dev prompts, put to the last model.
fn on_dev() -> Table {
    Table::from_iter([(
        "evaluate".to_string(),
        Value::Table(Table::from_iter([
            ("split".to_string(), Value::String("dev".into())),
            ("last_alone".to_string(), Value::Boolean(true)),
        ])),
    )])
}
