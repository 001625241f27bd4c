//! The page of an experiment, one file that needs nothing else; made as the report is, anew after each run.

use super::Choice;
use super::figures::{Contrast, Model, Row, Run};
use super::quality::Quality;
use super::{one_line, theory};
use crate::files::{self, read_jsonl};
use crate::report::cases::Clip;
use crate::report::{HEAD, SEALED, embed, fill};
use crate::simulated::Suite;
use crate::stages::satisfaction::ANSWERS;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Prompts whose answers can be read on the page.
const SHOWN: usize = 300;

pub struct Found<'a> {
    /// Of the experiment, with a folder for each method and seed.
    pub root: &'a Path,
    pub model_hash: &'a str,
    pub methods: &'a [&'a str],
    pub seeds: &'a [u64],
    pub choices: &'a [Choice],
    /// Those that are finished, at least one.
    pub runs: &'a [Run],
    pub rows: &'a [Row],
    pub contrasts: &'a [Contrast],
    pub qualities: &'a [Quality],
}

pub fn write(path: &Path, found: &Found) -> Result<()> {
    let Found { methods, runs, .. } = found;
    let first = runs.first().and_then(|run| run.models.first()).context("no model")?;
    let suite = Suite::deserialize(&first.figures["suite"])?;
    let choice = |Choice { method, settings, tried, .. }: &Choice| {
        let tried: Vec<_> = tried.iter().map(|(settings, share)| (one_line(settings), share)).collect();
        json!({"method": method, "settings": settings.as_ref().map(one_line), "tried": tried})
    };
    let data = json!({
        "drift": env!("CARGO_PKG_VERSION"), "model_hash": found.model_hash, "methods": methods, "seeds": found.seeds,
        "split": suite.split, "rows": found.rows, "contrasts": found.contrasts, "qualities": found.qualities.iter().map(judged).collect::<Vec<_>>(), "runs": runs.iter().map(drawn).collect::<Vec<_>>(),
        "choices": found.choices.iter().map(choice).collect::<Vec<_>>(),
        "unseen": suite.maker()?.own_kinds(suite.split).collect::<Vec<_>>(),
        "theory": theory::methods(runs, methods), "words": theory::words(runs, methods), "reader": reader(found, &suite)?,
    });
    let script = concat!(
        include_str!("../report/dom.js"),
        include_str!("../report/chart.js"),
        include_str!("../report/beside.js"),
        include_str!("curves.js"),
        include_str!("page.js")
    );
    let style =
        concat!(include_str!("../report/page.css"), include_str!("../report/beside.css"), include_str!("page.css"));
    let parts = [
        ("{{head}}", HEAD.to_owned()),
        ("{{policy}}", SEALED.to_owned()),
        ("{{style}}", style.to_owned()),
        ("{{data}}", embed(&data.to_string())),
        ("{{script}}", script.to_owned()),
    ];
    let page = fill(include_str!("page.html"), &parts);
    files::write(path, |out| out.write_all(page.as_bytes()))
}

/// Pairs with the share of right ones among those whose sides differ, and its interval.
fn judged(quality: &Quality) -> Value {
    let right = quality.right_share().map(|(share, interval)| [share, interval.low, interval.high]);
    json!({"of": quality, "right": right})
}

/// What is drawn of a run: of its models, the figures that have no row of their own.
fn drawn(run: &Run) -> Value {
    let model = |Model { name, figures, .. }: &Model| {
        let [satisfied, seen, unseen, words, repetition, kinds] =
            ["satisfied", "seen", "unseen", "words", "repetition", "kinds"].map(|name| &figures[name]);
        json!({
            "name": name, "satisfied": satisfied, "seen": seen, "unseen": unseen, "words": words,
            "repetition": repetition, "kinds": kinds,
        })
    };
    json!({"method": run.method, "seed": run.seed, "models": run.models.iter().map(model).collect::<Vec<_>>()})
}

/// The base model's answers and those of each method's last model, of the first run's seed.
fn reader(found: &Found, suite: &Suite) -> Result<Value> {
    let seed = found.runs[0].seed;
    let of_seed: Vec<&Run> = found.runs.iter().filter(|run| run.seed == seed).collect();
    let base = of_seed[0].models.first().map(|model| ("base", of_seed[0], model));
    let last = of_seed.iter().filter_map(|run| Some((run.method.as_str(), *run, run.models.last()?)));
    let (mut columns, mut answers) = (Vec::new(), Vec::new());
    for (name, run, model) in base.into_iter().chain(last) {
        let dir = found.root.join(&run.method).join(format!("seed-{seed}")).join(&model.name);
        answers.push(read(&dir.join("satisfaction").join(ANSWERS))?);
        columns.push(json!({"method": name, "model": model.name}));
    }
    let prompts = suite.prompts()?;
    let cases: Vec<_> = prompts
        .iter()
        .take(SHOWN)
        .map(|prompt| {
            let kinds: Vec<_> = prompt.requirements.iter().map(|requirement| requirement.kind.name).collect();
            let answers: Vec<_> = answers.iter().map(|of| of.get(&prompt.id)).collect();
            json!({
                "id": prompt.id, "prompt": Clip::head(&prompt.text), "kinds": kinds, "unseen": prompt.unseen,
                "answers": answers,
            })
        })
        .collect();
    Ok(json!({"seed": seed, "columns": columns, "prompts": prompts.len(), "cases": cases}))
}

/// Answers by prompt; none where somebody took the file away, for the figures do not need it.
fn read(path: &Path) -> Result<HashMap<String, Value>> {
    #[derive(Deserialize)]
    struct Answer {
        id: String,
        answer: String,
        missed: Vec<String>,
    }
    let rows: Vec<Answer> = if path.is_file() { read_jsonl(path)? } else { Vec::new() };
    let shown = |row: Answer| (row.id, json!({"text": Clip::head(&row.answer), "missed": row.missed}));
    Ok(rows.into_iter().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::figures::{contrasts, rows};
    use drift_eval::simulated::Split;

    fn suite() -> Suite {
        Suite { split: Split::Test, n: 4, kinds: vec!["bullets".into(), "emoji".into()], seed: 1 }
    }

    /// A run whose models answer every prompt with `answer`, its answers in its folder.
    fn run(root: &Path, method: &str, answer: &str) -> Run {
        let prompts = suite().prompts().unwrap();
        let model = |name: &str| {
            let dir = root.join(method).join("seed-1").join(name).join("satisfaction");
            std::fs::create_dir_all(&dir).unwrap();
            let row = |prompt: &drift_eval::simulated::Prompt| {
                json!({"id": prompt.id, "prompt": prompt.text, "answer": answer, "missed": ["emoji"]}).to_string()
                    + "\n"
            };
            std::fs::write(dir.join(ANSWERS), prompts.iter().map(row).collect::<String>()).unwrap();
            Model {
                name: name.into(),
                satisfied: prompts.iter().map(|prompt| (prompt.id.clone(), false)).collect(),
                figures: json!({"suite": suite(), "words": {"mean": 2.0, "low": 1.0, "high": 3.0}, "kinds": {"emoji": {"met": 0, "n": 4}}}),
                theory: None,
            }
        };
        Run { method: method.into(), seed: 1, models: ["base", "iter-1"].map(model).into() }
    }

    /// The page and the data in it.
    fn written(root: &Path, runs: &[Run]) -> (String, Value) {
        let methods = ["drift", "spin"];
        let (rows, contrasts) = (rows(runs, &methods), contrasts(runs, &methods));
        let settings: toml::Table = toml::from_str("train.beta = 0.2").unwrap();
        let choices = [Choice {
            method: "drift".into(),
            settings: Some(settings.clone()),
            tried: vec![(settings, 0.25)],
            searched: None,
        }];
        let (rows, contrasts) = (&rows[..], &contrasts[..]);
        let found = Found {
            root,
            model_hash: "h",
            methods: &methods,
            seeds: &[1, 2],
            choices: &choices,
            runs,
            rows,
            contrasts,
            qualities: &[Quality {
                method: "drift".into(),
                model: "iter-1".into(),
                right: 3,
                wrong: 1,
                ..Quality::default()
            }],
        };
        let path = root.join("index.html");
        write(&path, &found).unwrap();
        let page = std::fs::read_to_string(path).unwrap();
        let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
        let data = serde_json::from_str(data).unwrap();
        (page, data)
    }

    #[test]
    fn an_answer_stays_a_text() {
        let dir = tempfile::tempdir().unwrap();
        let hostile = "</script><script>alert(1)</script><!-- {{style}} \u{2028}\u{202e}\0 & <b>";
        let runs = [run(dir.path(), "drift", hostile), run(dir.path(), "spin", "fine")];
        let (page, data) = written(dir.path(), &runs);
        assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
        assert!(!page.contains("alert(1)</") && !page.contains("<!--") && !page.contains('\u{202e}'));
        let answers = &data["reader"]["cases"][3]["answers"];
        let shown = "</script><script>alert(1)</script><!-- {{style}} \u{2028}[U+202E]\u{2400} & <b>";
        assert_eq!(
            (answers[1]["text"]["text"].as_str(), answers[2]["text"]["text"].as_str()),
            (Some(shown), Some("fine"))
        );
        assert_eq!(answers[1]["missed"], json!(["emoji"]));
    }

    #[test]
    fn it_grows_with_the_runs() {
        let dir = tempfile::tempdir().unwrap();
        let runs = [run(dir.path(), "drift", "a"), run(dir.path(), "spin", "b")];
        let (_, one) = written(dir.path(), &runs[..1]);
        let names = |data: &Value| -> Vec<String> {
            data["reader"]["columns"].as_array().unwrap().iter().map(|of| of["method"].to_string()).collect()
        };
        assert_eq!((names(&one).len(), one["rows"].as_array().unwrap().len()), (2, 2));
        assert_eq!((&one["contrasts"], &one["runs"][0]["models"][1]["words"]["high"]), (&json!([]), &json!(3.0)));
        assert_eq!((&one["qualities"][0]["right"][0], &one["qualities"][0]["of"]["wrong"]), (&json!(0.75), &json!(1)));
        assert_eq!(one["choices"][0]["tried"], json!([["train.beta = 0.2", 0.25]]));
        let (_, two) = written(dir.path(), &runs);
        assert_eq!((names(&two).len(), two["contrasts"].as_array().unwrap().len()), (3, 1));
        // What is not in the folder is left out, and the rest can be read.
        std::fs::remove_file(dir.path().join("spin/seed-1/iter-1/satisfaction").join(ANSWERS)).unwrap();
        let (_, without) = written(dir.path(), &runs);
        let answers = &without["reader"]["cases"][0]["answers"];
        assert!(answers[1].is_object() && answers[2].is_null());
    }
}
