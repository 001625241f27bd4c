//! Sampling as DRIFT samples (temperature 0.7, top-p 0.9), to a fixed length, prefill apart from decoding.

use super::{Bounds, Row};
use crate::cli::ModelArgs;
use crate::config::sections::Kv;
use crate::interrupt;
use crate::policy::Policy;
use crate::profile;
use anyhow::{Result, bail};
use drift_chat::read_pairs;
use drift_lm::{Decoding, Request, Sampling, generate};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// JSON lines of prompt, chosen, rejected: their prompts are answered
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Tokens of each answer; an end token does not end it
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..))]
    new: u32,
    /// Sequences decoded at once
    #[arg(long, value_name = "C", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Prompts to answer [default: as many as are decoded at once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    prompts: Option<u16>,
    /// Answers to each prompt
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    n: u16,
    /// What keys and values are kept as
    #[arg(long, value_enum, default_value_t = Kv::F32)]
    kv: Kv,
    /// Cut or repeat every prompt to so many tokens; 0: a single token
    #[arg(long, value_name = "N")]
    context: Option<usize>,
}

#[derive(Debug, Serialize)]
pub struct Measured {
    /// New tokens over the whole time, prefill included.
    tokens_per_s: f64,
    decode_tokens_per_s: f64,
    prefill_tokens_per_s: f64,
    prompts: usize,
    answers: usize,
    kv: Kv,
    prompt_tokens: usize,
    new_tokens: usize,
    seconds: f64,
    prefill_seconds: f64,
}

pub fn run(options: &Options) -> Result<(Measured, Vec<Row>)> {
    let policy = Policy::load(&options.model.path()?, options.model.precision)?;
    let wanted = usize::from(options.prompts.unwrap_or(options.concurrency));
    let (new, context) = (options.new as usize, policy.model.context());
    let mut prompts = Vec::new();
    for (pair, at) in read_pairs(&options.pairs)?.iter().zip(0..).take(wanted) {
        let ids = policy.format.prompt_ids(&pair.prompt)?;
        let length = options.context.map_or(ids.len(), |n| n.max(1));
        let mut prompt: Vec<u32> = ids.iter().copied().cycle().take(length).collect();
        if options.context.is_some() {
            // Cut short, prompts may be alike, and would be read once for all.
            prompt[0] = (prompt[0] + at) % policy.model.config().vocab_size as u32;
        }
        prompts.push(prompt);
    }
    if prompts.len() < wanted {
        bail!("{}: {} pairs, expected {wanted}; hint: lower --prompts", options.pairs.display(), prompts.len());
    }
    if let Some(longest) = prompts.iter().map(Vec::len).max().filter(|n| n + new > context) {
        bail!("--new: {longest} prompt tokens and {new} new ones, expected at most the model's context of {context}");
    }
    let answered = prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt, options.n.into()));
    let sampling = Sampling { temperature: 0.7, top_p: 0.9, top_k: 0 };
    let timed = |max_new: usize| {
        let requests: Vec<Request> =
            answered.clone().zip(0..).map(|(prompt, seed)| Request { prompt: prompt.clone(), max_new, seed }).collect();
        let start = Instant::now();
        let _anytime = interrupt::anytime();
        let decoding = Decoding { concurrency: options.concurrency.into(), kv: options.kv.into() };
        let reading =
            generate(&policy.model, &requests, &sampling, &[], decoding, &mut |_, _| ControlFlow::Continue(()));
        (start.elapsed().as_secs_f64(), reading.as_secs_f64())
    };
    timed(1);
    let bounds = Bounds::measure(options.model.precision.into());
    profile::reset();
    let (seconds, prefill_seconds) = timed(new);
    let breakdown = bounds.breakdown(seconds);
    let (prompt_tokens, count) = (prompts.iter().map(Vec::len).sum::<usize>(), answered.count());
    let result = Measured {
        tokens_per_s: (count * new) as f64 / seconds,
        decode_tokens_per_s: (count * (new - 1)) as f64 / (seconds - prefill_seconds),
        prefill_tokens_per_s: prompt_tokens as f64 / prefill_seconds,
        prompts: prompts.len(),
        answers: count,
        kv: options.kv,
        prompt_tokens,
        new_tokens: count * new,
        seconds,
        prefill_seconds,
    };
    Ok((result, breakdown))
}
