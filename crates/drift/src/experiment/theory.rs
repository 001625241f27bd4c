//! The theory's quantities by method and training, the pairs of all seeds as one sample, and what they say in words.
//!
//! A sentence is made only where at least two runs of a method say the same, or is a count of those that do.

use super::figures::{Model, Run};
use crate::stages::theory::{Side, Theory};
use drift_train::theory::Lemma;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

#[derive(Debug, PartialEq, Serialize)]
pub struct Method {
    pub method: String,
    pub trainings: Vec<Training>,
}

/// A training that a method's runs have in common.
#[derive(Debug, PartialEq, Serialize)]
pub struct Training {
    /// The model that it made.
    pub model: String,
    pub runs: usize,
    /// The sample, and of how many pairs it is.
    pub pairs: usize,
    pub of: usize,
    pub beta: f64,
    pub before: Side,
    pub after: Side,
}

pub fn methods(runs: &[Run], methods: &[&str]) -> Vec<Method> {
    let of_method = |method: &&str| {
        let all: Vec<(&str, Theory)> =
            runs.iter().filter(|run| run.method == *method).flat_map(|run| measured(&run.models)).collect();
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in &all {
            if !names.contains(name) {
                names.push(name);
            }
        }
        let training = |name: &&str| {
            let same: Vec<&Theory> = all.iter().filter(|(other, _)| other == name).map(|(_, theory)| theory).collect();
            let beta = same[0].beta;
            let sum = |count: fn(&Theory) -> usize| same.iter().map(|theory| count(theory)).sum();
            let side = |of: fn(&Theory) -> &Side| {
                pooled(&same.iter().map(|theory| (theory.pairs as f64, of(theory))).collect::<Vec<_>>(), beta)
            };
            Training {
                model: name.to_string(),
                runs: same.len(),
                pairs: sum(|theory| theory.pairs),
                of: sum(|theory| theory.of),
                beta,
                before: side(|theory| &theory.before),
                after: side(|theory| &theory.after),
            }
        };
        Method { method: method.to_string(), trainings: names.iter().map(training).collect() }
    };
    methods.iter().map(of_method).filter(|method| !method.trainings.is_empty()).collect()
}

/// A run's trainings. Of no pair there are no means, so there is nothing to tell.
fn measured(models: &[Model]) -> Vec<(&str, Theory)> {
    let theory = |model: &Model| Theory::deserialize(model.theory.as_ref()?).ok().filter(|theory| theory.pairs > 0);
    models.iter().filter_map(|model| Some((model.name.as_str(), theory(model)?))).collect()
}

/// Samples, each with its number of pairs, as one: means, shares and Lemma 1 are those of all pairs together. The norm of
/// the mean gradient alone cannot be had from the parts: it is the mean of theirs.
fn pooled(sides: &[(f64, &Side)], beta: f64) -> Side {
    let pairs: f64 = sides.iter().map(|(n, _)| n).sum();
    let mean = |value: &dyn Fn(&Side) -> f64| sides.iter().map(|(n, side)| n * value(side)).sum::<f64>() / pairs;
    let lemma = |(at, &Lemma { tau, .. }): (usize, &Lemma)| {
        let p0 = mean(&|side| side.lemma[at].p0);
        let sum = mean(&|side| side.lemma[at].p0 * side.lemma[at].delta);
        let delta = if p0 > 0.0 { sum / p0 } else { 0.0 };
        Lemma { tau, p0, delta, bound: beta * tau * p0 * delta }
    };
    let taus = sides.iter().map(|(_, side)| side.lemma.len()).min().unwrap_or(0);
    Side {
        sigma: mean(&|side| side.sigma),
        contrast: mean(&|side| side.contrast),
        gradient: mean(&|side| side.gradient),
        mean_gradient: mean(&|side| side.mean_gradient),
        chosen_logp: mean(&|side| side.chosen_logp),
        rejected_logp: mean(&|side| side.rejected_logp),
        lemma: sides[0].1.lemma[..taus].iter().enumerate().map(lemma).collect(),
    }
}

/// What one run shows, as ratios and differences.
struct Seen {
    seed: u64,
    /// First and last training.
    models: [String; 2],
    /// The gradient of fresh pairs in the last training over that in the first; `None` of one training.
    kept: Option<f64>,
    /// The gradient at the end of the last training over that at its beginning.
    left: f64,
    /// Nats that the last training moved the chosen answers by.
    chosen: f64,
}

fn seen(run: &Run) -> Option<Seen> {
    let trainings = measured(&run.models);
    let ((first, start), (last, end)) = (trainings.first()?, trainings.last()?);
    Some(Seen {
        seed: run.seed,
        models: [first.to_string(), last.to_string()],
        kept: (trainings.len() > 1).then(|| end.before.gradient / start.before.gradient),
        left: end.after.gradient / end.before.gradient,
        chosen: end.after.chosen_logp - end.before.chosen_logp,
    })
}

/// Whose gradient faded and whose did not, and where the chosen answers went.
pub fn words(runs: &[Run], methods: &[&str]) -> Vec<String> {
    let all: Vec<(&str, Vec<Seen>)> = methods
        .iter()
        .map(|method| (*method, runs.iter().filter(|run| run.method == *method).filter_map(seen).collect::<Vec<_>>()))
        .filter(|(_, seen)| !seen.is_empty())
        .collect();
    let (several, single): (Vec<_>, Vec<_>) = all.iter().partition(|(_, seen)| seen.len() > 1);
    let (mut said, mut mixed) = (Vec::new(), Vec::new());
    for (method, seen) in &several {
        let kept: Vec<f64> = seen.iter().filter_map(|run| run.kept).collect();
        if kept.len() < 2 {
            continue;
        }
        let [first, last] = &seen[0].models;
        let fell = kept.iter().filter(|kept| **kept < 1.0).count();
        let (n, size) = (kept.len(), format!("{} of its first size, {first} to {last}", range(&kept)));
        if fell == n {
            said.push(format!("{method}: the gradient of fresh pairs faded in all {n} runs ({size})."));
        } else if kept.iter().all(|kept| *kept > 1.0) {
            said.push(format!("{method}: the gradient of fresh pairs did not fade, it grew in all {n} runs ({size})."));
        } else {
            mixed.push(format!(
                "{method}: the gradient of fresh pairs fell in {fell} of {n} runs ({size}), which shows no direction."
            ));
        }
    }
    if let Some(((first, mine), others)) = all.split_first() {
        for (other, theirs) in others {
            let both: Vec<(&Seen, &Seen)> = mine
                .iter()
                .filter_map(|run| Some((run, theirs.iter().find(|other| other.seed == run.seed)?)))
                .collect();
            let kept: Vec<(f64, f64)> = both.iter().filter_map(|(a, b)| Some((a.kept?, b.kept?))).collect();
            let left: Vec<(f64, f64)> = both.iter().map(|(a, b)| (a.left, b.left)).collect();
            said.extend(compared(
                first,
                other,
                &kept,
                "of the first gradient of fresh pairs is there in the last training",
            ));
            said.extend(compared(first, other, &left, "of the gradient is left at the end of the last training"));
        }
    }
    for (what, moved) in [("less", -1.0), ("more", 1.0)] {
        let all_moved = several.iter().filter(|(_, seen)| seen.iter().all(|run| run.chosen * moved > 0.0));
        let names: Vec<&str> = all_moved.map(|(method, _)| *method).collect();
        if !names.is_empty() {
            said.push(format!(
                "In every run the last training made its chosen answers {what} likely: {}.",
                names.join(", ")
            ));
        }
    }
    if let Some(most) = several.iter().map(|(_, seen)| seen.len()).max().filter(|_| !said.is_empty()) {
        said.push(format!(
            "Were it a toss-up, {most} runs would agree one time in {}.",
            2u64.saturating_pow(u32::try_from(most - 1).unwrap_or(u32::MAX))
        ));
    }
    said.extend(mixed);
    if !single.is_empty() {
        let names: Vec<&str> = single.iter().map(|(method, _)| *method).collect();
        said.push(format!("One run so far, of which nothing is claimed: {}.", names.join(", ")));
    }
    said
}

/// Where all of at least two seeds agree.
fn compared(a: &str, b: &str, pairs: &[(f64, f64)], what: &str) -> Option<String> {
    let word = match pairs.len() {
        0 | 1 => return None,
        _ if pairs.iter().all(|(a, b)| a > b) => "more",
        _ if pairs.iter().all(|(a, b)| a < b) => "less",
        _ => return None,
    };
    let (of_a, of_b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let n = pairs.len();
    Some(format!("{a} beside {b}: in all {n} seeds {word} {what} ({} against {}).", range(&of_a), range(&of_b)))
}

/// Smallest and largest in percent.
fn range(values: &[f64]) -> String {
    let percent = |value: f64| format!("{:.0}", 100.0 * value);
    let (low, high) =
        values.iter().fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(*value), high.max(*value)));
    let (low, high): (String, String) = (percent(low), percent(high));
    let text: &dyn Display = if low == high { &high } else { &format_args!("{low}\u{2013}{high}") };
    format!("{text}\u{a0}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pairs' side: sigma, contrast and gradient as given, half of the pairs above .3 with twice the contrast.
    fn side(sigma: f64, contrast: f64, gradient: f64, chosen_logp: f64) -> Side {
        let lemma = vec![Lemma { tau: 0.3, p0: 0.5, delta: 2.0 * contrast, bound: 0.03 * contrast }];
        Side { sigma, contrast, gradient, mean_gradient: gradient, chosen_logp, rejected_logp: -20.0, lemma }
    }

    /// Each training as the gradient before it and after it, and what it did to the chosen answers.
    fn run(method: &str, seed: u64, trainings: &[(f64, f64, f64)]) -> Run {
        let model = |(at, &(before, after, moved)): (usize, &(f64, f64, f64))| {
            let theory = Theory {
                beta: 0.1,
                pairs: 2 * seed as usize,
                of: 9,
                before: side(0.5, 20.0 * before, before, -10.0),
                after: side(0.2, 20.0 * before, after, -10.0 + moved),
            };
            Model {
                name: format!("iter-{}", at + 1),
                satisfied: Default::default(),
                figures: serde_json::Value::Null,
                theory: Some(serde_json::to_value(theory).unwrap()),
            }
        };
        Run { method: method.into(), seed, models: trainings.iter().enumerate().map(model).collect() }
    }

    #[test]
    fn samples_become_one() {
        let runs = [run("drift", 1, &[(3.0, 1.0, 0.0)]), run("drift", 2, &[(6.0, 1.0, 0.0)])];
        let found = methods(&runs, &["drift", "spin"]);
        let [Method { trainings, .. }] = &found[..] else { panic!("{found:?}") };
        let Training { pairs, of, runs, before, .. } = &trainings[0];
        assert_eq!((*pairs, *of, *runs), (6, 18, 2));
        // two pairs of 3 and four of 6
        assert_eq!((before.gradient, before.contrast), (5.0, 100.0));
        let Lemma { p0, delta, bound, .. } = before.lemma[0];
        assert_eq!((p0, delta), (0.5, 200.0));
        assert!((bound - 0.1 * 0.3 * 0.5 * 200.0).abs() < 1e-12);
    }

    #[test]
    fn only_what_all_runs_show_is_claimed() {
        let runs = [
            run("drift", 1, &[(10.0, 5.0, 1.0), (9.0, 6.0, 1.0)]),
            run("drift", 2, &[(10.0, 5.0, 1.0), (11.0, 6.0, 2.0)]),
            run("spin", 1, &[(10.0, 5.0, 1.0), (4.0, 1.0, -1.0)]),
            run("spin", 2, &[(10.0, 5.0, 1.0), (5.0, 1.0, -2.0)]),
            run("kto", 1, &[(10.0, 5.0, 1.0), (4.0, 1.0, -1.0)]),
        ];
        let said = words(&runs, &["drift", "spin", "kto"]);
        let expected = [
            "spin: the gradient of fresh pairs faded in all 2 runs (40\u{2013}50\u{a0}% of its first size, iter-1 to iter-2).",
            "drift beside spin: in all 2 seeds more of the first gradient of fresh pairs is there in the last training \
             (90\u{2013}110\u{a0}% against 40\u{2013}50\u{a0}%).",
            "drift beside spin: in all 2 seeds more of the gradient is left at the end of the last training \
             (55\u{2013}67\u{a0}% against 20\u{2013}25\u{a0}%).",
            "In every run the last training made its chosen answers less likely: spin.",
            "In every run the last training made its chosen answers more likely: drift.",
            "Were it a toss-up, 2 runs would agree one time in 2.",
            "drift: the gradient of fresh pairs fell in 1 of 2 runs (90\u{2013}110\u{a0}% of its first size, iter-1 to iter-2), \
             which shows no direction.",
            "One run so far, of which nothing is claimed: kto.",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn one_run_or_no_difference_is_no_claim() {
        let one = [run("drift", 1, &[(10.0, 5.0, 1.0)]), run("spin", 1, &[(10.0, 1.0, -1.0)])];
        assert_eq!(words(&one, &["drift", "spin"]), ["One run so far, of which nothing is claimed: drift, spin."]);
        let same = |method| [1, 2].map(|seed| run(method, seed, &[(10.0, 5.0, 0.0)]));
        assert_eq!(words(&[same("drift"), same("spin")].concat(), &["drift", "spin"]), Vec::<String>::new());
        assert_eq!(words(&[], &["drift"]), Vec::<String>::new());
    }
}
