//! Rounding f32 matrices to bf16 operands, two values of k side by side.
//!
//! A pair is one 32-bit word, so interleaving rows is a shift and an or, and turning a matrix is turning
//! blocks of 16 x 16 words.

use crate::isa::vectorized;
use crate::operand::PANEL;
use std::borrow::Cow;

/// Rounds to the nearest bf16, ties to even; NaN stays NaN.
#[inline(always)]
fn bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    let nan = (bits & 0x7fff_ffff) > 0x7f80_0000;
    if nan { (bits >> 16) | 0x40 } else { rounded }
}

/// Two values as one word, the first in its lower half.
#[inline(always)]
fn pair(first: f32, second: f32) -> u32 {
    bf16(first) | bf16(second) << 16
}

vectorized! {
    pub fn to_bf16(src: &[f32], dst: &mut [u16]) {
        for (d, s) in dst.iter_mut().zip(src) {
            *d = bf16(*s) as u16;
        }
    }
}

/// What rounding to bf16 loses of each value: the low half.
pub(crate) fn low_half(src: &[f32]) -> Vec<f32> {
    src.iter().map(|value| value - f32::from_bits(bf16(*value) << 16)).collect()
}

/// The values of each half: `src`, and the low half where there are two.
pub(crate) fn halves(src: &[f32], count: usize) -> Vec<Cow<'_, [f32]>> {
    let mut all = vec![Cow::Borrowed(src)];
    if count == 2 {
        all.push(Cow::Owned(low_half(src)));
    }
    all
}

/// Words of a block that is turned at once, each way.
const SIDE: usize = 16;

#[inline(always)]
fn turn_block(block: &[[u32; SIDE]; SIDE]) -> [[u32; SIDE]; SIDE] {
    let mut turned = [[0; SIDE]; SIDE];
    for i in 0..SIDE {
        for j in 0..SIDE {
            turned[j][i] = block[i][j];
        }
    }
    turned
}

/// The first `count` values of a row of pairs.
#[inline(always)]
fn write_pairs(pairs: &[u32; SIDE], out: &mut [u16], count: usize) {
    if count == 2 * SIDE {
        for (out, pair) in out[..2 * SIDE].chunks_exact_mut(2).zip(pairs) {
            out[0] = *pair as u16;
            out[1] = (*pair >> 16) as u16;
        }
    } else {
        for l in 0..count {
            out[l] = (pairs[l / 2] >> (16 * (l % 2))) as u16;
        }
    }
}

vectorized! {
    /// Rows of A from columns of `src[k, ld]`: row i of `rows` is column `first + i`.
    pub(crate) fn turn(src: &[f32], ld: usize, first: usize, k: usize, rows: &mut [u16], stride: usize) {
        let n = rows.len().div_ceil(stride);
        for from in (0..k).step_by(2 * SIDE) {
            let depth = (k - from).min(2 * SIDE);
            for i in (0..n).step_by(SIDE) {
                let width = (n - i).min(SIDE);
                let mut block = [[0u32; SIDE]; SIDE];
                for l in (0..depth).step_by(2) {
                    let at = (from + l) * ld + first + i;
                    let upper = &src[at..][..width];
                    if l + 1 < depth && width == SIDE {
                        let lower = &src[at + ld..][..SIDE];
                        for j in 0..SIDE {
                            block[l / 2][j] = pair(upper[j], lower[j]);
                        }
                    } else {
                        for j in 0..width {
                            let lower = if l + 1 < depth { src[at + ld + j] } else { 0.0 };
                            block[l / 2][j] = pair(upper[j], lower);
                        }
                    }
                }
                let turned = turn_block(&block);
                for j in 0..width {
                    write_pairs(&turned[j], &mut rows[(i + j) * stride + from..], depth);
                }
            }
        }
    }
}

vectorized! {
    /// Columns of a panel from rows of `src[columns, k]`, the first at column `at`.
    pub(crate) fn columns_to_pairs(src: &[f32], k: usize, at: usize, panel: &mut [u16]) {
        let n = src.len() / k;
        for from in (0..k).step_by(2 * SIDE) {
            let depth = (k - from).min(2 * SIDE);
            for i in (0..n).step_by(SIDE) {
                let width = (n - i).min(SIDE);
                let mut block = [[0u32; SIDE]; SIDE];
                for j in 0..width {
                    let row = &src[(i + j) * k + from..][..depth];
                    for (l, values) in row.chunks(2).enumerate() {
                        block[j][l] = pair(values[0], if values.len() == 2 { values[1] } else { 0.0 });
                    }
                }
                let turned = turn_block(&block);
                for l in 0..depth.div_ceil(2) {
                    let out = &mut panel[((from / 2 + l) * PANEL + at + i) * 2..];
                    write_pairs(&turned[l], out, 2 * width);
                }
            }
        }
    }
}

vectorized! {
    /// A panel's rows `at..at + rows`: columns `col..col + width` of `src[rows, ld]`.
    pub(crate) fn rows_to_pairs(
        src: &[f32], ld: usize, col: usize, width: usize, at: usize, rows: usize, panel: &mut [u16],
    ) {
        for l in 0..rows {
            let line = &src[l * ld + col..][..width];
            let out = &mut panel[(at + l) / 2 * 2 * PANEL..][..2 * PANEL];
            let odd = (at + l) % 2 == 1;
            if odd && l > 0 {
                continue; // written with the row before
            }
            if !odd && l + 1 < rows && width == PANEL {
                let next = &src[(l + 1) * ld + col..][..PANEL];
                for j in 0..PANEL {
                    let pair = pair(line[j], next[j]);
                    out[2 * j] = pair as u16;
                    out[2 * j + 1] = (pair >> 16) as u16;
                }
            } else {
                for j in 0..width {
                    out[2 * j + usize::from(odd)] = bf16(line[j]) as u16;
                    if !odd && l + 1 < rows {
                        out[2 * j + 1] = bf16(src[(l + 1) * ld + col + j]) as u16;
                    }
                }
            }
        }
    }
}
