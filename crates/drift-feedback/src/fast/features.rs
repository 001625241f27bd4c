//! What the fast tier sees of a turn: hashed n-grams of the words and characters around it, and a few
//! dozen numbers about how it relates to the request, the answer and the reply.
//!
//! Whatever changes here needs another [`VERSION`] and a newly trained file.

use crate::rules::Rules;
use crate::similarity::{WordSet, words};
use crate::turn::{Turn, closing, opening};

pub(super) const VERSION: u32 = 1;

/// Hashed features have so many bits.
pub(super) const BITS: u32 = 16;

/// In characters.
const SAID: usize = 500;
const SAID_START: usize = 300;
const SAID_END: usize = 200;
const SPELLED: usize = 160;
/// In words.
const OPENING: usize = 5;
const ANSWER: usize = 12;
const REPLY: usize = 25;

/// Numbers beside the cues of the rules: 22 that need no reply, 8 that do.
const RELATIONS: usize = 30;

/// How much the kinds of n-grams count; each kind has length 1 before.
const TURN_WEIGHT: f32 = 2.0;
const OPENING_WEIGHT: f32 = 1.0;
const SPELLING_WEIGHT: f32 = 1.0;
const ANSWER_WEIGHT: f32 = 0.5;
const REPLY_WEIGHT: f32 = 2.0;

/// Makes the n-grams of one kind differ from those of another.
#[derive(Clone, Copy)]
enum Kind {
    Turn = 1,
    Opening,
    Spelling,
    Answer,
    Reply,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Features {
    /// (bucket, value); a bucket may occur again.
    pub hashed: Vec<(u32, f32)>,
    /// The relations, then 0 or 1 for each cue.
    pub dense: Vec<f32>,
    tokens: Vec<u64>,
}

/// Length of [`Features::dense`].
pub(super) fn width(rules: &Rules) -> usize {
    RELATIONS + rules.cues()
}

impl Features {
    /// Of another turn; `sets` are the word sets of its chat's messages.
    pub fn read(&mut self, rules: &Rules, sets: &[WordSet], turn: &Turn) {
        self.hashed.clear();
        let (start, end) = said(turn.text);
        tokens(start, &mut self.tokens);
        let length = self.tokens.len();
        if !end.is_empty() {
            self.tokens.push(BORDER);
            append_tokens(end, usize::MAX, &mut self.tokens);
        }
        push_grams(&mut self.hashed, Kind::Turn, &self.tokens, 1..=3, TURN_WEIGHT);
        self.tokens.truncate(length.min(OPENING));
        self.tokens.insert(0, BORDER);
        push_grams(&mut self.hashed, Kind::Opening, &self.tokens, 1..=4, OPENING_WEIGHT);
        spell(opening(turn.text, SPELLED), &mut self.tokens);
        push_grams(&mut self.hashed, Kind::Spelling, &self.tokens, 3..=5, SPELLING_WEIGHT);
        first_tokens(turn.answer, ANSWER, &mut self.tokens);
        push_grams(&mut self.hashed, Kind::Answer, &self.tokens, 1..=2, ANSWER_WEIGHT);
        if let Some(reply) = turn.reply {
            first_tokens(reply, REPLY, &mut self.tokens);
            push_grams(&mut self.hashed, Kind::Reply, &self.tokens, 1..=3, REPLY_WEIGHT);
        }
        self.dense.clear();
        relate(sets, turn, &mut self.dense);
        debug_assert_eq!(self.dense.len(), RELATIONS);
        self.dense.resize(RELATIONS + rules.cues(), 0.0);
        let cues = &mut self.dense[RELATIONS..];
        rules.matches(turn, &mut |cue| cues[cue] = 1.0);
    }
}

/// A long turn's start and end, between which there is mostly pasted text.
fn said(text: &str) -> (&str, &str) {
    match opening(text, SAID).len() == text.len() {
        true => (text, ""),
        false => (opening(text, SAID_START), closing(text, SAID_END)),
    }
}

/// Stands for the start of a text and for what is left out.
const BORDER: u64 = 0x5bd1_e995;

fn first_tokens(text: &str, count: usize, out: &mut Vec<u64>) {
    out.clear();
    out.push(BORDER);
    append_tokens(opening(text, 12 * count), count, out);
}

fn tokens(text: &str, out: &mut Vec<u64>) {
    out.clear();
    append_tokens(text, usize::MAX, out);
}

/// Hashes of lower-cased words (with inner apostrophes), of single signs, and of any number as one.
fn append_tokens(text: &str, count: usize, out: &mut Vec<u64>) {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    let end = out.len().saturating_add(count);
    let (mut word, mut digits) = (START, true);
    let mut chars = text.chars().map(|c| if c == '’' { '\'' } else { c }).peekable();
    while let Some(c) = chars.next() {
        let inner = c == '\'' && word != START && chars.peek().is_some_and(|next| next.is_alphanumeric());
        if c.is_alphanumeric() || c == '_' || inner {
            digits &= c.is_ascii_digit();
            match c.is_ascii() {
                true => word = step(word, u64::from(c.to_ascii_lowercase() as u32)),
                false => c.to_lowercase().for_each(|c| word = step(word, u64::from(c as u32))),
            }
            if chars.peek().is_some() {
                continue;
            }
        }
        if word != START {
            out.push(if digits { 0 } else { word });
            (word, digits) = (START, true);
        }
        if !(c.is_alphanumeric() || c == '_' || c.is_whitespace()) {
            out.push(step(START, u64::from(c as u32)));
        }
        if out.len() >= end {
            out.truncate(end);
            return;
        }
    }
}

/// One hash a lower-cased character, white space as one.
fn spell(text: &str, out: &mut Vec<u64>) {
    out.clear();
    out.push(u64::from(' '));
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c.to_lowercase().next().unwrap_or(c) };
        if c != ' ' || out.last() != Some(&u64::from(' ')) {
            out.push(u64::from(c));
        }
    }
    if out.last() != Some(&u64::from(' ')) {
        out.push(u64::from(' '));
    }
}

/// The n-grams of `tokens`, each as often as it occurs, together of length `weight` if all differ.
fn push_grams(
    out: &mut Vec<(u32, f32)>,
    kind: Kind,
    tokens: &[u64],
    lengths: std::ops::RangeInclusive<usize>,
    weight: f32,
) {
    let first = out.len();
    for start in 0..tokens.len() {
        let mut hash = kind as u64;
        for (n, token) in tokens[start..].iter().take(*lengths.end()).enumerate() {
            hash = step(hash, *token);
            if n + 1 >= *lengths.start() {
                out.push((bucket(hash), 0.0));
            }
        }
    }
    let value = weight / ((out.len() - first).max(1) as f32).sqrt();
    out[first..].iter_mut().for_each(|gram| gram.1 = value);
}

fn step(hash: u64, token: u64) -> u64 {
    (hash ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

fn bucket(hash: u64) -> u32 {
    (hash.wrapping_mul(0xff51_afd7_ed55_8ccd) >> (64 - BITS)) as u32
}

/// Lengths, likeness and place, each brought to the size of 1 or so.
fn relate(sets: &[WordSet], turn: &Turn, out: &mut Vec<f32>) {
    let empty = WordSet::default();
    let this = &sets[turn.index];
    let answer = &sets[turn.index - 1];
    let request = turn.request_index.map_or(&empty, |at| &sets[at]);
    // the answer before the judged one: did the assistant repeat itself?
    let earlier = turn.request_index.filter(|&at| at > 0).map_or(&empty, |at| &sets[at - 1]);
    let length = words(opening(turn.text, 4 * SAID)).count();
    let log = |n: usize| (1.0 + n as f32).ln();
    let flag = |is: bool| f32::from(u8::from(is));
    let likeness = this.jaccard(request);
    let start = opening(turn.text, SAID);
    out.extend([
        log(length) / 2.0 - 1.0,
        (log(length) / 2.0 - 1.0).powi(2),
        flag(length <= 3),
        flag(length <= 8),
        flag(length > 150),
        log(turn.answer.len()) / 2.0 - 3.0,
        turn.request.map_or(0.0, |request| log(request.len()) / 2.0 - 2.0),
        flag(turn.request.is_none()),
        likeness,
        flag(likeness > 0.5),
        flag(likeness > 0.8),
        this.share_in(request),
        request.share_in(this),
        this.share_in(answer),
        answer.jaccard(earlier),
        flag(start.contains('?')),
        flag(turn.text.ends_with('?')),
        flag(turn.answer.contains("```")),
        flag(start.contains("```")),
        flag(start.contains('\n')),
        log(turn.index) / 2.0 - 1.0,
        flag(turn.index <= 2),
    ]);
    let Some(reply) = turn.reply else {
        out.extend([0.0; 8]);
        return;
    };
    let again = answer.jaccard(&sets[turn.index + 1]);
    out.extend([
        1.0,
        again,
        flag(again < 0.1),
        flag(again >= 0.3),
        flag(again >= 0.5),
        flag(again >= 0.7),
        log(reply.len()) / 2.0 - 3.0,
        (log(reply.len()) - log(turn.answer.len())).clamp(-3.0, 3.0) / 2.0,
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(text: &str) -> Vec<u64> {
        let mut out = Vec::new();
        tokens(text, &mut out);
        out
    }

    #[test]
    fn words_signs_and_numbers() {
        assert_eq!(hashes("No, that’s WRONG!"), hashes("no , that's wrong !"));
        assert_eq!(hashes("it's").len(), 1);
        assert_eq!(hashes("'quoted'").len(), 3);
        assert_eq!(hashes("page 12"), hashes("page 345"));
        assert_ne!(hashes("page 12"), hashes("page x2"));
        assert_eq!(hashes("Ünïcode"), hashes("ünïCODE"));
        assert_eq!(hashes("  \n ").len(), 0);
        let mut three = vec![7];
        append_tokens("one two three four", 2, &mut three);
        assert_eq!(three.len(), 3);
    }

    #[test]
    fn grams_of_one_kind_have_their_weight_as_length() {
        let mut out = Vec::new();
        push_grams(&mut out, Kind::Turn, &hashes("a b c d"), 1..=3, 2.0);
        assert_eq!(out.len(), 4 + 3 + 2);
        let length: f32 = out.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        assert!((length - 2.0).abs() < 1e-5);
        let mut other = Vec::new();
        push_grams(&mut other, Kind::Reply, &hashes("a b c d"), 1..=3, 2.0);
        assert!(out.iter().zip(&other).all(|(a, b)| a.0 != b.0));
        push_grams(&mut other, Kind::Reply, &[], 1..=3, 2.0);
        assert_eq!(other.len(), 9);
    }
}
