//! The benchmark's file of prompts: JSON lines of `key`, `prompt`, `instruction_id_list` and `kwargs`.

use super::{Arguments, Instruction, Kind, Need, Prompt};
use crate::error::{Error, Result};
use crate::json;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::Path;

const HINT: &str = "give IFBench_test.jsonl as it is published";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    key: Key,
    prompt: String,
    instruction_id_list: Vec<String>,
    /// An object an instruction: its arguments, and null for those of other kinds.
    kwargs: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Key {
    Text(String),
    Number(u64),
}

/// # Errors
/// A line that is no such prompt, an instruction of an unknown kind, arguments that are not those of its kind, a key that
/// comes twice, no prompts at all.
pub fn read_prompts(path: &Path) -> Result<Vec<Prompt>> {
    let bytes = json::read(path)?;
    let mut keys = HashSet::new();
    let mut prompts = Vec::new();
    for (i, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = format!("{}:{}", path.display(), i + 1);
        let wrong = |what: String| Error::new(&place, what).hint(HINT);
        let row: Row = serde_json::from_slice(line).map_err(|_| {
            wrong("no prompt, expected JSON with key, prompt, instruction_id_list and kwargs".to_string())
        })?;
        let prompt = prompt(row).map_err(wrong)?;
        if !keys.insert(prompt.key.clone()) {
            return Err(wrong("a key that came before, expected each once".to_string()));
        }
        prompts.push(prompt);
    }
    match prompts.is_empty() {
        true => Err(Error::new(path.display(), "no prompts, expected one a line").hint(HINT)),
        false => Ok(prompts),
    }
}

fn prompt(row: Row) -> std::result::Result<Prompt, String> {
    let Row { key, prompt: text, instruction_id_list: names, kwargs } = row;
    if text.trim().is_empty() {
        return Err("a blank prompt, expected text".to_string());
    }
    if names.is_empty() || names.len() != kwargs.len() {
        let (n, m) = (names.len(), kwargs.len());
        return Err(format!("{n} instructions and {m} kwargs, expected as many, at least one"));
    }
    let instruction = |(i, (name, kwargs)): (usize, (String, Map<String, Value>))| {
        let kind = Kind::named(&name)
            .ok_or_else(|| format!("instruction {} is of an unknown kind, expected one of IFBench's 58", i + 1))?;
        let arguments = arguments(kind, &kwargs).map_err(|what| format!("instruction {}, {kind:?}: {what}", i + 1))?;
        Ok(Instruction { kind, arguments })
    };
    let instructions = names.into_iter().zip(kwargs).enumerate().map(instruction);
    let key = match key {
        Key::Text(key) => key,
        Key::Number(key) => key.to_string(),
    };
    Ok(Prompt { key, text, instructions: instructions.collect::<std::result::Result<_, String>>()? })
}

fn arguments(kind: &Kind, kwargs: &Map<String, Value>) -> std::result::Result<Arguments, String> {
    let mut found = Arguments::default();
    for &need in kind.needs {
        let value = kwargs.get(need.name()).unwrap_or(&Value::Null);
        let number = whole(value).filter(|n| *n > 0 || matches!(need, Need::Number(_)));
        let text = value.as_str().filter(|text| !text.trim().is_empty());
        match (need, number, text) {
            (Need::Count(name) | Need::Number(name), Some(number), _) => {
                found.numbers.insert(name, number);
            }
            (Need::Text(name), _, Some(text)) => {
                found.texts.insert(name, text.to_string());
            }
            _ => {
                let is = if value.is_null() { "is missing" } else { "is something else" };
                return Err(format!("{} {is}, expected {}", need.name(), need.expected()));
            }
        }
    }
    let foreign =
        kwargs.iter().filter(|(name, value)| !value.is_null() && !kind.needs.iter().any(|n| n.name() == *name));
    match foreign.count() {
        0 => Ok(found),
        n => Err(format!("{n} arguments that it does not take, expected null in their place")),
    }
}

/// A number of at least 0, which the file may write with a point.
fn whole(value: &Value) -> Option<usize> {
    let number = value.as_f64()?;
    (number >= 0.0 && number.fract() == 0.0 && number <= f64::from(u32::MAX)).then_some(number as usize)
}
