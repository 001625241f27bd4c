//! How an answer starts and ends.

use super::text::{folded, folded_words};
use super::{Claim, Kind, Parameters};

/// The request comes first: its parameter is the task itself.
pub(super) const REQUEST_FIRST: Kind = Kind {
    name: "request-first",
    claims: &[Claim::Start, Claim::Words, Claim::Letters, Claim::Digits, Claim::Marks, Claim::Length, Claim::Layout],
    draw: |_, task| Parameters { words: vec![task.to_string()], ..Parameters::default() },
    asks: &[
        "Before you answer, repeat my request word for word (without this sentence).",
        "First write down the task exactly as I put it, then your answer. This sentence is not part of the task.",
        "Begin by copying the request, unchanged and without this remark, then answer.",
    ],
    faults: &[
        "You did not repeat my request first.",
        "It should begin with the task, word for word.",
        "Copy my request at the top, then answer.",
    ],
    met: |p, answer| {
        let (answer, task) = (folded_words(answer), folded_words(p.word()));
        answer.len() > task.len() && answer.starts_with(&task)
    },
};

pub(super) const KINDS: &[Kind] = &[
    REQUEST_FIRST,
    Kind {
        name: "first-word",
        claims: &[Claim::Start],
        draw: |random, _| {
            Parameters::words(
                random,
                &["Today", "Imagine", "Yes", "Listen", "Once", "Here", "Sometimes", "People", "In", "Welcome"],
                1,
            )
        },
        asks: &[
            "The first word must be \"{word}\".",
            "Start with the word \"{word}\".",
            "Please begin your reply with \"{word}\".",
        ],
        faults: &[
            "It doesn't start with \"{word}\".",
            "The first word should have been \"{word}\".",
            "I asked you to begin with \"{word}\".",
        ],
        met: |p, answer| folded_words(answer).first() == folded_words(p.word()).first(),
    },
    Kind {
        name: "last-word",
        claims: &[Claim::End],
        draw: |random, _| {
            Parameters::words(
                random,
                &["tomorrow", "home", "again", "together", "world", "done", "peace", "forever"],
                1,
            )
        },
        asks: &[
            "The very last word must be \"{word}\".",
            "Let it finish on the word \"{word}\".",
            "Make \"{word}\" the final word.",
        ],
        faults: &[
            "The last word isn't \"{word}\".",
            "It was supposed to finish on \"{word}\".",
            "Nothing may come after \"{word}\", and it has to be there.",
        ],
        met: |p, answer| folded_words(answer).last() == folded_words(p.word()).last(),
    },
    Kind {
        name: "end-phrase",
        claims: &[Claim::End, Claim::Marks, Claim::Words],
        draw: |random, _| {
            let phrases = [
                "Let me know what you think.",
                "Thank you for reading.",
                "Have a nice day!",
                "That is all for now.",
                "Take care of yourself.",
                "Is there anything else?",
                "The rest is up to you.",
            ];
            Parameters::words(random, &phrases, 1)
        },
        asks: &[
            "End with exactly this sentence: {word}",
            "The last sentence has to be {words} and nothing after it.",
            "Finish with the phrase {words}, word for word.",
        ],
        faults: &[
            "The ending should be {words}.",
            "It doesn't finish with {words} as I asked.",
            "You forgot to close with {words}.",
        ],
        met: |p, answer| {
            folded(answer.trim_end()).ends_with(&folded(p.word()))
                && folded_words(answer).len() > folded_words(p.word()).len()
        },
    },
    Kind {
        name: "end-question",
        claims: &[Claim::End, Claim::Marks],
        draw: |_, _| Parameters::none(),
        asks: &["End with a question.", "The last sentence should be a question.", "Close by asking me something."],
        faults: &[
            "It doesn't end with a question.",
            "You were supposed to ask something at the end.",
            "The last sentence should have been a question.",
        ],
        met: |_, answer| answer.trim_end().ends_with(['?', '？']),
    },
    Kind {
        name: "end-exclamation",
        claims: &[Claim::End, Claim::Marks],
        draw: |_, _| Parameters::none(),
        asks: &[
            "End with an exclamation mark.",
            "The last character should be \"!\".",
            "Finish on an exclamation, with the mark at the very end.",
        ],
        faults: &[
            "There is no exclamation mark at the end.",
            "It should end in \"!\".",
            "The end is too tame, I asked for an exclamation.",
        ],
        met: |_, answer| answer.trim_end().ends_with(['!', '！']),
    },
    Kind {
        name: "title",
        claims: &[Claim::Start, Claim::Lines],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Put a title on the first line in double angle brackets, like <<A Title>>.",
            "Give it a title wrapped in << and >>, alone on the first line.",
            "The first line should be a title, written as <<Your Title>>.",
        ],
        faults: &[
            "The title in << >> is missing.",
            "It should start with a title like <<this>>, on its own line.",
            "Where is the title I asked for?",
        ],
        met: |_, answer| {
            let (first, rest) = answer.trim().split_once('\n').unwrap_or((answer.trim(), ""));
            let title = first.trim().strip_prefix("<<").and_then(|title| title.strip_suffix(">>"));
            title.is_some_and(|title| title.contains(char::is_alphanumeric)) && rest.contains(char::is_alphanumeric)
        },
    },
    Kind {
        name: "postscript",
        claims: &[Claim::End, Claim::Lines],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Add a postscript that begins with P.S. at the end.",
            "After the main text, put a line starting with \"P.S.\" with an afterthought.",
            "Finish with a P.S. on a line of its own, please.",
        ],
        faults: &["There is no P.S. at the end.", "I wanted a P.S. line after the text.", "You forgot the postscript."],
        met: |_, answer| {
            let last = answer.trim().lines().last().unwrap_or("").trim_start_matches(['*', '_', ' ']);
            let text = folded(last);
            let after = text.strip_prefix("p.s.").or(text.strip_prefix("ps:"));
            after.is_some_and(|after| after.contains(char::is_alphanumeric)) && answer.trim().lines().count() > 1
        },
    },
    Kind {
        name: "signed",
        claims: &[Claim::End, Claim::Lines],
        draw: |random, _| Parameters::words(random, &["Maria", "Sam", "Priya", "Tom", "Chen", "Ada", "Leo"], 1),
        asks: &[
            "Sign it as {word}, with only that name on the last line.",
            "The last line should just be my name, {word}.",
            "Put {word} as a signature on a line of its own at the end.",
        ],
        faults: &[
            "It isn't signed with {word} on the last line.",
            "My name, {word}, should stand alone at the end.",
            "The signature is missing.",
        ],
        met: |p, answer| {
            let mut lines = answer.trim().lines();
            let last = folded_words(lines.next_back().unwrap_or(""));
            last == folded_words(p.word()) && lines.next().is_some()
        },
    },
    Kind {
        name: "short-form-line",
        claims: &[Claim::End, Claim::Lines],
        draw: |random, _| Parameters::words(random, &["In short:", "TL;DR:", "Bottom line:", "Remember:"], 1),
        asks: &[
            "Close with one line that starts with \"{word}\" and sums it up.",
            "The last line must begin with \"{word}\" followed by a summary.",
            "At the end, add a summary on a new line, beginning with \"{word}\".",
        ],
        faults: &[
            "The summary line with \"{word}\" is missing.",
            "It should close with a line that starts with \"{word}\".",
            "I don't see \"{word}\" at the start of the last line.",
        ],
        met: |p, answer| {
            let mut lines = answer.trim().lines();
            let last = folded(lines.next_back().unwrap_or("").trim_start_matches(['*', '_', ' ']));
            let summary = last.strip_prefix(&folded(p.word()));
            summary.is_some_and(|summary| summary.contains(char::is_alphanumeric)) && lines.next().is_some()
        },
    },
];
