//! A sentence encoder: the BERT architecture (Devlin et al., 2019), mean pooling and unit length, as the
//! sentence-transformers models have them (Reimers and Gurevych, 2019). Token ids in, one vector a text out.
//!
//! ```text
//! x = norm(words[id] + positions[t] + type 0)
//! x = norm(x + attention(x · Wqkv) · Wo)         every token sees the whole text
//! x = norm(x + gelu(x · Wup) · Wdown)
//! ```
//!
//! Texts are packed, not padded, and every sum has one order: a text's vector has the same bits whatever the
//! other texts of the batch and the number of threads.

mod load;

use crate::error::{Error, Result};
use drift_kernels::{Panels, Precision, Rows, elementwise, matmul, norm, par, softmax};
use rayon::prelude::*;

/// Tokens that one task packs at least, where so many are left: weights are read once a task.
const TASK_TOKENS: usize = 256;

pub struct Encoder {
    config: Config,
    /// `[V, H]`
    words: Vec<f32>,
    /// With the vector of token type 0, `[positions, H]`.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_layers: usize,
    num_heads: usize,
    max_positions: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
    /// Of a text, as the model was trained for.
    max_tokens: usize,
}

struct Layer {
    /// B[H, 3H]: queries, keys, values.
    qkv: Linear,
    /// B[H, H]
    out: Linear,
    attention_norm: Norm,
    /// B[H, F]
    up: Linear,
    /// B[F, H]
    down: Linear,
    norm: Norm,
}

struct Linear {
    weight: Panels,
    bias: Vec<f32>,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// `y (+)= rows · weight + bias`
    fn apply(&self, rows: &Rows, y: &mut [f32], accumulate: bool) {
        let n = self.bias.len();
        matmul(rows, &self.weight, y, n, accumulate);
        elementwise::add_bias(y, n, 0, &self.bias);
    }
}

impl Encoder {
    /// H: numbers of a text's vector.
    pub fn hidden_size(&self) -> usize {
        self.config.hidden_size
    }

    /// What a text should be cut to, `[CLS]` and `[SEP]` included: `max_seq_length` of sentence_bert_config.json,
    /// else all positions.
    pub fn max_tokens(&self) -> usize {
        self.config.max_tokens
    }

    /// The mean of each text's [`Encoder::hidden`] states, divided by its length: `[texts, H]`.
    ///
    /// # Errors
    /// A text without tokens or with more than the model has positions, an id beyond its vocabulary, or weights
    /// so large that a vector is not finite.
    pub fn embed(&self, texts: &[&[u32]]) -> Result<Vec<f32>> {
        self.check(texts)?;
        let h = self.config.hidden_size;
        let mut vectors = vec![0.0; texts.len() * h];
        let mut tasks = Vec::new();
        let (mut texts_left, mut vectors_left) = (texts, &mut vectors[..]);
        while !texts_left.is_empty() {
            let (these, others) = texts_left.split_at(texts_of_a_task(texts_left));
            let (mine, rest) = vectors_left.split_at_mut(these.len() * h);
            tasks.push((these, mine));
            (texts_left, vectors_left) = (others, rest);
        }
        par::inside(|| {
            tasks.into_par_iter().with_max_len(1).for_each(|(texts, vectors)| {
                let states = self.states(texts);
                let mut states = &states[..];
                for (ids, vector) in texts.iter().zip(vectors.chunks_mut(h)) {
                    let (own, others) = states.split_at(ids.len() * h);
                    direction(own, vector);
                    states = others;
                }
            });
        });
        match vectors.iter().position(|x| !x.is_finite()) {
            None => Ok(vectors),
            Some(at) => Err(Error::new(format!("encoder: text {}", at / h), "has no finite vector, expected one")
                .hint("the model's weights are too large for f32")),
        }
    }

    /// Hidden states of each token of a text after the last layer, `[T, H]`.
    ///
    /// # Errors
    /// As [`Encoder::embed`], but for numbers that are not finite.
    pub fn hidden(&self, text: &[u32]) -> Result<Vec<f32>> {
        self.check(&[text])?;
        Ok(par::inside(|| self.states(&[text])))
    }

    fn check(&self, texts: &[&[u32]]) -> Result<()> {
        let c = &self.config;
        for (i, ids) in texts.iter().enumerate() {
            let bad = |what: String| Err(Error::new(format!("encoder: text {i}"), what));
            if !(1..=c.max_positions).contains(&ids.len()) {
                let what = format!("has {} tokens, expected 1 to {}", ids.len(), c.max_positions);
                return bad(what);
            }
            if let Some(at) = ids.iter().position(|&id| id as usize >= c.vocab_size) {
                return bad(format!("token {at} has id {}, expected less than {}", ids[at], c.vocab_size));
            }
        }
        Ok(())
    }

    /// States of packed texts after the last layer, `[T, H]`.
    fn states(&self, texts: &[&[u32]]) -> Vec<f32> {
        let (h, f, eps) = (self.config.hidden_size, self.config.intermediate_size, self.config.layer_norm_eps);
        let mut x = self.embeddings(texts);
        let tokens = x.len() / h;
        let (mut rows, mut wide) = (Rows::new(Precision::F32), Rows::new(Precision::F32));
        let (mut qkv, mut mixed, mut inner) = (vec![0.0; tokens * 3 * h], vec![0.0; tokens * h], vec![0.0; tokens * f]);
        let mut attention = Attention::new(h, self.config.num_heads);
        for layer in &self.layers {
            rows.load(&x, tokens, h, h);
            layer.qkv.apply(&rows, &mut qkv, false);
            let mut from = 0;
            for ids in texts {
                let to = from + ids.len();
                attention.forward(&qkv[3 * h * from..3 * h * to], &mut mixed[h * from..h * to]);
                from = to;
            }
            rows.load(&mixed, tokens, h, h);
            layer.out.apply(&rows, &mut x, true);
            norm::layer(&mut x, &layer.attention_norm.weight, &layer.attention_norm.bias, eps);
            rows.load(&x, tokens, h, h);
            layer.up.apply(&rows, &mut inner, false);
            elementwise::gelu(&inner, f, &mut wide);
            layer.down.apply(&wide, &mut x, true);
            norm::layer(&mut x, &layer.norm.weight, &layer.norm.bias, eps);
        }
        x
    }

    /// `x[T, H]` before the first layer.
    fn embeddings(&self, texts: &[&[u32]]) -> Vec<f32> {
        let h = self.config.hidden_size;
        let mut x = Vec::with_capacity(texts.iter().map(|ids| ids.len()).sum::<usize>() * h);
        for ids in texts {
            for (&id, position) in ids.iter().zip(self.positions.chunks(h)) {
                let word = &self.words[id as usize * h..][..h];
                x.extend(word.iter().zip(position).map(|(a, b)| a + b));
            }
        }
        norm::layer(&mut x, &self.norm.weight, &self.norm.bias, self.config.layer_norm_eps);
        x
    }
}

/// How many of `texts`, at least one, make a task.
fn texts_of_a_task(texts: &[&[u32]]) -> usize {
    let mut tokens = 0;
    let full = texts.iter().position(|ids| {
        tokens += ids.len();
        tokens >= TASK_TOKENS
    });
    full.map_or(texts.len(), |last| last + 1)
}

/// The sum of `states[T, H]`, and so their mean, divided by its length; zeros stay zeros.
fn direction(states: &[f32], vector: &mut [f32]) {
    for state in states.chunks(vector.len()) {
        elementwise::add(vector, state);
    }
    // In f64, where no square of an f32 overflows or vanishes.
    let length = vector.iter().map(|&x| x as f64 * x as f64).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (*x as f64 / length) as f32);
    }
}

/// Operands of the attention of one text.
struct Attention {
    heads: usize,
    dim: usize,
    queries: Rows,
    /// One head's keys, `[T, D]`.
    head_keys: Vec<f32>,
    /// B[D, T]
    keys: Panels,
    /// B[T, D]
    values: Panels,
    /// `[T, T]`
    scores: Vec<f32>,
    weights: Rows,
}

impl Attention {
    fn new(hidden: usize, heads: usize) -> Attention {
        Attention {
            heads,
            dim: hidden / heads,
            queries: Rows::new(Precision::F32),
            head_keys: Vec::new(),
            keys: Panels::new(Precision::F32),
            values: Panels::new(Precision::F32),
            scores: Vec::new(),
            weights: Rows::new(Precision::F32),
        }
    }

    /// `qkv[T, 3H]` of one text → `out[T, H]`
    fn forward(&mut self, qkv: &[f32], out: &mut [f32]) {
        let (d, h) = (self.dim, self.dim * self.heads);
        let tokens = out.len() / h;
        let scale = 1.0 / (d as f32).sqrt();
        self.scores.resize(tokens * tokens, 0.0);
        self.keys.shape_to(d, tokens);
        self.values.shape_to(tokens, d);
        for head in 0..self.heads {
            self.queries.load(&qkv[head * d..], tokens, d, 3 * h);
            self.head_keys.clear();
            for row in qkv.chunks(3 * h) {
                self.head_keys.extend_from_slice(&row[h + head * d..][..d]);
            }
            self.keys.set_columns(0, &self.head_keys, tokens);
            self.values.set_rows(0, &qkv[2 * h + head * d..], tokens, 3 * h);
            matmul(&self.queries, &self.keys, &mut self.scores, tokens, false);
            let scores = &self.scores;
            self.weights.fill(tokens, tokens, |t, row| softmax::row(&scores[t * tokens..][..tokens], scale, row));
            matmul(&self.weights, &self.values, &mut out[head * d..], h, false);
        }
    }
}
