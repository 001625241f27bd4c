//! How sentences compare with those before them.

use super::Kind;
use super::Need::{Count, Number, Text};
use super::sentences::sentences;
use super::text::{is_mark, unpunctuated};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "sentence:alliteration_increment",
        needs: &[],
        met: |_, text| {
            let alliterating: Vec<usize> = sentences(text).iter().map(|sentence| alliterating(sentence)).collect();
            alliterating.is_sorted_by(|before, after| before < after)
        },
    },
    Kind {
        name: "sentence:keyword",
        needs: &[Text("word"), Count("N")],
        met: |a, text| {
            let sentence = sentences(text).into_iter().nth(a.number("N").saturating_sub(1));
            sentence.is_some_and(|sentence| sentence.to_lowercase().contains(&a.text("word").to_lowercase()))
        },
    },
    Kind {
        name: "sentence:increment",
        needs: &[Number("small_n")],
        met: |a, text| {
            let words = |sentence: &String| unpunctuated(sentence).split_whitespace().count();
            let words: Vec<usize> = sentences(text).iter().map(words).collect();
            words.windows(2).all(|pair| pair[1] == pair[0].saturating_add(a.number("small_n")))
        },
    },
];

/// Words that begin like a neighbour.
fn alliterating(sentence: &str) -> usize {
    let sentence = sentence.to_lowercase();
    let words = sentence.split_whitespace().filter_map(|word| word.trim_start_matches(is_mark).chars().next());
    let firsts: Vec<char> = words.collect();
    firsts.chunk_by(|a, b| a == b).map(<[char]>::len).filter(|run| *run > 1).sum()
}
