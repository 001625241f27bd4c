//! Commands that work outside of a run folder.

pub mod compare;
pub mod convert;
pub mod detect;
pub mod evaluate_run;
pub mod evaluate_score;
pub mod generate;
pub mod score;
pub mod simulate;
pub mod single;
