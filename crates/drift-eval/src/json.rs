//! Whole JSON files, with errors that name the place and never quote.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::path::Path;

/// The first byte that is not white space: `[` or `{` where a file is JSON.
pub(crate) fn first_byte(bytes: &[u8]) -> Option<u8> {
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Without the mark of byte order that some editors begin a file with.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = std::fs::read(path).map_err(|e| Error::read(path, &e))?;
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(.."\u{feff}".len());
    }
    Ok(bytes)
}

pub(crate) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8], expected: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let found = match error.classify() {
            Category::Eof => "JSON ends too early",
            Category::Data => "JSON with other fields or types",
            Category::Syntax | Category::Io => "no JSON",
        };
        let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
        Error::new(place, format!("{found}, expected {expected}")).hint("was the file edited or cut?")
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mark_of_byte_order_is_no_content() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}[1]").unwrap();
        let bytes = super::read(file.path()).unwrap();
        assert_eq!(super::parse::<Vec<u8>>(file.path(), &bytes, "a list").unwrap(), [1]);
    }
}
