//! `drift review`: a person looks at cases one by one and says whether the label is right.
//!
//! The page is served on 127.0.0.1 alone, under a random token; or written as one file that needs no server and saves the
//! corrections as a file to import.

pub mod corrections;
mod page;
mod sample;
mod server;

use crate::files::{self, must_exist};
use crate::run_folder::{Manifest, RunFolder};
use crate::talk::Talk;
use anyhow::{Result, bail};
use corrections::{Corrections, FILE, Log, Mark, Mode};
use drift_eval::statistics::wilson;
use sample::Sample;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The run folder, or the folder of `drift detect --out`
    run: PathBuf,
    /// `random` estimates how many cases are right; `uncertain` shows those from which the detectors learn most
    #[arg(long, value_enum, default_value_t = Mode::Random)]
    mode: Mode,
    /// How many cases
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    n: u32,
    /// Of the local page; 0: any that is free
    #[arg(long, value_name = "P", default_value_t = 0)]
    port: u16,
    /// Write one self-contained page that works without a server, and serve none
    #[arg(long, value_name = "FILE.html", conflicts_with = "port")]
    export: Option<PathBuf>,
    /// Take in the corrections that an exported page saved
    #[arg(long, value_name = "FILE", conflicts_with_all = ["export", "port"])]
    import: Option<PathBuf>,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let root = &options.run;
    let detect = detect_folder(root)?;
    // One reviewer at a time, and none while somebody is being forgotten; a run may go on meanwhile.
    let _lock = RunFolder::open(&root.join("review"))?;
    if let Some(file) = &options.import {
        let (taken, left) = corrections::import(root, &detect.join("labels.jsonl"), file)?;
        let unknown =
            if left > 0 { format!(", {left} left out: of turns that this run does not know") } else { String::new() };
        talk.step("review", format_args!("{taken} corrections taken in{unknown}; the next detection heeds them"));
        println!("{}", root.join(FILE).display());
        return Ok(());
    }
    let manifest: Manifest = files::read_json(&detect.join("manifest.json"))?;
    let number = |path: &str| manifest.config.pointer(path);
    let seed = number("/seed").and_then(|seed| seed.as_u64()).unwrap_or_default();
    let cases = files::read_jsonl(&detect.join("cases.jsonl"))?;
    let sample = Sample::draw(cases, options.mode, options.n as usize, seed);
    if sample.cards.is_empty() {
        bail!("{}: no case to show, expected some; hint: manifest.json counts what was dropped", detect.display());
    }
    let name = root.canonicalize()?.file_name().map_or("run".into(), |name| name.to_string_lossy().into_owned());
    let said = Corrections::read(root)?;
    if let Some(file) = &options.export {
        let page = page::export(&name, &sample, &said)?;
        files::write_private(file, |out| out.write_all(page.as_bytes()))?;
        talk.step("review", format_args!("{} cases; what is said there comes back with --import", sample.cards.len()));
        println!("{}", file.display());
        return Ok(());
    }
    let desk = server::Desk::new(name, sample, said, Log::open(root)?)?;
    let progress = server::serve(&desk, options.port, talk)?;
    talk.step("review", progress);
    Ok(())
}

/// Where `cases.jsonl` lies: in the run's `detect`, or in the folder itself.
pub fn detect_folder(root: &Path) -> Result<PathBuf> {
    must_exist(root, "a run folder")?;
    let folder = [root.join("detect"), root.to_path_buf()].into_iter().find(|dir| dir.join("cases.jsonl").is_file());
    match folder {
        Some(folder) => Ok(folder),
        None => bail!("{}: has no cases.jsonl, expected a run folder; hint: `drift detect` makes one", root.display()),
    }
}

/// What was said of a sample.
#[derive(Debug, PartialEq, Eq)]
struct Progress {
    of: usize,
    right: usize,
    wrong: usize,
    unsure: usize,
    mode: Mode,
}

impl Progress {
    fn of(sample: &Sample, said: &Corrections) -> Progress {
        let mut progress = Progress { of: sample.cards.len(), right: 0, wrong: 0, unsure: 0, mode: sample.mode };
        for mark in sample.cards.iter().filter_map(|card| said.get(&card.key)).map(|correction| correction.label) {
            match mark {
                Mark::Dsat | Mark::Both => progress.right += 1,
                Mark::Sat | Mark::None => progress.wrong += 1,
                Mark::Unsure => progress.unsure += 1,
            }
        }
        progress
    }
}

impl std::fmt::Display for Progress {
    /// `32 of 100 reviewed: 25 right, 5 wrong, 2 unsure; precision 83.3 % (95 % interval 66.4 to 92.7)`
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Progress { of, right, wrong, unsure, mode } = *self;
        write!(f, "{} of {of} reviewed: {right} right, {wrong} wrong, {unsure} unsure", right + wrong + unsure)?;
        match wilson(right as f64, right + wrong) {
            Some(interval) if mode == Mode::Random => {
                let share = 100.0 * right as f64 / (right + wrong) as f64;
                let (low, high) = (100.0 * interval.low, 100.0 * interval.high);
                write!(f, "; precision {share:.1} % (95 % interval {low:.1} to {high:.1})")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
