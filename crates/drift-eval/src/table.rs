//! CSV files with a header, read by the names of their columns.

use crate::error::{Error, Result};
use std::path::Path;

/// A table that has at least the columns that were asked for.
pub(crate) struct Table<'a> {
    file: String,
    reader: csv::Reader<&'a [u8]>,
    /// Where each asked column is; `None` for an optional one that is not there.
    places: Vec<Option<usize>>,
    names: &'static [&'static str],
    record: csv::StringRecord,
}

/// A row; fields are asked for by the position of their name in the list that the table was opened with.
pub(crate) struct Row<'a> {
    file: &'a str,
    line: u64,
    names: &'static [&'static str],
    places: &'a [Option<usize>],
    record: &'a csv::StringRecord,
}

impl<'a> Table<'a> {
    /// `names` are the columns, of which the first `needed` must be there. Unknown columns are ignored.
    pub fn new(path: &Path, bytes: &'a [u8], names: &'static [&'static str], needed: usize) -> Result<Table<'a>> {
        let file = path.display().to_string();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let header = reader.headers().map_err(|e| broken(&file, &e))?;
        let places: Vec<Option<usize>> =
            names.iter().map(|name| header.iter().position(|column| column == *name)).collect();
        if let Some(i) = places[..needed].iter().position(Option::is_none) {
            let columns: Vec<&str> = names[..needed].iter().copied().filter(|name| !name.is_empty()).collect();
            let what = format!("{}, expected a CSV with the columns {}", missing(names[i]), columns.join(", "));
            return Err(Error::new(format!("{file}:1"), what).hint("is this the right file?"));
        }
        Ok(Table { file, reader, places, names, record: csv::StringRecord::new() })
    }

    pub fn has(&self, column: usize) -> bool {
        self.places[column].is_some()
    }

    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        match self.reader.read_record(&mut self.record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let line = self.record.position().map_or(0, csv::Position::line);
                let (names, places, record) = (self.names, &self.places[..], &self.record);
                Ok(Some(Row { file: &self.file, line, names, places, record }))
            }
            Err(e) => Err(broken(&self.file, &e)),
        }
    }
}

fn missing(name: &str) -> String {
    if name.is_empty() { "no column without a name".to_string() } else { format!("no column {name}") }
}

fn broken(file: &str, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, expected {expected_len} as in the header")
        }
        csv::ErrorKind::Utf8 { .. } => "not UTF-8, expected text".to_string(),
        _ => "no CSV, expected fields between commas".to_string(),
    };
    Error::new(format!("{file}:{line}"), what).hint("was the file edited or cut?")
}

impl Row<'_> {
    pub fn text(&self, column: usize) -> &str {
        self.places[column].and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    /// A finite number; `None` where the field is empty or says NaN, as pandas writes what is missing.
    pub fn number(&self, column: usize) -> Result<Option<f64>> {
        let text = self.text(column);
        if text.is_empty() || text.eq_ignore_ascii_case("nan") {
            return Ok(None);
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(value)),
            _ => Err(self.wrong(column, "a number")),
        }
    }

    pub fn needed(&self, column: usize) -> Result<f64> {
        self.number(column)?.ok_or_else(|| self.wrong(column, "a number"))
    }

    /// A whole number of at least 0; pandas may write it with a point.
    pub fn count(&self, column: usize) -> Result<usize> {
        let value = self.needed(column)?;
        match value >= 0.0 && value.fract() == 0.0 && value <= u32::MAX as f64 {
            true => Ok(value as usize),
            false => Err(self.wrong(column, "a whole number of at least 0")),
        }
    }

    /// An error for this row's field.
    pub fn wrong(&self, column: usize, expected: &str) -> Error {
        let found = if self.text(column).is_empty() { "is empty" } else { "holds something else" };
        let name = if self.names[column].is_empty() { "the first column" } else { self.names[column] };
        Error::new(self.place(), format!("{name} {found}, expected {expected}")).hint("was the file edited or cut?")
    }

    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}
