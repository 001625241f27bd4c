//! Rows as 16-bit integers, for products that need more bits than bf16 has: scores, and layers forward.
//!
//! A row is stored in units of its norm / 32,000, so a product of two rows is off by about 1e-5 of the
//! product of their norms: fifteen times less than with bf16 in scores, at the same speed (`vpdpwssd`). By
//! Cauchy and Schwarz neither a product nor a part of its sum leaves 32 bits. Sums are exact, so every
//! path gives the same bits.

use crate::elementwise::dots;
use crate::isa::{Isa, vectorized};
use crate::narrow::Narrow;
use crate::operand::PANEL;
use crate::tile::{Operand, Tile, by_rows};

/// Of a row in its units. Rounding adds at most half a unit an element: no element passes 32,767 and
/// no product of rows 2³¹ below a million elements.
const NORM: f32 = 32_000.0;

/// What 1 stands for in the integers of each row: rows of `dim` values.
pub(crate) fn units(rows: &[f32], dim: usize, units: &mut [f32]) {
    dots(rows, rows, dim, units);
    for unit in units {
        // Where squares underflow, a row counts as zeros.
        *unit = if *unit < f32::MIN_POSITIVE { 1.0 } else { unit.sqrt() / NORM };
    }
}

/// The nearest integer, ties to even, for values within 16 bits: in the lower 16.
#[inline(always)]
fn nearest(value: f32) -> u32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: the sum's low bits are the integer
    (value + ROUND).to_bits()
}

vectorized! {
    pub(crate) fn in_units(row: &[f32], unit: f32, to: &mut [i16]) {
        let per_unit = 1.0 / unit;
        for (to, value) in to.iter_mut().zip(row) {
            *to = nearest(value * per_unit) as i16;
        }
    }
}

/// Columns in their units, of each of which there are so many to 1.
pub(crate) struct InUnits([f32; PANEL]);

impl InUnits {
    pub fn of(units: &[f32]) -> InUnits {
        let mut per_one = [0.0; PANEL];
        for (per_one, unit) in per_one.iter_mut().zip(units) {
            *per_one = 1.0 / unit;
        }
        InUnits(per_one)
    }
}

impl Narrow for InUnits {
    #[inline(always)]
    fn narrow(&self, value: f32, column: usize, _: u32) -> u32 {
        nearest(value * self.0[column]) & 0xffff
    }
}

/// Integers as what they are stored in.
pub(crate) fn bits(values: &mut [i16]) -> &mut [u16] {
    // SAFETY: both have one size and alignment, and any bits are a value of either.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) }
}

/// Rows whose sums are in integers before they are multiplied with their units.
const GROUP: usize = 12;

/// `C[r, 0..32] (+)= unit of row r · unit of column · Σ_l A[r, l] · B[l, 0..32]`.
///
/// SAFETY: as [`Operand::rows`]; C is there, as for `tile::f32_rows`.
pub(crate) unsafe fn rows_in_units(isa: Isa, tile: Tile<i16>, rows: usize, of_rows: &[f32], of_columns: &[f32; PANEL]) {
    for first in (0..rows).step_by(GROUP) {
        let count = GROUP.min(rows - first);
        let mut sums = [[0.0f32; PANEL]; GROUP];
        let t = tile.skip(first);
        i16::rows(isa, Tile { c: sums.as_mut_ptr().cast(), ldc: PANEL, accumulate: false, ..t }, count);
        add_in_units(&sums[..count], &of_rows[first..], of_columns, t.c, t.ldc, t.accumulate);
    }
}

vectorized! {
    /// C must have as many rows as there are sums.
    fn add_in_units(
        sums: &[[f32; PANEL]], of_rows: &[f32], of_columns: &[f32; PANEL], c: *mut f32, ldc: usize, accumulate: bool,
    ) {
        for (r, (sums, unit)) in sums.iter().zip(of_rows).enumerate() {
            // SAFETY: the caller's C.
            let out = unsafe { &mut *c.add(r * ldc).cast::<[f32; PANEL]>() };
            let value = |j: usize| sums[j] * (unit * of_columns[j]);
            if accumulate {
                for j in 0..PANEL {
                    out[j] += value(j);
                }
            } else {
                for j in 0..PANEL {
                    out[j] = value(j);
                }
            }
        }
    }
}

impl Operand for i16 {
    const PAIR: usize = 2;
    const K: usize = 2;
    /// C is in the product of both rows' units; there is nothing to accumulate to.
    unsafe fn rows(isa: Isa, tile: Tile<i16>, rows: usize) {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 | Isa::Amx => {
                use x86::avx512vnni as kernel;
                by_rows!(tile, rows, kernel, 12: 1 2 3 4 5 6 7 8 9 10 11 12)
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
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
}

/// SAFETY: of this and the other kernels: as [`Operand::rows`]; k is even.
unsafe fn portable<const R: usize>(t: Tile<i16>) {
    let mut acc = [[0i32; PANEL]; R];
    for l in (0..t.k).step_by(2) {
        let b = std::slice::from_raw_parts(t.b.add(l * PANEL), 2 * PANEL);
        for r in 0..R {
            let (a0, a1) = (*t.a.add(r * t.lda + l) as i32, *t.a.add(r * t.lda + l + 1) as i32);
            for j in 0..PANEL {
                acc[r][j] += a0 * b[2 * j] as i32 + a1 * b[2 * j + 1] as i32;
            }
        }
    }
    for r in 0..R {
        for j in 0..PANEL {
            *t.c.add(r * t.ldc + j) = acc[r][j] as f32;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PANEL, Tile};
    use std::arch::x86_64::*;

    /// A pair of A's values, to be multiplied with a pair of B's.
    #[inline(always)]
    unsafe fn pair<const R: usize>(t: &Tile<i16>, r: usize, l: usize) -> i32 {
        (t.a.add(r * t.lda + l) as *const i32).read_unaligned()
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub unsafe fn avx512vnni<const R: usize>(t: Tile<i16>) {
        let mut acc = [[_mm512_setzero_si512(); 2]; R];
        for l in (0..t.k).step_by(2) {
            let b0 = _mm512_loadu_si512(t.b.add(l * PANEL) as *const _);
            let b1 = _mm512_loadu_si512(t.b.add(l * PANEL + 32) as *const _);
            for r in 0..R {
                let a = _mm512_set1_epi32(pair::<R>(&t, r, l));
                acc[r] = [_mm512_dpwssd_epi32(acc[r][0], a, b0), _mm512_dpwssd_epi32(acc[r][1], a, b1)];
            }
        }
        store_512::<R>(&t, &acc);
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub unsafe fn avx512<const R: usize>(t: Tile<i16>) {
        let mut acc = [[_mm512_setzero_si512(); 2]; R];
        for l in (0..t.k).step_by(2) {
            let b0 = _mm512_loadu_si512(t.b.add(l * PANEL) as *const _);
            let b1 = _mm512_loadu_si512(t.b.add(l * PANEL + 32) as *const _);
            for r in 0..R {
                let a = _mm512_set1_epi32(pair::<R>(&t, r, l));
                acc[r] = [
                    _mm512_add_epi32(acc[r][0], _mm512_madd_epi16(a, b0)),
                    _mm512_add_epi32(acc[r][1], _mm512_madd_epi16(a, b1)),
                ];
            }
        }
        store_512::<R>(&t, &acc);
    }

    #[inline(always)]
    unsafe fn store_512<const R: usize>(t: &Tile<i16>, acc: &[[__m512i; 2]; R]) {
        for r in 0..R {
            _mm512_storeu_ps(t.c.add(r * t.ldc), _mm512_cvtepi32_ps(acc[r][0]));
            _mm512_storeu_ps(t.c.add(r * t.ldc + 16), _mm512_cvtepi32_ps(acc[r][1]));
        }
    }

    /// Half a panel at a time, as the kernels of floats.
    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2<const R: usize>(t: Tile<i16>) {
        for half in [0, 16] {
            let mut acc = [[_mm256_setzero_si256(); 2]; R];
            for l in (0..t.k).step_by(2) {
                let b = t.b.add(l * PANEL + 2 * half);
                let b0 = _mm256_loadu_si256(b as *const _);
                let b1 = _mm256_loadu_si256(b.add(16) as *const _);
                for r in 0..R {
                    let a = _mm256_set1_epi32(pair::<R>(&t, r, l));
                    acc[r] = [
                        _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(a, b0)),
                        _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(a, b1)),
                    ];
                }
            }
            for r in 0..R {
                let c = t.c.add(r * t.ldc + half);
                _mm256_storeu_ps(c, _mm256_cvtepi32_ps(acc[r][0]));
                _mm256_storeu_ps(c.add(8), _mm256_cvtepi32_ps(acc[r][1]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_path_sums_exactly(k in 1usize..80, rows in 1usize..30, seed: u64, spike: bool) {
            let k = 2 * k;
            let mut x = seed | 1;
            let mut row = || -> Vec<f32> {
                (0..k).map(|l| {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // A row of one large value is the largest integer there is.
                    if spike && l > 0 { 0.0 } else { (x >> 40) as f32 / (1 << 23) as f32 - 1.0 }
                }).collect()
            };
            let narrow = |row: Vec<f32>| {
                let (mut integers, mut unit) = (vec![0i16; k], [0.0]);
                units(&row, k, &mut unit);
                in_units(&row, unit[0], &mut integers);
                (row, integers, unit[0] as f64)
            };
            let a: Vec<_> = (0..rows).map(|_| narrow(row())).collect();
            let b: Vec<_> = (0..PANEL).map(|_| narrow(row())).collect();
            let left: Vec<i16> = a.iter().flat_map(|(_, integers, _)| integers.clone()).collect();
            let mut panel = vec![0i16; k * PANEL];
            for j in 0..PANEL {
                for l in 0..k {
                    panel[l / 2 * 2 * PANEL + 2 * j + l % 2] = b[j].1[l];
                }
            }
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                let mut c = vec![f32::NAN; rows * PANEL];
                let tile =
                    Tile { a: left.as_ptr(), lda: k, b: panel.as_ptr(), k, c: c.as_mut_ptr(), ldc: PANEL, accumulate: false };
                // SAFETY: all rows are there, and `isa` is available.
                unsafe { i16::rows(isa, tile, rows) };
                for r in 0..rows {
                    for j in 0..PANEL {
                        let exact: i64 = a[r].1.iter().zip(&b[j].1).map(|(x, y)| *x as i64 * *y as i64).sum();
                        prop_assert_eq!(c[r * PANEL + j], exact as f32, "{:?}", isa);
                        let real: f64 = a[r].0.iter().zip(&b[j].0).map(|(x, y)| *x as f64 * *y as f64).sum();
                        let units = a[r].2 * b[j].2;
                        // Half a unit an element on either side, at worst all in one direction.
                        let within = units * NORM as f64 * (k as f64).sqrt() * 1.01;
                        prop_assert!((exact as f64 * units - real).abs() <= within, "{isa:?}: {exact} {real}");
                    }
                }
            }
        }
    }
}
