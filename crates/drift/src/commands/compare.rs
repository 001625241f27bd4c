//! `drift compare`: may model B take the place of model A? For a person, and for a script by the exit code.

use crate::commands::evaluate_run::SuiteArgs;
use crate::commands::print_report;
use crate::config::sections::{Gate, Precision};
use crate::files::must_exist;
use crate::policy::Policy;
use crate::simulated::asking::Kept;
use crate::simulated::{answer, comparison, read_answers};
use crate::talk::Talk;
use anyhow::Result;
use drift_eval::gate::{Decision, Limits, Ruling, rule};
use drift_eval::satisfaction::Comparison;
use drift_eval::simulated::Prompt;
use serde::Serialize;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The exit status where B is not better; 1 is an error.
pub const NOT_BETTER: u8 = 3;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The old model: a GGUF file, a Hugging Face folder, or its answers (`evaluate run --answers`)
    a: PathBuf,
    /// The new one
    b: PathBuf,
    #[command(flatten)]
    suite: SuiteArgs,
    /// Of the matrix products
    #[arg(long, value_enum, default_value_t = Precision::Bf16)]
    precision: Precision,
    /// The interval of the difference in satisfaction must lie above this share
    #[arg(long, value_name = "M", default_value_t = Gate::default().margin)]
    margin: f64,
    /// Guard: change of the words an answer, of A's
    #[arg(long, value_name = "SHARE", default_value_t = Gate::default().length)]
    max_length: f64,
    /// Guard: rise of repetition
    #[arg(long, value_name = "SHARE", default_value_t = Gate::default().repetition)]
    max_repetition: f64,
    /// Guard: rise of the share of refusals
    #[arg(long, value_name = "SHARE", default_value_t = Gate::default().refusal)]
    max_refusal: f64,
    /// Guard: fall of satisfaction on kinds that training never saw
    #[arg(long, value_name = "SHARE", default_value_t = Gate::default().transfer)]
    max_transfer: f64,
    /// JSON on stdout, not a table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    suite: &'static str,
    split: &'static str,
    seed: u64,
    limits: Limits,
    #[serde(flatten)]
    comparison: Comparison,
    #[serde(flatten)]
    decision: Decision,
}

pub fn run(options: &Options, talk: &Talk) -> Result<ExitCode> {
    let limits = Limits {
        margin: options.margin,
        length: options.max_length,
        repetition: options.max_repetition,
        refusal: options.max_refusal,
        transfer: options.max_transfer,
    };
    limits.check()?;
    let (suite, seed) = (options.suite.simulated()?, options.suite.seed);
    let prompts = suite.prompts()?;
    for path in [&options.a, &options.b] {
        must_exist(path, "a GGUF file, a Hugging Face folder or a file of answers")?;
    }
    let a = answers(&options.a, &prompts, options, talk)?;
    let b = answers(&options.b, &prompts, options, talk)?;
    let comparison = comparison(&prompts, &a, &b, seed)?;
    let decision = rule(&comparison, &limits);
    let passes = decision.ruling == Ruling::Better;
    let report = Report { suite: "simulated", split: suite.split.name(), seed, limits, comparison, decision };
    print_report(&report, options.json, |out, report| print(out, report))?;
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::from(NOT_BETTER) })
}

fn answers(path: &Path, prompts: &[Prompt], options: &Options, talk: &Talk) -> Result<Vec<String>> {
    if !is_model(path)? {
        return read_answers(path, prompts);
    }
    let policy = Policy::load(path, options.precision)?;
    answer(&policy, prompts, &options.suite.drawing(), options.suite.seed, &mut Kept::nowhere(), talk)
}

fn is_model(path: &Path) -> Result<bool> {
    if path.is_dir() {
        return Ok(true);
    }
    let mut magic = Vec::new();
    fs_err::File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(magic == b"GGUF")
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let bound = |bound: Option<f64>| bound.map_or("-".into(), |bound| format!("{bound:+.3}"));
    writeln!(out, "B is {}", report.decision.why)?;
    writeln!(
        out,
        "{} prompts satisfied by B alone, {} by A alone",
        report.comparison.only_b, report.comparison.only_a
    )?;
    writeln!(out, "guard         change  95 % interval     limit")?;
    for guard in &report.decision.guards {
        let interval = format!("{} to {}", bound(guard.change.low), bound(guard.change.high));
        let broken = if guard.broken { "  broken" } else { "" };
        writeln!(out, "{:<12} {:>+7.3}  {interval:<16}  {}{broken}", guard.name, guard.change.mean, guard.limit)?;
    }
    Ok(())
}
