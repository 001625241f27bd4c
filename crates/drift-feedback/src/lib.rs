//! Finds out from a chat log where users were dissatisfied or satisfied with an answer, and makes
//! training material of it: DSAT cases, and seed pairs in which a revised answer made up for a bad one.
//!
//! A label always judges the assistant answer right before the user turn. Silence is not satisfaction.

mod cases;
mod cues;
mod label;
mod language;
mod languages;
mod rules;
mod set_aside;
mod similarity;
mod turn;

pub use cases::{Dropped, Funnel, Harvest, Harvester, Limits, SetAside, Unpaired};
pub use label::{Label, Verdict};
pub use language::language;
pub use rules::{DSAT_THRESHOLD, Detector, SAT_THRESHOLD};
