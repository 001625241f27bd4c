//! From log-odds to a label: calibration and thresholds of a learned detector, for dissatisfaction and
//! satisfaction alike.

use serde::{Deserialize, Serialize};

use crate::calibration::{Platt, Point, best_f1, points};
use crate::label::Verdict;

/// Of dissatisfaction: a wrong case teaches the model to avoid a good answer, so precision comes first.
/// It is what GPT-4's labels reach against humans in WildFeedback.
pub const TARGET_PRECISION: f64 = 0.83;

/// Where too little was found to measure anything.
const UNKNOWN: Point = Point { threshold: 0.5, precision: 0.0, recall: 0.0 };

/// One head's way from log-odds to a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Of turns that have a reply, and of turns that have none.
    pub with_reply: Platt,
    pub without_reply: Platt,
    /// From which probability the answer is yes, and what that gave on the out-of-fold scores.
    pub at: Point,
    /// What other thresholds gave, by rising precision.
    pub points: Vec<Point>,
}

/// Out-of-fold log-odds of a turn: as it is, and with its reply hidden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutOfFold {
    pub logit: f64,
    pub without_reply: f64,
    pub has_reply: bool,
    pub positive: bool,
}

impl Decision {
    /// `target`: the precision to reach; without it the threshold of the highest F1 is taken.
    pub fn fit(scored: &[OutOfFold], target: Option<f64>) -> Decision {
        let hidden: Vec<(f64, bool)> = scored.iter().map(|s| (s.without_reply, s.positive)).collect();
        let seen: Vec<(f64, bool)> = scored.iter().filter(|s| s.has_reply).map(|s| (s.logit, s.positive)).collect();
        let without_reply = Platt::fit(&hidden);
        let with_reply = if seen.is_empty() { without_reply } else { Platt::fit(&seen) };
        let mut decision = Decision { with_reply, without_reply, at: UNKNOWN, points: Vec::new() };
        let probabilities: Vec<(f64, bool)> =
            scored.iter().map(|s| (decision.probability(s.logit, s.has_reply), s.positive)).collect();
        decision.points = points(&probabilities);
        match target {
            Some(target) => _ = decision.aim(target),
            None => decision.at = best_f1(&probabilities).unwrap_or(UNKNOWN),
        }
        decision
    }

    pub fn probability(&self, logit: f64, has_reply: bool) -> f64 {
        let platt = if has_reply { &self.with_reply } else { &self.without_reply };
        platt.probability(logit)
    }

    /// Takes the threshold that reached `precision` with the most recall, and says what it reached; the
    /// most precise one and `None` where none did.
    pub fn aim(&mut self, precision: f64) -> Option<Point> {
        let reached = self.points.iter().find(|point| f64::from(point.precision) >= precision).copied();
        self.at = reached.or(self.points.last().copied()).unwrap_or(UNKNOWN);
        reached
    }
}

/// Both heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    pub dsat: Decision,
    pub sat: Decision,
}

impl Decisions {
    pub fn thresholds(&self) -> [f32; 2] {
        [self.dsat.at.threshold, self.sat.at.threshold]
    }

    /// (verdict, probability of dissatisfaction, of satisfaction) from the two log-odds.
    pub fn decide(&self, logits: [f64; 2], has_reply: bool) -> (Verdict, f32, f32) {
        let dsat = self.dsat.probability(logits[0], has_reply) as f32;
        let sat = self.sat.probability(logits[1], has_reply) as f32;
        (Verdict::of(dsat >= self.dsat.at.threshold, sat >= self.sat.at.threshold), dsat, sat)
    }
}

/// Decisions about turns that neither the weights nor the calibration nor the threshold have seen: each
/// part's are fitted on the other parts.
pub fn cross_fit(
    scored: &[Vec<OutOfFold>; 2],
    folds: &[usize],
    target: f64,
    hide_replies: bool,
) -> Vec<(Verdict, f32, f32)> {
    let parts = folds.iter().max().map_or(0, |last| last + 1);
    let fit = |part: usize, side: &[OutOfFold], target| {
        let others: Vec<OutOfFold> =
            side.iter().zip(folds).filter(|(_, fold)| **fold != part).map(|(s, _)| *s).collect();
        Decision::fit(&others, target)
    };
    let of_part =
        |part: usize| Decisions { dsat: fit(part, &scored[0], Some(target)), sat: fit(part, &scored[1], None) };
    let decisions: Vec<Decisions> = (0..parts).map(of_part).collect();
    let decide = |row: usize| {
        let [dsat, sat] = [0, 1].map(|side| {
            let s = scored[side][row];
            if hide_replies { s.without_reply } else { s.logit }
        });
        decisions[folds[row]].decide([dsat, sat], scored[0][row].has_reply && !hide_replies)
    };
    (0..folds.len()).map(decide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(n: usize) -> Vec<OutOfFold> {
        let one = |i: usize| {
            let logit = (i * 37 % 101) as f64 / 20.0 - 2.5;
            OutOfFold {
                logit,
                without_reply: logit / 2.0,
                has_reply: !i.is_multiple_of(4),
                positive: logit + (i % 3) as f64 > 1.5,
            }
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn turns_with_and_without_a_reply_are_calibrated_apart() {
        let decision = Decision::fit(&scored(600), Some(0.8));
        // half the log-odds mean the same where there is no reply
        assert!((decision.without_reply.slope / decision.with_reply.slope - 2.0).abs() < 0.2, "{decision:?}");
        assert!(decision.at.precision >= 0.8 && decision.at.recall > 0.5);
    }

    #[test]
    fn a_precision_that_was_never_reached_gives_the_most_precise_threshold() {
        let mut decision = Decision::fit(&scored(600), None);
        let highest = *decision.points.last().unwrap();
        assert_eq!(decision.aim(1.0), None);
        assert_eq!(decision.at, highest);
        assert!(decision.aim(0.6).unwrap().threshold < highest.threshold);
        assert_eq!(Decision::fit(&[], Some(0.83)).at.threshold, 0.5);
    }

    #[test]
    fn a_turns_own_label_does_not_touch_its_decision() {
        let mut rows = scored(400);
        let folds: Vec<usize> = (0..400).map(|i| i % 4).collect();
        let before = cross_fit(&[rows.clone(), rows.clone()], &folds, 0.8, false);
        rows.iter_mut().zip(&folds).filter(|(_, fold)| **fold == 2).for_each(|(row, _)| row.positive = !row.positive);
        let after = cross_fit(&[rows.clone(), rows], &folds, 0.8, false);
        assert!((0..400).all(|i| folds[i] != 2 || before[i] == after[i]));
        assert!((0..400).any(|i| before[i] != after[i]));
    }
}
