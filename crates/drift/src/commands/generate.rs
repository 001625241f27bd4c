//! `drift generate`: one prompt in, its answers on stdout.

use crate::cli::ModelArgs;
use crate::config::sections::Kv;
use crate::interrupt;
use crate::policy::Policy;
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_chat::{Message, Role};
use drift_lm::{Decoding, Finish, Request, Sampling, generate};
use serde_json::json;
use std::io::Write;
use std::ops::ControlFlow;

/// Answers that are decoded at once.
const CONCURRENCY: usize = 16;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// What the user says
    #[arg(long)]
    prompt: String,
    /// A system message before it
    #[arg(long)]
    system: Option<String>,
    /// Tokens of the answer at most
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    max_new: usize,
    /// 0 takes the most likely token always
    #[arg(long, value_name = "T", default_value_t = 0.7, value_parser = temperature)]
    temperature: f32,
    /// Nucleus, above 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.9, value_parser = share)]
    top_p: f32,
    /// The K most likely tokens alone; 0: all
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: usize,
    /// The same seed gives the same answer
    #[arg(long, value_name = "S", default_value_t = 42)]
    seed: u64,
    /// Answers, drawn together; from 2 on each is a line of JSON with its text
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    n: u16,
    /// What keys and values are kept as; all but f32 change answers a little
    #[arg(long, value_enum, default_value_t = Kv::F32)]
    kv: Kv,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n >= 1).ok_or_else(|| "expected a whole number of at least 1".into())
}

fn temperature(text: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|v: &f32| *v >= 0.0 && v.is_finite());
    value.ok_or_else(|| "expected a number of at least 0".into())
}

fn share(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|v| *v > 0.0 && *v <= 1.0).ok_or_else(|| "expected a number above 0, at most 1".into())
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let policy = Policy::load(&options.model.path()?, options.model.precision)?;
    let message = |role, content: &String| Message { role, content: content.clone() };
    let mut messages: Vec<Message> = options.system.iter().map(|text| message(Role::System, text)).collect();
    messages.push(message(Role::User, &options.prompt));
    let prompt = policy.format.prompt_ids(&messages)?;
    let (length, context) = (prompt.len(), policy.model.context());
    if length >= context {
        bail!(
            "--prompt: {length} tokens, expected fewer than the model's context of {context}; hint: shorten the prompt"
        );
    }
    let max_new = options.max_new.min(context - length);
    if max_new < options.max_new {
        talk.warn(format_args!("--max-new: the model's context of {context} tokens leaves {max_new} for the answer"));
    }
    let sampling = Sampling { temperature: options.temperature, top_p: options.top_p, top_k: options.top_k };
    let request = |i| Request { prompt: prompt.clone(), max_new, seed: options.seed.wrapping_add(i) };
    let requests: Vec<Request> = (0..options.n.into()).map(request).collect();
    let mut answers = vec![None; requests.len()];
    let decoding = Decoding { concurrency: answers.len().min(CONCURRENCY), kv: options.kv.into() };
    let anytime = interrupt::anytime();
    generate(&policy.model, &requests, &sampling, &policy.format.stop_ids(), decoding, &mut |i, sample| {
        answers[i] = Some(sample);
        ControlFlow::Continue(())
    });
    drop(anytime);
    let mut out = std::io::stdout().lock();
    for answer in answers {
        let answer = answer.context("generation ended without an answer")?;
        let text = policy.format.tokenizer().decode(&answer.ids, true)?;
        let how = if answer.finish == Finish::Stop { "ended by itself" } else { "cut at --max-new" };
        talk.detail(format_args!("{length} prompt tokens, {} answer tokens, {how}", answer.ids.len()));
        if options.n == 1 { writeln!(out, "{text}") } else { writeln!(out, "{}", json!({ "text": text })) }
            .context("stdout")?;
    }
    Ok(())
}
