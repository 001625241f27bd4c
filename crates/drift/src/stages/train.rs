//! Pairs in, checkpoint out: DPO from the policy it is given, which is the reference too.

use crate::config::Config;
use crate::config::sections::{self, Loss};
use crate::interrupt;
use crate::memory::activation_bytes;
use crate::policy::Policy;
use crate::run_folder::{Manifest, Stage};
use crate::talk::{Talk, Unit};
use crate::tensorboard::write_events;
use crate::tokens::examples;
use anyhow::{Result, bail};
use drift_chat::Pair;
use drift_train::config::TrainConfig;
use drift_train::examples::{Lengths, Order, OverLong};
use drift_train::loss::{Objective, PairLoss};
use drift_train::optim::OptimizerKind;
use drift_train::schedule::{Decay, Schedule};
use drift_train::{Event, Job, Outcome, state, train};

/// The folder of the trained model within the stage's.
pub const CHECKPOINT: &str = "checkpoint";

pub fn run(
    stage: &Stage,
    mut policy: Policy,
    pairs: &[Pair],
    config: &Config,
    epochs: usize,
    talk: &Talk,
) -> Result<Manifest> {
    stage.begin(&["train.state", "metrics.jsonl"])?;
    let (kept, counts) = examples(&policy.format, pairs, config.train.max_prompt_length, config.train.max_length);
    if kept.is_empty() {
        bail!("{}: no pair to train on ({counts}); hint: look at the reasons, or give more cases", stage.dir.display());
    }
    let settings = train_config(&config.train, config.seed, epochs);
    let total = settings.total_steps(kept.len());
    if (0..total).all(|step| settings.schedule.at(step, total) == 0.0) {
        talk.warn(format_args!(
            "{}: all {total} steps have learning rate 0 (the warm-up starts there), so nothing is learnt; hint: more pairs, a \
             smaller train.batch_size, or train.warmup_ratio = 0",
            stage.dir.display()
        ));
    }
    let memory = activation_bytes(policy.model.config(), &config.train, config.train_precision());
    if memory == 0 {
        talk.warn("memory: too little for weights, gradients and optimiser, training may fail; hint: `drift doctor` counts it");
    }
    let job = Job {
        config: &settings,
        dir: &stage.dir,
        weights: &policy.weights,
        save_every: config.train.save_every,
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
                bar.set_message(format!("loss {:.4}, margin {:+.4}", step.metrics.loss, step.metrics.rewards_margins));
            }
        }
        interrupt::flow()
    };
    let kept = kept.into_iter().map(|(_, example)| example).collect();
    let report = train(&mut policy.model, kept, &job, &mut observe)?;
    bar.finish_and_clear();
    if report.outcome == Outcome::Stopped {
        return Err(interrupt::Interrupted.into());
    }
    policy.save(&stage.path(CHECKPOINT))?;
    write_events(&stage.path("metrics.jsonl"), &stage.dir, wall_time())?;
    let manifest = stage.finish(counts, &[CHECKPOINT, "metrics.jsonl"])?;
    state::remove(&stage.dir)?;
    Ok(manifest)
}

/// The trainer's settings. Prompts already fit, so it only has to check.
pub fn train_config(train: &sections::Train, seed: u64, epochs: usize) -> TrainConfig {
    let label_smoothing = train.label_smoothing;
    let loss = match train.loss {
        Loss::Sigmoid if label_smoothing > 0.0 => PairLoss::Cdpo { label_smoothing },
        Loss::Sigmoid => PairLoss::Sigmoid,
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
