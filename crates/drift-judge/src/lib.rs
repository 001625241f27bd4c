//! Asks a language model behind an OpenAI-compatible chat-completions endpoint, and reads its word: on a user turn
//! (satisfied, dissatisfied, both or none), on which of two answers is better, or on how good one is.
//!
//! The only crate that speaks to another machine. Texts go to the configured endpoint and nowhere else:
//! no redirect is followed, and errors hold neither texts nor the key. What is sent is what the caller
//! gives; redaction is the caller's, before.
//!
//! [`Client`] is the careful part: retries, cache, budget. [`Judge`] asks a [`Question`] on top of it.

mod budget;
mod cache;
mod chat;
mod choice;
mod client;
mod endpoint;
mod error;
mod judge;
mod judge_file;
mod official;
mod preference;
mod retry;
mod score;
mod settings;
mod verdict;

pub use budget::{Estimate, Prices, Spend, Tokens};
pub use chat::{Message, Reply, Request, Role, TokenLogprob};
pub use choice::{Choice, Rivals};
pub use client::{Client, Permit};
pub use error::JudgeError;
pub use judge::{Batch, Judge, Progress, Question};
pub use judge_file::{JudgeFile, Parser};
pub use preference::{Answers, Preference};
pub use score::Answer;
pub use settings::JudgeSettings;
pub use verdict::{Complaint, Turn, Verdict};
