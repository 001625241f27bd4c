//! Log-probs under the reference, the weights that training starts from: computed once, kept on disk.
//!
//! `reference-<model>-<precision>.jsonl`: a header that says which weights are the reference, then a line
//! a pair, keyed by the hash of its ids. Lines are only ever appended, so a run that was killed goes on
//! where it stopped; a last line cut in two is computed again. Another model has another file name: what
//! one model said is never taken for what another one says.

use crate::error::{Error, Result};
use crate::examples::{Example, micro_batches};
use crate::score::{Score, score_rows};
use blake3::Hash;
use drift_lm::{Model, Precision};
use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The first line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`drift_lm::load::hash`] of the weights.
    pub model: String,
    pub precision: String,
    /// Where they came from, for the reader.
    pub weights: String,
}

#[derive(Serialize, Deserialize)]
struct Row {
    example: String,
    #[serde(flatten)]
    score: Score,
}

pub struct Reference {
    pub path: PathBuf,
    /// One for each example.
    pub scores: Vec<Score>,
    /// Pairs computed now, and pairs found on disk.
    pub computed: usize,
    pub cached: usize,
}

/// What tells results of one arithmetic from those of another: how weights are rounded belongs to it.
pub fn precision_name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Bf16 => "bf16-spread",
        Precision::Bf16x3 => "bf16x3",
        Precision::Int16 => "int16",
        Precision::Int8 => "int8",
    }
}

impl Header {
    /// `weights`: where the model's weights came from.
    pub fn of(model: &Model, weights: &str) -> Header {
        Header {
            model: drift_lm::load::hash(model.config(), model.params()),
            precision: precision_name(model.precision()).into(),
            weights: weights.into(),
        }
    }

    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("reference-{}-{}.jsonl", &self.model[..16], self.precision))
    }
}

/// The scores of `examples` under `model`, whose weights `header` names; from `dir` where it has them.
/// `on_progress(done, total)` may `Break`: then the answer is `None`, and what was computed stays on disk.
pub fn scores(
    dir: &Path,
    header: &Header,
    model: &Model,
    examples: &[Example],
    hashes: &[Hash],
    micro_tokens: usize,
    on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Reference>> {
    let path = header.path(dir);
    let (mut known, mut file) = open(&path, header)?;
    let distinct: HashSet<Hash> = hashes.iter().copied().collect();
    let cached = distinct.iter().filter(|hash| known.contains_key(hash)).count();
    let before = known.len() - cached;
    // The rows of a pass are those of an uninterrupted run even where some are known already.
    for rows in micro_batches(examples.iter().map(Example::row_tokens), micro_tokens) {
        if hashes[rows.clone()].iter().all(|hash| known.contains_key(hash)) {
            continue;
        }
        let mut lines = Vec::new();
        for (i, score) in rows.clone().zip(score_rows(model, &examples[rows])) {
            if !(score.chosen_logp.is_finite() && score.rejected_logp.is_finite()) {
                return Err(Error::new(
                    format!("example {:?}", examples[i].id),
                    format!(
                        "log-probs {} and {} under the reference, expected finite numbers",
                        score.chosen_logp, score.rejected_logp
                    ),
                )
                .hint("the weights are damaged"));
            }
            if known.insert(hashes[i], score).is_none() {
                let row = Row { example: hashes[i].to_hex().to_string(), score };
                serde_json::to_writer(&mut lines, &row).expect("numbers become JSON");
                lines.push(b'\n');
            }
        }
        file.write_all(&lines).map_err(|e| Error::io(&path, "write", &e))?;
        if on_progress(known.len() - before, distinct.len()).is_break() {
            return Ok(None);
        }
    }
    let scores = hashes.iter().map(|hash| known[hash]).collect();
    Ok(Some(Reference { path, scores, computed: distinct.len() - cached, cached }))
}

/// The rows of an existing file and the file, ready to be appended to; a new file gets its header.
fn open(path: &Path, header: &Header) -> Result<(HashMap<Hash, Score>, File)> {
    let text = match fs_err::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io(path, "read", &e)),
    };
    let complete = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let (rows, keep) =
        if complete == 0 { (HashMap::new(), 0) } else { (parse(path, &text[..complete], header)?, complete) };
    let io = |e: std::io::Error| Error::io(path, "write", &e);
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(|e| Error::io(path, "open", &e))?;
    file.set_len(keep as u64).map_err(io)?;
    if keep == 0 {
        let mut line = serde_json::to_vec(header).expect("strings become JSON");
        line.push(b'\n');
        file.write_all(&line).map_err(io)?;
    }
    Ok((rows, file))
}

fn parse(path: &Path, text: &[u8], header: &Header) -> Result<HashMap<Hash, Score>> {
    const HINT: &str = "delete the file to have it computed again";
    let wrong = |line: usize, what: String| Error::new(format!("{}:{line}", path.display()), what).hint(HINT);
    let mut lines = text.split_inclusive(|&b| b == b'\n').enumerate();
    let (_, first) = lines.next().expect("the text has a line");
    let found: Header = serde_json::from_slice(first)
        .map_err(|e| wrong(1, format!("no header ({e}), expected which weights are the reference")))?;
    if (&found.model, &found.precision) != (&header.model, &header.precision) {
        let (was, is) =
            (format!("{} in {}", found.model, found.precision), format!("{} in {}", header.model, header.precision));
        return Err(wrong(1, format!("log-probs of model {was}, expected {is}")));
    }
    lines
        .map(|(i, line)| {
            let row: Row = serde_json::from_slice(line).map_err(|e| {
                wrong(i + 1, format!("no log-probs of a pair ({e}), expected example, chosen_logp, rejected_logp"))
            })?;
            let hash = Hash::from_hex(&row.example)
                .map_err(|_| wrong(i + 1, "example is no hash, expected 64 hexadecimal digits".into()))?;
            Ok((hash, row.score))
        })
        .collect()
}
