//! Stored number formats, turned into f32.
//!
//! The block formats are those of ggml (`ggml-common.h`, `dequantize_row_*` in `ggml-quants.c`). Every product and
//! sum is rounded in ggml's order, so the results equal its own bit for bit.

use half::{bf16, f16, slice::HalfFloatSliceExt};

#[cfg(target_endian = "big")]
compile_error!("weights are mapped as little-endian bytes");

#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    F32,
    F16,
    BF16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

impl Dtype {
    pub const ALL: [Dtype; 11] = [
        Dtype::F32,
        Dtype::F16,
        Dtype::BF16,
        Dtype::Q4_0,
        Dtype::Q4_1,
        Dtype::Q5_0,
        Dtype::Q5_1,
        Dtype::Q8_0,
        Dtype::Q4_K,
        Dtype::Q5_K,
        Dtype::Q6_K,
    ];

    /// Numbers in a block.
    pub fn block_len(self) -> usize {
        match self {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => 1,
            Dtype::Q4_0 | Dtype::Q4_1 | Dtype::Q5_0 | Dtype::Q5_1 | Dtype::Q8_0 => 32,
            Dtype::Q4_K | Dtype::Q5_K | Dtype::Q6_K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::Q4_0 => 18,
            Dtype::Q4_1 => 20,
            Dtype::Q5_0 => 22,
            Dtype::Q5_1 => 24,
            Dtype::Q8_0 => 34,
            Dtype::Q4_K => 144,
            Dtype::Q5_K => 176,
            Dtype::Q6_K => 210,
        }
    }

    /// Bytes of `n` numbers, a whole number of blocks.
    pub fn bytes(self, n: usize) -> usize {
        assert_eq!(n % self.block_len(), 0, "{self:?} holds whole blocks of {}", self.block_len());
        n / self.block_len() * self.block_bytes()
    }

    /// `src`: whole blocks; `dst`: as many numbers as they hold.
    pub fn to_f32(self, src: &[u8], dst: &mut [f32]) {
        assert_eq!(src.len(), self.bytes(dst.len()), "{self:?} bytes of {} numbers", dst.len());
        match self {
            Dtype::F32 => bytemuck::cast_slice_mut::<f32, u8>(dst).copy_from_slice(src),
            Dtype::F16 => half_to_f32(src, dst, f16::from_bits, |s, d| s.convert_to_f32_slice(d)),
            Dtype::BF16 => half_to_f32(src, dst, bf16::from_bits, |s, d| s.convert_to_f32_slice(d)),
            Dtype::Q4_0 => blocks(src, dst, q4_0),
            Dtype::Q4_1 => blocks(src, dst, q4_1),
            Dtype::Q5_0 => blocks(src, dst, q5_0),
            Dtype::Q5_1 => blocks(src, dst, q5_1),
            Dtype::Q8_0 => blocks(src, dst, q8_0),
            Dtype::Q4_K => blocks(src, dst, q4_k),
            Dtype::Q5_K => blocks(src, dst, q5_k),
            Dtype::Q6_K => blocks(src, dst, q6_k),
        }
    }
}

/// Through a small aligned buffer: mapped bytes need not lie on even addresses.
fn half_to_f32<T: Copy>(src: &[u8], dst: &mut [f32], from_bits: fn(u16) -> T, convert: fn(&[T], &mut [f32])) {
    let mut buffer = [from_bits(0); 256];
    for (s, d) in src.chunks(2 * buffer.len()).zip(dst.chunks_mut(buffer.len())) {
        for (half, bytes) in buffer.iter_mut().zip(s.chunks_exact(2)) {
            *half = from_bits(u16::from_le_bytes([bytes[0], bytes[1]]));
        }
        convert(&buffer[..d.len()], d);
    }
}

fn blocks<const BYTES: usize, const LEN: usize>(src: &[u8], dst: &mut [f32], one: fn(&[u8; BYTES], &mut [f32; LEN])) {
    for (s, d) in src.as_chunks().0.iter().zip(dst.as_chunks_mut().0) {
        one(s, d);
    }
}

fn f16_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// `d`, 16 bytes of nibbles: the low ones are numbers 0..16, the high ones 16..32.
fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = f16_at(block, 0);
    for (i, q) in block[2..].iter().enumerate() {
        out[i] = d * ((q & 15) as i32 - 8) as f32;
        out[i + 16] = d * ((q >> 4) as i32 - 8) as f32;
    }
}

/// `d`, `m`, nibbles.
fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (f16_at(block, 0), f16_at(block, 2));
    for (i, q) in block[4..].iter().enumerate() {
        out[i] = d * (q & 15) as f32 + m;
        out[i + 16] = d * (q >> 4) as f32 + m;
    }
}

/// The fifth bit of number `i`, as 0 or 16.
fn fifth(high: &[u8], i: usize) -> u8 {
    (high[i / 8] >> (i % 8) & 1) << 4
}

/// `d`, 32 fifth bits, nibbles.
fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let (d, high) = (f16_at(block, 0), &block[2..6]);
    for (i, q) in block[6..].iter().enumerate() {
        out[i] = d * ((q & 15 | fifth(high, i)) as i32 - 16) as f32;
        out[i + 16] = d * ((q >> 4 | fifth(high, i + 16)) as i32 - 16) as f32;
    }
}

/// `d`, `m`, 32 fifth bits, nibbles.
fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m, high) = (f16_at(block, 0), f16_at(block, 2), &block[4..8]);
    for (i, q) in block[8..].iter().enumerate() {
        out[i] = d * (q & 15 | fifth(high, i)) as f32 + m;
        out[i + 16] = d * (q >> 4 | fifth(high, i + 16)) as f32 + m;
    }
}

fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = f16_at(block, 0);
    for (o, q) in out.iter_mut().zip(&block[2..]) {
        *o = *q as i8 as f32 * d;
    }
}

/// Scale and minimum of the 32 numbers `j` of a Q4_K or Q5_K block: 6 bits each, packed in 12 bytes.
fn scale_min(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, min) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
    };
    (scale as f32, min as f32)
}

/// `d`, `dmin`, 8 scales and minima, 128 bytes of nibbles: of every 32 bytes first the low ones, then the high ones.
fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, dmin, scales, q) = (f16_at(block, 0), f16_at(block, 2), &block[4..16], &block[16..]);
    for j in 0..8 {
        let (scale, min) = scale_min(scales, j);
        let (scale, min) = (d * scale, dmin * min);
        for i in 0..32 {
            let nibble = q[j / 2 * 32 + i] >> (j % 2 * 4) & 15;
            out[j * 32 + i] = scale * nibble as f32 - min;
        }
    }
}

/// As Q4_K, with 32 bytes of fifth bits before the nibbles: bit `j` of byte `i` belongs to number `i` of group `j`.
fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, dmin, scales) = (f16_at(block, 0), f16_at(block, 2), &block[4..16]);
    let (high, q) = (&block[16..48], &block[48..]);
    for j in 0..8 {
        let (scale, min) = scale_min(scales, j);
        let (scale, min) = (d * scale, dmin * min);
        for i in 0..32 {
            let five = q[j / 2 * 32 + i] >> (j % 2 * 4) & 15 | (high[i] >> j & 1) << 4;
            out[j * 32 + i] = scale * five as f32 - min;
        }
    }
}

/// 128 bytes of low nibbles, 64 of high bit pairs, 16 signed scales, `d`.
fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let (low, high, scales, d) = (&block[..128], &block[128..192], &block[192..208], f16_at(block, 208));
    for g in 0..8 {
        // 32 numbers a group; each half of the block takes 64 bytes of `low` and 32 of `high`.
        let (half, g4) = (g / 4, g % 4);
        for i in 0..32 {
            let nibble = low[half * 64 + g4 % 2 * 32 + i] >> (g4 / 2 * 4) & 15;
            let pair = high[half * 32 + i] >> (g4 * 2) & 3;
            let scale = d * scales[g * 2 + i / 16] as i8 as f32;
            out[g * 32 + i] = scale * ((nibble | pair << 4) as i32 - 32) as f32;
        }
    }
}
