//! `drift evaluate run`: a model answers a suite's prompts, and a program checks the answers.

use crate::cli::ModelArgs;
use crate::commands::print_report;
use crate::config::sections::Evaluate;
use crate::files::is_none_of;
use crate::policy::Policy;
use crate::simulated::asking::{Drawing, Kept, TEMPERATURE};
use crate::simulated::{Suite, answer, comparison, figures, read_answers, write_answers};
use crate::talk::Talk;
use anyhow::Result;
use drift_eval::satisfaction::{Comparison, Satisfaction, Share};
use drift_eval::simulated::Split;
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
    /// JSON on stdout, not a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum SuiteName {
    /// Requirements that a program can check, as simulated users have them: docs/evaluation.md
    Simulated,
}

/// What models are asked.
#[derive(Clone, Debug, clap::Args)]
pub struct SuiteArgs {
    /// What is asked
    #[arg(long, value_enum)]
    suite: SuiteName,
    /// Prompts; a larger number begins with the same ones
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: u32,
    /// Prompts of train, of dev (for choosing settings) or of test (for the last word): no template is in two of them
    #[arg(long, value_name = "SPLIT", default_value = "test", value_parser = split)]
    split: Split,
    /// Kinds of requirement, or `all`, or a named set: docs/evaluation.md
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', default_values_t = Evaluate::default().kinds)]
    kinds: Vec<String>,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_new: u32,
    /// Sequences decoded at once; changes no answer
    #[arg(long, value_name = "C", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Of prompts and answers
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
}

impl SuiteArgs {
    pub fn suite(&self) -> Suite {
        let SuiteName::Simulated = self.suite;
        Suite { split: self.split, n: self.n as usize, kinds: self.kinds.clone(), seed: self.seed }
    }

    pub fn drawing(&self) -> Drawing {
        Drawing { temperature: TEMPERATURE, max_new: self.max_new as usize, concurrency: self.concurrency.into() }
    }
}

pub fn split(name: &str) -> Result<Split, String> {
    let known = Split::ALL.into_iter().find(|split| split.name() == name);
    known.ok_or_else(|| "expected train, dev or test".into())
}

#[derive(Serialize)]
struct Report {
    suite: &'static str,
    model: String,
    split: &'static str,
    seed: u64,
    #[serde(flatten)]
    figures: Satisfaction,
    /// The other model's answers are a, these b.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let (suite, seed) = (options.suite.suite(), options.suite.seed);
    let prompts = suite.prompts()?;
    let others = options.against.as_deref().map(|file| read_answers(file, &prompts)).transpose()?;
    let model = options.model.path()?;
    if let Some(answers) = &options.answers {
        let read: Vec<PathBuf> = options.against.iter().chain([&model]).cloned().collect();
        is_none_of(answers, &read)?;
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
    let report = Report {
        suite: "simulated",
        model: policy.weights,
        split: suite.split.name(),
        seed,
        figures: figures(&prompts, &answers, seed)?,
        against: others.map(|others| comparison(&prompts, &others, &answers, seed)).transpose()?,
    };
    print_report(&report, options.json, |out, report| print(out, report))
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let share =
        |share: &Share| format!("{:.3} ({:.3}-{:.3}), {} of {}", share.rate, share.low, share.high, share.met, share.n);
    let figures = &report.figures;
    writeln!(out, "simulated, {} prompts of {}, 95 % intervals", figures.prompts, report.split)?;
    writeln!(out, "{:<24} {}", "satisfied", share(&figures.satisfied))?;
    for (name, of) in [("kinds of training", &figures.seen), ("with an unseen kind", &figures.unseen)] {
        if let Some(of) = of {
            writeln!(out, "  {name:<22} {}", share(of))?;
        }
    }
    writeln!(out, "{:<24} {:.1}", "words an answer", figures.words.mean)?;
    writeln!(out, "{:<24} {:.3}", "repetition", figures.repetition.mean)?;
    writeln!(out, "{:<24} {:.3} {:.3}", "distinct 1- and 2-grams", figures.distinct_1, figures.distinct_2)?;
    writeln!(out, "{:<24} {}", "refusals", share(&figures.refusal))?;
    for (kind, of) in &figures.kinds {
        writeln!(out, "  {kind:<22} {}", share(of))?;
    }
    if let Some(against) = &report.against {
        let bound = |bound: Option<f64>| bound.map_or("-".into(), |bound| format!("{bound:+.3}"));
        let difference = &against.difference;
        writeln!(
            out,
            "against {:.3}: {:+.3} ({} to {}), {} better, {} worse, p {:.3} (McNemar)",
            against.a,
            difference.mean,
            bound(difference.low),
            bound(difference.high),
            against.only_b,
            against.only_a,
            against.p
        )?;
    }
    Ok(())
}
