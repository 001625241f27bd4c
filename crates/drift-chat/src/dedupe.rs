//! Exact duplicates by normalised content.

use std::collections::HashSet;

use blake3::Hasher;

use crate::types::Message;

/// Remembers what was seen, 16 bytes an entry. White space and letter case do not tell two apart.
#[derive(Debug, Default)]
pub struct Seen {
    hashes: HashSet<[u8; 16]>,
}

impl Seen {
    pub fn new() -> Seen {
        Seen::default()
    }

    /// True the first time that these messages come by.
    pub fn insert(&mut self, messages: &[Message]) -> bool {
        let mut hasher = Hasher::new();
        let mut normal = String::new();
        for message in messages {
            normal.clear();
            for word in message.content.split_whitespace() {
                normal.push(' ');
                normal.extend(word.chars().flat_map(char::to_lowercase));
            }
            hasher.update(&[message.role as u8]).update(&(normal.len() as u64).to_le_bytes()).update(normal.as_bytes());
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        self.hashes.insert(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Role;

    #[test]
    fn case_and_white_space_do_not_matter_but_words_and_roles_do() {
        let user = |text: &str| vec![Message { role: Role::User, content: text.into() }];
        let mut seen = Seen::new();
        assert!(seen.insert(&user("Write  a Poem\n")));
        assert!(!seen.insert(&user("write a poem")));
        assert!(seen.insert(&user("writea poem")));
        assert!(seen.insert(&[Message { role: Role::Assistant, content: "write a poem".into() }]));
    }
}
