use super::pack::{ByDim, ByToken};
use super::{BLOCK, Heads, ROWS, Segment, lineage, row_blocks, seen, seen_by};
use crate::elementwise::{dot, exp};
use crate::isa::{Isa, vectorized};
use crate::operand::PANEL;
use crate::par::{self, Shared};
use crate::tile::{self, Tile};

/// Buffers of the backward pass, reused from layer to layer.
#[derive(Debug, Default)]
pub struct Backward {
    queries: ByToken,
    outs: ByToken,
    keys: ByToken,
    values: ByToken,
    queries_by_dim: ByDim,
    outs_by_dim: ByDim,
    keys_by_dim: ByDim,
    /// `Σ_d dout · out`, `[N, T]`.
    delta: Vec<f32>,
}

/// Given `dout[T, N D]` and what `forward` got and gave, writes `dqkv[T, (N + 2G) D]`.
///
/// With P = softmax: dV = Pᵀ dO, dP = dO Vᵀ, dS = P (dP - rowsum(dO · O)), dQ = dS K, dK = dSᵀ Q.
/// Queries and keys are two passes that both recompute P, so that every sum has one owner and one order.
pub fn backward(
    work: &mut Backward,
    qkv: &[f32],
    out: &[f32],
    lse: &[f32],
    dout: &[f32],
    heads: Heads,
    segments: &[Segment],
    dqkv: &mut [f32],
) {
    let (ld, dim, n, g) = (heads.width(), heads.dim, heads.queries, heads.keys);
    let tokens = qkv.len() / ld;
    assert!(
        out.len() == tokens * n * dim && dout.len() == out.len() && lse.len() == n * tokens && dqkv.len() == qkv.len()
    );
    work.queries.pack(qkv, ld, 0, n, dim, segments);
    work.keys.pack(qkv, ld, n, g, dim, segments);
    work.values.pack(qkv, ld, n + g, g, dim, segments);
    work.outs.pack(dout, n * dim, 0, n, dim, segments);
    work.queries_by_dim.pack(qkv, ld, 0, n, dim);
    work.keys_by_dim.pack(qkv, ld, n, g, dim);
    work.outs_by_dim.pack(dout, n * dim, 0, n, dim);
    work.delta.resize(n * tokens, 0.0);
    par::rows(&mut work.delta, tokens, 1, |head, delta| {
        for (t, value) in delta.iter_mut().enumerate() {
            let at = (t * n + head) * dim;
            *value = dot(&out[at..at + dim], &dout[at..at + dim]);
        }
    });
    let pass = Pass { work, qkv, lse, dout, heads, segments, tokens, isa: Isa::current() };
    let blocks = row_blocks(segments);
    let dqkv = Shared::new(dqkv);
    par::tasks(blocks.len() * n, |task| pass.queries(blocks[task / n], task % n, dqkv));
    par::tasks(blocks.len() * g, |task| pass.keys(blocks[task / g], task % g, dqkv));
}

struct Pass<'a> {
    work: &'a Backward,
    qkv: &'a [f32],
    lse: &'a [f32],
    dout: &'a [f32],
    heads: Heads,
    segments: &'a [Segment],
    tokens: usize,
    isa: Isa,
}

impl Pass<'_> {
    /// dQ of one block of queries: over all keys that it sees.
    fn queries(&self, (s, first, rows): (usize, usize, usize), head: usize, dqkv: Shared<f32>) {
        let h = self.heads;
        let (dim, ld, padded) = (h.dim, h.width(), h.padded());
        let group = head / (h.queries / h.keys);
        let (token, position) = (self.segments[s].start + first, self.segments[s].position + first);
        let (mut p, mut dp) = ([0.0f32; ROWS * BLOCK], [0.0f32; ROWS * BLOCK]);
        let mut dq = vec![0.0f32; ROWS * padded];
        let lse = &self.lse[head * self.tokens + token..][..rows];
        let delta = &self.work.delta[head * self.tokens + token..][..rows];
        for from in lineage(self.segments, s) {
            let source = &self.segments[from];
            for at in (0..source.len).step_by(BLOCK) {
                let n = BLOCK.min(source.len - at);
                let mut ranges = [(0, 0); ROWS];
                for r in 0..rows {
                    ranges[r] = seen(position + r, source.position + at, n, h.window);
                }
                if ranges[..rows].iter().all(|(lo, hi)| lo >= hi) {
                    continue;
                }
                // SAFETY: the pointers stay within the operands, the packed panels and the buffers.
                unsafe {
                    let q = self.qkv.as_ptr().add(token * ld + head * dim);
                    let dout = self.dout.as_ptr().add((token * h.queries + head) * dim);
                    for j in (0..n).step_by(PANEL) {
                        let (c, d) = (p.as_mut_ptr().add(j), dp.as_mut_ptr().add(j));
                        let b = self.work.keys.panel(group, from, at + j);
                        self.tile(Tile { a: q, lda: ld, b, k: dim, c, ldc: BLOCK, accumulate: false }, rows);
                        let b = self.work.values.panel(group, from, at + j);
                        let lda = h.queries * dim;
                        self.tile(Tile { a: dout, lda, b, k: dim, c: d, ldc: BLOCK, accumulate: false }, rows);
                    }
                    query_gradient(&p, &mut dp, &ranges[..rows], h.scale(), lse, delta);
                    for j in 0..padded / PANEL {
                        let b = self.work.keys_by_dim.panel(group, j, source.start + at);
                        let (a, c) = (dp.as_ptr(), dq.as_mut_ptr().add(j * PANEL));
                        self.tile(Tile { a, lda: BLOCK, b, k: n, c, ldc: padded, accumulate: true }, rows);
                    }
                }
            }
        }
        self.write(&dq, token, rows, head, dqkv);
    }

    /// dK and dV of one block of keys: over all queries that see it, of every head of the group.
    fn keys(&self, (s, first, rows): (usize, usize, usize), group: usize, dqkv: Shared<f32>) {
        let h = self.heads;
        let (dim, ld, padded, share) = (h.dim, h.width(), h.padded(), h.queries / h.keys);
        let (token, position) = (self.segments[s].start + first, self.segments[s].position + first);
        let (mut p, mut dp) = ([0.0f32; ROWS * BLOCK], [0.0f32; ROWS * BLOCK]);
        let (mut dk, mut dv) = (vec![0.0f32; ROWS * padded], vec![0.0f32; ROWS * padded]);
        for head in group * share..(group + 1) * share {
            for (from, reader) in self.segments.iter().enumerate() {
                if !lineage(self.segments, from).contains(&s) {
                    continue;
                }
                for at in (0..reader.len).step_by(BLOCK) {
                    let n = BLOCK.min(reader.len - at);
                    let mut ranges = [(0, 0); ROWS];
                    for r in 0..rows {
                        ranges[r] = seen_by(position + r, reader.position + at, n, h.window);
                    }
                    if ranges[..rows].iter().all(|(lo, hi)| lo >= hi) {
                        continue;
                    }
                    // SAFETY: as in `queries`.
                    unsafe {
                        let k = self.qkv.as_ptr().add(token * ld + (h.queries + group) * dim);
                        let v = self.qkv.as_ptr().add(token * ld + (h.queries + h.keys + group) * dim);
                        for j in (0..n).step_by(PANEL) {
                            let (c, d) = (p.as_mut_ptr().add(j), dp.as_mut_ptr().add(j));
                            let b = self.work.queries.panel(head, from, at + j);
                            self.tile(Tile { a: k, lda: ld, b, k: dim, c, ldc: BLOCK, accumulate: false }, rows);
                            let b = self.work.outs.panel(head, from, at + j);
                            self.tile(Tile { a: v, lda: ld, b, k: dim, c: d, ldc: BLOCK, accumulate: false }, rows);
                        }
                        let of = head * self.tokens + reader.start + at;
                        let (lse, delta) = (&self.lse[of..of + n], &self.work.delta[of..of + n]);
                        key_gradient(&mut p, &mut dp, &ranges[..rows], h.scale(), lse, delta);
                        for j in 0..padded / PANEL {
                            let b = self.work.outs_by_dim.panel(head, j, reader.start + at);
                            let (a, c) = (p.as_ptr(), dv.as_mut_ptr().add(j * PANEL));
                            self.tile(Tile { a, lda: BLOCK, b, k: n, c, ldc: padded, accumulate: true }, rows);
                            let b = self.work.queries_by_dim.panel(head, j, reader.start + at);
                            let (a, c) = (dp.as_ptr(), dk.as_mut_ptr().add(j * PANEL));
                            self.tile(Tile { a, lda: BLOCK, b, k: n, c, ldc: padded, accumulate: true }, rows);
                        }
                    }
                }
            }
        }
        self.write(&dk, token, rows, h.queries + group, dqkv);
        self.write(&dv, token, rows, h.queries + h.keys + group, dqkv);
    }

    unsafe fn tile(&self, tile: Tile<f32>, rows: usize) {
        tile::f32_rows(self.isa, tile, rows);
    }

    /// Rows of one head of dqkv from a buffer with padded rows.
    fn write(&self, from: &[f32], token: usize, rows: usize, head: usize, dqkv: Shared<f32>) {
        let (dim, padded) = (self.heads.dim, self.heads.padded());
        for r in 0..rows {
            // SAFETY: one task owns a head's rows of a block.
            let row = unsafe { dqkv.slice((token + r) * self.heads.width() + head * dim, dim) };
            row.copy_from_slice(&from[r * padded..][..dim]);
        }
    }
}

vectorized! {
    /// Rows are queries: dP becomes `dS = P (dP - delta) scale`, with `P = exp(S scale - lse)`.
    fn query_gradient(
        s: &[f32; ROWS * BLOCK], dp: &mut [f32; ROWS * BLOCK], ranges: &[(usize, usize)], scale: f32,
        lse: &[f32], delta: &[f32],
    ) {
        for (r, &(lo, hi)) in ranges.iter().enumerate() {
            let (s, dp) = (&s[r * BLOCK..][..BLOCK], &mut dp[r * BLOCK..][..BLOCK]);
            for j in 0..BLOCK {
                let p = exp(s[j] * scale - lse[r]);
                dp[j] = if j >= lo && j < hi { p * (dp[j] - delta[r]) * scale } else { 0.0 };
            }
        }
    }
}

vectorized! {
    /// Rows are keys, columns queries: S becomes P, dP becomes dS.
    fn key_gradient(
        s: &mut [f32; ROWS * BLOCK], dp: &mut [f32; ROWS * BLOCK], ranges: &[(usize, usize)], scale: f32,
        lse: &[f32], delta: &[f32],
    ) {
        // Whole blocks, so that the inner loop has one length; the columns past n are masked below.
        let (mut l, mut d) = ([0.0f32; BLOCK], [0.0f32; BLOCK]);
        l[..lse.len()].copy_from_slice(lse);
        d[..delta.len()].copy_from_slice(delta);
        for (r, &(lo, hi)) in ranges.iter().enumerate() {
            let (s, dp) = (&mut s[r * BLOCK..][..BLOCK], &mut dp[r * BLOCK..][..BLOCK]);
            for j in 0..BLOCK {
                let p = exp(s[j] * scale - l[j]);
                let live = j >= lo && j < hi;
                s[j] = if live { p } else { 0.0 };
                dp[j] = if live { p * (dp[j] - d[j]) * scale } else { 0.0 };
            }
        }
    }
}
