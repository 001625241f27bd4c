//! Judges' records in, figures with intervals out: AlpacaEval 2 and WildBench v2 as published, and the statistics that
//! every figure of the project is reported with. Knows neither tensors nor chats.

pub mod alpaca_eval;
mod error;
mod json;
pub mod mersenne;
pub mod statistics;
mod table;
pub mod wildbench;

pub use error::{Error, Result};
