//! Decoding: one new token of a sequence against the keys and values of all before it.
//!
//! The cache has the layout of right operands, so that scores and mixing are products with the query
//! heads of a group as rows, and keys and values are read once for all of them.

use super::Heads;
use crate::elementwise::{exp, sum_of};
use crate::isa::{Isa, vectorized};
use crate::operand::PANEL;
use crate::tile::{Operand, Tile};

/// One layer's keys and values of one sequence.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Positions, a multiple of 32.
    capacity: usize,
    /// `[G, capacity / 32, D, 32]`
    keys: Vec<f32>,
    /// `[G, ⌈D / 32⌉, capacity, 32]`
    values: Vec<f32>,
}

impl Cache {
    pub fn new(heads: Heads, positions: usize) -> Cache {
        let capacity = positions.next_multiple_of(PANEL);
        Cache {
            capacity,
            keys: vec![0.0; heads.keys * capacity * heads.dim],
            values: vec![0.0; heads.keys * capacity * heads.padded()],
        }
    }

    /// Stores the keys and values of a token's row of qkv, `[(N + 2G) D]`, at a position.
    pub fn remember(&mut self, row: &[f32], heads: Heads, position: usize) {
        assert!(position < self.capacity);
        let (dim, capacity) = (heads.dim, self.capacity);
        for g in 0..heads.keys {
            let key = &row[(heads.queries + g) * dim..][..dim];
            let block = &mut self.keys[(g * capacity + position / PANEL * PANEL) * dim..][..dim * PANEL];
            for (l, value) in key.iter().enumerate() {
                block[l * PANEL + position % PANEL] = *value;
            }
            let value = &row[(heads.queries + heads.keys + g) * dim..][..dim];
            for (p, part) in value.chunks(PANEL).enumerate() {
                let at = ((g * heads.padded() / PANEL + p) * capacity + position) * PANEL;
                self.values[at..at + part.len()].copy_from_slice(part);
            }
        }
    }

    /// Attention of the token at position `len - 1`, which is remembered already: `row[(N + 2G) D]` →
    /// `out[N D]`. `scores` is a buffer.
    pub fn decode(&self, row: &[f32], heads: Heads, len: usize, scores: &mut Vec<f32>, out: &mut [f32]) {
        let (dim, padded, share) = (heads.dim, heads.padded(), heads.queries / heads.keys);
        let from = heads.window.map_or(0, |w| len.saturating_sub(w));
        let start = from / PANEL * PANEL;
        let width = len.next_multiple_of(PANEL) - start;
        assert!(len <= self.capacity && row.len() == heads.width() && out.len() == heads.queries * dim);
        scores.resize(share * width, 0.0);
        let mut mixed = vec![0.0f32; share * padded];
        let isa = Isa::current();
        for g in 0..heads.keys {
            // SAFETY: whole blocks of the cache, `share` rows of queries and scores.
            unsafe {
                for at in (start..len).step_by(PANEL) {
                    let b = self.keys[(g * self.capacity + at) * dim..].as_ptr();
                    let (a, c) = (row[g * share * dim..].as_ptr(), scores.as_mut_ptr().add(at - start));
                    f32::rows(isa, Tile { a, lda: dim, b, k: dim, c, ldc: width, accumulate: false }, share);
                }
                for weights in scores.chunks_mut(width) {
                    softmax(weights, from - start, len - start, heads.scale());
                }
                for p in 0..padded / PANEL {
                    let b = self.values[((g * padded / PANEL + p) * self.capacity + start) * PANEL..].as_ptr();
                    let (a, c, k) = (scores.as_ptr(), mixed.as_mut_ptr().add(p * PANEL), len - start);
                    f32::rows(isa, Tile { a, lda: width, b, k, c, ldc: padded, accumulate: false }, share);
                }
            }
            for (out, mixed) in out[g * share * dim..].chunks_mut(dim).zip(mixed.chunks(padded)) {
                out.copy_from_slice(&mixed[..dim]);
            }
        }
    }
}

vectorized! {
    /// Softmax of `scores[lo..hi] · scale`; 0 before and behind.
    fn softmax(scores: &mut [f32], lo: usize, hi: usize, scale: f32) {
        scores[..lo].fill(0.0);
        scores[hi..].fill(0.0);
        let seen = &mut scores[lo..hi];
        let mut lanes = [f32::NEG_INFINITY; 16];
        for part in seen.chunks_mut(16) {
            for (lane, value) in lanes.iter_mut().zip(part.iter_mut()) {
                *value *= scale;
                *lane = if *value > *lane { *value } else { *lane };
            }
        }
        let top = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in seen.iter_mut() {
            *value = exp(*value - top);
        }
        let sum = sum_of(seen.len(), |i| seen[i]);
        for value in seen.iter_mut() {
            *value /= sum;
        }
    }
}
