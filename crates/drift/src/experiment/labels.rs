//! Whose labels a method's run takes: those of detection, or the log's truth, for what detection costs, with a share
//! turned around, for how much noise the method bears.

use crate::files::{read_jsonl, write};
use crate::review::corrections::{Correction, FILE, Mark, Mode};
use crate::seeds::seed;
use anyhow::Result;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::Path;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    #[default]
    Detected,
    True,
}

#[derive(Deserialize)]
struct Truth {
    key: String,
    label: Mark,
}

/// Puts the truth where a reviewer's corrections lie, which win over every detector; takes away what lies there where
/// labels are detected. `flipped` is the share that is turned around; which ones, the seed tells, and a larger share turns
/// the same ones and more. Whoever gave such labels knows how far to trust each: its confidence lies between
/// 1 - 2 `flipped` and 1, and is the chance that it is right.
pub fn put(dir: &Path, labels: Labels, flipped: f64, truth: &Path, run_seed: u64) -> Result<()> {
    let path = dir.join(FILE);
    if labels == Labels::Detected {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        };
    }
    let rows: Vec<Truth> = read_jsonl(truth)?;
    fs_err::create_dir_all(dir.join("review"))?;
    write(&path, |out| {
        for Truth { key, label } in &rows {
            let draw = |what| seed(run_seed, &[what, key]) as f64 / 2f64.powi(64);
            let doubt = 2.0 * flipped * draw("doubt");
            let label = match (label, draw("flipped") < doubt) {
                (Mark::Dsat, true) => Mark::Sat,
                (Mark::Sat, true) => Mark::Dsat,
                (label, _) => *label,
            };
            let confidence = (flipped > 0.0).then_some((1.0 - doubt) as f32);
            let row = Correction { key: key.clone(), label, by: "truth".into(), at: 0, mode: Mode::Random, confidence };
            serde_json::to_writer(&mut *out, &row)?;
            writeln!(out)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::corrections::Corrections;

    #[test]
    fn the_truth_is_put_in_and_a_share_turned_around() {
        let dir = tempfile::tempdir().unwrap();
        let truth = dir.path().join("truth.jsonl");
        let row = |at: usize| format!("{{\"key\":\"c{at}:2\",\"label\":\"{}\",\"turn\":1}}\n", ["DSAT", "SAT"][at % 2]);
        std::fs::write(&truth, (0..1000).map(row).collect::<String>()).unwrap();
        let wrong = |flipped: f64| {
            put(dir.path(), Labels::True, flipped, &truth, 7).unwrap();
            let corrections = Corrections::read(dir.path()).unwrap();
            let label = |at: &usize| corrections.get(&format!("c{at}:2")).unwrap().label;
            let is_wrong = |at: &usize| (label(at) == Mark::Dsat) != at.is_multiple_of(2);
            (0..1000).filter(is_wrong).collect::<Vec<_>>()
        };
        // a label is right as often as its confidence says
        let sure = |flipped: f64| {
            let wrong = wrong(flipped);
            let corrections = Corrections::read(dir.path()).unwrap();
            let confidence = |at: usize| f64::from(corrections.get(&format!("c{at}:2")).unwrap().confidence.unwrap());
            let all: Vec<(f64, bool)> = (0..1000).map(|at| (confidence(at), !wrong.contains(&at))).collect();
            let mean = |part: Vec<(f64, bool)>| {
                let n = part.len() as f64;
                let right = part.iter().filter(|(_, right)| *right).count() as f64;
                (part.iter().map(|(confidence, _)| confidence).sum::<f64>() / n, right / n)
            };
            let (low, high): (Vec<_>, Vec<_>) = all.iter().partition(|(confidence, _)| *confidence < 1.0 - flipped);
            [mean(low), mean(high)]
        };
        for (confidence, right) in sure(0.4) {
            assert!((confidence - right).abs() < 0.06, "{confidence} {right}");
        }
        let (none, some, more) = (wrong(0.0), wrong(0.2), wrong(0.4));
        assert!(none.is_empty() && (160..240).contains(&some.len()) && (340..460).contains(&more.len()));
        assert!(some.iter().all(|at| more.contains(at)), "a larger share turns the same ones and more");
        put(dir.path(), Labels::Detected, 0.0, &truth, 7).unwrap();
        assert!(!dir.path().join(FILE).exists());
    }
}
