//! Finds out from a chat log where users were dissatisfied or satisfied with an answer, and makes
//! training material of it: DSAT cases, and seed pairs in which a revised answer made up for a bad one.
//!
//! A label always judges the assistant answer right before the user turn. Silence is not satisfaction.
//! Detectors share one interface ([`Detector`]); whatever learns is calibrated and measured by what is in
//! [`decision`] and [`metrics`].

pub mod calibration;
mod cases;
mod cues;
pub mod decision;
mod detector;
mod explicit;
pub mod fast;
mod label;
pub mod labelled;
mod language;
mod languages;
pub mod logistic;
pub mod metrics;
mod rules;
mod set_aside;
mod similarity;
mod turn;
pub mod weights_file;

pub use cases::{Dropped, Funnel, Harvest, Harvester, Limits, SetAside, Unpaired};
pub use detector::Detector;
pub use explicit::Explicit;
pub use fast::Fast;
pub use label::{DSAT_RUBRICS, Label, SAT_RUBRICS, Verdict};
pub use language::language;
pub use rules::{DSAT_THRESHOLD, Rules, SAT_THRESHOLD};
pub use turn::{Turn, closing, opening, turns};
