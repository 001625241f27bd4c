//! Hidden states of a turn, pooled to one row of numbers.
//!
//! For each layer in turn: the mean over the turn's own tokens, the state after "The user", the state where
//! the assistant is to begin, and last, for all layers, the mean over the reply's first words.

use super::view::{Placed, View, push};
use crate::config::sections::Precision;
use crate::files::write;
use crate::interrupt;
use crate::policy::Policy;
use crate::talk::{Talk, Unit};
use anyhow::{Context, Result};
use blake3::Hasher;
use drift_feedback::labelled::Joined;
use drift_feedback::weights_file;
use drift_lm::{Model, Packed};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

/// Tokens of the turns that are computed at once.
const MICRO_TOKENS: usize = 1024;

/// Parts of a row that need no reply, for each layer.
pub const PARTS: usize = 3;

/// Seven, nine and eleven fifteenths of the way up: 14, 18 and 22 of 30 layers.
pub fn layers_of(model: &Model) -> Vec<usize> {
    let all = model.config().num_layers;
    let mut layers: Vec<usize> = [7, 9, 11].iter().map(|share| (all * share).div_ceil(15).max(1)).collect();
    layers.dedup();
    layers
}

pub struct Pooler<'a> {
    model: &'a Model,
    layers: &'a [usize],
}

impl Pooler<'_> {
    pub fn new<'a>(model: &'a Model, layers: &'a [usize]) -> Pooler<'a> {
        Pooler { model, layers }
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        (PARTS + 1) * self.layers.len() * self.model.config().hidden_size
    }

    /// One row a view. A view without a reply has zeros in that place.
    pub fn pool(&self, views: &[&View]) -> Vec<Vec<f32>> {
        let mut rows = Vec::with_capacity(views.len());
        let mut rest = views;
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = |view: &&&View| {
                tokens += view.tokens();
                tokens <= MICRO_TOKENS
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rows.extend(self.batch(now));
            rest = later;
        }
        rows
    }

    fn batch(&self, views: &[&View]) -> Vec<Vec<f32>> {
        let h = self.model.config().hidden_size;
        let mut batch = Packed::default();
        let placed: Vec<Placed> = views.iter().map(|view| push(&mut batch, view)).collect();
        let mut rows = vec![vec![0.0; self.width()]; views.len()];
        self.model.hidden_at(&batch, self.layers, |l, x| {
            for (row, placed) in rows.iter_mut().zip(&placed) {
                let one = |at: usize| at..at + 1;
                let parts = [placed.turn.clone(), one(placed.summary), one(placed.end)];
                for (part, tokens) in parts.into_iter().enumerate() {
                    mean(x, tokens, &mut row[(l * PARTS + part) * h..][..h]);
                }
                mean(x, placed.reply.clone(), &mut row[(self.layers.len() * PARTS + l) * h..][..h]);
            }
        });
        rows
    }
}

/// Mean of the rows `tokens` of `x[T, H]`; zeros for none.
fn mean(x: &[f32], tokens: Range<usize>, out: &mut [f32]) {
    let (h, n) = (out.len(), tokens.len().max(1) as f32);
    for token in tokens {
        out.iter_mut().zip(&x[token * h..][..h]).for_each(|(sum, value)| *sum += value / n);
    }
}

/// The pooled rows of labelled turns, and of which model they are.
pub struct States {
    pub policy: Policy,
    pub layers: Vec<usize>,
    /// Numbers of a row.
    pub width: usize,
    /// One row after the other, in the order of the labels.
    pub rows: Vec<f32>,
    pub has_reply: Vec<bool>,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Header {
    kind: String,
    /// Of everything that the rows depend on.
    of: String,
}

/// Of all turns of `joined`; `file` keeps them, and serves them again to the same model and turns.
///
/// # Errors
/// No such model, a template that refuses a turn, or a file that cannot be written.
pub fn states(path: &Path, precision: Precision, joined: &Joined, file: Option<&Path>, talk: &Talk) -> Result<States> {
    let policy = Policy::load(path, precision)?;
    let layers = layers_of(&policy.model);
    let mut views = Vec::with_capacity(joined.rows.len());
    let mut hasher = Hasher::new();
    hasher.update(policy.weights.as_bytes()).update(format!("{precision:?} {layers:?}").as_bytes());
    let mut has_reply = Vec::new();
    for row in 0..joined.rows.len() {
        let key = joined.rows[row].1.key();
        let (_, turn) = joined.turn(row);
        let view = View::new(&policy.format, &turn).with_context(|| format!("turn {key}"))?;
        has_reply.push(turn.reply.is_some());
        for ids in [&view.prompt, &view.summary, &view.reply] {
            hasher.update(&(ids.len() as u64).to_le_bytes()).update(bytemuck::cast_slice(ids));
        }
        views.push(view);
    }
    let header = Header { kind: "states".into(), of: hasher.finalize().to_hex().to_string() };
    let pooler = Pooler::new(&policy.model, &layers);
    let width = pooler.width();
    let known = file.and_then(|file| read(file, &header, width * views.len()));
    let rows = match known {
        Some(rows) => rows,
        None => {
            let bar = talk.bar("reading hidden states", views.len() as u64, Unit::Count);
            let mut rows = Vec::with_capacity(width * views.len());
            for group in views.chunks(32) {
                interrupt::check()?;
                pooler.pool(&group.iter().collect::<Vec<_>>()).iter().for_each(|row| rows.extend_from_slice(row));
                bar.inc(group.len() as u64);
            }
            bar.finish_and_clear();
            if let Some(file) = file {
                let bytes = weights_file::write(&header, bytemuck::cast_slice(&rows));
                write(file, |out| out.write_all(&bytes))?;
            }
            rows
        }
    };
    Ok(States { policy, layers, width, rows, has_reply })
}

/// `None` where the file is not there, is damaged, or is of other turns or another model.
fn read(file: &Path, wanted: &Header, count: usize) -> Option<Vec<f32>> {
    let bytes = fs_err::read(file).ok()?;
    let (header, mut body): (Header, _) = weights_file::read(&bytes).ok()?;
    let rows = weights_file::take_f32(&mut body, count)?;
    (header == *wanted && body.is_empty()).then_some(rows)
}
