//! Held-out pairs in, preference accuracy out: does the trained policy, measured against the model that
//! the run began with, favour the good answer over the one that a user disliked?
//!
//! The pairs and the base model's log-probs are the same for every iteration.

use crate::interrupt;
use crate::policy::Policy;
use crate::run_folder::{Manifest, Stage};
use crate::talk::{Talk, Unit};
use crate::{files, tokens};
use anyhow::Result;
use drift_chat::{Pair, write_jsonl};
use drift_eval::statistics::{bootstrap_mean, wilson};
use drift_train::Example;
use drift_train::score::{Score, score};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Tokens of the pairs that are computed at once.
const MICRO_TOKENS: usize = 2048;

/// Where the chosen side of a held-out pair comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An unguided answer of the base model.
    FreshAnswer,
    /// The revised answer that satisfied the user.
    Revision,
}

/// A held-out pair with the base model's scores, a row of `held-out/score/pairs.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    pub kind: Kind,
    pub pair: Pair,
    pub base: Score,
}

/// Scores the held-out pairs under the base model.
pub fn score_base(
    stage: &Stage,
    policy: &Policy,
    pairs: Vec<(Kind, Pair)>,
    max_prompt: usize,
    max_length: usize,
    talk: &Talk,
) -> Result<Manifest> {
    stage.begin(&[])?;
    let (kinds, pairs): (Vec<Kind>, Vec<Pair>) = pairs.into_iter().unzip();
    let (kept, counts) = tokens::examples(&policy.format, &pairs, max_prompt, max_length);
    let (indices, examples): (Vec<usize>, Vec<Example>) = kept.into_iter().unzip();
    let scores = scores(policy, &examples, talk)?;
    let rows: Vec<HeldOut> = indices
        .into_iter()
        .zip(scores)
        .map(|(i, base)| HeldOut { kind: kinds[i], pair: pairs[i].clone(), base })
        .collect();
    write_jsonl(&stage.path("pairs.jsonl"), &rows)?;
    stage.finish(counts, &["pairs.jsonl"])
}

/// `eval.json`. Intervals are of 95 %: Wilson's with a conversation as trial for the accuracy, a bootstrap over
/// conversations for the mean margin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Eval {
    pub pairs: usize,
    /// Share of the pairs with a margin above 0; a margin of exactly 0 (a policy that has not moved) counts
    /// half.
    pub accuracy: Option<f64>,
    pub accuracy_low: Option<f64>,
    pub accuracy_high: Option<f64>,
    /// Mean of beta ((log pi(y+) - log base(y+)) - (log pi(y-) - log base(y-))).
    pub margin: Option<f64>,
    pub margin_low: Option<f64>,
    pub margin_high: Option<f64>,
    /// The same figures by where the chosen answer comes from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by: BTreeMap<Kind, Eval>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub weights: String,
}

/// A row of `evaluate/pairs.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Id of the case, or of the seed pair.
    pub case: String,
    pub conversation: String,
    pub kind: Kind,
    pub margin: f64,
    pub chosen_logp: f64,
    pub rejected_logp: f64,
    pub base_chosen_logp: f64,
    pub base_rejected_logp: f64,
}

pub struct Job<'a> {
    pub policy: &'a Policy,
    pub held_out: &'a [HeldOut],
    pub beta: f64,
    pub seed: u64,
    pub max_prompt: usize,
    pub max_length: usize,
}

pub fn run(stage: &Stage, job: &Job, talk: &Talk) -> Result<Manifest> {
    stage.begin(&[])?;
    let pairs: Vec<Pair> = job.held_out.iter().map(|row| row.pair.clone()).collect();
    let (kept, counts) = tokens::examples(&job.policy.format, &pairs, job.max_prompt, job.max_length);
    let (indices, examples): (Vec<usize>, Vec<Example>) = kept.into_iter().unzip();
    let scores = scores(job.policy, &examples, talk)?;
    let verdicts: Vec<Verdict> = indices
        .into_iter()
        .zip(scores)
        .map(|(i, score)| {
            let HeldOut { kind, pair, base } = &job.held_out[i];
            let rewards = (score.chosen_logp - base.chosen_logp) - (score.rejected_logp - base.rejected_logp);
            Verdict {
                case: pair.id.clone(),
                conversation: pair.conversation.clone(),
                kind: *kind,
                margin: job.beta * rewards,
                chosen_logp: score.chosen_logp,
                rejected_logp: score.rejected_logp,
                base_chosen_logp: base.chosen_logp,
                base_rejected_logp: base.rejected_logp,
            }
        })
        .collect();
    let eval = Eval { weights: job.policy.weights.clone(), ..eval(&verdicts, job.seed) };
    write_jsonl(&stage.path("pairs.jsonl"), &verdicts)?;
    files::write_json(&stage.path("eval.json"), &eval)?;
    stage.finish(counts, &["eval.json", "pairs.jsonl"])
}

fn scores(policy: &Policy, examples: &[Example], talk: &Talk) -> Result<Vec<Score>> {
    drift_train::examples::check(examples, &policy.model)?;
    let bar = talk.bar("scoring", examples.len() as u64, Unit::Count).with_message("held-out pairs");
    let mut scores = Vec::with_capacity(examples.len());
    let anytime = interrupt::anytime();
    let flow = score(&policy.model, examples, MICRO_TOKENS, &mut |_, score| {
        scores.push(score);
        bar.inc(1);
        interrupt::flow()
    });
    drop(anytime);
    bar.finish_and_clear();
    if flow.is_break() { Err(interrupt::Interrupted.into()) } else { Ok(scores) }
}

fn eval(verdicts: &[Verdict], seed: u64) -> Eval {
    let figures = |rows: &[&Verdict]| {
        if rows.is_empty() {
            return Eval::default();
        }
        let win = |row: &&Verdict| match row.margin {
            margin if margin > 0.0 => 1.0,
            0.0 => 0.5,
            _ => 0.0,
        };
        let wins: f64 = rows.iter().map(win).sum();
        // Pairs of one conversation are not independent: it counts as one trial.
        let conversations = rows.iter().map(|row| row.conversation.as_str()).collect::<BTreeSet<_>>().len();
        let accuracy = wins / rows.len() as f64;
        let interval = wilson(accuracy * conversations as f64, conversations);
        let margins: Vec<(&str, f64)> = rows.iter().map(|row| (row.conversation.as_str(), row.margin)).collect();
        let spread = bootstrap_mean(&margins, seed);
        Eval {
            pairs: rows.len(),
            accuracy: Some(accuracy),
            accuracy_low: interval.map(|interval| interval.low),
            accuracy_high: interval.map(|interval| interval.high),
            margin: Some(margins.iter().map(|(_, margin)| margin).sum::<f64>() / rows.len() as f64),
            margin_low: spread.map(|interval| interval.low),
            margin_high: spread.map(|interval| interval.high),
            ..Eval::default()
        }
    };
    let all: Vec<&Verdict> = verdicts.iter().collect();
    let mut by = BTreeMap::new();
    for kind in [Kind::FreshAnswer, Kind::Revision] {
        let rows: Vec<&Verdict> = all.iter().copied().filter(|row| row.kind == kind).collect();
        if !rows.is_empty() {
            by.insert(kind, figures(&rows));
        }
    }
    Eval { by, ..figures(&all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_and_margin_by_hand_and_by_kind() {
        let verdict = |conversation: &str, kind, margin| Verdict {
            case: String::new(),
            conversation: conversation.into(),
            kind,
            margin,
            chosen_logp: 0.0,
            rejected_logp: 0.0,
            base_chosen_logp: 0.0,
            base_rejected_logp: 0.0,
        };
        let rows = [
            verdict("a", Kind::FreshAnswer, 0.3),
            verdict("b", Kind::FreshAnswer, -0.1),
            verdict("c", Kind::Revision, 0.1),
            verdict("c", Kind::Revision, 0.0),
        ];
        let eval = eval(&rows, 1);
        assert_eq!((eval.pairs, eval.accuracy), (4, Some(0.625)));
        let by_hand = wilson(0.625 * 3.0, 3).unwrap(); // three conversations
        assert_eq!((eval.accuracy_low, eval.accuracy_high), (Some(by_hand.low), Some(by_hand.high)));
        assert!((eval.margin.unwrap() - 0.075).abs() < 1e-12);
        assert!(eval.margin_low.unwrap() < 0.075 && eval.margin_high.unwrap() > 0.075);
        assert_eq!(eval.by[&Kind::Revision].pairs, 2);
        assert_eq!(eval.by[&Kind::Revision].margin_low, None, "one conversation has no spread");
        assert_eq!(super::eval(&[], 1).accuracy, None);
    }
}
