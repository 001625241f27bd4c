//! May a new model take the place of an old one? It must be measurably better at what is asked for, and no guard
//! (length, repetition, refusal, kinds of requirement that training never saw) may be measurably worse by more than its
//! limit.

use crate::error::{Error, Result};
use crate::satisfaction::{Average, Comparison};
use serde::{Deserialize, Serialize};

/// All are shares, 0 or more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The lower end of the interval of the difference in satisfaction must lie above this.
    pub margin: f64,
    /// Words an answer, longer or shorter, of the old model's.
    pub length: f64,
    /// Rise of repetition.
    pub repetition: f64,
    /// Rise of the share of refusals.
    pub refusal: f64,
    /// Fall of satisfaction on kinds that training never saw.
    pub transfer: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { margin: 0.0, length: 0.3, repetition: 0.05, refusal: 0.02, transfer: 0.05 }
    }
}

impl Limits {
    /// # Errors
    /// A limit that is no number of at least 0.
    pub fn check(&self) -> Result<()> {
        let Limits { margin, length, repetition, refusal, transfer } = *self;
        let all = [
            ("margin", margin),
            ("length", length),
            ("repetition", repetition),
            ("refusal", refusal),
            ("transfer", transfer),
        ];
        match all.iter().find(|(_, limit)| !(*limit >= 0.0 && limit.is_finite())) {
            None => Ok(()),
            Some((name, limit)) => {
                Err(Error::new("gate", format!("{name} is {limit}, expected a number of at least 0"))
                    .hint("0.05 is 5 points"))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    Better,
    /// Neither better nor worse was measured.
    NotBetter,
    /// Less satisfying, or beyond the limit of a guard.
    Worse,
}

/// How a guard changed, new less old, and what was allowed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guard {
    pub name: &'static str,
    /// For length: relative to the old model's.
    pub change: Average,
    pub limit: f64,
    pub broken: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    pub ruling: Ruling,
    /// One sentence with the figures it rests on.
    pub why: String,
    pub guards: Vec<Guard>,
}

/// Rules on b, compared with a. Better is: the interval of the difference lies above the margin, and McNemar's p is
/// below 0.05, which a handful of prompts does not reach however well they went. A guard is broken where its change goes
/// beyond the limit and the interval of the change does not hold 0.
pub fn rule(comparison: &Comparison, limits: &Limits) -> Decision {
    let Comparison { a, b, difference, p, prompts, .. } = comparison;
    let words = comparison.words_a.max(1.0);
    let relative = |change: &Average| Average {
        mean: change.mean / words,
        low: change.low.map(|low| low / words),
        high: change.high.map(|high| high / words),
    };
    let rises = |name, change: Average, limit| {
        let broken = change.mean > limit && change.low.is_some_and(|low| low > 0.0);
        Guard { name, change, limit, broken }
    };
    let falls = |name, change: Average, limit: f64| {
        let broken = change.mean < -limit && change.high.is_some_and(|high| high < 0.0);
        Guard { name, change, limit, broken }
    };
    let length = relative(&comparison.words);
    let longer = rises("length", length, limits.length);
    let mut guards = vec![
        if length.mean < 0.0 { falls("length", length, limits.length) } else { longer },
        rises("repetition", comparison.repetition, limits.repetition),
        rises("refusal", comparison.refusal, limits.refusal),
    ];
    guards.extend(comparison.unseen.map(|unseen| falls("transfer", unseen, limits.transfer)));

    let sure = *p < 0.05;
    let (low, high) = (difference.low.unwrap_or(f64::NEG_INFINITY), difference.high.unwrap_or(f64::INFINITY));
    let broken: Vec<String> = guards
        .iter()
        .filter(|guard| guard.broken)
        .map(|guard| format!("{} {:+.3}, at most {} allowed", guard.name, guard.change.mean, guard.limit))
        .collect();
    let (ruling, verdict) = if !broken.is_empty() {
        (Ruling::Worse, format!("worse on a guard ({})", broken.join("; ")))
    } else if sure && low > limits.margin {
        (Ruling::Better, format!("better by more than {}", limits.margin))
    } else if sure && high < 0.0 {
        (Ruling::Worse, "worse".to_string())
    } else {
        (Ruling::NotBetter, format!("not measurably better by more than {}", limits.margin))
    };
    let interval = match (difference.low, difference.high) {
        (Some(low), Some(high)) => format!("95 % interval {low:+.3} to {high:+.3}"),
        _ => "no interval".to_string(),
    };
    let why = format!(
        "{verdict}: satisfied {a:.3} before, {b:.3} after, difference {:+.3} ({interval}, McNemar p {p:.3}) on {prompts} prompts",
        difference.mean
    );
    Decision { ruling, why, guards }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::{Kind, Parameters, Requirement};
    use crate::satisfaction::compare;
    use crate::simulated::{Prompt, Split};

    /// Prompts that forbid commas; every other one counts as of a kind that training never saw.
    fn prompts(n: usize) -> Vec<Prompt> {
        let kind = Kind::named("no-commas").unwrap();
        let prompt = |i: usize| Prompt {
            id: format!("{i:03}"),
            split: Split::Dev,
            text: "Write.".to_string(),
            task: "Write.".to_string(),
            requirements: vec![Requirement { kind, parameters: Parameters::default() }],
            unseen: i % 2 == 1,
            follows: false,
        };
        (0..n).map(prompt).collect()
    }

    /// The old model meets the first 10 of 40; the new one answers the `i`th prompt with `new(i)`.
    fn decide(new: impl Fn(usize) -> &'static str, limits: &Limits) -> Decision {
        let prompts = prompts(40);
        let old = |i: usize| if i < 10 { "so it is then" } else { "so, it is then" };
        let pair = |of: &dyn Fn(usize) -> &'static str| -> Vec<&'static str> { (0..40).map(of).collect() };
        let (a, b) = (pair(&old), pair(&new));
        let with = |texts: &[&'static str]| -> Vec<(&Prompt, &'static str)> {
            prompts.iter().zip(texts.iter().copied()).collect()
        };
        rule(&compare(&with(&a), &with(&b), 0).unwrap(), limits)
    }

    #[test]
    fn a_better_model_passes_and_the_margin_is_asked_of_the_interval() {
        let better = |i: usize| if i < 25 { "so it is then" } else { "so, it is then" };
        let decision = decide(better, &Limits::default());
        assert_eq!(decision.ruling, Ruling::Better, "{decision:?}");
        assert!(decision.why.starts_with("better by more than 0: satisfied 0.250 before, 0.625 after"), "{decision:?}");
        // The difference is .375, but its interval begins near .22.
        let strict = Limits { margin: 0.3, ..Limits::default() };
        assert_eq!(decide(better, &strict).ruling, Ruling::NotBetter);
    }

    #[test]
    fn what_is_not_measured_is_not_better_and_a_fall_is_worse() {
        let a_little = |i: usize| if i < 12 { "so it is then" } else { "so, it is then" };
        let decision = decide(a_little, &Limits::default());
        assert_eq!(decision.ruling, Ruling::NotBetter);
        assert!(decision.why.contains("p 0.500"), "{}", decision.why);
        let none = decide(|_| "so, it is then", &Limits { transfer: 1.0, ..Limits::default() });
        assert_eq!(none.ruling, Ruling::Worse, "{none:?}");
        assert!(none.why.starts_with("worse: "));
    }

    #[test]
    fn a_guard_stops_a_model_that_is_better() {
        let broken = |new: &'static str| {
            let decision = decide(|_| new, &Limits::default());
            assert_eq!(decision.ruling, Ruling::Worse, "{decision:?}");
            let names: Vec<&str> =
                decision.guards.iter().filter(|guard| guard.broken).map(|guard| guard.name).collect();
            names.join(" ")
        };
        assert_eq!(broken("well"), "length");
        assert_eq!(broken("as an ai so"), "refusal");
        assert_eq!(broken("so it is so it is so it is"), "length repetition");
        let lax = Limits { length: 2.0, repetition: 1.0, ..Limits::default() };
        assert_eq!(decide(|_| "so it is so it is so it is", &lax).ruling, Ruling::Better);
    }

    #[test]
    fn a_fall_on_unseen_kinds_stops_a_rise_on_the_others() {
        let narrow = |i: usize| if i.is_multiple_of(2) { "so it is then" } else { "so, it is then" };
        let decision = decide(narrow, &Limits::default());
        let broken: Vec<&str> = decision.guards.iter().filter(|guard| guard.broken).map(|guard| guard.name).collect();
        assert_eq!((decision.ruling, broken), (Ruling::Worse, vec!["transfer"]), "{decision:?}");
        assert!(decision.why.starts_with("worse on a guard (transfer -0.250, at most 0.05 allowed): "));
    }

    #[test]
    fn limits_are_numbers_of_at_least_0() {
        assert!(Limits::default().check().is_ok());
        let error = Limits { refusal: -0.1, ..Limits::default() }.check().unwrap_err().to_string();
        assert_eq!(error, "gate: refusal is -0.1, expected a number of at least 0; hint: 0.05 is 5 points");
        assert!(Limits { margin: f64::NAN, ..Limits::default() }.check().is_err());
    }
}
