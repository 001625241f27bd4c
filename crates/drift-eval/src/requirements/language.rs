//! The language of an answer, told by its script, or by the most common words of four languages in Latin script.
//!
//! A script does not tell Russian from Bulgarian; who asks for Russian and gets Bulgarian is taken as served.

use super::text::folded_words;
use super::{Claim, Kind, Parameters};

const CLAIMS: &[Claim] = &[Claim::Words, Claim::Letters, Claim::Start, Claim::End];
/// Of the letters of an answer, those in the script asked for: names may stay in their own.
const OWN_SCRIPT: f64 = 0.8;

const ASKS: &[&str] =
    &["Answer in {word}.", "Please write it in {word}.", "The text has to be in {word}, not in English."];
const FAULTS: &[&str] =
    &["That is not {word}.", "I need it in {word}.", "Can you write that in {word}? I asked for it."];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "script-language",
        // Other scripts have no capitals, other punctuation and, some, no spaces between words.
        claims: &[Claim::Words, Claim::Letters, Claim::Start, Claim::End, Claim::Case, Claim::Length, Claim::Marks],
        draw: |random, _| {
            Parameters::words(random, &["Russian", "Greek", "Chinese", "Japanese", "Arabic", "Hindi", "Korean"], 1)
        },
        asks: ASKS,
        faults: FAULTS,
        met: |p, answer| {
            let letters = answer.chars().filter(|c| c.is_alphabetic());
            let (own, all) = letters.fold((0, 0), |(own, all), c| (own + usize::from(in_script(c, p.word())), all + 1));
            // Chinese characters alone are not Japanese.
            let kana = answer.chars().any(|c| matches!(c, '\u{3041}'..='\u{30ff}'));
            all > 0 && own as f64 >= OWN_SCRIPT * all as f64 && (kana == (p.word() == "Japanese"))
        },
    },
    Kind {
        name: "latin-language",
        claims: CLAIMS,
        draw: |random, _| Parameters::words(random, &["Spanish", "French", "German"], 1),
        asks: ASKS,
        faults: FAULTS,
        met: |p, answer| main_language(answer) == Some(p.word()),
    },
    Kind {
        name: "english-only",
        claims: CLAIMS,
        draw: |_, _| Parameters::none(),
        asks: &[
            "Use plain English letters only, no accents or foreign characters.",
            "Only the letters a to z, please, without any accents, curly quotes or special characters.",
            "Our system only takes basic ASCII text, so no accents, fancy quotes or emojis.",
        ],
        faults: &[
            "There are special characters in it that our system rejects.",
            "I can only use plain a to z, no accents or fancy quotes.",
            "It still has characters that are not plain ASCII.",
        ],
        met: |_, answer| answer.is_ascii(),
    },
];

fn in_script(c: char, language: &str) -> bool {
    match language {
        "Russian" => matches!(c, '\u{400}'..='\u{52f}'),
        "Greek" => matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}'),
        "Chinese" => is_han(c),
        "Japanese" => is_han(c) || matches!(c, '\u{3041}'..='\u{30ff}'),
        "Arabic" => matches!(c, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}'),
        "Hindi" => matches!(c, '\u{900}'..='\u{97f}'),
        "Korean" => matches!(c, '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}'),
        _ => false,
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{2fa1f}')
}

const COMMON: [(&str, &[&str]); 4] = [
    ("English", &["the", "and", "of", "to", "is", "with", "that", "for", "you", "it", "are", "was", "this", "have"]),
    ("Spanish", &["el", "los", "las", "y", "que", "del", "con", "para", "una", "por", "es", "su", "al", "muy"]),
    ("French", &["le", "les", "et", "des", "est", "une", "dans", "pour", "du", "vous", "qui", "au", "avec", "sur"]),
    ("German", &["der", "die", "und", "das", "ist", "nicht", "ein", "eine", "mit", "zu", "auf", "den", "sie", "von"]),
];

/// The language whose common words are the most, and at least one word in twenty.
fn main_language(answer: &str) -> Option<&'static str> {
    let words = folded_words(answer);
    let counts = COMMON
        .map(|(language, common)| (words.iter().filter(|word| common.contains(&word.as_str())).count(), language));
    let (most, language) = counts.into_iter().max()?;
    let alone = counts.iter().filter(|(count, _)| *count == most).count() == 1;
    (alone && 20 * most >= words.len()).then_some(language)
}
