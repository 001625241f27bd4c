//! The whole loop on a page: detect, put pairs aside, warm start, then sample, pair, train and evaluate
//! as often as asked, then the report. An iteration is a loop variable.

mod simulated;

pub use simulated::Reception;

use crate::cli::model_path;
use crate::config::sections::{Rank, Train};
use crate::config::{Config, Source};
use crate::detectors::{Choice, Tier};
use crate::files::{hash_file, hash_path, read_json, read_jsonl, write, write_json};
use crate::interrupt;
use crate::method::{Loss, Name, Prompts, Recipe, Side};
use crate::policy::{Policy, chat_format};
use crate::report;
use crate::run_folder::{Manifest, RunFolder, Stage};
use crate::satisfied::Satisfied;
use crate::stages::evaluate::{self, Eval, HeldOut, Kind};
use crate::stages::rank::{self, Scores};
use crate::stages::sample::{self, Candidate, Task};
use crate::stages::{detect, pair, theory, train};
use crate::talk::Talk;
use crate::tokens::Answer;
use anyhow::{Context, Result, bail};
use drift_chat::{Case, Pair, Split};
use drift_feedback::Unpaired;
use drift_judge::Judge;
use drift_text::ChatFormat;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulated::{Promoted, Users};
use std::path::{Path, PathBuf};

/// What a run ends with.
#[derive(Debug)]
pub struct Summary {
    /// Of each trained model, by the name of its folder: `warm`, `iter-1` …
    pub evals: Vec<(String, Eval)>,
    /// Of simulated users, the base model first; empty where none were asked.
    pub satisfied: Vec<Reception>,
    /// The last checkpoint; with `method.stop_after` the best one on the held-out pairs, with a gate the last that it
    /// let through; with its name.
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
    let recipe = config.method.name.recipe();
    // Before hours of work: a judge that cannot be asked.
    let judge = rank::open_judge(&config.method, &config.judge, folder.root())?;
    let run = Run { config, recipe, talk, format, folder, base: base.clone(), judge };
    run.write_settings()?;

    let found = run.detect(source, &logs)?;
    run.check_found(&found)?;
    let yardstick = run.put_aside(&found)?;

    let (mut evals, mut satisfied, mut trained) = (Vec::new(), Vec::new(), Vec::new());
    let users = Users::start(&run, &mut satisfied)?;
    let mut promoted = Promoted::start(&run)?;
    let mut policy = base;
    let iterations = recipe.iterations(&config.train);
    let how = run.how(Loss::Preference, &config.train, config.warm.epochs);
    if how.epochs > 0 && found.seed_pairs.rows.is_empty() {
        talk.warn("warm start: left out, there is no seed pair");
    } else if how.epochs > 0 {
        policy = run.train("warm", &policy, &found.seed_pairs, None, &how)?;
        trained.push("warm".to_string());
        evals.extend(run.evaluate("warm", &policy, &yardstick)?);
        users.judge(&run, "warm", &policy, iterations == 0, &mut satisfied)?;
        policy = promoted.next(&run, "warm", policy)?;
    }
    let mut previous = None;
    for k in 1..=iterations {
        let name = format!("iter-{k}");
        let train = config.method.train(&config.train, k);
        let how = run.how(recipe.loss, &train, train.epochs);
        policy = match recipe.loss {
            Loss::Preference => {
                let candidates = run.sample(&name, k, &policy, &found)?;
                let scores = run.rank(&name, &policy, &candidates, &found)?;
                let pairs = run.pair(&name, &candidates, scores.as_ref(), &found)?;
                let before = previous.take().filter(|_| recipe.mixes_previous(&config.method));
                let trained = run.train(&name, &policy, &pairs, before.as_ref(), &how)?;
                run.theory(&name, [&policy, &trained], &pairs, &train)?;
                previous = Some(pairs);
                trained
            }
            Loss::Kto | Loss::Sft => run.train_on_answers(&name, &policy, &found, &how)?,
        };
        trained.push(name.clone());
        evals.extend(run.evaluate(&name, &policy, &yardstick)?);
        let is_last = k == iterations || run.has_peaked(&evals);
        users.judge(&run, &name, &policy, is_last, &mut satisfied)?;
        policy = promoted.next(&run, &name, policy)?;
        if is_last {
            break;
        }
    }
    run.take_best(&evals, &mut promoted)?;
    promoted.write(&run, &trained)?;
    let report = report::write(run.folder.root())?;
    Ok(Summary { evals, satisfied, model: promoted.model.path, name: promoted.name, report })
}

/// The evaluation with the highest accuracy on the held-out pairs; among equals the one with the highest margin, then the
/// earliest.
fn best(evals: &[(String, Eval)]) -> Option<usize> {
    let figures =
        |at: usize| [evals[at].1.accuracy, evals[at].1.margin].map(|figure| figure.unwrap_or(f64::NEG_INFINITY));
    (0..evals.len()).reduce(|best, at| if figures(at) > figures(best) { at } else { best })
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

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows { rows: Vec::new(), hash: String::new() }
    }
}

/// What detection gave, split by conversation.
struct Found {
    cases: Vec<Case>,
    seed_pairs: Rows<Pair>,
    held_out_cases: Vec<Case>,
    held_out_pairs: Vec<Pair>,
    /// Of cases.jsonl.
    cases_hash: String,
    /// Answers that satisfied and answers with a verdict, both splits; empty where the method reads none.
    satisfied: Rows<Satisfied>,
    unpaired: Rows<Unpaired>,
}

impl Found {
    /// The prompts that the recipe has answered afresh, and the name and hash of where they come from.
    fn tasks(&self, recipe: &Recipe) -> (Vec<Task<'_>>, (&str, &str)) {
        match recipe.prompts {
            Prompts::Liked => {
                let rows = self.satisfied.rows.iter().filter(|row| row.split == Some(Split::Train));
                (rows.map(Task::from).collect(), ("satisfied", &self.satisfied.hash))
            }
            _ => (self.cases.iter().map(Task::from).collect(), ("cases", &self.cases_hash)),
        }
    }

    /// The single answers that the recipe trains on, and the hash of their file.
    fn answers(&self, recipe: &Recipe) -> (Vec<Answer<'_>>, &str) {
        if recipe.prompts == Prompts::Judged {
            let rows = self.unpaired.rows.iter().filter(|row| row.split == Some(Split::Train));
            return (rows.map(Answer::from).collect(), &self.unpaired.hash);
        }
        let rows = self.satisfied.rows.iter().filter(|row| row.split == Some(Split::Train));
        (rows.map(Answer::from).collect(), &self.satisfied.hash)
    }
}

struct Run<'a> {
    config: &'a Config,
    recipe: &'static Recipe,
    talk: &'a Talk,
    format: ChatFormat,
    folder: RunFolder,
    base: Weights,
    /// Of rank `judge`.
    judge: Option<Judge>,
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
        write_json(&root.join("run.json"), &facts)?;
        // Which model a run ended with is known when it has ended.
        match fs_err::remove_file(root.join("model.json")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
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
        let path = self.at(at).join(file);
        let hash = manifest.outputs.get(file).with_context(|| {
            let path = path.display();
            format!(
                "{path}: not there, expected what this version writes; hint: delete the folder {at} of the older one"
            )
        })?;
        Ok(Rows { rows: read_jsonl(&path)?, hash: hash.clone() })
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
        let has_probe = self.recipe.chosen == Side::Better && config.method.rank == Rank::Probe;
        let satisfied = match self.recipe.prompts == Prompts::Liked || has_probe {
            true => self.read(&manifest, "detect", detect::SATISFIED)?,
            false => Rows::default(),
        };
        let unpaired = match self.recipe.prompts {
            Prompts::Judged => self.read(&manifest, "detect", "unpaired.jsonl")?,
            _ => Rows::default(),
        };
        Ok(Found {
            satisfied,
            unpaired,
            cases: train,
            seed_pairs: Rows { rows: seeds, hash: pairs.hash },
            held_out_cases,
            held_out_pairs,
            cases_hash: cases.hash,
        })
    }

    /// Whatever the method cannot do without.
    fn check_found(&self, found: &Found) -> Result<()> {
        let place = self.config.dir.display();
        let hint = "detect/manifest.json counts what was dropped and why; lower detect.target_precision, raise the limits on \
                    tokens, or give more logs";
        let what = match self.recipe.prompts {
            Prompts::Nobodys if found.seed_pairs.rows.is_empty() => "seed pair",
            Prompts::Nobodys => return Ok(()),
            _ if self.config.train.iterations == 0 => return Ok(()),
            Prompts::Disliked if found.cases.is_empty() => "case",
            Prompts::Liked if found.tasks(self.recipe).0.is_empty() => "satisfying answer",
            Prompts::Judged if found.answers(self.recipe).0.is_empty() => "judged answer",
            _ => return Ok(()),
        };
        bail!("{place}: no {what} is left to train on, expected some; hint: {hint}")
    }

    /// The yardstick of all evaluations, made once: held-out cases with unguided answers of the base
    /// model, held-out seed pairs, and the base model's log-probs of both.
    fn put_aside(&self, found: &Found) -> Result<Rows<HeldOut>> {
        if found.held_out_cases.is_empty() && found.held_out_pairs.is_empty() {
            if self.config.method.stop_after > 0 {
                bail!("method.stop_after: nothing is held out, expected pairs to tell by; hint: raise detect.held_out");
            }
            self.talk.warn("evaluation: left out, nothing is held out; hint: raise detect.held_out");
            return Ok(Rows::default());
        }
        // As drift-unguided does it, whatever the method is: all are measured alike.
        let plain = Name::DriftUnguided.recipe();
        let tasks: Vec<Task> = found.held_out_cases.iter().map(Task::from).collect();
        let source = ("cases", &*found.cases_hash);
        let candidates = self.draw("held-out/sample", 0, plain, &self.base, &tasks, source)?;
        let pairs = self.make_pairs("held-out/pair", plain, &candidates, None, &tasks, source)?;
        let train = &self.config.train;
        let settings = json!({
            "precision": self.config.train_precision().name_in_training(), "max_prompt_length": train.max_prompt_length,
            "max_length": train.max_length,
        });
        let inputs = [("model", &*self.base.hash), ("pairs", &*pairs.hash), ("seed_pairs", &*found.seed_pairs.hash)];
        let manifest = self.stage("held-out/score", settings, &inputs, |stage| {
            let fresh = pairs.rows.iter().map(|pair| (Kind::FreshAnswer, pair.clone()));
            let revised = found.held_out_pairs.iter().map(|pair| (Kind::Revision, pair.clone()));
            let policy = Policy::load(&self.base.path, self.config.train_precision().in_training())?;
            let all = fresh.chain(revised).collect();
            evaluate::score_base(stage, &policy, all, train.max_prompt_length, train.max_length, self.talk)
        })?;
        self.read(&manifest, "held-out/score", "pairs.jsonl")
    }

    fn sample(&self, name: &str, k: usize, policy: &Weights, found: &Found) -> Result<Rows<Candidate>> {
        let (tasks, source) = found.tasks(self.recipe);
        self.draw(&format!("{name}/sample"), k, self.recipe, policy, &tasks, source)
    }

    fn draw(
        &self,
        at: &str,
        iteration: usize,
        recipe: &Recipe,
        policy: &Weights,
        tasks: &[Task],
        source: (&str, &str),
    ) -> Result<Rows<Candidate>> {
        let config = self.config;
        let (settings, answers) = (&recipe.sample(&config.sample), recipe.answers());
        let (max_prompt, max_guided) = (config.train.max_prompt_length, config.train.max_length);
        let mut stage_config = json!({
            "sample": settings.drawing(), "precision": config.precision, "seed": config.seed, "iteration": iteration,
            "max_prompt_length": max_prompt, "max_length": max_guided,
        });
        if answers > 1 {
            stage_config["answers"] = answers.into();
        }
        let manifest = self.stage(at, stage_config, &[("model", &policy.hash), source], |stage| {
            let (policy, seed) = (&Policy::load(&policy.path, config.precision)?, config.seed);
            let job = sample::Job { policy, tasks, answers, settings, seed, iteration, max_prompt, max_guided };
            sample::run(stage, &job, self.talk)
        })?;
        self.read(&manifest, at, "candidates.jsonl")
    }

    /// Scores of the answers, where the method has a better and a worse one.
    fn rank(
        &self,
        name: &str,
        policy: &Weights,
        candidates: &Rows<Candidate>,
        found: &Found,
    ) -> Result<Option<Rows<Scores>>> {
        if self.recipe.chosen != Side::Better {
            return Ok(None);
        }
        let config = self.config;
        let (method, max_prompt, seed) = (&config.method, config.train.max_prompt_length, config.seed);
        let at = format!("{name}/rank");
        // Whatever the command names may be what scores.
        let files = method.command.iter().filter(|word| Path::new(word).is_file());
        let files: Vec<(&str, String)> =
            files.map(|word| Ok((word.as_str(), hash_file(Path::new(word))?))).collect::<Result<_>>()?;
        let mut inputs = vec![("candidates", &*candidates.hash), ("cases", &*found.cases_hash)];
        let mut stage_config = json!({ "rank": method.rank });
        match method.rank {
            Rank::Guided => {}
            Rank::Command => {
                stage_config["command"] = json!(method.command);
                inputs.extend(files.iter().map(|(word, hash)| (*word, hash.as_str())));
            }
            Rank::Probe => {
                stage_config["precision"] = json!(config.precision);
                stage_config["max_prompt_length"] = max_prompt.into();
                stage_config["seed"] = seed.into();
                inputs.extend([("model", &*policy.hash), ("satisfied", &*found.satisfied.hash)]);
            }
            Rank::Judge => stage_config["judge"] = json!(self.judge.as_ref().map(Judge::id)),
        }
        let (tasks, _) = found.tasks(self.recipe);
        let disliked = found.cases.iter().chain(&found.held_out_cases).map(|case| (Task::from(case), false));
        let judged: Vec<(Task, bool)> =
            disliked.chain(found.satisfied.rows.iter().map(|row| (Task::from(row), true))).collect();
        let manifest = self.stage(&at, stage_config, &inputs, |stage| {
            let policy = &|| Policy::load(&policy.path, config.precision);
            let (tasks, candidates, judged, judge) = (&tasks, &candidates.rows, &judged, self.judge.as_ref());
            let job = rank::Job { method, tasks, candidates, policy, judged, judge, max_prompt, seed };
            rank::run(stage, &job, self.talk)
        })?;
        Ok(Some(self.read(&manifest, &at, "scores.jsonl")?))
    }

    fn pair(
        &self,
        name: &str,
        candidates: &Rows<Candidate>,
        scores: Option<&Rows<Scores>>,
        found: &Found,
    ) -> Result<Rows<Pair>> {
        let (tasks, source) = found.tasks(self.recipe);
        self.make_pairs(&format!("{name}/pair"), self.recipe, candidates, scores, &tasks, source)
    }

    fn make_pairs(
        &self,
        at: &str,
        recipe: &Recipe,
        candidates: &Rows<Candidate>,
        scores: Option<&Rows<Scores>>,
        tasks: &[Task],
        source: (&str, &str),
    ) -> Result<Rows<Pair>> {
        let (settings, train) = (&self.config.sample, &self.config.train);
        let (max_prompt, max_length) = (train.max_prompt_length, train.max_length);
        let confidence_weights = self.config.method.confidence_weights;
        let stage_config = pair::settings_json(settings, train, confidence_weights);
        let mut inputs = vec![("model", &*self.base.hash), ("candidates", &*candidates.hash), source];
        inputs.extend(scores.map(|scores| ("scores", &*scores.hash)));
        let manifest = self.stage(at, stage_config, &inputs, |stage| {
            let (format, candidates) = (&self.format, &candidates.rows);
            let scores = scores.map_or(&[][..], |scores| &scores.rows);
            let job = pair::Job {
                format,
                recipe,
                tasks,
                candidates,
                scores,
                settings,
                max_prompt,
                max_length,
                confidence_weights,
            };
            pair::run(stage, &job)
        })?;
        self.read(&manifest, at, "pairs.jsonl")
    }

    fn train(
        &self,
        name: &str,
        policy: &Weights,
        pairs: &Rows<Pair>,
        previous: Option<&Rows<Pair>>,
        how: &train::Settings,
    ) -> Result<Weights> {
        let mut inputs = vec![("pairs", &*pairs.hash)];
        inputs.extend(previous.map(|previous| ("previous_pairs", &*previous.hash)));
        let all = [&pairs.rows[..], previous.map_or(&[], |previous| &previous.rows)].concat();
        self.fit(name, policy, &train::Material::Pairs(&all), &inputs, how)
    }

    fn train_on_answers(&self, name: &str, policy: &Weights, found: &Found, how: &train::Settings) -> Result<Weights> {
        let (answers, hash) = found.answers(self.recipe);
        let material = train::Material::Answers(&answers);
        self.fit(name, policy, &material, &[("answers", hash)], how)
    }

    fn how<'s>(&'s self, loss: Loss, train: &'s Train, epochs: usize) -> train::Settings<'s> {
        let (method, precision, seed) = (&self.config.method, self.config.train_precision(), self.config.seed);
        train::Settings { method, loss, train, epochs, precision, seed }
    }

    fn fit(
        &self,
        name: &str,
        policy: &Weights,
        material: &train::Material,
        material_inputs: &[(&str, &str)],
        how: &train::Settings,
    ) -> Result<Weights> {
        let at = format!("{name}/train");
        let inputs = [&[("model", &*policy.hash)], material_inputs].concat();
        let manifest = self.stage(&at, how.to_json(), &inputs, |stage| {
            train::run(stage, Policy::load(&policy.path, how.precision.in_training())?, material, how, self.talk)
        })?;
        let path = self.at(&at).join(train::CHECKPOINT);
        Ok(Weights { path, hash: manifest.outputs[train::CHECKPOINT].clone() })
    }

    /// What the pairs had to teach before and after training on them.
    fn theory(&self, name: &str, [before, after]: [&Weights; 2], pairs: &Rows<Pair>, train: &Train) -> Result<()> {
        let (config, precision) = (self.config, self.config.train_precision());
        // Its quantities are those of DPO's own loss.
        if train.theory_pairs == 0 || train.loss != crate::config::sections::Loss::Sigmoid {
            return Ok(());
        }
        let stage_config = json!({
            "sample": train.theory_pairs, "precision": precision.name_in_training(), "beta": train.beta, "seed": config.seed,
            "max_prompt_length": train.max_prompt_length, "max_length": train.max_length,
        });
        let inputs = [("before", &*before.hash), ("after", &*after.hash), ("pairs", &*pairs.hash)];
        self.stage(&format!("{name}/theory"), stage_config, &inputs, |stage| {
            let open = |weights: &Weights| Policy::load(&weights.path, precision.in_training());
            let (before, after): (&dyn Fn() -> _, &dyn Fn() -> _) = (&|| open(before), &|| open(after));
            let (pairs, sample, seed) = (&pairs.rows[..], train.theory_pairs, config.seed);
            theory::run(stage, &theory::Job { pairs, before, after, train, precision, sample, seed }, self.talk)
        })?;
        Ok(())
    }

    /// Whether `method.stop_after` says that going on is of no use.
    fn has_peaked(&self, evals: &[(String, Eval)]) -> bool {
        let patience = self.config.method.stop_after;
        patience > 0 && best(evals).is_some_and(|at| evals.len() - 1 - at >= patience)
    }

    /// With `method.stop_after` the checkpoint that did best on the held-out pairs is the run's, unless a gate decides;
    /// says which.
    fn take_best(&self, evals: &[(String, Eval)], promoted: &mut Promoted) -> Result<()> {
        let Some(at) = best(evals).filter(|_| self.config.method.stop_after > 0) else { return Ok(()) };
        let (name, Eval { accuracy, margin, .. }) = &evals[at];
        let figure = |figure: Option<f64>| figure.map_or("none".into(), |figure| format!("{figure:.3}"));
        let later = evals.len() - 1 - at;
        let stop = if self.has_peaked(evals) { ", so no other was begun" } else { "" };
        let (accuracy, margin) = (figure(*accuracy), figure(*margin));
        self.talk.step(
            "best",
            format_args!(
                "{name} (held-out accuracy {accuracy}, margin {margin}); {later} after it did no better{stop}"
            ),
        );
        if self.config.gate.simulated == 0 {
            let folder = self.at(name).join("train");
            let manifest: Manifest = read_json(&folder.join("manifest.json"))?;
            let hash = manifest.outputs[train::CHECKPOINT].clone();
            (promoted.name, promoted.model) = (name.clone(), Weights { path: folder.join(train::CHECKPOINT), hash });
        }
        Ok(())
    }

    fn evaluate(&self, name: &str, policy: &Weights, yardstick: &Rows<HeldOut>) -> Result<Option<(String, Eval)>> {
        if yardstick.rows.is_empty() {
            return Ok(None);
        }
        let config = self.config;
        let at = format!("{name}/evaluate");
        let stage_config = json!({
            "precision": config.train_precision().name_in_training(), "beta": config.train.beta, "seed": config.seed,
            "max_prompt_length": config.train.max_prompt_length, "max_length": config.train.max_length,
        });
        self.stage(&at, stage_config, &[("model", &policy.hash), ("held_out", &yardstick.hash)], |stage| {
            let job = evaluate::Job {
                policy: &Policy::load(&policy.path, config.train_precision().in_training())?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_the_first_with_the_highest_accuracy_and_margin() {
        let evals = |figures: &[(f64, f64)]| -> Vec<(String, Eval)> {
            let eval = |(accuracy, margin): &(f64, f64)| Eval {
                accuracy: Some(*accuracy),
                margin: Some(*margin),
                ..Eval::default()
            };
            figures.iter().map(|figures| (String::new(), eval(figures))).collect()
        };
        assert_eq!(best(&evals(&[(0.5, 0.0), (0.7, 0.1), (0.6, 0.9)])), Some(1));
        assert_eq!(best(&evals(&[(0.7, 0.1), (0.7, 0.3), (0.7, 0.2), (0.7, 0.3)])), Some(1));
        assert_eq!(best(&[]), None);
    }
}
