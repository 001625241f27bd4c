//! Named sets of kinds of requirement.

/// Every kind.
pub const ALL: &str = "all";

pub const SETS: [(&str, &[&str]); 1] = [("sometimes", &SOMETIMES)];

/// The kinds that a small model meets now and then: from what is always met or never, a method that learns from the
/// model's own answers learns nothing, all its samples being of one kind. Beside each, of how many answers of
/// SmolLM2-135M-Instruct (Q4_1, temperature 0.7, 128 tokens, prompts of train) how many met it; kinds with fewer than 8
/// answers, or outside of .1 to .9, are not here: docs/evaluation.md.
pub const SOMETIMES: [&str; 26] = [
    "end-question",        // 1 of 9
    "iso-dates",           // 2 of 17
    "emoji",               // 3 of 25
    "bullets",             // 2 of 15
    "include-words",       // 2 of 15
    "min-words",           // 4 of 26
    "highlights",          // 3 of 19
    "no-commas",           // 3 of 18
    "first-word",          // 4 of 20
    "no-first-person",     // 4 of 17
    "postscript",          // 2 of 8
    "words-between",       // 2 of 8
    "alliteration",        // 8 of 21
    "letter-often",        // 6 of 15
    "no-contractions",     // 12 of 29
    "letter-banned",       // 8 of 17
    "long-word",           // 8 of 17
    "avoid-frequent-word", // 11 of 20
    "max-characters",      // 12 of 20
    "latin-language",      // 11 of 18
    "varied-openings",     // 6 of 9
    "max-sentences",       // 14 of 20
    "avoid-words",         // 19 of 25
    "no-dashes",           // 21 of 27
    "no-digits",           // 15 of 17
    "no-lists",            // 25 of 28
];
