//! Asks a language model behind an OpenAI-compatible chat-completions endpoint, and reads its word on
//! user turns: satisfied, dissatisfied, both or none.
//!
//! The only crate that speaks to another machine. Texts go to the configured endpoint and nowhere else:
//! no redirect is followed, and errors hold neither texts nor the key. What is sent is what the caller
//! gives; redaction is the caller's, before.
//!
//! [`Client`] is the careful part: retries, cache, budget. [`FeedbackJudge`] is a judge on top of it.

mod budget;
mod cache;
mod chat;
mod client;
mod endpoint;
mod error;
mod feedback;
mod judge_file;
mod retry;
mod settings;
mod verdict;

pub use budget::{Estimate, Prices, Spend, Tokens};
pub use chat::{Message, Reply, Request, Role, TokenLogprob};
pub use client::{Client, Permit};
pub use error::JudgeError;
pub use feedback::{Batch, FeedbackJudge, Progress, Turn};
pub use judge_file::{JudgeFile, Parser};
pub use settings::JudgeSettings;
pub use verdict::{Complaint, Verdict};
