//! An experiment's runs: several at once, each in a folder of its own, none done twice, and what two have alike done once.

use super::figures::{Model, Run};
use super::plan::{Arm, Setting};
use super::{Lab, labels};
use crate::files::{hash_path, read_json, read_jsonl, write_json};
use crate::stages::train::CHECKPOINT;
use crate::talk::Talk;
use crate::{interrupt, iterate, memory};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use toml::{Table, Value};

pub(super) const POISONED: &str = "no panic while locked";

/// What tells a run from the others of its experiment.
pub(super) struct Task<'a> {
    pub arm: &'a Arm,
    pub choice: Option<&'a Table>,
    pub seed: u64,
    /// Below the experiment's folder.
    pub at: PathBuf,
    /// Runs that did a part of it.
    pub done: Vec<PathBuf>,
    /// Further settings over all.
    pub more: Table,
}

/// A finished run, `result.json`.
#[derive(Deserialize, Serialize)]
struct Finished {
    /// Of config, log, model and version.
    key: String,
    run: Run,
}

impl Lab<'_> {
    /// As many at once as asked for, begun in their order. When one fails, the others stop at the next safe point.
    pub(super) fn run_all(
        &self,
        tasks: &[Task],
        log: &Path,
        on_done: impl Fn(usize, Run) -> Result<()> + Sync,
    ) -> Result<()> {
        let jobs = self.jobs.get().min(tasks.len());
        // Of the memory that is free now, a share; the rest is for the rest of the machine.
        let memory_gb = (jobs > 1).then(|| memory::free() as f64 / 1e9 * 0.75 / jobs as f64).filter(|gb| *gb > 0.0);
        let one = |n: usize, talk: &Talk| on_done(n, self.run(&tasks[n], log, memory_gb, talk)?);
        if jobs <= 1 {
            return (0..tasks.len()).try_for_each(|n| one(n, self.talk));
        }
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let threads = rayon::current_num_threads().div_ceil(jobs);
        let work = || -> Result<()> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("threads")?;
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                let Some(task) = tasks.get(n) else { return Ok(()) };
                pool.install(|| one(n, &self.talk.of(task.at.display())))?;
            }
        };
        interrupt::together(true);
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    let _stop = StopOthers;
                    if let Err(error) = work() {
                        failed.lock().expect(POISONED).get_or_insert(error);
                        interrupt::request();
                    }
                });
            }
        });
        interrupt::together(false);
        failed.into_inner().expect(POISONED).map_or(Ok(()), Err)
    }

    /// `memory_gb` is for a plan that names none.
    fn run(&self, task: &Task, log: &Path, memory_gb: Option<f64>, talk: &Talk) -> Result<Run> {
        let &Task { arm, choice, seed, .. } = task;
        let dir = &self.root.join(&task.at);
        let more = task.more.clone();
        let mut config = self.plan.config(&Setting { arm, choice, dir, seed, log, model: &self.model, more })?;
        let settings = serde_json::to_string(&config)?;
        let labels = format!("{:?} {}", arm.labels, arm.flipped);
        let parts = [settings.as_str(), &self.model_hash, &hash_path(log)?, &labels, env!("CARGO_PKG_VERSION")];
        let key = blake3::hash(parts.join("\n").as_bytes()).to_hex().to_string();
        let result = dir.join("result.json");
        if let Ok(Finished { key: known, run }) = read_json(&result)
            && known == key
        {
            return Ok(run);
        }
        let with = choice.map_or(String::new(), |choice| format!(", {}", one_line(choice)));
        talk.step(&arm.name, format_args!("seed {seed}{with}"));
        for done in &task.done {
            share(&self.root.join(done), dir, config.warm.epochs > 0)?;
        }
        config.train.memory_gb = config.train.memory_gb.or(memory_gb);
        // It says what lies beside it, which changes from here on.
        if result.exists() {
            fs_err::remove_file(&result)?;
        }
        labels::put(dir, arm.labels, arm.flipped, &log.with_file_name("truth.jsonl"), seed)?;
        let summary = iterate::run(&config, talk)?;
        let models = summary.satisfied.iter().map(|of| self.model(dir, &of.model)).collect::<Result<_>>()?;
        let run = Run { method: arm.name.clone(), seed, models };
        let finished = Finished { key, run };
        write_json(&result, &finished)?;
        Ok(finished.run)
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
}

/// A run that panics stops the others too.
struct StopOthers;

impl Drop for StopOthers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            interrupt::request();
        }
    }
}

/// Links what a run did into the folder of one that begins alike; what differs after all is done anew.
fn share(from: &Path, dir: &Path, has_warm_start: bool) -> Result<()> {
    for part in folders(from)? {
        let name = part.file_name().unwrap_or_default().to_string_lossy();
        let is_iteration = name.starts_with("iter-");
        let stages = match &*name {
            "warm" if !has_warm_start => continue,
            "detect" => vec![part],
            "base" | "held-out" | "warm" => folders(&part)?,
            _ if is_iteration => folders(&part)?,
            _ => continue,
        };
        // An iteration's satisfaction is that of other prompts.
        let is_shared = |stage: &&PathBuf| {
            stage.join("manifest.json").is_file() && !(is_iteration && stage.ends_with("satisfaction"))
        };
        for stage in stages.iter().filter(is_shared) {
            let to = dir.join(stage.strip_prefix(from)?);
            if !to.exists() {
                link_all(stage, &to)?;
            }
        }
    }
    Ok(())
}

/// Of the iterations, but for one; the warm start's is shared with runs to come.
pub(super) fn forget_checkpoints(dir: &Path, kept: Option<&str>) -> Result<()> {
    for folder in folders(dir)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let checkpoint = folder.join("train").join(CHECKPOINT);
        if name.starts_with("iter-") && Some(&*name) != kept && checkpoint.is_dir() {
            fs_err::remove_dir_all(checkpoint)?;
        }
    }
    Ok(())
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
pub(super) fn one_line(settings: &Table) -> String {
    let mut all = Vec::new();
    for (section, keys) in settings {
        match keys {
            Value::Table(keys) => all.extend(keys.iter().map(|(key, value)| format!("{section}.{key} = {value}"))),
            value => all.push(format!("{section} = {value}")),
        }
    }
    all.join(", ")
}
