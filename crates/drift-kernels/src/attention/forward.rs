use super::pack::{ByDim, ByToken, Left, Matrix, Score, Units};
use super::{BLOCK, FORWARD, Heads, ROWS, Segment, continues, row_blocks, seen, visible};
use crate::elementwise::{exp2, largest, sum_of};
use crate::isa::{Isa, vectorized};
use crate::operand::{PANEL, Precision};
use crate::par::{self, Shared};
use crate::tile::{Mixing, Tile};
use std::f32::consts::{LN_2, LOG2_E};

/// Buffers of the forward pass, reused from layer to layer, and the precision of its products.
#[derive(Debug)]
pub struct Forward(Work);

#[derive(Debug)]
enum Work {
    F32(Operands<f32, f32>),
    Bf16(Operands<i16, u16>),
}

#[derive(Debug, Default)]
struct Operands<S, E> {
    queries: Left<S>,
    query_units: Units,
    keys: ByToken<S>,
    key_units: Units,
    values: ByDim<E>,
    /// Blocks of queries: (segment, first token within it, count).
    blocks: Vec<(usize, usize, usize)>,
}

impl Forward {
    pub fn new(precision: Precision) -> Forward {
        Forward(match precision {
            Precision::F32 | Precision::Bf16x3 => Work::F32(Operands::default()),
            Precision::Bf16 | Precision::Int16 | Precision::Int8 => Work::Bf16(Operands::default()),
        })
    }
}

/// `qkv[T, (N + 2G) D]` → `out[T, N D]` and `lse[N, T]`, the log of each query's sum of exponentials.
pub fn forward(work: &mut Forward, qkv: &[f32], heads: Heads, segments: &[Segment], out: &mut [f32], lse: &mut [f32]) {
    let products = 2 * 2 * visible(segments, heads.window) * heads.dim * heads.queries;
    let _span = FORWARD.start(products, (qkv.len() + out.len()) * 4);
    match &mut work.0 {
        Work::F32(operands) => operands.forward(qkv, heads, segments, out, lse),
        Work::Bf16(operands) => operands.forward(qkv, heads, segments, out, lse),
    }
}

impl<S: Score, E: Mixing> Operands<S, E> {
    fn forward(&mut self, qkv: &[f32], heads: Heads, segments: &[Segment], out: &mut [f32], lse: &mut [f32]) {
        let (ld, dim, n, g) = (heads.width(), heads.dim, heads.queries, heads.keys);
        let tokens = qkv.len() / ld;
        assert!(out.len() == tokens * n * dim && lse.len() == n * tokens);
        let part = |head, heads| Matrix { x: qkv, ld, head, heads, dim };
        self.query_units.measure::<S>(part(0, n));
        self.queries.pack_in(part(0, n), &self.query_units);
        self.key_units.measure::<S>(part(n, g));
        self.keys.pack_in(part(n, g), &self.key_units, segments);
        self.values.pack(part(n + g, g), segments);
        row_blocks(segments, &mut self.blocks);
        let (out, lse, isa) = (Shared::new(out), Shared::new(lse), Isa::current());
        par::tasks(self.blocks.len() * n, |task| {
            let block = self.blocks[task / n];
            par::with_floats(ROWS * heads.padded(), |mixed| {
                self.block(isa, heads, segments, block, task % n, tokens, mixed, out, lse);
            });
        });
    }

    /// One head's outputs of one block of queries.
    fn block(
        &self,
        isa: Isa,
        heads: Heads,
        segments: &[Segment],
        (s, first, rows): (usize, usize, usize),
        head: usize,
        tokens: usize,
        mixed: &mut [f32],
        out: Shared<f32>,
        lse: Shared<f32>,
    ) {
        let (dim, padded) = (heads.dim, heads.padded());
        let group = head / (heads.queries / heads.keys);
        let position = segments[s].position + first;
        let token = segments[s].start + first;
        let mut factors = [0.0f32; ROWS];
        self.query_units.read(token, head, &mut factors[..rows]);
        factors.iter_mut().for_each(|factor| *factor *= heads.scale() * LOG2_E);
        let mut scores = [0.0f32; ROWS * BLOCK];
        let mut weights = [E::default(); ROWS * BLOCK];
        let (mut max, mut sum) = ([f32::NEG_INFINITY; ROWS], [0.0f32; ROWS]);
        for from in (0..=s).filter(|&from| continues(segments, s, from)) {
            let source = &segments[from];
            for at in (0..source.len).step_by(BLOCK) {
                let n = BLOCK.min(source.len - at);
                let mut ranges = [(0, 0); ROWS];
                for r in 0..rows {
                    ranges[r] = seen(position + r, source.position + at, n, heads.window);
                }
                // Later rows see later keys: whole panels behind the last key seen are left out.
                let n = ranges[rows - 1].1;
                if ranges[..rows].iter().all(|(lo, hi)| lo >= hi) {
                    continue;
                }
                let mut units = [0.0f32; BLOCK];
                self.key_units.read(source.start + at, group, &mut units[..n]);
                let width = n.next_multiple_of(PANEL);
                // SAFETY: the pointers stay within the packed operands and the local buffers.
                unsafe {
                    let (a, lda, k) = (self.queries.row(token, head), self.queries.ld, self.keys.depth);
                    for p in (0..width).step_by(PANEL) {
                        let b = self.keys.panel(group, from, at + p);
                        let c = scores.as_mut_ptr().add(p);
                        S::rows(isa, Tile { a, lda, b, k, c, ldc: BLOCK, accumulate: false }, rows);
                    }
                    let ranges = &ranges[..rows];
                    soften::<E>(
                        &mut scores,
                        width,
                        ranges,
                        &factors,
                        &units,
                        &mut max,
                        &mut sum,
                        mixed,
                        padded,
                        &mut weights,
                    );
                    for p in 0..padded / PANEL {
                        let (a, b) = (weights.as_ptr(), self.values.panel(group, p, from, at));
                        let c = mixed.as_mut_ptr().add(p * PANEL);
                        E::rows(isa, Tile { a, lda: BLOCK, b, k: width, c, ldc: padded, accumulate: true }, rows);
                    }
                }
            }
        }
        for r in 0..rows {
            let t = token + r;
            // SAFETY: this task alone writes its tokens' part of this head.
            unsafe {
                *lse.at(head * tokens + t) = max[r] * LN_2 + sum[r].ln();
                let row = out.slice(t * heads.queries * dim + head * dim, dim);
                for (o, m) in row.iter_mut().zip(&mixed[r * padded..]) {
                    *o = m / sum[r];
                }
            }
        }
    }
}

vectorized! {
    /// One step of the online softmax, on the first `width` columns: weights become
    /// `2^(score · factor · unit - max)`, 0 where unseen; what was mixed so far is brought to the new
    /// maximum.
    fn soften<E: Mixing>(
        scores: &mut [f32; ROWS * BLOCK], width: usize, ranges: &[(usize, usize)], factors: &[f32; ROWS],
        units: &[f32; BLOCK], max: &mut [f32; ROWS], sum: &mut [f32; ROWS], mixed: &mut [f32], padded: usize,
        weights: &mut [E; ROWS * BLOCK],
    ) {
        let (units, _) = units[..width].as_chunks::<16>();
        for (r, &(lo, hi)) in ranges.iter().enumerate() {
            let (row, _) = scores[r * BLOCK..][..width].as_chunks_mut::<16>();
            let (out, _) = weights[r * BLOCK..][..width].as_chunks_mut::<16>();
            if lo >= hi {
                out.as_flattened_mut().fill(E::default());
                continue;
            }
            let factor = factors[r];
            let mut lanes = [f32::NEG_INFINITY; 16];
            let whole = lo == 0 && hi == width;
            for (row, units) in row.iter_mut().zip(units) {
                for j in 0..16 {
                    row[j] = row[j] * factor * units[j];
                }
            }
            if !whole {
                row.as_flattened_mut()[..lo].fill(f32::NEG_INFINITY);
                row.as_flattened_mut()[hi..].fill(f32::NEG_INFINITY);
            }
            for row in row.iter() {
                for j in 0..16 {
                    lanes[j] = if row[j] > lanes[j] { row[j] } else { lanes[j] };
                }
            }
            let top = largest(lanes);
            let top = if top > max[r] { top } else { max[r] };
            let mut lanes = [0.0f32; 16];
            for (row, out) in row.iter().zip(out.iter_mut()) {
                for j in 0..16 {
                    let weight = exp2(row[j] - top);
                    let weight = if whole || row[j] > f32::NEG_INFINITY { weight } else { 0.0 };
                    lanes[j] += weight;
                    out[j] = E::of(weight);
                }
            }
            if top > max[r] {
                let shrink = exp2(max[r] - top);
                sum[r] *= shrink;
                for m in &mut mixed[r * padded..][..padded] {
                    *m *= shrink;
                }
                max[r] = top;
            }
            sum[r] += sum_of(16, |j| lanes[j]);
        }
    }
}
