//! `drift evaluate run`: a model answers a suite's prompts, and a program checks the answers.

use crate::cli::ModelArgs;
use crate::files::{read_jsonl, write};
use crate::interrupt;
use crate::policy::Policy;
use crate::seeds::seed;
use crate::talk::{Talk, Unit};
use anyhow::{Result, bail};
use drift_chat::{Message, Role};
use drift_eval::satisfaction::{Comparison, Satisfaction, Share, compare, satisfaction};
use drift_eval::simulated::{Prompt, Prompts, Settings, Split};
use drift_lm::{Request, Sampling, generate};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// What is asked
    #[arg(long, value_enum)]
    suite: Suite,
    #[command(flatten)]
    model: ModelArgs,
    /// Prompts; a larger number begins with the same ones
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: u32,
    /// Prompts of training, for choosing settings, or for the last word: no template is in two of them
    #[arg(long, value_enum, default_value_t = Part::Test)]
    split: Part,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_new: u32,
    /// Sequences decoded at once; changes no answer
    #[arg(long, value_name = "C", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Of prompts and answers
    #[arg(long, default_value_t = 42)]
    seed: u64,
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
enum Suite {
    /// Requirements that a program can check, as simulated users have them: docs/evaluation.md
    Simulated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Train,
    Dev,
    Test,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    id: String,
    prompt: String,
    answer: String,
    missed: Vec<String>,
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
    let Suite::Simulated = options.suite;
    let split = match options.split {
        Part::Train => Split::Train,
        Part::Dev => Split::Dev,
        Part::Test => Split::Test,
    };
    let prompts =
        Prompts::new(Settings { seed: options.seed, ..Settings::default() })?.draw(split, options.n as usize)?;
    let others = options.against.as_deref().map(|file| known(file, &prompts)).transpose()?;
    let policy = Policy::load(&options.model.path()?, options.model.precision)?;
    let texts = answer(&policy, &prompts, options, talk)?;
    let answers: Vec<(&Prompt, &str)> = prompts.iter().zip(texts.iter().map(String::as_str)).collect();
    if let Some(file) = &options.answers {
        write(file, |out| {
            for (prompt, answer) in &answers {
                let missed = prompt.missed(answer).into_iter().map(str::to_string).collect();
                let row =
                    Answer { id: prompt.id.clone(), prompt: prompt.text.clone(), answer: answer.to_string(), missed };
                serde_json::to_writer(&mut *out, &row)?;
                writeln!(out)?;
            }
            Ok(())
        })?;
    }
    let others: Option<Vec<(&Prompt, &str)>> =
        others.as_ref().map(|others| prompts.iter().zip(others.iter().map(String::as_str)).collect());
    let report = Report {
        suite: "simulated",
        model: policy.weights,
        split: split.name(),
        seed: options.seed,
        figures: satisfaction(&answers, options.seed)?,
        against: others.map(|others| compare(&others, &answers, options.seed)).transpose()?,
    };
    let mut out = std::io::stdout().lock();
    match options.json {
        true => {
            serde_json::to_writer_pretty(&mut out, &report)?;
            writeln!(out)?;
        }
        false => print(&mut out, &report)?,
    }
    Ok(())
}

/// Another model's answers, in the order of the prompts.
fn known(file: &Path, prompts: &[Prompt]) -> Result<Vec<String>> {
    let rows: Vec<Answer> = read_jsonl(file)?;
    let mut by_id: HashMap<String, String> = rows.into_iter().map(|row| (row.id, row.answer)).collect();
    let answers: Vec<String> = prompts.iter().filter_map(|prompt| by_id.remove(&prompt.id)).collect();
    if answers.len() < prompts.len() {
        bail!(
            "{}: answers to {} of the {} prompts, expected all; hint: --seed, --split and --n must be the same",
            file.display(),
            answers.len(),
            prompts.len()
        );
    }
    Ok(answers)
}

fn answer(policy: &Policy, prompts: &[Prompt], options: &Options, talk: &Talk) -> Result<Vec<String>> {
    let request = |prompt: &Prompt| -> Result<Request> {
        let message = Message { role: Role::User, content: prompt.text.clone() };
        let ids = policy.format.prompt_ids(&[message])?;
        let context = policy.model.context();
        if ids.len() >= context {
            bail!(
                "prompt {}: {} tokens, expected fewer than the model's context of {context}; hint: take another model",
                prompt.id,
                ids.len()
            );
        }
        let max_new = (options.max_new as usize).min(context - ids.len());
        Ok(Request { prompt: ids, max_new, seed: seed(options.seed, &["simulated", &prompt.id]) })
    };
    let requests: Vec<Request> = prompts.iter().map(request).collect::<Result<_>>()?;
    let sampling = Sampling { temperature: 0.7, top_p: 0.9, top_k: 0 };
    let bar = talk.bar("answering", requests.len() as u64, Unit::Count);
    let mut samples = vec![None; requests.len()];
    let concurrency = usize::from(options.concurrency);
    generate(&policy.model, &requests, &sampling, &policy.format.stop_ids(), concurrency, &mut |at, sample| {
        samples[at] = Some(sample.ids);
        bar.inc(1);
        interrupt::flow()
    });
    bar.finish_and_clear();
    interrupt::check()?;
    samples.into_iter().map(|ids| Ok(policy.format.tokenizer().decode(&ids.unwrap_or_default(), true)?)).collect()
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
