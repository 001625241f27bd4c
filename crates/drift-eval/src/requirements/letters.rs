//! Case, letters, digits and punctuation.

use super::text::{sentences, words};
use super::{Claim, Kind, Parameters};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "lowercase",
        claims: &[Claim::Case],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Write everything in lower case letters.",
            "No capital letters at all, please.",
            "Type it all in small letters, even names.",
        ],
        faults: &[
            "I still see capital letters.",
            "It should all be in small letters.",
            "There are capitals in there, I wanted none.",
        ],
        met: |_, answer| answer.chars().any(char::is_lowercase) && !answer.chars().any(char::is_uppercase),
    },
    Kind {
        name: "uppercase",
        claims: &[Claim::Case],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Write everything in capital letters.",
            "ALL CAPS please, every single letter.",
            "I want the entire text in upper case.",
        ],
        faults: &[
            "It's not in capital letters.",
            "I wanted ALL of it in caps.",
            "There are small letters in it, please use only capitals.",
        ],
        met: |_, answer| answer.chars().any(char::is_uppercase) && !answer.chars().any(char::is_lowercase),
    },
    Kind {
        name: "capital-words",
        claims: &[Claim::Case],
        draw: |random, _| Parameters::n(random.between(2, 5)),
        asks: &[
            "Stress at least {number} words by writing them in ALL CAPS.",
            "Write {n} or more words fully in capitals, the rest normally.",
            "Use capital letters for at least {number} whole words, for emphasis.",
        ],
        faults: &[
            "I don't see {number} words in all caps.",
            "Please put at least {n} words in capitals.",
            "The emphasis in capitals is missing.",
        ],
        met: |p, answer| {
            let capital = |word: &&str| word.chars().filter(|c| c.is_uppercase()).count() > 1 && !has_lowercase(word);
            words(answer).filter(capital).count() >= p.n && has_lowercase(answer)
        },
    },
    Kind {
        name: "letter-often",
        claims: &[Claim::Letters],
        draw: |random, _| {
            let n = random.between(4, 12);
            Parameters::words(random, &["b", "f", "g", "k", "m", "p", "v", "w"], 1).and_n(n)
        },
        asks: &[
            "The letter {word} should appear at least {n} times.",
            "Use the letter {word} {n} times or more.",
            "Work in the letter {word} a lot, at least {n} times in total.",
        ],
        faults: &[
            "There aren't {n} letters {word} in it.",
            "I counted the {word}s and it's fewer than {n}.",
            "You need the letter {word} more often, {n} times at least.",
        ],
        met: |p, answer| letter_count(answer, p.word()) >= p.n,
    },
    Kind {
        name: "letter-banned",
        claims: &[Claim::Letters, Claim::Words, Claim::Start, Claim::End],
        draw: |random, _| Parameters::words(random, &["j", "k", "q", "v", "x", "z"], 1),
        asks: &[
            "Do not use the letter {word} anywhere.",
            "My {word} key is broken, so avoid every word with that letter.",
            "Write it without a single letter {word}.",
        ],
        faults: &[
            "I found the letter {word} in it.",
            "There must be no {word} in any word.",
            "You used a {word}, I asked you not to.",
        ],
        met: |p, answer| letter_count(answer, p.word()) == 0,
    },
    Kind {
        name: "no-commas",
        claims: &[Claim::Marks],
        draw: |_, _| Parameters::none(),
        asks: &["Do not use any commas.", "Avoid commas completely.", "Write it without a single comma, please."],
        faults: &["I said no commas.", "There are commas in there.", "Please take the commas out."],
        met: |_, answer| !answer.contains([',', '，', '、', '،']),
    },
    Kind {
        name: "no-dashes",
        claims: &[Claim::Dashes],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Don't use any dashes or hyphens inside your sentences.",
            "No dashes and no hyphens within a line, they look odd in our font.",
            "Please avoid hyphens and dashes in the text (a bullet mark is fine).",
        ],
        faults: &[
            "There are dashes or hyphens in the text.",
            "I can't have hyphens or dashes in there.",
            "Please get rid of the dashes.",
        ],
        met: |_, answer| {
            !answer.lines().any(|line| line.trim_start().trim_start_matches('-').contains(['-', '–', '—']))
        },
    },
    Kind {
        name: "no-exclamation",
        claims: &[Claim::Marks],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Leave out exclamation marks.",
            "No exclamation marks, keep it calm.",
            "Please write it without any exclamation points.",
        ],
        faults: &[
            "Too excited, I said no exclamation marks.",
            "Drop the exclamation marks.",
            "Why the \"!\" in there?",
        ],
        met: |_, answer| !answer.contains(['!', '！', '¡']),
    },
    Kind {
        name: "exclamations",
        claims: &[Claim::Marks],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Use at least {number} exclamation marks.",
            "Make it excited, with {n} exclamation marks or more.",
            "I want to see at least {number} exclamation points in it.",
        ],
        faults: &[
            "It needs at least {number} exclamation marks.",
            "Not excited enough, where are the {n} exclamation marks?",
            "Too flat, there should be {number} exclamation points or more.",
        ],
        met: |p, answer| answer.matches(['!', '！']).count() >= p.n,
    },
    Kind {
        name: "semicolons",
        claims: &[],
        draw: |random, _| Parameters::n(random.between(2, 3)),
        asks: &[
            "Use a semicolon at least {number} times.",
            "Put {n} or more semicolons in the text.",
            "I am teaching punctuation, so work in at least {number} semicolons.",
        ],
        faults: &[
            "I need {number} semicolons in it.",
            "There are not enough semicolons.",
            "You left out the semicolons, at least {n} of them please.",
        ],
        met: |p, answer| answer.matches([';', '；']).count() >= p.n,
    },
    Kind {
        name: "questions",
        claims: &[Claim::Marks],
        draw: |random, _| Parameters::n(random.between(2, 3)),
        asks: &[
            "Ask the reader at least {number} questions in it.",
            "Include {n} or more questions.",
            "Work at least {number} questions into the text.",
        ],
        faults: &[
            "It should ask {number} questions at least.",
            "Where are the questions? I wanted {n}.",
            "There aren't enough questions in it.",
        ],
        met: |p, answer| {
            let asks = |sentence: &&String| {
                sentence.trim_end_matches(['"', '\'', '”', '’', ')', '*', '_']).ends_with(['?', '？'])
            };
            sentences(answer).iter().filter(asks).count() >= p.n
        },
    },
    Kind {
        name: "no-digits",
        claims: &[Claim::Digits],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Don't use any digits, spell numbers out.",
            "Write all numbers as words, no digits.",
            "There must be no numerals like 1 or 25 in the text.",
        ],
        faults: &[
            "I see digits in there.",
            "The numbers should be written out as words.",
            "No numerals please, not even in a list.",
        ],
        met: |_, answer| !answer.contains(char::is_numeric),
    },
    Kind {
        name: "numbers-given",
        claims: &[Claim::Digits],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Include at least {number} numbers, written in digits.",
            "Give {n} or more concrete figures (in digits).",
            "I want at least {number} numbers in digits somewhere in it.",
        ],
        faults: &[
            "Where are the numbers? At least {number}, in digits.",
            "It lacks figures, I asked for {n}.",
            "I need {number} actual numbers in digits.",
        ],
        met: |p, answer| numbers(answer) >= p.n,
    },
    Kind {
        name: "emoji",
        claims: &[Claim::Letters],
        draw: |random, _| Parameters::n(random.between(2, 3)),
        asks: &[
            "Add at least {number} emojis.",
            "Use {n} or more emojis, it is for social media.",
            "Sprinkle in some emojis, no fewer than {number}.",
        ],
        faults: &[
            "The emojis are missing, at least {number}.",
            "I wanted {n} emojis or more.",
            "Looks dull without the emojis.",
        ],
        met: |p, answer| answer.chars().filter(|&c| is_emoji(c)).count() >= p.n,
    },
];

fn has_lowercase(text: &str) -> bool {
    text.chars().any(char::is_lowercase)
}

/// How often a letter comes, in either case.
fn letter_count(answer: &str, letter: &str) -> usize {
    if letter.is_empty() { 0 } else { answer.to_lowercase().matches(letter).count() }
}

/// Runs of digits; a point or comma between two digits belongs to the number.
fn numbers(answer: &str) -> usize {
    let mut count = 0;
    let mut previous = [' ', ' '];
    for c in answer.chars() {
        let continues =
            previous[1].is_ascii_digit() || (matches!(previous[1], '.' | ',') && previous[0].is_ascii_digit());
        if c.is_ascii_digit() && !continues {
            count += 1;
        }
        previous = [previous[1], c];
    }
    count
}

/// The blocks of pictographs: dingbats and symbols, and everything from Mahjong tiles to the extended pictographs. Skin
/// tones join the emoji before them.
fn is_emoji(c: char) -> bool {
    let tone = matches!(c, '\u{1f3fb}'..='\u{1f3ff}');
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{1f000}'..='\u{1faff}') && !tone
}
