//! The innermost loops: a few rows of A times one panel of B.
//!
//! Every kernel computes `C[r, 0..32] (+)= Σ_l A[r, l] · B[l, 0..32]` with l ascending and one
//! accumulator an element, so an element's value does not depend on how rows are grouped, and the
//! f32 kernels with fused multiply-add agree to the bit.

use crate::isa::Isa;
use crate::narrow::{nearest, stack_pairs, to_bf16};
use crate::operand::PANEL;

/// One product: `a` points at rows of `lda` elements, `b` at a panel, `c` at rows of `ldc` elements
/// with at least 32 writable columns. `k` counts elements of A's rows (even for 16 bits).
#[derive(Clone, Copy)]
pub(crate) struct Tile<A, B = A> {
    pub a: *const A,
    pub lda: usize,
    pub b: *const B,
    pub k: usize,
    pub c: *mut f32,
    pub ldc: usize,
    pub accumulate: bool,
}

impl<A, B> Tile<A, B> {
    /// SAFETY: the rows from `r` on exist in A and C.
    pub unsafe fn skip(self, r: usize) -> Tile<A, B> {
        Tile { a: self.a.add(r * self.lda), c: self.c.add(r * self.ldc), ..self }
    }
}

/// What a product's operands are made of.
pub(crate) trait Operand: Copy + Default + Send + Sync + 'static {
    /// Values of k that lie side by side in a panel.
    const PAIR: usize;
    /// k is padded with zeros to a multiple of this.
    const K: usize;
    /// SAFETY: as [`f32_rows`] and [`bf16_rows`]; A is readable for `rows` rounded up to 16.
    unsafe fn rows(isa: Isa, tile: Tile<Self>, rows: usize);

    /// The values that words are made of.
    fn values(words: &mut [u32]) -> &mut [Self] {
        const { assert!(Self::PAIR * size_of::<Self>() == 4) };
        // SAFETY: a word is PAIR values, and any bits are a value.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * Self::PAIR) }
    }
}

/// Operands that hold values as they are, rounded at most.
pub(crate) trait Mixing: Operand {
    fn of(value: f32) -> Self;
    fn narrow(src: &[f32], dst: &mut [Self]);
    /// Rows of `ld` values, an even number, as rows of words of `PAIR` values from as many rows.
    fn stack(src: &[Self], ld: usize, out: &mut [u32]);
}

impl Operand for f32 {
    const PAIR: usize = 1;
    const K: usize = 1;
    unsafe fn rows(isa: Isa, tile: Tile<f32>, rows: usize) {
        f32_rows(isa, tile, rows);
    }
}

impl Mixing for f32 {
    #[inline(always)]
    fn of(value: f32) -> f32 {
        value
    }
    fn narrow(src: &[f32], dst: &mut [f32]) {
        dst.copy_from_slice(src);
    }
    fn stack(src: &[f32], _: usize, out: &mut [u32]) {
        f32::values(out).copy_from_slice(src);
    }
}

/// bf16, as its bits.
impl Operand for u16 {
    const PAIR: usize = 2;
    const K: usize = 32;
    unsafe fn rows(isa: Isa, tile: Tile<u16>, rows: usize) {
        match isa {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Isa::Amx if tile.k.is_multiple_of(32) => crate::amx::bf16_rows(tile, rows),
            _ => bf16_rows(isa, tile, rows),
        }
    }
}

impl Mixing for u16 {
    #[inline(always)]
    fn of(value: f32) -> u16 {
        (nearest(value).to_bits() >> 16) as u16
    }
    fn narrow(src: &[f32], dst: &mut [u16]) {
        to_bf16(src, dst);
    }
    fn stack(src: &[u16], ld: usize, out: &mut [u32]) {
        stack_pairs(src, ld, out);
    }
}

/// Cuts `rows` into groups of at most `$max` and calls the kernel compiled for that many rows.
macro_rules! by_rows {
    ($tile:expr, $rows:expr, $kernel:ident, $max:literal: $($r:literal)*) => {{
        let (tile, rows) = ($tile, $rows);
        let mut done = 0;
        while done < rows {
            let group = (rows - done).min($max);
            let piece = tile.skip(done);
            match group {
                $($r => $kernel::<$r>(piece),)*
                _ => unreachable!("groups hold 1 to {} rows", $max),
            }
            done += group;
        }
    }};
}

pub(crate) use by_rows;

/// SAFETY: the pointers of `tile` cover `rows` rows; the processor has `isa`.
pub(crate) unsafe fn f32_rows(isa: Isa, tile: Tile<f32>, rows: usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => {
            use x86::f32_avx512 as kernel;
            by_rows!(tile, rows, kernel, 12: 1 2 3 4 5 6 7 8 9 10 11 12)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            use x86::f32_avx2 as kernel;
            by_rows!(tile, rows, kernel, 6: 1 2 3 4 5 6)
        }
        _ => by_rows!(tile, rows, f32_portable, 4: 1 2 3 4),
    }
}

/// SAFETY: as `f32_rows`; `a` rows and the panel hold bf16, `k` is even.
pub(crate) unsafe fn bf16_rows(isa: Isa, tile: Tile<u16>, rows: usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16 | Isa::Amx => {
            use x86::bf16_avx512bf16 as kernel;
            by_rows!(tile, rows, kernel, 12: 1 2 3 4 5 6 7 8 9 10 11 12)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            use x86::bf16_avx512 as kernel;
            by_rows!(tile, rows, kernel, 10: 1 2 3 4 5 6 7 8 9 10)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            use x86::bf16_avx2 as kernel;
            by_rows!(tile, rows, kernel, 4: 1 2 3 4)
        }
        _ => by_rows!(tile, rows, bf16_portable, 4: 1 2 3 4),
    }
}

/// `a * b + c`: fused where the target always has the instruction, else in two steps.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

/// What the sums of a group of rows begin with.
///
/// SAFETY: C is there, as for `f32_rows`.
#[inline(always)]
pub(crate) unsafe fn load<const R: usize, A, B>(t: &Tile<A, B>) -> [[f32; PANEL]; R] {
    let mut acc = [[0.0f32; PANEL]; R];
    if t.accumulate {
        for r in 0..R {
            for j in 0..PANEL {
                acc[r][j] = *t.c.add(r * t.ldc + j);
            }
        }
    }
    acc
}

/// SAFETY: as for `load`.
#[inline(always)]
pub(crate) unsafe fn store<const R: usize, A, B>(t: &Tile<A, B>, acc: &[[f32; PANEL]; R]) {
    for r in 0..R {
        for j in 0..PANEL {
            *t.c.add(r * t.ldc + j) = acc[r][j];
        }
    }
}

unsafe fn f32_portable<const R: usize>(t: Tile<f32>) {
    let mut acc = load::<R, _, _>(&t);
    for l in 0..t.k {
        let b = std::slice::from_raw_parts(t.b.add(l * PANEL), PANEL);
        for r in 0..R {
            let a = *t.a.add(r * t.lda + l);
            for j in 0..PANEL {
                acc[r][j] = fma(a, b[j], acc[r][j]);
            }
        }
    }
    store::<R, _, _>(&t, &acc);
}

unsafe fn bf16_portable<const R: usize>(t: Tile<u16>) {
    let wide = |bits: u16| f32::from_bits((bits as u32) << 16);
    let mut acc = load::<R, _, _>(&t);
    for l in (0..t.k).step_by(2) {
        let b = std::slice::from_raw_parts(t.b.add(l * PANEL), 2 * PANEL);
        for r in 0..R {
            let (a0, a1) = (wide(*t.a.add(r * t.lda + l)), wide(*t.a.add(r * t.lda + l + 1)));
            for j in 0..PANEL {
                acc[r][j] = fma(a1, wide(b[2 * j + 1]), fma(a0, wide(b[2 * j]), acc[r][j]));
            }
        }
    }
    store::<R, _, _>(&t, &acc);
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::Tile;
    use crate::operand::PANEL;
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,fma")]
    pub unsafe fn f32_avx512<const R: usize>(t: Tile<f32>) {
        let mut acc = load_512::<R, _, _>(&t);
        for l in 0..t.k {
            let b0 = _mm512_loadu_ps(t.b.add(l * PANEL));
            let b1 = _mm512_loadu_ps(t.b.add(l * PANEL + 16));
            for r in 0..R {
                let a = _mm512_set1_ps(*t.a.add(r * t.lda + l));
                acc[r][0] = _mm512_fmadd_ps(a, b0, acc[r][0]);
                acc[r][1] = _mm512_fmadd_ps(a, b1, acc[r][1]);
            }
        }
        store_512::<R, _, _>(&t, &acc);
    }

    /// A pair of A's values, to be multiplied with a pair of B's.
    #[inline(always)]
    unsafe fn pair<const R: usize>(t: &Tile<u16>, r: usize, l: usize) -> i32 {
        (t.a.add(r * t.lda + l) as *const i32).read_unaligned()
    }

    #[target_feature(enable = "avx512f,avx512bf16,fma")]
    pub unsafe fn bf16_avx512bf16<const R: usize>(t: Tile<u16>) {
        let mut acc = load_512::<R, _, _>(&t);
        for l in (0..t.k).step_by(2) {
            let b0: __m512bh = std::mem::transmute(_mm512_loadu_si512(t.b.add(l * PANEL) as *const _));
            let b1: __m512bh = std::mem::transmute(_mm512_loadu_si512(t.b.add(l * PANEL + 32) as *const _));
            for r in 0..R {
                let a: __m512bh = std::mem::transmute(_mm512_set1_epi32(pair::<R>(&t, r, l)));
                acc[r][0] = _mm512_dpbf16_ps(acc[r][0], a, b0);
                acc[r][1] = _mm512_dpbf16_ps(acc[r][1], a, b1);
            }
        }
        store_512::<R, _, _>(&t, &acc);
    }

    /// Without `vdpbf16ps`: a bf16 is the upper half of an f32, so a shift and a mask widen a pair.
    #[target_feature(enable = "avx512f,fma")]
    pub unsafe fn bf16_avx512<const R: usize>(t: Tile<u16>) {
        let mut acc = load_512::<R, _, _>(&t);
        let upper = _mm512_set1_epi32(0xffff_0000u32 as i32);
        for l in (0..t.k).step_by(2) {
            let (p0, p1) = (
                _mm512_loadu_si512(t.b.add(l * PANEL) as *const _),
                _mm512_loadu_si512(t.b.add(l * PANEL + 32) as *const _),
            );
            let even = [_mm512_castsi512_ps(_mm512_slli_epi32(p0, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(p1, 16))];
            let odd =
                [_mm512_castsi512_ps(_mm512_and_si512(p0, upper)), _mm512_castsi512_ps(_mm512_and_si512(p1, upper))];
            for r in 0..R {
                let a = pair::<R>(&t, r, l);
                let (a0, a1) = (f32::from_bits((a as u32) << 16), f32::from_bits(a as u32 & 0xffff_0000));
                let (a0, a1) = (_mm512_set1_ps(a0), _mm512_set1_ps(a1));
                for h in 0..2 {
                    acc[r][h] = _mm512_fmadd_ps(a1, odd[h], _mm512_fmadd_ps(a0, even[h], acc[r][h]));
                }
            }
        }
        store_512::<R, _, _>(&t, &acc);
    }

    #[inline(always)]
    pub unsafe fn load_512<const R: usize, A, B>(t: &Tile<A, B>) -> [[__m512; 2]; R] {
        let mut acc = [[_mm512_setzero_ps(); 2]; R];
        if t.accumulate {
            for r in 0..R {
                acc[r] = [_mm512_loadu_ps(t.c.add(r * t.ldc)), _mm512_loadu_ps(t.c.add(r * t.ldc + 16))];
            }
        }
        acc
    }

    #[inline(always)]
    pub unsafe fn store_512<const R: usize, A, B>(t: &Tile<A, B>, acc: &[[__m512; 2]; R]) {
        for r in 0..R {
            _mm512_storeu_ps(t.c.add(r * t.ldc), acc[r][0]);
            _mm512_storeu_ps(t.c.add(r * t.ldc + 16), acc[r][1]);
        }
    }

    /// Half a panel at a time: 6 rows by 16 columns fill twelve of the sixteen registers.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn f32_avx2<const R: usize>(t: Tile<f32>) {
        for half in [0, 16] {
            let mut acc = load_256::<R, _, _>(&t, half);
            for l in 0..t.k {
                let b0 = _mm256_loadu_ps(t.b.add(l * PANEL + half));
                let b1 = _mm256_loadu_ps(t.b.add(l * PANEL + half + 8));
                for r in 0..R {
                    let a = _mm256_set1_ps(*t.a.add(r * t.lda + l));
                    acc[r][0] = _mm256_fmadd_ps(a, b0, acc[r][0]);
                    acc[r][1] = _mm256_fmadd_ps(a, b1, acc[r][1]);
                }
            }
            store_256::<R, _, _>(&t, half, &acc);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn bf16_avx2<const R: usize>(t: Tile<u16>) {
        let upper = _mm256_set1_epi32(0xffff_0000u32 as i32);
        for half in [0, 16] {
            let mut acc = load_256::<R, _, _>(&t, half);
            for l in (0..t.k).step_by(2) {
                let p0 = _mm256_loadu_si256(t.b.add(l * PANEL + 2 * half) as *const _);
                let p1 = _mm256_loadu_si256(t.b.add(l * PANEL + 2 * half + 16) as *const _);
                let even =
                    [_mm256_castsi256_ps(_mm256_slli_epi32(p0, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(p1, 16))];
                let odd = [
                    _mm256_castsi256_ps(_mm256_and_si256(p0, upper)),
                    _mm256_castsi256_ps(_mm256_and_si256(p1, upper)),
                ];
                for r in 0..R {
                    let a = pair::<R>(&t, r, l);
                    let (a0, a1) = (f32::from_bits((a as u32) << 16), f32::from_bits(a as u32 & 0xffff_0000));
                    let (a0, a1) = (_mm256_set1_ps(a0), _mm256_set1_ps(a1));
                    for h in 0..2 {
                        acc[r][h] = _mm256_fmadd_ps(a1, odd[h], _mm256_fmadd_ps(a0, even[h], acc[r][h]));
                    }
                }
            }
            store_256::<R, _, _>(&t, half, &acc);
        }
    }

    #[inline(always)]
    pub unsafe fn load_256<const R: usize, A, B>(t: &Tile<A, B>, half: usize) -> [[__m256; 2]; R] {
        let mut acc = [[_mm256_setzero_ps(); 2]; R];
        if t.accumulate {
            for r in 0..R {
                let c = t.c.add(r * t.ldc + half);
                acc[r] = [_mm256_loadu_ps(c), _mm256_loadu_ps(c.add(8))];
            }
        }
        acc
    }

    #[inline(always)]
    pub unsafe fn store_256<const R: usize, A, B>(t: &Tile<A, B>, half: usize, acc: &[[__m256; 2]; R]) {
        for r in 0..R {
            let c = t.c.add(r * t.ldc + half);
            _mm256_storeu_ps(c, acc[r][0]);
            _mm256_storeu_ps(c.add(8), acc[r][1]);
        }
    }
}
