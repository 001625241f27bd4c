//! How long an answer, or a part of it, may or must be.

use super::text::{sentences, words};
use super::{Claim, Kind, Parameters};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "max-words",
        claims: &[Claim::Length],
        draw: |random, _| Parameters::n(10 * random.between(4, 12)),
        asks: &[
            "Use at most {n} words.",
            "Keep it under {n} words or exactly there, not longer.",
            "The limit is {n} words.",
            "Please don't go over {n} words.",
        ],
        faults: &[
            "That's too long, {n} words is the limit.",
            "I can only use {n} words.",
            "Please cut it down, it has more than {n} words.",
            "Too many words.",
        ],
        met: |p, answer| words(answer).count() <= p.n,
    },
    Kind {
        name: "min-words",
        claims: &[Claim::Length],
        draw: |random, _| Parameters::n(10 * random.between(6, 15)),
        asks: &["It should be at least {n} words long.", "Write no fewer than {n} words.", "I need {n} words or more."],
        faults: &[
            "That's too short, I need {n} words at least.",
            "It has fewer than {n} words.",
            "Could you make it longer? I said {n} words or more.",
        ],
        met: |p, answer| words(answer).count() >= p.n,
    },
    Kind {
        name: "words-between",
        claims: &[Claim::Length],
        draw: |random, _| {
            let n = 10 * random.between(4, 9);
            Parameters { n, m: n + 10 * random.between(2, 5), ..Parameters::default() }
        },
        asks: &[
            "The length should be between {n} and {m} words.",
            "Aim for {n} to {m} words, it must fit that range.",
            "Write at least {n} but no more than {m} words.",
        ],
        faults: &[
            "The length is off, it must be between {n} and {m} words.",
            "I needed {n} to {m} words, please count.",
            "That isn't within {n} to {m} words.",
        ],
        met: |p, answer| (p.n..=p.m).contains(&words(answer).count()),
    },
    Kind {
        name: "max-sentences",
        claims: &[Claim::Length, Claim::Layout],
        draw: |random, _| Parameters::n(random.between(2, 6)),
        asks: &[
            "Use no more than {number} sentences.",
            "Keep it to {n} sentences at most.",
            "I only have room for {number} sentences.",
        ],
        faults: &[
            "That is more than {number} sentences.",
            "{n} sentences at most, please.",
            "Shorter please, I said {number} sentences.",
        ],
        met: |p, answer| sentences(answer).len() <= p.n,
    },
    Kind {
        name: "sentence-count",
        claims: &[Claim::Length, Claim::Layout],
        draw: |random, _| Parameters::n(random.between(2, 6)),
        asks: &[
            "Write exactly {number} sentences.",
            "It has to be {n} sentences, not more and not less.",
            "Say it in exactly {number} sentences.",
        ],
        faults: &[
            "I asked for exactly {number} sentences.",
            "That's the wrong number of sentences, I need {n}.",
            "Count your sentences, please. It should be {number}.",
        ],
        met: |p, answer| sentences(answer).len() == p.n,
    },
    Kind {
        name: "max-characters",
        claims: &[Claim::Length],
        draw: |random, _| Parameters::n(50 * random.between(4, 12)),
        asks: &[
            "It must fit into {n} characters, spaces included.",
            "The field only takes {n} characters, so stay within that.",
            "Stay below {n} characters in total.",
        ],
        faults: &[
            "It doesn't fit, the limit is {n} characters.",
            "That's over {n} characters.",
            "The form cut it off, I can only paste {n} characters.",
        ],
        met: |p, answer| answer.trim().chars().count() <= p.n,
    },
    Kind {
        name: "short-sentences",
        claims: &[Claim::Length, Claim::Layout],
        draw: |random, _| Parameters::n(random.between(10, 18)),
        asks: &[
            "No sentence should have more than {n} words.",
            "Keep every sentence short, {n} words at most.",
            "Write for slow readers: at most {n} words in a sentence.",
        ],
        faults: &[
            "Some of your sentences have more than {n} words.",
            "The sentences are too long for me.",
            "I asked for sentences of {n} words at most.",
        ],
        met: |p, answer| sentences(answer).iter().all(|sentence| words(sentence).count() <= p.n),
    },
];
