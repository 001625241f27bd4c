//! The tasks' tags, in five groups.

use crate::error::{Error, Result};
use crate::json;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

impl Tasks {
    /// Reads a local copy of the benchmark: a JSON list or JSON lines of id, primary_tag, secondary_tags.
    pub fn read(path: &Path) -> Result<Tasks> {
        const EXPECTED: &str = "tasks with id, primary_tag, secondary_tags";
        let bytes = json::read(path)?;
        let rows: Vec<Task> = match json::first_byte(&bytes) {
            Some(b'[') => json::parse(path, &bytes, EXPECTED)?,
            _ => {
                let lines = bytes.split(|&byte| byte == b'\n').enumerate();
                let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
                lines
                    .map(|(i, line)| {
                        serde_json::from_slice(line).map_err(|_| {
                            let place = format!("{}:{}", path.display(), i + 1);
                            Error::new(place, format!("no task, expected {EXPECTED}"))
                                .hint("give the benchmark as JSON")
                        })
                    })
                    .collect::<Result<Vec<Task>>>()?
            }
        };
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
