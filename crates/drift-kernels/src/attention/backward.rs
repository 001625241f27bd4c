use super::pack::{ByDim, ByToken, Left};
use super::{BACKWARD, BLOCK, Heads, ROWS, Segment, lineage, row_blocks, seen, seen_by, visible};
use crate::elementwise::{dot, exp};
use crate::isa::{Isa, vectorized};
use crate::operand::{PANEL, Precision};
use crate::par::{self, Shared};
use crate::tile::{Operand, Tile};

/// Buffers of the backward pass, reused from layer to layer, and the precision of its products.
#[derive(Debug)]
pub struct Backward {
    work: Work,
    /// `Σ_d dout · out`, `[N, T]`.
    delta: Vec<f32>,
}

#[derive(Debug)]
enum Work {
    F32(Operands<f32>),
    Bf16(Operands<u16>),
}

impl Backward {
    pub fn new(precision: Precision) -> Backward {
        let work = match precision {
            Precision::F32 | Precision::Bf16x3 => Work::F32(Operands::default()),
            Precision::Bf16 => Work::Bf16(Operands::default()),
        };
        Backward { work, delta: Vec::new() }
    }
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
    let (dim, n) = (heads.dim, heads.queries);
    let tokens = qkv.len() / heads.width();
    assert!(out.len() == tokens * n * dim && dout.len() == out.len());
    assert!(lse.len() == n * tokens && dqkv.len() == qkv.len());
    let products = 5 * 2 * visible(segments, heads.window) * heads.dim * heads.queries;
    let _span = BACKWARD.start(products, 2 * (qkv.len() + out.len()) * 4);
    work.delta.resize(n * tokens, 0.0);
    par::rows(&mut work.delta, tokens, 1, |head, delta| {
        for (t, value) in delta.iter_mut().enumerate() {
            let at = (t * n + head) * dim;
            *value = dot(&out[at..at + dim], &dout[at..at + dim]);
        }
    });
    let delta = &work.delta;
    match &mut work.work {
        Work::F32(operands) => operands.backward(qkv, dout, lse, delta, heads, segments, dqkv),
        Work::Bf16(operands) => operands.backward(qkv, dout, lse, delta, heads, segments, dqkv),
    }
}

#[derive(Debug, Default)]
struct Operands<E> {
    rows: Left<f32>,
    queries: ByToken<f32>,
    keys: ByToken<f32>,
    value_rows: Left<E>,
    d_rows: Left<E>,
    outs: ByToken<E>,
    values: ByToken<E>,
    queries_by_dim: ByDim<E>,
    outs_by_dim: ByDim<E>,
    keys_by_dim: ByDim<E>,
}

impl<E: Operand> Operands<E> {
    fn backward(
        &mut self,
        qkv: &[f32],
        dout: &[f32],
        lse: &[f32],
        delta: &[f32],
        heads: Heads,
        segments: &[Segment],
        dqkv: &mut [f32],
    ) {
        let (ld, dim, n, g) = (heads.width(), heads.dim, heads.queries, heads.keys);
        let tokens = qkv.len() / ld;
        self.rows.pack(qkv, ld, dim);
        self.value_rows.pack(qkv, ld, dim);
        self.d_rows.pack(dout, n * dim, dim);
        self.queries.pack(qkv, ld, 0, n, dim, segments);
        self.keys.pack(qkv, ld, n, g, dim, segments);
        self.values.pack(qkv, ld, n + g, g, dim, segments);
        self.outs.pack(dout, n * dim, 0, n, dim, segments);
        self.queries_by_dim.pack(qkv, ld, 0, n, dim, segments);
        self.keys_by_dim.pack(qkv, ld, n, g, dim, segments);
        self.outs_by_dim.pack(dout, n * dim, 0, n, dim, segments);
        let pass = Pass { operands: self, lse, delta, heads, segments, tokens, isa: Isa::current() };
        let blocks = row_blocks(segments);
        let dqkv = Shared::new(dqkv);
        par::tasks(blocks.len() * n, |task| pass.queries(blocks[task / n], task % n, dqkv));
        par::tasks(blocks.len() * g, |task| pass.keys(blocks[task / g], task % g, dqkv));
    }
}

struct Pass<'a, E> {
    operands: &'a Operands<E>,
    lse: &'a [f32],
    delta: &'a [f32],
    heads: Heads,
    segments: &'a [Segment],
    tokens: usize,
    isa: Isa,
}

/// A block of `[ROWS, BLOCK]` values.
type Block<T> = [T; ROWS * BLOCK];

impl<E: Operand> Pass<'_, E> {
    /// dQ of one block of queries: over all keys that it sees.
    fn queries(&self, (s, first, rows): (usize, usize, usize), head: usize, dqkv: Shared<f32>) {
        let (h, o, padded) = (self.heads, self.operands, self.heads.padded());
        let group = head / (h.queries / h.keys);
        let (token, position) = (self.segments[s].start + first, self.segments[s].position + first);
        let (mut p, mut ds): (Block<f32>, Block<f32>) = ([0.0; ROWS * BLOCK], [0.0; ROWS * BLOCK]);
        let mut narrow: Block<E> = [E::default(); ROWS * BLOCK];
        let mut dq = vec![0.0f32; ROWS * padded];
        let at_token = head * self.tokens + token;
        let (lse, delta) = (&self.lse[at_token..][..rows], &self.delta[at_token..][..rows]);
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
                for j in (0..n).step_by(PANEL) {
                    let (q, d) = (o.rows.row(token, head), o.d_rows.row(token, head));
                    self.scores(q, o.rows.ld, &o.keys, (group, from, at + j), rows, &mut p, j);
                    self.scores(d, o.d_rows.ld, &o.values, (group, from, at + j), rows, &mut ds, j);
                }
                query_gradient(&p, &mut ds, &ranges[..rows], h.scale(), lse, delta);
                E::narrow(&ds, &mut narrow);
                self.mix(&narrow, rows, n, &o.keys_by_dim, (group, from, at), &mut dq);
            }
        }
        self.write(&dq, token, rows, head, dqkv);
    }

    /// dK and dV of one block of keys: over all queries that see it, of every head of the group.
    fn keys(&self, (s, first, rows): (usize, usize, usize), group: usize, dqkv: Shared<f32>) {
        let (h, o, padded, share) =
            (self.heads, self.operands, self.heads.padded(), self.heads.queries / self.heads.keys);
        let (token, position) = (self.segments[s].start + first, self.segments[s].position + first);
        let (mut p, mut ds): (Block<f32>, Block<f32>) = ([0.0; ROWS * BLOCK], [0.0; ROWS * BLOCK]);
        let mut narrow: Block<E> = [E::default(); ROWS * BLOCK];
        let (mut dk, mut dv) = (vec![0.0f32; ROWS * padded], vec![0.0f32; ROWS * padded]);
        let readers: Vec<usize> =
            (0..self.segments.len()).filter(|&from| lineage(self.segments, from).contains(&s)).collect();
        for head in group * share..(group + 1) * share {
            for &from in &readers {
                let reader = &self.segments[from];
                for at in (0..reader.len).step_by(BLOCK) {
                    let n = BLOCK.min(reader.len - at);
                    let mut ranges = [(0, 0); ROWS];
                    for r in 0..rows {
                        ranges[r] = seen_by(position + r, reader.position + at, n, h.window);
                    }
                    if ranges[..rows].iter().all(|(lo, hi)| lo >= hi) {
                        continue;
                    }
                    for j in (0..n).step_by(PANEL) {
                        let (k, v) =
                            (o.rows.row(token, h.queries + group), o.value_rows.row(token, h.queries + h.keys + group));
                        self.scores(k, o.rows.ld, &o.queries, (head, from, at + j), rows, &mut p, j);
                        self.scores(v, o.value_rows.ld, &o.outs, (head, from, at + j), rows, &mut ds, j);
                    }
                    let of = head * self.tokens + reader.start + at;
                    let (lse, delta) = (&self.lse[of..of + n], &self.delta[of..of + n]);
                    key_gradient(&mut p, &mut ds, &ranges[..rows], h.scale(), lse, delta);
                    E::narrow(&p, &mut narrow);
                    self.mix(&narrow, rows, n, &o.outs_by_dim, (head, from, at), &mut dv);
                    E::narrow(&ds, &mut narrow);
                    self.mix(&narrow, rows, n, &o.queries_by_dim, (head, from, at), &mut dk);
                }
            }
        }
        self.write(&dk, token, rows, h.queries + group, dqkv);
        self.write(&dv, token, rows, h.queries + h.keys + group, dqkv);
    }

    /// Columns `j..j + 32` of `c`: products over the head's dimensions of `rows` rows at `a` and the panel.
    fn scores<F: Operand>(
        &self,
        a: *const F,
        lda: usize,
        b: &ByToken<F>,
        (head, segment, at): (usize, usize, usize),
        rows: usize,
        c: &mut Block<f32>,
        j: usize,
    ) {
        let (b, k) = (b.panel(head, segment, at), b.depth);
        // SAFETY: `a` has `rows` rows (and rows to spare), the panel lies within its operand.
        unsafe {
            let c = c.as_mut_ptr().add(j);
            F::rows(self.isa, Tile { a, lda, b, k, c, ldc: BLOCK, accumulate: false }, rows);
        }
    }

    /// `c[rows, D] += a[rows, n] · b`, over the n tokens of a segment from `at` on.
    fn mix(
        &self,
        a: &Block<E>,
        rows: usize,
        n: usize,
        b: &ByDim<E>,
        (head, segment, at): (usize, usize, usize),
        c: &mut [f32],
    ) {
        let padded = self.heads.padded();
        for p in 0..padded / PANEL {
            let (b, k) = (b.panel(head, p, segment, at), n.next_multiple_of(E::K));
            // SAFETY: a and c hold ROWS rows; the panel has whole blocks of 32 tokens.
            unsafe {
                let (a, c) = (a.as_ptr(), c.as_mut_ptr().add(p * PANEL));
                E::rows(self.isa, Tile { a, lda: BLOCK, b, k, c, ldc: padded, accumulate: true }, rows);
            }
        }
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
