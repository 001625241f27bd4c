//! SwiGLU, GELU, exp and sums with one order on every machine.

use crate::isa::vectorized;
use crate::meter::Meter;
use crate::operand::Rows;
use crate::par;

pub static SWIGLU: Meter = Meter::new("swiglu");
pub static SWIGLU_BACKWARD: Meter = Meter::new("swiglu, backward");
pub static GELU: Meter = Meter::new("gelu");
pub static BIAS: Meter = Meter::new("bias");

const LANES: usize = 16;

/// `Σ f(i)` for i in 0..n in sixteen lanes that are added pairwise at the end: the order does not
/// depend on the vector width.
#[inline(always)]
pub fn sum_of(n: usize, f: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    for i in (0..whole).step_by(LANES) {
        for j in 0..LANES {
            lanes[j] += f(i + j);
        }
    }
    for i in whole..n {
        lanes[i - whole] += f(i);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for j in 0..width {
            lanes[j] += lanes[j + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// e^x to about one unit in the last place; 0 below -87.3. Plain arithmetic that vectorises.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer in the low bits
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that r = x - n ln 2 is exact enough (Cody and Waite).
    let r = clamped - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.3 { 0.0 } else { e * power }
}

/// 2^x for x at most 127, to about two units in the last place; 2^-126 below -126. Softmax of scores in
/// units of ln 2 needs no reduction of the argument: x minus the nearest integer is exact.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // as above
    let clamped = if x < -126.0 { -126.0 } else { x }; // NaN stays NaN
    let shifted = clamped + ROUND;
    let f = clamped - (shifted - ROUND);
    // (2^f - 1) / f, the polynomial of least relative error, 1e-7, for |f| <= 1/2 (iterated least squares).
    let p = 1.330_026_4e-3;
    let p = p * f + 9.669_709e-3;
    let p = p * f + 5.550_56e-2;
    let p = p * f + 2.402_228_1e-1;
    let p = p * f + std::f32::consts::LN_2;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * f + 1.0) * power
}

/// The largest of sixteen, halved pairwise; NaN is passed over.
#[inline(always)]
pub fn largest(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for j in 0..width {
            let (a, b) = (lanes[j], lanes[j + width]);
            lanes[j] = if b > a { b } else { a };
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

vectorized! {
    fn swiglu_row(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for i in 0..out.len() {
            out[i] = gate[i] * sigmoid(gate[i]) * up[i];
        }
    }
}

vectorized! {
    fn swiglu_row_backward(gate: &mut [f32], up: &mut [f32], d: &[f32]) {
        for i in 0..d.len() {
            let (g, u, s) = (gate[i], up[i], sigmoid(gate[i]));
            gate[i] = d[i] * u * s * (1.0 + g * (1.0 - s));
            up[i] = d[i] * g * s;
        }
    }
}

/// `gate_up[T, 2F]` (gate, then up, in every row) → `silu(gate) · up`, `[T, F]` (Shazeer, 2020).
pub fn swiglu(gate_up: &[f32], f: usize, out: &mut Rows) {
    let _span = SWIGLU.start(0, gate_up.len() * 5);
    out.fill(gate_up.len() / (2 * f), f, |t, row| {
        let (gate, up) = gate_up[t * 2 * f..][..2 * f].split_at(f);
        swiglu_row(gate, up, row);
    });
}

/// The same in f32, `[T, F]`.
pub fn swiglu_plain(gate_up: &[f32], f: usize, out: &mut [f32]) {
    let _span = SWIGLU.start(0, gate_up.len() * 6);
    par::rows(out, f, 16, |first, rows| {
        for (i, row) in rows.chunks_mut(f).enumerate() {
            let (gate, up) = gate_up[(first + i) * 2 * f..][..2 * f].split_at(f);
            swiglu_row(gate, up, row);
        }
    });
}

/// Turns `gate_up[T, 2F]` into its gradient, given `d[T, F]`.
pub fn swiglu_backward(gate_up: &mut [f32], f: usize, d: &[f32]) {
    let _span = SWIGLU_BACKWARD.start(0, gate_up.len() * 10);
    par::rows(gate_up, 2 * f, 16, |first, rows| {
        for (i, row) in rows.chunks_mut(2 * f).enumerate() {
            let (gate, up) = row.split_at_mut(f);
            swiglu_row_backward(gate, up, &d[(first + i) * f..][..f]);
        }
    });
}

vectorized! {
    /// x Φ(x), with erfc by Abramowitz and Stegun's 7.1.26, which is off by 1.5e-7 at most.
    fn gelu_row(x: &[f32], out: &mut [f32]) {
        for i in 0..out.len() {
            let u = x[i].abs() * std::f32::consts::FRAC_1_SQRT_2;
            let t = 1.0 / (1.0 + 0.327_591_1 * u);
            let p = -1.453_152 + t * 1.061_405_4;
            let p = 1.421_413_7 + t * p;
            let p = -0.284_496_74 + t * p;
            let p = 0.254_829_6 + t * p;
            let tail = 0.5 * x[i].abs() * (t * p * exp(-u * u));
            out[i] = if x[i] > 0.0 { x[i] - tail } else { -tail };
        }
    }
}

/// `x[T, F]` → `x Φ(x)`, `[T, F]`, with the normal distribution's Φ itself, not its approximation by tanh
/// (Hendrycks and Gimpel, 2016).
pub fn gelu(x: &[f32], f: usize, out: &mut Rows) {
    let _span = GELU.start(0, x.len() * 8);
    out.fill(x.len() / f, f, |t, row| gelu_row(&x[t * f..][..f], row));
}

/// `y[t, at..at + n] += bias[n]`, y in rows of `ld`.
pub fn add_bias(y: &mut [f32], ld: usize, at: usize, bias: &[f32]) {
    let _span = BIAS.start(0, y.len() / ld * bias.len() * 8);
    par::rows(y, ld, 64, |_, rows| {
        for row in rows.chunks_mut(ld) {
            add(&mut row[at..at + bias.len()], bias);
        }
    });
}

/// `d_bias[n] += Σ_t dy[t, at..at + n]`, dy in rows of `ld`.
pub fn bias_backward(dy: &[f32], ld: usize, at: usize, d_bias: &mut [f32]) {
    let _span = BIAS.start(0, dy.len() / ld * d_bias.len() * 4);
    par::rows(d_bias, 1, 64, |first, columns| {
        for row in dy.chunks(ld) {
            add(columns, &row[at + first..][..columns.len()]);
        }
    });
}

vectorized! {
    /// `y += x`
    pub fn add(y: &mut [f32], x: &[f32]) {
        for i in 0..y.len() {
            y[i] += x[i];
        }
    }
}

vectorized! {
    /// `out[r] = Σ a[r, ..] b[r, ..]` over rows of `dim` values.
    pub fn dots(a: &[f32], b: &[f32], dim: usize, out: &mut [f32]) {
        for ((out, a), b) in out.iter_mut().zip(a.chunks_exact(dim)).zip(b.chunks_exact(dim)) {
            let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
            let mut lanes = [0.0f32; LANES];
            for (a, b) in whole_a.iter().zip(whole_b) {
                for j in 0..LANES {
                    lanes[j] += a[j] * b[j];
                }
            }
            for ((lane, a), b) in lanes.iter_mut().zip(rest_a).zip(rest_b) {
                *lane += a * b;
            }
            *out = sum_of(LANES, |j| lanes[j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let exact = (x as f64).exp();
            worst = worst.max(((exp(x) as f64 - exact) / exact).abs());
        }
        assert!(worst < 2.5e-7, "relative error {worst:e}");
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn exp2_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for i in -1_260_000..1_270_000 {
            let x = i as f32 * 1e-4;
            let exact = (x as f64).exp2();
            worst = worst.max(((exp2(x) as f64 - exact) / exact).abs());
        }
        assert!(worst < 2.5e-7, "relative error {worst:e}");
        assert_eq!(exp2(f32::NEG_INFINITY), 2f32.powi(-126));
        assert_eq!(exp2(0.0), 1.0);
        assert!(exp2(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_is_that_of_the_normal_distribution() {
        // Φ(x) - 1/2 as its power series, which f64 sums to 1e-9 for these x.
        let phi = |x: f64| {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / (2.0 * n as f64);
                sum += term / (2.0 * n as f64 + 1.0);
            }
            0.5 + sum / (2.0 * std::f64::consts::PI).sqrt()
        };
        let x: Vec<f32> = (-6000..=6000).map(|i| i as f32 * 1e-3).collect();
        let mut out = vec![0.0; x.len()];
        gelu_row(&x, &mut out);
        for (x, y) in x.iter().zip(&out) {
            let exact = *x as f64 * phi(*x as f64);
            assert!((*y as f64 - exact).abs() < 3e-7 * (1.0 + exact.abs()), "{x}: {y} {exact}");
        }
        let mut odd = [0.0; 4];
        gelu_row(&[1e30, -1e30, 0.0, f32::NAN], &mut odd);
        assert_eq!(odd[..3], [1e30, 0.0, 0.0]);
        assert!(odd[3].is_nan());
    }

    #[test]
    fn swiglu_backward_meets_finite_differences() {
        let f = 5;
        let x: Vec<f32> = (0..2 * f).map(|i| (i as f32 - 4.3) * 0.7).collect();
        let d: Vec<f32> = (0..f).map(|i| 0.3 + i as f32).collect();
        let loss = |x: &[f32]| -> f64 {
            (0..f).map(|i| d[i] as f64 * (x[i] / (1.0 + (-x[i]).exp())) as f64 * x[f + i] as f64).sum()
        };
        let mut dx = x.clone();
        swiglu_backward(&mut dx, f, &d);
        for i in 0..2 * f {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += 1e-2;
            down[i] -= 1e-2;
            let slope = (loss(&up) - loss(&down)) / 2e-2;
            assert!((slope - dx[i] as f64).abs() < 2e-3 * (1.0 + slope.abs()), "{i}: {slope} {}", dx[i]);
        }
    }
}
