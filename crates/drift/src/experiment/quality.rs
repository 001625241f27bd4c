//! What the pairs of a training are worth, by the requirements themselves: does the chosen answer meet what the rejected
//! one misses? Training never sees this; it tells whether a method had anything to learn from.

use super::figures::Run;
use crate::files::read_jsonl;
use anyhow::Result;
use drift_chat::{Message, Pair, Role, read_pairs};
use drift_eval::simulated::Prompt;
use drift_eval::statistics::{Interval, wilson};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// Pairs of one training of a method, those of all its runs together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Quality {
    pub method: String,
    /// The model that was trained on them.
    pub model: String,
    pub pairs: usize,
    /// The chosen answer meets all requirements and the rejected one does not.
    pub right: usize,
    /// The other way round.
    pub wrong: usize,
    /// Either side meets all.
    pub chosen_met: usize,
    pub rejected_met: usize,
    /// Of all chosen and of all rejected answers together: what DPO can learn without looking at content.
    pub chosen_words: usize,
    pub rejected_words: usize,
}

impl Quality {
    /// Of the pairs whose sides differ, the right ones' share with its 95 % interval; `None` without such pairs.
    pub fn right_share(&self) -> Option<(f64, Interval)> {
        let differ = self.right + self.wrong;
        Some((self.right as f64 / differ as f64, wilson(self.right as f64, differ)?))
    }

    fn count(&mut self, request: &Prompt, pair: &Pair) {
        let met = |side: &[Message]| request.missed(&side[0].content).is_empty();
        let words = |side: &[Message]| side[0].content.split_whitespace().count();
        let (chosen, rejected) = (met(&pair.chosen), met(&pair.rejected));
        self.pairs += 1;
        self.chosen_met += usize::from(chosen);
        self.rejected_met += usize::from(rejected);
        self.chosen_words += words(&pair.chosen);
        self.rejected_words += words(&pair.rejected);
        self.right += usize::from(chosen && !rejected);
        self.wrong += usize::from(rejected && !chosen);
    }
}

/// The requests of a simulated log by conversation and turn, from its truth.
pub struct Requests(HashMap<(String, usize), Prompt>);

impl Requests {
    pub fn read(truth: &Path) -> Result<Requests> {
        #[derive(Deserialize)]
        struct Row {
            conversation: String,
            turn: usize,
            request: Prompt,
        }
        let rows: Vec<Row> = read_jsonl(truth)?;
        Ok(Requests(rows.into_iter().map(|row| ((row.conversation, row.turn), row.request)).collect()))
    }

    /// What the last turn of a pair's prompt asks for: a complaint means the request before it.
    fn of(&self, pair: &Pair) -> Option<&Prompt> {
        let turn = pair.prompt.iter().filter(|message| message.role == Role::User).count();
        self.0.get(&(pair.conversation.clone(), turn))
    }
}

/// Of every training on pairs that the runs have in common, in their order. `root` holds a folder for each method and seed.
pub fn qualities(root: &Path, runs: &[Run], methods: &[&str], requests: &Requests) -> Result<Vec<Quality>> {
    let mut all = Vec::new();
    for method in methods {
        let mut of_method: Vec<Quality> = Vec::new();
        for run in runs.iter().filter(|run| run.method == *method) {
            for model in &run.models {
                let folder = root.join(method).join(format!("seed-{}", run.seed)).join(&model.name);
                let path = folder.join("pair/pairs.jsonl");
                if !path.is_file() {
                    continue;
                }
                let at = of_method.iter().position(|quality| quality.model == model.name).unwrap_or(of_method.len());
                if at == of_method.len() {
                    let (method, model) = (method.to_string(), model.name.clone());
                    of_method.push(Quality { method, model, ..Quality::default() });
                }
                for pair in read_pairs(&path)? {
                    if let Some(request) = requests.of(&pair) {
                        of_method[at].count(request, &pair);
                    }
                }
            }
        }
        all.extend(of_method.into_iter().filter(|quality| quality.pairs > 0));
    }
    Ok(all)
}

/// Markdown, percent of the pairs.
pub fn table(qualities: &[Quality]) -> String {
    let mut text = String::from(
        "| method | trained into | pairs | chosen meets, % | rejected meets, % | right | wrong | right of those that differ, % (95 %) | words: chosen | rejected |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for quality in qualities {
        let share = |n: usize| 100.0 * n as f64 / quality.pairs as f64;
        let right = quality.right_share().map_or("-".into(), |(share, Interval { low, high })| {
            format!("{:.0} ({:.0} to {:.0})", 100.0 * share, 100.0 * low, 100.0 * high)
        });
        text += &format!(
            "| {} | {} | {} | {:.0} | {:.0} | {} | {} | {right} | {:.0} | {:.0} |\n",
            quality.method,
            quality.model,
            quality.pairs,
            share(quality.chosen_met),
            share(quality.rejected_met),
            quality.right,
            quality.wrong,
            quality.chosen_words as f64 / quality.pairs as f64,
            quality.rejected_words as f64 / quality.pairs as f64
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pairs_are_judged_by_the_request_of_their_turn() {
        let dir = tempfile::tempdir().unwrap();
        let request = |kind: &str| {
            json!({ "id": kind, "split": "train", "text": kind, "task": kind, "unseen": false, "follows": false,
                "requirements": [{ "kind": kind, "parameters": {} }] })
        };
        let row = |turn: usize, kind: &str| {
            format!("{}\n", json!({ "conversation": "c", "turn": turn, "request": request(kind), "key": "c:2" }))
        };
        let truth = dir.path().join("truth.jsonl");
        std::fs::write(&truth, row(1, "no-commas") + &row(2, "end-question")).unwrap();
        let requests = Requests::read(&truth).unwrap();

        let user = |text: &str| json!({ "role": "user", "content": text });
        let answer = |text: &str| json!([{ "role": "assistant", "content": text }]);
        let pair = |conversation: &str, turns: usize, chosen: &str, rejected: &str| {
            let prompt = vec![user("x"); turns];
            format!(
                "{}\n",
                json!({ "id": format!("{conversation}{turns}{chosen}"), "conversation": conversation, "prompt": prompt,
                    "chosen": answer(chosen), "rejected": answer(rejected) })
            )
        };
        let folder = dir.path().join("drift/seed-1/iter-1/pair");
        std::fs::create_dir_all(&folder).unwrap();
        let rows = [
            pair("c", 1, "no comma", "a, comma"),
            pair("c", 1, "one, two", "none"),
            pair("c", 2, "Is it, though?", "no"), // commas are no matter in the second turn
            pair("c", 2, "no", "neither"),
            pair("other", 1, "a", "b"), // not of this log
        ];
        std::fs::write(folder.join("pairs.jsonl"), rows.concat()).unwrap();
        let model = |name: &str| super::super::figures::Model {
            name: name.into(),
            satisfied: Default::default(),
            figures: json!({}),
            theory: None,
        };
        let run = Run { method: "drift".into(), seed: 1, models: vec![model("base"), model("iter-1")] };
        let found = qualities(dir.path(), &[run], &["drift"], &requests).unwrap();
        let expected = Quality {
            method: "drift".into(),
            model: "iter-1".into(),
            pairs: 4,
            right: 2,
            wrong: 1,
            chosen_met: 2,
            rejected_met: 1,
            chosen_words: 2 + 2 + 3 + 1,
            rejected_words: 2 + 1 + 1 + 1,
        };
        assert_eq!(found, [expected]);
        assert!(table(&found).contains("| drift | iter-1 | 4 | 50 | 25 | 2 | 1 | 67 ("), "{}", table(&found));
    }
}
