//! The error of reading and writing models: one line, `where: what, expected …; hint: …`.

use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}{}", .hint.map(|h| format!("; hint: {h}")).unwrap_or_default())]
pub struct Error {
    /// File, and byte, field or tensor where there is one.
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

/// A name from a file, fit for one line of an error: escaped, and cut where a hostile file makes it long.
pub(crate) fn quoted(name: &str) -> String {
    let mut text: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    if name.chars().nth(80).is_some() {
        text.push('…');
    }
    format!("`{text}`")
}
