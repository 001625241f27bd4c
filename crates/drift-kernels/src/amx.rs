//! AMX: a product of 32 rows by one panel as two by two tiles of 16 x 16 sums.
//!
//! The instructions are stable Rust only as inline assembly. What the tiles do is written once, over
//! the trait `Tiles`; the test runs it with tiles simulated in plain Rust, on any machine, and
//! `usable` runs it with the real ones before anything relies on them.

use crate::narrow::prefetch_all;
use crate::operand::PANEL;
use crate::tile::Tile;

/// Loads of tiles run no further ahead than 16 lines, so a panel that comes from memory is asked for so
/// many bytes ahead: 29 instead of 21 to 25 GB/s on two cores.
const AHEAD: usize = 8192;

/// Eight registers of 16 rows of 64 bytes.
trait Tiles {
    /// Prepares the calling thread, once: it takes 100 ns, as long as a few multiplications.
    unsafe fn configure(&mut self);
    unsafe fn zero<const T: usize>(&mut self);
    /// 16 rows of 64 bytes, `stride` bytes apart.
    unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize);
    unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize);
    /// `C[i, j] += Σ_p A[i, 2p] · B[p, 2j] + A[i, 2p + 1] · B[p, 2j + 1]`, bf16 pairs, f32 sums.
    unsafe fn multiply<const C: usize, const A: usize, const B: usize>(&mut self);
}

/// `C[0..rows, 0..32] (+)= A · B` for `rows` at most 32; k is a multiple of 32. `once`: no other rows
/// will read the panel, so it comes from memory.
/// SAFETY: A has 16 readable rows (32 where rows > 16), C as many writable ones with 32 columns.
unsafe fn block<X: Tiles>(x: &mut X, t: Tile<u16>, rows: usize, once: bool) {
    let (c, ldc) = (t.c as *mut u8, t.ldc * 4);
    let (lower, two) = (c.add(16 * ldc), rows > 16);
    if t.accumulate {
        x.load::<0>(c, ldc);
        x.load::<1>(c.add(64), ldc);
        if two {
            x.load::<2>(lower, ldc);
            x.load::<3>(lower.add(64), ldc);
        }
    } else {
        x.zero::<0>();
        x.zero::<1>();
        x.zero::<2>();
        x.zero::<3>();
    }
    for l in (0..t.k).step_by(32) {
        // 32 values of k are 16 pairs: 16 rows of the panel, each 32 columns of pairs.
        let b = t.b.add(l * PANEL) as *const u8;
        if once {
            prefetch_all(b.wrapping_add(AHEAD), 2048);
        }
        x.load::<6>(b, 128);
        x.load::<7>(b.add(64), 128);
        let a = t.a.add(l) as *const u8;
        x.load::<4>(a, t.lda * 2);
        x.multiply::<0, 4, 6>();
        x.multiply::<1, 4, 7>();
        if two {
            x.load::<5>(a.add(16 * t.lda * 2), t.lda * 2);
            x.multiply::<2, 5, 6>();
            x.multiply::<3, 5, 7>();
        }
    }
    x.store::<0>(c, ldc);
    x.store::<1>(c.add(64), ldc);
    if two {
        x.store::<2>(lower, ldc);
        x.store::<3>(lower.add(64), ldc);
    }
}

/// Rows whose last tile is not whole go through a buffer. Otherwise as [`block`], for any `rows`.
unsafe fn rows_with<X: Tiles>(x: &mut X, tile: Tile<u16>, rows: usize) {
    x.configure();
    for first in (0..rows).step_by(32) {
        let n = (rows - first).min(32);
        let t = Tile { a: tile.a.add(first * tile.lda), c: tile.c.add(first * tile.ldc), ..tile };
        if n == 32 || n == 16 {
            block(x, t, n, rows <= 32);
            continue;
        }
        let mut buffer = [0.0f32; 32 * PANEL];
        if t.accumulate {
            for r in 0..n {
                std::ptr::copy_nonoverlapping(t.c.add(r * t.ldc), buffer.as_mut_ptr().add(r * PANEL), PANEL);
            }
        }
        block(x, Tile { c: buffer.as_mut_ptr(), ldc: PANEL, ..t }, n, rows <= 32);
        for r in 0..n {
            std::ptr::copy_nonoverlapping(buffer.as_ptr().add(r * PANEL), t.c.add(r * t.ldc), PANEL);
        }
    }
}

/// SAFETY: as `tile::bf16_rows`; A is readable for `rows` rounded up to 16, k is a multiple of 32
/// and [`usable`] has returned true.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) unsafe fn bf16_rows(tile: Tile<u16>, rows: usize) {
    rows_with(&mut hardware::Registers, tile, rows);
}

/// Whether the processor has AMX bf16, the kernel lets us use it, and it computes what we expect.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) fn usable() -> bool {
    static USABLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *USABLE.get_or_init(|| hardware::permitted() && check(&mut hardware::Registers))
}

/// A small product against plain arithmetic on values that are exact in bf16 and in the sums.
fn check<X: Tiles>(x: &mut X) -> bool {
    const K: usize = 64;
    const ROWS: usize = 41; // a whole pair of tiles and a part of one
    let value = |i: usize| ((i * 37 % 23) as f32 - 11.0) / 4.0;
    let narrow = |v: f32| (v.to_bits() >> 16) as u16;
    let a: Vec<u16> = (0..64 * K).map(|i| narrow(value(i))).collect();
    let mut b = vec![0u16; K * PANEL];
    for l in 0..K {
        for j in 0..PANEL {
            b[(l / 2) * 2 * PANEL + 2 * j + l % 2] = narrow(value(l * 7 + j * 5));
        }
    }
    let mut c = vec![1.0f32; 64 * PANEL];
    let tile = Tile { a: a.as_ptr(), lda: K, b: b.as_ptr(), k: K, c: c.as_mut_ptr(), ldc: PANEL, accumulate: true };
    // SAFETY: a and c hold 64 rows, b one panel of K.
    unsafe { rows_with(x, tile, ROWS) };
    (0..64).all(|i| {
        (0..PANEL).all(|j| {
            let product: f32 = (0..K).map(|l| value(i * K + l) * value(l * 7 + j * 5)).sum();
            c[i * PANEL + j] == if i < ROWS { 1.0 + product } else { 1.0 }
        })
    })
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod hardware {
    use super::Tiles;
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    use std::cell::Cell;

    thread_local! {
        static CONFIGURED: Cell<bool> = const { Cell::new(false) };
    }

    /// The tile registers of the calling thread. The compiler never uses them itself, so they keep
    /// their values from one instruction below to the next.
    pub struct Registers;

    /// Palette 1: eight tiles of 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Config([u8; 64]);
    static CONFIG: Config = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut tile = 0;
        while tile < 8 {
            bytes[16 + 2 * tile] = 64; // bytes a row, 16-bit
            bytes[48 + tile] = 16; // rows
            tile += 1;
        }
        Config(bytes)
    };

    impl Tiles for Registers {
        unsafe fn configure(&mut self) {
            if !CONFIGURED.replace(true) {
                asm!("ldtilecfg [{}]", in(reg) &CONFIG, options(nostack, readonly, preserves_flags));
            }
        }
        unsafe fn zero<const T: usize>(&mut self) {
            asm!("tilezero tmm{t}", t = const T, options(nostack, nomem, preserves_flags));
        }
        unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize) {
            asm!("tileloadd tmm{t}, [{p} + {s}*1]", t = const T, p = in(reg) from, s = in(reg) stride,
                options(nostack, readonly, preserves_flags));
        }
        unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize) {
            asm!("tilestored [{p} + {s}*1], tmm{t}", t = const T, p = in(reg) to, s = in(reg) stride,
                options(nostack, preserves_flags));
        }
        unsafe fn multiply<const C: usize, const A: usize, const B: usize>(&mut self) {
            asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                options(nostack, nomem, preserves_flags));
        }
    }

    /// cpuid says AMX-TILE and AMX-BF16, and the kernel grants this process the tile state.
    pub fn permitted() -> bool {
        const TILE: u32 = 1 << 24;
        const BF16: u32 = 1 << 22;
        if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & (TILE | BF16) != TILE | BF16 {
            return false;
        }
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XTILEDATA: i64 = 18;
        let result: i64;
        // SAFETY: a system call that changes only what this process may keep in its registers.
        unsafe {
            asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XTILEDATA,
                out("rcx") _, out("r11") _, options(nostack));
        }
        result == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the manual says of the instructions, on plain arrays.
    #[derive(Default)]
    struct Simulated {
        tiles: Option<Box<[[u8; 1024]; 8]>>,
    }

    impl Simulated {
        fn tile(&mut self, t: usize) -> &mut [u8; 1024] {
            &mut self.tiles.as_mut().expect("configured")[t]
        }
        fn f32_at(&mut self, t: usize, i: usize, j: usize) -> f32 {
            f32::from_le_bytes(self.tile(t)[i * 64 + 4 * j..][..4].try_into().expect("four bytes"))
        }
        fn bf16_at(&mut self, t: usize, i: usize, j: usize) -> f32 {
            let bytes = self.tile(t)[i * 64 + 2 * j..][..2].try_into().expect("two bytes");
            f32::from_bits((u16::from_le_bytes(bytes) as u32) << 16)
        }
    }

    impl Tiles for Simulated {
        unsafe fn configure(&mut self) {
            self.tiles.get_or_insert_with(|| Box::new([[0xff; 1024]; 8]));
        }
        unsafe fn zero<const T: usize>(&mut self) {
            self.tile(T).fill(0);
        }
        unsafe fn load<const T: usize>(&mut self, from: *const u8, stride: usize) {
            for i in 0..16 {
                let row = std::slice::from_raw_parts(from.add(i * stride), 64);
                self.tile(T)[i * 64..][..64].copy_from_slice(row);
            }
        }
        unsafe fn store<const T: usize>(&mut self, to: *mut u8, stride: usize) {
            for i in 0..16 {
                std::slice::from_raw_parts_mut(to.add(i * stride), 64).copy_from_slice(&self.tile(T)[i * 64..][..64]);
            }
        }
        unsafe fn multiply<const C: usize, const A: usize, const B: usize>(&mut self) {
            for i in 0..16 {
                for j in 0..16 {
                    let mut sum = self.f32_at(C, i, j);
                    for p in 0..16 {
                        sum += self.bf16_at(A, i, 2 * p) * self.bf16_at(B, p, 2 * j);
                        sum += self.bf16_at(A, i, 2 * p + 1) * self.bf16_at(B, p, 2 * j + 1);
                    }
                    self.tile(C)[i * 64 + 4 * j..][..4].copy_from_slice(&sum.to_le_bytes());
                }
            }
        }
    }

    #[test]
    fn the_tile_program_is_right_on_simulated_tiles() {
        assert!(check(&mut Simulated::default()));
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn real_tiles_agree_where_the_processor_has_them() {
        if hardware::permitted() {
            assert!(usable());
            return;
        }
        eprintln!("skipped: this processor has no AMX");
    }
}
