//! `drift doctor`: what this machine has and, given a model and a config, what a run needs of memory and
//! time, said before anything is loaded.

use crate::assets::{LOGS, MODEL, cache_dir};
use crate::config::{Config, Source};
use crate::machine::{bytes_per_second, products_per_second};
use crate::memory::{Need, free, gigabytes, total, training_peak};
use crate::policy::chat_format;
use anyhow::{Context, Result};
use drift_kernels::Isa;
use drift_lm::ModelConfig;
use drift_lm::load::inspect;
use drift_lm::params::Layout;
use drift_train::TrainConfig;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Of the speed of large matrix products, what a whole training step reaches.
const EFFICIENCY: f64 = 0.4;

/// Decoding reads all weights for one token each of the sequences at hand; attention and sampling
/// come on top.
const DECODE_EFFICIENCY: f64 = 0.3;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// A GGUF file or a Hugging Face folder
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
    /// The config file of a run
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let out = &mut std::io::stdout().lock();
    machine(out)?;
    let config = match &options.config {
        Some(path) => Config::load(path)?,
        None => Config::settings(None)?,
    };
    let named = options.model.clone().or_else(|| config.model.clone());
    let path = match (named, &options.config) {
        (Some(path), _) => path,
        (None, Some(_)) => crate::cli::model_path(None)?,
        (None, None) => return Ok(ExitCode::SUCCESS),
    };
    let inspected = inspect(&path)?;
    let format = chat_format(&path)?;
    let c = &inspected.config;
    let stored: Vec<String> = inspected.dtypes.iter().map(|(dtype, _)| format!("{dtype:?}")).collect();
    writeln!(
        out,
        "model     {}: {:?}, {:.0} M parameters ({}), {} layers, hidden {}, vocabulary {}, context {}",
        path.display(),
        c.family,
        inspected.params as f64 / 1e6,
        stored.join(", "),
        c.num_layers,
        c.hidden_size,
        c.vocab_size,
        c.max_position_embeddings
    )?;
    writeln!(out, "chat      template found, an answer ends with token {}", format.end_of_turn())?;
    let fits = needs(out, c, &config)?;
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn machine(out: &mut impl Write) -> Result<()> {
    let paths: Vec<&str> = Isa::ALL.into_iter().filter(|isa| isa.available()).map(Isa::name).collect();
    writeln!(out, "processor {}: {}; kernels use {}", std::env::consts::ARCH, paths.join(", "), Isa::current().name())?;
    writeln!(out, "threads   {}", rayon::current_num_threads())?;
    writeln!(out, "memory    {} free of {}", gigabytes(free()), gigabytes(total()))?;
    let state = |cached: bool| if cached { "fetched" } else { "not fetched (`drift fetch`)" };
    writeln!(
        out,
        "cache     {}: model {}, logs {}",
        cache_dir()?.display(),
        state(MODEL.cached().is_some()),
        state(LOGS.cached().is_some())
    )?;
    Ok(())
}

/// What a run needs; false if memory is too small for it.
fn needs(out: &mut impl Write, model: &ModelConfig, config: &Config) -> Result<bool> {
    let (train, sample) = (&config.train, &config.sample);
    let row = train.max_length;
    let limit = |tokens: usize, limit: usize| if limit > 0 { tokens.min(limit) } else { tokens };
    let prompt = limit(train.max_prompt_length, config.detect.max_prompt_tokens);
    let rejected = limit(row - train.max_prompt_length, config.detect.max_answer_tokens);
    let positions = sample.concurrency * (row + sample.max_new_tokens);
    let need = Need::of(model, train, config.train_precision(), sample.kv, positions);
    writeln!(
        out,
        "needs     {} at its peak (weights {}, training {} more, or sampling at most {} more)",
        gigabytes(need.peak()),
        gigabytes(need.model),
        gigabytes(need.training),
        gigabytes(need.sampling)
    )?;
    // Short rows are packed together.
    let most = row.max(TrainConfig::default().micro_tokens.min(train.batch_size * row));
    let kept = training_peak(model, train, config.train_precision(), most);
    writeln!(
        out,
        "          up to {} for {most} tokens at once, with the activations kept that memory has room for",
        gigabytes(kept)
    )?;
    let checkpoint = 4 * Layout::of(model).len as u64;
    let rounds = train.iterations as u64 + u64::from(config.warm.epochs > 0);
    writeln!(
        out,
        "disk      {} for {rounds} checkpoints, {} more while training",
        gigabytes(rounds * checkpoint),
        gigabytes(checkpoint + need.training)
    )?;

    let speed = products_per_second(config.train_precision().in_training());
    let weights = Layout::of(model).len as f64;
    let products = speed * EFFICIENCY / (2.0 * weights); // tokens a second, forward
    // Reference forward, forward, backward (twice), and one more forward where activations are not kept.
    let pair = 5.0 * (prompt + sample.max_new_tokens + rejected) as f64 / products;
    let streamed = bytes_per_second() * DECODE_EFFICIENCY / (2.0 * weights) * sample.concurrency as f64;
    let answer = prompt as f64 / products + sample.max_new_tokens as f64 / streamed.min(products);
    let (cases, from) = match cases(config)? {
        Some(cases) => (cases, format!("{cases} cases")),
        None => (1000, "a thousand cases".to_string()),
    };
    let time = cases as f64 * (answer + pair * train.epochs as f64);
    writeln!(
        out,
        "time      at most about {} an iteration for {from}: sampling {}, training {} (measured {:.0} GFLOP/s)",
        duration(time),
        duration(cases as f64 * answer),
        duration(cases as f64 * pair * train.epochs as f64),
        speed / 1e9
    )?;
    let room = train.memory_gb.map_or(free(), |gigabytes| (gigabytes * 1e9) as u64);
    let fits = need.peak() <= room.min(free());
    let verdict = if fits { "it fits" } else { "it does not fit" };
    writeln!(out, "verdict   {verdict}: {} needed, {} there", gigabytes(need.peak()), gigabytes(room.min(free())))?;
    if !fits {
        writeln!(
            out,
            "hint      lower sample.concurrency, take a smaller model, or close other programs{}",
            if train.memory_gb.is_some() { ", or raise train.memory_gb" } else { "" }
        )?;
    }
    Ok(fits)
}

/// How many cases an iteration will have, where that is known before detection.
fn cases(config: &Config) -> Result<Option<usize>> {
    let given = match &config.source {
        Some(Source::Cases { files, .. }) => {
            let mut lines = 0;
            for file in files {
                let text = fs_err::read(file).context("[cases] files")?;
                lines += text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
            }
            Some(lines)
        }
        _ => None,
    };
    Ok(match (given, config.detect.max_cases) {
        (given, 0) => given,
        (Some(given), max) => Some(given.min(max)),
        (None, max) => Some(max),
    })
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{:.0} s", s.max(1.0)),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
