//! Judges' records in, figures with intervals out: AlpacaEval 2 and WildBench v2 as published, and the statistics that
//! every figure of the project is reported with. Where no judge can be asked: requirements that a program checks, and
//! users simulated around them; and IFBench. Knows neither tensors nor chats.

pub mod alpaca_eval;
mod error;
pub mod exploration;
pub mod gate;
pub mod ifbench;
mod json;
pub mod mersenne;
pub mod requirements;
pub mod satisfaction;
pub mod simulated;
pub mod statistics;
mod table;
pub mod wildbench;

pub use error::{Error, Result};
