//! Who is to be forgotten. A run keeps no ids of users: hashes under the run's own salt, which say whether a given id is
//! meant, and no more. Salt and list are the run's secrets: they belong to the folder and are for no one else.

use crate::files;
use anyhow::{Context, Result, bail};
use drift_chat::{Chat, conversation_of};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Within the run folder: one row a user or conversation that detection must leave out.
pub const FORGOTTEN: &str = "privacy/forgotten.jsonl";
/// Within the run folder, readable for its owner alone.
const SALT: &str = "privacy/salt";
/// Within the folder of `detect`: rows of a conversation and its user, hashed.
pub const USERS: &str = "users.jsonl";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    User(&'a str),
    /// An id of a chat, or of the conversation that the chat is a part of.
    Conversation(&'a str),
}

/// 32 bytes of the system's randomness.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

#[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Row {
    hash: String,
}

pub struct Privacy {
    root: PathBuf,
    salt: [u8; 32],
    /// The salt is on disk.
    kept: bool,
    forgotten: HashSet<String>,
}

impl Privacy {
    /// Of a run folder; without a salt it draws one, which is lost unless it is kept.
    pub fn open(root: &Path) -> Result<Privacy> {
        let path = root.join(SALT);
        let salt = match fs_err::read_to_string(&path) {
            Ok(text) => Some(
                *blake3::Hash::from_hex(text.trim())
                    .ok()
                    .with_context(|| {
                        format!(
                            "{}: no salt, expected 64 hexadecimal digits; hint: without it nobody can be told",
                            path.display()
                        )
                    })?
                    .as_bytes(),
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let list = root.join(FORGOTTEN);
        let rows: Vec<Row> = if list.is_file() { files::read_jsonl(&list)? } else { Vec::new() };
        if salt.is_none() && !rows.is_empty() {
            bail!("{}: missing, expected the salt of {FORGOTTEN}; hint: bring it back from a copy", path.display());
        }
        let forgotten = rows.into_iter().map(|row| row.hash).collect();
        let (kept, salt) = (salt.is_some(), salt.map_or_else(random, Ok)?);
        Ok(Privacy { root: root.to_path_buf(), salt, kept, forgotten })
    }

    pub fn hash(&self, who: Who) -> String {
        let (kind, id) = match who {
            Who::User(id) => ("user", id),
            Who::Conversation(id) => ("conversation", conversation_of(id)),
        };
        blake3::keyed_hash(&self.salt, format!("{kind} {id}").as_bytes()).to_hex()[..32].to_string()
    }

    /// Stands for a chat's id that holds a secret; the same for the same id in all of the run, and the same for all parts of
    /// a conversation.
    pub fn pseudonym(&self, id: &str) -> String {
        let part = &id[conversation_of(id).len()..];
        format!("chat-{}{part}", &self.hash(Who::Conversation(id))[..16])
    }

    pub fn is_listed(&self, who: Who) -> bool {
        !self.forgotten.is_empty() && self.forgotten.contains(&self.hash(who))
    }

    /// The chat itself, or whoever wrote it.
    pub fn is_forgotten(&self, chat: &Chat) -> bool {
        // by its id, or by what stands for it in the run's files
        self.is_listed(Who::Conversation(&chat.id))
            || !self.forgotten.is_empty() && self.is_listed(Who::Conversation(&self.pseudonym(&chat.id)))
            || chat.user.as_ref().is_some_and(|user| self.is_listed(Who::User(user)))
    }

    /// Writes the salt, so that the same id has the same hash the next time.
    pub fn keep_salt(&mut self) -> Result<()> {
        if !self.kept {
            let path = self.root.join(SALT);
            let text = blake3::Hash::from_bytes(self.salt).to_hex();
            files::write_private(&path, |out| writeln!(out, "{text}"))?;
            self.kept = true;
        }
        Ok(())
    }

    /// Puts somebody on the list.
    pub fn forget(&mut self, who: Who) -> Result<()> {
        self.keep_salt()?;
        self.forgotten.insert(self.hash(who));
        let mut hashes: Vec<&String> = self.forgotten.iter().collect();
        hashes.sort();
        files::write_private(&self.root.join(FORGOTTEN), |out| {
            hashes.iter().try_for_each(|hash| writeln!(out, "{}", serde_json::json!({ "hash": hash })))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_knows_its_people_and_holds_no_id() {
        let dir = tempfile::tempdir().unwrap();
        let chat = |id: &str, user: &str| Chat { id: id.into(), user: Some(user.into()), ..Chat::default() };
        let mut privacy = Privacy::open(dir.path()).unwrap();
        privacy.forget(Who::User("ann@example.com")).unwrap();
        privacy.forget(Who::Conversation("o2Up3yA_3")).unwrap();

        let again = Privacy::open(dir.path()).unwrap();
        assert!(again.is_forgotten(&chat("x", "ann@example.com")));
        assert!(again.is_forgotten(&chat("o2Up3yA_7", "bob")), "another part of the same conversation");
        assert!(!again.is_forgotten(&chat("x", "bob")));
        let (first, second) = ("ann@example.com", "ann@example.com#branch-2");
        assert_eq!(conversation_of(&again.pseudonym(second)), again.pseudonym(first));
        assert!(!again.pseudonym(first).contains("ann"));
        // a user's id is no conversation's
        assert!(!again.is_forgotten(&chat("ann@example.com", "bob")));
        let list = fs_err::read_to_string(dir.path().join(FORGOTTEN)).unwrap();
        assert!(!list.contains("ann") && !list.contains("o2Up3yA") && list.lines().count() == 2);
        let other = tempfile::tempdir().unwrap();
        let elsewhere = Privacy::open(other.path()).unwrap().hash(Who::User("ann@example.com"));
        assert_ne!(elsewhere, again.hash(Who::User("ann@example.com")), "hashes of two runs tell nothing together");
    }

    #[test]
    fn a_list_without_its_salt_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        Privacy::open(dir.path()).unwrap().forget(Who::User("ann")).unwrap();
        fs_err::remove_file(dir.path().join(SALT)).unwrap();
        assert!(Privacy::open(dir.path()).err().unwrap().to_string().contains("missing, expected the salt"));
    }
}
