//! Requirements on an answer that a program can check: what a user asks for beside the task itself, how it is said, how
//! a miss is complained of, and whether an answer meets it.
//!
//! A [`Kind`] is a row of a table, one table a family; a [`Requirement`] is a kind with its [`Parameters`]. Checks are
//! strict, count by the definitions of [`text`], compare words in any case, and fail an answer without a letter or
//! digit, so that saying nothing meets nothing.

mod ends;
mod language;
mod layout;
mod length;
mod letters;
mod phrase;
mod structure;
pub mod text;
mod words;

pub(crate) use phrase::{fill, without_capital};

use crate::mersenne::Mersenne;
use serde::{Deserialize, Serialize};

/// What a kind lays hold of. Two kinds that share a claim are not asked for together: they could contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// The answer as a whole: goes with no other kind.
    Whole,
    Start,
    End,
    Length,
    /// Lists, sections, paragraphs.
    Layout,
    /// Needs line breaks, or forbids them.
    Lines,
    Case,
    Digits,
    /// Punctuation.
    Marks,
    /// Hyphens and dashes.
    Dashes,
    Words,
    Letters,
}

/// A kind of requirement.
pub struct Kind {
    /// Its name in files and figures; never in what a user says.
    pub name: &'static str,
    claims: &'static [Claim],
    /// Draws parameters, given the task that the requirement goes with.
    draw: fn(&mut Mersenne, &str) -> Parameters,
    /// Sentences that ask for it, with the slots of [`Parameters`].
    asks: &'static [&'static str],
    /// Sentences of a user who misses it.
    faults: &'static [&'static str],
    met: fn(&Parameters, &str) -> bool,
}

impl PartialEq for Kind {
    fn eq(&self, other: &Kind) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All kinds, family by family.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    [layout::KINDS, structure::KINDS, length::KINDS, letters::KINDS, words::KINDS, ends::KINDS, language::KINDS]
        .into_iter()
        .flatten()
}

impl Kind {
    pub fn named(name: &str) -> Option<&'static Kind> {
        kinds().find(|kind| kind.name == name)
    }

    /// Whether both can be asked of one answer.
    pub fn goes_with(&self, other: &Kind) -> bool {
        let whole = self.claims.contains(&Claim::Whole) || other.claims.contains(&Claim::Whole);
        self != other && !whole && self.claims.iter().all(|claim| !other.claims.contains(claim))
    }

    /// A requirement of this kind for a task.
    pub fn draw(&'static self, random: &mut Mersenne, task: &str) -> Requirement {
        Requirement { kind: self, parameters: (self.draw)(random, task) }
    }
}

/// What a kind leaves open. In sentences: `{n}`, `{m}` digits, `{number}` n in letters, `{word}` the first word,
/// `{words}` all, quoted and joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    #[serde(skip_serializing_if = "is_zero")]
    pub n: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub m: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Parameters {
    fn none() -> Parameters {
        Parameters::default()
    }

    fn n(n: usize) -> Parameters {
        Parameters { n, ..Parameters::default() }
    }

    /// `n` of these words, no word twice.
    fn words(random: &mut Mersenne, list: &[&str], n: usize) -> Parameters {
        let mut words: Vec<String> = list.iter().map(|word| word.to_string()).collect();
        random.shuffle(&mut words);
        words.truncate(n);
        Parameters { words, ..Parameters::default() }
    }

    fn and_n(self, n: usize) -> Parameters {
        Parameters { n, ..self }
    }

    /// The first word; empty where a file gave none.
    fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// A kind with its parameters. In JSON `{"kind": "bullets", "parameters": {"n": 3}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Requirement {
    pub kind: &'static Kind,
    pub parameters: Parameters,
}

#[derive(Serialize, Deserialize)]
struct Written {
    kind: String,
    #[serde(default)]
    parameters: Parameters,
}

impl From<Requirement> for Written {
    fn from(requirement: Requirement) -> Written {
        Written { kind: requirement.kind.name.to_string(), parameters: requirement.parameters }
    }
}

impl TryFrom<Written> for Requirement {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Requirement, &'static str> {
        let kind = Kind::named(&written.kind).ok_or("an unknown kind of requirement")?;
        Ok(Requirement { kind, parameters: written.parameters })
    }
}

impl Requirement {
    pub fn met(&self, answer: &str) -> bool {
        answer.contains(char::is_alphanumeric) && (self.kind.met)(&self.parameters, answer)
    }

    /// A sentence that asks for it.
    pub fn ask(&self, random: &mut Mersenne) -> String {
        phrase::with(random.pick(self.kind.asks), &self.parameters)
    }

    /// A sentence that misses it.
    pub fn fault(&self, random: &mut Mersenne) -> String {
        phrase::with(random.pick(self.kind.faults), &self.parameters)
    }

    /// The same asked of another task: parameters stay, unless they quote the task.
    pub fn of_task(&self, task: &str) -> Requirement {
        if *self.kind == ends::REQUEST_FIRST {
            let parameters = Parameters { words: vec![task.to_string()], ..Parameters::default() };
            return Requirement { kind: self.kind, parameters };
        }
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_several_ways_to_say_it() {
        let names: BTreeSet<&str> = kinds().map(|kind| kind.name).collect();
        assert_eq!(names.len(), kinds().count());
        assert!(names.len() >= 40, "{}", names.len());
        for kind in kinds() {
            for sentences in [kind.asks, kind.faults] {
                assert!(sentences.len() >= 3, "{}", kind.name);
                assert_eq!(sentences.iter().collect::<BTreeSet<_>>().len(), sentences.len(), "{}", kind.name);
                for sentence in sentences {
                    assert!(sentence.starts_with(|c: char| c.is_uppercase() || c == '{' || c == '"'), "{sentence}");
                    assert!(sentence.ends_with(['.', '?', '!', '}']), "{sentence}");
                    assert!(!kind.name.contains('-') || !sentence.contains(kind.name), "{sentence}");
                }
            }
        }
    }

    #[test]
    fn no_slot_stays_open() {
        let mut random = Mersenne::from_text("slots");
        for kind in kinds() {
            for _ in 0..20 {
                let requirement = kind.draw(&mut random, "Write a poem about rain.");
                for sentence in [requirement.ask(&mut random), requirement.fault(&mut random)] {
                    assert!(!sentence.contains(['{', '}']) && !sentence.contains("\"\""), "{sentence}");
                    assert!(!sentence.contains(" 1 times") && !sentence.contains(" one times"), "{sentence}");
                }
            }
        }
    }

    #[test]
    fn kinds_go_together_both_ways() {
        for a in kinds() {
            assert!(!a.goes_with(a));
            assert!(kinds().all(|b| a.goes_with(b) == b.goes_with(a)));
        }
        let named = |name| Kind::named(name).unwrap();
        assert!(named("bullets").goes_with(named("lowercase")));
        assert!(!named("lowercase").goes_with(named("uppercase")));
        assert!(!named("json-keys").goes_with(named("bullets")));
    }

    #[test]
    fn requirements_are_written_and_read() {
        let mut random = Mersenne::from_text("json");
        for kind in kinds() {
            let requirement = kind.draw(&mut random, "Write a poem about rain.");
            let json = serde_json::to_string(&requirement).unwrap();
            assert_eq!(serde_json::from_str::<Requirement>(&json).unwrap(), requirement, "{json}");
        }
        assert!(serde_json::from_str::<Requirement>("{\"kind\": \"telepathy\"}").is_err());
    }
}
