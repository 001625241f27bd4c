//! The probe: two linear heads on a pooled row, mixed with the fast tier, in one file that is bound to the
//! model it was made for.

use super::NAME;
use super::pooled::PARTS;
use crate::policy::Policy;
use crate::talk::Talk;
use anyhow::{Result, anyhow, bail};
use drift_feedback::Fast;
use drift_feedback::decision::Decisions;
use drift_feedback::weights_file::{self, Damaged, take_f32};
use drift_lm::Model;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;

/// For the model of `drift fetch`; docs/detectors.md has the command.
const SHIPPED: &[u8] = include_bytes!("shipped.probe");
pub const VERSION: u32 = 1;

/// Weights of the model that the file remembers.
const SKETCH: usize = 1024;
/// Relative distance of the weights up to which a probe is taken: a trained descendant or another
/// quantisation of the same model, not another model of the same shape.
const FAR: f64 = 0.15;

/// The weights of both heads, over the pooled numbers as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub bias: f32,
    /// Counts only where there is a reply.
    pub reply_bias: f32,
    pub weights: Vec<f32>,
    /// How much the log-odds of the fast tier count, with a reply and without.
    pub fast: [f32; 2],
}

/// Which model a probe is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    pub weights: String,
    pub hidden_size: usize,
    pub num_layers: usize,
    pub vocab_size: usize,
}

impl Origin {
    pub fn of(policy: &Policy) -> Origin {
        let c = policy.model.config();
        Origin {
            weights: policy.weights.clone(),
            hidden_size: c.hidden_size,
            num_layers: c.num_layers,
            vocab_size: c.vocab_size,
        }
    }

    fn shape(&self) -> [usize; 3] {
        [self.num_layers, self.hidden_size, self.vocab_size]
    }
}

/// Some of the weights, evenly spread: enough to tell how far a model has moved.
pub fn sketch(model: &Model) -> Vec<f32> {
    let params = model.params();
    let step = (params.len() / SKETCH).max(1);
    params.iter().step_by(step).take(SKETCH).copied().collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    kind: String,
    version: u32,
    model: Origin,
    sketch: usize,
    layers: Vec<usize>,
    decisions: Decisions,
    /// Labelled turns that it was trained on.
    turns: usize,
}

pub struct Probe {
    pub model: Origin,
    pub sketch: Vec<f32>,
    pub layers: Vec<usize>,
    pub decisions: Decisions,
    pub turns: usize,
    pub dsat: Head,
    pub sat: Head,
    /// Trained on the same labels.
    pub fast: Fast,
}

/// The bytes of a probe file; without a path those inside the program.
pub fn probe_bytes(path: Option<&Path>) -> Result<Cow<'static, [u8]>> {
    match path {
        Some(path) => Ok(Cow::Owned(fs_err::read(path)?)),
        None => Ok(Cow::Borrowed(SHIPPED)),
    }
}

/// # Errors
/// No such file, a damaged one, or one of another version.
pub fn open(path: Option<&Path>) -> Result<Probe> {
    let name = path.map_or("the probe inside the program".into(), |path| path.display().to_string());
    Probe::read(&probe_bytes(path)?).map_err(|error| anyhow!("{name}: {error}"))
}

impl Probe {
    pub fn read(file: &[u8]) -> Result<Probe, Damaged> {
        let (header, mut body): (Header, _) = weights_file::read(file)?;
        if header.kind != NAME || header.version != VERSION {
            return Err(Damaged(format!(
                "a {} detector of version {}, expected deep of version {VERSION}; hint: make it again with `drift detect \
                 train --tier deep`",
                header.kind, header.version
            )));
        }
        let unfit = || Damaged("weights do not fill the file, expected as many as the header says".into());
        let layers = &header.layers;
        let sound = layers.is_sorted_by(|a, b| a < b) && layers.last().is_some_and(|l| *l <= header.model.num_layers);
        let width = (PARTS + 1).checked_mul(layers.len()).and_then(|n| n.checked_mul(header.model.hidden_size));
        let width = width.filter(|_| sound).ok_or_else(unfit)?;
        let sketch = take_f32(&mut body, header.sketch).ok_or_else(unfit)?;
        let mut head = || {
            let fixed = take_f32(&mut body, 4)?;
            let weights = take_f32(&mut body, width)?;
            Some(Head { bias: fixed[0], reply_bias: fixed[1], fast: [fixed[2], fixed[3]], weights })
        };
        let (dsat, sat) = head().zip(head()).ok_or_else(unfit)?;
        Ok(Probe {
            model: header.model,
            sketch,
            layers: header.layers,
            decisions: header.decisions,
            turns: header.turns,
            dsat,
            sat,
            fast: Fast::read(body)?,
        })
    }

    pub fn write(&self) -> Vec<u8> {
        let header = Header {
            kind: NAME.into(),
            version: VERSION,
            model: self.model.clone(),
            sketch: self.sketch.len(),
            layers: self.layers.clone(),
            decisions: self.decisions.clone(),
            turns: self.turns,
        };
        let mut body = Vec::new();
        let mut put = |values: &[f32]| body.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        put(&self.sketch);
        for head in [&self.dsat, &self.sat] {
            put(&[head.bias, head.reply_bias, head.fast[0], head.fast[1]]);
            put(&head.weights);
        }
        body.extend(self.fast.write());
        weights_file::write(&header, &body)
    }

    /// Log-odds of dissatisfaction and satisfaction, before calibration.
    pub fn logits(&self, row: &[f32], has_reply: bool, fast: [f64; 2]) -> [f64; 2] {
        [(&self.dsat, fast[0]), (&self.sat, fast[1])].map(|(head, fast)| {
            let without = row.len() / (PARTS + 1) * PARTS;
            let used = if has_reply { row.len() } else { without };
            let sum: f64 = head.weights[..used].iter().zip(row).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            let bias = f64::from(head.bias) + if has_reply { f64::from(head.reply_bias) } else { 0.0 };
            sum + bias + f64::from(head.fast[usize::from(!has_reply)]) * fast
        })
    }

    /// Another model of the same shape would be answered with nonsense; a descendant of the same one is
    /// taken, and told how far it has moved.
    ///
    /// # Errors
    /// Another shape, or weights too far away.
    pub fn check(&self, policy: &Policy, path: &Path, talk: &Talk) -> Result<()> {
        let is = Origin::of(policy);
        let hint = "hint: make one for this model with `drift detect train --tier deep`";
        let name = path.display();
        if is.shape() != self.model.shape() {
            bail!(
                "{name}: {:?} layers, hidden size and vocabulary, expected {:?} as the probe's model has; {hint}",
                is.shape(),
                self.model.shape()
            );
        }
        if is.weights == self.model.weights {
            return Ok(());
        }
        let now = sketch(&policy.model);
        let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let moved = square(&mut now.iter().zip(&self.sketch).map(|(a, b)| f64::from(a - b)));
        let length = square(&mut self.sketch.iter().map(|w| f64::from(*w)));
        let distance = (moved / length.max(f64::MIN_POSITIVE)).sqrt();
        if now.len() != self.sketch.len() || distance > FAR {
            bail!(
                "{name}: its weights are {distance:.2} (relative) from those of the probe's model, expected at most {FAR}; {hint}"
            );
        }
        talk.warn(format_args!(
            "{name}: its weights have moved by {distance:.1e} (relative) since the probe was made; its confidences may be off"
        ));
        Ok(())
    }
}
