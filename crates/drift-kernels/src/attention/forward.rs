use super::pack::{ByDim, ByToken, Left};
use super::{BLOCK, FORWARD, Heads, ROWS, Segment, lineage, row_blocks, seen, visible};
use crate::elementwise::{exp, sum_of};
use crate::isa::{Isa, vectorized};
use crate::operand::{PANEL, Precision};
use crate::par::{self, Shared};
use crate::tile::{Operand, Tile};

/// Buffers of the forward pass, reused from layer to layer, and the precision of its products.
#[derive(Debug)]
pub struct Forward(Work);

#[derive(Debug)]
enum Work {
    F32(Operands<f32>),
    Bf16(Operands<u16>),
}

#[derive(Debug, Default)]
struct Operands<E> {
    rows: Left<f32>,
    keys: ByToken<f32>,
    values: ByDim<E>,
}

impl Forward {
    pub fn new(precision: Precision) -> Forward {
        Forward(match precision {
            Precision::F32 | Precision::Bf16x3 => Work::F32(Operands::default()),
            Precision::Bf16 => Work::Bf16(Operands::default()),
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

impl<E: Operand> Operands<E> {
    fn forward(&mut self, qkv: &[f32], heads: Heads, segments: &[Segment], out: &mut [f32], lse: &mut [f32]) {
        let (ld, dim, n, g) = (heads.width(), heads.dim, heads.queries, heads.keys);
        let tokens = qkv.len() / ld;
        assert!(out.len() == tokens * n * dim && lse.len() == n * tokens);
        self.rows.pack(qkv, ld, dim);
        self.keys.pack(qkv, ld, n, g, dim, segments);
        self.values.pack(qkv, ld, n + g, g, dim, segments);
        let blocks = row_blocks(segments);
        let (out, lse, isa) = (Shared::new(out), Shared::new(lse), Isa::current());
        par::tasks(blocks.len() * n, |task| {
            let (s, first, rows) = blocks[task / n];
            self.block(isa, heads, segments, (s, first, rows), task % n, tokens, out, lse);
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
        out: Shared<f32>,
        lse: Shared<f32>,
    ) {
        let (dim, padded) = (heads.dim, heads.padded());
        let group = head / (heads.queries / heads.keys);
        let position = segments[s].position + first;
        let token = segments[s].start + first;
        let mut scores = [0.0f32; ROWS * BLOCK];
        let mut weights = [E::default(); ROWS * BLOCK];
        let mut mixed = vec![0.0f32; ROWS * padded];
        let (mut max, mut sum) = ([f32::NEG_INFINITY; ROWS], [0.0f32; ROWS]);
        for from in lineage(segments, s) {
            let source = &segments[from];
            for at in (0..source.len).step_by(BLOCK) {
                let n = BLOCK.min(source.len - at);
                let mut ranges = [(0, 0); ROWS];
                for r in 0..rows {
                    ranges[r] = seen(position + r, source.position + at, n, heads.window);
                }
                if ranges[..rows].iter().all(|(lo, hi)| lo >= hi) {
                    continue;
                }
                // SAFETY: the pointers stay within the packed operands and the local buffers.
                unsafe {
                    let (a, lda, k) = (self.rows.row(token, head), self.rows.ld, self.keys.depth);
                    for p in (0..n).step_by(PANEL) {
                        let b = self.keys.panel(group, from, at + p);
                        let c = scores.as_mut_ptr().add(p);
                        f32::rows(isa, Tile { a, lda, b, k, c, ldc: BLOCK, accumulate: false }, rows);
                    }
                    soften(&mut scores, &ranges[..rows], heads.scale(), &mut max, &mut sum, &mut mixed, padded);
                    E::narrow(&scores, &mut weights);
                    for p in 0..padded / PANEL {
                        let (a, b) = (weights.as_ptr(), self.values.panel(group, p, from, at));
                        let (c, k) = (mixed.as_mut_ptr().add(p * PANEL), n.next_multiple_of(E::K));
                        E::rows(isa, Tile { a, lda: BLOCK, b, k, c, ldc: padded, accumulate: true }, rows);
                    }
                }
            }
        }
        for r in 0..rows {
            let t = token + r;
            // SAFETY: this task alone writes its tokens' part of this head.
            unsafe {
                *lse.at(head * tokens + t) = max[r] + sum[r].ln();
                let row = out.slice(t * heads.queries * dim + head * dim, dim);
                for (o, m) in row.iter_mut().zip(&mixed[r * padded..]) {
                    *o = m / sum[r];
                }
            }
        }
    }
}

vectorized! {
    /// One step of the online softmax: scores become `exp(score · scale - max)`, 0 where unseen; what
    /// was mixed so far is brought to the new maximum.
    fn soften(
        scores: &mut [f32; ROWS * BLOCK], ranges: &[(usize, usize)], scale: f32,
        max: &mut [f32; ROWS], sum: &mut [f32; ROWS], mixed: &mut [f32], padded: usize,
    ) {
        for (r, &(lo, hi)) in ranges.iter().enumerate() {
            let row = &mut scores[r * BLOCK..][..BLOCK];
            if lo >= hi {
                row.fill(0.0);
                continue;
            }
            let mut lanes = [f32::NEG_INFINITY; 16];
            if lo > 0 || hi < BLOCK {
                for (j, value) in row.iter_mut().enumerate() {
                    *value = if j >= lo && j < hi { *value } else { f32::NEG_INFINITY };
                }
            }
            for part in row.chunks_exact_mut(16) {
                for j in 0..16 {
                    part[j] *= scale;
                    lanes[j] = if part[j] > lanes[j] { part[j] } else { lanes[j] };
                }
            }
            let top = lanes.iter().copied().fold(max[r], |a, b| if b > a { b } else { a });
            for value in row.iter_mut() {
                *value = exp(*value - top);
            }
            if top > max[r] {
                let shrink = exp(max[r] - top);
                sum[r] *= shrink;
                for m in &mut mixed[r * padded..][..padded] {
                    *m *= shrink;
                }
                max[r] = top;
            }
            sum[r] += sum_of(BLOCK, |j| row[j]);
        }
    }
}
