//! Simulated users inside a run: how satisfied they are with each model, and which model may take the run's place.

use super::{Run, Weights};
use crate::config::sections::Evaluate;
use crate::files::{read_json, write_json};
use crate::policy::Policy;
use crate::run_folder::{Manifest, Stage};
use crate::simulated::asking::{Drawing, TEMPERATURE};
use crate::simulated::{Suite, comparison, figures, read_answers};
use crate::stages::gate;
use crate::stages::satisfaction::{self, ANSWERS};
use anyhow::Result;
use drift_eval::gate::Ruling;
use drift_eval::satisfaction::{Comparison, Share};
use drift_eval::simulated::{Prompt, Split};
use serde_json::json;

/// What simulated users made of a model.
#[derive(Debug)]
pub struct Reception {
    /// `base`, `warm`, `iter-1` …
    pub model: String,
    pub satisfied: Share,
    /// Against the base model (a); `None` for the base model itself.
    pub change: Option<Comparison>,
}

/// Prompts, and answers of the model that others are compared with.
struct Bench {
    suite: Suite,
    prompts: Vec<Prompt>,
    answers: Answers,
}

#[derive(Clone)]
struct Answers {
    texts: Vec<String>,
    /// Of their file.
    hash: String,
}

impl Bench {
    fn new(run: &Run, split: Split, n: usize) -> Result<Bench> {
        let suite = Suite { split, n, kinds: run.config.evaluate.kinds.clone(), seed: run.config.seed };
        Ok(Bench { prompts: suite.prompts()?, suite, answers: Answers { texts: Vec::new(), hash: String::new() } })
    }

    /// A model's answers, in a stage that `work` ends. `settings` are what else it depends on.
    fn put_to(
        &self,
        run: &Run,
        at: &str,
        model: &Weights,
        settings: serde_json::Value,
        base: Option<&[String]>,
        work: impl FnOnce(&Stage, &satisfaction::Job) -> Result<Manifest>,
    ) -> Result<Answers> {
        let config = run.config;
        let drawing = drawing(&config.evaluate, config.sample.concurrency);
        let stage_config = json!({
            "suite": self.suite, "drawing": drawing, "precision": config.precision, "seed": config.seed, "more": settings,
        });
        let mut inputs = vec![("model", &*model.hash)];
        if !self.answers.hash.is_empty() {
            inputs.push(("against", &self.answers.hash));
        }
        let manifest = run.stage(at, stage_config, &inputs, |stage| {
            let policy = &Policy::load(&model.path, config.precision)?;
            let (suite, prompts, seed) = (&self.suite, &*self.prompts, config.seed);
            work(stage, &satisfaction::Job { policy, suite, prompts, drawing: &drawing, seed, base })
        })?;
        let texts = read_answers(&run.at(at).join(ANSWERS), &self.prompts)?;
        Ok(Answers { texts, hash: manifest.outputs[ANSWERS].clone() })
    }
}

fn drawing(settings: &Evaluate, concurrency: usize) -> Drawing {
    Drawing { temperature: TEMPERATURE, max_new: settings.max_new_tokens, concurrency }
}

/// The prompts of `[evaluate]`, with the base model's answers; `None` where there are none.
pub struct Users(Option<Bench>);

impl Users {
    pub fn start(run: &Run, satisfied: &mut Vec<Reception>) -> Result<Users> {
        let settings = &run.config.evaluate;
        if settings.simulated == 0 {
            return Ok(Users(None));
        }
        let mut users = Users(Some(Bench::new(run, settings.split, settings.simulated)?));
        let base = users.ask(run, "base", &run.base, satisfied)?;
        if let (Users(Some(bench)), Some(base)) = (&mut users, base) {
            bench.answers = base;
        }
        Ok(users)
    }

    fn ask(&self, run: &Run, name: &str, model: &Weights, satisfied: &mut Vec<Reception>) -> Result<Option<Answers>> {
        let Users(Some(bench)) = self else { return Ok(None) };
        let base = (!bench.answers.texts.is_empty()).then_some(&*bench.answers.texts);
        let answers = bench.put_to(run, &format!("{name}/satisfaction"), model, json!(null), base, |stage, job| {
            satisfaction::run(stage, job, run.talk)
        })?;
        let seed = run.config.seed;
        satisfied.push(Reception {
            model: name.to_string(),
            satisfied: figures(&bench.prompts, &answers.texts, seed)?.satisfied,
            change: base.map(|base| comparison(&bench.prompts, base, &answers.texts, seed)).transpose()?,
        });
        Ok(Some(answers))
    }

    pub fn judge(
        &self,
        run: &Run,
        name: &str,
        model: &Weights,
        is_last: bool,
        satisfied: &mut Vec<Reception>,
    ) -> Result<()> {
        match is_last || !run.config.evaluate.last_alone {
            true => self.ask(run, name, model, satisfied).map(drop),
            false => Ok(()),
        }
    }
}

/// The run's model so far, and the prompts on which another must beat it.
pub struct Promoted {
    pub name: String,
    pub model: Weights,
    bench: Option<Bench>,
}

impl Promoted {
    pub fn start(run: &Run) -> Result<Promoted> {
        let settings = &run.config.gate;
        let (name, model) = ("base".to_string(), run.base.clone());
        if settings.simulated == 0 {
            return Ok(Promoted { name, model, bench: None });
        }
        let mut bench = Bench::new(run, settings.split, settings.simulated)?;
        bench.answers = bench.put_to(run, "base/gate", &run.base, json!(null), None, |stage, job| {
            gate::run(stage, job, None, &gate::limits(settings), run.talk)
        })?;
        Ok(Promoted { name, model, bench: Some(bench) })
    }

    /// The model to go on from. One that is better becomes the run's model. One that is neither better nor worse does
    /// not, but is trained on: steps too small to be measured add up, and the next is again compared with the run's
    /// model. One that is worse is dropped.
    pub fn next(&mut self, run: &Run, name: &str, new: Weights) -> Result<Weights> {
        let Some(bench) = &mut self.bench else {
            *self = Promoted { name: name.to_string(), model: new.clone(), bench: None };
            return Ok(new);
        };
        let limits = gate::limits(&run.config.gate);
        let at = format!("{name}/gate");
        let old = gate::Old { name: &self.name, answers: &bench.answers.texts };
        let answers =
            bench.put_to(run, &at, &new, json!({ "limits": limits, "against": self.name }), None, |stage, job| {
                gate::run(stage, job, Some(&old), &limits, run.talk)
            })?;
        let ruled: gate::Ruled = read_json(&run.at(&at).join("gate.json"))?;
        let old = &self.name;
        match ruled.ruling {
            Ruling::Better => {
                run.talk.step("gate", format_args!("{name} takes the place of {old}; {}", ruled.why));
                bench.answers = answers;
                (self.name, self.model) = (name.to_string(), new.clone());
                Ok(new)
            }
            Ruling::NotBetter => {
                run.talk.step("gate", format_args!("{old} stays, training goes on from {name}; {}", ruled.why));
                Ok(new)
            }
            Ruling::Worse => {
                run.talk.step("gate", format_args!("{old} stays, {name} is dropped; {}", ruled.why));
                Ok(self.model.clone())
            }
        }
    }

    /// `model.json`: which model the run ended with, and which ones it trained.
    pub fn write(&self, run: &Run, trained: &[String]) -> Result<()> {
        let root = run.folder.root();
        let path = self.model.path.strip_prefix(root).unwrap_or(&self.model.path);
        write_json(
            &root.join("model.json"),
            &json!({ "name": self.name, "path": path, "hash": self.model.hash, "trained": trained }),
        )
    }
}
