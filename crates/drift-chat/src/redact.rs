//! Replaces personal data and secrets by stable pseudonyms, before any text leaves the log.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use regex::Regex;
use serde::Serialize;

use crate::types::Chat;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    PrivateKey,
    ApiKey,
    Email,
    Iban,
    Card,
    Ip,
    Phone,
}

impl Secret {
    fn name(self) -> &'static str {
        match self {
            Secret::PrivateKey => "PRIVATE_KEY",
            Secret::ApiKey => "API_KEY",
            Secret::Email => "EMAIL",
            Secret::Iban => "IBAN",
            Secret::Card => "CARD",
            Secret::Ip => "IP",
            Secret::Phone => "PHONE",
        }
    }
}

/// How many bytes of a match count; `None`: it only looks alike.
type Check = fn(&str) -> Option<usize>;

/// Patterns compiled once, in order: where two overlap, the earlier wins.
#[derive(Debug)]
pub struct Redactor {
    patterns: Vec<(Secret, Regex, Check)>,
}

impl Default for Redactor {
    fn default() -> Redactor {
        Redactor::new()
    }
}

impl Redactor {
    pub fn new() -> Redactor {
        let always: Check = |text| Some(text.len());
        // the last alternative takes a block that the message cuts off
        let private_key = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)";
        // OpenAI and Anthropic, GitHub, GitLab, Slack, AWS, Google, Stripe, Hugging Face, npm, a JWT
        let api_key = concat!(
            r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}",
            r"|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}",
            r"|AIza[A-Za-z0-9_-]{35}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}",
            r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})"
        );
        let email = r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}\b";
        let iban = r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b";
        let card = r"\b(?:[0-9]{13,19}|[0-9]{4}(?:[ -][0-9]{4}){3}|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})\b";
        let ipv4 = r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b";
        let ipv6 = r"(?i)\b[0-9a-f]{1,4}:(?:[0-9a-f]{0,4}:){1,6}[0-9a-f]{0,4}";
        // a phone number needs a country code, an area code in brackets, or the form 555-123-4567
        let phone = r"\+[0-9]{1,3}[ .-]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9](?:[ .-]?[0-9]){5,12}\b|\([0-9]{2,5}\) ?[0-9]{3,4}[ .-]?[0-9]{3,5}\b|\b[0-9]{3}[.-][0-9]{3}[.-][0-9]{4}\b";
        let patterns = [
            (Secret::PrivateKey, private_key, always),
            (Secret::ApiKey, api_key, always),
            (Secret::Email, email, always),
            (Secret::Iban, iban, iban_length),
            (Secret::Card, card, |text| is_card(text).then_some(text.len())),
            (Secret::Ip, ipv4, |text| text.parse::<Ipv4Addr>().ok().map(|_| text.len())),
            // `cafe::bed` is a path in C++ or Rust, `10:20:30` a time of day
            (Secret::Ip, ipv6, |text| {
                let is_address = text.len() > 6 && text.contains(|c: char| c.is_ascii_digit());
                (is_address && text.parse::<Ipv6Addr>().is_ok()).then_some(text.len())
            }),
            (Secret::Phone, phone, always),
        ];
        let compile = |(secret, pattern, check): (Secret, &str, Check)| {
            (secret, Regex::new(pattern).expect("pattern fixed above"), check)
        };
        Redactor { patterns: patterns.map(compile).into() }
    }

    /// Replaces what it finds in every text of the chat by `[EMAIL_1]`, `[PHONE_2]` …: within the chat the
    /// same text always gets the same number. Returns the replacements by kind.
    pub fn redact(&self, chat: &mut Chat) -> BTreeMap<Secret, u64> {
        let mut counts = BTreeMap::new();
        let mut numbers: HashMap<(Secret, String), usize> = HashMap::new();
        let mut used: HashMap<Secret, usize> = HashMap::new();
        for content in chat.texts_mut() {
            let found = self.find(content);
            if found.is_empty() {
                continue;
            }
            let mut text = String::with_capacity(content.len());
            let mut from = 0;
            for (range, secret) in found {
                let original = &content[range.clone()];
                // one number however it is spaced
                let key: String = original.chars().filter(|c| c.is_alphanumeric() || "@.:".contains(*c)).collect();
                let number = *numbers.entry((secret, key.to_lowercase())).or_insert_with(|| {
                    let used = used.entry(secret).or_default();
                    *used += 1;
                    *used
                });
                text.push_str(&content[from..range.start]);
                text.push_str(&format!("[{}_{number}]", secret.name()));
                from = range.end;
                *counts.entry(secret).or_default() += 1;
            }
            text.push_str(&content[from..]);
            *content = text;
        }
        counts
    }

    /// What to replace, in order and without overlap.
    fn find(&self, text: &str) -> Vec<(Range<usize>, Secret)> {
        let mut found: Vec<(Range<usize>, Secret)> = Vec::new();
        for (secret, pattern, check) in &self.patterns {
            let mut from = 0;
            while let Some(hit) = pattern.find_at(text, from) {
                let Some(length) = check(hit.as_str()) else {
                    // what looks alike may hide a true one behind its first letter, which is ASCII
                    from = hit.start() + 1;
                    continue;
                };
                let range = hit.start()..hit.start() + length;
                from = range.end;
                if found.iter().all(|(other, _)| range.end <= other.start || range.start >= other.end) {
                    found.push((range, *secret));
                }
            }
        }
        found.sort_by_key(|(range, _)| range.start);
        found
    }
}

/// Length of a card number and the Luhn check (ISO/IEC 7812-1).
fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, twice) => twice / 10 + twice % 10,
        })
        .sum();
    (13..=19).contains(&digits.len()) && sum.is_multiple_of(10) && digits.iter().any(|&d| d != digits[0])
}

/// The longest run of whole groups that passes the remainder check of ISO 13616: the country and
/// the check digits moved to the end, letters as 10 to 35, modulo 97 leaves 1. Longest, since the
/// pattern also takes words in capitals that follow.
fn iban_length(text: &str) -> Option<usize> {
    let ends = (15..=text.len()).rev().filter(|&end| text.as_bytes().get(end).is_none_or(|b| *b == b' '));
    ends.into_iter().find(|&end| {
        let plain: Vec<u8> = text[..end].bytes().filter(|b| *b != b' ').collect();
        let remainder = plain[4..].iter().chain(&plain[..4]).fold(0u32, |rest, &byte| match byte {
            b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
            _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        });
        (15..=34).contains(&plain.len()) && remainder == 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Explicit, Message, Role, Signal, Source};

    #[test]
    fn comments_and_corrected_answers_are_redacted_too() {
        let judged =
            |signal, comment: Option<&str>| Explicit { message: 0, signal, comment: comment.map(String::from) };
        let explicit = vec![
            judged(Signal::Edited(Some("write to a@b.de".into())), None),
            judged(Signal::Thumbs(false), Some("not c@d.de, a@b.de")),
        ];
        let mut chat = Chat { explicit, ..Chat::default() };
        Redactor::new().redact(&mut chat);
        assert_eq!(chat.explicit[0].signal, Signal::Edited(Some("write to [EMAIL_1]".into())));
        assert_eq!(chat.explicit[1].comment.as_deref(), Some("not [EMAIL_2], [EMAIL_1]"));
    }

    fn redacted(texts: &[&str]) -> (Vec<String>, BTreeMap<Secret, u64>) {
        let message = |text: &&str| Message { role: Role::User, content: text.to_string() };
        let source = Source { file: String::new(), byte: 0 };
        let mut chat =
            Chat { id: "c".into(), messages: texts.iter().map(message).collect(), source, ..Chat::default() };
        let counts = Redactor::new().redact(&mut chat);
        (chat.messages.into_iter().map(|m| m.content).collect(), counts)
    }

    #[test]
    fn each_kind_is_found_and_numbered() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        let (texts, counts) = redacted(&[
            "mail Ann@Example.com or bob@example.co.uk",
            "ann@example.com, card 4111 1111 1111 1111, IBAN GB82 WEST 1234 5698 7654 32 TODAY.",
            "from 192.168.0.12 and 2001:db8::ff00:42:8329 call +49 30 1234567 or (212) 555-0182",
            &format!("{key} and sk-abcdefghijklmnopqrstuvwx"),
        ]);
        assert_eq!(texts[0], "mail [EMAIL_1] or [EMAIL_2]");
        assert_eq!(texts[1], "[EMAIL_1], card [CARD_1], IBAN [IBAN_1] TODAY.");
        assert_eq!(texts[2], "from [IP_1] and [IP_2] call [PHONE_1] or [PHONE_2]");
        assert_eq!(texts[3], "[PRIVATE_KEY_1] and [API_KEY_1]");
        assert_eq!(counts[&Secret::Email], 3);
        assert_eq!(counts.values().sum::<u64>(), 11);
    }

    #[test]
    fn what_only_looks_alike_stays() {
        let text = "card 4111 1111 1111 1112, version 1.2.3.400, std::fmt::Debug, cafe::bed::Ace, at 10:20:30, \
                    2023-04-05, 3.14159265358979, IBAN GB82 WEST 1234 5698 7654 33, user@host, sk-short";
        assert_eq!(redacted(&[text]).0, [text]);
    }

    #[test]
    fn a_second_pass_changes_nothing() {
        let (once, _) = redacted(&["a@b.de 4111111111111111 10.0.0.1 +1 212 555 0182"]);
        let (twice, counts) = redacted(&[&once[0]]);
        assert_eq!(once, twice);
        assert!(counts.is_empty());
    }
}
