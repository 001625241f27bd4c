//! Rows of cases and pairs: strict reading, where every row must be right, and atomic writing.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::error::{Error, describe};
use crate::read::MAX_RECORD_BYTES;
use crate::records::{Framing, Item, Records};
use crate::types::{Message, Role};

/// A kind of row: what it must hold beyond its type, and its id from content.
pub(crate) trait Row: DeserializeOwned {
    const SHAPE: &'static str;
    /// What is wrong with the row, in words without any chat text.
    fn check(&self) -> Result<(), String>;
    /// Gives a row without id the id of its content.
    fn complete(&mut self);
}

/// Every row of JSON lines or of a JSON array.
///
/// # Errors
/// The first row that is not as it must be, with its line (array: the element's number and byte).
pub(crate) fn read<T: Row>(path: &Path) -> Result<Vec<T>, Error> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| Error::read(path, e))?;
    let is_object = |line: &[u8]| line.trim_ascii().starts_with(b"{");
    let Some(mut records) = Records::open(file, MAX_RECORD_BYTES, is_object).map_err(|e| Error::read(path, e))? else {
        let found = match std::fs::metadata(path) {
            Ok(data) if data.len() == 0 => "an empty file",
            _ => "no JSON rows",
        };
        let hint = "write one object a line";
        return Err(Error::Format { file: name, found: found.to_string(), expected: T::SHAPE, hint });
    };
    let mut rows = Vec::new();
    let place = |number: u64, byte: u64, framing: Framing| match framing {
        Framing::Lines => format!("line {number}"),
        Framing::Array | Framing::Objects => format!("row {number} at byte {byte}"),
    };
    let row_error =
        |place: String, what: String| Error::Row { file: name.clone(), place, what, hint: "mend or remove this row" };
    while let Some(item) = records.next().map_err(|e| Error::read(path, e))? {
        match item {
            Item::Record(record) => {
                let place = || place(record.number, record.byte, records.framing());
                let mut row: T = serde_json::from_slice(&record.bytes).map_err(|e| row_error(place(), describe(&e)))?;
                row.check().map_err(|what| row_error(place(), what))?;
                row.complete();
                rows.push(row);
            }
            Item::TooLarge { byte } => {
                let what = format!("row above {} MiB", MAX_RECORD_BYTES >> 20);
                return Err(row_error(format!("byte {byte}"), what));
            }
            Item::Broken { byte } => return Err(row_error(format!("byte {byte}"), "no JSON object".to_string())),
            Item::Cut { record } => {
                let what = format!("the file ends at byte {} inside what begins here", records.offset());
                return Err(row_error(format!("byte {record}"), what));
            }
        }
    }
    if rows.is_empty() {
        let hint = "write one object a line";
        return Err(Error::Format { file: name, found: "no rows".to_string(), expected: T::SHAPE, hint });
    }
    Ok(rows)
}

/// A prompt that a model can answer: not empty, its last message not an assistant's.
pub(crate) fn check_prompt(prompt: &[Message]) -> Result<(), String> {
    match prompt.last() {
        None => Err("`prompt` is empty, expected at least one message".to_string()),
        Some(last) if last.role == Role::Assistant => {
            Err("`prompt` ends with an assistant message, expected a user message last".to_string())
        }
        Some(_) if prompt.iter().all(|message| message.content.trim().is_empty()) => {
            Err("`prompt` holds no text, expected at least one message with text".to_string())
        }
        Some(_) => Ok(()),
    }
}

/// Exactly one assistant message with text.
pub(crate) fn check_answer(field: &str, answer: &[Message]) -> Result<(), String> {
    match answer {
        [one] if one.role != Role::Assistant => {
            Err(format!("`{field}` is no assistant message, expected role assistant"))
        }
        [one] if one.content.trim().is_empty() => Err(format!("`{field}` is empty, expected an answer")),
        [_] => Ok(()),
        _ => Err(format!("`{field}` holds {} messages, expected exactly one", answer.len())),
    }
}

/// Writes one JSON object a line to a temporary file beside `path` and renames it; the old file
/// stays whole until then. Returns the number of rows.
///
/// # Errors
/// A folder that is missing or not writable, a full disk, a row that does not serialise.
pub fn write_jsonl<T: Serialize>(path: &Path, rows: impl IntoIterator<Item = T>) -> Result<u64, Error> {
    let mut file = JsonlWriter::create(path)?;
    for row in rows {
        file.push(&row)?;
    }
    file.finish()
}

/// The same, a row at a time: for what need not be held. Without `finish` there is no file.
pub struct JsonlWriter {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
    count: u64,
}

impl JsonlWriter {
    /// # Errors
    /// A folder that is missing or not writable.
    pub fn create(path: &Path) -> Result<JsonlWriter, Error> {
        let file = temporary(path).map_err(|source| Error::write(path, source))?;
        Ok(JsonlWriter { path: path.into(), out: BufWriter::with_capacity(1 << 18, file), count: 0 })
    }

    /// # Errors
    /// A full disk, or a row that does not serialise.
    pub fn push(&mut self, row: &impl Serialize) -> Result<(), Error> {
        let written = serde_json::to_writer(&mut self.out, row).map_err(std::io::Error::from);
        self.count += 1;
        written.and_then(|()| self.out.write_all(b"\n")).map_err(|source| Error::write(&self.path, source))
    }

    /// Gives the file its name; how many rows it has.
    ///
    /// # Errors
    /// A full disk, or a name that is taken by a folder.
    pub fn finish(self) -> Result<u64, Error> {
        let JsonlWriter { path, out, count } = self;
        let file = out.into_inner().map_err(|error| error.into_error());
        file.and_then(|file| persist(file, &path)).map_err(|source| Error::write(&path, source))?;
        Ok(count)
    }
}

const PREFIX: &str = ".rows-";
const SUFFIX: &str = ".tmp";

/// Whether a file has the name of one that was being written: a killed process leaves it behind.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// A file beside `path`, with the rights that the umask gives to any other file.
pub(crate) fn temporary(path: &Path) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Gives a written temporary file its name.
pub(crate) fn persist(file: NamedTempFile, path: &Path) -> std::io::Result<()> {
    if path.metadata().is_ok_and(|known| !known.is_file()) {
        // a rename would put a file in the place of a device or a pipe
        return Err(std::io::Error::other("there is something that is no file"));
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
