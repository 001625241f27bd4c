//! Rotary position embedding, in the half-split form of Hugging Face (Su et al., 2021).

use crate::isa::vectorized;
use crate::meter::Meter;
use crate::par;

pub static ROPE: Meter = Meter::new("rope");

/// cos and sin of every angle a token may need.
#[derive(Clone, Debug)]
pub struct Rope {
    /// D / 2 frequencies, radians a position.
    inv_freq: Vec<f32>,
    /// `[positions, D]`: D/2 cosines, then D/2 sines.
    table: Vec<f32>,
}

impl Rope {
    /// `inv_freq[D / 2]`, for the positions `0..positions`. Angles are products in f32, as in PyTorch.
    pub fn new(inv_freq: Vec<f32>, positions: usize) -> Rope {
        let half = inv_freq.len();
        let mut table = vec![0.0; positions * 2 * half];
        par::rows(&mut table, 2 * half, 64, |first, rows| {
            for (i, row) in rows.chunks_mut(2 * half).enumerate() {
                for (j, freq) in inv_freq.iter().enumerate() {
                    let angle = ((first + i) as f32 * freq) as f64;
                    (row[j], row[half + j]) = (angle.cos() as f32, angle.sin() as f32);
                }
            }
        });
        Rope { inv_freq, table }
    }

    pub fn positions(&self) -> usize {
        self.table.len() / (2 * self.inv_freq.len())
    }

    /// Rotates the first `heads` heads of each row of `x[T, ld]` in place; `positions[T]`.
    pub fn forward(&self, x: &mut [f32], ld: usize, heads: usize, positions: &[u32]) {
        self.rotate(x, ld, heads, positions, 1.0);
    }

    /// The transpose of the rotation: the same with the angle's sign changed.
    pub fn backward(&self, dx: &mut [f32], ld: usize, heads: usize, positions: &[u32]) {
        self.rotate(dx, ld, heads, positions, -1.0);
    }

    fn rotate(&self, x: &mut [f32], ld: usize, heads: usize, positions: &[u32], sign: f32) {
        let half = self.inv_freq.len();
        let _span = ROPE.start(0, positions.len() * heads * 2 * half * 8);
        par::rows(x, ld, 32, |first, rows| {
            for (i, row) in rows.chunks_mut(ld).enumerate() {
                let angles = &self.table[positions[first + i] as usize * 2 * half..][..2 * half];
                rotate_row(&mut row[..heads * 2 * half], angles, half, sign);
            }
        });
    }
}

vectorized! {
    fn rotate_row(row: &mut [f32], angles: &[f32], half: usize, sign: f32) {
        let (cos, sin) = angles.split_at(half);
        for head in row.chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            for j in 0..half {
                let (x, y) = (a[j], b[j]);
                a[j] = x * cos[j] - y * (sign * sin[j]);
                b[j] = y * cos[j] + x * (sign * sin[j]);
            }
        }
    }
}
