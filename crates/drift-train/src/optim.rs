//! Optimisers and gradient clipping over the flat f32 arrays, with PyTorch's arithmetic.
//!
//! Updates are element by element and norms are sums over fixed pieces added in order, so the
//! number of threads changes no bit.

use drift_lm::meter::Meter;
use drift_lm::params::Layout;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub static UPDATE: Meter = Meter::new("update");
pub static CLIPPING: Meter = Meter::new("clipping");

/// Elements a task takes; fixed, because the partial sums of a norm follow it.
const CHUNK: usize = 1 << 15;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// `torch.optim.RMSprop` without momentum, not centred: v = alpha v + (1 - alpha) g^2, p -= lr g / (sqrt(v) + eps).
    RmsProp { alpha: f64, eps: f64 },
    /// `torch.optim.AdamW`, weight decay decoupled (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2).
    AdamW { beta1: f64, beta2: f64, eps: f64, weight_decay: f64 },
}

impl OptimizerKind {
    /// PyTorch's defaults, the ones of the published recipe.
    pub const RMSPROP: OptimizerKind = OptimizerKind::RmsProp { alpha: 0.99, eps: 1e-8 };
    pub const ADAMW: OptimizerKind = OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };

    /// Moment arrays as long as the parameters: 4 bytes a parameter each.
    pub fn moments(&self) -> usize {
        match self {
            OptimizerKind::RmsProp { .. } => 1,
            OptimizerKind::AdamW { .. } => 2,
        }
    }
}

pub struct Optimizer {
    pub kind: OptimizerKind,
    /// Updates done; AdamW's bias correction follows it.
    pub updates: u64,
    /// `[v]` of RMSprop, `[m, v]` of AdamW, each as long as the parameters.
    pub moments: Vec<Vec<f32>>,
}

impl Optimizer {
    pub fn new(kind: OptimizerKind, n_params: usize) -> Optimizer {
        Optimizer { kind, updates: 0, moments: vec![vec![0.0; n_params]; kind.moments()] }
    }

    /// One update of `params` along `grads`, all of one length.
    pub fn step(&mut self, params: &mut [f32], grads: &[f32], lr: f64) {
        assert_eq!(params.len(), grads.len());
        let _span = UPDATE.start(0, params.len() * 4 * (3 + 2 * self.moments.len()));
        self.updates += 1;
        let chunks = params.par_chunks_mut(CHUNK).zip(grads.par_chunks(CHUNK));
        match (self.kind, self.moments.as_mut_slice()) {
            (OptimizerKind::RmsProp { alpha, eps }, [v]) => {
                let c = RmsProp { keep: alpha as f32, add: (1.0 - alpha) as f32, eps: eps as f32, rate: -lr as f32 };
                chunks.zip(v.par_chunks_mut(CHUNK)).for_each(|((p, g), v)| c.step(p, g, v));
            }
            (OptimizerKind::AdamW { beta1, beta2, eps, weight_decay }, [m, v]) => {
                let t = self.updates as f64;
                let c = AdamW {
                    shrink: (1.0 - lr * weight_decay) as f32,
                    add_m: (1.0 - beta1) as f32,
                    keep_v: beta2 as f32,
                    add_v: (1.0 - beta2) as f32,
                    correction_v: (1.0 - beta2.powf(t)).sqrt() as f32,
                    eps: eps as f32,
                    rate: (-lr / (1.0 - beta1.powf(t))) as f32,
                };
                chunks
                    .zip(m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK)))
                    .for_each(|((p, g), (m, v))| c.step(p, g, m, v));
            }
            _ => unreachable!("`new` makes as many moments as the kind has"),
        }
    }
}

/// Constants in f32, as PyTorch casts them before it touches a tensor of f32.
struct RmsProp {
    keep: f32,
    add: f32,
    eps: f32,
    rate: f32,
}

impl RmsProp {
    fn step(&self, p: &mut [f32], g: &[f32], v: &mut [f32]) {
        for ((p, &g), v) in p.iter_mut().zip(g).zip(v) {
            *v = *v * self.keep + self.add * g * g;
            *p += self.rate * g / (v.sqrt() + self.eps);
        }
    }
}

struct AdamW {
    shrink: f32,
    add_m: f32,
    keep_v: f32,
    add_v: f32,
    correction_v: f32,
    eps: f32,
    rate: f32,
}

impl AdamW {
    fn step(&self, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            *p *= self.shrink;
            *m += self.add_m * (g - *m);
            *v = *v * self.keep_v + self.add_v * g * g;
            *p += self.rate * *m / (v.sqrt() / self.correction_v + self.eps);
        }
    }
}

/// Scales `grads` to a norm of at most `max_norm` as `torch.nn.utils.clip_grad_norm_` does:
/// by max_norm / (norm + 1e-6), never above 1. Returns the norm before.
pub fn clip_grad_norm(grads: &mut [f32], max_norm: f64) -> f64 {
    let _span = CLIPPING.start(0, grads.len() * 12);
    let norm = norm(grads);
    let scale = max_norm / (norm + 1e-6);
    if scale < 1.0 {
        let scale = scale as f32;
        grads.par_chunks_mut(CHUNK).for_each(|chunk| chunk.iter_mut().for_each(|g| *g *= scale));
    }
    norm
}

/// L2 norm of each parameter's gradient, in the order of `layout.params`.
pub fn norms_by_param(layout: &Layout, grads: &[f32]) -> Vec<f64> {
    layout.params.iter().map(|p| norm(&grads[p.range.clone()])).collect()
}

/// L2 norm, summed in f64.
pub fn norm(x: &[f32]) -> f64 {
    // Pieces whose sums exist at once.
    const PIECES: usize = 1024;
    let mut parts = [0.0f64; PIECES];
    let mut total = 0.0;
    for x in x.chunks(PIECES * CHUNK) {
        let pieces = x.par_chunks(CHUNK).zip(&mut parts);
        pieces.for_each(|(piece, part)| *part = piece.iter().map(|&g| f64::from(g) * f64::from(g)).sum());
        total = parts[..x.len().div_ceil(CHUNK)].iter().fold(total, |total, part| total + part);
    }
    total.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_by_hand() {
        // RMSprop: v = 0.01 * 4 = 0.04, sqrt 0.2, p = 1 - 0.1 * 2 / 0.2 = 0.
        let mut o = Optimizer::new(OptimizerKind::RMSPROP, 1);
        let mut p = [1.0];
        o.step(&mut p, &[2.0], 0.1);
        assert!(p[0].abs() < 1e-6 && (o.moments[0][0] - 0.04).abs() < 1e-8, "{p:?}");
        // AdamW: both corrections make the first step lr * sign(g); decay first: 1 * (1 - 0.1 * 0.5) - 0.1.
        let mut o = Optimizer::new(OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.5 }, 1);
        let mut p = [1.0];
        o.step(&mut p, &[2.0], 0.1);
        assert!((p[0] - 0.85).abs() < 1e-6, "{p:?}");
    }

    #[test]
    fn rate_zero_moves_the_moments_and_not_the_weights() {
        for kind in [OptimizerKind::RMSPROP, OptimizerKind::ADAMW] {
            let mut o = Optimizer::new(kind, 2);
            let mut p = [1.5, -2.5];
            o.step(&mut p, &[3.0, -0.25], 0.0);
            assert_eq!(p, [1.5, -2.5]);
            assert!(o.moments.iter().flatten().all(|&m| m != 0.0));
        }
    }

    #[test]
    fn clipping_scales_down_only() {
        let mut g = [3.0, -4.0];
        assert_eq!(clip_grad_norm(&mut g, 10.0), 5.0);
        assert_eq!(g, [3.0, -4.0]);
        assert_eq!(clip_grad_norm(&mut g, 1.0), 5.0);
        // 1 / (5 + 1e-6)
        assert!((g[0] - 0.6).abs() < 3e-7 && (g[1] + 0.8).abs() < 3e-7 && norm(&g) < 1.0, "{g:?}");
    }

    #[test]
    fn threads_change_no_bit() {
        let n = 5 * CHUNK + 17;
        let grads: Vec<f32> = (0..n).map(|i| ((i * 7919 % 10007) as f32 - 5000.0) * 1e-3).collect();
        let run = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let mut g = grads.clone();
                let norm = clip_grad_norm(&mut g, 1.0);
                let mut o = Optimizer::new(OptimizerKind::ADAMW, n);
                let mut p = vec![0.5; n];
                o.step(&mut p, &g, 1e-3);
                (norm.to_bits(), p)
            })
        };
        assert!(run(1) == run(3));
    }
}
