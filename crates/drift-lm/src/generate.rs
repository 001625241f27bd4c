//! Sampling many sequences at once: prompts are prefilled packed, then all active sequences decode
//! together, a token each a step; a sequence that ends makes room for the next. Requests with the same
//! prompt are drawn one after another: it is prefilled once, its keys and values are kept once, and a step reads them once for a few of them.

use crate::decoder::Decoder;
use crate::model::Model;
use crate::sampler::{Sampling, draw, uniform};
use drift_kernels::attention::KvFormat;
use drift_kernels::par;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Request {
    /// At least one token; prompt and `max_new` together fit the model's context.
    pub prompt: Vec<u32>,
    pub max_new: usize,
    /// Seeds this request's draws, whatever the others are.
    pub seed: u64,
}

/// How requests are decoded. `concurrency.into()` keeps keys and values as they are.
#[derive(Clone, Copy, Debug)]
pub struct Decoding {
    /// Sequences at once; changes no sample.
    pub concurrency: usize,
    /// Anything but f32 changes samples a little.
    pub kv: KvFormat,
}

impl From<usize> for Decoding {
    fn from(concurrency: usize) -> Decoding {
        Decoding { concurrency, kv: KvFormat::F32 }
    }
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

/// Draws every request. `on_done` gets each as it finishes, by its index; `Break` ends the work. Returns the
/// time that reading prompts took.
pub fn generate(
    model: &Model,
    requests: &[Request],
    sampling: &Sampling,
    stop: &[u32],
    decoding: impl Into<Decoding>,
    on_done: &mut dyn FnMut(usize, Sample) -> ControlFlow<()>,
) -> Duration {
    let Decoding { concurrency, kv } = decoding.into();
    let mut queue = Queue::new(model, requests);
    let mut decoder = Decoder::new(model, kv);
    let mut active: Vec<Sequence> = Vec::new();
    loop {
        while active.len() < concurrency.max(1) && queue.next < queue.order.len() {
            let room = concurrency.max(1) - active.len();
            queue.admit(room, &mut decoder, sampling, &mut active);
        }
        let mut i = 0;
        while i < active.len() {
            let sequence = &active[i];
            let ended = sequence.ids.last().is_some_and(|id| stop.contains(id));
            if ended || sequence.ids.len() >= sequence.request.max_new {
                let finish = if ended { Finish::Stop } else { Finish::Length };
                let Sequence { index, ids, .. } = active.remove(i);
                decoder.end(i);
                if on_done(index, Sample { ids, finish }).is_break() {
                    return queue.reading;
                }
            } else {
                i += 1;
            }
        }
        if !active.is_empty() {
            let tokens = active.iter().map(|sequence| sequence.ids[sequence.ids.len() - 1]);
            decoder.step(tokens);
            let rows = decoder.logits().par_chunks(model.config().vocab_size);
            par::inside(|| {
                active.par_iter_mut().zip(rows).for_each(|(sequence, logits)| sequence.draw(logits, sampling))
            });
        } else if queue.next == queue.order.len() {
            return queue.reading;
        }
    }
}

/// One request in flight.
struct Sequence<'a> {
    index: usize,
    request: &'a Request,
    ids: Vec<u32>,
    /// A buffer of drawing.
    candidates: Vec<(f64, u32)>,
}

impl Sequence<'_> {
    fn draw(&mut self, logits: &[f32], sampling: &Sampling) {
        let u = uniform(self.request.seed, self.ids.len() as u64);
        self.ids.push(draw(logits, sampling, u, &mut self.candidates));
    }
}

/// The requests that wait, those of one prompt together.
struct Queue<'a> {
    requests: &'a [Request],
    order: Vec<usize>,
    next: usize,
    /// Whether the prompt before `next` is the next one's too, and prefilled.
    ready: bool,
    /// Time that prompts took.
    reading: Duration,
}

impl<'a> Queue<'a> {
    fn new(model: &Model, requests: &'a [Request]) -> Queue<'a> {
        let mut first: HashMap<&[u32], usize> = HashMap::new();
        for (i, Request { prompt, max_new, .. }) in requests.iter().enumerate() {
            let (len, context) = (prompt.len() + max_new, model.context());
            assert!(!prompt.is_empty() && len <= context, "{len} tokens, context {context}");
            first.entry(prompt).or_insert(i);
        }
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|&i| first[&requests[i].prompt[..]]);
        Queue { requests, order, next: 0, ready: false, reading: Duration::ZERO }
    }

    fn same_prompt(&self, at: usize, other: usize) -> bool {
        let prompt = |at: usize| self.order.get(at).map(|&i| &self.requests[i].prompt);
        prompt(at) == prompt(other)
    }

    /// Starts up to `room` requests, as many as are prefilled at once.
    fn admit(&mut self, room: usize, decoder: &mut Decoder, sampling: &Sampling, active: &mut Vec<Sequence<'a>>) {
        let requests = self.requests;
        let first = self.next;
        let (mut prompts, mut tokens): (Vec<&[u32]>, usize) = (Vec::new(), 0);
        while self.next < self.order.len() && self.next - first < room {
            let known = if self.next == first { self.ready } else { self.same_prompt(self.next - 1, self.next) };
            if !known {
                let prompt = &requests[self.order[self.next]].prompt;
                tokens += prompt.len();
                if !prompts.is_empty() && tokens > PREFILL_TOKENS {
                    break;
                }
                prompts.push(prompt);
            }
            self.next += 1;
        }
        if !prompts.is_empty() {
            let start = Instant::now();
            decoder.prefill(&prompts);
            self.reading += start.elapsed();
        }
        for at in first..self.next {
            let index = self.order[at];
            let request = &requests[index];
            let mut sequence =
                Sequence { index, request, ids: Vec::with_capacity(request.max_new), candidates: Vec::new() };
            let more = self.same_prompt(at, at + 1);
            let logits = decoder.begin(more);
            sequence.draw(logits, sampling);
            active.push(sequence);
            self.ready = more;
        }
    }
}
