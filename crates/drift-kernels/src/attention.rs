//! Causal attention over packed segments, without the T x T matrix (Dao et al., 2022).
//! Softmax and sums are f32. Products have operands in f32 or bf16, but for scores beside bf16: they grow
//! large, and their rounding to bf16 was measured to be half of all error in a sequence's log-prob. So
//! their operands are 16-bit integers, which are as fast.
//!
//! A segment's tokens see the tokens of its ancestors and, causally, their own. So two answers can
//! share one prompt: both have it as parent, neither sees the other. Positions continue the parent's.
//! With a sliding window w, a key is seen by queries at most w - 1 positions later.
//!
//! q, k and v lie in one buffer, `qkv[T, (N + 2G) D]`: N query heads, G key heads, G value heads.

use crate::meter::Meter;

mod backward;
mod cache;
mod decode;
mod forward;
mod pack;

pub use crate::kept::KvFormat;
pub use backward::{Backward, backward};
pub use cache::{Cache, PAGE, Table};
pub use forward::{Forward, forward};

pub static FORWARD: Meter = Meter::new("attention");
pub static DECODE: Meter = Meter::new("attention, decoding");
pub static BACKWARD: Meter = Meter::new("attention, backward");

/// A run of tokens of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub start: usize,
    pub len: usize,
    /// Position of the first token.
    pub position: usize,
    /// Index of the segment that this one continues, always a smaller index.
    pub parent: Option<usize>,
}

/// Sizes of one layer's attention.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// N
    pub queries: usize,
    /// G
    pub keys: usize,
    /// D
    pub dim: usize,
    pub window: Option<usize>,
}

impl Heads {
    /// Elements of a row of qkv.
    pub fn width(&self) -> usize {
        (self.queries + 2 * self.keys) * self.dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// D rounded up to whole panels.
    fn padded(&self) -> usize {
        self.dim.next_multiple_of(crate::operand::PANEL)
    }
}

/// Whether `other` is the segment itself or one of its ancestors, which have smaller indices.
fn continues(segments: &[Segment], s: usize, other: usize) -> bool {
    let mut line = Some(s);
    while let Some(at) = line.filter(|&at| at > other) {
        line = segments[at].parent;
    }
    line == Some(other)
}

/// Pairs of a query and a key that it sees, of one head.
pub fn visible(segments: &[Segment], window: Option<usize>) -> usize {
    let of_token = |position: usize| window.map_or(position + 1, |w| w.min(position + 1));
    segments.iter().map(|s| (s.position..s.position + s.len).map(of_token).sum::<usize>()).sum()
}

/// Rows of the left operand that one task works on, and columns of a block of scores.
const ROWS: usize = 48;
const BLOCK: usize = 128;

/// Blocks of ROWS tokens: (segment, first token within it, count).
fn row_blocks(segments: &[Segment], blocks: &mut Vec<(usize, usize, usize)>) {
    blocks.clear();
    for (s, segment) in segments.iter().enumerate() {
        for first in (0..segment.len).step_by(ROWS) {
            blocks.push((s, first, ROWS.min(segment.len - first)));
        }
    }
}

/// Queries at positions `p` see the keys at positions `p - window + 1 ..= p`: of keys at
/// `first..first + n`, those with index `lo..hi`.
fn seen(p: usize, first: usize, n: usize, window: Option<usize>) -> (usize, usize) {
    let oldest = window.map_or(0, |w| (p + 1).saturating_sub(w));
    (oldest.saturating_sub(first).min(n), (p + 1).saturating_sub(first).min(n))
}

/// The mirror: the key at position `p` is seen by queries at `p ..= p + window - 1`.
fn seen_by(p: usize, first: usize, n: usize, window: Option<usize>) -> (usize, usize) {
    let end = window.map_or(usize::MAX, |w| p.saturating_add(w));
    (p.saturating_sub(first).min(n), end.saturating_sub(first).min(n))
}

#[cfg(test)]
mod tests;
