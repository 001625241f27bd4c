//! The oracle: the same operations in the plainest form, for the tests of the fast paths.

use half::bf16;

/// `C[m, n] = A[m, k] · B[k, n]`, summed in f64.
pub fn matmul(a: &[f32], b: &[f32], m: usize, n: usize, k: usize) -> Vec<f32> {
    let mut c = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            c[i * n + j] = (0..k).map(|l| a[i * k + l] as f64 * b[l * n + j] as f64).sum::<f64>() as f32;
        }
    }
    c
}

/// What is left of the values after rounding to bf16.
pub fn round_bf16(values: &[f32]) -> Vec<f32> {
    values.iter().map(|&v| bf16::from_f32(v).to_f32()).collect()
}

/// What is left of B[k, n] as weights in bf16: a value goes to the upper of its two neighbours where its way to it, in steps, is
/// below the threshold of its place, the fraction of l / p² + j / p with the plastic number p.
pub fn spread_bf16(b: &[f32], k: usize, n: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(k * n);
    for l in 0..k as u64 {
        for j in 0..n as u64 {
            let value = b[out.len()];
            let threshold = ((j * 0xC13F_A9A9 + l * 0x91E1_0DA5) % (1 << 32)) >> 16;
            let lower = f32::from_bits(value.to_bits() >> 16 << 16);
            let upper = f32::from_bits(((value.to_bits() >> 16) + 1) << 16);
            let way = (upper as f64 - value as f64) / (upper as f64 - lower as f64);
            out.push(if way * 65_536.0 <= threshold as f64 { upper } else { lower });
        }
    }
    out
}

pub fn transpose(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    let mut t = vec![0.0; rows * cols];
    for i in 0..rows {
        for j in 0..cols {
            t[j * rows + i] = a[i * cols + j];
        }
    }
    t
}

/// Attention of one head: `visible(i, j)` says whether query i sees key j. Returns `[tq, d]`.
pub fn attention(q: &[f32], k: &[f32], v: &[f32], d: usize, visible: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    let (tq, tk) = (q.len() / d, k.len() / d);
    let mut out = vec![0.0; tq * d];
    for i in 0..tq {
        let scores: Vec<f64> = (0..tk)
            .map(|j| {
                let dot: f64 = (0..d).map(|l| q[i * d + l] as f64 * k[j * d + l] as f64).sum();
                if visible(i, j) { dot / (d as f64).sqrt() } else { f64::NEG_INFINITY }
            })
            .collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
        for l in 0..d {
            let mixed: f64 = (0..tk).map(|j| (scores[j] - max).exp() / sum * v[j * d + l] as f64).sum();
            out[i * d + l] = mixed as f32;
        }
    }
    out
}
