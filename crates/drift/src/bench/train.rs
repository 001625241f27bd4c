//! Steps of DPO as `drift train` does them, with the paper's recipe, on the first pairs of a file.

use super::{Bounds, Row, ceiling};
use crate::cli::ModelArgs;
use crate::memory::{activation_bytes, training_peak};
use crate::policy::Policy;
use crate::profile;
use crate::stages::train::train_config;
use crate::talk::{Talk, Unit};
use crate::{config, interrupt, tokens};
use anyhow::{Result, bail};
use drift_chat::read_pairs;
use drift_lm::{ModelConfig, Packed};
use drift_train::examples::{Order, most_at_once};
use drift_train::{Event, Example, Job, train};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// JSON lines of prompt, chosen, rejected
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Steps to measure; one more comes before them
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Pairs a step
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Memory for the whole run, in GB [default: three quarters of what is free]
    #[arg(long, value_name = "GB")]
    memory_gb: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Measured {
    pairs_per_s: f64,
    /// Distinct tokens: a prompt counts once for both answers.
    tokens_per_s: f64,
    /// Least work over time: each distinct token once, logits for answers alone, forward and backward
    /// without recomputation, and the reference's forward pass.
    tflops: f64,
    ceiling_tflops: f64,
    ceiling_fraction: f64,
    step_seconds: Vec<f64>,
    reference_seconds_per_step: f64,
    distinct_tokens_per_step: f64,
    least_tflop_per_step: f64,
    /// Arithmetic that was done in the steps over the least that they need: recomputation shows here.
    work_over_least: f64,
    predicted_peak_bytes: u64,
}

pub fn run(options: &Options, talk: &Talk) -> Result<(Measured, Vec<Row>)> {
    super::must_have_gradients(options.model.precision)?;
    let (steps, batch) = (usize::from(options.steps), usize::from(options.batch));
    let mut policy = Policy::load(&options.model.path()?, options.model.precision.in_training())?;
    let settings = config::sections::Train {
        batch_size: batch,
        memory_gb: options.memory_gb,
        precision: Some(options.model.precision),
        ..Default::default()
    };
    let pairs = read_pairs(&options.pairs)?;
    let max_prompt = settings.max_prompt_length;
    let (examples, _) = tokens::examples(&policy.format, &pairs, max_prompt, settings.max_length);
    let examples: Vec<Example> = examples.into_iter().map(|(_, example)| example).take((steps + 1) * batch).collect();
    if examples.len() < (steps + 1) * batch {
        let (found, file) = (examples.len(), options.pairs.display());
        bail!(
            "{file}: {found} pairs that fit, expected {} for {steps} + 1 steps; hint: lower --steps",
            (steps + 1) * batch
        );
    }
    let (work, reference_work): (Vec<f64>, Vec<f64>) =
        examples.iter().map(|e| least_flops(policy.model.config(), e)).unzip();
    let tokens: Vec<usize> = examples.iter().map(Example::row_tokens).collect();

    let memory = activation_bytes(policy.model.config(), &settings, options.model.precision);
    let train_config = drift_train::TrainConfig { order: Order::Sequential, ..train_config(&settings, 0, 1) };
    let most = tokens.chunks(batch).map(|step| most_at_once(step, train_config.micro_tokens)).max().unwrap_or(0);
    let predicted = training_peak(policy.model.config(), &settings, options.model.precision, most);
    let dir = tempfile::tempdir()?;
    let job = Job {
        config: &train_config,
        dir: dir.path(),
        weights: &policy.weights,
        save_every: 0,
        activation_bytes: memory,
    };
    let bar = talk.bar("training", (steps + 1) as u64, Unit::Count);
    let (start, mut referenced, mut marks) = (Instant::now(), None, Vec::new());
    let mut breakdown = Vec::new();
    let bounds = Bounds::measure(options.model.precision.into());
    train(&mut policy.model, examples, &job, &mut |event| {
        match event {
            Event::Start { .. } => {}
            Event::Reference { done, total } => {
                if done == total {
                    referenced = Some(start.elapsed().as_secs_f64());
                }
            }
            Event::Step(_) => {
                marks.push(Instant::now());
                bar.inc(1);
                if marks.len() == 1 {
                    profile::reset();
                } else if marks.len() == steps + 1 {
                    breakdown = bounds.breakdown((marks[steps] - marks[0]).as_secs_f64());
                }
            }
        }
        interrupt::flow()
    })?;
    bar.finish_and_clear();
    if marks.len() <= steps {
        return Err(interrupt::Interrupted.into());
    }
    let step_seconds: Vec<f64> = marks.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let reference = referenced.unwrap_or(0.0) / (steps + 1) as f64;
    let measured = |all: f64, first: f64| (all - first) / steps as f64;
    let of_steps = |per_pair: &[f64]| measured(per_pair.iter().sum(), per_pair[..batch].iter().sum());
    let (least, least_reference) = (of_steps(&work), of_steps(&reference_work));
    let distinct = measured(tokens.iter().sum::<usize>() as f64, tokens[..batch].iter().sum::<usize>() as f64);
    let seconds = step_seconds.iter().sum::<f64>() / steps as f64 + reference;
    let ceiling = ceiling(options.model.precision.into());
    let result = Measured {
        pairs_per_s: batch as f64 / seconds,
        tokens_per_s: distinct / seconds,
        tflops: least / seconds / 1e12,
        ceiling_tflops: ceiling / 1e12,
        ceiling_fraction: least / seconds / ceiling,
        step_seconds,
        reference_seconds_per_step: reference,
        distinct_tokens_per_step: distinct,
        least_tflop_per_step: least / 1e12,
        work_over_least: breakdown.iter().map(Row::flops).sum::<f64>() / steps as f64 / (least - least_reference),
        predicted_peak_bytes: predicted,
    };
    Ok((result, breakdown))
}

/// Floating-point operations that a DPO step cannot do without, for one pair: two forward passes
/// (policy and reference) and a backward pass of twice the work (attention: two and a half times).
/// The second number is the reference's part.
fn least_flops(c: &ModelConfig, example: &Example) -> (f64, f64) {
    let mut batch = Packed::default();
    batch.push_pair(&example.prompt, &example.chosen, &example.rejected);
    let (q, kv) = (c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim);
    let layer = c.hidden_size * (2 * q + 2 * kv + 3 * c.intermediate_size);
    let products = 2 * (batch.tokens.len() * layer * c.num_layers + batch.targets.len() * c.hidden_size * c.vocab_size);
    let scores: usize = c.windows.iter().map(|w| 4 * drift_kernels::attention::visible(&batch.segments, *w) * q).sum();
    let forward = (products + scores) as f64;
    (2.0 * forward + 2.0 * products as f64 + 2.5 * scores as f64, forward)
}
