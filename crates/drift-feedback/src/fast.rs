//! The fast tier: logistic regression over hashed n-grams and relations, shipped inside the program.

mod features;
pub mod train;

use drift_chat::Chat;
use serde::{Deserialize, Serialize};

use crate::decision::Decisions;
use crate::detector::Detector;
use crate::label::{Label, Verdict};
use crate::rules::Rules;
use crate::similarity::{WordSet, word_sets};
use crate::turn::Turn;
use crate::weights_file::{self, Damaged, Quantized, take_f32};
use features::{BITS, Features};
use std::sync::Arc;

/// Trained on the labels of `docs/detectors.md`, which has the command.
const SHIPPED: &[u8] = include_bytes!("fast/shipped.bin");
const NAME: &str = "fast";

/// Everything but the weights; JSON in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    kind: String,
    features: u32,
    bits: u32,
    dense: usize,
    decisions: Decisions,
    /// Labelled turns that it was trained on.
    turns: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Head {
    bias: f32,
    dense: Vec<f32>,
    hashed: Quantized,
}

impl Head {
    fn logit(&self, features: &Features) -> f64 {
        let dense: f32 = self.dense.iter().zip(&features.dense).map(|(w, x)| w * x).sum();
        let weight = |bucket: u32| f32::from(self.hashed.values[bucket as usize]);
        let hashed: f32 = features.hashed.iter().map(|&(bucket, x)| x * weight(bucket)).sum();
        f64::from(self.bias + dense + hashed * self.hashed.step)
    }
}

pub struct Fast {
    rules: Arc<Rules>,
    pub decisions: Decisions,
    turns: usize,
    dsat: Head,
    sat: Head,
}

impl Fast {
    /// The one inside the program.
    pub fn shipped() -> Fast {
        Fast::read(SHIPPED).expect("a test reads the shipped file")
    }

    /// # Errors
    /// No file of the fast tier, a damaged one, or one made for other features.
    pub fn read(file: &[u8]) -> Result<Fast, Damaged> {
        let (header, mut body): (Header, _) = weights_file::read(file)?;
        let rules = Rules::shared();
        let dense = features::width(&rules);
        let (is, should) = ((header.features, header.bits, header.dense), (features::VERSION, BITS, dense));
        if header.kind != NAME || is != should {
            return Err(Damaged(format!(
                "a {} detector with features {is:?}, expected fast with {should:?}; hint: it is of another version; make \
                 it again with `drift detect train --tier fast`",
                header.kind
            )));
        }
        let mut head = || {
            let (bias, dense) = (take_f32(&mut body, 1)?[0], take_f32(&mut body, dense)?);
            Some(Head { bias, dense, hashed: Quantized::take(&mut body, 1 << BITS)? })
        };
        let heads = head().zip(head());
        let whole = heads.filter(|_| body.is_empty());
        let Some((dsat, sat)) = whole else {
            return Err(Damaged("weights do not fill the file, expected as many as the header says".into()));
        };
        Ok(Fast { rules, decisions: header.decisions, turns: header.turns, dsat, sat })
    }

    pub fn write(&self) -> Vec<u8> {
        let header = Header {
            kind: NAME.into(),
            features: features::VERSION,
            bits: BITS,
            dense: features::width(&self.rules),
            decisions: self.decisions.clone(),
            turns: self.turns,
        };
        let mut body = Vec::new();
        for head in [&self.dsat, &self.sat] {
            body.extend(head.bias.to_le_bytes());
            body.extend(head.dense.iter().flat_map(|weight| weight.to_le_bytes()));
            head.hashed.write(&mut body);
        }
        weights_file::write(&header, &body)
    }

    /// Log-odds of dissatisfaction and of satisfaction, before calibration.
    pub fn logits(&self, chat: &Chat, turns: &[Turn]) -> Vec<[f64; 2]> {
        let sets = word_sets(chat);
        let mut features = Features::default();
        turns.iter().map(|turn| self.logits_of(&mut features, &sets, turn)).collect()
    }

    fn logits_of(&self, features: &mut Features, sets: &[WordSet], turn: &Turn) -> [f64; 2] {
        features.read(&self.rules, sets, turn);
        [self.dsat.logit(features), self.sat.logit(features)]
    }
}

impl Detector for Fast {
    fn name(&self) -> &'static str {
        NAME
    }

    fn thresholds(&self) -> [f32; 2] {
        self.decisions.thresholds()
    }

    fn judge(&self, chat: &Chat, turns: &[Turn]) -> Vec<Label> {
        let sets = word_sets(chat);
        let mut features = Features::default();
        let judge = |turn: &Turn| {
            let logits = self.logits_of(&mut features, &sets, turn);
            let (label, dsat, sat) = self.decisions.decide(logits, turn.reply.is_some());
            let p = if label.is_dsat() { dsat } else { sat };
            let evidence = (label != Verdict::None).then(|| self.rules.explain(&sets, turn, NAME, label.is_dsat(), p));
            Label { conversation: chat.id.clone(), turn: turn.index, label, dsat, sat, evidence }
        };
        turns.iter().map(judge).collect()
    }
}
