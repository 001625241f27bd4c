use super::pack::{ByDim, ByToken, Left, Matrix, Score, Units};
use super::{BACKWARD, Heads, Segment, continues, seen_by, visible};
use crate::elementwise::{dots, exp2};
use crate::isa::{Isa, vectorized};
use crate::narrow::turn_words;
use crate::operand::{PANEL, Precision};
use crate::par::{self, Shared};
use crate::tile::{Mixing, Operand, Tile};
use std::f32::consts::LOG2_E;
use std::ops::Range;

/// Buffers of the backward pass, reused from layer to layer, and the precision of its products.
#[derive(Debug)]
pub struct Backward {
    work: Work,
    /// `Σ_d dout · out`, `[T, N]`.
    delta: Vec<f32>,
    /// What chunks of keys give to dQ: of each chunk in turn `[N, readers, D]`, D in whole panels.
    parts: Vec<f32>,
}

#[derive(Debug)]
enum Work {
    F32(Operands<f32, f32>),
    Bf16(Operands<i16, u16>),
}

impl Backward {
    pub fn new(precision: Precision) -> Backward {
        let work = match precision {
            Precision::F32 | Precision::Bf16x3 => Work::F32(Operands::default()),
            Precision::Bf16 | Precision::Int16 | Precision::Int8 => Work::Bf16(Operands::default()),
        };
        Backward { work, delta: Vec::new(), parts: Vec::new() }
    }
}

/// Given `dout[T, N D]` and what `forward` got and gave, writes `dqkv[T, (N + 2G) D]`.
///
/// With P = softmax: dV = Pᵀ dO, dP = dO Vᵀ, dS = P (dP - rowsum(dO · O)), dQ = dS K, dK = dSᵀ Q.
/// One pass: a task takes a chunk of keys, which it owns, and all queries that see it. What it finds of
/// dQ is added up afterwards, chunk by chunk, so every sum has one order.
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
    par::rows(&mut work.delta, n, 64, |first, delta| {
        let rows = first * n * dim..(first * n + delta.len()) * dim;
        dots(&out[rows.clone()], &dout[rows], dim, delta);
    });
    let (delta, parts) = (&work.delta, &mut work.parts);
    match &mut work.work {
        Work::F32(operands) => operands.backward(qkv, dout, lse, delta, heads, segments, parts, dqkv),
        Work::Bf16(operands) => operands.backward(qkv, dout, lse, delta, heads, segments, parts, dqkv),
    }
}

/// Keys of a chunk, of a block, and queries of a block.
const CHUNK: usize = 256;
const KEYS: usize = 32;
const QUERIES: usize = 128;

/// A run of keys of one segment, and who sees it.
#[derive(Debug)]
struct Chunk {
    segment: usize,
    first: usize,
    len: usize,
    /// Of `Chunks::readers`.
    readers: Range<usize>,
    /// Queries of all readers.
    rows: usize,
    /// Where its part starts, among those that are worked on at once.
    start: usize,
}

/// The chunks in the order in which their parts of dQ are added.
#[derive(Debug, Default)]
struct Chunks {
    all: Vec<Chunk>,
    /// Segments whose queries may see a chunk: (segment, first query, its row in the chunk's part).
    readers: Vec<(usize, usize, usize)>,
}

impl Chunks {
    fn of(&mut self, segments: &[Segment]) {
        self.all.clear();
        self.readers.clear();
        for (segment, Segment { len, .. }) in segments.iter().enumerate() {
            for first in (0..*len).step_by(CHUNK) {
                let (before, mut rows) = (self.readers.len(), 0);
                for reader in (segment..segments.len()).filter(|&reader| continues(segments, reader, segment)) {
                    // In its own segment a chunk is seen from its first key on, a block's border.
                    let from = if reader == segment { first } else { 0 };
                    self.readers.push((reader, from, rows));
                    rows += segments[reader].len - from;
                }
                let readers = before..self.readers.len();
                self.all.push(Chunk { segment, first, len: CHUNK.min(len - first), readers, rows, start: 0 });
            }
        }
    }
}

#[derive(Debug, Default)]
struct Operands<S, E> {
    keys: Left<S>,
    key_units: Units,
    values: Left<E>,
    queries: ByToken<S>,
    query_units: Units,
    outs: ByToken<E>,
    queries_by_dim: ByDim<E>,
    outs_by_dim: ByDim<E>,
    keys_by_dim: ByDim<E>,
    chunks: Chunks,
}

impl<S: Score, E: Mixing> Operands<S, E> {
    fn backward(
        &mut self,
        qkv: &[f32],
        dout: &[f32],
        lse: &[f32],
        delta: &[f32],
        heads: Heads,
        segments: &[Segment],
        parts: &mut Vec<f32>,
        dqkv: &mut [f32],
    ) {
        let (ld, dim, n, g) = (heads.width(), heads.dim, heads.queries, heads.keys);
        let tokens = qkv.len() / ld;
        let part = |head, heads| Matrix { x: qkv, ld, head, heads, dim };
        let outs = Matrix { x: dout, ld: n * dim, head: 0, heads: n, dim };
        self.key_units.measure::<S>(part(n, g));
        self.keys.pack_in(part(n, g), &self.key_units);
        self.values.pack(part(n + g, g));
        self.query_units.measure::<S>(part(0, n));
        self.queries.pack_in(part(0, n), &self.query_units, segments);
        self.outs.pack(outs, segments);
        self.queries_by_dim.pack(part(0, n), segments);
        self.outs_by_dim.pack(outs, segments);
        self.keys_by_dim.pack(part(n, g), segments);
        par::rows(dqkv, ld, 64, |_, rows| rows.chunks_mut(ld).for_each(|row| row[..n * dim].fill(0.0)));
        self.chunks.of(segments);
        let count = self.chunks.all.len();
        let mut first = 0;
        while first < count {
            // So many chunks at once that their parts fit four times dQ: one is never larger than dQ.
            let (mut next, mut rows) = (first, 0);
            while next < count && rows + self.chunks.all[next].rows <= 4 * tokens {
                self.chunks.all[next].start = rows * n * heads.padded();
                rows += self.chunks.all[next].rows;
                next += 1;
            }
            parts.resize(parts.len().max(rows * n * heads.padded()), 0.0);
            let pass = Pass { operands: self, lse, delta, heads, segments, tokens, isa: Isa::current() };
            let (now, shared, out) = (&self.chunks.all[first..next], Shared::new(parts), Shared::new(dqkv));
            par::tasks(now.len() * g, |task| {
                let chunk = &now[task / g];
                par::with_floats(2 * chunk.len * heads.padded(), |sums| {
                    let (dk, dv) = sums.split_at_mut(chunk.len * heads.padded());
                    pass.chunk(chunk, task % g, shared, dk, dv, out);
                });
            });
            par::tasks(segments.len() * n, |task| pass.gather(task / n, task % n, now, parts, out));
            first = next;
        }
    }
}

struct Pass<'a, S, E> {
    operands: &'a Operands<S, E>,
    lse: &'a [f32],
    delta: &'a [f32],
    heads: Heads,
    segments: &'a [Segment],
    tokens: usize,
    isa: Isa,
}

/// A block of `[KEYS, QUERIES]` values.
type Block<T> = [T; KEYS * QUERIES];

/// What belongs to the queries of a block, zero behind the last.
struct Columns {
    /// lse in units of ln 2.
    lse: [f32; QUERIES],
    delta: [f32; QUERIES],
    units: [f32; QUERIES],
}

impl<S: Score, E: Mixing> Pass<'_, S, E> {
    /// dK and dV of one chunk of keys, from zero, and its part of dQ: over all queries that see it, of every
    /// head of the group.
    fn chunk(
        &self,
        chunk: &Chunk,
        group: usize,
        parts: Shared<f32>,
        dk: &mut [f32],
        dv: &mut [f32],
        dqkv: Shared<f32>,
    ) {
        let (h, padded, share) = (self.heads, self.heads.padded(), self.heads.queries / self.heads.keys);
        let mut buffers = Buffers::default();
        for head in group * share..(group + 1) * share {
            for &(reader, first, row) in &self.operands.chunks.readers[chunk.readers.clone()] {
                for at in (first..self.segments[reader].len).step_by(QUERIES) {
                    let n = QUERIES.min(self.segments[reader].len - at);
                    if !self.meets(chunk, reader, at, n) {
                        continue;
                    }
                    let row = head * chunk.rows + row + at - first;
                    // SAFETY: this task alone has these rows of the chunk's part.
                    let dq = unsafe { parts.slice(chunk.start + row * padded, n * padded) };
                    dq.fill(0.0);
                    self.block(chunk, (group, head), (reader, at, n), &mut buffers, dq, dk, dv);
                }
            }
        }
        let token = self.segments[chunk.segment].start + chunk.first;
        let write = |from: &[f32], head: usize, scale: f32| {
            for (r, from) in from.chunks(padded).enumerate() {
                // SAFETY: one task owns a group's rows of a chunk.
                let row = unsafe { dqkv.slice((token + r) * h.width() + head * h.dim, h.dim) };
                for (to, from) in row.iter_mut().zip(from) {
                    *to = from * scale;
                }
            }
        };
        write(dk, h.queries + group, h.scale());
        write(dv, h.queries + h.keys + group, 1.0);
    }

    /// Whether one of the n queries of a segment from `at` on sees one of the keys.
    fn meets(&self, chunk: &Chunk, reader: usize, at: usize, n: usize) -> bool {
        let position = self.segments[reader].position + at;
        let key = self.segments[chunk.segment].position + chunk.first;
        let by = |key| seen_by(key, position, n, self.heads.window);
        by(key).0 < by(key + chunk.len - 1).1
    }

    /// One block of queries of a head against the keys of a chunk.
    fn block(
        &self,
        chunk: &Chunk,
        (group, head): (usize, usize),
        (reader, at, n): (usize, usize, usize),
        buffers: &mut Buffers<E>,
        dq: &mut [f32],
        dk: &mut [f32],
        dv: &mut [f32],
    ) {
        let (h, o, padded, isa) = (self.heads, self.operands, self.heads.padded(), self.isa);
        let (query, position) = (self.segments[reader].start + at, self.segments[reader].position + at);
        let keys = &self.segments[chunk.segment];
        let of_head = head * self.tokens + query;
        let mut columns = Columns { lse: [0.0; QUERIES], delta: [0.0; QUERIES], units: [0.0; QUERIES] };
        for (to, from) in columns.lse.iter_mut().zip(&self.lse[of_head..][..n]) {
            *to = from * LOG2_E;
        }
        for (i, to) in columns.delta[..n].iter_mut().enumerate() {
            *to = self.delta[(query + i) * h.queries + head];
        }
        o.query_units.read(query, head, &mut columns.units[..n]);
        for key in (0..chunk.len).step_by(KEYS) {
            let rows = KEYS.min(chunk.len - key);
            let (token, first) = (keys.start + chunk.first + key, chunk.first + key);
            let (mut ranges, mut factors) = ([(0, 0); KEYS], [0.0; KEYS]);
            o.key_units.read(token, group, &mut factors[..rows]);
            for r in 0..rows {
                ranges[r] = seen_by(keys.position + first + r, position, n, h.window);
                factors[r] *= h.scale() * LOG2_E;
            }
            let (from, to) = (ranges[0].0, ranges[rows - 1].1);
            if from >= to {
                continue;
            }
            // Whole panels of queries that no key is seen by are left out.
            let (from, to) = (from / PANEL * PANEL, to.next_multiple_of(PANEL));
            let Buffers { s, dp, p, ds, stacked, turned } = buffers;
            // SAFETY: the pointers stay within the packed operands, the buffers and the gradients: columns
            // are whole panels of the block, dK and dV get `rows` rows, dQ those of its n queries.
            unsafe {
                for j in (from..to).step_by(PANEL) {
                    let (a, b) = (o.keys.row(token, group), o.queries.panel(head, reader, at + j));
                    let (k, c) = (o.queries.depth, s.as_mut_ptr().add(j));
                    S::rows(isa, Tile { a, lda: o.keys.ld, b, k, c, ldc: QUERIES, accumulate: false }, rows);
                    let (a, b) = (o.values.row(token, group), o.outs.panel(head, reader, at + j));
                    let (k, c) = (o.outs.depth, dp.as_mut_ptr().add(j));
                    E::rows(isa, Tile { a, lda: o.values.ld, b, k, c, ldc: QUERIES, accumulate: false }, rows);
                }
                gradients::<E>(s, dp, (from, to), &ranges[..rows], &factors, &columns, p, ds);
                E::stack(ds, QUERIES, &mut stacked[..KEYS * QUERIES / E::PAIR]);
                turn_words(&stacked[..KEYS * QUERIES / E::PAIR], QUERIES, turned, KEYS / E::PAIR);
                for panel in 0..padded / PANEL {
                    let column = panel * PANEL;
                    let own = key * padded + column;
                    for (a, b, c) in [(&*p, &o.outs_by_dim, &mut *dv), (&*ds, &o.queries_by_dim, &mut *dk)] {
                        let (a, b) = (a.as_ptr().add(from), b.panel(head, panel, reader, at + from));
                        let (k, c) = (to - from, c.as_mut_ptr().add(own));
                        E::rows(isa, Tile { a, lda: QUERIES, b, k, c, ldc: padded, accumulate: true }, rows);
                    }
                    let a = E::values(turned).as_ptr().add(from * KEYS);
                    let b = o.keys_by_dim.panel(group, panel, chunk.segment, first);
                    let (k, c) = (rows.next_multiple_of(PANEL), dq.as_mut_ptr().add(from * padded + column));
                    E::rows(isa, Tile { a, lda: KEYS, b, k, c, ldc: padded, accumulate: true }, to.min(n) - from);
                }
            }
        }
    }

    /// Adds the chunks' parts to one head's dQ of a segment.
    fn gather(&self, s: usize, head: usize, chunks: &[Chunk], parts: &[f32], dqkv: Shared<f32>) {
        let (h, padded) = (self.heads, self.heads.padded());
        for chunk in chunks {
            let readers = &self.operands.chunks.readers[chunk.readers.clone()];
            let Some(&(_, first, row)) = readers.iter().find(|(reader, _, _)| *reader == s) else { continue };
            for at in (first..self.segments[s].len).step_by(QUERIES) {
                let n = QUERIES.min(self.segments[s].len - at);
                if !self.meets(chunk, s, at, n) {
                    continue;
                }
                let part = &parts[chunk.start + (head * chunk.rows + row + at - first) * padded..][..n * padded];
                for (r, part) in part.chunks(padded).enumerate() {
                    let token = self.segments[s].start + at + r;
                    // SAFETY: one task owns a head's rows of a segment.
                    let to = unsafe { dqkv.slice(token * h.width() + head * h.dim, h.dim) };
                    for (to, part) in to.iter_mut().zip(part) {
                        *to += part * h.scale();
                    }
                }
            }
        }
    }
}

/// Of one task.
struct Buffers<E> {
    s: Block<f32>,
    dp: Block<f32>,
    /// P and dS as left operands, whose rows are keys.
    p: Block<E>,
    ds: Block<E>,
    /// dS as words of neighbouring keys, and as left operand whose rows are queries.
    stacked: Block<u32>,
    turned: Block<u32>,
}

impl<E: Operand> Default for Buffers<E> {
    fn default() -> Self {
        const SIZE: usize = KEYS * QUERIES;
        let (f, e) = ([0.0; SIZE], [E::default(); SIZE]);
        Buffers { s: f, dp: f, p: e, ds: e, stacked: [0; SIZE], turned: [0; SIZE] }
    }
}

vectorized! {
    /// `P = 2^(S · factor · unit - lse)` and `dS = P (dP - delta)`: columns `from..to`, 0 where unseen. dS
    /// is 0 in rows behind the last.
    fn gradients<E: Mixing>(
        s: &Block<f32>, dp: &Block<f32>, columns_used: (usize, usize), ranges: &[(usize, usize)],
        factors: &[f32; KEYS], columns: &Columns, p: &mut Block<E>, ds: &mut Block<E>,
    ) {
        let (from, to) = columns_used;
        let (lse, _) = columns.lse[from..to].as_chunks::<16>();
        let (delta, _) = columns.delta[from..to].as_chunks::<16>();
        let (units, _) = columns.units[from..to].as_chunks::<16>();
        for (r, &(lo, hi)) in ranges.iter().enumerate() {
            let row = r * QUERIES + from..r * QUERIES + to;
            let (s, _) = s[row.clone()].as_chunks::<16>();
            let (dp, _) = dp[row.clone()].as_chunks::<16>();
            let (p, _) = p[row.clone()].as_chunks_mut::<16>();
            let (ds, _) = ds[row].as_chunks_mut::<16>();
            let whole = lo <= from && hi >= to;
            let at = |i: usize, j: usize| {
                let weight = exp2(s[i][j] * factors[r] * units[i][j] - lse[i][j]);
                (weight, weight * (dp[i][j] - delta[i][j]))
            };
            for i in 0..s.len() {
                if whole {
                    for j in 0..16 {
                        let (weight, slope) = at(i, j);
                        (p[i][j], ds[i][j]) = (E::of(weight), E::of(slope));
                    }
                } else {
                    for j in 0..16 {
                        let column = from + 16 * i + j;
                        let seen = column >= lo && column < hi;
                        let (weight, slope) = at(i, j);
                        p[i][j] = E::of(if seen { weight } else { 0.0 });
                        ds[i][j] = E::of(if seen { slope } else { 0.0 });
                    }
                }
            }
        }
        for r in ranges.len()..KEYS {
            ds[r * QUERIES + from..r * QUERIES + to].fill(E::default());
        }
    }
}
