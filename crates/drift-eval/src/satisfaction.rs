//! How well answers serve simulated users: the share that meets every requirement, per kind too, with what else a
//! higher share could be bought with (length, repetition, refusal, sameness); and two sets of answers compared.

use crate::error::{Error, Result};
use crate::requirements::text::folded_words;
use crate::simulated::Prompt;
use crate::statistics::{Interval, Mean, bootstrap_difference, bootstrap_mean, mcnemar, wilson};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A share with its 95 % interval: Wilson's where every prompt has one answer, else a bootstrap by prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    pub met: usize,
    pub n: usize,
    pub rate: f64,
    pub low: f64,
    pub high: f64,
}

/// A mean with its 95 % interval by prompt; `None` with fewer than two prompts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Average {
    pub mean: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Satisfaction {
    pub prompts: usize,
    pub answers: usize,
    /// Answers that meet every requirement of their prompt.
    pub satisfied: Share,
    /// Of these, where the prompt asks for a kind that training never saw, and where not.
    pub unseen: Option<Share>,
    pub seen: Option<Share>,
    /// Answers that meet a requirement of the kind, of those asked for it.
    pub kinds: BTreeMap<&'static str, Share>,
    pub words: Average,
    pub characters: Average,
    /// Different n-grams of words over all n-grams, all answers together (Li et al. 2016). Falls with the number of
    /// words: compare sets of answers to the same prompts.
    pub distinct_1: f64,
    pub distinct_2: f64,
    /// In an answer, the share of 4-grams of words that came before in it.
    pub repetition: Average,
    /// Answers that begin with a refusal, by the phrases of [`is_refusal`].
    pub refusal: Share,
    /// Answers without a letter or digit.
    pub empty: Share,
}

/// Two sets of answers to the same prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub prompts: usize,
    /// Shares of satisfied answers: of a, of b, and of b less that of a (paired bootstrap by prompt).
    pub a: f64,
    pub b: f64,
    pub difference: Average,
    /// Prompts whose first answer satisfies in one set alone, and McNemar's exact p.
    pub only_a: u64,
    pub only_b: u64,
    pub p: f64,
    /// The same difference over the prompts with a kind that training never saw; `None` without such prompts.
    pub unseen: Option<Average>,
    /// Words per answer of a, and b's less a's.
    pub words_a: f64,
    pub words: Average,
    /// Repetition and share of refusals, b's less a's.
    pub repetition: Average,
    pub refusal: Average,
}

/// Figures of answers, each with its prompt; a prompt may come several times, each time with another answer. The seed
/// is that of the bootstrap. An error without answers.
pub fn satisfaction(answers: &[(&Prompt, &str)], seed: u64) -> Result<Satisfaction> {
    if answers.is_empty() {
        return Err(Error::new("satisfaction", "no answers, expected at least one").hint("was anything sampled?"));
    }
    let mut satisfied = Vec::new();
    let (mut unseen, mut seen) = (Vec::new(), Vec::new());
    let mut kinds: BTreeMap<&'static str, Vec<(&str, bool)>> = BTreeMap::new();
    let mut flags = [Vec::new(), Vec::new()];
    let mut sizes = [Vec::new(), Vec::new(), Vec::new()];
    let mut grams = [(BTreeSet::new(), 0), (BTreeSet::new(), 0)];
    for &(prompt, answer) in answers {
        let id = prompt.id.as_str();
        let mut all = true;
        for requirement in &prompt.requirements {
            let met = requirement.met(answer);
            all &= met;
            kinds.entry(requirement.kind.name).or_default().push((id, met));
        }
        satisfied.push((id, all));
        if prompt.unseen { &mut unseen } else { &mut seen }.push((id, all));
        flags[0].push((id, is_refusal(answer)));
        flags[1].push((id, !answer.contains(char::is_alphanumeric)));
        let words = folded_words(answer);
        sizes[0].push((id, words.len() as f64));
        sizes[1].push((id, answer.chars().count() as f64));
        sizes[2].push((id, repetition(&words)));
        for (n, (different, all)) in grams.iter_mut().enumerate() {
            for gram in words.windows(n + 1) {
                different.insert(gram.to_vec());
                *all += 1;
            }
        }
    }
    let share = |of: &[(&str, bool)]| share(of, seed);
    let average = |of: &[(&str, f64)]| average(of, seed);
    let distinct = |(different, all): &(BTreeSet<Vec<String>>, usize)| different.len() as f64 / (*all).max(1) as f64;
    Ok(Satisfaction {
        prompts: answers.iter().map(|(prompt, _)| &prompt.id).collect::<BTreeSet<_>>().len(),
        answers: answers.len(),
        satisfied: share(&satisfied),
        unseen: (!unseen.is_empty()).then(|| share(&unseen)),
        seen: (!seen.is_empty()).then(|| share(&seen)),
        kinds: kinds.iter().map(|(kind, met)| (*kind, share(met))).collect(),
        words: average(&sizes[0]),
        characters: average(&sizes[1]),
        distinct_1: distinct(&grams[0]),
        distinct_2: distinct(&grams[1]),
        repetition: average(&sizes[2]),
        refusal: share(&flags[0]),
        empty: share(&flags[1]),
    })
}

/// Is b better than a? The `k`th answer of a prompt in one set is paired with its `k`th in the other; both sets must
/// have the same prompts, equally often, in whatever order.
pub fn compare(a: &[(&Prompt, &str)], b: &[(&Prompt, &str)], seed: u64) -> Result<Comparison> {
    let (a, b) = (by_prompt(a), by_prompt(b));
    let alike = a.len() == b.len() && a.iter().zip(&b).all(|((i, x), (j, y))| i == j && x.len() == y.len());
    if a.is_empty() || !alike {
        let what =
            format!("answers to {} and {} prompts, expected answers to the same, equally many", a.len(), b.len());
        return Err(Error::new("comparison", what).hint("sample both from the same prompts"));
    }
    let mut changes = Changes::default();
    let (mut only_a, mut only_b, mut words_a) = (0, 0, Vec::new());
    for (&id, of_a) in &a {
        let of_b = &b[id];
        only_a += u64::from(of_a[0].satisfied && !of_b[0].satisfied);
        only_b += u64::from(of_b[0].satisfied && !of_a[0].satisfied);
        for (x, y) in of_a.iter().zip(of_b) {
            changes.add(id, x, y);
            words_a.push(x.words);
        }
    }
    let paired = |rows: &[(&str, f64, f64)]| paired(rows, seed);
    let mean = |values: Vec<f64>| Mean::of(&values).map_or(0.0, |mean| mean.mean);
    let side = |of: fn(&(&str, f64, f64)) -> f64| mean(changes.satisfied.iter().map(of).collect());
    Ok(Comparison {
        prompts: a.len(),
        a: side(|row| row.2),
        b: side(|row| row.1),
        difference: paired(&changes.satisfied).unwrap_or(Average::new(0.0, None)),
        only_a,
        only_b,
        p: mcnemar(only_a, only_b),
        unseen: paired(&changes.unseen),
        words_a: mean(words_a),
        words: average(&changes.words, seed),
        repetition: average(&changes.repetition, seed),
        refusal: average(&changes.refusal, seed),
    })
}

/// Rows of prompt, second, first. Where all differences are the same, resampling knows no spread; Wilson's interval for
/// the share of other differences does.
pub(crate) fn paired(rows: &[(&str, f64, f64)], seed: u64) -> Option<Average> {
    let difference = bootstrap_difference(rows, seed)?;
    let same = |&(_, b, a): &(&str, f64, f64)| b - a == difference.mean;
    let interval = match rows.iter().all(same) {
        false => difference.interval,
        true => {
            let prompts = rows.iter().map(|(id, ..)| id).collect::<BTreeSet<_>>().len();
            wilson(0.0, prompts).map(|others| Interval {
                low: (difference.mean - others.high).max(-1.0),
                high: (difference.mean + others.high).min(1.0),
            })
        }
    };
    Some(Average::new(difference.mean, interval))
}

/// What is compared of an answer.
struct Seen {
    satisfied: bool,
    unseen: bool,
    words: f64,
    repetition: f64,
    refusal: bool,
}

/// By prompt: satisfied in b and in a, and differences, b less a.
#[derive(Default)]
struct Changes<'a> {
    satisfied: Vec<(&'a str, f64, f64)>,
    unseen: Vec<(&'a str, f64, f64)>,
    words: Vec<(&'a str, f64)>,
    repetition: Vec<(&'a str, f64)>,
    refusal: Vec<(&'a str, f64)>,
}

impl<'a> Changes<'a> {
    fn add(&mut self, id: &'a str, a: &Seen, b: &Seen) {
        let satisfied = (id, f64::from(b.satisfied), f64::from(a.satisfied));
        self.satisfied.push(satisfied);
        if a.unseen {
            self.unseen.push(satisfied);
        }
        self.words.push((id, b.words - a.words));
        self.repetition.push((id, b.repetition - a.repetition));
        self.refusal.push((id, f64::from(b.refusal) - f64::from(a.refusal)));
    }
}

fn by_prompt<'a>(answers: &[(&'a Prompt, &str)]) -> BTreeMap<&'a str, Vec<Seen>> {
    let mut prompts: BTreeMap<&str, Vec<Seen>> = BTreeMap::new();
    for (prompt, answer) in answers {
        let words = folded_words(answer);
        prompts.entry(&prompt.id).or_default().push(Seen {
            satisfied: prompt.requirements.iter().all(|requirement| requirement.met(answer)),
            unseen: prompt.unseen,
            words: words.len() as f64,
            repetition: repetition(&words),
            refusal: is_refusal(answer),
        });
    }
    prompts
}

impl Average {
    pub(crate) fn new(mean: f64, interval: Option<Interval>) -> Average {
        Average { mean, low: interval.map(|i| i.low), high: interval.map(|i| i.high) }
    }
}

pub(crate) fn average(values: &[(&str, f64)], seed: u64) -> Average {
    let plain: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    let mean = Mean::of(&plain).map_or(0.0, |mean| mean.mean);
    Average::new(mean, bootstrap_mean(values, seed))
}

pub(crate) fn share(values: &[(&str, bool)], seed: u64) -> Share {
    let met = values.iter().filter(|(_, met)| *met).count();
    let prompts = values.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len();
    let n = values.len();
    let several: Vec<(&str, f64)> = values.iter().map(|&(id, met)| (id, f64::from(met))).collect();
    // Where all or none meet it, resampling knows no spread; Wilson's interval for as many answers as prompts does.
    let interval = if prompts < n && met > 0 && met < n {
        bootstrap_mean(&several, seed)
    } else {
        wilson(met as f64 / n as f64 * prompts as f64, prompts)
    };
    let Interval { low, high } = interval.unwrap_or(Interval { low: 0.0, high: 1.0 });
    Share { met, n, rate: met as f64 / n as f64, low, high }
}

/// 0 of an answer with fewer than four words.
fn repetition(words: &[String]) -> f64 {
    let different = words.windows(4).collect::<BTreeSet<_>>().len();
    let all = words.windows(4).count();
    if all == 0 { 0.0 } else { 1.0 - different as f64 / all as f64 }
}

/// Whether one of the usual phrases of refusal is among the first 15 words. Rough: read a few before trusting it.
pub fn is_refusal(answer: &str) -> bool {
    const PHRASES: [&str; 10] = [
        "i can't",
        "i cannot",
        "i can not",
        "i am unable to",
        "i'm unable to",
        "i am not able to",
        "i'm not able to",
        "i won't",
        "as an ai",
        "as a language model",
    ];
    let words = folded_words(answer);
    let start = format!(" {} ", words[..words.len().min(15)].join(" "));
    PHRASES.iter().any(|phrase| start.contains(&format!(" {phrase} ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::{Kind, Parameters, Requirement};
    use crate::simulated::Split;

    fn prompt(id: &str, kinds: &[&str], unseen: bool) -> Prompt {
        let requirements = kinds.iter().map(|name| Requirement {
            kind: Kind::named(name).unwrap(),
            parameters: Parameters { n: 2, ..Parameters::default() },
        });
        Prompt {
            id: id.to_string(),
            split: Split::Test,
            text: "Write.".to_string(),
            task: "Write.".to_string(),
            requirements: requirements.collect(),
            unseen,
            follows: false,
        }
    }

    #[test]
    fn figures_by_hand() {
        let (one, two) = (prompt("1", &["no-commas", "end-question"], false), prompt("2", &["no-commas"], true));
        let answers = [(&one, "So is it so?"), (&two, "I'm sorry, but I can't help.")];
        let figures = satisfaction(&answers, 0).unwrap();
        assert_eq!((figures.prompts, figures.answers, figures.satisfied.met), (2, 2, 1));
        assert_eq!((figures.satisfied.rate, figures.refusal.rate, figures.empty.met), (0.5, 0.5, 0));
        assert_eq!((figures.seen.unwrap().met, figures.unseen.unwrap().met), (1, 0));
        assert_eq!(figures.kinds["no-commas"].n, 2);
        assert_eq!(figures.kinds["end-question"].met, 1);
        // scipy.stats.binomtest(1, 2).proportion_ci(method="wilson")
        assert!((figures.satisfied.low - 0.09453120573423074).abs() < 1e-12);
        assert_eq!((figures.words.mean, figures.characters.mean), (5.0, 20.0));
        // so is it so; i'm sorry but i can't help: 9 of 10 words differ, all pairs.
        assert_eq!((figures.distinct_1, figures.distinct_2, figures.repetition.mean), (0.9, 1.0, 0.0));
        assert!(serde_json::to_string(&figures).unwrap().contains("\"end-question\":{\"met\":1,\"n\":1"));
        assert!(satisfaction(&[], 0).is_err());
    }

    #[test]
    fn answers_that_loop_are_seen() {
        // 12 words, 9 four-grams, 3 different.
        let words = folded_words("oh my sea oh my sea oh my sea oh my sea");
        assert_eq!(repetition(&words), 1.0 - 3.0 / 9.0);
    }

    #[test]
    fn a_comparison_by_hand() {
        let prompts: Vec<Prompt> = (0..8).map(|i| prompt(&i.to_string(), &["no-commas"], false)).collect();
        let set = |met: &[bool]| -> Vec<(&Prompt, &str)> {
            prompts.iter().zip(met).map(|(p, &met)| (p, if met { "so it is" } else { "so, it" })).collect()
        };
        let a = set(&[true, true, false, false, false, false, false, false]);
        let mut b = set(&[true, false, true, true, true, true, true, false]);
        b.reverse();
        let comparison = compare(&a, &b, 0).unwrap();
        assert_eq!((comparison.prompts, comparison.a, comparison.b), (8, 0.25, 0.75));
        assert_eq!((comparison.only_a, comparison.only_b, comparison.difference.mean), (1, 5, 0.5));
        // scipy.stats.binomtest(1, 6, 0.5).pvalue
        assert!((comparison.p - 0.21875).abs() < 1e-12);
        assert_eq!(comparison.words.mean, 0.5);
        let (low, high) = (comparison.difference.low.unwrap(), comparison.difference.high.unwrap());
        assert!((-0.2..0.3).contains(&low) && (0.7..=1.0).contains(&high), "{low} {high}");
        // Without a prompt that differs the bootstrap would be sure of 0: 1.96^2 / (8 + 1.96^2) is Wilson's bound.
        let same = compare(&a, &a, 0).unwrap().difference;
        assert!(same.mean == 0.0 && (same.high.unwrap() - 0.32443).abs() < 1e-4 && same.low == same.high.map(|h| -h));
        let error = compare(&a, &b[1..], 0).unwrap_err().to_string();
        assert!(error.starts_with("comparison: answers to 8 and 7 prompts, expected"), "{error}");
    }

    #[test]
    fn several_answers_of_a_prompt_are_no_more_prompts() {
        let (one, two) = (prompt("1", &["no-commas"], false), prompt("2", &["no-commas"], false));
        let answers: Vec<(&Prompt, &str)> = (0..40).flat_map(|_| [(&one, "so"), (&two, "so, so")]).collect();
        let share = satisfaction(&answers, 0).unwrap().satisfied;
        assert_eq!((share.rate, share.low, share.high), (0.5, 0.0, 1.0));
        let same = satisfaction(&answers[..1].repeat(40), 0).unwrap().satisfied;
        assert!(same.rate == 1.0 && same.low < 0.5);
    }
}
