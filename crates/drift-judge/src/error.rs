//! One-line errors that hold neither chat text nor the key nor a server's own words.

use std::path::Path;

/// `where: what, expected …; hint: …`. Clones, because one stop answers every turn that is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// A key of the config section.
    #[error("judge.{key}: {what}; hint: {hint}")]
    Settings { key: &'static str, what: String, hint: &'static str },
    /// The judge file, the cache or the certificates.
    #[error("{file}: {what}; hint: {hint}")]
    File { file: String, what: String, hint: &'static str },
    /// No request can succeed: nothing more is asked.
    #[error("{url}: {what}; hint: {hint}")]
    Endpoint { url: String, what: String, hint: &'static str },
    /// This one request cannot succeed.
    #[error("{url}: {what}; hint: {hint}")]
    Rejected { url: String, what: String, hint: &'static str },
    /// This request failed as often as it may.
    #[error("{url}: {what}, in {attempts} tries; hint: {hint}")]
    Failed { url: String, what: String, attempts: u32, hint: &'static str },
    /// The model's words were no verdict, twice.
    #[error("the judge's reply: {0}; hint: a stronger model, or more max_tokens in the judge file")]
    Unparsed(crate::Complaint),
    /// The next call might have exceeded the budget.
    #[error("judge.budget: {what}; hint: raise it, what was answered is kept and not paid again")]
    Budget { what: String },
    /// The caller asked to stop.
    #[error("judge: stopped; hint: what was answered is kept, the same call goes on from there")]
    Stopped,
}

impl JudgeError {
    /// The word under which a turn without a verdict is counted.
    pub fn reason(&self) -> &'static str {
        match self {
            JudgeError::Settings { .. } => "settings",
            JudgeError::File { .. } => "file",
            JudgeError::Endpoint { .. } => "endpoint",
            JudgeError::Rejected { .. } => "rejected",
            JudgeError::Failed { .. } => "failed",
            JudgeError::Unparsed(_) => "unparsed",
            JudgeError::Budget { .. } => "budget",
            JudgeError::Stopped => "stopped",
        }
    }

    pub(crate) fn file(path: &Path, what: impl Into<String>, hint: &'static str) -> JudgeError {
        JudgeError::File { file: path.display().to_string(), what: what.into(), hint }
    }
}
