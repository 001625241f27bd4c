//! The error of training: one line, `where: what, expected …; hint: …`.

use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}{}", .hint.map(|h| format!("; hint: {h}")).unwrap_or_default())]
pub struct Error {
    /// File, configuration key or example.
    pub place: String,
    /// What came, and what was expected.
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

    pub fn io(path: &Path, doing: &str, e: &std::io::Error) -> Error {
        Error::new(path.display(), format!("cannot {doing}: {e}"))
    }
}
