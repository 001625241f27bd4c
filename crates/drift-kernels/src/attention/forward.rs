use super::pack::{ByDim, ByToken};
use super::{BLOCK, Heads, ROWS, Segment, lineage, row_blocks, seen};
use crate::elementwise::{exp, sum_of};
use crate::isa::{Isa, vectorized};
use crate::operand::PANEL;
use crate::par::{self, Shared};
use crate::tile::{self, Tile};

/// Buffers of the forward pass, reused from layer to layer.
#[derive(Debug, Default)]
pub struct Forward {
    keys: ByToken,
    values: ByDim,
}

/// `qkv[T, (N + 2G) D]` → `out[T, N D]` and `lse[N, T]`, the log of each query's sum of exponentials.
pub fn forward(work: &mut Forward, qkv: &[f32], heads: Heads, segments: &[Segment], out: &mut [f32], lse: &mut [f32]) {
    let (ld, dim, tokens) = (heads.width(), heads.dim, qkv.len() / heads.width());
    assert!(out.len() == tokens * heads.queries * dim && lse.len() == heads.queries * tokens);
    work.keys.pack(qkv, ld, heads.queries, heads.keys, dim, segments);
    work.values.pack(qkv, ld, heads.queries + heads.keys, heads.keys, dim);
    let (keys, values) = (&work.keys, &work.values);
    let blocks = row_blocks(segments);
    let lines: Vec<Vec<usize>> = (0..segments.len()).map(|s| lineage(segments, s)).collect();
    let (out, lse) = (Shared::new(out), Shared::new(lse));
    let (isa, padded) = (Isa::current(), heads.padded());
    par::tasks(blocks.len() * heads.queries, |task| {
        let (s, first, rows) = blocks[task / heads.queries];
        let head = task % heads.queries;
        let group = head / (heads.queries / heads.keys);
        let position = segments[s].position + first;
        let token = segments[s].start + first;
        let mut scores = [0.0f32; ROWS * BLOCK];
        let mut mixed = vec![0.0f32; ROWS * padded];
        let (mut max, mut sum) = ([f32::NEG_INFINITY; ROWS], [0.0f32; ROWS]);
        for &from in &lines[s] {
            let source = &segments[from];
            for at in (0..source.len).step_by(BLOCK) {
                let n = BLOCK.min(source.len - at);
                let at_position = source.position + at;
                let mut ranges = [(0, 0); ROWS];
                let mut any = false;
                for r in 0..rows {
                    ranges[r] = seen(position + r, at_position, n, heads.window);
                    any |= ranges[r].0 < ranges[r].1;
                }
                if !any {
                    continue;
                }
                // SAFETY: the pointers stay within qkv, the packed panels and the local buffers.
                unsafe {
                    let a = qkv.as_ptr().add(token * ld + head * dim);
                    for p in (0..n).step_by(PANEL) {
                        let b = keys.panel(group, from, at + p);
                        let c = scores.as_mut_ptr().add(p);
                        tile::f32_rows(isa, Tile { a, lda: ld, b, k: dim, c, ldc: BLOCK, accumulate: false }, rows);
                    }
                    let live = &ranges[..rows];
                    soften(&mut scores, live, heads.scale(), &mut max, &mut sum, &mut mixed, padded);
                    for p in 0..padded / PANEL {
                        let b = values.panel(group, p, source.start + at);
                        let c = mixed.as_mut_ptr().add(p * PANEL);
                        let a = scores.as_ptr();
                        tile::f32_rows(isa, Tile { a, lda: BLOCK, b, k: n, c, ldc: padded, accumulate: true }, rows);
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
    });
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
            let mut lanes = [f32::NEG_INFINITY; 16];
            for (j, value) in row.iter_mut().enumerate() {
                *value = if j >= lo && j < hi { *value * scale } else { f32::NEG_INFINITY };
                lanes[j % 16] = if *value > lanes[j % 16] { *value } else { lanes[j % 16] };
            }
            let top = lanes.iter().copied().fold(max[r], |a, b| if b > a { b } else { a });
            if top == f32::NEG_INFINITY {
                row.fill(0.0);
                continue;
            }
            let shrink = exp(max[r] - top);
            for value in row.iter_mut() {
                *value = exp(*value - top);
            }
            sum[r] = sum[r] * shrink + sum_of(BLOCK, |j| row[j]);
            max[r] = top;
            for m in &mut mixed[r * padded..][..padded] {
                *m *= shrink;
            }
        }
    }
}
