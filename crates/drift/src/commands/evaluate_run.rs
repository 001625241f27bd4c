//! `drift evaluate run`: a model answers a suite's prompts, and a program or a judge says how good the answers are.

mod alpaca_eval;
mod ifbench;
mod judged;
mod simulated;
mod wildbench;

use crate::cli::ModelArgs;
use crate::commands::print_report;
use crate::config::sections::Evaluate;
use crate::files::is_none_of;
use crate::policy::Policy;
use crate::simulated::asking::{Drawing, Kept, TEMPERATURE};
use crate::simulated::{Asked, Suite, answer, read_answers, write_answers};
use crate::talk::Talk;
use anyhow::{Result, bail};
use drift_eval::satisfaction::{Average, Share};
use drift_eval::simulated::Split;
use ifbench::IfBench;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    suite: SuiteArgs,
    /// Keep the answers here, as JSON lines
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Compare with another model's answers to the same prompts, a file of --answers
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    judged: judged::Args,
    /// JSON on stdout, not a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SuiteName {
    /// Requirements that a program can check, as simulated users have them: docs/evaluation.md
    Simulated,
    /// IFBench: instructions of kinds that training sets do not have; answers are drawn greedily
    Ifbench,
    /// AlpacaEval 2: a judge compares the answers with a baseline's
    AlpacaEval,
    /// WildBench v2: a judge scores each answer from 1 to 10
    Wildbench,
}

/// What models are asked.
#[derive(Clone, Debug, clap::Args)]
pub struct SuiteArgs {
    /// What is asked
    #[arg(long, value_enum)]
    suite: SuiteName,
    /// Prompts; a larger number begins with the same ones [default: 200; of ifbench all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: Option<u32>,
    /// simulated: prompts of train, of dev (for choosing settings) or of test (for the last word): no template is in two
    /// of them [default: test]
    #[arg(long, value_name = "SPLIT", value_parser = split)]
    split: Option<Split>,
    /// simulated: kinds of requirement, or `all`, or a named set: docs/evaluation.md [default: sometimes]
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    kinds: Option<Vec<String>>,
    /// ifbench: its prompts, IFBench_test.jsonl; wildbench: a local copy of the tasks
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Tokens of an answer at most [default: 256 of simulated, else 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_new: Option<u32>,
    /// Sequences decoded at once; changes no answer
    #[arg(long, value_name = "C", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Of prompts and answers
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
}

impl SuiteArgs {
    /// # Errors
    /// Another suite, or an option of another.
    pub fn simulated(&self) -> Result<Suite> {
        if self.suite != SuiteName::Simulated {
            bail!(
                "--suite: not simulated, expected it here; hint: `drift evaluate run --against` compares on the others"
            );
        }
        if self.prompts.is_some() {
            bail!("--prompts: belongs to ifbench; hint: simulated makes its prompts from --seed, --split and --kinds");
        }
        Ok(Suite {
            split: self.split.unwrap_or(Split::Test),
            n: self.n.unwrap_or(200) as usize,
            kinds: self.kinds.clone().unwrap_or_else(|| Evaluate::default().kinds),
            seed: self.seed,
        })
    }

    fn ifbench(&self) -> Result<IfBench> {
        self.not_simulated()?;
        let Some(prompts) = self.prompts.clone() else {
            bail!(
                "--suite ifbench: without prompts, expected --prompts FILE; hint: IFBench_test.jsonl as it is published"
            );
        };
        Ok(IfBench { prompts, n: self.n.map(|n| n as usize), seed: self.seed })
    }

    /// # Errors
    /// An option of the simulated suite.
    fn not_simulated(&self) -> Result<()> {
        match [("--split", self.split.is_some()), ("--kinds", self.kinds.is_some())].iter().find(|(_, given)| *given) {
            Some((name, _)) => bail!("{name}: belongs to simulated; hint: --n chooses the first prompts of a suite"),
            None => Ok(()),
        }
    }

    pub fn drawing(&self) -> Drawing {
        let (temperature, max_new) = match self.suite {
            SuiteName::Simulated => (TEMPERATURE, 256),
            SuiteName::Ifbench => (0.0, 1024),
            SuiteName::AlpacaEval | SuiteName::Wildbench => (TEMPERATURE, 1024),
        };
        let max_new = self.max_new.unwrap_or(max_new) as usize;
        Drawing { temperature, max_new, concurrency: self.concurrency.into() }
    }
}

pub fn split(name: &str) -> Result<Split, String> {
    let known = Split::ALL.into_iter().find(|split| split.name() == name);
    known.ok_or_else(|| "expected train, dev or test".into())
}

/// What suites differ in, beside how they are named on the command line.
trait Checked {
    type Prompt: Asked;
    type Report: Serialize;

    fn prompts(&self) -> Result<Vec<Self::Prompt>>;

    /// Figures of a model's answers, and against those of another if there are such.
    fn report(
        &self,
        model: String,
        prompts: &[Self::Prompt],
        answers: &[String],
        others: Option<&[String]>,
    ) -> Result<Self::Report>;

    fn print(out: &mut dyn Write, report: &Self::Report) -> std::io::Result<()>;
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    match options.suite.suite {
        SuiteName::Simulated => check(&options.suite.simulated()?, options, talk),
        SuiteName::Ifbench => check(&options.suite.ifbench()?, options, talk),
        SuiteName::AlpacaEval => alpaca_eval::run(options, talk),
        SuiteName::Wildbench => wildbench::run(options, talk),
    }
}

fn check<C: Checked>(suite: &C, options: &Options, talk: &Talk) -> Result<()> {
    options.judged.none_given()?;
    let seed = options.suite.seed;
    let prompts = suite.prompts()?;
    let others = options.against.as_deref().map(|file| read_answers(file, &prompts)).transpose()?;
    let model = options.model.path()?;
    if let Some(answers) = &options.answers {
        let read = [&options.against, &options.suite.prompts].into_iter().flatten().chain([&model]);
        is_none_of(answers, &read.cloned().collect::<Vec<PathBuf>>())?;
    }
    let policy = Policy::load(&model, options.model.precision)?;
    let drawing = options.suite.drawing();
    let mut kept = match &options.answers {
        Some(file) => Kept::beside(file, &(&policy.weights, options.model.precision, &drawing, seed))?,
        None => Kept::nowhere(),
    };
    let answers = answer(&policy, &prompts, &drawing, seed, &mut kept, talk)?;
    if let Some(file) = &options.answers {
        write_answers(file, &prompts, &answers)?;
    }
    kept.finish()?;
    let report = suite.report(policy.weights, &prompts, &answers, others.as_deref())?;
    print_report(&report, options.json, |out, report| C::print(out, report))
}

fn shown(share: &Share) -> String {
    format!("{:.3} ({:.3}-{:.3}), {} of {}", share.rate, share.low, share.high, share.met, share.n)
}

/// What became better and worse, in a line.
fn print_change(
    out: &mut dyn Write,
    name: &str,
    before: f64,
    difference: &Average,
    (better, worse): (u64, u64),
    p: f64,
) -> std::io::Result<()> {
    let bound = |bound: Option<f64>| bound.map_or("-".into(), |bound| format!("{bound:+.3}"));
    let (low, high) = (bound(difference.low), bound(difference.high));
    let mean = difference.mean;
    writeln!(
        out,
        "{name} {before:.3}: {mean:+.3} ({low} to {high}), {better} better, {worse} worse, p {p:.3} (McNemar)"
    )
}
