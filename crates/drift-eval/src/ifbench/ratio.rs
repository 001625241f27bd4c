//! Shares of an answer's words and sentences.

use super::Kind;
use super::Need::{Number, Text};
use super::sentences::sentences;
use super::text::runs;
use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "ratio:stop_words",
        needs: &[Number("percentage")],
        met: |a, text| {
            let (all, stop) = (runs(text).count(), runs(text).filter(|word| is_stop_word(word)).count());
            all > 0 && stop as f64 / all as f64 * 100.0 <= a.number("percentage") as f64
        },
    },
    Kind { name: "ratio:sentence_type", needs: &[], met: |_, text| ending(text, '.') == 2 * ending(text, '?') },
    Kind {
        name: "ratio:sentence_balance",
        needs: &[],
        met: |_, text| ending(text, '.') == ending(text, '?') && ending(text, '?') == ending(text, '!'),
    },
    Kind {
        name: "ratio:overlap",
        needs: &[Text("reference_text"), Number("percentage")],
        met: |a, text| {
            let (own, reference) = (trigrams(text), trigrams(a.text("reference_text")));
            let overlap = own.intersection(&reference).count() as f64 / own.len() as f64 * 100.0;
            (overlap - a.number("percentage") as f64).abs() <= 2.0
        },
    },
    Kind {
        name: "ratio:sentence_words",
        needs: &[],
        // That the words differ is asked for, and not checked.
        met: |_, text| {
            let lengths: Vec<usize> = sentences(text).iter().map(|sentence| sentence.chars().count()).collect();
            matches!(lengths[..], [a, b, c] if a == b && b == c)
        },
    },
];

static STOP_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("stop_words.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| line.split(' ')).collect()
});

fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(word.to_lowercase().as_str())
}

fn ending(text: &str, mark: char) -> usize {
    sentences(text).iter().filter(|sentence| sentence.ends_with(mark)).count()
}

/// Of characters, each once.
fn trigrams(text: &str) -> BTreeSet<[char; 3]> {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(3).map(|three| [three[0], three[1], three[2]]).collect()
}
