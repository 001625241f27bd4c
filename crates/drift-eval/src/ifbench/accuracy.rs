//! Shares of prompts and instructions that answers follow, and two sets of answers compared.

use super::{Prompt, Verdict, verdicts};
use crate::error::{Error, Result};
use crate::requirements::text::words;
use crate::satisfaction::{Average, Share, average, paired, share};
use crate::statistics::mcnemar;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    pub strict: Share,
    pub loose: Share,
}

/// The benchmark's figures; intervals are Wilson's where a prompt counts once, else bootstrapped by prompt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    pub prompts: usize,
    /// Answers that follow every instruction of their prompt.
    pub prompt_level: Rates,
    /// Instructions followed.
    pub instruction_level: Rates,
    pub families: BTreeMap<&'static str, Rates>,
    pub kinds: BTreeMap<&'static str, Rates>,
    pub words: Average,
    /// Blank answers.
    pub empty: Share,
}

/// Two sets of answers to the same prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub prompts: usize,
    pub strict: Change,
    pub loose: Change,
    /// Words an answer, b's less a's.
    pub words: Average,
}

/// At the level of prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub a: f64,
    pub b: f64,
    /// b less a, with a paired bootstrap.
    pub difference: Average,
    /// Prompts followed in one set alone, and McNemar's exact p.
    pub only_a: u64,
    pub only_b: u64,
    pub p: f64,
}

/// A prompt's key, and whether it, or an instruction of it, is followed: strictly, loosely.
type Followed<'a> = (&'a str, bool, bool);

/// Figures of answers, each with its prompt. The seed is that of the bootstrap. An error without answers.
pub fn accuracy(answers: &[(&Prompt, &str)], seed: u64) -> Result<Accuracy> {
    if answers.is_empty() {
        return Err(Error::new("IFBench", "no answers, expected at least one").hint("was anything sampled?"));
    }
    let (mut prompts, mut instructions) = (Vec::new(), Vec::new());
    let (mut families, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    let (mut lengths, mut blank) = (Vec::new(), Vec::new());
    for &(prompt, answer) in answers {
        let key = prompt.key.as_str();
        let verdicts = verdicts(prompt, answer);
        prompts.push(of_prompt(key, &verdicts));
        for Verdict { kind, strict, loose } in verdicts {
            let followed = (key, strict, loose);
            instructions.push(followed);
            families.entry(kind.family()).or_insert_with(Vec::new).push(followed);
            kinds.entry(kind.name).or_insert_with(Vec::new).push(followed);
        }
        lengths.push((key, words(answer).count() as f64));
        blank.push((key, answer.trim().is_empty()));
    }
    let each = |rows: BTreeMap<&'static str, Vec<Followed>>| {
        rows.iter().map(|(name, followed)| (*name, rates(followed, seed))).collect()
    };
    Ok(Accuracy {
        prompts: prompts.iter().map(|(key, ..)| key).collect::<BTreeSet<_>>().len(),
        prompt_level: rates(&prompts, seed),
        instruction_level: rates(&instructions, seed),
        families: each(families),
        kinds: each(kinds),
        words: average(&lengths, seed),
        empty: share(&blank, seed),
    })
}

/// Is b better than a? An error unless both answer every prompt once, in their order.
pub fn compare(prompts: &[Prompt], a: &[String], b: &[String], seed: u64) -> Result<Comparison> {
    if prompts.is_empty() || a.len() != prompts.len() || b.len() != prompts.len() {
        let what = format!("{} and {} answers to {} prompts, expected one each", a.len(), b.len(), prompts.len());
        return Err(Error::new("comparison", what).hint("let both models answer the same prompts"));
    }
    let (mut strict, mut loose, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for ((prompt, a), b) in prompts.iter().zip(a).zip(b) {
        let [(key, strict_a, loose_a), (_, strict_b, loose_b)] =
            [a, b].map(|answer| of_prompt(&prompt.key, &verdicts(prompt, answer)));
        strict.push((key, strict_a, strict_b));
        loose.push((key, loose_a, loose_b));
        lengths.push((key, words(b).count() as f64 - words(a).count() as f64));
    }
    Ok(Comparison {
        prompts: prompts.len(),
        strict: change(&strict, seed),
        loose: change(&loose, seed),
        words: average(&lengths, seed),
    })
}

fn of_prompt<'a>(key: &'a str, verdicts: &[Verdict]) -> Followed<'a> {
    (key, verdicts.iter().all(|verdict| verdict.strict), verdicts.iter().all(|verdict| verdict.loose))
}

fn rates(followed: &[Followed], seed: u64) -> Rates {
    let side =
        |is: fn(&Followed) -> bool| share(&followed.iter().map(|row| (row.0, is(row))).collect::<Vec<_>>(), seed);
    Rates { strict: side(|row| row.1), loose: side(|row| row.2) }
}

/// Of rows of key, followed in a, followed in b; at least one.
fn change(rows: &[(&str, bool, bool)], seed: u64) -> Change {
    let count = |which: fn(&(&str, bool, bool)) -> bool| rows.iter().filter(|row| which(row)).count() as u64;
    let (only_a, only_b) = (count(|row| row.1 && !row.2), count(|row| row.2 && !row.1));
    let pairs: Vec<(&str, f64, f64)> = rows.iter().map(|&(key, a, b)| (key, f64::from(b), f64::from(a))).collect();
    Change {
        a: count(|row| row.1) as f64 / rows.len() as f64,
        b: count(|row| row.2) as f64 / rows.len() as f64,
        difference: paired(&pairs, seed).unwrap_or(Average::new(0.0, None)),
        only_a,
        only_b,
        p: mcnemar(only_a, only_b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ifbench::{Arguments, Instruction, Kind};

    fn prompt(key: &str, kinds: &[&str]) -> Prompt {
        let instruction =
            |name: &&str| Instruction { kind: Kind::named(name).unwrap(), arguments: Arguments::default() };
        Prompt {
            key: key.to_string(),
            text: "Write.".to_string(),
            instructions: kinds.iter().map(instruction).collect(),
        }
    }

    #[test]
    fn figures_by_hand() {
        let one = prompt("1", &["format:no_whitespace", "format:output_template"]);
        let two = prompt("2", &["format:no_whitespace"]);
        // Without its first line the second answer has no white space.
        let answers = [(&one, "None."), (&two, "Here you are:\nNone.")];
        let figures = accuracy(&answers, 0).unwrap();
        assert_eq!((figures.prompts, figures.prompt_level.strict.met, figures.prompt_level.loose.met), (2, 0, 1));
        let level = figures.instruction_level;
        assert_eq!((level.strict.met, level.strict.n, level.loose.met), (1, 3, 2));
        let kind = figures.kinds["format:no_whitespace"];
        assert_eq!((kind.strict.met, kind.loose.met, kind.loose.n), (1, 2, 2));
        assert_eq!((figures.families.len(), figures.families["format"], figures.words.mean), (1, level, 2.5));
        // scipy.stats.binomtest(1, 2).proportion_ci(method="wilson")
        assert!((figures.prompt_level.loose.low - 0.09453120573423074).abs() < 1e-12);
        assert!(accuracy(&[], 0).is_err());
    }

    #[test]
    fn a_comparison_by_hand() {
        let prompts: Vec<Prompt> = (0..8).map(|i| prompt(&i.to_string(), &["format:no_whitespace"])).collect();
        let set = |met: [bool; 8]| met.map(|met| if met { "yes" } else { "no or yes" }.to_string());
        let a = set([true, true, false, false, false, false, false, false]);
        let b = set([true, false, true, true, true, true, true, false]);
        let comparison = compare(&prompts, &a, &b, 0).unwrap();
        let Change { a: share_a, b: share_b, difference, only_a, only_b, p } = comparison.strict.clone();
        assert_eq!((share_a, share_b, difference.mean, only_a, only_b), (0.25, 0.75, 0.5, 1, 5));
        // scipy.stats.binomtest(1, 6, 0.5).pvalue
        assert!((p - 0.21875).abs() < 1e-12);
        assert_eq!((comparison.loose, comparison.words.mean), (comparison.strict, -1.0));
        assert!(compare(&prompts, &a[1..], &b, 0).is_err());
    }
}
