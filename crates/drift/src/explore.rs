//! `drift explore`: answers of several models to the same prompts, side by side: which requirements each meets, how much of
//! the rewarded region each reaches, and how different its answers are. One page to read them.

mod answers;
mod page;

use crate::assets::ENCODER;
use crate::commands::evaluate_run::split;
use crate::commands::print_report;
use crate::config::sections::{Evaluate, Precision};
use crate::files::{self, hash_path, must_exist};
use crate::policy::Policy;
use crate::run_folder::RunFolder;
use crate::simulated::Suite;
use crate::simulated::asking::{Drawing, TEMPERATURE};
use crate::talk::{Talk, Unit};
use answers::Row;
use anyhow::{Result, bail};
use drift_eval::exploration::{Answers, Exploration, Figure, Points, Settings, explore};
use drift_eval::simulated::{Prompt, Split};
use drift_lm::Encoder;
use drift_text::Tokenizer;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Texts embedded between two looks at the clock.
const EMBEDDED_AT_ONCE: usize = 64;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// What to compare; the others with the first. PATH: a GGUF file or a Hugging Face folder, which
    /// simulated users ask, or JSON lines of `id` (the prompt's), `answer` and `reward` (0 to 1)
    #[arg(value_name = "NAME=PATH", required = true, value_parser = named)]
    methods: Vec<(String, PathBuf)>,
    /// The folder for exploration.json, index.html and each model's answers
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Prompts for models to answer
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1000))]
    prompts: u32,
    /// Answers a prompt
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    samples: u16,
    /// Prompts of train, dev or test
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
    /// Of prompts, answers, planes and resamples
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Of the matrix products
    #[arg(long, value_enum, default_value_t = Precision::Bf16)]
    precision: Precision,
    /// A BERT sentence encoder as sentence-transformers saves it [default: the one of `drift fetch --encoder`]
    #[arg(long, value_name = "DIR")]
    encoder: Option<PathBuf>,
    /// JSON on stdout, not a table
    #[arg(long)]
    json: bool,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if is_name(name) && !path.is_empty() => Ok((name.into(), path.into())),
        _ => Err("expected NAME=PATH, the name of letters, digits, - and _".into()),
    }
}

/// It becomes the name of a folder.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// How often each method met a kind of requirement.
#[derive(Debug, Serialize)]
struct KindRow {
    kind: String,
    /// Answers to prompts that have it, of one method.
    asked: usize,
    /// In the methods' order.
    met: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct Report {
    encoder: String,
    /// Answers of which only the beginning was embedded.
    embedded_in_part: usize,
    #[serde(flatten)]
    exploration: Exploration,
    kinds: Vec<KindRow>,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let mut names = HashSet::new();
    for (name, path) in &options.methods {
        must_exist(path, "a GGUF file, a Hugging Face folder or a file of answers")?;
        if !names.insert(name) {
            bail!("{name}: named twice, expected one name a method");
        }
    }
    let path = match options.encoder.clone().or_else(|| ENCODER.cached()) {
        Some(path) => path,
        None => bail!("encoder: none given and none fetched; hint: --encoder, or run `drift fetch --encoder`"),
    };
    let encoder = Encoder::load(&path)?;
    let tokenizer = Tokenizer::from_dir(&path)?;
    let folder = RunFolder::open(&options.out)?;
    let methods = options
        .methods
        .iter()
        .map(|(name, path)| Ok((name.clone(), rows(options, name, path, &folder, talk)?)))
        .collect::<Result<Vec<_>>>()?;
    let (rows, prompts) = answers::aligned(methods)?;
    let (embeddings, in_part) = embed(&encoder, &tokenizer, &rows, talk)?;
    if in_part > 0 {
        talk.warn(format_args!(
            "{in_part} of {} answers are longer than the encoder's limit: only their beginning counts",
            rows.len()
        ));
    }
    let names: Vec<String> = options.methods.iter().map(|(name, _)| name.clone()).collect();
    let kinds = kinds(&rows, names.len());
    let answers = Answers {
        samples: rows.len() / (names.len() * prompts),
        methods: names,
        prompts,
        points: Points::new(&embeddings, encoder.hidden_size()),
        rewards: rows.iter().map(|row| row.reward).collect(),
    };
    let exploration = explore(&answers, &Settings { seed: options.seed, ..Settings::default() })?;
    let report = Report { encoder: hash_path(&path)?, embedded_in_part: in_part, exploration, kinds };
    files::write_json(&options.out.join("exploration.json"), &report)?;
    let page = options.out.join("index.html");
    page::write(&page, &report, &rows)?;
    talk.step("explore", page.display());
    print_report(&report, options.json, |out, report| print(out, report))
}

fn rows(options: &Options, name: &str, path: &Path, folder: &RunFolder, talk: &Talk) -> Result<Vec<Row>> {
    if path.extension().is_some_and(|extension| extension == "jsonl" || extension == "json") {
        return answers::read(path);
    }
    let suite =
        Suite { split: options.split, n: options.prompts as usize, kinds: options.kinds.clone(), seed: options.seed };
    let (prompts, samples): (Vec<Prompt>, usize) = (suite.prompts()?, options.samples.into());
    let drawing = Drawing {
        temperature: TEMPERATURE,
        max_new: options.max_new as usize,
        concurrency: options.concurrency.into(),
    };
    let config = json!({
        "suite": suite, "samples": samples, "drawing": drawing, "precision": options.precision, "seed": options.seed,
    });
    let stage = folder.stage(name, config, &[("model", &hash_path(path)?)]);
    let policy = || Policy::load(path, options.precision);
    answers::drawn(&stage, policy, &prompts, samples, &drawing, options.seed, talk)
}

/// [rows, hidden], and how many rows were cut.
fn embed(encoder: &Encoder, tokenizer: &Tokenizer, rows: &[Row], talk: &Talk) -> Result<(Vec<f32>, usize)> {
    let bar = talk.bar("embedding", rows.len() as u64, Unit::Count);
    let (mut embeddings, mut cut) = (Vec::new(), 0);
    for rows in rows.chunks(EMBEDDED_AT_ONCE) {
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            let (ids, is_cut) = tokenizer.encode_with_special(&row.answer, encoder.max_tokens())?;
            cut += usize::from(is_cut);
            texts.push(ids);
        }
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        embeddings.extend(encoder.embed(&texts)?);
        bar.inc(rows.len() as u64);
    }
    Ok((embeddings, cut))
}

fn kinds(rows: &[Row], methods: usize) -> Vec<KindRow> {
    let mut kinds: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (method, rows) in rows.chunks(rows.len() / methods).enumerate() {
        for row in rows {
            for kind in &row.kinds {
                let (asked, met) = &mut kinds.entry(kind).or_insert_with(|| vec![(0, 0); methods])[method];
                *asked += 1;
                *met += usize::from(!row.missed.contains(kind));
            }
        }
    }
    let row = |(kind, counts): (&str, Vec<(usize, usize)>)| KindRow {
        kind: kind.to_string(),
        asked: counts.iter().map(|(asked, _)| *asked).max().unwrap_or(0),
        met: counts.into_iter().map(|(_, met)| met).collect(),
    };
    kinds.into_iter().map(row).collect()
}

fn print(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let figure = |figure: &Figure| match figure.interval {
        Some([low, high]) => format!("{:.3} ({low:.3} to {high:.3})", figure.value),
        None => format!("{:.3}", figure.value),
    };
    let exploration = &report.exploration;
    writeln!(out, "{} prompts, {} answers to each; 95 % intervals", exploration.prompts, exploration.samples)?;
    writeln!(out, "{:<16}{:<26}{:<26}{:<26}distinct good answers", "method", "reward", "coverage", "Vendi score")?;
    for method in &exploration.methods {
        let distinct = method.distinct_good.iter().map(|at| format!("{:.2} at {}", at.figure.value, at.at));
        let [reward, coverage, vendi] = [&method.reward, &method.coverage, &method.vendi].map(figure);
        let distinct = distinct.collect::<Vec<_>>().join(", ");
        writeln!(out, "{:<16}{reward:<26}{coverage:<26}{vendi:<26}{distinct}", method.name)?;
    }
    let first = &exploration.methods[0].name;
    for method in &exploration.methods {
        if let Some(gain) = &method.coverage_gain {
            writeln!(out, "coverage of {} less {first}'s: {}", method.name, figure(gain))?;
        }
    }
    Ok(())
}
