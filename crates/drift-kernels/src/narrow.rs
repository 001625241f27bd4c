//! f32 matrices as operands of 16 bits a value, two values of k side by side.
//!
//! A pair is one 32-bit word, so interleaving rows is a shift and an or, and turning a matrix is turning
//! blocks of 16 x 16 words.

#[cfg(target_arch = "x86_64")]
use crate::isa::Isa;
use crate::isa::vectorized;
use crate::operand::PANEL;
use std::borrow::Cow;

/// The 16 bits that stand for a value.
pub(crate) trait Narrow {
    /// `column` is counted from the first that is given, `place` is [`place`] of the value in its matrix.
    fn narrow(&self, value: f32, column: usize, place: u32) -> u32;
}

/// The nearer of the two bf16 numbers beside a value, ties to even.
pub(crate) struct Nearest;

impl Narrow for Nearest {
    #[inline(always)]
    fn narrow(&self, value: f32, _: usize, _: u32) -> u32 {
        bf16(value)
    }
}

/// The upper one the more often the nearer a value is to it: each place of a matrix has a threshold, and these are spread
/// evenly. So small changes of many values are kept on average, where `Nearest` drops those of values that bf16 holds and
/// enlarges those of values just between two. A place's threshold is always the same, so what stays is rounded as before.
pub(crate) struct Spread;

impl Narrow for Spread {
    #[inline(always)]
    fn narrow(&self, value: f32, _: usize, place: u32) -> u32 {
        rounded(value, place >> 16)
    }
}

/// Fractions of 2³² by which places of a matrix go on from column to column and from row to row: the plane's sequence of
/// low discrepancy made from the plastic number p, 1/p and 1/p² (Roberts, 2018).
const NEXT: [u32; 2] = [0xC13F_A9A9, 0x91E1_0DA5];

#[inline(always)]
fn place(column: usize, row: usize) -> u32 {
    (column as u32).wrapping_mul(NEXT[0]).wrapping_add((row as u32).wrapping_mul(NEXT[1]))
}

/// A bf16 number: the upper 16 bits, one more where the threshold added to all bits carries into them. NaN stays NaN.
#[inline(always)]
fn rounded(value: f32, threshold: u32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(threshold) >> 16;
    let nan = (bits & 0x7fff_ffff) > 0x7f80_0000;
    if nan { (bits >> 16) | 0x40 } else { rounded }
}

/// Rounds to the nearest bf16, ties to even.
#[inline(always)]
pub(crate) fn bf16(value: f32) -> u32 {
    rounded(value, 0x7fff + ((value.to_bits() >> 16) & 1))
}

/// The nearest value of bf16, either one at a tie, in three operations of f32 (Veltkamp's splitting,
/// Dekker, 1971); NaN for values beyond 2¹¹¹.
#[inline(always)]
pub(crate) fn nearest(value: f32) -> f32 {
    let scaled = value * 65_537.0;
    scaled - (scaled - value)
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

/// What rounding to bf16 loses of a value: the low half.
pub(crate) fn low_half(value: f32) -> f32 {
    value - f32::from_bits(bf16(value) << 16)
}

/// What is rounded to make half 0, the high one, or half 1.
pub(crate) fn half(src: &[f32], half: usize) -> Cow<'_, [f32]> {
    if half == 0 { Cow::Borrowed(src) } else { src.iter().map(|&value| low_half(value)).collect() }
}

/// Words of a block that is turned at once, each way.
const SIDE: usize = 16;

/// Asks for a value's line of memory, to be used soon.
#[inline(always)]
pub(crate) fn prefetch<T>(value: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; it reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(value.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// The same for `len` values in a row.
#[inline(always)]
pub(crate) fn prefetch_all<T>(first: *const T, len: usize) {
    const LINE: usize = 64;
    for at in (0..len * size_of::<T>()).step_by(LINE) {
        prefetch(first.wrapping_byte_add(at));
    }
}

/// A block of words: `out[j, i] = src[i, j]`, in rows of `ld` and of `ldo` words.
#[inline(always)]
fn turn_block(src: &[u32], ld: usize, out: &mut [u32], ldo: usize) {
    assert!(src.len() >= 15 * ld + SIDE && out.len() >= 15 * ldo + SIDE);
    #[cfg(target_arch = "x86_64")]
    if Isa::current() >= Isa::Avx512 {
        // SAFETY: the processor has AVX-512; the block lies within both slices.
        return unsafe { turn_block_avx512(src.as_ptr(), ld, out.as_mut_ptr(), ldo) };
    }
    for i in 0..SIDE {
        for j in 0..SIDE {
            out[j * ldo + i] = src[i * ld + j];
        }
    }
}

/// Interleaving row i with row i + 8 into rows 2i and 2i + 1 moves the first bit of a word's place, row
/// and column in four bits each, behind the last one. Four times that, and rows are columns.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn turn_block_avx512(src: *const u32, ld: usize, out: *mut u32, ldo: usize) {
    use std::arch::x86_64::*;
    let first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    let mut rows = [_mm512_setzero_si512(); SIDE];
    for i in 0..SIDE {
        rows[i] = _mm512_loadu_si512(src.add(i * ld).cast());
    }
    for _ in 0..4 {
        let mut next = rows;
        for i in 0..8 {
            next[2 * i] = _mm512_permutex2var_epi32(rows[i], first, rows[i + 8]);
            next[2 * i + 1] = _mm512_permutex2var_epi32(rows[i], second, rows[i + 8]);
        }
        rows = next;
    }
    for i in 0..SIDE {
        _mm512_storeu_si512(out.add(i * ldo).cast(), rows[i]);
    }
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
    /// `out[w, j] = src[j, w]`: src has rows of `width` words, out rows of `ld`.
    pub(crate) fn turn_words(src: &[u32], width: usize, out: &mut [u32], ld: usize) {
        let n = src.len() / width;
        for j in (0..n).step_by(SIDE) {
            for w in (0..width).step_by(SIDE) {
                let (rows, words) = ((n - j).min(SIDE), (width - w).min(SIDE));
                if rows == SIDE && words == SIDE {
                    turn_block(&src[j * width + w..], width, &mut out[w * ld + j..], ld);
                } else {
                    for l in 0..words {
                        for r in 0..rows {
                            out[(w + l) * ld + j + r] = src[(j + r) * width + w + l];
                        }
                    }
                }
            }
        }
    }
}

vectorized! {
    /// Pairs of rows as rows of words: `out[l, j]` holds `src[2l, j]` and `src[2l + 1, j]`.
    pub(crate) fn stack_pairs(src: &[u16], ld: usize, out: &mut [u32]) {
        for (rows, words) in src.chunks_exact(2 * ld).zip(out.chunks_exact_mut(ld)) {
            let (upper, lower) = rows.split_at(ld);
            for j in 0..ld {
                words[j] = upper[j] as u32 | (lower[j] as u32) << 16;
            }
        }
    }
}

vectorized! {
    /// Rows of A from columns of `src[k, ld]`: row i of `rows` is column `first + i`.
    pub(crate) fn turn(src: &[f32], ld: usize, first: usize, k: usize, rows: &mut [u16], stride: usize) {
        let n = rows.len().div_ceil(stride);
        for from in (0..k).step_by(2 * SIDE) {
            let depth = (k - from).min(2 * SIDE);
            // The processor foresees no access a page and more from the last one.
            for l in from + depth..k.min(from + depth + 2 * SIDE) {
                for i in (0..n).step_by(SIDE) {
                    prefetch(&src[l * ld + first + i]);
                }
            }
            for i in (0..n).step_by(SIDE) {
                let width = (n - i).min(SIDE);
                let (mut block, mut turned) = ([[0u32; SIDE]; SIDE], [[0u32; SIDE]; SIDE]);
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
                turn_block(block.as_flattened(), SIDE, turned.as_flattened_mut(), SIDE);
                for j in 0..width {
                    write_pairs(&turned[j], &mut rows[(i + j) * stride + from..], depth);
                }
            }
        }
    }
}

vectorized! {
    /// Columns of a panel from rows of `src[columns, k]`, the first at column `at`, which is `column` of the matrix.
    pub(crate) fn columns_to_pairs<N: Narrow>(by: &N, src: &[f32], k: usize, at: usize, column: usize, panel: &mut [u16]) {
        let n = src.len() / k;
        for from in (0..k).step_by(2 * SIDE) {
            let depth = (k - from).min(2 * SIDE);
            for i in (0..n).step_by(SIDE) {
                let width = (n - i).min(SIDE);
                let (mut block, mut turned) = ([[0u32; SIDE]; SIDE], [[0u32; SIDE]; SIDE]);
                for j in 0..width {
                    let row = &src[(i + j) * k + from..][..depth];
                    let first = place(column + i + j, from);
                    for (l, values) in row.chunks(2).enumerate() {
                        let upper = first.wrapping_add(place(0, 2 * l));
                        let lower = if values.len() == 2 { values[1] } else { 0.0 };
                        block[j][l] = by.narrow(values[0], i + j, upper)
                            | (by.narrow(lower, i + j, upper.wrapping_add(NEXT[1])) << 16);
                    }
                }
                turn_block(block.as_flattened(), SIDE, turned.as_flattened_mut(), SIDE);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of a change of all values is left after rounding, on average over a matrix of `side` rows and columns.
    fn kept(by: &impl Narrow, side: usize, values: impl Fn(usize) -> f32, change: f32) -> f64 {
        let moved = |i: usize| {
            let place = place(i / side, i % side);
            let number = |value| f32::from_bits(by.narrow(value, i % side, place) << 16) as f64;
            number(values(i) + change) - number(values(i))
        };
        (0..side * side).map(moved).sum::<f64>() / (side * side) as f64 / change as f64
    }

    #[test]
    fn small_changes_are_kept_on_average() {
        const STEP: f32 = 1.0 / 128.0; // of bf16 between 1 and 2
        // As weights are that come from bf16 or from few bits: bf16 numbers, and the middles between two.
        let numbers = |i: usize| 1.0 + (i * 7 % 120) as f32 * STEP;
        let middles = |i: usize| numbers(i) + STEP / 2.0;
        let between = |i: usize| 1.0 + (i * 7919 % 120_011) as f32 / 131_072.0;
        for change in [STEP / 200.0, STEP / 17.0, -STEP / 200.0] {
            for side in [576, 610] {
                assert!((kept(&Spread, side, numbers, change) - 1.0).abs() < 0.01);
                assert!((kept(&Spread, side, middles, change) - 1.0).abs() < 0.01);
                assert!((kept(&Spread, side, between, change) - 1.0).abs() < 0.01);
                assert!((kept(&Spread, side, |i| -numbers(i), change) - 1.0).abs() < 0.01);
            }
        }
        // What it is for.
        assert_eq!(kept(&Nearest, 64, numbers, STEP / 200.0), 0.0);
        assert!(kept(&Nearest, 64, middles, STEP / 200.0) > 50.0);
    }

    #[test]
    fn what_bf16_holds_stays() {
        for value in [0.0, -0.0, 1.0, -3.5, f32::INFINITY, f32::MIN_POSITIVE, bf16_max(), -bf16_max()] {
            for place in [0, 1 << 16, u32::MAX] {
                assert_eq!(f32::from_bits(Spread.narrow(value, 0, place) << 16).to_bits(), value.to_bits());
            }
        }
        assert!(f32::from_bits(Spread.narrow(f32::from_bits(0x7f80_0001), 0, 0) << 16).is_nan());
    }

    fn bf16_max() -> f32 {
        f32::from_bits(0x7f7f_0000)
    }
}
