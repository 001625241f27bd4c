//! One head's matrix `[T, D]` as operands of the products that attention needs.

use super::Segment;
use crate::integer;
use crate::narrow::turn_words;
use crate::operand::PANEL;
use crate::par;
use crate::tile::{Mixing, Operand};

/// Heads `head..head + heads` of rows `x[T, ld]`, each `dim` elements.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub x: &'a [f32],
    pub ld: usize,
    pub head: usize,
    pub heads: usize,
    pub dim: usize,
}

impl<'a> Matrix<'a> {
    pub fn row(&self, token: usize, head: usize) -> &'a [f32] {
        &self.x[token * self.ld + (self.head + head) * self.dim..][..self.dim]
    }

    fn tokens(&self) -> usize {
        self.x.len() / self.ld
    }
}

/// What 1 stands for in a row of an operand of scores, `[T, heads]`.
#[derive(Debug, Default)]
pub(super) struct Units {
    data: Vec<f32>,
    heads: usize,
}

impl Units {
    pub fn measure<S: Score>(&mut self, m: Matrix) {
        self.heads = m.heads;
        self.data.resize(m.tokens() * m.heads, 1.0);
        par::rows(&mut self.data, m.heads, 64, |first, units| {
            for (t, units) in units.chunks_mut(m.heads).enumerate() {
                S::units(&m.x[(first + t) * m.ld + m.head * m.dim..][..m.heads * m.dim], m.dim, units);
            }
        });
    }

    pub fn of(&self, token: usize, head: usize) -> f32 {
        self.data[token * self.heads + head]
    }

    /// Those of consecutive tokens.
    pub fn read(&self, token: usize, head: usize, to: &mut [f32]) {
        for (to, unit) in to.iter_mut().zip(self.data[token * self.heads + head..].iter().step_by(self.heads)) {
            *to = *unit;
        }
    }
}

/// Operands of the products of queries and keys: f32 beside f32, integers beside bf16, whose eight bits
/// were measured to be half of all error in a sequence's log-prob.
pub(super) trait Score: Operand {
    /// The units of rows of `dim` values.
    fn units(rows: &[f32], dim: usize, units: &mut [f32]);
    fn in_units(row: &[f32], unit: f32, to: &mut [Self]);
}

impl Score for f32 {
    fn units(_: &[f32], _: usize, units: &mut [f32]) {
        units.fill(1.0);
    }
    fn in_units(row: &[f32], _: f32, to: &mut [f32]) {
        to.copy_from_slice(row);
    }
}

impl Score for i16 {
    fn units(rows: &[f32], dim: usize, units: &mut [f32]) {
        integer::units(rows, dim, units);
    }
    fn in_units(row: &[f32], unit: f32, to: &mut [i16]) {
        integer::in_units(row, unit, to);
    }
}

/// D with its padding. An odd or short head is not worth a whole AMX tile: then the vector kernels
/// take it.
pub(super) fn depth<E: Operand>(dim: usize) -> usize {
    if dim.is_multiple_of(E::K) { dim } else { dim.next_multiple_of(E::PAIR) }
}

/// Rows as left operands: `[T, heads · depth]`, with rows to spare behind for AMX tiles.
#[derive(Debug, Default)]
pub(super) struct Left<E> {
    data: Vec<E>,
    pub ld: usize,
    depth: usize,
}

impl<E: Mixing> Left<E> {
    pub fn pack(&mut self, m: Matrix) {
        self.fill(m, |token, head, to| E::narrow(m.row(token, head), to));
    }
}

impl<S: Score> Left<S> {
    pub fn pack_in(&mut self, m: Matrix, units: &Units) {
        self.fill(m, |token, head, to| S::in_units(m.row(token, head), units.of(token, head), to));
    }
}

impl<E: Operand> Left<E> {
    fn fill(&mut self, m: Matrix, narrow: impl Fn(usize, usize, &mut [E]) + Sync + Send) {
        self.depth = depth::<E>(m.dim);
        self.ld = m.heads * self.depth;
        let (ld, depth, len) = (self.ld, self.depth, m.tokens() * self.ld);
        self.data.resize(len + 16 * ld, E::default());
        par::rows(&mut self.data[..len], ld, 32, |first, rows| {
            for (i, row) in rows.chunks_mut(depth).enumerate() {
                narrow(first + i / m.heads, i % m.heads, &mut row[..m.dim]);
                row[m.dim..].fill(E::default());
            }
        });
    }

    /// A token's part of one head.
    pub fn row(&self, token: usize, head: usize) -> *const E {
        self.data[token * self.ld + head * self.depth..].as_ptr()
    }
}

/// Each segment cut into blocks of 32 tokens, the last one filled up.
#[derive(Debug, Default)]
struct Blocks {
    /// First block of each segment, and the number of all.
    first: Vec<usize>,
    /// First token of each block in the batch, and how many it has.
    tokens: Vec<(usize, usize)>,
}

impl Blocks {
    fn of(&mut self, segments: &[Segment]) {
        self.first.clear();
        self.tokens.clear();
        for segment in segments {
            self.first.push(self.tokens.len());
            let starts = (0..segment.len).step_by(PANEL);
            self.tokens.extend(starts.map(|at| (segment.start + at, PANEL.min(segment.len - at))));
        }
    }
}

/// For products over the head's dimensions (scores): a block is a panel `[D, 32]`, zero where the
/// segment ends. A panel is made of 32-bit words, each of `E::PAIR` values along D.
#[derive(Debug, Default)]
pub(super) struct ByToken<E> {
    words: Vec<u32>,
    blocks: Blocks,
    /// D with its padding.
    pub depth: usize,
    element: std::marker::PhantomData<E>,
}

impl<E: Mixing> ByToken<E> {
    pub fn pack(&mut self, m: Matrix, segments: &[Segment]) {
        self.fill(m, segments, |token, head, to| E::narrow(m.row(token, head), to));
    }
}

impl<S: Score> ByToken<S> {
    pub fn pack_in(&mut self, m: Matrix, units: &Units, segments: &[Segment]) {
        self.fill(m, segments, |token, head, to| S::in_units(m.row(token, head), units.of(token, head), to));
    }
}

impl<E: Operand> ByToken<E> {
    fn fill(&mut self, m: Matrix, segments: &[Segment], narrow: impl Fn(usize, usize, &mut [E]) + Sync + Send) {
        self.depth = depth::<E>(m.dim);
        self.blocks.of(segments);
        let (tokens, width) = (&self.blocks.tokens, self.depth / E::PAIR);
        self.words.resize(m.heads * tokens.len() * width * PANEL, 0);
        par::rows(&mut self.words, width * PANEL, 8, |first, panels| {
            par::with_words(PANEL * width, |rows| {
                for (i, panel) in panels.chunks_mut(width * PANEL).enumerate() {
                    let (head, block) = ((first + i) / tokens.len(), (first + i) % tokens.len());
                    let (token, n) = tokens[block];
                    for (j, row) in rows.chunks_mut(width).enumerate() {
                        if j < n {
                            narrow(token + j, head, &mut E::values(row)[..m.dim]);
                        } else {
                            row.fill(0);
                        }
                    }
                    turn_words(rows, width, panel, PANEL);
                }
            });
        });
    }

    /// The panel that starts at token `at` of the segment, `at` a multiple of 32.
    pub fn panel(&self, head: usize, segment: usize, at: usize) -> *const E {
        let block = head * self.blocks.tokens.len() + self.blocks.first[segment] + at / PANEL;
        self.words[block * self.depth / E::PAIR * PANEL..].as_ptr().cast()
    }
}

/// For products over tokens (mixing values): panels of 32 head dimensions, `[blocks · 32, 32]`, zero
/// where a segment ends.
#[derive(Debug, Default)]
pub(super) struct ByDim<E> {
    words: Vec<u32>,
    blocks: Blocks,
    panels: usize,
    element: std::marker::PhantomData<E>,
}

/// Words of 32 tokens by 32 dimensions.
const fn block_words<E: Operand>() -> usize {
    PANEL * PANEL / E::PAIR
}

impl<E: Mixing> ByDim<E> {
    pub fn pack(&mut self, m: Matrix, segments: &[Segment]) {
        self.blocks.of(segments);
        self.panels = m.dim.div_ceil(PANEL);
        let (tokens, panels) = (&self.blocks.tokens, self.panels);
        let size = tokens.len() * block_words::<E>();
        self.words.resize(m.heads * panels * size, 0);
        par::rows(&mut self.words, size, 1, |i, panel| {
            let (head, p) = (i / panels, i % panels);
            let columns = p * PANEL..m.dim.min((p + 1) * PANEL);
            let (mut rows, mut narrow) = ([[0.0; PANEL]; PANEL], [E::default(); PANEL * PANEL]);
            for (block, (token, n)) in panel.chunks_mut(block_words::<E>()).zip(tokens) {
                rows.as_flattened_mut()[n * PANEL..].fill(0.0);
                for (l, row) in rows[..*n].iter_mut().enumerate() {
                    let values = &m.row(token + l, head)[columns.clone()];
                    match values.first_chunk::<PANEL>() {
                        Some(whole) => *row = *whole, // of known size: no call to copy it
                        None => row[..values.len()].copy_from_slice(values),
                    }
                }
                E::narrow(rows.as_flattened(), &mut narrow);
                E::stack(&narrow, PANEL, block);
            }
        });
    }

    /// Panel `p` of the head, from token `at` of the segment on, `at` a multiple of 32.
    pub fn panel(&self, head: usize, p: usize, segment: usize, at: usize) -> *const E {
        let block = (head * self.panels + p) * self.blocks.tokens.len() + self.blocks.first[segment] + at / PANEL;
        self.words[block * block_words::<E>()..].as_ptr().cast()
    }
}
