//! `drift simulate`: a chat log of simulated users, and what is true of it, apart.

use crate::cli::ModelArgs;
use crate::commands::evaluate_run::split;
use crate::commands::print_report;
use crate::config::sections::Evaluate;
use crate::files::{is_none_of, is_same};
use crate::policy::Policy;
use crate::simulated::Suite;
use crate::simulated::asking::{Drawing, Kept, TEMPERATURE};
use crate::simulated::conversations::{Job, Summary, summary, write_log, write_truth};
use crate::talk::Talk;
use anyhow::{Result, anyhow, bail};
use drift_eval::simulated::{Rates, Split, User};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// The log: JSON lines of id and messages
    #[arg(long, value_name = "LOG")]
    out: PathBuf,
    /// What is true of each answer: JSON lines; `drift detect eval` takes it as labels
    #[arg(long, value_name = "FILE")]
    truth: PathBuf,
    /// Conversations; a larger number has the same ones and more
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: u32,
    /// Prompts of train, dev or test: no template is in two of them
    #[arg(long, value_name = "SPLIT", default_value = "train", value_parser = split)]
    split: Split,
    /// Kinds of requirement, or `all`, or a named set: docs/evaluation.md
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', default_values_t = Evaluate::default().kinds)]
    kinds: Vec<String>,
    /// Of prompts, answers and users
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Of the answers; 0 is greedy
    #[arg(long, value_name = "T", default_value_t = TEMPERATURE, value_parser = temperature)]
    temperature: f64,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_new: u32,
    /// Sequences decoded at once; changes no answer
    #[arg(long, value_name = "C", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// How often users thank, complain, leave …, as TOML: docs/evaluation.md
    #[arg(long, value_name = "FILE")]
    rates: Option<PathBuf>,
    /// The summary as JSON on stdout
    #[arg(long)]
    json: bool,
}

fn temperature(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| (0.0..=10.0).contains(value)).ok_or_else(|| "expected a number from 0 to 10".into())
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    if is_same(&options.out, &options.truth) {
        bail!("--truth: the same file as --out, expected another; hint: the truth must not be in the log");
    }
    let rates = options.rates.as_deref().map_or(Ok(Rates::default()), rates)?;
    let suite = Suite { split: options.split, n: options.n as usize, kinds: options.kinds.clone(), seed: options.seed };
    // What cannot be is said before the model is loaded.
    User::new(&suite.maker()?, rates.clone())?;
    suite.prompts()?;
    let model = options.model.path()?;
    for path in [&options.out, &options.truth] {
        is_none_of(path, std::slice::from_ref(&model))?;
    }
    let policy = Policy::load(&model, options.model.precision)?;
    let drawing = Drawing {
        temperature: options.temperature,
        max_new: options.max_new as usize,
        concurrency: options.concurrency.into(),
    };
    let job = Job { policy: &policy, suite: &suite, rates: &rates, drawing: &drawing, seed: options.seed };
    let mut kept = Kept::beside(&options.out, &job.settings())?;
    let conversations = job.run(&mut kept, talk)?;
    // The truth first: a log without it would be of no use.
    write_truth(&options.truth, &conversations)?;
    write_log(&options.out, &conversations)?;
    kept.finish()?;
    let summary = summary(&conversations, options.seed)?;
    tell(&summary, talk);
    print_report(&summary, options.json, |out, _| writeln!(out, "{}", options.out.display()))
}

fn rates(path: &Path) -> Result<Rates> {
    let said = |what: String| {
        anyhow!("{}: {what}, expected rates of users as TOML; hint: docs/evaluation.md shows them", path.display())
    };
    let text = std::fs::read_to_string(path).map_err(|error| said(error.to_string()))?;
    toml::from_str(&text).map_err(|error| said(error.message().split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn tell(summary: &Summary, talk: &Talk) {
    let Summary { conversations, too_long, reactions, acts, noise, figures } = summary;
    let satisfied = figures.satisfied;
    talk.step(
        "simulated",
        format_args!(
            "{conversations} conversations, {} answers, {:.3} satisfied (95 % interval {:.3} to {:.3}), {reactions} reactions in words",
            figures.answers, satisfied.rate, satisfied.low, satisfied.high
        ),
    );
    if *too_long > 0 {
        talk.warn(format_args!("{too_long} conversations ended because they no longer fit the model's context"));
    }
    let acts: Vec<String> = acts.iter().map(|(act, n)| format!("{n} {}", act.name())).collect();
    talk.step("users", format_args!("{}; {noise} against the truth", acts.join(", ")));
}
