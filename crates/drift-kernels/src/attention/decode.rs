use super::Heads;
use crate::elementwise::{axpy, dot, exp};

/// One new token of one sequence against its cache: `qkv[(N + 2G) D]`, keys and values `[G, capacity, D]`
/// of which the first `len` positions count (the new token's own included). Writes `out[N D]`.
pub fn decode(qkv: &[f32], keys: &[f32], values: &[f32], capacity: usize, len: usize, heads: Heads, out: &mut [f32]) {
    let dim = heads.dim;
    let share = heads.queries / heads.keys;
    let from = heads.window.map_or(0, |w| len.saturating_sub(w));
    let mut scores = vec![0.0f32; share * (len - from)];
    for g in 0..heads.keys {
        let (k, v) = (&keys[g * capacity * dim..], &values[g * capacity * dim..]);
        // Keys and values are read once for all query heads of the group.
        for t in from..len {
            let key = &k[t * dim..][..dim];
            for h in 0..share {
                let q = &qkv[(g * share + h) * dim..][..dim];
                scores[h * (len - from) + t - from] = dot(q, key) * heads.scale();
            }
        }
        for weights in scores.chunks_mut(len - from) {
            let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for w in weights.iter_mut() {
                *w = exp(*w - max);
                sum += *w;
            }
            for w in weights.iter_mut() {
                *w /= sum;
            }
        }
        let mixed = &mut out[g * share * dim..][..share * dim];
        mixed.fill(0.0);
        for t in from..len {
            let value = &v[t * dim..][..dim];
            for h in 0..share {
                axpy(&mut mixed[h * dim..][..dim], scores[h * (len - from) + t - from], value);
            }
        }
    }
}
