//! The pass over prompts and the steps after it, for all sequences at once; their keys and values.

use crate::block::{self, Activations, Scratch};
use crate::model::Model;
use crate::packed::Packed;
use drift_kernels::attention::{Cache, KvFormat, Table};
use drift_kernels::{Rows, par};
use std::collections::VecDeque;

/// Sequences in flight, in the order in which they began, and the buffers of prefill and decode.
pub(crate) struct Decoder<'a> {
    model: &'a Model,
    cache: Cache,
    /// Of each sequence.
    tables: Vec<Table>,
    /// Prefilled, and not all of their sequences have begun.
    prompts: VecDeque<Prompt>,
    /// The last prompt's logits whose last sequence began.
    used: Vec<f32>,
    scratch: Scratch,
    keep: Activations,
    x: Vec<f32>,
    last: Vec<f32>,
    rows: Rows,
    logits: Vec<f32>,
    tokens: Vec<u32>,
    positions: Vec<u32>,
}

struct Prompt {
    table: Table,
    /// After its last token, `[V]`.
    logits: Vec<f32>,
}

impl<'a> Decoder<'a> {
    pub fn new(model: &'a Model, kv: KvFormat) -> Decoder<'a> {
        let precision = model.precision();
        Decoder {
            model,
            cache: Cache::new(model.layers.iter().map(|layer| layer.heads).collect(), kv),
            tables: Vec::new(),
            prompts: VecDeque::new(),
            used: Vec::new(),
            scratch: Scratch::new(precision),
            keep: Activations::default(),
            x: Vec::new(),
            last: Vec::new(),
            rows: Rows::new(precision),
            logits: Vec::new(),
            tokens: Vec::new(),
            positions: Vec::new(),
        }
    }

    /// Runs prompts packed and keeps their keys, values and last logits, for sequences to begin with.
    pub fn prefill(&mut self, prompts: &[&[u32]]) {
        let (mut batch, mut tables) = (Packed::default(), Vec::with_capacity(prompts.len()));
        for prompt in prompts {
            batch.push_prompt(prompt);
            let mut table = Table::default();
            self.cache.extend(&mut table, prompt.len());
            tables.push(table);
        }
        par::inside(|| self.run_prompts(&batch, &tables));
        let rows = self.logits.chunks(self.model.config().vocab_size);
        self.prompts.extend(tables.into_iter().zip(rows).map(|(table, row)| Prompt { table, logits: row.to_vec() }));
    }

    fn run_prompts(&mut self, batch: &Packed, tables: &[Table]) {
        self.model.embed(&batch.tokens, &mut self.x);
        for l in 0..self.model.config().num_layers {
            block::forward(self.model, l, batch, &mut self.x, &mut self.keep, &mut self.scratch);
            let ld = self.model.layers[l].heads.width();
            for (table, segment) in tables.iter().zip(&batch.segments) {
                self.cache.remember(l, table, 0, &self.keep.qkv[segment.start * ld..][..segment.len * ld]);
            }
        }
        let h = self.model.config().hidden_size;
        self.last.clear();
        for segment in &batch.segments {
            self.last.extend_from_slice(&self.x[(segment.start + segment.len - 1) * h..][..h]);
        }
        self.model.project(&self.last, &mut self.rows, &mut self.logits);
    }

    /// Begins a sequence with the oldest prompt, which `more` are to begin with too; its logits, `[V]`.
    pub fn begin(&mut self, more: bool) -> &[f32] {
        let prompt = self.prompts.front_mut().expect("a prompt was prefilled for every sequence");
        if more {
            self.tables.push(self.cache.share(&prompt.table));
            return &self.prompts[0].logits;
        }
        self.tables.push(std::mem::take(&mut prompt.table));
        self.used = std::mem::take(&mut prompt.logits);
        self.prompts.pop_front();
        &self.used
    }

    /// Ends a sequence, by its place in the order.
    pub fn end(&mut self, at: usize) {
        let table = self.tables.remove(at);
        self.cache.release(table);
    }

    /// Runs a token of every sequence.
    pub fn step(&mut self, tokens: impl Iterator<Item = u32>) {
        self.tokens.clear();
        self.tokens.extend(tokens);
        self.positions.clear();
        self.positions.extend(self.tables.iter().map(|table| table.len() as u32));
        assert_eq!(self.tokens.len(), self.tables.len(), "a token for each sequence");
        for table in &mut self.tables {
            self.cache.extend(table, 1);
        }
        par::inside(|| self.run_step());
    }

    fn run_step(&mut self) {
        let (model, s, keep) = (self.model, &mut self.scratch, &mut self.keep);
        model.embed(&self.tokens, &mut self.x);
        for l in 0..model.config().num_layers {
            block::project_qkv(model, l, &self.x, &self.positions, &mut s.hidden, &mut keep.raw_qkv, &mut keep.qkv);
            let heads = model.layers[l].heads;
            keep.mixed.resize(self.tokens.len() * heads.queries * heads.dim, 0.0);
            self.cache.decode(l, &self.tables, &keep.qkv, &mut keep.mixed);
            block::project_out(model, l, &keep.mixed, &mut s.mixed, &mut self.x);
            block::mlp(model, l, &mut self.x, s);
        }
        model.project(&self.x, &mut self.rows, &mut self.logits);
    }

    /// After the last step: `[B, V]`, in the order of the sequences.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }
}
