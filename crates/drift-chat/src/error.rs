//! One-line errors that never quote a chat.

use std::path::Path;

/// `where: what, expected …; hint: …`, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file}: cannot {doing} ({source}); hint: {hint}")]
    Io { file: String, doing: &'static str, source: std::io::Error, hint: &'static str },
    #[error("{file}: {found}, expected {expected}; hint: {hint}")]
    Format { file: String, found: String, expected: &'static str, hint: &'static str },
    #[error("{file}: {place}: {what}; hint: {hint}")]
    Row { file: String, place: String, what: String, hint: &'static str },
}

impl Error {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Error {
        let hint = match source.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::IsADirectory => "give the files themselves, not their folder",
            _ => "check that the file is readable",
        };
        Error::Io { file: path.display().to_string(), doing: "read", source, hint }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Error {
        let hint = "check that the folder exists, is writable and has room";
        Error::Io { file: path.display().to_string(), doing: "write", source, hint }
    }
}

/// What serde_json found wrong, without the offending text: its own messages quote strings and
/// unknown names, which in a log are somebody's words.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let at = match (error.line(), error.column()) {
        (0, _) => String::new(),
        (1, column) => format!(" at column {column}"),
        (line, column) => format!(" at its line {line}, column {column}"),
    };
    match error.classify() {
        Category::Io => "cannot be read".to_string(),
        Category::Eof => format!("JSON ends too early{at}"),
        Category::Syntax => format!("not JSON{at}"),
        Category::Data => {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(head, _)| head);
            // "missing field `prompt`" names a field of ours; every other message may quote the log
            if text.starts_with("missing field") {
                return format!("{text}{at}");
            }
            let kind: String = text.chars().take_while(|c| !"\"`".contains(*c)).collect();
            let kind = kind.split(", expected").next().unwrap_or_default().trim_end();
            match text.rsplit_once(", expected ") {
                Some((_, expected)) => format!("{kind}, expected {expected}{at}"),
                None => format!("{kind}{at}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Case, Message};

    #[test]
    fn a_message_never_quotes_the_log() {
        let row = r#"{"role":"my secret, expected role","content":"x"}"#;
        let error = serde_json::from_str::<Message>(row).unwrap_err();
        let text = describe(&error);
        assert!(!text.contains("secret"), "{text}");
        assert!(text.starts_with("unknown variant") && text.contains("expected one of"), "{text}");

        let error = serde_json::from_str::<Message>(r#"{"role":"user","content":["secret"]}"#).unwrap_err();
        assert_eq!(describe(&error), "invalid type: sequence, expected a string at column 25");

        let error = serde_json::from_str::<Case>(r#"{"rejected":[],"user_preference":{"content":"x"}}"#).unwrap_err();
        assert_eq!(describe(&error), "missing field `prompt` at column 49");
    }
}
