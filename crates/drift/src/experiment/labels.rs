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
/// the same ones and more. Where some are turned around, each label has a confidence: the chance that it is right.
pub fn put(dir: &Path, labels: Labels, flipped: f64, truth: &Path, run_seed: u64) -> Result<()> {
    let path = dir.join(FILE);
    if labels == Labels::Detected {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        };
    }
    let rows: Vec<Truth> = read_jsonl(truth)?;
    let truly = |mark: Mark| rows.iter().filter(|row| row.label == mark).count() as f64;
    fs_err::create_dir_all(dir.join("review"))?;
    write(&path, |out| {
        for Truth { key, label: truth } in &rows {
            let draw = |what| seed(run_seed, &[what, key]) as f64 / 2f64.powi(64);
            let (mut label, mut sure) = (*truth, None);
            if let (true, Some(other)) = (flipped > 0.0, opposite(*truth)) {
                let is_right = draw("flipped") >= flipped;
                label = if is_right { *truth } else { other };
                let right = (1.0 - flipped) * truly(label);
                let prior = right / (right + flipped * truly(if is_right { other } else { *truth }));
                sure = Some(confidence(prior, is_right, draw("confidence")) as f32);
            }
            let (key, by) = (key.clone(), "truth".to_string());
            let row = Correction { key, label, by, at: 0, mode: Mode::Random, confidence: sure };
            serde_json::to_writer(&mut *out, &row)?;
            writeln!(out)?;
        }
        Ok(())
    })
}

fn opposite(mark: Mark) -> Option<Mark> {
    match mark {
        Mark::Dsat => Some(Mark::Sat),
        Mark::Sat => Some(Mark::Dsat),
        _ => None,
    }
}

/// The chance that a label is right, of labels of which the share `prior` is: from a sign x in 0 to 1 of density 2x beside
/// right ones, 2(1 - x) beside wrong ones, so that a right one shows more of it in five cases of six. `draw` is uniform.
fn confidence(prior: f64, is_right: bool, draw: f64) -> f64 {
    let x = if is_right { draw.sqrt() } else { 1.0 - draw.sqrt() };
    let (right, wrong) = (prior * x, (1.0 - prior) * (1.0 - x));
    right / (right + wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::corrections::Corrections;

    #[test]
    fn the_truth_is_put_in_and_a_share_turned_around() {
        let dir = tempfile::tempdir().unwrap();
        let truth = dir.path().join("truth.jsonl");
        // of five turns one is satisfied, as in a log of complaints
        let is_sat = |at: usize| at.is_multiple_of(5);
        let row = |at| {
            format!("{{\"key\":\"c{at}:2\",\"label\":\"{}\",\"turn\":1}}\n", ["DSAT", "SAT"][usize::from(is_sat(at))])
        };
        std::fs::write(&truth, (0..5000).map(row).collect::<String>()).unwrap();
        let put = |flipped: f64| -> Vec<Correction> {
            put(dir.path(), Labels::True, flipped, &truth, 7).unwrap();
            let corrections = Corrections::read(dir.path()).unwrap();
            (0..5000).map(|at| corrections.get(&format!("c{at}:2")).unwrap().clone()).collect()
        };
        let wrong = |flipped: f64| -> Vec<usize> {
            let labels = put(flipped);
            (0..5000).filter(|&at| (labels[at].label == Mark::Sat) != is_sat(at)).collect()
        };
        let (none, some, more) = (wrong(0.0), wrong(0.2), wrong(0.4));
        assert!(none.is_empty() && (900..1100).contains(&some.len()) && (1900..2100).contains(&more.len()));
        assert!(some.iter().all(|at| more.contains(at)), "a larger share turns the same ones and more");
        assert!(put(0.0).iter().all(|label| label.confidence.is_none()));

        // of labels of one word, those of low, middle and high confidence are right as often as it says
        for mark in [Mark::Dsat, Mark::Sat] {
            let labels = put(0.4);
            let of = labels.iter().enumerate().filter(|(_, label)| label.label == mark);
            let mut said: Vec<(f64, bool)> = of
                .map(|(at, label)| (f64::from(label.confidence.unwrap()), (mark == Mark::Sat) == is_sat(at)))
                .collect();
            said.sort_by(|a, b| a.0.total_cmp(&b.0));
            for third in said.chunks(said.len().div_ceil(3)) {
                let n = third.len() as f64;
                let mean = third.iter().map(|(confidence, _)| confidence).sum::<f64>() / n;
                let right = third.iter().filter(|(_, is_right)| *is_right).count() as f64 / n;
                assert!((mean - right).abs() < 0.05, "{mark:?}: {mean} {right}");
            }
        }
        super::put(dir.path(), Labels::Detected, 0.0, &truth, 7).unwrap();
        assert!(!dir.path().join(FILE).exists());
    }
}
