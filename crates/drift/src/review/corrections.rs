//! `review/corrections.jsonl`: what people said of single labels, a row each, the last word on a turn counting.

use crate::files;
use anyhow::{Context, Result, bail};
use drift_chat::{Case, Evidence, turn_key};
use drift_feedback::{DSAT_RUBRICS, Label, SAT_RUBRICS, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Within the run folder.
pub const FILE: &str = "review/corrections.jsonl";

/// What a person says of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mark {
    Dsat,
    Sat,
    Both,
    None,
    /// Cannot be told: the detector's label stays, and no estimate counts it.
    Unsure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A random sample: its share of right cases estimates that of all.
    Random,
    /// The cases of least confidence, from which the detectors learn most.
    Uncertain,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// `chat id:index of the user turn`
    pub key: String,
    pub label: Mark,
    pub by: String,
    /// Seconds since 1970.
    pub at: u64,
    /// How the case was chosen.
    pub mode: Mode,
    /// How sure who said it is, 0 to 1, for the weights of pairs: no threshold reads it. Absent: 1 where it changes the
    /// label, the detector's own where it confirms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
}

impl Mark {
    fn verdict(self) -> Option<Verdict> {
        match self {
            Mark::Dsat => Some(Verdict::Dsat),
            Mark::Sat => Some(Verdict::Sat),
            Mark::Both => Some(Verdict::Both),
            Mark::None => Some(Verdict::None),
            Mark::Unsure => None,
        }
    }
}

/// The last word on each turn.
#[derive(Debug, Default)]
pub struct Corrections(HashMap<String, Correction>);

impl Corrections {
    /// Of a run folder; none where nobody reviewed.
    pub fn read(root: &Path) -> Result<Corrections> {
        let path = root.join(FILE);
        let rows = if path.is_file() { read(&path)? } else { Vec::new() };
        Ok(Corrections(rows.into_iter().map(|row| (row.key.clone(), row)).collect()))
    }

    pub fn get(&self, key: &str) -> Option<&Correction> {
        self.0.get(key)
    }

    pub fn put(&mut self, correction: Correction) {
        self.0.insert(correction.key.clone(), correction);
    }

    /// Whether a person said that the user of a case was not dissatisfied.
    pub fn denies(&self, case: &Case) -> bool {
        let said = case.key.as_deref().and_then(|key| self.get(key)?.label.verdict());
        said.is_some_and(|verdict| !verdict.is_dsat())
    }

    /// A person's word wins. Returns what was done, if there was one; a label that was right stays as it is but for a
    /// confidence that was given, so that confirming changes no file that later stages read.
    pub fn apply(&self, label: &mut Label) -> Option<&'static str> {
        if self.0.is_empty() {
            return None;
        }
        let correction = self.get(&turn_key(&label.conversation, label.turn))?;
        let verdict = correction.label.verdict()?;
        if verdict == label.label {
            if let (Some(confidence), Some(evidence)) = (correction.confidence, &mut label.evidence) {
                evidence.confidence = confidence;
            }
            return Some("confirmed_by_review");
        }
        let probability = |is: bool| if is { 1.0 } else { 0.0 };
        let known = label.evidence.take();
        let rubrics = if verdict.is_dsat() { DSAT_RUBRICS } else { SAT_RUBRICS };
        let fits = |rubric: &String| rubrics.contains(&rubric.as_str());
        label.label = verdict;
        (label.dsat, label.sat) = (probability(verdict.is_dsat()), probability(verdict.is_sat()));
        label.evidence = (verdict != Verdict::None).then(|| Evidence {
            detector: "review".to_string(),
            rubric: known.map(|evidence| evidence.rubric).filter(fits).unwrap_or("unspecified".to_string()),
            confidence: correction.confidence.unwrap_or(1.0),
            cue: None,
        });
        Some("corrected_by_review")
    }
}

/// Appends to the file, each call a whole write that is on the disk when it returns.
pub struct Log {
    file: fs_err::File,
}

impl Log {
    /// A last line that was cut off in the middle is taken away.
    pub fn open(root: &Path) -> Result<Log> {
        let path = root.join(FILE);
        fs_err::create_dir_all(root.join("review"))?;
        let bytes = if path.exists() { fs_err::read(&path)? } else { Vec::new() };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let file = fs_err::OpenOptions::new().create(true).append(true).open(&path)?;
        file.file().set_len(whole as u64).with_context(|| format!("{}: cannot be cut", path.display()))?;
        Ok(Log { file })
    }

    pub fn append(&mut self, corrections: &[Correction]) -> Result<()> {
        let mut lines = Vec::new();
        for correction in corrections {
            serde_json::to_writer(&mut lines, correction)?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines)?;
        Ok(self.file.sync_all()?)
    }
}

fn read(path: &Path) -> Result<Vec<Correction>> {
    let rows: Vec<Correction> = files::read_jsonl(path)?;
    let bad = rows.iter().find_map(|row| Some((row, row.confidence.filter(|sure| !(0.0..=1.0).contains(sure))?)));
    match bad {
        Some((row, sure)) => bail!("{}: {}: confidence is {sure}, expected 0 to 1", path.display(), row.key),
        None => Ok(rows),
    }
}

/// Takes in a file that the page without a server wrote. Rows for turns that the run does not know are left out.
/// Returns (taken in, left out).
pub fn import(root: &Path, labels: &Path, file: &Path) -> Result<(usize, usize)> {
    files::must_exist(file, "the corrections that a review page saved")?;
    let rows = read(file)?;
    if rows.is_empty() {
        bail!("{}: empty, expected a correction a line; hint: save the file on the page first", file.display());
    }
    let known: std::collections::HashSet<String> =
        files::read_jsonl::<Label>(labels)?.iter().map(|label| turn_key(&label.conversation, label.turn)).collect();
    let total = rows.len();
    let rows: Vec<Correction> = rows.into_iter().filter(|row| known.contains(&row.key)).collect();
    Log::open(root)?.append(&rows)?;
    Ok((rows.len(), total - rows.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correction(key: &str, label: Mark) -> Correction {
        Correction { key: key.into(), label, by: "review".into(), at: 1, mode: Mode::Random, confidence: None }
    }

    fn label(verdict: Verdict) -> Label {
        let evidence =
            Evidence { detector: "rules".into(), rubric: "revision".into(), confidence: 0.7, cue: Some((0, 2)) };
        Label { conversation: "a:b".into(), turn: 2, label: verdict, dsat: 0.7, sat: 0.1, evidence: Some(evidence) }
    }

    #[test]
    fn the_last_word_wins_and_a_right_label_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path()).unwrap();
        log.append(&[correction("a:b:2", Mark::Dsat), correction("c:2", Mark::Sat)]).unwrap();
        let mut said = label(Verdict::Dsat);
        let corrections = Corrections::read(dir.path()).unwrap();
        assert_eq!(corrections.apply(&mut said), Some("confirmed_by_review"));
        assert_eq!(said, label(Verdict::Dsat));

        log.append(&[correction("a:b:2", Mark::None)]).unwrap();
        let corrections = Corrections::read(dir.path()).unwrap();
        assert_eq!(corrections.apply(&mut said), Some("corrected_by_review"));
        assert_eq!((said.label, said.dsat, &said.evidence), (Verdict::None, 0.0, &None));

        // a reason for dissatisfaction is none for praise
        let rubric = |mark: Mark| {
            let mut said = label(Verdict::Dsat);
            Corrections(HashMap::from([("a:b:2".into(), correction("a:b:2", mark))])).apply(&mut said);
            said.evidence.unwrap().rubric
        };
        assert_eq!((rubric(Mark::Both), rubric(Mark::Sat)), ("revision".into(), "unspecified".into()));

        log.append(&[correction("a:b:2", Mark::Unsure)]).unwrap();
        assert_eq!(Corrections::read(dir.path()).unwrap().apply(&mut label(Verdict::Dsat)), None);
    }

    #[test]
    fn a_given_confidence_is_the_labels_whether_it_was_right_or_not_and_lies_between_0_and_1() {
        let dir = tempfile::tempdir().unwrap();
        let said = |mark: Mark, confidence| {
            let correction = Correction { confidence, ..correction("a:b:2", mark) };
            let mut said = label(Verdict::Dsat);
            Corrections(HashMap::from([("a:b:2".into(), correction)])).apply(&mut said);
            said.evidence.unwrap().confidence
        };
        assert_eq!((said(Mark::Dsat, Some(0.2)), said(Mark::Sat, Some(0.2))), (0.2, 0.2));
        assert_eq!((said(Mark::Dsat, None), said(Mark::Sat, None)), (0.7, 1.0), "the detector's own, and certain");

        let mut log = Log::open(dir.path()).unwrap();
        log.append(&[Correction { confidence: Some(-0.5), ..correction("a:b:2", Mark::Dsat) }]).unwrap();
        let line = Corrections::read(dir.path()).unwrap_err().to_string();
        assert!(line.ends_with("a:b:2: confidence is -0.5, expected 0 to 1"), "{line}");
    }

    #[test]
    fn a_line_cut_in_two_goes_when_the_next_is_written() {
        let dir = tempfile::tempdir().unwrap();
        Log::open(dir.path()).unwrap().append(&[correction("a:1", Mark::Dsat)]).unwrap();
        let path = dir.path().join(FILE);
        let mut text = fs_err::read_to_string(&path).unwrap();
        text.push_str("{\"key\":\"half a li");
        fs_err::write(&path, text).unwrap();
        Log::open(dir.path()).unwrap().append(&[correction("b:1", Mark::Sat)]).unwrap();
        let corrections = Corrections::read(dir.path()).unwrap();
        assert!(corrections.get("a:1").is_some() && corrections.get("b:1").is_some());
    }
}
