//! What decoding would have said to given answers: the measure of a format of keys and values.

use crate::decoder::Decoder;
use crate::model::Model;
use drift_kernels::attention::KvFormat;
use drift_kernels::{par, softmax};
use rayon::prelude::*;

/// Log-probability of every token of each answer after its prompt, token by token as `generate` computes
/// them; all sequences at once.
///
/// # Panics
/// If a prompt or an answer is empty, or both are longer than the model's context.
pub fn decoded_logps(model: &Model, sequences: &[(&[u32], &[u32])], kv: KvFormat) -> Vec<Vec<f32>> {
    let fits = |(prompt, answer): &(&[u32], &[u32])| {
        !prompt.is_empty() && !answer.is_empty() && prompt.len() + answer.len() <= model.context()
    };
    assert!(sequences.iter().all(fits), "sequences with prompt and answer, within the context");
    let mut logps: Vec<Vec<f32>> = vec![Vec::new(); sequences.len()];
    let mut decoder = Decoder::new(model, kv);
    for (i, (prompt, answer)) in sequences.iter().enumerate() {
        decoder.prefill(&[prompt]);
        logps[i].push(logp(decoder.begin(false), answer[0]));
    }
    let mut active: Vec<usize> = (0..sequences.len()).collect();
    loop {
        for at in (0..active.len()).rev() {
            if logps[active[at]].len() == sequences[active[at]].1.len() {
                active.remove(at);
                decoder.end(at);
            }
        }
        if active.is_empty() {
            return logps;
        }
        decoder.step(active.iter().map(|&i| sequences[i].1[logps[i].len() - 1]));
        let rows = decoder.logits().par_chunks(model.config().vocab_size);
        let next = |(&i, row): (&usize, &[f32])| logp(row, sequences[i].1[logps[i].len()]);
        let next: Vec<f32> = par::inside(|| active.par_iter().zip(rows).map(next).collect());
        for (&i, logp) in active.iter().zip(next) {
            logps[i].push(logp);
        }
    }
}

fn logp(logits: &[f32], token: u32) -> f32 {
    let max = softmax::max(logits);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
    (f64::from(logits[token as usize] - max) - sum.ln()) as f32
}
