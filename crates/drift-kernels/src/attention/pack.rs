//! One head's matrix `[T, D]` as operands of the products that attention needs.

use super::Segment;
use crate::operand::PANEL;
use crate::par;
use crate::tile::Operand;

/// Rows of the batch as left operands: `[T, ld]`, with rows to spare behind for AMX tiles.
#[derive(Debug, Default)]
pub(super) struct Left<E> {
    data: Vec<E>,
    pub ld: usize,
    dim: usize,
}

impl<E: Operand> Left<E> {
    pub fn pack(&mut self, x: &[f32], ld: usize, dim: usize) {
        (self.ld, self.dim) = (ld, dim);
        self.data.resize(x.len() + 16 * ld, E::default());
        par::rows(&mut self.data[..x.len()], ld, 32, |first, rows| {
            E::narrow(&x[first * ld..][..rows.len()], rows);
        });
    }

    /// A token's part of one head.
    pub fn row(&self, token: usize, head: usize) -> *const E {
        self.data[token * self.ld + head * self.dim..].as_ptr()
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
/// segment ends.
#[derive(Debug, Default)]
pub(super) struct ByToken<E> {
    data: Vec<E>,
    blocks: Blocks,
    /// D with its padding.
    pub depth: usize,
}

impl<E: Operand> ByToken<E> {
    /// `x[T, ld]`, heads `head..head + heads` of `dim` elements.
    pub fn pack(&mut self, x: &[f32], ld: usize, head: usize, heads: usize, dim: usize, segments: &[Segment]) {
        // An odd or short head is not worth a whole AMX tile: then the vector kernels take it.
        self.depth = if dim.is_multiple_of(E::K) { dim } else { dim.next_multiple_of(E::PAIR) };
        self.blocks.of(segments);
        let (depth, tokens) = (self.depth, &self.blocks.tokens);
        self.data.resize(heads * tokens.len() * depth * PANEL, E::default());
        par::rows(&mut self.data, depth * PANEL, 8, |first, panels| {
            let mut narrow = vec![E::default(); dim];
            for (i, panel) in panels.chunks_mut(depth * PANEL).enumerate() {
                let (h, block) = ((first + i) / tokens.len(), (first + i) % tokens.len());
                let (token, n) = tokens[block];
                if n < PANEL || depth > dim {
                    panel.fill(E::default());
                }
                for j in 0..n {
                    E::narrow(&x[(token + j) * ld + (head + h) * dim..][..dim], &mut narrow);
                    for (l, value) in narrow.iter().enumerate() {
                        panel[E::place(l, j)] = *value;
                    }
                }
            }
        });
    }

    /// The panel that starts at token `at` of the segment, `at` a multiple of 32.
    pub fn panel(&self, head: usize, segment: usize, at: usize) -> *const E {
        let block = head * self.blocks.tokens.len() + self.blocks.first[segment] + at / PANEL;
        self.data[block * self.depth * PANEL..].as_ptr()
    }
}

/// For products over tokens (mixing values): panels of 32 head dimensions, `[blocks · 32, 32]`, zero
/// where a segment ends.
#[derive(Debug, Default)]
pub(super) struct ByDim<E> {
    data: Vec<E>,
    blocks: Blocks,
    panels: usize,
}

impl<E: Operand> ByDim<E> {
    pub fn pack(&mut self, x: &[f32], ld: usize, head: usize, heads: usize, dim: usize, segments: &[Segment]) {
        self.blocks.of(segments);
        self.panels = dim.div_ceil(PANEL);
        let (tokens, panels) = (&self.blocks.tokens, self.panels);
        let size = tokens.len() * PANEL * PANEL;
        self.data.resize(heads * panels * size, E::default());
        par::rows(&mut self.data, size, 1, |i, panel| {
            let (h, p) = (i / panels, i % panels);
            let width = PANEL.min(dim - p * PANEL);
            let mut narrow = [E::default(); PANEL];
            for (block, (token, n)) in panel.chunks_mut(PANEL * PANEL).zip(tokens) {
                if *n < PANEL || width < PANEL {
                    block.fill(E::default());
                }
                for l in 0..*n {
                    let row = &x[(token + l) * ld + (head + h) * dim + p * PANEL..][..width];
                    E::narrow(row, &mut narrow[..width]);
                    for (j, value) in narrow[..width].iter().enumerate() {
                        block[E::place(l, j)] = *value;
                    }
                }
            }
        });
    }

    /// Panel `p` of the head, from token `at` of the segment on, `at` a multiple of 32.
    pub fn panel(&self, head: usize, p: usize, segment: usize, at: usize) -> *const E {
        let block = (head * self.panels + p) * self.blocks.tokens.len() + self.blocks.first[segment] + at / PANEL;
        self.data[block * PANEL * PANEL..].as_ptr()
    }
}
