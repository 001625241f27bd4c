//! What keys and values are kept as between decoding steps: f32, bf16, or bytes in a unit of each row.
//!
//! They are widened to f32 in registers, where a kernel multiplies them with f32 rows: decoding waits for
//! memory, so fewer bytes are what counts, and nothing but the kept value is rounded. Given the values,
//! sums have the order and the bits of the f32 kernels.

use crate::elementwise;
use crate::isa::{Isa, vectorized};
use crate::narrow::bf16;
use crate::operand::PANEL;
use crate::tile::{Tile, by_rows, f32_rows, fma, load, store};

/// How a decoder keeps keys and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvFormat {
    /// As they were computed.
    #[default]
    F32,
    /// Rounded to bf16, half the memory and traffic.
    Bf16,
    /// Rounded to 255 steps from -max to max of each position and head, a quarter.
    Int8,
}

impl KvFormat {
    pub const ALL: [KvFormat; 3] = [KvFormat::F32, KvFormat::Bf16, KvFormat::Int8];

    /// Bytes of a position's keys and values of one layer: `heads` key heads of `dim` elements.
    pub fn bytes(self, heads: usize, dim: usize) -> usize {
        2 * heads
            * match self {
                KvFormat::F32 => 4 * dim,
                KvFormat::Bf16 => 2 * dim,
                KvFormat::Int8 => dim + size_of::<f32>(),
            }
    }
}

/// A kept value.
pub(crate) trait Kept: Copy + Default + Send + Sync + 'static {
    /// Whether a row is in units of its own; else its unit is 1.
    const UNITS: bool;
    /// What 1 stands for in a row.
    fn unit(row: &[f32]) -> f32;
    /// Rounded; one is `1 / per_unit`.
    fn of(value: f32, per_unit: f32) -> Self;
    /// A product of f32 rows with a panel of kept values, which are not interleaved.
    ///
    /// SAFETY: the pointers of `tile` cover `rows` rows; the processor has `isa`.
    unsafe fn rows(isa: Isa, tile: Tile<f32, Self>, rows: usize);
}

impl Kept for f32 {
    const UNITS: bool = false;
    fn unit(_: &[f32]) -> f32 {
        1.0
    }
    #[inline(always)]
    fn of(value: f32, _: f32) -> f32 {
        value
    }
    unsafe fn rows(isa: Isa, tile: Tile<f32>, rows: usize) {
        f32_rows(isa, tile, rows);
    }
}

impl Kept for u16 {
    const UNITS: bool = false;
    fn unit(_: &[f32]) -> f32 {
        1.0
    }
    #[inline(always)]
    fn of(value: f32, _: f32) -> u16 {
        bf16(value) as u16
    }
    unsafe fn rows(isa: Isa, tile: Tile<f32, u16>, rows: usize) {
        widened(isa, tile, rows);
    }
}

impl Kept for i8 {
    const UNITS: bool = true;
    fn unit(row: &[f32]) -> f32 {
        let max = largest(row);
        // Below, the inverse may be no number; such a row is as good as zero.
        if max > 1e-30 { max / 127.0 } else { 1.0 }
    }
    #[inline(always)]
    fn of(value: f32, per_unit: f32) -> i8 {
        const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: the sum's low bits are the nearest integer
        (value * per_unit + ROUND).to_bits() as i8
    }
    unsafe fn rows(isa: Isa, tile: Tile<f32, i8>, rows: usize) {
        widened(isa, tile, rows);
    }
}

vectorized! {
    /// The largest magnitude.
    fn largest(row: &[f32]) -> f32 {
        let (whole, rest) = row.as_chunks::<16>();
        let mut lanes = [0.0f32; 16];
        for chunk in whole {
            for j in 0..16 {
                lanes[j] = if chunk[j].abs() > lanes[j] { chunk[j].abs() } else { lanes[j] };
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane = if value.abs() > *lane { value.abs() } else { *lane };
        }
        elementwise::largest(lanes)
    }
}

/// Values narrower than f32, of which every one is a value of f32.
trait Narrow: Copy {
    fn widen(self) -> f32;
    /// SAFETY: 16 values are readable; the processor has AVX-512.
    #[cfg(target_arch = "x86_64")]
    unsafe fn widen_16(from: *const Self) -> std::arch::x86_64::__m512;
    /// SAFETY: 8 values are readable; the processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn widen_8(from: *const Self) -> std::arch::x86_64::__m256;
}

impl Narrow for u16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits((self as u32) << 16)
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn widen_16(from: *const u16) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::*;
        _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())), 16))
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn widen_8(from: *const u16) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::*;
        _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())), 16))
    }
}

impl Narrow for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self as f32
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn widen_16(from: *const i8) -> std::arch::x86_64::__m512 {
        use std::arch::x86_64::*;
        _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast())))
    }
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn widen_8(from: *const i8) -> std::arch::x86_64::__m256 {
        use std::arch::x86_64::*;
        _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast())))
    }
}

/// SAFETY: as [`Kept::rows`].
unsafe fn widened(isa: Isa, tile: Tile<f32, impl Narrow>, rows: usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => {
            use x86::avx512 as kernel;
            by_rows!(tile, rows, kernel, 12: 1 2 3 4 5 6 7 8 9 10 11 12)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            use x86::avx2 as kernel;
            by_rows!(tile, rows, kernel, 6: 1 2 3 4 5 6)
        }
        _ => by_rows!(tile, rows, portable, 4: 1 2 3 4),
    }
}

unsafe fn portable<const R: usize>(t: Tile<f32, impl Narrow>) {
    let mut acc = load::<R, _, _>(&t);
    for l in 0..t.k {
        let mut b = [0.0f32; PANEL];
        for j in 0..PANEL {
            b[j] = (*t.b.add(l * PANEL + j)).widen();
        }
        for r in 0..R {
            let a = *t.a.add(r * t.lda + l);
            for j in 0..PANEL {
                acc[r][j] = fma(a, b[j], acc[r][j]);
            }
        }
    }
    store::<R, _, _>(&t, &acc);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Narrow, PANEL, Tile};
    use crate::tile::x86::{load_256, load_512, store_256, store_512};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,fma")]
    pub unsafe fn avx512<const R: usize>(t: Tile<f32, impl Narrow>) {
        let mut acc = load_512::<R, _, _>(&t);
        for l in 0..t.k {
            let b = t.b.add(l * PANEL);
            let (b0, b1) = (Narrow::widen_16(b), Narrow::widen_16(b.add(16)));
            for r in 0..R {
                let a = _mm512_set1_ps(*t.a.add(r * t.lda + l));
                acc[r] = [_mm512_fmadd_ps(a, b0, acc[r][0]), _mm512_fmadd_ps(a, b1, acc[r][1])];
            }
        }
        store_512::<R, _, _>(&t, &acc);
    }

    /// Half a panel at a time, as the kernels of floats.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2<const R: usize>(t: Tile<f32, impl Narrow>) {
        for half in [0, 16] {
            let mut acc = load_256::<R, _, _>(&t, half);
            for l in 0..t.k {
                let b = t.b.add(l * PANEL + half);
                let (b0, b1) = (Narrow::widen_8(b), Narrow::widen_8(b.add(8)));
                for r in 0..R {
                    let a = _mm256_set1_ps(*t.a.add(r * t.lda + l));
                    acc[r] = [_mm256_fmadd_ps(a, b0, acc[r][0]), _mm256_fmadd_ps(a, b1, acc[r][1])];
                }
            }
            store_256::<R, _, _>(&t, half, &acc);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(n: usize, seed: u64) -> Vec<f32> {
        let mut x = seed | 1;
        let mut next = || {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (x >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next() * (1.0 + 9.0 * next().max(0.0))).collect()
    }

    /// The product by every path, once from kept values, once from the same values in f32.
    fn check<E: Kept>(wide: fn(E) -> f32, a: &[f32], b: &[E], k: usize, rows: usize) {
        let in_f32: Vec<f32> = b.iter().map(|&value| wide(value)).collect();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let [mut got, mut expected] = [0.5, 0.5].map(|start| vec![start; rows * PANEL]);
            for accumulate in [true, false] {
                let (a, c) = (a.as_ptr(), got.as_mut_ptr());
                // SAFETY: all rows are there, and `isa` is available.
                unsafe { E::rows(isa, Tile { a, lda: k, b: b.as_ptr(), k, c, ldc: PANEL, accumulate }, rows) };
                let (b, c) = (in_f32.as_ptr(), expected.as_mut_ptr());
                // SAFETY: as above.
                unsafe { f32_rows(isa, Tile { a, lda: k, b, k, c, ldc: PANEL, accumulate }, rows) };
                assert_eq!(got, expected, "{isa:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn products_have_the_bits_of_f32(k in 1usize..90, rows in 1usize..30, seed: u64) {
            let (a, b) = (values(rows * k, seed), values(k * PANEL, seed ^ 1));
            let half: Vec<u16> = b.iter().map(|&value| u16::of(value, 1.0)).collect();
            let byte: Vec<i8> = b.iter().map(|&value| i8::of(value, 1.0 / i8::unit(&b))).collect();
            check(u16::widen, &a, &half, k, rows);
            check(i8::widen, &a, &byte, k, rows);
        }

        #[test]
        fn a_byte_is_off_by_half_a_unit_at_most(n in 1usize..200, seed: u64, scale in -30i32..30) {
            let row: Vec<f32> = values(n, seed).iter().map(|value| value * 2f32.powi(scale)).collect();
            let unit = i8::unit(&row);
            let max = row.iter().fold(0.0f32, |max, value| max.max(value.abs()));
            prop_assert_eq!(unit, max / 127.0);
            for value in row {
                let byte = i8::of(value, 1.0 / unit);
                prop_assert!((byte as f32 * unit - value).abs() <= 0.5001 * unit, "{} {} {}", byte, value, unit);
            }
        }
    }

    #[test]
    fn rows_without_size_are_zero() {
        for row in [[0.0; 40], [1e-38; 40], [-1e-45; 40]] {
            let unit = i8::unit(&row);
            assert!(unit.is_normal() && row.iter().all(|&value| i8::of(value, 1.0 / unit) == 0));
        }
    }
}
