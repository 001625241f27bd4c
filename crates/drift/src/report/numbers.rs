//! The figures of a stage: step series, evaluations, lengths, and the intervals around them.

use std::collections::BTreeMap;

use drift_eval::statistics;
use serde::Serialize;
use serde_json::Value;

use super::read::{Folder, content, string};

/// A figure with its 95 % interval, where there is one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub value: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Estimate {
    /// The mean of a sample, with the normal interval of a mean.
    pub fn mean(sample: &[f64]) -> Option<Estimate> {
        let n = sample.len() as f64;
        let value = (n > 0.0).then(|| sample.iter().sum::<f64>() / n)?;
        let variance = sample.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (n - 1.0);
        let half = (n > 1.0).then(|| 1.96 * (variance / n).sqrt());
        Some(Estimate { value, low: half.map(|half| value - half), high: half.map(|half| value + half) })
    }

    /// The mean of values by conversation, with the interval of a bootstrap over conversations: values of
    /// one conversation are not independent.
    pub fn mean_by(values: &[(String, f64)]) -> Option<Estimate> {
        let values: Vec<(&str, f64)> = values.iter().map(|(group, value)| (group.as_str(), *value)).collect();
        let value = Estimate::mean(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>())?.value;
        let interval = statistics::bootstrap_mean(&values, 0);
        Some(Estimate {
            value,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
        })
    }

    /// A share of `n`, with Wilson's interval.
    pub fn share(hits: u64, n: u64) -> Option<Estimate> {
        let interval = statistics::wilson(hits as f64, n as usize)?;
        Some(Estimate { value: hits as f64 / n as f64, low: Some(interval.low), high: Some(interval.high) })
    }
}

/// `satisfaction/satisfaction.json`: simulated users' prompts under a model, and beside the base model.
#[derive(Debug, Serialize)]
pub struct Satisfaction {
    /// `base model`, or of the stage that the model is from.
    pub label: String,
    pub short: String,
    pub prompts: Option<u64>,
    pub satisfied: Estimate,
    /// Share of satisfied less that of the base model, paired by prompt.
    pub change: Option<Estimate>,
    /// Why the gate let the model through or not.
    pub gate: Option<String>,
}

impl Satisfaction {
    pub fn read(folder: &mut Folder, label: &str, short: &str, root: &str) -> Option<Satisfaction> {
        let value = folder.json(&format!("{root}/satisfaction/satisfaction.json"))?;
        let estimate = |at: &str, figure: &str| {
            let part = value.pointer(at)?;
            let number = |name: &str| part.get(name).and_then(Value::as_f64);
            Some(Estimate { value: number(figure)?, low: number("low"), high: number("high") })
        };
        Some(Satisfaction {
            label: label.to_owned(),
            short: short.to_owned(),
            prompts: value.get("prompts").and_then(Value::as_u64),
            satisfied: estimate("/satisfied", "rate")?,
            change: estimate("/change/difference", "mean"),
            gate: folder.json(&format!("{root}/gate/gate.json")).and_then(|gate| string(&gate, "why")),
        })
    }
}

/// `evaluate/eval.json`: the held-out pairs under the model that a stage ended with, against the base model.
#[derive(Debug, Serialize)]
pub struct Eval {
    pub pairs: Option<u64>,
    pub accuracy: Option<Estimate>,
    pub margin: Option<Estimate>,
    /// The same for parts of the held-out pairs, by name.
    pub parts: Vec<(String, Eval)>,
}

impl Eval {
    pub fn read(value: &Value) -> Eval {
        let figure = |name: &str| {
            let number = |name: String| value.get(name).and_then(Value::as_f64);
            let (low, high) = (number(format!("{name}_low")), number(format!("{name}_high")));
            Some(Estimate { value: number(name.to_owned())?, low, high })
        };
        let mut parts = Vec::new();
        if let Some(by) = value.get("by") {
            collect_parts(by, "", &mut parts);
        }
        let pairs = value.get("pairs").and_then(Value::as_u64);
        Eval { pairs, accuracy: figure("accuracy"), margin: figure("margin"), parts }
    }
}

/// `by` may be one level of parts or several: whatever has an accuracy is a part.
fn collect_parts(by: &Value, prefix: &str, parts: &mut Vec<(String, Eval)>) {
    for (name, value) in by.as_object().into_iter().flatten() {
        let name = name.replace('_', " ");
        let name = if prefix.is_empty() { name } else { format!("{prefix}: {name}") };
        if value.get("accuracy").is_some() {
            parts.push((name, Eval::read(value)));
        } else {
            collect_parts(value, &name, parts);
        }
    }
}

/// Length of the two sides of the same training pairs, in words, so that both can be compared.
#[derive(Debug, Serialize)]
pub struct Lengths {
    pub pairs: u64,
    pub chosen_words: Option<Estimate>,
    pub rejected_words: Option<Estimate>,
    /// Mean over the pairs whose chosen answer was sampled.
    pub chosen_tokens: Option<f64>,
}

impl Lengths {
    pub fn read(folder: &mut Folder, path: &str) -> Option<Lengths> {
        let (mut pairs, mut chosen, mut rejected, mut tokens) = (0, Vec::new(), Vec::new(), Vec::new());
        let words = |pair: &Value, name: &str| content(pair, name).map(|text| text.split_whitespace().count() as f64);
        let there = folder.lines(path, |pair| {
            if pair.get("split").and_then(Value::as_str) == Some("held_out") {
                return;
            }
            pairs += 1;
            chosen.extend(words(&pair, "chosen"));
            rejected.extend(words(&pair, "rejected"));
            tokens.extend(pair.get("chosen_ids").and_then(Value::as_array).map(|ids| ids.len() as f64));
        });
        there.then(|| Lengths {
            pairs,
            chosen_words: Estimate::mean(&chosen),
            rejected_words: Estimate::mean(&rejected),
            chosen_tokens: Estimate::mean(&tokens).map(|tokens| tokens.value),
        })
    }
}

/// More points than this a stage are thinned to means of equal stretches.
const POINT_CAP: usize = 1000;
/// More series than this come from no trainer.
const SERIES_CAP: usize = 64;

/// `train/metrics.jsonl`, column by column.
#[derive(Debug, Serialize)]
pub struct Metrics {
    pub steps: usize,
    /// Steps behind each point.
    pub stride: usize,
    pub step: Vec<f64>,
    pub series: BTreeMap<String, Vec<Option<f64>>>,
    /// Means over the whole stage.
    pub mean: BTreeMap<String, f64>,
    /// Means over the last fifth of the steps.
    pub end: BTreeMap<String, f64>,
    /// Quantiles 5, 25, 50, 75 and 95 % of sigma(-s) over the pairs of all steps.
    pub sigma_quantiles: Option<[f64; 5]>,
}

impl Metrics {
    pub fn read(folder: &mut Folder, path: &str) -> Option<Metrics> {
        let mut steps = Vec::new();
        let mut columns: BTreeMap<String, Vec<Option<f64>>> = BTreeMap::new();
        let (mut undefined, mut sigmas) = (0, Vec::new());
        let there = folder.lines(path, |row| {
            let at = steps.len();
            sigmas.extend(row.get("sigmas").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64));
            steps.push(Some(row.get("step").and_then(Value::as_f64).unwrap_or(at as f64 + 1.0)));
            for (name, value) in row.as_object().into_iter().flatten().filter(|(name, _)| *name != "step") {
                undefined += usize::from(value.is_null());
                if let Some(value) = value.as_f64()
                    && (columns.len() < SERIES_CAP || columns.contains_key(name))
                {
                    let column = columns.entry(name.clone()).or_default();
                    column.resize(at, None);
                    column.push(Some(value));
                }
            }
        });
        if undefined > 0 {
            folder
                .notes
                .push(format!("{path}: {undefined} value(s) are not a number (NaN or infinite): gaps in the charts."));
        }
        there.then(|| {
            let count = steps.len();
            columns.values_mut().for_each(|column| column.resize(count, None));
            let stride = count.div_ceil(POINT_CAP).max(1);
            let means = |from: usize| {
                let mean = |column: &Vec<Option<f64>>| mean(&column[from..]).map(round);
                columns.iter().filter_map(|(name, column)| Some((name.clone(), mean(column)?))).collect()
            };
            let thin = |column: &Vec<Option<f64>>| column.chunks(stride).map(|part| mean(part).map(round)).collect();
            Metrics {
                steps: count,
                stride,
                mean: means(0),
                end: means(count - count.div_ceil(5)),
                step: steps.chunks(stride).filter_map(mean).collect(),
                sigma_quantiles: quantiles(&mut sigmas),
                series: columns.iter().map(|(name, column)| (name.clone(), thin(column))).collect(),
            }
        })
    }
}

fn mean(values: &[Option<f64>]) -> Option<f64> {
    let present: Vec<f64> = values.iter().flatten().copied().collect();
    (!present.is_empty()).then(|| present.iter().sum::<f64>() / present.len() as f64)
}

fn quantiles(values: &mut [f64]) -> Option<[f64; 5]> {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some([0.05, 0.25, 0.5, 0.75, 0.95].map(|share| round(values[(share * last as f64).round() as usize])))
}

/// Six digits: more than a chart shows, a third of the bytes.
fn round(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1, 2, 3: mean 2, standard deviation 1, so half the interval is 1.96 / sqrt(3) = 1.1316.
    #[test]
    fn a_mean_has_an_interval_from_two_values_on() {
        let mean = Estimate::mean(&[1.0, 2.0, 3.0]).unwrap();
        assert!(mean.value == 2.0 && (mean.high.unwrap() - 3.1316).abs() < 1e-4, "{mean:?}");
        assert_eq!(Estimate::mean(&[4.0]), Some(Estimate { value: 4.0, low: None, high: None }));
        assert_eq!(Estimate::mean(&[]), None);
    }

    #[test]
    fn long_series_are_thinned_to_means_and_gaps_stay_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let row = |step: usize| match step {
            1501..=1502 => format!("{{\"step\":{step},\"loss\":null}}\n"),
            _ => format!("{{\"step\":{step},\"loss\":{step}}}\n"),
        };
        std::fs::write(dir.path().join("m.jsonl"), (1..=2000).map(row).collect::<String>()).unwrap();
        let mut folder = Folder::open(dir.path());
        let metrics = Metrics::read(&mut folder, "m.jsonl").unwrap();
        assert_eq!((metrics.steps, metrics.stride, metrics.step.len()), (2000, 2, 1000));
        assert_eq!(metrics.series["loss"][..2], [Some(1.5), Some(3.5)]);
        assert_eq!(metrics.series["loss"][750], None);
        assert_eq!(metrics.end["loss"], 1800.5); // 1601..=2000
        assert!(folder.notes[0].contains("2 value(s) are not a number"), "{:?}", folder.notes);
    }

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let mut values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(quantiles(&mut values), Some([5.0, 25.0, 50.0, 75.0, 95.0]));
        assert_eq!(quantiles(&mut [3.0]), Some([3.0; 5]));
        assert_eq!(quantiles(&mut []), None);
    }

    #[test]
    fn parts_of_an_evaluation_are_found_at_any_depth() {
        let eval = serde_json::json!({"accuracy": 0.5, "by": {"split": {"guided": {"accuracy": 1, "pairs": 3}}, "x": {"accuracy": 0}}});
        let parts = Eval::read(&eval).parts;
        let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, parts[0].1.pairs), (vec!["split: guided", "x"], Some(3)));
    }
}
