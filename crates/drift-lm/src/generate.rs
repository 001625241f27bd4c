//! Sampling many sequences at once: prompts are prefilled packed, then all active sequences decode
//! together, a token each a step; a sequence that ends makes room for the next.

use crate::block::{self, Activations, Scratch};
use crate::model::Model;
use crate::packed::Packed;
use crate::sampler::{Sampling, draw, uniform};
use drift_kernels::Rows;
use drift_kernels::attention::Cache;
use rayon::prelude::*;
use std::ops::ControlFlow;

#[derive(Clone, Debug)]
pub struct Request {
    /// At least one token; prompt and `max_new` together fit the model's context.
    pub prompt: Vec<u32>,
    pub max_new: usize,
    /// Seeds this request's draws, whatever the others are.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// A stop token was drawn; it is the last id.
    Stop,
    /// `max_new` tokens without one.
    Length,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub ids: Vec<u32>,
    pub finish: Finish,
}

/// Prompt tokens that are prefilled at once, unless a single prompt is longer.
const PREFILL_TOKENS: usize = 4096;

/// Draws every request, at most `concurrency` at a time. `on_done` gets each as it finishes, by its
/// index; `Break` ends the work.
pub fn generate(
    model: &Model,
    requests: &[Request],
    sampling: &Sampling,
    stop: &[u32],
    concurrency: usize,
    on_done: &mut dyn FnMut(usize, Sample) -> ControlFlow<()>,
) {
    let mut decoder = Decoder::new(model);
    let mut active: Vec<Sequence> = Vec::new();
    let mut next = 0;
    loop {
        while next < requests.len() && active.len() < concurrency.max(1) {
            let room = concurrency.max(1) - active.len();
            let mut tokens = 0;
            let first = next;
            while next < requests.len() && next - first < room {
                tokens += requests[next].prompt.len();
                if next > first && tokens > PREFILL_TOKENS {
                    break;
                }
                next += 1;
            }
            let mut new: Vec<Sequence> = (first..next).map(|i| Sequence::new(model, i, &requests[i])).collect();
            decoder.prefill(requests, &mut new);
            decoder.draw(requests, sampling, &mut new);
            active.append(&mut new);
        }
        let mut still = Vec::with_capacity(active.len());
        for sequence in active {
            let request = &requests[sequence.request];
            let ended = sequence.ids.last().is_some_and(|id| stop.contains(id));
            if ended || sequence.ids.len() >= request.max_new {
                let finish = if ended { Finish::Stop } else { Finish::Length };
                if on_done(sequence.request, Sample { ids: sequence.ids, finish }).is_break() {
                    return;
                }
            } else {
                still.push(sequence);
            }
        }
        active = still;
        if active.is_empty() {
            if next == requests.len() {
                return;
            }
            continue;
        }
        decoder.step(&mut active);
        decoder.draw(requests, sampling, &mut active);
    }
}

/// One request in flight.
struct Sequence {
    request: usize,
    ids: Vec<u32>,
    /// Of each layer.
    caches: Vec<Cache>,
    /// Positions in the caches.
    len: usize,
    /// A buffer of the attention.
    scores: Vec<f32>,
}

impl Sequence {
    fn new(model: &Model, request: usize, of: &Request) -> Sequence {
        let capacity = of.prompt.len() + of.max_new;
        assert!(!of.prompt.is_empty() && capacity <= model.context(), "{capacity} tokens, context {}", model.context());
        let caches = model.layers.iter().map(|layer| Cache::new(layer.heads, capacity)).collect();
        Sequence { request, ids: Vec::new(), caches, len: 0, scores: Vec::new() }
    }
}

/// The buffers of prefill and decode.
struct Decoder<'a> {
    model: &'a Model,
    scratch: Scratch,
    keep: Activations,
    x: Vec<f32>,
    last: Vec<f32>,
    rows: Rows,
    /// Logits of the sequences at hand, `[B, V]`.
    logits: Vec<f32>,
}

impl<'a> Decoder<'a> {
    fn new(model: &'a Model) -> Decoder<'a> {
        let precision = model.precision();
        Decoder {
            model,
            scratch: Scratch::new(precision),
            keep: Activations::default(),
            x: Vec::new(),
            last: Vec::new(),
            rows: Rows::new(precision),
            logits: Vec::new(),
        }
    }

    /// Runs the prompts packed, fills the caches, leaves the logits after each prompt.
    fn prefill(&mut self, requests: &[Request], sequences: &mut [Sequence]) {
        let mut batch = Packed::default();
        for sequence in sequences.iter_mut() {
            let prompt = &requests[sequence.request].prompt;
            batch.push_prompt(prompt);
            sequence.len = prompt.len();
        }
        self.model.embed(&batch.tokens, &mut self.x);
        for l in 0..self.model.config().num_layers {
            block::forward(self.model, l, &batch, &mut self.x, &mut self.keep, &mut self.scratch);
            let heads = self.model.layers[l].heads;
            let (ld, qkv) = (heads.width(), &self.keep.qkv);
            sequences.par_iter_mut().zip(&batch.segments).for_each(|(sequence, segment)| {
                for t in 0..segment.len {
                    sequence.caches[l].remember(&qkv[(segment.start + t) * ld..][..ld], heads, t);
                }
            });
        }
        let h = self.model.config().hidden_size;
        self.last.clear();
        for segment in &batch.segments {
            self.last.extend_from_slice(&self.x[(segment.start + segment.len - 1) * h..][..h]);
        }
        self.model.project(&self.last, &mut self.rows, &mut self.logits);
    }

    /// Runs the last drawn token of every sequence, leaves the logits after it.
    fn step(&mut self, sequences: &mut [Sequence]) {
        let model = self.model;
        let tokens: Vec<u32> = sequences.iter().map(|s| s.ids[s.ids.len() - 1]).collect();
        let positions: Vec<u32> = sequences.iter().map(|s| s.len as u32).collect();
        model.embed(&tokens, &mut self.x);
        let (s, keep) = (&mut self.scratch, &mut self.keep);
        for l in 0..model.config().num_layers {
            block::project_qkv(model, l, &self.x, &positions, &mut s.hidden, &mut keep.raw_qkv, &mut keep.qkv);
            let heads = model.layers[l].heads;
            let width = heads.queries * heads.dim;
            keep.mixed.resize(sequences.len() * width, 0.0);
            let rows = keep.qkv.par_chunks(heads.width()).zip(keep.mixed.par_chunks_mut(width));
            sequences.par_iter_mut().zip(rows).for_each(|(sequence, (row, mixed))| {
                let cache = &mut sequence.caches[l];
                cache.remember(row, heads, sequence.len);
                cache.decode(row, heads, sequence.len + 1, &mut sequence.scores, mixed);
            });
            block::project_out(model, l, &keep.mixed, &mut s.mixed, &mut self.x);
            block::mlp(model, l, &mut self.x, &mut s.hidden, &mut s.inner, &mut keep.gate_up);
        }
        for sequence in sequences.iter_mut() {
            sequence.len += 1;
        }
        model.project(&self.x, &mut self.rows, &mut self.logits);
    }

    /// One token for each sequence, from its row of the logits.
    fn draw(&mut self, requests: &[Request], sampling: &Sampling, sequences: &mut [Sequence]) {
        let rows = self.logits.par_chunks(self.model.config().vocab_size);
        sequences.par_iter_mut().zip(rows).for_each(|(sequence, logits)| {
            let seed = requests[sequence.request].seed;
            let u = uniform(seed, sequence.ids.len() as u64);
            sequence.ids.push(draw(logits, sampling, u));
        });
    }
}
