//! One head's matrix `[T, D]` as right operand, in the two orientations that attention needs.

use super::Segment;
use crate::operand::PANEL;
use crate::par;

/// For products over the head's dimensions (scores): each segment cut into blocks of 32 tokens, a
/// block is a panel `[D, 32]`, zero where the segment ends.
#[derive(Debug, Default)]
pub(super) struct ByToken {
    data: Vec<f32>,
    /// First block of each segment, and the total.
    first: Vec<usize>,
    dim: usize,
}

impl ByToken {
    /// `x[T, ld]`, heads `head..head + heads` of `dim` elements.
    pub fn pack(&mut self, x: &[f32], ld: usize, head: usize, heads: usize, dim: usize, segments: &[Segment]) {
        self.dim = dim;
        self.first.clear();
        self.first.push(0);
        let mut owner = Vec::new();
        for (s, segment) in segments.iter().enumerate() {
            let blocks = segment.len.div_ceil(PANEL);
            self.first.push(self.first[s] + blocks);
            owner.extend((0..blocks).map(|b| (segment.start + b * PANEL, PANEL.min(segment.len - b * PANEL))));
        }
        self.data.resize(heads * owner.len() * dim * PANEL, 0.0);
        par::rows(&mut self.data, dim * PANEL, 8, |first, panels| {
            for (i, panel) in panels.chunks_mut(dim * PANEL).enumerate() {
                let (h, block) = ((first + i) / owner.len(), (first + i) % owner.len());
                let (token, n) = owner[block];
                for j in 0..n {
                    let row = &x[(token + j) * ld + (head + h) * dim..][..dim];
                    for (l, value) in row.iter().enumerate() {
                        panel[l * PANEL + j] = *value;
                    }
                }
                for j in n..PANEL {
                    for l in 0..dim {
                        panel[l * PANEL + j] = 0.0;
                    }
                }
            }
        });
    }

    /// The panel that starts at token `at` of the segment, `at` a multiple of 32.
    pub fn panel(&self, head: usize, segment: usize, at: usize) -> *const f32 {
        let blocks = self.first[self.first.len() - 1];
        let block = head * blocks + self.first[segment] + at / PANEL;
        self.data[block * self.dim * PANEL..].as_ptr()
    }
}

/// For products over tokens (mixing values): panels of 32 head dimensions, `[T, 32]`.
#[derive(Debug, Default)]
pub(super) struct ByDim {
    data: Vec<f32>,
    tokens: usize,
    panels: usize,
}

impl ByDim {
    pub fn pack(&mut self, x: &[f32], ld: usize, head: usize, heads: usize, dim: usize) {
        self.tokens = x.len() / ld;
        self.panels = dim.div_ceil(PANEL);
        self.data.resize(heads * self.panels * self.tokens * PANEL, 0.0);
        let (tokens, panels) = (self.tokens, self.panels);
        par::rows(&mut self.data, tokens * PANEL, 1, |i, panel| {
            let (h, p) = (i / panels, i % panels);
            let width = PANEL.min(dim - p * PANEL);
            for (t, out) in panel.chunks_mut(PANEL).enumerate() {
                out[..width].copy_from_slice(&x[t * ld + (head + h) * dim + p * PANEL..][..width]);
                out[width..].fill(0.0);
            }
        });
    }

    /// Panel `p` of the head, from a token of the batch on.
    pub fn panel(&self, head: usize, p: usize, token: usize) -> *const f32 {
        self.data[((head * self.panels + p) * self.tokens + token) * PANEL..].as_ptr()
    }
}
