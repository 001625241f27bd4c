//! A logistic probe on the policy's hidden states that foresees, from prompt and answer alone, whether the user will be
//! satisfied. It learns from the log's own labels; no one is asked.
//!
//! The log's answers may be another model's, so what holds for them need not hold for the policy's. What can be checked
//! is checked: on conversations that it did not learn from, the probe must be better than chance.

use super::{Job, Scores};
use crate::deep::layers_of;
use crate::files::write_json;
use crate::interrupt;
use crate::policy::Policy;
use crate::run_folder::Stage;
use crate::seeds::subset;
use crate::stages::sample::{Candidate, Task};
use crate::talk::{Talk, Unit};
use crate::tokens::fit;
use anyhow::{Result, bail};
use drift_chat::Split;
use drift_feedback::logistic::{Dense, Example, Linear, fit as fit_logistic};
use drift_feedback::metrics::{Scored, measure};
use drift_lm::Packed;
use drift_text::CompletionMode;
use serde::Serialize;
use std::collections::HashMap;

/// What the stage tells of the probe.
pub const FILE: &str = "probe.json";
/// Answers of a kind that it learns from at most, and as many that it is judged by.
const MOST: usize = 1000;
/// Tokens that are computed at once.
const MICRO_TOKENS: usize = 2048;
/// For each layer: the mean over the answer, and its last state.
const PARTS: usize = 2;
/// Length of a standardised row, and the penalty on the weights that goes with it: the deep tier's.
const LENGTH: f32 = 10.0;
const PENALTY: f64 = 33.0;
/// Numbers that hardly vary are not blown up.
const SMALLEST: f32 = 1e-3;

#[derive(Serialize)]
struct Account {
    trained_on: usize,
    /// Held-out answers, and of them those that satisfied.
    held_out: usize,
    satisfied: usize,
    auroc: Option<f64>,
    /// 95 %, by conversation.
    auroc_low: Option<f64>,
    auroc_high: Option<f64>,
    layers: Vec<usize>,
}

/// A prompt and an answer to it, as ids without the end token: recorded answers have it, cut ones do not.
struct Text {
    prompt: Vec<u32>,
    answer: Vec<u32>,
}

impl Text {
    fn new(policy: &Policy, task: &Task, max_prompt: usize, ids: Option<&[u32]>) -> Option<Text> {
        let fitted = fit(&policy.format, task.prompt, 1, max_prompt).ok().flatten()?;
        let mut answer = match ids {
            Some(ids) => ids.to_vec(),
            None => {
                let text = &task.recorded[0].content;
                policy.format.completion(&fitted.messages, text, CompletionMode::Clean).ok()?.ids
            }
        };
        let stop = policy.format.stop_ids();
        answer.pop_if(|last| stop.contains(last));
        (fitted.ids.len() + answer.len() <= policy.model.context()).then_some(Text { prompt: fitted.ids, answer })
    }
}

pub fn scores(stage: &Stage, job: &Job, answers: &[&[Candidate]], talk: &Talk) -> Result<Vec<Scores>> {
    let policy = (job.policy)()?;
    let layers = layers_of(&policy.model);
    let mut known = Vec::new();
    for split in [Split::Train, Split::HeldOut] {
        for is_good in [true, false] {
            let of_kind = job.judged.iter().filter(|(task, good)| task.split == Some(split) && *good == is_good);
            let some = subset(of_kind.collect(), MOST, job.seed, "probe", |(task, _)| task.id);
            let shown =
                some.iter().filter_map(|(task, _)| Some((*task, Text::new(&policy, task, job.max_prompt, None)?)));
            known.extend(shown.map(|(task, text)| (split, is_good, task, text)));
        }
    }
    let n_train = known.iter().filter(|(split, ..)| *split == Split::Train).count();
    let texts: Vec<&Text> = known.iter().map(|(.., text)| text).collect();
    let rows = states(&policy, &layers, &texts, talk)?;
    let labels: Vec<bool> = known.iter().map(|(_, is_good, ..)| *is_good).collect();
    let probe = Probe::fit(&rows[..n_train], &labels[..n_train]);

    let mut conversations = HashMap::new();
    let scored: Vec<Scored> = (n_train..rows.len())
        .map(|i| {
            let next = conversations.len();
            let group = *conversations.entry(known[i].2.conversation).or_insert(next);
            let score = probe.logit(&rows[i]);
            Scored { score, said: score > 0.0, truth: labels[i], group }
        })
        .collect();
    let found = measure(&scored, job.seed);
    let [low, high] = found.intervals.auroc.map_or([None; 2], |interval| interval.map(Some));
    let account = Account {
        trained_on: n_train,
        held_out: scored.len(),
        satisfied: found.positives,
        auroc: found.auroc,
        auroc_low: low,
        auroc_high: high,
        layers: layers.clone(),
    };
    write_json(&stage.path(FILE), &account)?;
    let (Some(auroc), Some(low), Some(high)) = (found.auroc, low, high) else {
        bail!(
            "method.rank: \"probe\": {} satisfying and {} other held-out answers, expected both kinds to judge it by; hint: \
             raise detect.held_out, or take another rank",
            found.positives,
            scored.len() - found.positives
        );
    };
    let told = format!(
        "foresees the user's verdict on {} held-out answers with AUROC {auroc:.3} (95 % interval {low:.3} to {high:.3}), \
         trained on {n_train}",
        scored.len()
    );
    if low <= 0.5 {
        bail!("method.rank: \"probe\": it {told}, expected an interval above 0.5; hint: more labels, or another rank");
    }
    talk.step("probe", told);

    let tasks: HashMap<&str, &Task> = job.tasks.iter().map(|task| (task.id, task)).collect();
    let mut shown = Vec::new();
    for both in answers {
        let Some(task) = tasks.get(both[0].case.as_str()) else { continue };
        let text = |candidate: &Candidate| Text::new(&policy, task, job.max_prompt, Some(&candidate.ids));
        if let [Some(a), Some(b)] = [&both[0], &both[both.len() - 1]].map(text) {
            shown.push((task.id, [a, b]));
        }
    }
    let texts: Vec<&Text> = shown.iter().flat_map(|(_, both)| both).collect();
    let mut scores = Vec::with_capacity(shown.len());
    // A thousand pairs' states are all that is held.
    for (shown, texts) in shown.chunks(MOST).zip(texts.chunks(2 * MOST)) {
        let rows = states(&policy, &layers, texts, talk)?;
        for ((case, _), rows) in shown.iter().zip(rows.chunks(2)) {
            scores.push(Scores { case: case.to_string(), scores: [0, 1].map(|i| probe.logit(&rows[i])) });
        }
    }
    Ok(scores)
}

/// One pooled row a text.
fn states(policy: &Policy, layers: &[usize], texts: &[&Text], talk: &Talk) -> Result<Vec<Vec<f32>>> {
    let h = policy.model.config().hidden_size;
    let bar = talk.bar("reading hidden states", texts.len() as u64, Unit::Count);
    let mut rows = Vec::with_capacity(texts.len());
    let mut rest = texts;
    while !rest.is_empty() {
        interrupt::check()?;
        let mut tokens = 0;
        let fits = |text: &&&Text| {
            tokens += text.prompt.len() + text.answer.len();
            tokens <= MICRO_TOKENS
        };
        let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        let mut batch = Packed::default();
        let place = |text: &&Text| {
            let parent = batch.push_prompt(&text.prompt);
            let begin = batch.tokens.len() - 1; // what predicts the first word belongs to the answer too
            begin..batch.push_branch(parent, &text.answer).end
        };
        let places: Vec<_> = now.iter().map(place).collect();
        let mut pooled = vec![vec![0.0f32; PARTS * layers.len() * h]; now.len()];
        policy.model.hidden_at(&batch, layers, |l, x| {
            for (row, place) in pooled.iter_mut().zip(&places) {
                let (mean, last) = row[l * PARTS * h..][..PARTS * h].split_at_mut(h);
                let n = place.len() as f32;
                for token in place.clone() {
                    mean.iter_mut().zip(&x[token * h..][..h]).for_each(|(sum, value)| *sum += value / n);
                }
                last.copy_from_slice(&x[(place.end - 1) * h..][..h]);
            }
        });
        rows.extend(pooled);
        bar.inc(now.len() as u64);
        rest = later;
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// Log-odds of satisfaction, linear in a pooled row.
struct Probe {
    mean: Vec<f32>,
    scale: Vec<f32>,
    linear: Linear,
}

impl Probe {
    fn fit(rows: &[Vec<f32>], labels: &[bool]) -> Probe {
        let width = rows.first().map_or(0, Vec::len);
        let over = |f: &dyn Fn(usize, f64) -> f64| -> Vec<f32> {
            let sum = |column: usize| rows.iter().map(|row| f(column, f64::from(row[column]))).sum::<f64>();
            (0..width).map(|column| (sum(column) / rows.len() as f64) as f32).collect()
        };
        let mean = over(&|_, x| x);
        let variance = over(&|column, x| (x - f64::from(mean[column])).powi(2));
        let unit = LENGTH / (width as f32).sqrt();
        let scale: Vec<f32> = variance.iter().map(|v| unit / (v.sqrt() + SMALLEST)).collect();
        let mut probe = Probe { mean, scale, linear: Linear { weights: vec![0.0; width], bias: 0.0 } };
        let mut table = Dense::new(width);
        rows.iter().for_each(|row| table.push(&probe.standardised(row)));
        let example = |(row, &positive)| Example { row, positive, weight: 1.0 };
        let examples: Vec<Example> = labels.iter().enumerate().map(example).collect();
        probe.linear = fit_logistic(&table, &examples, PENALTY);
        probe
    }

    fn standardised(&self, row: &[f32]) -> Vec<f32> {
        row.iter().zip(&self.mean).zip(&self.scale).map(|((x, mean), scale)| (x - mean) * scale).collect()
    }

    fn logit(&self, row: &[f32]) -> f64 {
        let weights = self.linear.weights.iter().zip(self.standardised(row));
        weights.map(|(w, x)| w * f64::from(x)).sum::<f64>() + self.linear.bias
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first number says it all, the second is noise of a large size, the third never changes.
    #[test]
    fn a_probe_finds_the_number_that_tells() {
        let row = |i: usize| vec![if i.is_multiple_of(2) { 0.3 } else { 0.1 }, (i * 37 % 101) as f32, 5.0];
        let rows: Vec<Vec<f32>> = (0..200).map(row).collect();
        let labels: Vec<bool> = (0..200usize).map(|i| i.is_multiple_of(2)).collect();
        let probe = Probe::fit(&rows[..100], &labels[..100]);
        for i in 100..200 {
            assert_eq!(probe.logit(&rows[i]) > 0.0, labels[i], "row {i}");
        }
    }
}
