//! The error of this crate: one line, `where: what, expected …; hint: …`.

use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{place}: {what}{}", .hint.map(|h| format!("; hint: {h}")).unwrap_or_default())]
    Invalid {
        /// File, field, or line of the template.
        place: String,
        /// What came, and what was expected.
        what: String,
        hint: Option<&'static str>,
    },
    /// The template itself called `raise_exception`. `message` is its argument, unchanged.
    #[error("chat template: it refuses these messages: {}", one_line(.message))]
    Raised { message: String },
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(place: impl ToString, what: impl Into<String>) -> Error {
        Error::Invalid { place: place.to_string(), what: what.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: &'static str) -> Error {
        match self {
            Error::Invalid { place, what, .. } => Error::Invalid { place, what, hint: Some(hint) },
            raised => raised,
        }
    }

    pub(crate) fn io(path: &Path, doing: &str, e: &std::io::Error) -> Error {
        Error::new(path.display(), format!("cannot {doing}: {e}"))
    }
}

/// Foreign text, fit for one line of an error: escaped, and cut where a hostile file makes it long.
pub(crate) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().take(200).flat_map(escape_control).collect();
    if text.chars().nth(200).is_some() {
        line.push('…');
    }
    line
}

fn escape_control(c: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if c.is_control() { (None, Some(c.escape_debug())) } else { (Some(c), None) };
    plain.into_iter().chain(escaped.into_iter().flatten())
}
