//! What is wrong with a fresh answer, seen from its text alone: copies, refusals, remarks.

use regex::{Regex, RegexSet};
use std::collections::HashSet;
use std::sync::LazyLock;

/// Jaccard overlap of the words of two texts, 0 to 1; two texts without words overlap entirely.
/// Letters of scripts written without spaces count as words.
pub fn word_overlap(a: &str, b: &str) -> f64 {
    let (a, b) = (words(a), words(b));
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let common = a.intersection(&b).count();
    common as f64 / (a.len() + b.len() - common) as f64
}

fn words(text: &str) -> HashSet<String> {
    let mut words = HashSet::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        let mut word = String::new();
        for c in run.chars() {
            if is_unspaced(c) {
                words.insert(c.to_string());
            } else {
                word.extend(c.to_lowercase());
            }
        }
        if !word.is_empty() {
            words.insert(word);
        }
    }
    words
}

/// Thai, Lao, Khmer, Burmese, kana and Han.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether two answers are the same but for white space.
pub fn same_text(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// Whether the answer opens by declining the request. Only the opening is read: an answer may
/// well speak of what cannot be done further down.
pub fn is_refusal(text: &str) -> bool {
    static REFUSALS: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"^(i'?m|i am) (very |so |truly )?sorry,? (but )?(i|as an?) ",
            r"^(sorry|i apologi[sz]e|apologies|unfortunately)[,.]? (but )?(i|as an ai)[^.!?]{0,40} (can't|cannot|can not|am (not able|unable)|won't|not able|unable)\b",
            r"^i (can't|cannot|can not|won't|will not|am (not able|unable) to|'m (not able|unable) to) (assist|help (you|with)|comply|fulfil|fulfill|provide|answer|do|create|write|generate|engage|support|complete|access|browse)\b",
            r"^i'?m (not able|unable) to (assist|help|comply|fulfil|fulfill|provide|answer|do|create|write|generate)\b",
            r"^as an? (ai|artificial intelligence|(large )?language model)\b[^.!?]{0,60}\b(can't|cannot|can not|don't|do not|am not able|unable|not capable)\b",
            r"^(lo siento|desculpe|je suis désolée?|es tut mir leid|mi dispiace),",
            r"^(对不起|抱歉|很抱歉|申し訳|죄송)",
        ])
        .expect("constant patterns")
    });
    REFUSALS.is_match(&opening(text))
}

/// Whether the answer opens with a remark about feedback or an earlier answer. The prompt that is
/// trained on shows neither, so such an opening would be learnt as nonsense. Words that the user's
/// `request` itself brings up (a revised version, the original text) are no remark.
pub fn is_remark(text: &str, request: &str) -> bool {
    static OPENINGS: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSet::new([
            r"^(i'?m |i am )?(so |very |truly )?(sorry|i (do )?apologi[sz]e|my apologies|apologies)\b[^.!?:]{0,60}\b(confusion|mistake|error|misunderstanding|earlier|previous|inconvenience|oversight|not (being|meeting|providing)|response|answer)\b",
            r"^(thank you|thanks)\b[^.!?:]{0,40}\b(feedback|correction|correcting|clarif\w+|pointing|letting me know|bringing)\b",
            r"^(you'?re|you are) (absolutely |completely |quite |totally )?(right|correct)([,.!;:]| that\b| about\b|$)",
            r"^(as (you )?(requested|asked|suggested|mentioned)|as per your)\b",
            r"^i'?(ll|ve)\b[^.!?:]{0,40}\b(try again|answer again)\b",
        ])
        .expect("constant patterns")
    });
    static PHRASES: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?x)
            \b(the|this|that|your|my|an?)\ (original|previous|earlier|prior|last)\ (answer|response|reply|request)\b
            | \b(revised|improved|better|updated|corrected|rephrased|rewritten|refined)\ (answer|response|version|reply|text)\b
            | \b(the|this|that|your|requested|latest)\ (feedback|criticism)\b
            | \b(meets?|met)\ your\ expectations\b",
        )
        .expect("a constant pattern")
    });
    let opening = opening(text);
    if OPENINGS.is_match(&opening) {
        return true;
    }
    let request = request.to_lowercase();
    // Five letters tell a word whatever its ending: "revis" of revise, revised, revision.
    let brought_up = |word: &str| word.len() >= 5 && request.contains(word.get(..5).unwrap_or(word));
    PHRASES.find_iter(&opening).any(|phrase| !phrase.as_str().split(' ').any(brought_up))
}

/// Whether an answer stops within a sentence: behind a letter, a digit or a comma, in a line of several words that is no
/// item of a list. Logs do not say what was cut at a limit; these are three fifths of what a
/// small model had to leave unfinished at 128 tokens, and 4 % of what it ended itself.
pub fn stops_midway(text: &str) -> bool {
    let text = text.trim_end();
    let line = text.lines().next_back().unwrap_or("").trim_start();
    text.ends_with(|c: char| c.is_alphanumeric() || ",;-".contains(c))
        && line.starts_with(char::is_alphabetic)
        && line.split_whitespace().count() >= 3
}

/// The first 200 characters, in lower case, with plain apostrophes and single spaces.
fn opening(text: &str) -> String {
    let plain: String = text.trim_start_matches(|c: char| !c.is_alphanumeric()).chars().take(200).collect();
    plain.to_lowercase().replace('’', "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_counts_words_once_whatever_their_case() {
        assert_eq!(word_overlap("The cat sat, the cat.", "the CAT ran"), 0.5); // the cat / the cat sat ran
        assert_eq!(word_overlap("a b", "c"), 0.0);
        assert_eq!(word_overlap("", " "), 1.0);
        assert_eq!(word_overlap("", "a"), 0.0);
        assert_eq!(word_overlap("我爱你", "我爱他"), 0.5);
        assert!(same_text("a  b\n", "a b") && !same_text("a b", "ab"));
    }

    #[test]
    fn answers_cut_within_a_sentence_are_seen() {
        for cut in ["It is famous for its", "First, take the flour,", "A. B.\n\nSo it is ", "Дом стоит на"] {
            assert!(stops_midway(cut), "{cut}");
        }
        for whole in ["", "Paris", "It is Rome.", "- eggs and\n- milk and flour", "Done it is!\n```", "我们走吧", "\n"]
        {
            assert!(!stops_midway(whole), "{whole}");
        }
    }

    #[test]
    fn refusals_and_remarks_are_told_from_answers() {
        let refusals = [
            "I'm sorry, but I cannot help with that.",
            "I’m sorry, but as an AI language model I can't browse.",
            "As an AI language model, I don't have access to that.",
            "I cannot assist with this request.",
            "Sorry, but I am unable to do this.",
        ];
        let remarks = [
            "As you asked, here is the improved poem:",
            "Here's an improved version of the text:",
            "Sure! Here is a revised answer.",
            "I apologize for the confusion. The capital is Rome.",
            "Sorry for the mistake, it is 4.",
            "You're right, that was wrong.",
            "Thank you for your feedback! The answer is 3.",
            "Based on your feedback, I have changed it.",
            "I'm glad you asked. Here's the improved answer: roses",
            "The original answer was: roses",
            "I'm sorry if my previous response didn't meet your expectations.",
        ];
        let answers = [
            "Sorry is a board game from 1929.",
            "I can't help falling in love with you is a song by Elvis.",
            "Here is a list of improved crops.",
            "Here are three ways to cook rice:",
            "You are right-handed if you write with your right hand.",
            "Thank you for coming, he said.",
            "As an AI engineer, you will need Python.",
            "Based on the data, sales rose.",
            "",
        ];
        for text in refusals {
            assert!(is_refusal(text), "{text}");
        }
        for text in remarks {
            assert!(is_remark(text, "A poem") && !is_refusal(text), "{text}");
        }
        for text in answers {
            assert!(!is_refusal(text) && !is_remark(text, "A poem"), "{text}");
        }
        assert!(!is_remark("Here is the revised version: roses", "Please revise this poem"), "it was asked for");
        assert!(!is_remark("The original answer was 3.", "What was the original answer?"));
    }
}
