//! Where the time of some work went, by operation of the engine.

use drift_kernels::meter::{Meter, Tally};
use drift_kernels::{attention, elementwise, matmul, norm, operand, rope, softmax};
use drift_train::optim;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// All operations of the engine.
const METERS: [&Meter; 15] = [
    &matmul::PRODUCTS,
    &operand::PACKING,
    &attention::FORWARD,
    &attention::BACKWARD,
    &attention::DECODE,
    &norm::NORM,
    &norm::NORM_BACKWARD,
    &rope::ROPE,
    &elementwise::SWIGLU,
    &elementwise::SWIGLU_BACKWARD,
    &elementwise::BIAS,
    &softmax::SOFTMAX,
    &softmax::SOFTMAX_BACKWARD,
    &optim::UPDATE,
    &optim::CLIPPING,
];

/// `profile.json` of a training, for the report: times differ from run to run, so it is no output of the stage.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Of the whole, on the clock; of a training that was resumed, since then.
    pub seconds: f64,
    /// The longest first, then what no operation accounts for.
    pub operations: Vec<Operation>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub name: String,
    pub calls: u64,
    pub seconds: f64,
    /// Of matrix products.
    pub flops: u64,
}

/// Work that is being measured: all operations count for it, whoever calls them.
pub struct Running(Instant);

impl Running {
    pub fn start() -> Running {
        reset();
        Running(Instant::now())
    }

    pub fn finish(self) -> Profile {
        let whole = self.0.elapsed();
        let operation = |(name, tally): (&str, Tally)| Operation {
            name: name.to_string(),
            calls: tally.calls,
            seconds: tally.time.as_secs_f64(),
            flops: tally.flops,
        };
        Profile { seconds: whole.as_secs_f64(), operations: tallies(whole).into_iter().map(operation).collect() }
    }
}

/// Forgets what was counted.
pub fn reset() {
    for meter in METERS {
        meter.take();
    }
}

/// What was counted since the last call, the longest first, and what no operation accounts for of `whole`.
pub fn tallies(whole: Duration) -> Vec<(&'static str, Tally)> {
    let mut all: Vec<(&str, Tally)> =
        METERS.iter().map(|meter| (meter.name, meter.take())).filter(|(_, tally)| tally.calls > 0).collect();
    all.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.time));
    let counted = all.iter().map(|(_, tally)| tally.time).sum();
    all.push(("everything else", Tally { time: whole.saturating_sub(counted), ..Tally::default() }));
    all
}
