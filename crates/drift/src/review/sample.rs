//! Which cases are shown, in which order, and what of them.

use super::corrections::Mode;
use crate::report::cases::{Clip, Feedback, visible};
use crate::seeds::seed;
use drift_chat::{Case, Role};
use serde::Serialize;

/// Turns of a long prompt that are shown, the last ones.
const TURNS: usize = 8;

#[derive(Debug, Serialize)]
struct Turn {
    role: Role,
    text: Clip,
}

/// A case as the page shows it.
#[derive(Debug, Serialize)]
pub struct Card {
    /// Corrections go by it.
    pub key: String,
    rubric: String,
    detector: String,
    confidence: f64,
    /// Turns left out before the first of `context`.
    earlier: usize,
    context: Vec<Turn>,
    answer: Clip,
    feedback: Feedback,
}

#[derive(Debug, Serialize)]
pub struct Sample {
    pub mode: Mode,
    pub cards: Vec<Card>,
    /// Cases that the sample was drawn from.
    pub of: usize,
}

impl Sample {
    /// In random order, or the least confident first. The order of a random sample matters: whoever stops early
    /// has still seen a random sample, and a larger one begins with the smaller.
    pub fn draw(cases: Vec<Case>, mode: Mode, n: usize, run: u64) -> Sample {
        let of = cases.len();
        let confidence =
            |case: &Case| case.evidence.as_ref().map_or(f64::INFINITY, |evidence| f64::from(evidence.confidence));
        let mut drawn: Vec<(f64, u64, Case)> = cases
            .into_iter()
            // cases that were not found in a log have no turn to correct
            .filter(|case| case.key.is_some())
            .map(|case| {
                let first = if mode == Mode::Random { 0.0 } else { confidence(&case) };
                (first, seed(run, &["review", &case.id]), case)
            })
            .collect();
        drawn.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then_with(|| a.2.id.cmp(&b.2.id)));
        let cards = drawn.into_iter().take(n).map(|(_, _, case)| Card::of(case)).collect();
        Sample { mode, cards, of }
    }
}

impl Card {
    fn of(case: Case) -> Card {
        let earlier = case.prompt.len().saturating_sub(TURNS);
        let context = case.prompt[earlier..].iter();
        let evidence = case.evidence.as_ref();
        Card {
            key: case.key.unwrap_or_default(),
            rubric: visible(evidence.map_or("unspecified", |evidence| &evidence.rubric)),
            detector: visible(evidence.map_or("", |evidence| &evidence.detector)),
            confidence: evidence.map_or(0.0, |evidence| f64::from(evidence.confidence)),
            earlier,
            context: context.map(|message| Turn { role: message.role, text: Clip::head(&message.content) }).collect(),
            answer: Clip::head(case.rejected.first().map_or("", |answer| &answer.content)),
            feedback: Feedback::new(&case.user_preference.content, evidence.and_then(|evidence| evidence.cue)),
        }
    }
}
