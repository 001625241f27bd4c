//! The tasks' tags, in five groups.

use super::score::TRUNCATED;
use crate::error::{Error, Result};
use crate::json;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

const CREATIVE: &str = "Creative Tasks";
const PLANNING: &str = "Planning & Reasoning";
const MATH: &str = "Math & Data Analysis";
const ADVICE: &str = "Information/Advice seeking";
const CODING: &str = "Coding & Debugging";

/// The groups and their weights in a macro mean.
pub const GROUPS: [(&str, f64); 5] = [(CREATIVE, 0.5), (PLANNING, 1.25), (MATH, 1.0), (ADVICE, 0.75), (CODING, 1.25)];

/// The weighted mean over groups. A group without rows counts as 0, as it does on the leaderboard.
pub fn macro_mean(by_group: &BTreeMap<String, f64>) -> f64 {
    let sum: f64 = GROUPS.iter().map(|(group, weight)| weight * by_group.get(*group).copied().unwrap_or(0.0)).sum();
    sum / GROUPS.iter().map(|(_, weight)| weight).sum::<f64>()
}

fn group_of(tag: &str) -> Option<&'static str> {
    Some(match tag {
        "Information seeking" | "Advice seeking" => ADVICE,
        "Creative Writing" | "Editing" | "Brainstorming" | "Role playing" | "Others" => CREATIVE,
        "Coding & Debugging" => CODING,
        "Reasoning" | "Planning" => PLANNING,
        "Math" | "Data Analysis" => MATH,
        _ => return None,
    })
}

/// Groups of each task by its id: a task may be in several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tasks(HashMap<String, BTreeSet<&'static str>>);

#[derive(Deserialize)]
struct Task {
    #[serde(alias = "session_id")]
    id: String,
    primary_tag: String,
    #[serde(default)]
    secondary_tags: Vec<String>,
}

/// A task as models and judges are shown it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Prompt {
    #[serde(alias = "session_id")]
    pub id: String,
    /// Ends with the user's turn that is to be answered.
    pub conversation_input: Vec<Said>,
    /// What a good answer has.
    #[serde(default)]
    pub checklist: Vec<String>,
    #[serde(default)]
    primary_tag: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Said {
    pub role: String,
    pub content: String,
}

impl Prompt {
    /// Whether its groups are known: [`Tasks::read`] wants those of all.
    pub fn is_tagged(&self) -> bool {
        self.primary_tag.is_some()
    }

    /// The turns before the last, and the last, each cut as the judge is shown them.
    pub fn history_and_query(&self) -> (String, String) {
        let Some((query, before)) = self.conversation_input.split_last() else { return Default::default() };
        let before = before.iter().map(|said| format!("{}: {}\n\n", said.role.to_uppercase(), said.content));
        (cut_words(&before.collect::<String>()), cut_words(&query.content))
    }
}

/// Words of a text that the judge is shown.
const WORDS: usize = 1_000;

/// The first thousand words, and a mark where there are more.
pub fn cut_words(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    match words.len() > WORDS {
        true => format!("{}{TRUNCATED}", words[..WORDS].join(" ")),
        false => text.to_string(),
    }
}

/// Reads a local copy of the benchmark: a JSON list or JSON lines of id, conversation_input, checklist.
pub fn read_prompts(path: &Path) -> Result<Vec<Prompt>> {
    let prompts: Vec<Prompt> = read_rows(path, "tasks with id, conversation_input, checklist")?;
    let mut seen = HashSet::new();
    for (i, prompt) in prompts.iter().enumerate() {
        let wrong = |what: &str| {
            Err(Error::new(format!("{}: task {}", path.display(), i + 1), what).hint("is this WildBench?"))
        };
        if !seen.insert(&prompt.id) {
            return wrong("has the id of an earlier one, expected each once");
        }
        let mut roles = prompt.conversation_input.iter().map(|said| said.role.as_str());
        if !roles.clone().all(|role| matches!(role, "system" | "user" | "assistant"))
            || roles.next_back() != Some("user")
        {
            return wrong("conversation_input does not end with a user's turn, expected roles user and assistant");
        }
    }
    Ok(prompts)
}

/// A JSON list, or JSON lines.
fn read_rows<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<Vec<T>> {
    let bytes = json::read(path)?;
    if json::first_byte(&bytes) == Some(b'[') {
        return json::parse(path, &bytes, expected);
    }
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(i, line)| {
            serde_json::from_slice(line).map_err(|_| {
                let place = format!("{}:{}", path.display(), i + 1);
                Error::new(place, format!("no task, expected {expected}")).hint("give the benchmark as JSON")
            })
        })
        .collect()
}

impl Tasks {
    /// Reads a local copy of the benchmark: a JSON list or JSON lines of id, primary_tag, secondary_tags.
    pub fn read(path: &Path) -> Result<Tasks> {
        let rows: Vec<Task> = read_rows(path, "tasks with id, primary_tag, secondary_tags")?;
        let mut tasks = HashMap::new();
        for (i, row) in rows.into_iter().enumerate() {
            let tags = std::iter::once(&row.primary_tag).chain(&row.secondary_tags);
            let groups =
                tags.map(|tag| group_of(tag)).collect::<Option<BTreeSet<&'static str>>>().ok_or_else(|| {
                    let place = format!("{}: task {}", path.display(), i + 1);
                    Error::new(place, "an unknown tag, expected the twelve of WildBench v2").hint("is this version 2?")
                })?;
            tasks.insert(row.id, groups);
        }
        Ok(Tasks(tasks))
    }

    /// The groups of a row's task.
    pub fn of(&self, session_id: &str, place: &str) -> Result<impl Iterator<Item = &'static str> + use<>> {
        let groups = self.0.get(session_id).cloned().ok_or_else(|| {
            Error::new(place, "a session id that the tasks do not have, expected one of theirs")
                .hint("is this another version of the benchmark?")
        })?;
        Ok(groups.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_cut_and_checked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = |last: &str| {
            format!(
                r#"[{{"role": "user", "content": "Hi"}}, {{"role": "assistant", "content": "Yes?"}}, {{"role": "{last}", "content": "A river"}}]"#
            )
        };
        let row = |id: &str, last: &str| {
            format!(
                r#"{{"session_id": "{id}", "conversation_input": {}, "checklist": ["one"], "intent": 1}}"#,
                said(last)
            )
        };
        std::fs::write(&file, format!("{}\n{}\n", row("a", "user"), row("b", "user"))).unwrap();
        let prompts = read_prompts(file.path()).unwrap();
        let expected = ("USER: Hi\n\nASSISTANT: Yes?\n\n".to_string(), "A river".to_string());
        assert_eq!((prompts.len(), prompts[0].history_and_query(), prompts[0].is_tagged()), (2, expected, false));
        for (text, what) in [
            (format!("{}\n{}", row("a", "user"), row("a", "user")), "task 2: has the id of an earlier one"),
            (row("a", "assistant"), "task 1: conversation_input does not end"),
            ("{}".into(), "no task, expected tasks with id, conversation_input"),
        ] {
            std::fs::write(&file, &text).unwrap();
            let error = read_prompts(file.path()).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let long = vec!["w"; 1_001].join(" ");
        assert_eq!(cut_words(&long), format!("{}... (truncated)", vec!["w"; 1_000].join(" ")));
        assert_eq!(cut_words(&long[2..]), &long[2..]);
    }

    #[test]
    fn tags_of_one_group_count_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = r#"{"id": "a", "primary_tag": "Math", "secondary_tags": ["Data Analysis", "Others"], "more": 1}"#;
        std::fs::write(&file, format!("{text}\n\n")).unwrap();
        let tasks = Tasks::read(file.path()).unwrap();
        assert_eq!(tasks.of("a", "x").unwrap().collect::<Vec<_>>(), [CREATIVE, MATH]);
        assert!(tasks.of("b", "x:3").err().unwrap().to_string().starts_with("x:3: a session id"));
        std::fs::write(&file, r#"[{"id": "a", "primary_tag": "Sports"}]"#).unwrap();
        assert!(Tasks::read(file.path()).unwrap_err().to_string().contains("task 1: an unknown tag"));
        std::fs::write(&file, "\n[1]").unwrap();
        assert!(Tasks::read(file.path()).unwrap_err().to_string().contains("expected tasks with id"));
    }
}
