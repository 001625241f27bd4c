//! Named sets of kinds of requirement.

/// Every kind.
pub const ALL: &str = "all";

pub const SETS: [(&str, &[&str]); 1] = [("sometimes", &SOMETIMES)];

/// The kinds that a small model meets now and then: from what is always met or never, a method that learns from the
/// model's own answers learns nothing, all its samples being of one kind. Beside each, of how many answers of
/// SmolLM2-135M-Instruct (Q4_1, temperature 0.7, 128 tokens, prompts of train) how many met it; here are the kinds from .1
/// to .9, docs/evaluation.md has all.
pub const SOMETIMES: [&str; 38] = [
    "paragraph-count",     // 2 of 20
    "end-question",        // 1 of 9
    "two-versions",        // 1 of 9
    "iso-dates",           // 2 of 17
    "emoji",               // 3 of 25
    "bullets",             // 2 of 15
    "include-words",       // 2 of 15
    "min-words",           // 4 of 26
    "highlights",          // 3 of 19
    "no-commas",           // 3 of 18
    "words-between",       // 6 of 34
    "first-word",          // 4 of 20
    "palindrome",          // 6 of 29
    "word-repeated",       // 4 of 18
    "no-first-person",     // 4 of 17
    "numbered-steps",      // 4 of 17
    "postscript",          // 7 of 26
    "placeholders",        // 5 of 18
    "varied-openings",     // 11 of 32
    "alliteration",        // 8 of 21
    "title",               // 8 of 21
    "short-sentences",     // 9 of 23
    "letter-often",        // 6 of 15
    "no-contractions",     // 12 of 29
    "letter-banned",       // 8 of 17
    "long-word",           // 8 of 17
    "one-block",           // 11 of 22
    "script-language",     // 10 of 20
    "numbers-given",       // 7 of 13
    "avoid-frequent-word", // 11 of 20
    "word-limit-each",     // 11 of 19
    "max-characters",      // 12 of 20
    "latin-language",      // 11 of 18
    "max-sentences",       // 14 of 20
    "avoid-words",         // 19 of 25
    "no-dashes",           // 21 of 27
    "no-digits",           // 15 of 17
    "no-lists",            // 25 of 28
];
