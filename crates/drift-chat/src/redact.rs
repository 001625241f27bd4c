//! Replaces personal data and secrets by stable pseudonyms, before any text leaves the log.
//!
//! Two steps: [`Redactor::find`] looks, on any thread and without state; [`Pseudonyms::replace`] numbers what was
//! found, chat by chat in the order of the log, so that the text is the same at any thread count.

mod checks;
mod names;
mod patterns;
mod triggers;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rayon::prelude::*;
use serde::Serialize;

use crate::types::Chat;
use names::Names;
use patterns::{Compiled, compile};
use triggers::{Trigger, Triggers};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    PrivateKey,
    /// Keys and tokens of services, by their shape or by what they are assigned to.
    ApiKey,
    Jwt,
    /// What follows `Bearer` or `Authorization: Basic`.
    Bearer,
    /// In a URL, or behind `password:` and the like.
    Password,
    Email,
    Iban,
    Card,
    /// A social security number of the USA.
    Ssn,
    /// IPv4 and IPv6.
    Ip,
    Mac,
    Phone,
    /// Only where it is asked for.
    Name,
}

impl Secret {
    fn tag(self) -> &'static str {
        match self {
            Secret::PrivateKey => "PRIVATE_KEY",
            Secret::ApiKey => "API_KEY",
            Secret::Jwt => "JWT",
            Secret::Bearer => "BEARER",
            Secret::Password => "PASSWORD",
            Secret::Email => "EMAIL",
            Secret::Iban => "IBAN",
            Secret::Card => "CARD",
            Secret::Ssn => "SSN",
            Secret::Ip => "IP",
            Secret::Mac => "MAC",
            Secret::Phone => "PHONE",
            Secret::Name => "NAME",
        }
    }
}

/// Bytes `range` of a text are a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub secret: Secret,
    pub range: Range<usize>,
}

/// Patterns compiled once, in order: where two overlap, the earlier wins. Shared between threads.
pub struct Redactor {
    triggers: Triggers,
    patterns: Vec<Compiled>,
    names: Option<Names>,
}

impl Default for Redactor {
    fn default() -> Redactor {
        Redactor::new(false)
    }
}

/// A look-alike up to this length may hide a true secret: `1234 4111 1111 1111 1111` holds a card number. The search
/// goes on behind a longer one, so that a long text costs no more than its length.
const LOOK_WITHIN: usize = 64;

impl Redactor {
    /// `names`: also names of persons, where a text says that they are.
    pub fn new(names: bool) -> Redactor {
        let patterns = compile();
        Redactor { triggers: Triggers::new(&patterns), patterns, names: names.then(Names::new) }
    }

    /// What to replace in each of [`Chat::texts`], in order and without overlap.
    pub fn find(&self, chat: &Chat) -> Vec<Vec<Hit>> {
        let mut hits: Vec<Vec<Hit>> = chat.texts().map(|text| self.find_in(text)).collect();
        if let Some(names) = &self.names {
            let known = names.of(chat);
            for (text, hits) in chat.texts().zip(&mut hits) {
                let mut taken = Taken::of(hits);
                for range in Names::find(&known, text) {
                    taken.add(hits, Secret::Name, range);
                }
                hits.sort_unstable_by_key(|hit| hit.range.start);
            }
        }
        hits
    }

    /// Whether a text by itself, such as an id, holds a secret; names are not asked for.
    pub fn is_hit(&self, text: &str) -> bool {
        !self.find_in(text).is_empty()
    }

    fn find_in(&self, text: &str) -> Vec<Hit> {
        let wanted = self.triggers.of(text);
        let mut hits = Vec::new();
        if wanted == 0 {
            return hits;
        }
        let mut taken = Taken::default();
        for pattern in self.patterns.iter().filter(|pattern| pattern.trigger.bit() & wanted != 0) {
            let mut from = 0;
            while let Some(hit) = pattern.regex.find_at(text, from) {
                let candidate = match pattern.has_group {
                    false => hit.range(),
                    true => {
                        let groups = pattern.regex.captures_at(text, from);
                        groups.and_then(|groups| groups.get(1)).map_or(hit.range(), |group| group.range())
                    }
                };
                let (start, is_short) = (candidate.start, candidate.len() <= LOOK_WITHIN);
                from = match (pattern.check)(text, candidate) {
                    Some(range) => {
                        let end = range.end.max(hit.start() + 1);
                        taken.add(&mut hits, pattern.secret, range);
                        end
                    }
                    None if is_short && pattern.has_group => start,
                    None if is_short && pattern.trigger == Trigger::Digits => start + 1,
                    None => hit.end(),
                };
            }
        }
        hits.sort_unstable_by_key(|hit| hit.range.start);
        hits
    }
}

/// The ranges that are spoken for, by their start.
#[derive(Default)]
struct Taken(BTreeMap<usize, usize>);

impl Taken {
    fn of(hits: &[Hit]) -> Taken {
        Taken(hits.iter().map(|hit| (hit.range.start, hit.range.end)).collect())
    }

    fn add(&mut self, hits: &mut Vec<Hit>, secret: Secret, range: Range<usize>) {
        let before = self.0.range(..range.end).next_back();
        if before.is_none_or(|(_, end)| *end <= range.start) {
            self.0.insert(range.start, range.end);
            hits.push(Hit { secret, range });
        }
    }
}

/// Numbers secrets by their first appearance in a run: `<EMAIL_3>` is the same address wherever it stands. Secrets are
/// remembered as hashes under a key that this process drew and never writes, so that a pseudonym can be traced back
/// neither from what is on disk nor by trying all phone numbers.
pub struct Pseudonyms {
    key: [u8; 32],
    numbers: HashMap<(Secret, [u8; 16]), u32>,
    used: BTreeMap<Secret, u32>,
}

impl Pseudonyms {
    /// `key` must be random and be forgotten afterwards; the text does not depend on it.
    pub fn new(key: [u8; 32]) -> Pseudonyms {
        Pseudonyms { key, numbers: HashMap::new(), used: BTreeMap::new() }
    }

    /// Replaces `hits`, which [`Redactor::find`] gave for this chat. Returns the replacements by kind.
    pub fn replace(&mut self, chat: &mut Chat, hits: &[Vec<Hit>]) -> BTreeMap<Secret, u64> {
        let mut counts = BTreeMap::new();
        for (text, hits) in chat.texts_mut().zip(hits) {
            self.replace_in(text, hits, &mut counts);
        }
        counts
    }

    fn replace_in(&mut self, content: &mut String, hits: &[Hit], counts: &mut BTreeMap<Secret, u64>) {
        if hits.is_empty() {
            return;
        }
        let mut text = String::with_capacity(content.len());
        let mut from = 0;
        for Hit { secret, range } in hits {
            let number = self.number(*secret, &content[range.clone()]);
            text.push_str(&content[from..range.start]);
            text.push_str(&format!("<{}_{number}>", secret.tag()));
            from = range.end;
            *counts.entry(*secret).or_default() += 1;
        }
        text.push_str(&content[from..]);
        *content = text;
    }

    /// One number however it is spaced; letter case tells only keys and passwords apart.
    fn number(&mut self, secret: Secret, original: &str) -> u32 {
        let plain: String = match secret {
            Secret::Email | Secret::Ip | Secret::Mac | Secret::Iban | Secret::Name => {
                original.split([' ', '\n']).collect::<String>().to_lowercase()
            }
            Secret::Phone | Secret::Card | Secret::Ssn => original.chars().filter(char::is_ascii_digit).collect(),
            _ => original.to_string(),
        };
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::keyed_hash(&self.key, plain.as_bytes()).as_bytes()[..16]);
        *self.numbers.entry((secret, half)).or_insert_with(|| {
            let used = self.used.entry(secret).or_default();
            *used += 1;
            *used
        })
    }
}

/// Both steps over whole batches, and what they replaced.
pub struct Redaction {
    redactor: Redactor,
    pseudonyms: Pseudonyms,
    counts: BTreeMap<Secret, u64>,
}

impl Redaction {
    /// `key` as [`Pseudonyms::new`] wants it.
    pub fn new(redactor: Redactor, key: [u8; 32]) -> Redaction {
        Redaction { redactor, pseudonyms: Pseudonyms::new(key), counts: BTreeMap::new() }
    }

    /// See [`Redactor::is_hit`].
    pub fn is_hit(&self, text: &str) -> bool {
        self.redactor.is_hit(text)
    }

    /// A text outside of chats, such as a user's name.
    pub fn apply_to(&mut self, text: &mut String) {
        let hits = self.redactor.find_in(text);
        self.pseudonyms.replace_in(text, &hits, &mut self.counts);
    }

    /// Texts and ids. Searches on all threads and numbers in order.
    pub fn apply(&mut self, chats: &mut [Chat]) {
        let find = |chat: &Chat| (self.redactor.find(chat), self.redactor.find_in(&chat.id));
        let hits: Vec<_> = chats.par_iter().map(find).collect();
        for (chat, (hits, in_id)) in chats.iter_mut().zip(&hits) {
            let mut counts = self.pseudonyms.replace(chat, hits);
            self.pseudonyms.replace_in(&mut chat.id, in_id, &mut counts);
            for (secret, n) in counts {
                *self.counts.entry(secret).or_default() += n;
            }
        }
    }

    /// The replacements so far, by kind.
    pub fn counts(&self) -> &BTreeMap<Secret, u64> {
        &self.counts
    }
}

#[cfg(test)]
mod tests;
