//! Text to ids and back: tokenizers, chat templates, and the two together.
//!
//! A chat becomes ids by rendering the *whole* chat with the model's own template, as transformers does;
//! nothing here glues fragments of a template together. Messages come in as anything that serialises to
//! `{role, content, …}` objects, ids go out as `u32`; what they mean to a model is not known here.

mod chat_format;
mod clock;
mod error;
mod gguf;
mod json;
mod python;
mod template;
mod tokenizer;

pub use chat_format::{ChatFormat, Completion, CompletionMode, EncodedChat, Span};
pub use error::{Error, Result};
pub use gguf::GgufVocab;
pub use template::ChatTemplate;
pub use tokenizer::{SpecialTokens, Tokenizer};
