//! Lenient reading of a run folder: what is absent is None, what is broken is skipped and noted.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// No line that a stage writes comes near this; a longer one ends the reading of its file.
const LINE_CAP: u64 = 64 << 20;

pub struct Folder {
    root: PathBuf,
    /// What could not be read, one sentence each, shown on the page.
    pub notes: Vec<String>,
}

impl Folder {
    pub fn open(root: &Path) -> Folder {
        Folder { root: root.to_owned(), notes: Vec::new() }
    }

    pub fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    pub fn name(&self) -> String {
        let absolute = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        absolute.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    pub fn text(&mut self, path: &str) -> Option<String> {
        match std::fs::read(self.root.join(path)) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                self.notes.push(format!("{path} could not be read: {error}."));
                None
            }
        }
    }

    pub fn json(&mut self, path: &str) -> Option<Value> {
        let text = self.text(path)?;
        match serde_json::from_str(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.notes.push(format!("{path} is no JSON ({error}); it is left out."));
                None
            }
        }
    }

    /// Calls `each` with every record of a JSONL file; false where there is no such file.
    pub fn lines(&mut self, path: &str, mut each: impl FnMut(Value)) -> bool {
        let file = match std::fs::File::open(self.root.join(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return false,
            Err(error) => {
                self.notes.push(format!("{path} could not be read: {error}."));
                return false;
            }
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        let mut bad = Vec::new();
        for number in 1.. {
            line.clear();
            match reader.by_ref().take(LINE_CAP).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(length) if length as u64 == LINE_CAP => {
                    self.notes
                        .push(format!("{path} line {number} is longer than 64 MiB; the file is read up to there."));
                    break;
                }
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => match serde_json::from_slice(&line) {
                    Ok(value @ Value::Object(_)) => each(value),
                    _ => bad.push(number),
                },
                Err(error) => {
                    self.notes.push(format!("{path} line {number} could not be read: {error}."));
                    break;
                }
            }
        }
        if let Some(first) = bad.first() {
            let count = bad.len();
            self.notes.push(format!("{path}: {count} unreadable line(s) left out, the first is line {first}."));
        }
        true
    }
}

/// The first number called `name` in a configuration, at any depth.
pub fn setting(config: &Value, name: &str) -> Option<f64> {
    let here = config.get(name).and_then(Value::as_f64);
    here.or_else(|| config.as_object()?.values().find_map(|inner| setting(inner, name)))
}

pub fn string(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The content of a message, or of the only message of a list.
pub fn content(value: &Value, name: &str) -> Option<String> {
    let message = value.get(name)?;
    string(message.get(0).unwrap_or(message), "content")
}
