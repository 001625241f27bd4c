//! The demo: from 17,671 real conversations to a trained real model and a report, in minutes.
//!
//! It is an ordinary run with a small, seeded subset and short answers, so that it ends soon on two
//! cores. Too little to make the model better; enough to see every part at work.

use crate::assets::{LOGS, MODEL};
use crate::config::{Config, File, sections};
use crate::files::read_json;
use crate::iterate::{self, Reception};
use crate::run_folder::Manifest;
use crate::stages::evaluate::Eval;
use crate::talk::Talk;
use anyhow::{Result, anyhow};
use drift_eval::satisfaction::Share;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// A handful of cases only: about a minute
    #[arg(long)]
    quick: bool,
    /// The run folder [default: runs/demo, with --quick runs/demo-quick]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Use this model instead of the fetched one
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
    /// Use these logs instead of the fetched ones
    #[arg(long, value_name = "LOG")]
    logs: Vec<PathBuf>,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let model = match &options.model {
        Some(path) => path.clone(),
        None => MODEL.fetch(talk)?,
    };
    let logs = match options.logs.as_slice() {
        [] => vec![LOGS.fetch(talk)?],
        logs => logs.to_vec(),
    };
    let default = if options.quick { "runs/demo-quick" } else { "runs/demo" };
    let dir = options.dir.clone().unwrap_or_else(|| default.into());
    let how_long = if options.quick { "a minute or two" } else { "fifteen minutes" };
    talk.step("demo", format_args!("about {how_long} on two cores; Ctrl-C stops it, the same command goes on"));

    let config = config(options.quick, dir, model, logs).check(Path::new("")).map_err(|error| anyhow!(error))?;
    let summary = iterate::run(&config, talk)?;
    let detected: Manifest = read_json(&config.dir.join("detect/manifest.json"))?;
    let out = &mut std::io::stdout().lock();
    tell(out, &config, &detected, &summary)?;
    Ok(())
}

/// The demo's settings: those that differ from the published recipe.
fn config(quick: bool, dir: PathBuf, model: PathBuf, logs: Vec<PathBuf>) -> File {
    let (cases, seed_pairs, held_out, max_new) = if quick { (8, 8, 8, 32) } else { (48, 32, 48, 96) };
    let (prompt, answer) = if quick { (160, 160) } else { (320, 256) };
    let simulated = if quick { 12 } else { 64 };
    File {
        run: sections::Run { dir, ..Default::default() },
        model: sections::Model { path: Some(model), ..Default::default() },
        logs: sections::Logs { files: logs, ..Default::default() },
        detect: sections::Detect {
            max_cases: cases,
            max_seed_pairs: seed_pairs,
            max_held_out: held_out,
            max_prompt_tokens: prompt,
            max_answer_tokens: answer,
            ..Default::default()
        },
        warm: sections::Warm { epochs: 1 },
        sample: sections::Sample { max_new_tokens: max_new, ..Default::default() },
        evaluate: sections::Evaluate { simulated, max_new_tokens: max_new, ..Default::default() },
        ..Default::default()
    }
}

fn tell(out: &mut impl Write, config: &Config, detected: &Manifest, summary: &iterate::Summary) -> std::io::Result<()> {
    let noted = |what: &str| detected.counts.noted.get(what).copied().unwrap_or(0);
    writeln!(
        out,
        "{} conversations read, {} turns of dissatisfied users found; a subset of {} cases and {} seed pairs was used.",
        detected.counts.r#in,
        noted("dissatisfied_turns"),
        detected.counts.out,
        noted("seed_pairs"),
    )?;
    writeln!(
        out,
        "The model was trained on the seed pairs, then {} times on fresh answers of its own against the answers that users \
         disliked.",
        config.train.iterations
    )?;
    if !summary.evals.is_empty() {
        let all: Vec<String> = summary.evals.iter().map(|(name, eval)| accuracy(name, eval)).collect();
        writeln!(
            out,
            "Held-out pairs on which it moved away from the answer that the user disliked: {}.",
            all.join(", ")
        )?;
    }
    if let Some(line) = satisfied(&summary.satisfied) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "Report: {}", summary.report.display())?;
    writeln!(out, "Model:  {}", summary.model.display())
}

/// Simulated users before and after, on the same prompts; an interval that holds 0 is no difference.
fn satisfied(models: &[Reception]) -> Option<String> {
    let (before, after) = (models.first()?, models.last()?);
    let change = after.change.as_ref()?;
    let (low, high) = (change.difference.low?, change.difference.high?);
    let share = |of: &Reception| {
        let Share { rate, low, high, .. } = of.satisfied;
        format!("{:.0} % (95 % interval {:.0} to {:.0})", 100.0 * rate, 100.0 * low, 100.0 * high)
    };
    let verdict = match () {
        () if low > 0.0 => "more than before",
        () if high < 0.0 => "less than before",
        () => "no difference was measured",
    };
    Some(format!(
        "Of {} unseen prompts of simulated users it satisfied {} before and {} after: {:+.0} points (95 % interval {:+.0} to \
         {:+.0}), {verdict}.",
        change.prompts,
        share(before),
        share(after),
        100.0 * change.difference.mean,
        100.0 * low,
        100.0 * high,
    ))
}

/// `iter-2 61 % of 54 (95 %: 47 to 73)`
fn accuracy(name: &str, eval: &Eval) -> String {
    match (eval.accuracy, eval.accuracy_low, eval.accuracy_high) {
        (Some(accuracy), Some(low), Some(high)) => format!(
            "{name} {:.0} % of {} (95 % interval {:.0} to {:.0})",
            100.0 * accuracy,
            eval.pairs,
            100.0 * low,
            100.0 * high
        ),
        _ => format!("{name}: no pair"),
    }
}
