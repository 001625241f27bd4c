//! How much two messages say the same, by the sets of their words.

use std::sync::LazyLock;

use drift_chat::{Chat, Message, Role};

use crate::turn::opening;

/// How much of an answer is compared, in characters.
const COMPARED: usize = 1500;

/// English words that say nothing about the subject.
const STOP: &str = "a an the of to in on for and or is are be i you it this that with as my me your can could please do does \
                    what how we so not from at by was will would have has if but its they he she about there them then than";

/// Sorted.
static STOP_HASHES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut hashes: Vec<u64> = STOP.split(' ').map(hash).collect();
    hashes.sort_unstable();
    hashes
});

/// Of FNV-1a.
const START: u64 = 0xcbf2_9ce4_8422_2325;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The words of a text, in order and as they are written.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// FNV-1a over the lower-cased characters.
pub(crate) fn hash(word: &str) -> u64 {
    if word.is_ascii() {
        return word.bytes().map(|byte| byte.to_ascii_lowercase()).fold(START, step);
    }
    word.chars().flat_map(char::to_lowercase).flat_map(|c| (c as u32).to_le_bytes()).fold(START, step)
}

/// Hands out `hash` of each of `words`, a byte at a time: most text is ASCII, and there is a lot of it.
fn word_hashes(text: &str, mut take: impl FnMut(u64)) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_') {
        if !rest.as_bytes()[at].is_ascii() {
            // the word that this sign is in or follows, up to the next sign of ASCII that ends one
            let end = rest[at..].find(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_');
            let (piece, after) = rest.split_at(end.map_or(rest.len(), |end| at + end));
            words(piece).map(hash).for_each(&mut take);
            rest = after;
            continue;
        }
        if at > 0 {
            take(rest.as_bytes()[..at].iter().map(u8::to_ascii_lowercase).fold(START, step));
        }
        rest = &rest[at + 1..];
    }
    words(rest).map(hash).for_each(take);
}

/// The set of a text's content words, as sorted hashes.
#[derive(Debug, Default)]
pub(crate) struct WordSet {
    hashes: Vec<u64>,
}

impl WordSet {
    pub fn new(text: &str) -> WordSet {
        let stop = &**STOP_HASHES;
        let mut hashes = Vec::with_capacity(text.len() / 8);
        word_hashes(text, |hash| {
            if stop.binary_search(&hash).is_err() {
                hashes.push(hash);
            }
        });
        hashes.sort_unstable();
        hashes.dedup();
        WordSet { hashes }
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    fn common(&self, other: &WordSet) -> usize {
        let (mut a, mut b, mut count) = (0, 0, 0);
        while a < self.hashes.len() && b < other.hashes.len() {
            match self.hashes[a].cmp(&other.hashes[b]) {
                std::cmp::Ordering::Less => a += 1,
                std::cmp::Ordering::Greater => b += 1,
                std::cmp::Ordering::Equal => {
                    count += 1;
                    a += 1;
                    b += 1;
                }
            }
        }
        count
    }

    /// |A ∩ B| / |A ∪ B|, 0 for two empty sets.
    pub fn jaccard(&self, other: &WordSet) -> f32 {
        let common = self.common(other);
        common as f32 / (self.len() + other.len() - common).max(1) as f32
    }

    /// The share of this set's words that `other` holds, 0 for an empty set.
    pub fn share_in(&self, other: &WordSet) -> f32 {
        self.common(other) as f32 / self.len().max(1) as f32
    }
}

/// The word sets of a chat's messages: user turns whole, answers by their start.
pub(crate) fn word_sets(chat: &Chat) -> Vec<WordSet> {
    let set = |message: &Message| match message.role {
        Role::User => WordSet::new(&message.content),
        Role::Assistant => WordSet::new(opening(&message.content, COMPARED)),
        Role::System | Role::Tool => WordSet::default(),
    };
    chat.messages.iter().map(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn byte_by_byte_or_word_by_word(text in "([a-zA-Z_0-9]{0,3}|[ .,'\n]|[äß’東\u{301}İ€]){0,30}") {
            let mut hashes = Vec::new();
            word_hashes(&text, |hash| hashes.push(hash));
            prop_assert_eq!(hashes, words(&text).map(hash).collect::<Vec<_>>());
        }
    }

    #[test]
    fn worked_by_hand() {
        let a = WordSet::new("Write a short poem about the SEA"); // write short poem sea
        let b = WordSet::new("a poem about sea and wind, please"); // poem sea wind
        assert_eq!((a.len(), b.len()), (4, 3));
        assert_eq!(a.jaccard(&b), 2.0 / 5.0);
        assert_eq!(b.share_in(&a), 2.0 / 3.0);
        assert_eq!(WordSet::new("the of").jaccard(&WordSet::default()), 0.0);
    }
}
