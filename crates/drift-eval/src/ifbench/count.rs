//! How much of something: words, numbers, names, marks.

use super::Kind;
use super::Need::{Count, Number, Text};
use super::text::{numbers, runs, trimmed, unpunctuated};
use std::collections::BTreeSet;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "count:word_count_range",
        needs: &[Number("min_words"), Number("max_words")],
        met: |a, text| (a.number("min_words")..=a.number("max_words")).contains(&runs(text).count()),
    },
    Kind {
        name: "count:unique_word_count",
        needs: &[Number("N")],
        met: |a, text| distinct(text.to_lowercase().split_whitespace().map(trimmed)) >= a.number("N"),
    },
    Kind {
        name: "count:conjunctions",
        needs: &[Number("small_n")],
        // `and` and `And,` are two, to the official check.
        met: |a, text| distinct(text.split_whitespace().filter(|word| is_conjunction(word))) >= a.number("small_n"),
    },
    Kind {
        name: "count:person_names",
        needs: &[Number("N")],
        met: |a, text| NAMES.split(' ').filter(|name| text.contains(name)).count() >= a.number("N"),
    },
    Kind {
        name: "count:numbers",
        needs: &[Number("N")],
        met: |a, text| numbers(&unpunctuated(text)).count() == a.number("N"),
    },
    Kind { name: "count:punctuation", needs: &[], met: |_, text| has_every_mark(text) },
    Kind { name: "count:words_japanese", needs: &[Count("N")], met: |a, text| japanese_each(a.number("N"), text) },
    Kind {
        name: "count:pronouns",
        needs: &[Number("N")],
        met: |a, text| {
            let text = unpunctuated(&text.replace('/', " ").to_lowercase());
            text.split_whitespace().filter(|word| PRONOUNS.split(' ').any(|pronoun| pronoun == *word)).count()
                >= a.number("N")
        },
    },
    Kind {
        name: "count:keywords_multiple",
        needs: &[Text("keyword1"), Text("keyword2"), Text("keyword3"), Text("keyword4"), Text("keyword5")],
        met: |a, text| {
            let text = text.to_lowercase();
            let times = [("keyword1", 1), ("keyword2", 2), ("keyword3", 3), ("keyword4", 5), ("keyword5", 7)];
            times.iter().all(|(name, n)| text.matches(&a.text(name).trim().to_lowercase()).count() == *n)
        },
    },
];

/// The names that the instruction lists.
const NAMES: &str = "\
    Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin \
    Harper Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan Victoria \
    Elijah Layla Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph Claire Ryan Stella \
    Jonathan";

const PRONOUNS: &str = "\
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers \
    herself it its itself they them their theirs themselves";

fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> usize {
    words.collect::<BTreeSet<_>>().len()
}

fn is_conjunction(word: &str) -> bool {
    let word = trimmed(word).to_lowercase();
    ["and", "but", "for", "nor", "or", "so", "yet"].contains(&word.as_str())
}

/// An interrobang, and beside one written in two marks every mark by itself.
fn has_every_mark(text: &str) -> bool {
    let Some(interrobang) = ["?!", "!?", "‽"].into_iter().find(|mark| text.contains(mark)) else { return false };
    let rest = text.replacen(interrobang, "", 1);
    ['.', ',', '!', '?', ';', ':'].iter().all(|mark| rest.contains(*mark))
}

/// Whether every nth word, unless it is a number, has a Japanese character.
fn japanese_each(n: usize, text: &str) -> bool {
    let is_japanese = |c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}');
    let words = text.split_whitespace().map(trimmed).enumerate();
    let each = words.filter(|(i, word)| (i + 1).is_multiple_of(n) && !word.chars().all(char::is_numeric));
    each.into_iter().all(|(_, word)| word.contains(is_japanese))
}
