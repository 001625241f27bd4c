//! How the words of an answer are chosen and follow each other.

use super::Kind;
use super::Need::{Count, Number, Text};
use super::sentences::sentences;
use super::syllables::syllables;
use super::text::{is_mark, trimmed, unpunctuated};
use super::tokens::tokens;
use super::verbs::starts_with_verb;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "words:alphabet", needs: &[], met: |_, text| follows_alphabet(text) },
    Kind {
        name: "words:vowel",
        needs: &[],
        met: |_, text| {
            let text = text.trim().to_lowercase();
            let vowels: BTreeSet<char> = text.chars().filter(|c| "aeiou".contains(*c)).collect();
            !text.contains('\n') && vowels.len() <= 3
        },
    },
    Kind {
        name: "words:consonants",
        needs: &[],
        met: |_, text| {
            let consonant = |c: u8| c.is_ascii_lowercase() && !b"aeiou".contains(&c);
            let cluster = |word: &str| word.as_bytes().windows(2).any(|pair| consonant(pair[0]) && consonant(pair[1]));
            text.to_lowercase().split_whitespace().all(cluster)
        },
    },
    Kind {
        name: "words:palindrome",
        needs: &[],
        met: |_, text| {
            let text = unpunctuated(text).to_lowercase();
            let palindrome = |word: &&str| word.chars().count() >= 5 && word.chars().eq(word.chars().rev());
            text.split_whitespace().filter(palindrome).count() >= 10
        },
    },
    Kind {
        name: "words:prime_lengths",
        needs: &[],
        met: |_, text| unpunctuated(text).split_whitespace().all(|word| is_small_prime(word.chars().count())),
    },
    Kind { name: "words:start_verb", needs: &[], met: |_, text| starts_with_verb(text) },
    Kind {
        name: "words:repeats",
        needs: &[Number("small_n")],
        met: |a, text| {
            let text = unpunctuated(text).to_lowercase();
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            text.split_whitespace().for_each(|word| *counts.entry(word).or_default() += 1);
            counts.values().all(|count| *count <= a.number("small_n"))
        },
    },
    Kind {
        name: "words:odd_even_syllables",
        needs: &[],
        met: |_, text| {
            let text = unpunctuated(text).to_lowercase();
            let odd: Vec<bool> = text.split_whitespace().map(|word| syllables(word) % 2 == 1).collect();
            odd.windows(2).all(|pair| pair[0] != pair[1])
        },
    },
    Kind {
        name: "words:last_first",
        needs: &[],
        met: |_, text| {
            let last = |text: &str| text.trim_end_matches(is_mark).split_whitespace().last().map(str::to_lowercase);
            let first = |text: &str| text.trim_start_matches(is_mark).split_whitespace().next().map(str::to_lowercase);
            let linked = |a: &str, b: &str| last(a).is_some() && last(a) == first(b);
            sentences(text).windows(2).all(|pair| linked(&pair[0], &pair[1]))
        },
    },
    Kind {
        name: "words:paragraph_last_first",
        needs: &[],
        met: |_, text| {
            let text = text.to_lowercase();
            let frames = |line: &str| {
                let mut words = trimmed(line).split_whitespace();
                words.next().is_some_and(|first| words.last().unwrap_or(first) == first)
            };
            text.split('\n').map(str::trim).filter(|line| !line.is_empty()).all(frames)
        },
    },
    Kind {
        name: "words:no_consecutive",
        needs: &[],
        met: |_, text| {
            let text = unpunctuated(text).to_lowercase();
            let firsts: Vec<Option<char>> = text.split_whitespace().map(|word| word.chars().next()).collect();
            firsts.windows(2).all(|pair| pair[0] != pair[1])
        },
    },
    Kind {
        name: "words:keywords_specific_position",
        needs: &[Text("keyword"), Count("n"), Count("m")],
        met: |a, text| {
            let sentence = sentences(text).into_iter().nth(a.number("n").saturating_sub(1));
            let token = sentence.and_then(|s| tokens(&s).into_iter().nth(a.number("m").saturating_sub(1)));
            token.is_some_and(|token| token == a.text("keyword").trim())
        },
    },
    Kind {
        name: "words:words_position",
        needs: &[Text("keyword")],
        met: |a, text| {
            let (tokens, keyword) = (tokens(text), a.text("keyword").trim());
            tokens.len() >= 2 && tokens[1] == keyword && tokens[tokens.len() - 2] == keyword
        },
    },
];

/// Whether each word begins with the next letter, `a` after `z`, from whatever letter the first one has.
fn follows_alphabet(text: &str) -> bool {
    let text = unpunctuated(text).to_lowercase();
    let mut firsts = text.split_whitespace().filter_map(|word| word.chars().next());
    let Some(first) = firsts.next().filter(char::is_ascii_lowercase) else { return false };
    let letters = (b'a'..=b'z').cycle().map(char::from).skip_while(|letter| *letter != first).skip(1);
    firsts.zip(letters).all(|(first, letter)| first == letter)
}

/// The official list of primes ends below 100.
fn is_small_prime(n: usize) -> bool {
    (2..100).contains(&n) && (2..n).all(|d| !n.is_multiple_of(d))
}
