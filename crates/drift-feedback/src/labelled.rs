//! Labelled turns: rows of `key` and `label`, joined with the chats that they are about.

use std::collections::HashMap;
use std::path::Path;

use drift_chat::{Chat, conversation_of};
use serde::Deserialize;

use crate::label::Verdict;
use crate::turn::{Turn, turns};

/// One line of a labels file. Further keys are allowed: a review's notes, who read it.
#[derive(Debug, Deserialize)]
struct Row {
    /// `<chat id>:<index of the user turn among the chat's messages>`
    key: Option<String>,
    /// In place of the key, as a detection's labels have them.
    conversation: Option<String>,
    turn: Option<usize>,
    label: Given,
    #[serde(default)]
    rubric: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Given {
    Dsat,
    Sat,
    Both,
    None,
    /// Readers disagree.
    Disputed,
    /// A reader cannot tell.
    Unsure,
}

/// Labels by key, in the order of the files; a later row replaces an earlier one of the same key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    pub rows: Vec<Labelled>,
    /// Rows without a verdict: disputed or unsure.
    pub open: usize,
    /// Rows that a later one replaced.
    pub replaced: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    pub chat: String,
    pub turn: usize,
    pub verdict: Verdict,
    pub rubric: Option<String>,
}

impl Labelled {
    pub fn key(&self) -> String {
        format!("{}:{}", self.chat, self.turn)
    }
}

/// One line: `file:line: what, expected …`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadLabels(String);

impl Labels {
    /// # Errors
    /// A file that cannot be read, or a row that is no label.
    pub fn read<P: AsRef<Path>>(files: &[P]) -> Result<Labels, BadLabels> {
        let mut texts = Vec::new();
        for path in files {
            let path = path.as_ref();
            let text = std::fs::read_to_string(path).map_err(|e| BadLabels(format!("{}: {e}", path.display())))?;
            texts.push((path.display().to_string(), text));
        }
        Labels::parse(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    fn parse<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Labels, BadLabels> {
        let mut by_key: HashMap<(String, usize), usize> = HashMap::new();
        let mut rows: Vec<Option<Labelled>> = Vec::new();
        let mut labels = Labels::default();
        for (name, text) in files {
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let place = |what: &str| BadLabels(format!("{name}:{}: {what}", number + 1));
                let row: Row = serde_json::from_str(line).map_err(|error| {
                    // serde's words may quote the row; its column does not
                    place(&format!(
                        "column {}: no label, expected {{\"key\": \"<chat>:<turn>\", \"label\": \"DSAT|SAT|BOTH|NONE|DISPUTED\"}}",
                        error.column()
                    ))
                })?;
                let of_key = |key: String| {
                    let (chat, turn) = key.rsplit_once(':')?;
                    Some((chat.to_string(), turn.parse().ok()?))
                };
                let named = match row.key {
                    Some(key) => of_key(key).ok_or("key: no turn's number at its end, expected <chat>:<turn>"),
                    None => row.conversation.zip(row.turn).ok_or("no key, expected it or conversation and turn"),
                };
                let (chat, turn) = named.map_err(place)?;
                let verdict = match row.label {
                    Given::Dsat => Some(Verdict::Dsat),
                    Given::Sat => Some(Verdict::Sat),
                    Given::Both => Some(Verdict::Both),
                    Given::None => Some(Verdict::None),
                    Given::Disputed | Given::Unsure => None,
                };
                let next = verdict.map(|verdict| Labelled {
                    chat: chat.clone(),
                    turn,
                    verdict,
                    rubric: row.rubric.filter(|rubric| rubric != "none"),
                });
                let at = *by_key.entry((chat, turn)).or_insert(rows.len());
                match rows.get_mut(at) {
                    Some(known) => {
                        labels.replaced += 1;
                        *known = next;
                    }
                    None => rows.push(next),
                }
            }
        }
        labels.open = rows.iter().filter(|row| row.is_none()).count();
        labels.rows = rows.into_iter().flatten().collect();
        Ok(labels)
    }
}

/// Labels whose chats were found, and those chats.
#[derive(Debug, Default)]
pub struct Joined {
    pub chats: Vec<Chat>,
    /// Index into `chats`, and the label.
    pub rows: Vec<(usize, Labelled)>,
    /// Labels whose chat or turn the log does not have.
    pub missing: usize,
}

/// Takes the chats of a log one by one and keeps those that labels are about.
#[derive(Debug, Default)]
pub struct Joiner {
    wanted: HashMap<String, Vec<Labelled>>,
    joined: Joined,
    labels: usize,
}

impl Joiner {
    pub fn new(labels: &Labels) -> Joiner {
        let mut wanted: HashMap<String, Vec<Labelled>> = HashMap::new();
        for row in &labels.rows {
            wanted.entry(row.chat.clone()).or_default().push(row.clone());
        }
        Joiner { wanted, joined: Joined::default(), labels: labels.rows.len() }
    }

    /// Of chats with one id the first counts.
    pub fn add(&mut self, chat: Chat) {
        let Some(labels) = self.wanted.remove(&chat.id) else { return };
        let judged: Vec<usize> = turns(&chat).map(|turn| turn.index).collect();
        let (found, _): (Vec<_>, Vec<_>) = labels.into_iter().partition(|label| judged.contains(&label.turn));
        if !found.is_empty() {
            let at = self.joined.chats.len();
            self.joined.rows.extend(found.into_iter().map(|label| (at, label)));
            self.joined.chats.push(chat);
        }
    }

    /// In the order of chat ids, so that the order of the log changes nothing.
    pub fn finish(mut self) -> Joined {
        self.joined.missing = self.labels - self.joined.rows.len();
        self.joined.rows.sort_by(|(_, a), (_, b)| (&a.chat, a.turn).cmp(&(&b.chat, b.turn)));
        self.joined
    }
}

impl Joined {
    /// The labelled turn of a row.
    pub fn turn(&self, row: usize) -> (&Chat, Turn<'_>) {
        let (chat, label) = &self.rows[row];
        let chat = &self.chats[*chat];
        let turn = turns(chat).find(|turn| turn.index == label.turn);
        (chat, turn.expect("the joiner kept only labels of turns that are there"))
    }

    /// The number of each row's conversation: parts of one conversation count as one.
    pub fn groups(&self) -> Vec<usize> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut number = |name| {
            let next = numbers.len();
            *numbers.entry(name).or_insert(next)
        };
        self.rows.iter().map(|(_, label)| number(conversation_of(&label.chat))).collect()
    }

    /// All rows in an order that depends on their keys alone and on nothing that they say.
    pub fn shuffled(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_cached_key(|&row| *blake3::hash(self.rows[row].1.key().as_bytes()).as_bytes());
        order
    }

    /// Each row's part in a cross-validation of `folds`: by the conversation's name and the seed alone.
    pub fn folds(&self, folds: usize, seed: u64) -> Vec<usize> {
        let fold = |name: &str| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"fold").update(&seed.to_le_bytes()).update(name.as_bytes());
            let bytes = *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes");
            (u64::from_le_bytes(bytes) % folds.max(1) as u64) as usize
        };
        self.rows.iter().map(|(_, label)| fold(conversation_of(&label.chat))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_rows_win_and_open_ones_are_counted() {
        let labels = Labels::parse(
            [
                ("a", "{\"key\":\"x:1\",\"label\":\"DSAT\",\"rubric\":\"style\"}\n\n{\"key\":\"x:3\",\"label\":\"NONE\",\"rubric\":\"none\"}"),
                ("b", "{\"conversation\":\"x\",\"turn\":1,\"label\":\"NONE\",\"note\":\"checked\"}\n{\"key\":\"a:b:5\",\"label\":\"DISPUTED\"}"),
            ]
            .into_iter(),
        )
        .unwrap();
        let keys: Vec<_> = labels.rows.iter().map(|row| (row.key(), row.verdict, row.rubric.clone())).collect();
        assert_eq!(keys, [("x:1".into(), Verdict::None, None), ("x:3".into(), Verdict::None, None)]);
        assert_eq!((labels.open, labels.replaced), (1, 1));
    }

    #[test]
    fn a_bad_row_is_named_by_its_line_and_not_quoted() {
        let error = |text| Labels::parse([("labels.jsonl", text)].into_iter()).unwrap_err().to_string();
        let bad = error("{\"key\":\"x:1\",\"label\":\"DSAT\"}\n{\"key\":\"x:1\",\"label\":\"my private words\"}");
        assert!(bad.starts_with("labels.jsonl:2: column ") && !bad.contains("private"), "{bad}");
        assert!(error("{\"key\":\"x\",\"label\":\"SAT\"}").contains("expected <chat>:<turn>"));
        assert!(error("{\"turn\":1,\"label\":\"SAT\"}").contains("no key, expected it or conversation and turn"));
    }
}
