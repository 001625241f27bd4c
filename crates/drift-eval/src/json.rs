//! Whole JSON files, with errors that name the place and never quote.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::path::Path;

/// The first byte that is not white space: `[` or `{` where a file is JSON.
pub(crate) fn first_byte(bytes: &[u8]) -> Option<u8> {
    bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::read(path, &e))
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
