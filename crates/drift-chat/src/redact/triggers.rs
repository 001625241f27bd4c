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
    /// Two colons or dashes among hexadecimal digits, as in addresses.
    Colons,
    /// Three dots among digits.
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

const LONG: usize = 24;

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

const DIGIT: u8 = 1;
/// Between digits of one number.
const SEPARATOR: u8 = 1 << 1;
const HEX: u8 = 1 << 2;
/// Of base64 and of tokens.
const WORD: u8 = 1 << 3;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_digit() {
            classes[byte] |= DIGIT;
        }
        if b.is_ascii_hexdigit() {
            classes[byte] |= HEX;
        }
        if b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'_' | b'-' | b'=') {
            classes[byte] |= WORD;
        }
        if matches!(b, b' ' | b'-' | b'.' | b'(' | b')' | b'/' | b'+') {
            classes[byte] |= SEPARATOR;
        }
        byte += 1;
    }
    classes
};

fn shapes(text: &[u8]) -> u64 {
    let (mut found, mut digits, mut run, mut dots, mut colons) = (0, 0, 0, 0, 0);
    for (at, &byte) in text.iter().enumerate() {
        let class = CLASSES[usize::from(byte)];
        run = if class & WORD != 0 { run + 1 } else { 0 };
        if run == LONG {
            found |= Trigger::Long.bit();
        }
        if class & DIGIT != 0 {
            digits += 1;
            if digits == 5 {
                found |= Trigger::Digits.bit();
            }
        } else if class & SEPARATOR == 0 {
            digits = 0;
        }
        match byte {
            b'.' if text.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                dots += 1;
                if dots == 3 {
                    found |= Trigger::Dots.bit();
                }
            }
            b':' | b'-' if text.get(at + 1).is_some_and(|b| b.is_ascii_hexdigit() || *b == b':') => {
                colons += 1;
                if colons == 2 {
                    found |= Trigger::Colons.bit();
                }
            }
            _ if class & HEX == 0 => (dots, colons) = (0, 0),
            _ => {}
        }
    }
    found
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
