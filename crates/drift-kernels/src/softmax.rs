//! Log-softmax over the vocabulary, fused with what surrounds it, so that logits exist only for a
//! slab of the vocabulary at a time; and softmax of a row, for attention in both directions.

use crate::elementwise::{exp, sum_of};
use crate::isa::vectorized;
use crate::meter::Meter;
use crate::par::{self, Shared};

/// Of log-softmax over the vocabulary.
pub static SOFTMAX: Meter = Meter::new("softmax");
pub static SOFTMAX_BACKWARD: Meter = Meter::new("softmax, backward");

/// Running `log Σ exp` of A rows: maximum and sum of exponentials relative to it.
#[derive(Clone, Debug, Default)]
pub struct LogSumExp {
    max: Vec<f32>,
    sum: Vec<f32>,
}

impl LogSumExp {
    pub fn reset(&mut self, rows: usize) {
        self.max.clear();
        self.max.resize(rows, f32::NEG_INFINITY);
        self.sum.clear();
        self.sum.resize(rows, 0.0);
    }

    /// Takes in one more slab of logits, `[A, width]`.
    pub fn add(&mut self, logits: &[f32], width: usize) {
        let _span = SOFTMAX.start(0, logits.len() * 4);
        let (max, sum) = (Shared::new(&mut self.max), Shared::new(&mut self.sum));
        let rows = logits.len() / width;
        par::tasks(rows.div_ceil(8), |task| {
            for a in task * 8..rows.min(task * 8 + 8) {
                // SAFETY: a task touches its own rows only.
                let (m, s) = unsafe { (&mut *max.at(a), &mut *sum.at(a)) };
                add_row(&logits[a * width..][..width], m, s);
            }
        });
    }

    /// `log Σ exp` of row a.
    pub fn value(&self, a: usize) -> f32 {
        self.max[a] + self.sum[a].ln()
    }
}

vectorized! {
    fn add_row(logits: &[f32], max: &mut f32, sum: &mut f32) {
        let top = max_of(logits).max(*max);
        let (whole, rest) = logits.as_chunks::<16>();
        let mut lanes = [0.0f32; 16];
        for chunk in whole {
            for j in 0..16 {
                lanes[j] += exp(chunk[j] - top);
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane += exp(*value - top);
        }
        *sum = *sum * exp(*max - top) + sum_of(16, |j| lanes[j]);
        *max = top;
    }
}

vectorized! {
    /// `out = softmax(scale · x)`, scale not negative.
    pub fn row(x: &[f32], scale: f32, out: &mut [f32]) {
        let top = max_of(x);
        for i in 0..out.len() {
            out[i] = exp((x[i] - top) * scale);
        }
        let sum = sum_of(out.len(), |i| out[i]);
        for i in 0..out.len() {
            out[i] /= sum;
        }
    }
}

vectorized! {
    /// The largest value.
    pub fn max(x: &[f32]) -> f32 {
        max_of(x)
    }
}

vectorized! {
    /// `Σ exp((x - max) / temperature)`, to about 1e-7 of itself.
    pub fn sum_exp(x: &[f32], max: f32, temperature: f32) -> f64 {
        let (whole, rest) = x.as_chunks::<16>();
        let mut lanes = [0.0f64; 16];
        for chunk in whole {
            for j in 0..16 {
                lanes[j] += exp((chunk[j] - max) / temperature) as f64;
            }
        }
        for (lane, value) in lanes.iter_mut().zip(rest) {
            *lane += exp((value - max) / temperature) as f64;
        }
        lanes.iter().sum()
    }
}

#[inline(always)]
fn max_of(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for chunk in whole {
        for j in 0..16 {
            lanes[j] = if chunk[j] > lanes[j] { chunk[j] } else { lanes[j] };
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = if *value > *lane { *value } else { *lane };
    }
    lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Turns a slab of logits `[A, width]`, vocabulary entries from `first` on, into the gradient of
/// `Σ_a scale[a] · log p(target[a])`: `scale[a] · (1{v = target} - p[a, v])`.
pub fn logp_backward(logits: &mut [f32], width: usize, first: usize, lse: &[f32], targets: &[u32], scale: &[f32]) {
    let _span = SOFTMAX_BACKWARD.start(0, logits.len() * 8);
    par::rows(logits, width, 8, |row, rows| {
        for (i, slab) in rows.chunks_mut(width).enumerate() {
            let a = row + i;
            gradient_row(slab, lse[a], scale[a]);
            let target = targets[a] as usize;
            if (first..first + width).contains(&target) {
                slab[target - first] += scale[a];
            }
        }
    });
}

vectorized! {
    fn gradient_row(logits: &mut [f32], lse: f32, scale: f32) {
        for value in logits.iter_mut() {
            *value = -scale * exp(*value - lse);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_exponentials_at_a_temperature() {
        let x: Vec<f32> = (0..1003).map(|i| ((i * 29 % 997) as f32 - 500.0) * 0.02).collect();
        let top = max(&x);
        assert_eq!(top, x.iter().copied().fold(f32::MIN, f32::max));
        let exact: f64 = x.iter().map(|&x| ((x - top) as f64 / 0.7f32 as f64).exp()).sum();
        assert!((sum_exp(&x, top, 0.7) / exact - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_row_becomes_probabilities() {
        let x: Vec<f32> = (0..75).map(|i| ((i * 29 % 31) as f32 - 15.0) * 8.0).collect();
        let mut out = vec![0.0; x.len()];
        row(&x, 0.25, &mut out);
        let weights: Vec<f64> = x.iter().map(|&x| (0.25 * x as f64 - 30.0).exp()).collect();
        let sum: f64 = weights.iter().sum();
        for (p, w) in out.iter().zip(&weights) {
            assert!((*p as f64 - w / sum).abs() < 1e-6, "{p} {}", w / sum);
        }
    }

    #[test]
    fn slabs_add_up_to_the_whole() {
        let logits: Vec<f32> = (0..3 * 50).map(|i| ((i * 29 % 31) as f32 - 15.0) * 1.7).collect();
        let mut lse = LogSumExp::default();
        lse.reset(3);
        for (from, width) in [(0, 20), (20, 30)] {
            let slab: Vec<f32> = (0..3).flat_map(|a| logits[a * 50 + from..][..width].to_vec()).collect();
            lse.add(&slab, width);
        }
        for a in 0..3 {
            let exact = logits[a * 50..][..50].iter().map(|&x| (x as f64).exp()).sum::<f64>().ln();
            assert!((lse.value(a) as f64 - exact).abs() < 1e-5, "{} {exact}", lse.value(a));
        }
    }
}
