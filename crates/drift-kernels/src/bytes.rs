//! Both operands of a product as bytes, for weights of half the memory and products of twice the rate of bf16.
//!
//! Along k, values go in blocks of 64 with a unit each: a block's largest magnitude is 127 units. The right operand's bytes
//! are stored with 128 added, since `vpdpbusd` wants one side without sign; a row's block keeps 128 times its sum, which
//! every product of that block begins with below zero. Sums of a block are exact, blocks are added in f32 with one
//! rounding each, in order: every path gives the same bits, whatever rows are grouped.
//!
//! For inference alone: there is no gradient through these.

use crate::isa::Isa;
use crate::kept::Kept;
use crate::operand::PANEL;
use crate::tile::{Tile, by_rows, load, store};

/// Values of k that have one unit.
pub(crate) const BLOCK: usize = 64;
/// Bytes of a row's block: its unit (f32), 128 times the sum of its values (i32), its values (i8).
pub(crate) const ROW_BLOCK: usize = 8 + BLOCK;
/// Bytes of a panel's block: the unit of each column (f32), then for every four values of k those of all columns (u8).
pub(crate) const PANEL_BLOCK: usize = (4 + BLOCK) * PANEL;

/// One row `[k]` as blocks; what lacks of the last is zero.
pub(crate) fn to_row(row: &[f32], out: &mut [u8]) {
    for (values, out) in row.chunks(BLOCK).zip(out.chunks_exact_mut(ROW_BLOCK)) {
        let unit = i8::unit(values);
        let (head, bytes) = out.split_at_mut(8);
        let mut sum = 0;
        for (byte, value) in bytes.iter_mut().zip(values) {
            let value = i8::of(*value, 1.0 / unit);
            sum += i32::from(value);
            *byte = value as u8;
        }
        bytes[values.len()..].fill(0);
        head[..4].copy_from_slice(&unit.to_ne_bytes());
        head[4..].copy_from_slice(&(128 * sum).to_ne_bytes());
    }
}

/// One row `[k]` as column `j` of a panel.
pub(crate) fn to_column(row: &[f32], j: usize, panel: &mut [u8]) {
    for (values, out) in row.chunks(BLOCK).zip(panel.chunks_exact_mut(PANEL_BLOCK)) {
        let unit = i8::unit(values);
        out[4 * j..][..4].copy_from_slice(&unit.to_ne_bytes());
        let bytes = &mut out[4 * PANEL..];
        for l in 0..BLOCK {
            let value = values.get(l).map_or(0, |value| i8::of(*value, 1.0 / unit));
            bytes[l / 4 * 4 * PANEL + 4 * j + l % 4] = (value as u8).wrapping_add(128);
        }
    }
}

/// `t.k` counts values, whole blocks; `t.a` and `t.b` point at blocks, `t.lda` counts bytes.
///
/// SAFETY: the pointers of `tile` cover `rows` rows and a panel; the processor has `isa`.
pub(crate) unsafe fn rows(isa: Isa, tile: Tile<u8>, rows: usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 | Isa::Amx => {
            use x86::avx512vnni as kernel;
            by_rows!(tile, rows, kernel, 6: 1 2 3 4 5 6)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            use x86::avx512 as kernel;
            by_rows!(tile, rows, kernel, 4: 1 2 3 4)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            use x86::avx2 as kernel;
            by_rows!(tile, rows, kernel, 4: 1 2 3 4)
        }
        _ => by_rows!(tile, rows, portable, 4: 1 2 3 4),
    }
}

/// SAFETY: of this and the other kernels: as [`rows`].
#[inline(always)]
unsafe fn portable<const R: usize>(t: Tile<u8>) {
    let mut acc = load::<R, _, _>(&t);
    for block in 0..t.k / BLOCK {
        let panel = std::slice::from_raw_parts(t.b.add(block * PANEL_BLOCK), PANEL_BLOCK);
        let (units, bytes) = panel.split_at(4 * PANEL);
        for r in 0..R {
            let row = t.a.add(r * t.lda + block * ROW_BLOCK);
            let (unit, start) = ((row as *const f32).read_unaligned(), (row.add(4) as *const i32).read_unaligned());
            let mut sum = [-start; PANEL];
            for (group, columns) in bytes.chunks_exact(4 * PANEL).enumerate() {
                for i in 0..4 {
                    let a = i32::from(*row.add(8 + 4 * group + i) as i8);
                    for j in 0..PANEL {
                        sum[j] += a * i32::from(columns[4 * j + i]);
                    }
                }
            }
            for j in 0..PANEL {
                let of_column =
                    f32::from_ne_bytes([units[4 * j], units[4 * j + 1], units[4 * j + 2], units[4 * j + 3]]);
                acc[r][j] = (sum[j] as f32).mul_add(of_column * unit, acc[r][j]);
            }
        }
    }
    store::<R, _, _>(&t, &acc);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BLOCK, PANEL_BLOCK, ROW_BLOCK, portable};
    use crate::operand::PANEL;
    use crate::tile::Tile;
    use crate::tile::x86::{load_512, store_512};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512vnni,fma")]
    pub unsafe fn avx512vnni<const R: usize>(t: Tile<u8>) {
        let mut acc = load_512::<R, _, _>(&t);
        for block in 0..t.k / BLOCK {
            let panel = t.b.add(block * PANEL_BLOCK);
            let bytes = panel.add(4 * PANEL);
            let row = |r: usize| t.a.add(r * t.lda + block * ROW_BLOCK);
            let mut sum = [[_mm512_setzero_si512(); 2]; R];
            for r in 0..R {
                sum[r] = [_mm512_set1_epi32(-(row(r).add(4) as *const i32).read_unaligned()); 2];
            }
            for group in 0..BLOCK / 4 {
                let b0 = _mm512_loadu_si512(bytes.add(4 * PANEL * group) as *const _);
                let b1 = _mm512_loadu_si512(bytes.add(4 * PANEL * group + 64) as *const _);
                for r in 0..R {
                    let a = _mm512_set1_epi32((row(r).add(8 + 4 * group) as *const i32).read_unaligned());
                    sum[r] = [_mm512_dpbusd_epi32(sum[r][0], b0, a), _mm512_dpbusd_epi32(sum[r][1], b1, a)];
                }
            }
            let units = [_mm512_loadu_ps(panel as *const f32), _mm512_loadu_ps(panel.add(64) as *const f32)];
            for r in 0..R {
                let unit = _mm512_set1_ps((row(r) as *const f32).read_unaligned());
                for h in 0..2 {
                    acc[r][h] =
                        _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r][h]), _mm512_mul_ps(units[h], unit), acc[r][h]);
                }
            }
        }
        store_512::<R, _, _>(&t, &acc);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
    pub unsafe fn avx512<const R: usize>(t: Tile<u8>) {
        portable::<R>(t);
    }

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2<const R: usize>(t: Tile<u8>) {
        portable::<R>(t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matmul::product;
    use crate::operand::{Panels, Precision, Rows};
    use proptest::prelude::*;

    fn noise(seed: &mut u64, n: usize) -> Vec<f32> {
        let mut next = || {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*seed >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// Values as the blocks keep them.
    fn rounded(row: &[f32]) -> Vec<f64> {
        let block = |values: &[f32]| {
            let unit = i8::unit(values);
            values.iter().map(|value| f64::from(i8::of(*value, 1.0 / unit)) * f64::from(unit)).collect::<Vec<_>>()
        };
        row.chunks(BLOCK).flat_map(block).collect()
    }

    proptest! {
        #[test]
        fn every_path_is_the_product_of_what_is_kept(m in 1usize..15, n in 1usize..70, k in 1usize..200, seed: u64, accumulate: bool) {
            let mut seed = seed | 1;
            let (x, w, before) = (noise(&mut seed, m * k), noise(&mut seed, n * k), noise(&mut seed, m * n));
            let (mut a, mut b) = (Rows::new(Precision::Int8), Panels::new(Precision::Int8));
            a.load(&x, m, k, k);
            b.shape_to(k, n);
            let half = n / 2;
            b.set_columns(0, &w[..half * k], half);
            b.set_columns(half, &w[half * k..], n - half);
            let mut first: Option<Vec<f32>> = None;
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                let mut c = before.clone();
                product(isa, &a, 0..m, &b, 0..n, 0, &mut c, n, accumulate);
                for i in 0..m {
                    let row = rounded(&x[i * k..][..k]);
                    for j in 0..n {
                        let column = rounded(&w[j * k..][..k]);
                        let dot: f64 = row.iter().zip(&column).map(|(a, b)| a * b).sum();
                        let expected = dot + if accumulate { f64::from(before[i * n + j]) } else { 0.0 };
                        prop_assert!((f64::from(c[i * n + j]) - expected).abs() < 1e-5 * (1.0 + k as f64).sqrt(), "{isa:?}");
                    }
                }
                prop_assert!(first.get_or_insert_with(|| c.clone()) == &c, "{:?}: other bits", isa);
            }
        }
    }

    #[test]
    fn the_largest_sums_stay_exact() {
        let k = 3 * BLOCK;
        let (mut a, mut b) = (Rows::new(Precision::Int8), Panels::new(Precision::Int8));
        a.load(&vec![-1.0; k], 1, k, k);
        b.shape_to(k, 1);
        b.set_columns(0, &vec![1.0; k], 1);
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let mut c = [0.0];
            product(isa, &a, 0..1, &b, 0..1, 0, &mut c, 1, false);
            assert!((c[0] + k as f32).abs() < 1e-3, "{isa:?}: {}", c[0]);
        }
    }
}
