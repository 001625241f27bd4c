//! The trainer in f32 against TRL: every step of `reference/trl_fp32_trace.json`, on the real model.
//!
//! The trace lies in `DRIFT_SHARED` or beside the repository in `shared`, the model (the GGUF that the
//! trace names) at `DRIFT_TEST_MODEL` or in the cache of fetched assets. Without both the test is skipped.

use drift_lm::{Model, Precision};
use drift_train::config::TrainConfig;
use drift_train::examples::{Lengths, Order, OverLong};
use drift_train::loss::{Objective, PairLoss};
use drift_train::metrics::PairRecord;
use drift_train::optim::{OptimizerKind, norms_by_param};
use drift_train::schedule::{Decay, Schedule};
use drift_train::{Event, Example, Job, StepDone, train};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Trace {
    hyper: Hyper,
    examples: Vec<Pair>,
    trace: Vec<Step>,
}

#[derive(Deserialize)]
struct Hyper {
    beta: f64,
    loss_type: Vec<String>,
    loss_weights: Vec<f64>,
    lr: f64,
    max_grad_norm: f64,
    batch: usize,
    max_length: usize,
}

#[derive(Deserialize)]
struct Pair {
    index: usize,
    prompt_ids: Vec<u32>,
    chosen_ids: Vec<u32>,
    rejected_ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Step {
    step: usize,
    examples: Vec<usize>,
    loss: f64,
    grad_norm_preclip: f64,
    learning_rate_in_use: f64,
    metrics: HashMap<String, f64>,
    policy_logps_chosen: Vec<f64>,
    policy_logps_rejected: Vec<f64>,
    ref_logps_chosen: Vec<f64>,
    ref_logps_rejected: Vec<f64>,
    grad_l2_per_param_after_clip: HashMap<String, f64>,
}

fn shared(file: &str) -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    std::env::var_os("DRIFT_SHARED").map_or_else(beside, PathBuf::from).join(file)
}

fn model_path() -> PathBuf {
    if let Some(path) = std::env::var_os("DRIFT_TEST_MODEL") {
        return path.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(home, PathBuf::from)
        .join("drift/assets/SmolLM2-135M-Instruct.Q4_1.gguf")
}

/// The largest deviation from the trace, and where; an error as soon as one exceeds its bound.
#[derive(Default)]
struct Deviations(Vec<(&'static str, f64, String)>);

impl Deviations {
    fn see(&mut self, kind: &'static str, deviation: f64, bound: f64, place: String) {
        assert!(deviation <= bound, "{kind} at {place} is off by {deviation:.3e}, allowed are {bound:.0e}");
        match self.0.iter_mut().find(|(k, ..)| *k == kind) {
            Some(worst) if worst.1 >= deviation => {}
            Some(worst) => *worst = (kind, deviation, place),
            None => self.0.push((kind, deviation, place)),
        }
    }
}

type Field = fn(&PairRecord) -> f64;

fn compare(step: &Step, done: &StepDone, worst: &mut Deviations) {
    let m = done.metrics;
    let at = |what: &str| format!("step {}, {what}", step.step);
    worst.see("loss", (m.loss - step.loss).abs(), 1e-4, at("loss"));
    worst.see("gradient norm (relative)", (m.grad_norm / step.grad_norm_preclip - 1.0).abs(), 3e-3, at("all"));
    assert!((m.learning_rate - step.learning_rate_in_use).abs() <= 1e-12 * m.learning_rate, "{}", m.learning_rate);
    assert_eq!(m.num_tokens as f64, step.metrics["num_tokens"]);
    let trls: [(&[f64], Field); 4] = [
        (&step.policy_logps_chosen, |p| p.policy_chosen_logps),
        (&step.policy_logps_rejected, |p| p.policy_rejected_logps),
        (&step.ref_logps_chosen, |p| p.ref_chosen_logps),
        (&step.ref_logps_rejected, |p| p.ref_rejected_logps),
    ];
    for (theirs, ours) in trls {
        assert_eq!(theirs.len(), done.pairs.len());
        for (want, pair) in theirs.iter().zip(done.pairs) {
            worst.see("log-probs (nats)", (ours(pair) - want).abs(), 5e-3, at(&pair.id));
        }
    }
    for (name, ours) in [
        ("rewards/chosen", m.rewards_chosen.unwrap()),
        ("rewards/rejected", m.rewards_rejected.unwrap()),
        ("rewards/margins", m.rewards_margins.unwrap()),
        ("logps/chosen", m.logps_chosen.unwrap()),
        ("logps/rejected", m.logps_rejected.unwrap()),
    ] {
        worst.see("mean rewards and log-probs", (ours - step.metrics[name]).abs(), 5e-3, at(name));
    }
    let layout = done.model.layout();
    assert_eq!(layout.params.len(), step.grad_l2_per_param_after_clip.len());
    for (param, norm) in layout.params.iter().zip(norms_by_param(layout, done.grads)) {
        let want = step.grad_l2_per_param_after_clip[&param.name];
        worst.see("a parameter's gradient norm (relative)", (norm / want - 1.0).abs(), 1e-2, at(&param.name));
    }
}

#[test]
fn every_step_of_the_trace_is_met() {
    let (trace, model) = (shared("reference/trl_fp32_trace.json"), model_path());
    for path in [&trace, &model] {
        if !path.exists() {
            // Past the capture of the test harness, which would keep quiet about it.
            _ = writeln!(std::io::stderr(), "SKIPPED, NOTHING COMPARED WITH TRL: {} is absent", path.display());
            return;
        }
    }
    let trace: Trace = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    let hyper = &trace.hyper;
    assert_eq!(hyper.loss_type, ["sigmoid", "sft"]);
    let config = TrainConfig {
        objective: Objective { loss: PairLoss::Sigmoid, beta: hyper.beta, rpo_alpha: hyper.loss_weights[1] },
        optimizer: OptimizerKind::RMSPROP,
        schedule: Schedule { learning_rate: hyper.lr, decay: Decay::Linear, warmup_ratio: 0.1 },
        max_grad_norm: hyper.max_grad_norm,
        batch_size: hyper.batch,
        order: Order::Sequential,
        lengths: Lengths {
            max_length: hyper.max_length,
            max_prompt_length: hyper.max_length,
            over_long: OverLong::Drop,
        },
        ..TrainConfig::default()
    };
    let last = trace.trace.len();
    assert!(last > 0);
    // Pairs that no step of the trace reaches count for the schedule alone, so one token of each will do.
    let examples: Vec<Example> = trace
        .examples
        .into_iter()
        .map(|pair| {
            let keep = if pair.index < last * hyper.batch { usize::MAX } else { 1 };
            let ids = |ids: Vec<u32>| ids.into_iter().take(keep).collect();
            Example {
                id: pair.index.to_string(),
                prompt: ids(pair.prompt_ids),
                chosen: ids(pair.chosen_ids),
                rejected: ids(pair.rejected_ids),
                weight: 1.0,
            }
        })
        .collect();
    let loaded = drift_lm::load::load(&model).unwrap();
    let mut model = Model::new(loaded.config, loaded.params, Precision::F32);
    let dir = tempfile::tempdir().unwrap();
    let weights = "the model of the trace";
    let job = Job { config: &config, dir: dir.path(), weights, save_every: 0, activation_bytes: 2 << 30 };
    let mut worst = Deviations::default();
    let report = train(&mut model, examples, &job, &mut |event| {
        let Event::Step(done) = event else { return ControlFlow::Continue(()) };
        let step = &trace.trace[done.metrics.step - 1];
        assert_eq!(step.step, done.metrics.step);
        let ids: Vec<String> = step.examples.iter().map(usize::to_string).collect();
        assert_eq!(ids, done.pairs.iter().map(|p| p.id.as_str()).collect::<Vec<_>>());
        compare(step, &done, &mut worst);
        if step.step == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(report.steps, last);
    println!("{last} steps of TRL met; the largest deviations:");
    for (kind, deviation, place) in worst.0 {
        println!("  {kind}: {deviation:.2e} ({place})");
    }
}
