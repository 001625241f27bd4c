//! Words that must come, must not come, or not too often.

use super::text::{folded_words, occurrences, sentences};
use super::{Claim, Kind, Parameters};
use std::collections::{BTreeMap, BTreeSet};

const PLAIN: &[&str] = &[
    "however", "because", "together", "simple", "morning", "friend", "energy", "careful", "finally", "money", "future",
    "quiet", "balance", "weather", "garden", "surprise", "journey", "honest", "patience", "bright", "season", "letter",
    "kitchen", "promise",
];
const FREQUENT: &[&str] = &["and", "also", "can", "it", "that", "with", "is", "for"];
const TIRED: &[&str] = &["very", "really", "great", "good", "important", "just", "amazing", "many", "help"];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "include-words",
        claims: &[Claim::Words],
        draw: |random, _| {
            let n = random.between(1, 2);
            Parameters::words(random, PLAIN, n)
        },
        asks: &[
            "Use {words} somewhere in it.",
            "It has to contain {words}.",
            "Please work in {words}.",
            "Make sure that {words} can be found in the text.",
        ],
        faults: &[
            "It should contain {words}.",
            "I can't find {words} in it.",
            "You left out {words}.",
            "Where is {words}?",
        ],
        met: |p, answer| p.words.iter().all(|word| occurrences(answer, word) > 0),
    },
    Kind {
        name: "word-repeated",
        claims: &[Claim::Words],
        draw: |random, _| {
            let n = random.between(2, 4);
            Parameters::words(random, PLAIN, 1).and_n(n)
        },
        asks: &[
            "Use the word \"{word}\" at least {number} times.",
            "The word \"{word}\" should come up {n} times or more.",
            "Repeat \"{word}\" so that it occurs at least {number} times.",
        ],
        faults: &[
            "\"{word}\" should come up at least {number} times.",
            "I need \"{word}\" {n} times or more.",
            "There is not enough \"{word}\" in it.",
        ],
        met: |p, answer| occurrences(answer, p.word()) >= p.n,
    },
    Kind {
        name: "avoid-words",
        claims: &[Claim::Words],
        draw: |random, _| {
            let n = random.between(1, 2);
            Parameters::words(random, TIRED, n)
        },
        asks: &["Do not use {words}.", "Avoid {words}, I can't stand that any more.", "Get by without {words}."],
        faults: &[
            "I told you not to use {words}.",
            "You wrote {words} although I said not to.",
            "Please take out {words}.",
        ],
        met: |p, answer| p.words.iter().all(|word| occurrences(answer, word) == 0),
    },
    Kind {
        name: "avoid-frequent-word",
        claims: &[Claim::Words],
        draw: |random, _| Parameters::words(random, FREQUENT, 1),
        asks: &[
            "Write it without ever using the word \"{word}\".",
            "As a challenge, leave out the word \"{word}\" completely.",
            "The word \"{word}\" is off limits.",
        ],
        faults: &[
            "The word \"{word}\" is in it.",
            "I can still see \"{word}\" in there.",
            "You used \"{word}\", which was off limits.",
        ],
        met: |p, answer| occurrences(answer, p.word()) == 0,
    },
    Kind {
        name: "word-limit-each",
        claims: &[Claim::Words, Claim::Length],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Don't repeat yourself: no word of five or more letters more than {number} times.",
            "Any longer word (five letters and up) may come at most {n} times.",
            "Vary the vocabulary, so that words with five letters or more each appear {number} times at most.",
        ],
        faults: &[
            "You repeat some words too often.",
            "There is a word that comes more than {number} times.",
            "Too repetitive, longer words may appear {n} times at most.",
        ],
        met: |p, answer| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for word in folded_words(answer).into_iter().filter(|word| word.chars().count() >= 5) {
                *counts.entry(word).or_default() += 1;
            }
            counts.values().all(|&count| count <= p.n)
        },
    },
    Kind {
        name: "alliteration",
        claims: &[Claim::Words],
        draw: |random, _| {
            let n = random.between(3, 8);
            Parameters::words(random, &["b", "c", "f", "m", "p", "s", "t", "w"], 1).and_n(n)
        },
        asks: &[
            "At least {number} words should begin with the letter {word}.",
            "Use {n} or more words that start with {word}.",
            "Play with the sound: no fewer than {number} words beginning with {word}.",
        ],
        faults: &[
            "I don't find {number} words that begin with {word}.",
            "More words with {word} at the front, at least {n}.",
            "There should be {number} words starting with {word}.",
        ],
        met: |p, answer| folded_words(answer).iter().filter(|word| word.starts_with(p.word())).count() >= p.n,
    },
    Kind {
        name: "palindrome",
        claims: &[Claim::Words],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Hide a word in it that reads the same backwards, like \"level\" or \"noon\".",
            "Include a palindrome of three letters or more (a word such as \"radar\").",
            "One of the words should be a palindrome with at least three letters.",
        ],
        faults: &[
            "I can't find a word that reads the same backwards.",
            "Where is the palindrome?",
            "You forgot to hide the word that is the same in both directions.",
        ],
        met: |_, answer| folded_words(answer).iter().any(|word| is_palindrome(word)),
    },
    Kind {
        name: "long-word",
        claims: &[],
        draw: |random, _| Parameters::n(random.between(11, 13)),
        asks: &[
            "Use at least one word of {n} letters or more.",
            "There should be a really long word in it ({n} letters at least).",
            "Work in a word that has {n} or more letters.",
        ],
        faults: &[
            "There is no word with {n} letters.",
            "The long word is missing, {n} letters or more.",
            "None of these words is long enough.",
        ],
        met: |p, answer| {
            let letters = |word: &str| word.chars().filter(|c| c.is_alphabetic()).count();
            folded_words(answer).iter().any(|word| !word.contains('-') && letters(word) >= p.n)
        },
    },
    Kind {
        name: "varied-openings",
        claims: &[Claim::Words, Claim::Start],
        draw: |_, _| Parameters::none(),
        asks: &[
            "No two sentences may begin with the same word.",
            "Start every sentence with a different word.",
            "Each sentence has to open with another word, no repeats. Write at least two.",
        ],
        faults: &[
            "Several sentences start with the same word.",
            "The sentence openings repeat.",
            "I wanted each sentence to open with a different word.",
        ],
        met: |_, answer| {
            let openings: Vec<_> =
                sentences(answer).iter().filter_map(|s| folded_words(s).into_iter().next()).collect();
            openings.len() > 1 && openings.iter().collect::<BTreeSet<_>>().len() == openings.len()
        },
    },
    Kind {
        name: "no-contractions",
        claims: &[Claim::Words],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Don't use contractions like \"it's\" or \"don't\".",
            "Write out contractions, so \"do not\" and never \"don't\".",
            "Formal style please: no contracted forms such as \"can't\" or \"you'll\".",
        ],
        faults: &[
            "There are contractions in it.",
            "You wrote things like \"it's\", please write it out.",
            "Not formal enough, contracted forms should be written out.",
        ],
        met: |_, answer| !folded_words(answer).iter().any(|word| is_contraction(word)),
    },
    Kind {
        name: "no-first-person",
        claims: &[Claim::Words],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Never say I, me, my, we, us or our.",
            "Avoid the first person (I, me, my, we, us, our).",
            "Write it without the words I, me, my, we, us and our.",
        ],
        faults: &[
            "It's still in the first person.",
            "I don't want to read I or we in it.",
            "Please remove words like I, my and our.",
        ],
        met: |_, answer| {
            let first = ["i", "me", "my", "mine", "we", "us", "our", "ours", "myself", "ourselves"];
            let pronoun = |word: &String| first.contains(&word.split('\'').next().unwrap_or(""));
            !folded_words(answer).iter().any(pronoun)
        },
    },
    Kind {
        name: "iso-dates",
        claims: &[Claim::Digits, Claim::Dashes],
        draw: |random, _| Parameters::n(random.between(2, 3)),
        asks: &[
            "Mention at least {number} dates, all written like 2024-05-31.",
            "Put {n} or more dates into it in the form YYYY-MM-DD.",
            "It needs {number} dates at least, in ISO format (year-month-day).",
        ],
        faults: &[
            "I need {number} dates in the form YYYY-MM-DD.",
            "The dates are missing or in the wrong format.",
            "There should be at least {n} dates like 2024-05-31.",
        ],
        met: |p, answer| folded_words(answer).iter().filter(|word| is_iso_date(word)).count() >= p.n,
    },
];

/// Of three letters or more, not all the same.
fn is_palindrome(word: &str) -> bool {
    let letters: Vec<char> = word.chars().collect();
    letters.len() >= 3
        && letters.iter().all(|c| c.is_alphabetic())
        && letters.iter().eq(letters.iter().rev())
        && letters.iter().any(|c| *c != letters[0])
}

/// `n't`, `'re`, `'ll`, `'ve`, `'d`, `'m`; of words in `'s`, which may be genitives, those that are mostly not.
fn is_contraction(word: &str) -> bool {
    const WITH_S: [&str; 11] =
        ["it's", "that's", "there's", "here's", "what's", "who's", "let's", "he's", "she's", "where's", "how's"];
    ["n't", "'re", "'ll", "'ve", "'d", "'m"].iter().any(|ending| word.ends_with(ending)) || WITH_S.contains(&word)
}

/// `YYYY-MM-DD` of the Gregorian calendar (ISO 8601, section 5.2.2).
fn is_iso_date(word: &str) -> bool {
    let bytes = word.as_bytes();
    let shape = bytes.len() == 10
        && (0..10).all(|i| if matches!(i, 4 | 7) { bytes[i] == b'-' } else { bytes[i].is_ascii_digit() });
    if !shape {
        return false;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
    let (year, month, day) = (number(&bytes[..4]), number(&bytes[5..7]), number(&bytes[8..]));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}
