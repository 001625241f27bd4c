//! Pairs or single answers in, checkpoint out: trained from the policy it is given, which is the reference too.

use crate::config::sections::{self, Loss, Method, Precision};
use crate::files::write_json;
use crate::interrupt;
use crate::memory::activation_bytes;
use crate::method;
use crate::policy::Policy;
use crate::profile;
use crate::run_folder::{Manifest, Stage};
use crate::talk::{Talk, Unit};
use crate::tensorboard::write_events;
use crate::tokens::{Answer, examples, single_answers};
use anyhow::{Result, bail};
use drift_chat::Pair;
use drift_train::config::TrainConfig;
use drift_train::examples::{Lengths, Order, OverLong};
use drift_train::loss::{Objective, PairLoss};
use drift_train::optim::OptimizerKind;
use drift_train::schedule::{Decay, Schedule};
use drift_train::{Event, Example, Job, Outcome, state};
use serde_json::{Value, json};

/// The folder of the trained model within the stage's.
pub const CHECKPOINT: &str = "checkpoint";

/// Where the time went, [`profile::Profile`].
pub const PROFILE: &str = "profile.json";

/// Names of the inputs that a model learns from.
pub const MATERIAL: [&str; 3] = ["pairs", "previous_pairs", "answers"];

/// What is learnt from.
pub enum Material<'a> {
    Pairs(&'a [Pair]),
    Answers(&'a [Answer<'a>]),
}

/// How.
pub struct Settings<'a> {
    pub method: &'a Method,
    pub loss: method::Loss,
    pub train: &'a sections::Train,
    pub epochs: usize,
    pub precision: Precision,
    pub seed: u64,
}

impl Settings<'_> {
    /// For the manifest.
    pub fn to_json(&self) -> Value {
        json!({
            "train": self.loss.arithmetic(self.method, self.train), "epochs": self.epochs, "precision": self.precision.name_in_training(),
            "seed": self.seed,
        })
    }
}

pub fn run(stage: &Stage, mut policy: Policy, material: &Material, how: &Settings, talk: &Talk) -> Result<Manifest> {
    stage.begin(&["train.state", "metrics.jsonl"])?;
    let train = how.train;
    let (kept, counts) = match material {
        Material::Pairs(pairs) => {
            let (kept, counts) = examples(&policy.format, pairs, train.max_prompt_length, train.max_length);
            (kept.into_iter().map(|(_, example)| example).collect(), counts)
        }
        Material::Answers(answers) => {
            single_answers(&policy.format, answers, train.max_prompt_length, train.max_length)
        }
    };
    if kept.is_empty() {
        let what = if matches!(material, Material::Pairs(_)) { "pair" } else { "answer" };
        bail!(
            "{}: no {what} to train on ({counts}); hint: look at the reasons, or give more cases",
            stage.dir.display()
        );
    }
    let mut settings = train_config(train, how.seed, how.epochs);
    if let Some((loss, rpo_alpha)) = how.loss.of_single_answers(how.method) {
        settings.objective = Objective { loss, rpo_alpha, ..settings.objective };
    }
    if let PairLoss::Kto { desirable_weight, undesirable_weight } = settings.objective.loss {
        tell_balance(&kept, [desirable_weight, undesirable_weight], talk);
    }
    let total = settings.total_steps(kept.len());
    if (0..total).all(|step| settings.schedule.at(step, total) == 0.0) {
        talk.warn(format_args!(
            "{}: all {total} steps have learning rate 0 (the warm-up starts there), so nothing is learnt; hint: more pairs, a \
             smaller train.batch_size, or train.warmup_ratio = 0",
            stage.dir.display()
        ));
    }
    if kept.iter().all(|example| example.weight == 0.0) {
        talk.warn(format_args!(
            "{}: all pairs have weight 0, so no preference is learnt; hint: the key `weight` of the pairs",
            stage.dir.display()
        ));
    }
    let memory = activation_bytes(policy.model.config(), train, how.precision);
    if memory == 0 {
        talk.warn("memory: too little for weights, gradients and optimiser, training may fail; hint: `drift doctor` counts it");
    }
    let job = Job {
        config: &settings,
        dir: &stage.dir,
        weights: &policy.weights,
        save_every: train.save_every,
        activation_bytes: memory,
    };
    let bar = talk.bar("training", total as u64, Unit::Count);
    let mut observe = |event: Event| {
        match event {
            Event::Reference { done, total } => {
                bar.set_message(format!("reference log-probs {done}/{total}"));
                bar.tick();
            }
            Event::Start { resumed_at, .. } => {
                bar.set_position(resumed_at as u64);
                bar.reset_eta();
            }
            Event::Step(step) => {
                bar.set_position(step.metrics.step as u64);
                let margin = step.metrics.rewards_margins.map(|margin| format!(", margin {margin:+.4}"));
                bar.set_message(format!("loss {:.4}{}", step.metrics.loss, margin.unwrap_or_default()));
            }
        }
        interrupt::flow()
    };
    let running = profile::Running::start();
    let report = drift_train::train(&mut policy.model, kept, &job, &mut observe)?;
    bar.finish_and_clear();
    if report.outcome == Outcome::Stopped {
        return Err(interrupt::Interrupted.into());
    }
    write_json(&stage.path(PROFILE), &running.finish())?;
    policy.save(&stage.path(CHECKPOINT))?;
    write_events(&stage.path("metrics.jsonl"), &stage.dir, wall_time())?;
    let manifest = stage.finish(counts, &[CHECKPOINT, "metrics.jsonl"])?;
    state::remove(&stage.dir)?;
    Ok(manifest)
}

/// Kinds of very different weight: the larger one alone would be learnt from (arXiv 2402.01306, eq. 8: the ratio is to be 1
/// to 4/3).
fn tell_balance(kept: &[Example], weights: [f64; 2], talk: &Talk) {
    let good = kept.iter().filter(|example| !example.chosen.is_empty()).count();
    let bad = kept.len() - good;
    let ratio = weights[0] * good as f64 / (weights[1] * bad as f64);
    if !(0.99..=1.34).contains(&ratio) {
        talk.warn(format_args!(
            "kto: {good} satisfying answers weigh {} each and {bad} others {}: a ratio of {ratio:.2}, where 1 to 1.33 is advised; \
             hint: method.desirable_weight and undesirable_weight",
            weights[0], weights[1]
        ));
    }
}

/// The trainer's settings. Prompts already fit, so it only has to check.
pub fn train_config(train: &sections::Train, seed: u64, epochs: usize) -> TrainConfig {
    let label_smoothing = train.label_smoothing;
    let loss = match train.loss {
        Loss::Sigmoid if label_smoothing > 0.0 => PairLoss::Cdpo { label_smoothing },
        Loss::Sigmoid => PairLoss::Sigmoid,
        Loss::SigmoidNorm => PairLoss::SigmoidNorm,
        Loss::Ipo => PairLoss::Ipo,
        Loss::Hinge => PairLoss::Hinge,
        Loss::Robust => PairLoss::Robust { label_smoothing },
    };
    let decay = match train.schedule {
        sections::Schedule::Linear => Decay::Linear,
        sections::Schedule::Cosine => Decay::Cosine,
        sections::Schedule::Constant => Decay::Constant,
    };
    TrainConfig {
        objective: Objective { loss, beta: train.beta, rpo_alpha: train.rpo_alpha },
        optimizer: match train.optimizer {
            sections::Optimizer::Rmsprop => OptimizerKind::RMSPROP,
            sections::Optimizer::Adamw => OptimizerKind::ADAMW,
        },
        schedule: Schedule { learning_rate: train.learning_rate, decay, warmup_ratio: train.warmup_ratio },
        max_grad_norm: if train.max_grad_norm > 0.0 { train.max_grad_norm } else { f64::INFINITY },
        batch_size: train.batch_size,
        epochs,
        order: Order::Shuffled { seed },
        lengths: Lengths {
            max_length: train.max_length,
            max_prompt_length: train.max_prompt_length,
            over_long: OverLong::Drop,
        },
        ..TrainConfig::default()
    }
}

/// Seconds since 1970, for the event file alone.
fn wall_time() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
