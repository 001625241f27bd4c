//! Each method's answers to the same prompts: drawn from a model that simulated users ask, or read from a file.

use crate::files::{read_jsonl, write};
use crate::policy::Policy;
use crate::run_folder::{Counts, Stage};
use crate::seeds::seed;
use crate::simulated::asking::{Drawing, Kept, Question, ask};
use crate::talk::Talk;
use anyhow::{Result, bail};
use drift_chat::{Message, Role};
use drift_eval::simulated::Prompt;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

const FILE: &str = "answers.jsonl";

/// A row of a file of answers; several of one id are samples of one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Of the prompt.
    pub id: String,
    #[serde(default)]
    pub prompt: String,
    pub answer: String,
    /// 0 to 1.
    pub reward: f64,
    /// Kinds of requirement that the prompt has.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Those of them that the answer misses.
    #[serde(default)]
    pub missed: Vec<String>,
}

/// The stage's answers, drawn if it is not finished: `samples` for each prompt, one after the other. The reward is 1 where
/// every requirement is met, and 0 otherwise.
pub fn drawn(
    stage: &Stage,
    policy: impl FnOnce() -> Result<Policy>,
    prompts: &[Prompt],
    samples: usize,
    drawing: &Drawing,
    run_seed: u64,
    talk: &Talk,
) -> Result<Vec<Row>> {
    if stage.finished().is_none() {
        let policy = policy()?;
        stage.begin(&["kept"])?;
        let mut kept = Kept::open(&stage.path("kept"), &stage.key())?;
        let question = |prompt: &Prompt, k: usize| Question {
            name: format!("{} {k}", prompt.id),
            messages: vec![Message { role: Role::User, content: prompt.text.clone() }],
            seed: seed(run_seed, &["explore", &prompt.id, &k.to_string()]),
        };
        let questions: Vec<Question> =
            prompts.iter().flat_map(|prompt| (0..samples).map(move |k| question(prompt, k))).collect();
        let answers = ask(&policy, &questions, drawing, &mut kept, "answering", talk)?;
        let mut rows = Vec::with_capacity(answers.len());
        for (at, answer) in answers.into_iter().enumerate() {
            let prompt = &prompts[at / samples];
            let Some(answer) = answer else {
                let context = policy.model.context();
                bail!("prompt {}: does not fit the model's context of {context} tokens", prompt.id);
            };
            let missed: Vec<String> = prompt.missed(&answer).into_iter().map(str::to_string).collect();
            rows.push(Row {
                id: prompt.id.clone(),
                prompt: prompt.text.clone(),
                reward: if missed.is_empty() { 1.0 } else { 0.0 },
                kinds: prompt.requirements.iter().map(|requirement| requirement.kind.name.to_string()).collect(),
                answer,
                missed,
            });
        }
        write(&stage.path(FILE), |out| {
            for row in &rows {
                serde_json::to_writer(&mut *out, row)?;
                writeln!(out)?;
            }
            Ok(())
        })?;
        kept.finish()?;
        stage.finish(Counts { r#in: questions.len(), out: rows.len(), ..Counts::default() }, &[FILE])?;
    }
    read_jsonl(&stage.path(FILE))
}

/// A file's rows, samples of one prompt beside each other, prompts in the file's order.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let rows: Vec<Row> = read_jsonl(path)?;
    if let Some(at) = rows.iter().position(|row| !(0.0..=1.0).contains(&row.reward)) {
        bail!("{}: row {}: reward is {}, expected 0 to 1", path.display(), at + 1, rows[at].reward);
    }
    let mut first: HashMap<String, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        first.entry(row.id.clone()).or_insert(at);
    }
    let mut rows = rows;
    rows.sort_by_key(|row| first[&row.id]);
    Ok(rows)
}

/// All methods' rows as [methods, prompts, samples], prompts in the first method's order; and the count of prompts.
pub fn aligned(methods: Vec<(String, Vec<Row>)>) -> Result<(Vec<Row>, usize)> {
    let Some((first, rows)) = methods.first() else { bail!("no method, expected at least one") };
    let (first, mut prompts, mut counts) = (first.clone(), Vec::<String>::new(), HashMap::<String, usize>::new());
    for row in rows {
        let count = counts.entry(row.id.clone()).or_default();
        if *count == 0 {
            prompts.push(row.id.clone());
        }
        *count += 1;
    }
    let Some(samples) = prompts.first().map(|id| counts[id]) else { bail!("{first}: no answers, expected some") };
    let mut all = Vec::new();
    for (name, rows) in methods {
        let mut by_id: HashMap<String, Vec<Row>> = HashMap::new();
        rows.into_iter().for_each(|row| by_id.entry(row.id.clone()).or_default().push(row));
        for id in &prompts {
            let rows = by_id.remove(id).unwrap_or_default();
            if rows.len() != samples {
                bail!(
                    "{name}: {} answers to prompt {id}, expected {samples}; hint: every method answers the prompts of \
                     {first} equally often",
                    rows.len()
                );
            }
            all.extend(rows);
        }
        if let Some(id) = by_id.into_keys().min() {
            bail!("{name}: answers prompt {id}, expected only the prompts that {first} answers");
        }
    }
    Ok((all, prompts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, answer: &str) -> Row {
        let (prompt, kinds, missed) = (String::new(), Vec::new(), Vec::new());
        Row { id: id.into(), answer: answer.into(), reward: 1.0, prompt, kinds, missed }
    }

    #[test]
    fn methods_are_put_in_the_first_ones_order() {
        let a = vec![row("x", "1"), row("x", "2"), row("y", "3"), row("y", "4")];
        let b = vec![row("y", "5"), row("x", "6"), row("y", "7"), row("x", "8")];
        let (rows, prompts) = aligned(vec![("a".into(), a), ("b".into(), b)]).unwrap();
        let answers: Vec<&str> = rows.iter().map(|row| &row.answer[..]).collect();
        assert_eq!((answers, prompts), (vec!["1", "2", "3", "4", "6", "8", "5", "7"], 2));
    }

    #[test]
    fn unequal_methods_are_one_line() {
        let of = |ids: &[&str]| ids.iter().map(|id| row(id, "")).collect::<Vec<_>>();
        let error =
            |a: &[&str], b: &[&str]| aligned(vec![("a".into(), of(a)), ("b".into(), of(b))]).unwrap_err().to_string();
        assert_eq!(
            error(&["x", "x", "y", "y"], &["x", "x", "y"]),
            "b: 1 answers to prompt y, expected 2; hint: every method answers the prompts of a equally often"
        );
        assert_eq!(error(&["x"], &["x", "z"]), "b: answers prompt z, expected only the prompts that a answers");
        assert_eq!(error(&[], &["x"]), "a: no answers, expected some");
        assert!(error(&["x", "x", "y"], &["x", "x", "y"]).starts_with("a: 1 answers to prompt y, expected 2"));
    }
}
