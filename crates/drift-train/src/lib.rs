//! Preference training: token batches in, trained weights out. Knows no text and no logs.
//!
//! [`trainer::train`] is the whole of it; the other modules are its parts in the order of use:
//! [`config`] what was asked for, [`examples`] which rows fit and in which order, [`score`] their
//! log-probs, [`reference`] the same under the starting weights and kept on disk, [`loss`],
//! [`kto`], [`optim`] and [`schedule`] the step, [`metrics`] what is said about it, [`state`] how it survives
//! being killed. [`theory`] measures, apart from training, what pairs have to teach.

pub mod config;
pub mod error;
pub mod examples;
pub mod kto;
pub mod loss;
pub mod metrics;
pub mod optim;
pub mod reference;
pub mod schedule;
pub mod score;
pub mod state;
pub mod theory;
pub mod trainer;

pub use config::TrainConfig;
pub use error::{Error, Result};
pub use examples::Example;
pub use trainer::{Event, Job, Outcome, Report, StepDone, train};
