//! Ids from content, the conversation that an id belongs to, and the split by conversation.

use blake3::Hasher;

use crate::types::{Message, Role, Split};

/// 16 hex digits of a hash over lists of messages; roles, texts and the borders all count.
pub fn content_id(lists: &[&[Message]]) -> String {
    let mut hasher = Hasher::new();
    for list in lists {
        hasher.update(&(list.len() as u64).to_le_bytes());
        for message in *list {
            let role = match message.role {
                Role::System => b's',
                Role::User => b'u',
                Role::Assistant => b'a',
                Role::Tool => b't',
            };
            hasher.update(&[role]);
            hasher.update(&(message.content.len() as u64).to_le_bytes());
            hasher.update(message.content.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_string()
}

/// Equal prompt and rejected answer give an equal id.
pub fn case_id(prompt: &[Message], rejected: &[Message]) -> String {
    content_id(&[prompt, rejected])
}

pub fn pair_id(prompt: &[Message], chosen: &[Message], rejected: &[Message]) -> String {
    content_id(&[prompt, chosen, rejected])
}

/// Stands between a conversation's id and what tells its branches apart.
pub(crate) const BRANCH: &str = "#branch-";

/// Stands between an id that an earlier chat of the log had too and how many there were.
pub(crate) const AGAIN: &str = "#again-";

/// Names a user turn: the chat's id and the turn's index among the chat's messages. Corrections of labels go by it.
pub fn turn_key(chat: &str, turn: usize) -> String {
    format!("{chat}:{turn}")
}

/// The conversation that a chat is part of. Branches of one conversation are `ID#branch-2` …: see
/// `Chat::repeated`; further chats of the same id are `ID#again-2` …. ShareGPT cuts long conversations into parts `o2Up3yA_0`,
/// `o2Up3yA_1` …: seven letters or digits, then the part's number. Every other id is its own
/// conversation, so that `session_1` and `chat-2` are never lumped together.
pub fn conversation_of(id: &str) -> &str {
    for mark in [AGAIN, BRANCH] {
        if let Some((before, _)) = id.rsplit_once(mark) {
            return conversation_of(before);
        }
    }
    let Some((stem, part)) = id.rsplit_once('_') else { return id };
    let is_part = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    // a plain word such as `session` is somebody's own scheme, not a random stem
    let is_stem = stem.len() == 7
        && stem.bytes().all(|b| b.is_ascii_alphanumeric())
        && stem.bytes().any(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if is_part && is_stem { stem } else { id }
}

/// Puts about `held_out_share` of the conversations aside. Depends on the conversation and the
/// seed alone, not on order or on what else the log holds.
pub fn split_of(conversation: &str, seed: u64, held_out_share: f64) -> Split {
    let mut hasher = Hasher::new();
    hasher.update(b"split").update(&seed.to_le_bytes()).update(conversation_of(conversation).as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    let uniform = (u64::from_le_bytes(first) >> 11) as f64 / (1u64 << 53) as f64;
    if uniform < held_out_share { Split::HeldOut } else { Split::Train }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Message {
        Message { role: Role::User, content: text.to_string() }
    }

    #[test]
    fn ids_depend_on_borders_and_roles() {
        let (a, b, ab) = ([user("a")], [user("b")], [user("ab")]);
        let assistant = [Message { role: Role::Assistant, content: "a".into() }];
        let (both, turned) = ([user("a"), user("b")], [user("b"), user("a")]);
        let lists: [&[&[Message]]; 6] = [&[&both], &[&a, &b], &[&ab], &[&a], &[&assistant], &[&turned]];
        let ids = lists.map(content_id);
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn parts_of_a_conversation_are_joined() {
        assert_eq!(conversation_of("o2Up3yA_63"), "o2Up3yA");
        assert_eq!(conversation_of("o2Up3yA_"), "o2Up3yA_");
        assert_eq!(conversation_of("session_1"), "session_1");
        assert_eq!(conversation_of("5f3a"), "5f3a");
        assert_eq!(conversation_of("session_1#branch-2"), "session_1");
        assert_eq!(conversation_of("o2Up3yA_63#branch-2#again-3"), "o2Up3yA");
        assert_eq!(split_of("o2Up3yA_0", 7, 0.5), split_of("o2Up3yA_9", 7, 0.5));
    }

    #[test]
    fn the_split_meets_its_share_and_follows_the_seed() {
        let held = |seed| -> Vec<bool> {
            (0..4000).map(|i| split_of(&format!("chat-{i}"), seed, 0.2) == Split::HeldOut).collect()
        };
        let (one, two) = (held(1), held(2));
        let count = one.iter().filter(|&&held| held).count();
        assert!((700..900).contains(&count), "{count} of 4000 at a share of 0.2"); // 4 standard deviations
        assert_ne!(one, two);
        assert!((0..100).all(|i| split_of(&i.to_string(), 1, 0.0) == Split::Train));
        assert!((0..100).all(|i| split_of(&i.to_string(), 1, 1.0) == Split::HeldOut));
    }
}
