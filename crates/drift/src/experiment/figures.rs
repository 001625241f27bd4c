//! From the prompts that each run's models satisfied to a table with intervals.

use drift_eval::statistics::{Combined, Interval, combine_runs, wilson};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One model of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Model {
    /// `base`, `warm`, `iter-1` …
    pub name: String,
    /// By prompt id.
    pub satisfied: BTreeMap<String, bool>,
    /// satisfaction.json.
    pub figures: Value,
    /// theory.json of the training that made it.
    pub theory: Option<Value>,
}

/// One run: the base model first.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub method: String,
    pub seed: u64,
    pub models: Vec<Model>,
}

/// A mean over runs and prompts, in shares, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    pub runs: usize,
    pub prompts: usize,
}

/// A method after an iteration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub method: String,
    pub model: String,
    pub satisfied: Figure,
    /// Against the base model on the same prompts; `None` for the base model.
    pub change: Option<Figure>,
    /// Means over the runs.
    pub words: f64,
    pub repetition: f64,
    pub refusal: f64,
    pub distinct_2: f64,
}

/// The last model of one method less that of another, on the same prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contrast {
    pub method: String,
    pub other: String,
    pub difference: Figure,
}

impl Figure {
    fn of(runs: &[Vec<(&str, f64)>]) -> Option<Figure> {
        let slices: Vec<&[(&str, f64)]> = runs.iter().map(Vec::as_slice).collect();
        let Combined { runs, clusters, mean, interval, .. } = combine_runs(&slices)?;
        Some(Figure { mean, low: interval.low, high: interval.high, runs, prompts: clusters })
    }
}

fn of_method<'a>(runs: &'a [Run], method: &str) -> Vec<&'a Run> {
    runs.iter().filter(|run| run.method == method).collect()
}

fn value(satisfied: bool) -> f64 {
    f64::from(u8::from(satisfied))
}

/// Every method after every iteration that all its runs reached, in the order of the runs; the base model first.
pub fn rows(runs: &[Run], methods: &[&str]) -> Vec<Row> {
    let mut rows = Vec::new();
    for method in methods {
        let of = of_method(runs, method);
        let count = of.iter().map(|run| run.models.len()).min().unwrap_or(0);
        for at in usize::from(!rows.is_empty())..count {
            let models: Vec<&Model> = of.iter().map(|run| &run.models[at]).collect();
            let level = |model: &&'_ Model| -> Vec<(String, f64)> {
                model.satisfied.iter().map(|(id, met)| (id.clone(), value(*met))).collect()
            };
            let levels: Vec<Vec<(String, f64)>> = models.iter().map(level).collect();
            let changes: Vec<Vec<(String, f64)>> =
                of.iter().map(|run| differences(&run.models[at], &run.models[0])).collect();
            let mean = |path: &str| {
                let values = models.iter().filter_map(|model| model.figures.pointer(path)?.as_f64());
                values.sum::<f64>() / models.len() as f64
            };
            let Some(satisfied) = share(&levels) else { continue };
            rows.push(Row {
                method: if at == 0 { "base".into() } else { method.to_string() },
                model: models[0].name.clone(),
                satisfied,
                change: if at == 0 { None } else { combined(&changes) },
                words: mean("/words/mean"),
                repetition: mean("/repetition/mean"),
                refusal: mean("/refusal/rate"),
                distinct_2: mean("/distinct_2"),
            });
        }
    }
    rows
}

/// The first method against each of the others, by their last models.
pub fn contrasts(runs: &[Run], methods: &[&str]) -> Vec<Contrast> {
    let Some((first, others)) = methods.split_first() else { return Vec::new() };
    let contrast = |other: &&str| {
        let mine = of_method(runs, first);
        let theirs = of_method(runs, other);
        let pairs: Vec<Vec<(String, f64)>> = mine
            .iter()
            .filter_map(|run| Some((run, theirs.iter().find(|other| other.seed == run.seed)?)))
            .filter_map(|(a, b)| Some(differences(a.models.last()?, b.models.last()?)))
            .collect();
        Some(Contrast { method: first.to_string(), other: other.to_string(), difference: combined(&pairs)? })
    };
    others.iter().filter_map(contrast).collect()
}

fn differences(a: &Model, b: &Model) -> Vec<(String, f64)> {
    let both = a.satisfied.iter().filter_map(|(id, met)| Some((id, met, b.satisfied.get(id)?)));
    both.map(|(id, a, b)| (id.clone(), value(*a) - value(*b))).collect()
}

fn combined(runs: &[Vec<(String, f64)>]) -> Option<Figure> {
    let borrowed: Vec<Vec<(&str, f64)>> =
        runs.iter().map(|run| run.iter().map(|(id, value)| (id.as_str(), *value)).collect()).collect();
    Figure::of(&borrowed)
}

/// A share: of one run with Wilson's interval, of several within 0 and 1.
fn share(runs: &[Vec<(String, f64)>]) -> Option<Figure> {
    let figure = combined(runs)?;
    let interval = match runs {
        [run] => wilson(run.iter().map(|(_, met)| met).sum(), run.len())?,
        _ => Interval { low: figure.low.max(0.0), high: figure.high.min(1.0) },
    };
    Some(Figure { low: interval.low, high: interval.high, ..figure })
}

/// Markdown, percent and points.
pub fn table(rows: &[Row], contrasts: &[Contrast]) -> String {
    let percent = |figure: &Figure| {
        format!("{:.1} ({:.1} to {:.1})", 100.0 * figure.mean, 100.0 * figure.low, 100.0 * figure.high)
    };
    let points = |figure: &Figure| {
        format!("{:+.1} ({:+.1} to {:+.1})", 100.0 * figure.mean, 100.0 * figure.low, 100.0 * figure.high)
    };
    let mut text = String::from(
        "| method | after | satisfied, % (95 %) | change, points (95 %) | words | repetition | refusals, % | distinct 2-grams |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let change = row.change.as_ref().map_or("".into(), points);
        _ = writeln!(
            text,
            "| {} | {} | {} | {change} | {:.0} | {:.3} | {:.1} | {:.3} |",
            row.method,
            row.model,
            percent(&row.satisfied),
            row.words,
            row.repetition,
            100.0 * row.refusal,
            row.distinct_2
        );
    }
    for contrast in contrasts {
        _ = writeln!(
            text,
            "\n{} less {} at the end: {} points",
            contrast.method,
            contrast.other,
            points(&contrast.difference)
        );
    }
    if let Some(row) = rows.first() {
        let (runs, prompts) = (row.satisfied.runs, row.satisfied.prompts);
        let count = if runs == 1 {
            "one run of each method; 95 % intervals over prompts".into()
        } else {
            format!("{runs} runs of each method; 95 % intervals over prompts and seeds")
        };
        _ = writeln!(text, "\n{prompts} prompts, {count}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(method: &str, seed: u64, models: &[(&str, [bool; 4])]) -> Run {
        let model = |(name, met): &(&str, [bool; 4])| Model {
            name: name.to_string(),
            satisfied: ["a", "b", "c", "d"].iter().map(|id| id.to_string()).zip(*met).collect(),
            figures: serde_json::json!({"words": {"mean": 10.0}, "repetition": {"mean": 0.0}, "refusal": {"rate": 0.0}, "distinct_2": 0.5}),
            theory: None,
        };
        Run { method: method.into(), seed, models: models.iter().map(model).collect() }
    }

    #[test]
    fn rows_and_contrasts_by_hand() {
        let base = ("base", [true, false, false, false]);
        let runs = [
            run("drift", 1, &[base, ("iter-1", [true, true, true, false])]),
            run("drift", 2, &[base, ("iter-1", [true, true, false, false])]),
            run("spin", 1, &[base, ("iter-1", [false, false, false, false])]),
            run("spin", 2, &[base, ("iter-1", [true, false, false, false])]),
        ];
        let rows = rows(&runs, &["drift", "spin"]);
        let names: Vec<(&str, &str)> = rows.iter().map(|row| (row.method.as_str(), row.model.as_str())).collect();
        assert_eq!(names, [("base", "base"), ("drift", "iter-1"), ("spin", "iter-1")]);
        let means: Vec<f64> = rows.iter().map(|row| row.satisfied.mean).collect();
        assert_eq!(means, [0.25, 0.625, 0.125]);
        assert_eq!(rows[1].change.unwrap().mean, 0.375);
        assert_eq!((rows[1].satisfied.runs, rows[1].satisfied.prompts, rows[0].change), (2, 4, None));
        // seed by seed: (1 + 1 + 1 + 0) / 4 and (0 + 1 + 0 + 0) / 4
        assert_eq!(contrasts(&runs, &["drift", "spin"])[0].difference.mean, 0.5);
        assert!(table(&rows, &contrasts(&runs, &["drift", "spin"])).contains("| spin | iter-1 | 12.5 ("));
    }
}
