//! RMSNorm: `y = w · x / sqrt(mean(x²) + eps)` over the last axis (Zhang and Sennrich, 2019), and LayerNorm
//! for encoders, forward only.

use crate::elementwise::sum_of;
use crate::isa::vectorized;
use crate::meter::Meter;
use crate::operand::Rows;
use crate::par::{self, Shared};

pub static NORM: Meter = Meter::new("norm");
pub static NORM_BACKWARD: Meter = Meter::new("norm, backward");

vectorized! {
    /// `1 / sqrt(mean(x²) + eps)` of one row.
    pub fn inverse_rms(x: &[f32], eps: f32) -> f32 {
        1.0 / (sum_of(x.len(), |i| x[i] * x[i]) / x.len() as f32 + eps).sqrt()
    }
}

vectorized! {
    /// `y = w · x · rstd`
    fn scale(x: &[f32], w: &[f32], rstd: f32, y: &mut [f32]) {
        for i in 0..y.len() {
            y[i] = w[i] * (x[i] * rstd);
        }
    }
}

vectorized! {
    /// One row of the backward pass, `dx += rstd (w dy - x̂ mean(w dy x̂))` with `x̂ = x rstd`.
    fn scale_backward(x: &[f32], w: &[f32], rstd: f32, dy: &[f32], dx: &mut [f32]) {
        let mean = sum_of(x.len(), |i| w[i] * dy[i] * (x[i] * rstd)) / x.len() as f32;
        for i in 0..dx.len() {
            dx[i] += rstd * (w[i] * dy[i] - x[i] * rstd * mean);
        }
    }
}

/// Normalises one row in place of a copy: `y[H]`; returns the row's `rstd`.
pub fn row(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> f32 {
    let rstd = inverse_rms(x, eps);
    scale(x, w, rstd, y);
    rstd
}

/// `x[T, H]`, `w[H]` → `y[T, H]` as the left operand of the products that follow.
pub fn forward(x: &[f32], w: &[f32], eps: f32, y: &mut Rows) {
    let h = w.len();
    let _span = NORM.start(0, x.len() * 6);
    y.fill(x.len() / h, h, |t, out| {
        row(&x[t * h..][..h], w, eps, out);
    });
}

/// `dx[T, H] += …`, `dw[H] += Σ_t dy x̂`. Recomputes `rstd`.
pub fn backward(x: &[f32], w: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], dw: &mut [f32], rstd: &mut Vec<f32>) {
    let h = w.len();
    let tokens = x.len() / h;
    let _span = NORM_BACKWARD.start(0, x.len() * 16);
    rstd.resize(tokens, 0.0);
    {
        let rstd = Shared::new(rstd);
        par::rows(dx, h, 16, |first, rows| {
            for (i, dx) in rows.chunks_mut(h).enumerate() {
                let t = first + i;
                let x = &x[t * h..][..h];
                let r = inverse_rms(x, eps);
                // SAFETY: each task writes the elements of its own tokens.
                unsafe { *rstd.at(t) = r };
                scale_backward(x, w, r, &dy[t * h..][..h], dx);
            }
        });
    }
    // By columns, so that every sum over tokens has one order.
    const COLUMNS: usize = 64;
    par::rows(dw, 1, COLUMNS, |first, dw| {
        let n = dw.len();
        for t in 0..tokens {
            weight_backward(&x[t * h + first..][..n], rstd[t], &dy[t * h + first..][..n], dw);
        }
    });
}

vectorized! {
    fn weight_backward(x: &[f32], rstd: f32, dy: &[f32], dw: &mut [f32]) {
        for i in 0..dw.len() {
            dw[i] += dy[i] * (x[i] * rstd);
        }
    }
}

vectorized! {
    /// The backward pass of one row that was normalised with `w`: `dy` becomes `dx`, `dw += dy x̂`.
    pub fn row_backward_in_place(x: &[f32], w: &[f32], eps: f32, dy: &mut [f32], dw: &mut [f32]) {
        let rstd = 1.0 / (sum_of(x.len(), |i| x[i] * x[i]) / x.len() as f32 + eps).sqrt();
        let mean = sum_of(x.len(), |i| w[i] * dy[i] * (x[i] * rstd)) / x.len() as f32;
        for i in 0..dy.len() {
            dw[i] += dy[i] * (x[i] * rstd);
            dy[i] = rstd * (w[i] * dy[i] - x[i] * rstd * mean);
        }
    }
}

vectorized! {
    fn layer_row(x: &mut [f32], w: &[f32], b: &[f32], eps: f32) {
        let n = x.len() as f32;
        let mean = sum_of(x.len(), |i| x[i]) / n;
        let variance = sum_of(x.len(), |i| (x[i] - mean) * (x[i] - mean)) / n;
        let rstd = 1.0 / (variance + eps).sqrt();
        for i in 0..x.len() {
            x[i] = (x[i] - mean) * rstd * w[i] + b[i];
        }
    }
}

/// LayerNorm in place: `x = w · (x - mean) / sqrt(variance + eps) + b`, `x[T, H]`, `w[H]`, `b[H]` (Ba et al., 2016).
pub fn layer(x: &mut [f32], w: &[f32], b: &[f32], eps: f32) {
    let h = w.len();
    let _span = NORM.start(0, x.len() * 8);
    par::rows(x, h, 16, |_, rows| {
        for row in rows.chunks_mut(h) {
            layer_row(row, w, b, eps);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_norm_by_hand() {
        // Means 3 and 0, variances 2 and 0: eps alone divides a row without spread.
        let mut x = [1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        layer(&mut x, &[1.0, 1.0, 1.0, 2.0, 1.0], &[0.0, 0.0, 0.5, 0.0, -1.0], 2.0);
        assert_eq!(x, [-1.0, -0.5, 0.5, 1.0, 0.0, 0.0, 0.0, 0.5, 0.0, -1.0]);
    }
}
