//! What length control needs beside a model's own rows.

use crate::error::{Error, Result};
use crate::json;
use crate::table::Table;
use std::collections::HashMap;
use std::path::Path;

/// A row of a baseline that was told to answer shortly or at length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GamedRow {
    /// 0 to 1.
    pub preference: f64,
    /// Difference of lengths in standard deviations.
    pub std_delta_len: f64,
    pub instruction_difficulty: f64,
}

/// Published weights by model: of length, difficulty and the model itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(pub HashMap<String, [f64; 3]>);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    pub gamed: Option<Vec<GamedRow>>,
    /// By row, from 0 on without a gap.
    pub difficulty: Option<Vec<f64>>,
    pub weights: Option<Weights>,
}

impl References {
    /// Reads the files that are given: `df_gamed.csv`, `instruction_difficulty.csv` and the weights' CSV, in their
    /// official forms. The gamed rows carry the difficulties too, so that the second file may be left out.
    pub fn read(gamed: Option<&Path>, difficulty: Option<&Path>, weights: Option<&Path>) -> Result<References> {
        let gamed = gamed.map(read_gamed).transpose()?;
        let difficulty = match (difficulty, &gamed) {
            (Some(path), _) => Some(read_difficulty(path)?),
            (None, Some((_, difficulty))) => Some(difficulty.clone()),
            (None, None) => None,
        };
        let weights = weights.map(read_weights).transpose()?;
        Ok(References { gamed: gamed.map(|(rows, _)| rows), difficulty, weights })
    }
}

fn read_gamed(path: &Path) -> Result<(Vec<GamedRow>, Vec<f64>)> {
    const COLUMNS: &[&str] = &["preference", "index", "std_delta_len", "instruction_difficulty"];
    let bytes = json::read(path)?;
    let mut table = Table::new(path, &bytes, COLUMNS, 4)?;
    let (mut rows, mut difficulty) = (Vec::new(), Difficulties::default());
    while let Some(row) = table.next()? {
        let instruction_difficulty = row.needed(3)?;
        difficulty.add(row.count(1)?, instruction_difficulty);
        let Some(preference) = row.number(0)? else { continue }; // a reply of the judge that was no verdict
        if !(0.0..=1.0).contains(&preference) {
            return Err(row.wrong(0, "0 to 1"));
        }
        rows.push(GamedRow { preference, std_delta_len: row.needed(2)?, instruction_difficulty });
    }
    Ok((rows, difficulty.finish(path)?))
}

fn read_difficulty(path: &Path) -> Result<Vec<f64>> {
    let bytes = json::read(path)?;
    // The official file has no name over its index.
    let columns: &'static [&'static str] = match bytes.starts_with(b",") {
        true => &["", "instruction_difficulty"],
        false => &["index", "instruction_difficulty"],
    };
    let mut table = Table::new(path, &bytes, columns, 2)?;
    let mut difficulty = Difficulties::default();
    while let Some(row) = table.next()? {
        difficulty.add(row.count(0)?, row.needed(1)?);
    }
    difficulty.finish(path)
}

/// Difficulties by index, the first of each.
#[derive(Default)]
struct Difficulties(HashMap<usize, f64>);

impl Difficulties {
    fn add(&mut self, index: usize, difficulty: f64) {
        self.0.entry(index).or_insert(difficulty);
    }

    fn finish(self, path: &Path) -> Result<Vec<f64>> {
        let n = self.0.len();
        let by_index: Option<Vec<f64>> = (0..n).map(|index| self.0.get(&index).copied()).collect();
        by_index.filter(|difficulties| !difficulties.is_empty()).ok_or_else(|| {
            let what = format!("{n} difficulties with gaps between, expected one for each index from 0 on");
            Error::new(path.display(), what).hint("is this the right file?")
        })
    }
}

fn read_weights(path: &Path) -> Result<Weights> {
    const COLUMNS: &[&str] =
        &["", "np.tanh(std_delta_len)", "instruction_difficulty", "not_gamed_baseline.astype(float)"];
    let bytes = json::read(path)?;
    let mut table = Table::new(path, &bytes, COLUMNS, 4)?;
    let mut weights = HashMap::new();
    while let Some(row) = table.next()? {
        weights.insert(row.text(0).to_string(), [row.needed(1)?, row.needed(2)?, row.needed(3)?]);
    }
    Ok(Weights(weights))
}
