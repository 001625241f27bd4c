//! The leaderboard as CSV, as the official tools read and write it.

use super::Score;
use crate::error::Result;
use crate::json;
use crate::table::Table;
use std::io::Write;
use std::path::Path;

/// A row of a leaderboard: rates and errors in percent, length in characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub win_rate: f64,
    pub standard_error: Option<f64>,
    pub n_wins: usize,
    pub n_wins_base: usize,
    pub n_draws: usize,
    pub n_total: usize,
    pub discrete_win_rate: f64,
    /// `minimal`, `verified`, `dev` or `community`: which leaderboards show it.
    pub mode: String,
    pub avg_length: usize,
    pub length_controlled_winrate: Option<f64>,
    pub lc_standard_error: Option<f64>,
}

impl From<&Score> for Entry {
    fn from(score: &Score) -> Entry {
        Entry {
            name: score.model.clone(),
            win_rate: score.win_rate,
            standard_error: score.standard_error,
            n_wins: score.n_wins,
            n_wins_base: score.n_wins_base,
            n_draws: score.n_draws,
            n_total: score.n_total,
            discrete_win_rate: score.discrete_win_rate,
            mode: "community".into(),
            avg_length: score.avg_length,
            length_controlled_winrate: score.length_controlled_winrate,
            lc_standard_error: score.lc_standard_error,
        }
    }
}

const COLUMNS: &[&str] = &[
    "",
    "win_rate",
    "standard_error",
    "n_wins",
    "n_wins_base",
    "n_draws",
    "n_total",
    "discrete_win_rate",
    "mode",
    "avg_length",
    "length_controlled_winrate",
    "lc_standard_error",
];

pub fn read_leaderboard(path: &Path) -> Result<Vec<Entry>> {
    let bytes = json::read(path)?;
    let mut table = Table::new(path, &bytes, COLUMNS, COLUMNS.len())?;
    let mut entries = Vec::new();
    while let Some(row) = table.next()? {
        entries.push(Entry {
            name: row.text(0).to_string(),
            win_rate: row.needed(1)?,
            standard_error: row.number(2)?,
            n_wins: row.count(3)?,
            n_wins_base: row.count(4)?,
            n_draws: row.count(5)?,
            n_total: row.count(6)?,
            discrete_win_rate: row.needed(7)?,
            mode: row.text(8).to_string(),
            avg_length: row.count(9)?,
            length_controlled_winrate: row.number(10)?,
            lc_standard_error: row.number(11)?,
        });
    }
    Ok(entries)
}

/// Writes the entries, the best length-controlled win rate first.
pub fn write_leaderboard(out: impl Write, entries: &[Entry]) -> std::io::Result<()> {
    let rate = |entry: &Entry| entry.length_controlled_winrate.unwrap_or(f64::NEG_INFINITY);
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    let optional = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for entry in sorted {
        writer.write_record([
            entry.name.clone(),
            entry.win_rate.to_string(),
            optional(entry.standard_error),
            entry.n_wins.to_string(),
            entry.n_wins_base.to_string(),
            entry.n_draws.to_string(),
            entry.n_total.to_string(),
            entry.discrete_win_rate.to_string(),
            entry.mode.clone(),
            entry.avg_length.to_string(),
            optional(entry.length_controlled_winrate),
            optional(entry.lc_standard_error),
        ])?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaderboard_goes_round_and_is_sorted() {
        let entry = |name: &str, lc| Entry {
            name: name.into(),
            win_rate: 12.345678901234567,
            standard_error: None,
            n_wins: 1,
            n_wins_base: 2,
            n_draws: 0,
            n_total: 3,
            discrete_win_rate: 100.0 / 3.0,
            mode: "community".into(),
            avg_length: 1000,
            length_controlled_winrate: lc,
            lc_standard_error: Some(0.1),
        };
        let entries = [entry("none", None), entry("low, with a comma", Some(3.0)), entry("high", Some(50.0))];
        let file = tempfile::NamedTempFile::new().unwrap();
        write_leaderboard(&file, &entries).unwrap();
        let [none, low, high] = entries;
        assert_eq!(read_leaderboard(file.path()).unwrap(), [high, low, none]);
    }
}
