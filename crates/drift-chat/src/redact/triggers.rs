//! Which patterns a text is worth searching for: two cheap passes that rule most of them out.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

use super::patterns::Compiled;

/// What a text must hold for a pattern to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    /// One of the pattern's literals, in any letter case.
    Literal(u8),
    /// Five digits or more with nothing but separators between them.
    Digits,
    /// Two colons or dashes before hexadecimal digits, close together.
    Colons,
    /// Three dots before digits, close together.
    Dots,
    /// 24 letters, digits and signs of base64 in a row.
    Long,
}

impl Trigger {
    pub(super) fn bit(self) -> u64 {
        match self {
            Trigger::Digits => 1,
            Trigger::Colons => 1 << 1,
            Trigger::Dots => 1 << 2,
            Trigger::Long => 1 << 3,
            Trigger::Literal(group) => 1 << (4 + group),
        }
    }
}

const LONG: u32 = 24;

pub(super) struct Triggers {
    literals: AhoCorasick,
    /// By literal.
    bits: Vec<u64>,
    /// All groups of literals: nothing more to look for once they are there.
    all: u64,
}

impl Triggers {
    pub fn new(patterns: &[Compiled]) -> Triggers {
        let literals: Vec<(&str, u64)> = patterns
            .iter()
            .flat_map(|pattern| pattern.literals.iter().map(|literal| (*literal, pattern.trigger.bit())))
            .collect();
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(literals.iter().map(|(literal, _)| literal))
            .expect("a few hundred short literals");
        let bits: Vec<u64> = literals.into_iter().map(|(_, bit)| bit).collect();
        let all = bits.iter().fold(0, |all, bit| all | bit);
        Triggers { literals: automaton, bits, all }
    }

    /// The bits of all triggers that `text` holds.
    pub fn of(&self, text: &str) -> u64 {
        let mut found = shapes(text.as_bytes());
        for hit in self.literals.find_overlapping_iter(text) {
            found |= self.bits[hit.pattern().as_usize()];
            if found & self.all == self.all {
                break;
            }
        }
        found
    }
}

/// By byte: 1 for a digit, all ones for digits and what stands between those of one number, all ones for letters,
/// digits and signs of base64. Masks instead of branches: this pass sees every byte of a log.
#[derive(Clone, Copy)]
struct Class {
    digit: u32,
    in_number: u32,
    in_word: u32,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class { digit: 0, in_number: 0, in_word: 0 }; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let is_digit = b.is_ascii_digit();
        let in_number = is_digit || matches!(b, b' ' | b'-' | b'.' | b'(' | b')' | b'/' | b'+');
        let in_word = b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'_' | b'-' | b'=');
        classes[byte] = Class {
            digit: is_digit as u32,
            in_number: if in_number { u32::MAX } else { 0 },
            in_word: if in_word { u32::MAX } else { 0 },
        };
        byte += 1;
    }
    classes
};

fn shapes(text: &[u8]) -> u64 {
    let (mut digits, mut most_digits, mut word, mut longest_word) = (0u32, 0, 0u32, 0);
    for &byte in text {
        let class = CLASSES[usize::from(byte)];
        word = word.wrapping_add(1) & class.in_word;
        digits = (digits + class.digit) & class.in_number;
        longest_word = longest_word.max(word);
        most_digits = most_digits.max(digits);
    }
    let mut found = 0;
    if longest_word >= LONG {
        found |= Trigger::Long.bit();
    }
    if most_digits >= 5 {
        found |= Trigger::Digits.bit();
    }
    if near(memchr::memchr_iter(b'.', text).filter(|&at| text.get(at + 1).is_some_and(u8::is_ascii_digit)), 3) {
        found |= Trigger::Dots.bit();
    }
    let is_hex = |at: usize| text.get(at).is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':');
    if near(memchr::memchr2_iter(b':', b'-', text).filter(|&at| is_hex(at + 1)), 2) {
        found |= Trigger::Colons.bit();
    }
    found
}

/// Whether `n` of the places lie at most five bytes apart each.
fn near(places: impl Iterator<Item = usize>, n: usize) -> bool {
    let (mut count, mut last) = (0, 0);
    for at in places {
        count = if count > 0 && at - last <= 5 { count + 1 } else { 1 };
        last = at;
        if count == n {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_by_hand() {
        let is = |text: &str, trigger: Trigger| shapes(text.as_bytes()) & trigger.bit() != 0;
        assert!(is("call 555-0182", Trigger::Digits) && is("(30) 123", Trigger::Digits));
        assert!(!is("in 2023, 1024 bytes, x1y2z3", Trigger::Digits));
        assert!(is("at 10.0.0.1", Trigger::Dots) && !is("3.14 and 2.71 and 1.41", Trigger::Dots));
        assert!(is("2001:db8::1", Trigger::Colons) && is("::1", Trigger::Colons) && !is("a: b: c:", Trigger::Colons));
        assert!(is(&"a".repeat(24), Trigger::Long) && !is(&"a ".repeat(24), Trigger::Long));
    }
}
