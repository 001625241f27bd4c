//! The error of evaluation: one line, `where: what, expected …; hint: …`.

use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}{}", .hint.map(|h| format!("; hint: {h}")).unwrap_or_default())]
pub struct Error {
    /// File, and line where there are lines.
    pub place: String,
    /// What came, and what was expected. Never the text that came: it may be somebody's words.
    pub what: String,
    pub hint: Option<&'static str>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(place: impl ToString, what: impl Into<String>) -> Error {
        Error { place: place.to_string(), what: what.into(), hint: None }
    }

    pub fn hint(mut self, hint: &'static str) -> Error {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn read(path: &Path, source: &std::io::Error) -> Error {
        let hint = match source.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::IsADirectory => "give the files themselves, not their folder",
            _ => "check that the file is readable",
        };
        Error::new(path.display(), format!("cannot read ({source})")).hint(hint)
    }
}
