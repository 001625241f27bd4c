//! `drift detect eval`: a detector against labelled turns.

use super::DetectorArgs;
use super::labels::{LabelArgs, Material};
use crate::cli::Settings;
use crate::commands::print_report;
use crate::deep;
use crate::detectors::{Opened, Tier};
use crate::files::write_private;
use crate::interrupt;
use crate::talk::Talk;
use anyhow::{Result, bail};
use drift_feedback::calibration::{Bin, reliability};
use drift_feedback::decision::cross_fit;
use drift_feedback::fast::train as fast;
use drift_feedback::labelled::Joined;
use drift_feedback::metrics::{Metrics, Scored, measure};
use drift_feedback::{Label, Rules, Verdict};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    detector: DetectorArgs,
    /// Not the detector as it is, but trained anew K times, each time judging the conversations it did not see
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(2..=50))]
    cross_validate: Option<u8>,
    /// With --cross-validate: train on so many turns a part at most, for a learning curve
    #[arg(long, value_name = "N", requires = "cross_validate")]
    train_turns: Option<usize>,
    /// With --cross-validate of the deep tier: keep the hidden states here, and take them from here
    #[arg(long, value_name = "FILE", requires = "cross_validate")]
    states: Option<PathBuf>,
    /// Judge as if every turn were the last of its chat
    #[arg(long)]
    hide_replies: bool,
    /// JSON on stdout
    #[arg(long)]
    json: bool,
    /// How many of the worst errors to list, by key
    #[arg(long, value_name = "N", default_value_t = 20)]
    errors: usize,
    /// Write every wrongly judged turn with its text, as it is in the log: private words, for your eyes alone
    #[arg(long, value_name = "FILE")]
    errors_file: Option<PathBuf>,
    /// Of the bootstrap and of the parts of the cross-validation
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Serialize)]
struct Report {
    detector: &'static str,
    /// Parts of the cross-validation; 0: the detector as it is.
    cross_validated: u8,
    replies_hidden: bool,
    /// Labels whose turn the logs do not have, and labels without a verdict.
    missing: usize,
    open: usize,
    #[serde(rename = "DSAT")]
    dsat: Side,
    #[serde(rename = "SAT")]
    sat: Side,
    /// By the labels' rubric: which rubrics the detector gave, `none` where it saw nothing of the kind.
    rubrics: BTreeMap<String, BTreeMap<String, usize>>,
    errors: Vec<Error>,
}

#[derive(Serialize)]
struct Side {
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    #[serde(flatten)]
    metrics: Metrics,
    calibration_error: f64,
    reliability: Vec<Bin>,
}

/// A wrong decision; the further the score is on the wrong side, the worse.
#[derive(Clone, Debug, Serialize)]
struct Error {
    key: String,
    what: &'static str,
    score: f32,
    #[serde(skip)]
    row: usize,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let config = options.settings.load()?;
    let choice = options.detector.choice(&config)?;
    if let Some(file) = &options.errors_file {
        options.labels.spare(file)?;
    }
    let Material { joined, open } = options.labels.load(choice.tier == Tier::Judge, talk)?;
    let (judged, thresholds) = match options.cross_validate {
        None => {
            let Opened { detector, judge } = choice.open(talk)?;
            let bar = talk.bar("judging", joined.rows.len() as u64, crate::talk::Unit::Count);
            let rows: Vec<usize> = (0..joined.rows.len()).collect();
            let mut judged: Vec<Label> = Vec::with_capacity(rows.len());
            for some in rows.chunks(detector.batch()) {
                let shown = some.iter().map(|&row| {
                    let (chat, mut turn) = joined.turn(row);
                    turn.reply = turn.reply.filter(|_| !options.hide_replies);
                    (chat, vec![turn])
                });
                judged.extend(detector.judge_all(&shown.collect::<Vec<_>>()).into_iter().flatten());
                bar.inc(some.len() as u64);
                interrupt::check()?;
            }
            bar.finish_and_clear();
            judge.map(|judge| judge.finish(talk)).transpose()?;
            (judged, Some(detector.thresholds()))
        }
        Some(parts) => {
            fast::check(&joined)?;
            let folds = joined.folds(parts.into(), options.seed);
            let keep = options.train_turns.unwrap_or(usize::MAX);
            let scored = match choice.tier {
                Tier::Rules | Tier::Judge => {
                    bail!("--cross-validate: rules and judge are not trained, expected --detector fast or deep")
                }
                Tier::Fast => fast::out_of_fold(&joined, &fast::Table::new(&joined), &folds, keep).scored,
                Tier::Deep => {
                    let model = crate::cli::model_path(choice.model.clone())?;
                    let states = deep::states(&model, choice.precision, &joined, options.states.as_deref(), talk)?;
                    deep::train::out_of_fold(&joined, &states, &folds, keep)
                }
            };
            let decided = cross_fit(&scored, &folds, choice.target_precision, options.hide_replies);
            let name = if choice.tier == Tier::Fast { "fast" } else { "deep" };
            let judged = decided.into_par_iter().enumerate().map(|(row, (verdict, dsat, sat))| {
                let (chat, turn) = joined.turn(row);
                Rules::label_as(name, chat, &turn, verdict, dsat, sat)
            });
            (judged.collect(), None)
        }
    };
    let report = report(options, &joined, &judged, thresholds, open, choice.tier);
    let mut errors = errors(&joined, &judged);
    if let Some(path) = &options.errors_file {
        write_errors(path, &joined, &errors)?;
    }
    errors.truncate(options.errors);
    let report = Report { errors, ..report };
    print_report(&report, options.json, |out, report| print(out, report))
}

fn report(
    options: &Options,
    joined: &Joined,
    judged: &[Label],
    thresholds: Option<[f32; 2]>,
    open: usize,
    tier: Tier,
) -> Report {
    let groups = joined.groups();
    let side = |is: fn(Verdict) -> bool, score: fn(&Label) -> f32, threshold| {
        let scored: Vec<Scored> = judged
            .iter()
            .zip(&joined.rows)
            .zip(&groups)
            .map(|((label, (_, truth)), &group)| Scored {
                score: score(label).into(),
                said: is(label.label),
                truth: is(truth.verdict),
                group,
            })
            .collect();
        let (bins, error) = reliability(&scored.iter().map(|s| (s.score, s.truth)).collect::<Vec<_>>());
        Side { threshold, metrics: measure(&scored, options.seed), calibration_error: error, reliability: bins }
    };
    Report {
        detector: match tier {
            Tier::Rules => "rules",
            Tier::Fast => "fast",
            Tier::Deep => "deep",
            Tier::Judge => "judge",
        },
        cross_validated: options.cross_validate.unwrap_or(0),
        replies_hidden: options.hide_replies,
        missing: joined.missing,
        open,
        dsat: side(Verdict::is_dsat, |label| label.dsat, thresholds.map(|t| t[0])),
        sat: side(Verdict::is_sat, |label| label.sat, thresholds.map(|t| t[1])),
        rubrics: rubrics(joined, judged),
        errors: Vec::new(),
    }
}

fn rubrics(joined: &Joined, judged: &[Label]) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut table: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for ((_, truth), label) in joined.rows.iter().zip(judged) {
        let given = label.evidence.as_ref().map_or("none", |evidence| evidence.rubric.as_str());
        let of = truth.rubric.as_deref().unwrap_or("none");
        *table.entry(of.to_string()).or_default().entry(given.to_string()).or_default() += 1;
    }
    table
}

/// All wrong decisions, the worst first.
fn errors(joined: &Joined, judged: &[Label]) -> Vec<Error> {
    let mut errors = Vec::new();
    for (row, ((_, truth), label)) in joined.rows.iter().zip(judged).enumerate() {
        let sides = [
            (label.label.is_dsat(), truth.verdict.is_dsat(), label.dsat, ["DSAT missed", "DSAT false alarm"]),
            (label.label.is_sat(), truth.verdict.is_sat(), label.sat, ["SAT missed", "SAT false alarm"]),
        ];
        for (said, is, score, what) in sides.into_iter().filter(|(said, is, ..)| said != is) {
            debug_assert_ne!(said, is);
            errors.push(Error { key: truth.key(), what: what[usize::from(said)], score, row });
        }
    }
    let badness = |error: &Error| if error.what.ends_with("missed") { 1.0 - error.score } else { error.score };
    errors.sort_by(|a, b| badness(b).total_cmp(&badness(a)).then_with(|| a.key.cmp(&b.key)));
    errors
}

fn write_errors(path: &std::path::Path, joined: &Joined, errors: &[Error]) -> Result<()> {
    write_private(path, |out| {
        for error in errors {
            let (_, turn) = joined.turn(error.row);
            let row = json!({
                "key": error.key, "what": error.what, "score": error.score, "request": turn.request,
                "answer": turn.answer, "turn": turn.text, "reply": turn.reply,
            });
            writeln!(out, "{row}")?;
        }
        Ok(())
    })
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let of = match report.cross_validated {
        0 => String::new(),
        parts => format!(", cross-validated in {parts} parts by conversation"),
    };
    writeln!(out, "{}{of}: {} labelled turns", report.detector, report.dsat.metrics.turns)?;
    writeln!(out, "                     DSAT                 SAT")?;
    let cell = |value: Option<f64>, interval: Option<[f64; 2]>| match (value, interval) {
        (Some(value), Some([low, high])) => format!("{value:.3} ({low:.3}-{high:.3})"),
        (Some(value), None) => format!("{value:.3}"),
        (None, _) => "not defined".into(),
    };
    let (dsat, sat) = (&report.dsat.metrics, &report.sat.metrics);
    let (d, s) = (&dsat.intervals, &sat.intervals);
    for (name, left, right) in [
        ("precision", cell(dsat.precision, d.precision), cell(sat.precision, s.precision)),
        ("recall", cell(dsat.recall, d.recall), cell(sat.recall, s.recall)),
        ("F1", cell(dsat.f1, d.f1), cell(sat.f1, s.f1)),
        ("AUROC", cell(dsat.auroc, d.auroc), cell(sat.auroc, s.auroc)),
        (
            "average precision",
            cell(dsat.average_precision, d.average_precision),
            cell(sat.average_precision, s.average_precision),
        ),
        ("turns of the kind", dsat.positives.to_string(), sat.positives.to_string()),
        ("found", dsat.found.to_string(), sat.found.to_string()),
    ] {
        writeln!(out, "{name:<20} {left:<20} {right}")?;
    }
    writeln!(out, "calibration error    {:<20.3} {:.3}", report.dsat.calibration_error, report.sat.calibration_error)?;
    if !report.errors.is_empty() {
        writeln!(out, "worst errors")?;
    }
    for error in &report.errors {
        writeln!(out, "  {:<16} {:.3}  {}", error.what, error.score, error.key)?;
    }
    Ok(())
}
