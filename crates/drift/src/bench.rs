//! `drift bench`: the product's own benchmark. Numbers are rates of this machine at this moment: compare
//! those of one session, and mind what else was running.

mod detect;
mod kernels;
mod kv;
mod sample;
mod train;

use crate::config::sections;
use crate::machine;
use crate::profile;
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_kernels::meter::Tally;
use drift_kernels::{Isa, Precision};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write;

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    work: Work,
    /// One JSON object on stdout, not a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Work {
    /// Each operation alone, at the model's sizes, against the machine's bounds
    Kernels(kernels::Options),
    /// Steps of DPO on pairs, the reference's log-probs included
    Train(train::Options),
    /// Answers to the prompts of pairs: prefill and decoding
    Sample(sample::Options),
    /// How far keys and values in fewer bits move the log-probs of recorded answers
    Kv(kv::Options),
    /// Reading logs and finding dissatisfied turns
    Detect(detect::Options),
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let (mut result, rows) = match &options.work {
        Work::Kernels(options) => json(kernels::run(options)?)?,
        Work::Train(options) => json(train::run(options, talk)?)?,
        Work::Sample(options) => json(sample::run(options)?)?,
        Work::Kv(options) => json(kv::run(options)?)?,
        Work::Detect(options) => json(detect::run(options, talk)?)?,
    };
    let about = result.as_object_mut().context("a benchmark's result is an object")?;
    about.insert("peak_rss_bytes".into(), json!(machine::peak_rss_bytes()));
    about.insert("kernels".into(), json!(Isa::current().name()));
    about.insert("threads".into(), json!(rayon::current_num_threads()));
    if !rows.is_empty() {
        about.insert("breakdown".into(), json!(rows));
    }
    let out = &mut std::io::stdout().lock();
    if options.json { writeln!(out, "{result}") } else { table(out, about, &rows) }.context("stdout")
}

fn json((measured, rows): (impl Serialize, Vec<Row>)) -> Result<(Value, Vec<Row>)> {
    Ok((serde_json::to_value(measured)?, rows))
}

/// One operation's part of the time, and how near it stands to what the machine can do.
#[derive(Debug, Serialize)]
pub struct Row {
    operation: String,
    calls: u64,
    seconds: f64,
    /// Of the whole time that was measured.
    share: f64,
    gflops: f64,
    gbytes_per_s: f64,
    /// The shortest time that arithmetic or memory traffic allows, over the time taken.
    fraction_of_bound: f64,
}

impl Row {
    fn flops(&self) -> f64 {
        self.gflops * 1e9 * self.seconds
    }
}

/// What an operation cannot pass.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    flops_per_s: f64,
    bytes_per_s: f64,
}

impl Bounds {
    fn measure(precision: Precision) -> Bounds {
        Bounds { flops_per_s: ceiling(precision), bytes_per_s: machine::bytes_per_second() }
    }

    /// Of `tally`, in a measurement of `whole` seconds.
    fn row(&self, operation: impl Into<String>, tally: &Tally, whole: f64) -> Row {
        let (seconds, flops, bytes) = (tally.time.as_secs_f64(), tally.flops as f64, tally.bytes as f64);
        let least = (flops / self.flops_per_s).max(bytes / self.bytes_per_s);
        let over = |amount: f64, time: f64| if time > 0.0 { amount / time } else { 0.0 };
        Row {
            operation: operation.into(),
            calls: tally.calls,
            seconds,
            share: over(seconds, whole),
            gflops: over(flops, seconds) / 1e9,
            gbytes_per_s: over(bytes, seconds) / 1e9,
            fraction_of_bound: over(least, seconds),
        }
    }

    /// Of [`profile::tallies`].
    fn breakdown(&self, whole: f64) -> Vec<Row> {
        let all = profile::tallies(std::time::Duration::from_secs_f64(whole));
        all.into_iter().map(|(name, tally)| self.row(name, &tally, whole)).collect()
    }
}

/// # Errors
/// Bytes have none.
fn must_have_gradients(precision: sections::Precision) -> Result<()> {
    match precision {
        sections::Precision::Int8 => {
            bail!("--precision: int8 has no gradients, expected bf16 or f32; hint: `drift bench sample` takes it")
        }
        _ => Ok(()),
    }
}

/// The best product that this build reaches; on a machine with AMX at least what its tiles are known to
/// reach with two threads, so that a slow kernel cannot flatter itself.
fn ceiling(precision: Precision) -> f64 {
    let reached = machine::products_per_second(precision);
    if precision == Precision::Bf16 && Isa::Amx.available() { reached.max(2.5e12) } else { reached }
}

fn table(out: &mut impl Write, about: &serde_json::Map<String, Value>, rows: &[Row]) -> std::io::Result<()> {
    for (name, value) in about.iter().filter(|(name, _)| *name != "breakdown") {
        let shown = match value {
            Value::Number(number) if number.is_f64() => format!("{:.3}", number.as_f64().unwrap_or(f64::NAN)),
            other => other.to_string(),
        };
        writeln!(out, "{name:24} {shown}")?;
    }
    if !rows.is_empty() {
        let title = ["operation", "calls", "seconds", "share", "GFLOP/s", "GB/s", "of its bound"];
        let [operation, calls, seconds, share, flops, bytes, bound] = title;
        writeln!(out, "\n{operation:44} {calls:>7} {seconds:>9} {share:>7} {flops:>8} {bytes:>7} {bound:>13}")?;
    }
    for row in rows {
        let percent = |x: f64| format!("{:.1} %", 100.0 * x);
        writeln!(
            out,
            "{:44} {:>7} {:>9.4} {:>7} {:>8.0} {:>7.1} {:>13}",
            row.operation,
            row.calls,
            row.seconds,
            percent(row.share),
            row.gflops,
            row.gbytes_per_s,
            percent(row.fraction_of_bound)
        )?;
    }
    Ok(())
}
