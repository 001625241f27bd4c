//! A judge's records: compact CSV, or `annotations.json` and `model_outputs.json` as the official tools write them.

use super::BASELINE;
use super::preference::{Order, TokenLogProbs};
use crate::error::{Error, Result};
use crate::json;
use crate::table::{Row, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;

/// What is known of a judged pair of answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// Position among the instructions, from 0 on.
    pub row: usize,
    /// 1 (the baseline's answer is better) to 2, or 0, an old form of a draw; `None`: no verdict.
    pub preference: Option<f64>,
    /// Characters (Unicode scalar values) of the baseline's answer and of the model's.
    pub len_1: usize,
    pub len_2: usize,
}

impl Record {
    /// The model's share of the win, 0 to 1.
    pub fn win(&self) -> Option<f64> {
        self.preference.map(|preference| if preference == 0.0 { 0.5 } else { preference - 1.0 })
    }
}

/// The records of one model, by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub file: String,
    pub model: String,
    pub baseline: String,
    pub records: Vec<Record>,
}

/// A row of `annotations.json`. Fields that are not named here are kept as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    pub instruction: String,
    pub output_1: String,
    pub generator_1: String,
    pub output_2: String,
    pub generator_2: String,
    #[serde(default)]
    pub annotator: String,
    #[serde(default)]
    pub preference: Option<f64>,
    /// US dollars.
    #[serde(default)]
    pub price_per_example: Option<f64>,
    /// Seconds.
    #[serde(default)]
    pub time_per_example: Option<f64>,
    #[serde(default)]
    pub raw_completion: Value,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A row of `model_outputs.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelOutput {
    #[serde(default)]
    pub dataset: String,
    pub instruction: String,
    pub output: String,
    pub generator: String,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Reads compact CSV, whose model is the file's name, or `annotations.json`, one model for each `generator_2`.
pub fn read_judged(path: &Path) -> Result<Vec<Judged>> {
    let bytes = json::read(path)?;
    let judged = match json::first_byte(&bytes) {
        None => {
            return Err(Error::new(path.display(), "an empty file, expected a judge's records").hint("check the path"));
        }
        Some(b'[' | b'{') => {
            let rows: Vec<Annotation> = json::parse(path, &bytes, "a list of annotations as alpaca_eval writes it")?;
            of_annotations(path, &rows)?
        }
        Some(_) => vec![read_compact(path, &bytes)?],
    };
    match judged.iter().all(|judged| !judged.records.is_empty()) && !judged.is_empty() {
        true => Ok(judged),
        false => Err(Error::new(path.display(), "no rows, expected a judge's records").hint("was the file cut?")),
    }
}

pub fn read_model_outputs(path: &Path) -> Result<Vec<ModelOutput>> {
    json::parse(path, &json::read(path)?, "a list of {dataset, instruction, output, generator}")
}

/// Writes annotations or model outputs as the official tools read them.
pub fn write_records(mut out: impl Write, records: &[impl Serialize]) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut out, records)?;
    out.write_all(b"\n")
}

const ROW: usize = 0;
const LEN_1: usize = 1;
const LEN_2: usize = 2;
const PREFERENCE: usize = 3;
const LOGPROB_M: usize = 4;
const LOGPROB_BIG_M: usize = 5;
const SWITCHED: usize = 6;
const COLUMNS: &[&str] = &["row", "len_1", "len_2", "preference", "logprob_m", "logprob_M", "switched"];

fn read_compact(path: &Path, bytes: &[u8]) -> Result<Judged> {
    let mut table = Table::new(path, bytes, COLUMNS, 3)?;
    let log_probs = [LOGPROB_M, LOGPROB_BIG_M, SWITCHED].into_iter().all(|column| table.has(column));
    if !table.has(PREFERENCE) && !log_probs {
        let what = "neither preferences nor log-probs, expected a column preference, or logprob_m, logprob_M, switched";
        return Err(Error::new(path.display(), what).hint("is this the right file?"));
    }
    let mut records: Vec<Record> = Vec::new();
    while let Some(row) = table.next()? {
        let preference = match row.number(PREFERENCE)? {
            Some(preference) => Some(preference),
            None => of_log_probs(&row)?,
        };
        if preference.is_some_and(|preference| !is_preference(preference)) {
            return Err(row.wrong(PREFERENCE, "1 to 2, or 0 for a draw"));
        }
        let (len_1, len_2) = (row.count(LEN_1)?, row.count(LEN_2)?);
        records.push(Record { row: row.count(ROW)?, preference, len_1, len_2 });
    }
    records.sort_by_key(|record| record.row);
    let file = path.display().to_string();
    if let Some(pair) = records.windows(2).find(|pair| pair[0].row == pair[1].row) {
        let what = format!("row {} comes twice, expected each once", pair[0].row);
        return Err(Error::new(file, what).hint("one file holds one model"));
    }
    let model = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Judged { file, model, baseline: BASELINE.to_string(), records })
}

/// The preference that follows from the log-probs of a row, if it has any.
fn of_log_probs(row: &Row) -> Result<Option<f64>> {
    let logprobs = TokenLogProbs { m: row.number(LOGPROB_M)?, big_m: row.number(LOGPROB_BIG_M)? };
    if logprobs == TokenLogProbs::default() {
        return Ok(None);
    }
    let order = match row.text(SWITCHED) {
        "0" | "False" | "false" => Order::AsGiven,
        "1" | "True" | "true" => Order::Switched,
        _ => return Err(row.wrong(SWITCHED, "0 or 1, since the preference is to come from log-probs")),
    };
    Ok(logprobs.preference(order))
}

fn is_preference(value: f64) -> bool {
    (1.0..=2.0).contains(&value) || value == 0.0
}

fn of_annotations(path: &Path, rows: &[Annotation]) -> Result<Vec<Judged>> {
    let file = path.display().to_string();
    let mut judged: Vec<Judged> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let wrong = |what: String, hint| Error::new(format!("{file}: annotation {}", i + 1), what).hint(hint);
        let preference = match row.preference {
            // Equal answers are a draw that no judge is asked about.
            None if row.output_1 == row.output_2 => Some(1.5),
            preference => preference,
        };
        if preference.is_some_and(|preference| !is_preference(preference)) {
            let what = "preference is out of range, expected 1 to 2, or 0 for a draw".to_string();
            return Err(wrong(what, "was another judge's scale used?"));
        }
        let at = judged.iter().position(|judged| judged.model == row.generator_2).unwrap_or_else(|| {
            let (model, baseline) = (row.generator_2.clone(), row.generator_1.clone());
            judged.push(Judged { file: file.clone(), model, baseline, records: Vec::new() });
            judged.len() - 1
        });
        let judged = &mut judged[at];
        if judged.baseline != row.generator_1 {
            let what = "another generator_1 than before, expected one baseline for a model".to_string();
            return Err(wrong(what, "score each baseline's file by itself"));
        }
        let (len_1, len_2) = (row.output_1.chars().count(), row.output_2.chars().count());
        judged.records.push(Record { row: judged.records.len(), preference, len_1, len_2 });
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, content: &str) -> Result<Vec<Judged>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_judged(&path)
    }

    #[test]
    fn compact_rows_of_every_kind() {
        let text = "row,instruction_id,preference,len_1,len_2,logprob_m,logprob_M,switched\n\
                    1,1,,30,40,-0.5,-0.5,1\n0,0,1.25,10,20.0,,,0\n2,3,,5,5,,,1\n3,4,0,1,2,,,\n4,5,NaN,1,2,,-3,True\n";
        let judged = read("some.model.csv", text).unwrap();
        assert_eq!((&judged[0].model[..], &judged[0].baseline[..]), ("some.model", BASELINE));
        let preferences: Vec<Option<f64>> = judged[0].records.iter().map(|record| record.preference).collect();
        assert_eq!(preferences, [Some(1.25), Some(1.5), None, Some(0.0), Some(1.0)]);
        assert_eq!(judged[0].records[0].len_2, 20);
        assert_eq!(judged[0].records[3].win(), Some(0.5));
    }

    #[test]
    fn annotations_keep_what_they_hold() {
        let rows = json!([
            { "instruction": "a", "output_1": "zwölf", "generator_1": "b", "output_2": "12", "generator_2": "m",
              "annotator": "j", "preference": 1.75, "price_per_example": 0.01, "time_per_example": 1.5,
              "raw_completion": null, "dataset": "helpful_base" },
            { "instruction": "b", "output_1": "x", "generator_1": "b", "output_2": "x", "generator_2": "m",
              "preference": null },
            { "instruction": "c", "output_1": "x", "generator_1": "b", "output_2": "y", "generator_2": "m" },
        ]);
        let judged = read("annotations.json", &rows.to_string()).unwrap();
        assert_eq!((&judged[0].model[..], &judged[0].baseline[..], judged.len()), ("m", "b", 1));
        let expected = [
            Record { row: 0, preference: Some(1.75), len_1: 5, len_2: 2 },
            Record { row: 1, preference: Some(1.5), len_1: 1, len_2: 1 },
            Record { row: 2, preference: None, len_1: 1, len_2: 1 },
        ];
        assert_eq!(judged[0].records, expected);
        let annotations: Vec<Annotation> = serde_json::from_value(rows.clone()).unwrap();
        let mut written = Vec::new();
        write_records(&mut written, &annotations).unwrap();
        let again: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(again[0], rows[0], "unknown fields and all");
    }

    #[test]
    fn model_outputs_go_round() {
        let outputs =
            [ModelOutput { instruction: "a".into(), output: "b".into(), generator: "m".into(), ..Default::default() }];
        let file = tempfile::NamedTempFile::new().unwrap();
        write_records(&file, &outputs).unwrap();
        assert_eq!(read_model_outputs(file.path()).unwrap(), outputs);
    }
}
