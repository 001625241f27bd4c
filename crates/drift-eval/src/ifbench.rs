//! IFBench (Pyatkin et al. 2025, "Generalizing Verifiable Instruction Following", arXiv 2507.02833): prompts with
//! instructions that a program can check, of kinds that sets for training do not have. For evaluation alone: nothing may
//! be trained on its prompts.
//!
//! A [`Kind`] is a row of a table, one table a family; an [`Instruction`] is a kind with its [`Arguments`]. The checks are
//! those of the official evaluation, its oddities included, so that figures compare with published ones: hence words and
//! sentences are counted by [`text`], [`sentences`] and [`tokens`], not as in [`crate::requirements::text`]. Where the official
//! check ends in an exception, the instruction is missed. What is left that differs is in docs/evaluation.md.

mod accuracy;
mod count;
mod custom;
mod delimited;
mod emoji;
mod format;
mod prompts;
mod ratio;
mod repeat;
mod sentence;
mod sentences;
mod syllables;
mod text;
mod tokens;
mod verbs;
mod words;

pub use accuracy::{Accuracy, Change, Comparison, Rates, accuracy, compare};
pub use prompts::read_prompts;

use std::collections::BTreeMap;

/// A kind of instruction.
pub struct Kind {
    /// The benchmark's, `family:kind`.
    pub name: &'static str,
    needs: &'static [Need],
    met: fn(&Arguments, &str) -> bool,
}

/// An argument that a kind cannot do without, by its name in the benchmark's `kwargs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// A whole number of at least 1.
    Count(&'static str),
    /// A whole number of at least 0.
    Number(&'static str),
    /// Text that is not blank.
    Text(&'static str),
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Need::Count(name) | Need::Number(name) | Need::Text(name) => name,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Need::Count(_) => "a whole number of at least 1",
            Need::Number(_) => "a whole number of at least 0",
            Need::Text(_) => "text",
        }
    }
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
    [count::KINDS, ratio::KINDS, words::KINDS, sentence::KINDS, format::KINDS, custom::KINDS, repeat::KINDS]
        .into_iter()
        .flatten()
}

impl Kind {
    pub fn named(name: &str) -> Option<&'static Kind> {
        kinds().find(|kind| kind.name == name)
    }

    /// The part of the name before the colon.
    pub fn family(&self) -> &'static str {
        self.name.split(':').next().unwrap_or(self.name)
    }
}

/// What an instruction leaves open, by name; what its kind needs is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    numbers: BTreeMap<&'static str, usize>,
    texts: BTreeMap<&'static str, String>,
}

impl Arguments {
    /// 0 without one of the name.
    fn number(&self, name: &str) -> usize {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    /// Empty without one of the name.
    fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    pub kind: &'static Kind,
    pub arguments: Arguments,
}

/// What a model is asked, and what an answer has to follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// Its number in the benchmark, as text.
    pub key: String,
    pub text: String,
    /// At least one.
    pub instructions: Vec<Instruction>,
}

/// Whether an answer follows an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub kind: &'static Kind,
    /// The answer as it is.
    pub strict: bool,
    /// The answer, or what is left of it without its first line, last line, both, or asterisks.
    pub loose: bool,
}

/// The verdict on each instruction of the prompt, in order. A blank answer follows nothing.
pub fn verdicts(prompt: &Prompt, answer: &str) -> Vec<Verdict> {
    let forms = forms(answer);
    let verdict = |instruction: &Instruction| {
        let met = |form: &str| !form.trim().is_empty() && (instruction.kind.met)(&instruction.arguments, form);
        Verdict { kind: instruction.kind, strict: met(answer), loose: forms.iter().any(|form| met(form)) }
    };
    prompt.instructions.iter().map(verdict).collect()
}

/// The answer, without its first line, last line, both; then each without asterisks.
fn forms(answer: &str) -> Vec<String> {
    let lines: Vec<&str> = answer.split('\n').collect();
    let some = |lines: &[&str]| lines.join("\n").trim().to_string();
    let (first, last) = (1, lines.len() - 1);
    let mut forms =
        vec![answer.to_string(), some(&lines[first..]), some(&lines[..last]), some(&lines[first..last.max(first)])];
    forms.extend(forms.clone().iter().map(|form| form.replace('*', "")));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_the_benchmarks() {
        let names: BTreeSet<&str> = kinds().map(|kind| kind.name).collect();
        assert_eq!((names.len(), kinds().count()), (58, 58));
        let families: BTreeSet<&str> = kinds().map(Kind::family).collect();
        assert_eq!(families, ["count", "custom", "format", "ratio", "repeat", "sentence", "words"].into());
        assert_eq!(Kind::named("format:sub-bullets").unwrap().family(), "format");
        assert_eq!(Kind::named("count:telepathy"), None);
    }

    #[test]
    fn forms_of_one_two_and_three_lines() {
        assert_eq!(forms("*a*"), ["*a*", "", "", "", "a", "", "", ""]);
        assert_eq!(forms("a\nb"), ["a\nb", "b", "a", "", "a\nb", "b", "a", ""]);
        assert_eq!(forms("a\n\n*b*\nc")[3..5], ["*b*", "a\n\nb\nc"]);
        assert_eq!(forms(""), [""; 8]);
    }
}
