//! From logits to one token: temperature, top-k, top-p, greedy.

use drift_kernels::softmax;

/// How a token is drawn. `top_k` 0 and `top_p` 1 are off; temperature 0 is greedy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    pub temperature: f32,
    pub top_p: f32,
    pub top_k: usize,
}

impl Sampling {
    pub const GREEDY: Sampling = Sampling { temperature: 0.0, top_p: 1.0, top_k: 0 };
}

/// Draws from `logits[V]` with the uniform number `u` in [0, 1). Filters as transformers does:
/// temperature, then top-k, then top-p over what is left (the token that crosses p is kept). Equal
/// probabilities are ordered by token. `candidates` is a buffer.
pub fn draw(logits: &[f32], sampling: &Sampling, u: f64, candidates: &mut Vec<(f64, u32)>) -> u32 {
    if sampling.temperature == 0.0 {
        return greedy(logits);
    }
    let max = softmax::max(logits);
    let weight = |logit: f32| (((logit - max) / sampling.temperature) as f64).exp();
    let limited = sampling.top_k > 0 && sampling.top_k < logits.len();
    let total = softmax::sum_exp(logits, max, sampling.temperature);

    // Candidates in descending order. The first attempt leaves out what is too unlikely to matter
    // for top-p; only where that was not enough is everything sorted.
    for floor in [1e-6 * total, 0.0] {
        if floor == 0.0 || sampling.top_p < 1.0 || limited {
            candidates.clear();
            // A little below the floor's logit: exponentials are worth their time for few alone.
            let least = (max as f64 + sampling.temperature as f64 * floor.ln() - 1e-3) as f32;
            let near = logits.iter().zip(0..).filter(|(logit, _)| **logit >= least);
            candidates.extend(near.map(|(&logit, v)| (weight(logit), v)).filter(|c| c.0 >= floor));
            candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            if limited && candidates.len() < sampling.top_k && floor > 0.0 {
                continue;
            }
            let left = if limited {
                candidates.truncate(sampling.top_k);
                candidates.iter().map(|c| c.0).sum()
            } else {
                total
            };
            let mut mass = 0.0;
            let cut = candidates.iter().position(|c| {
                mass += c.0;
                mass >= sampling.top_p as f64 * left && sampling.top_p < 1.0
            });
            match cut {
                Some(last) => candidates.truncate(last + 1),
                None if floor > 0.0 && sampling.top_p < 1.0 => continue,
                None => {}
            }
            return pick(candidates, u);
        }
    }
    unreachable!("the second attempt takes every token")
}

/// The largest logit, the first of equals.
fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (v, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = v;
        }
    }
    best as u32
}

fn pick(candidates: &[(f64, u32)], u: f64) -> u32 {
    let mut rest = u * candidates.iter().map(|c| c.0).sum::<f64>();
    for (weight, token) in candidates {
        rest -= weight;
        if rest < 0.0 {
            return *token;
        }
    }
    candidates[candidates.len() - 1].1
}

/// The uniform number in [0, 1) of draw `n` of a seed (the finaliser of SplitMix64): no state, so a
/// sequence's draws do not depend on the others.
pub fn uniform(seed: u64, n: u64) -> f64 {
    let mut z = seed.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(logits: &[f32], sampling: Sampling) -> Vec<f64> {
        const DRAWS: u64 = 40_000;
        let (mut counts, mut buffer) = (vec![0.0; logits.len()], Vec::new());
        for n in 0..DRAWS {
            counts[draw(logits, &sampling, uniform(7, n), &mut buffer) as usize] += 1.0 / DRAWS as f64;
        }
        counts
    }

    #[test]
    fn frequencies_follow_the_filtered_distribution() {
        // Probabilities .5, .3, .15, .05 at temperature 1.
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let plain = Sampling { temperature: 1.0, top_p: 1.0, top_k: 0 };
        let check = |sampling, expected: [f64; 4]| {
            for (got, want) in shares(&logits, sampling).iter().zip(expected) {
                assert!((got - want).abs() < 0.01, "{sampling:?}: {got}, expected {want}");
            }
        };
        check(plain, [0.5, 0.3, 0.15, 0.05]);
        check(Sampling { top_k: 2, ..plain }, [0.625, 0.375, 0.0, 0.0]);
        check(Sampling { top_p: 0.79, ..plain }, [0.625, 0.375, 0.0, 0.0]);
        check(Sampling { top_p: 0.85, ..plain }, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0]);
        // Temperature 0.5 squares the probabilities.
        let z = 0.25 + 0.09 + 0.0225 + 0.0025;
        check(Sampling { temperature: 0.5, ..plain }, [0.25 / z, 0.09 / z, 0.0225 / z, 0.0025 / z]);
        // top-p counts what top-k left: .625 of it is the first token.
        check(Sampling { top_k: 2, top_p: 0.6, ..plain }, [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(draw(&[1.0, 3.0, 3.0], &Sampling::GREEDY, 0.9, &mut Vec::new()), 1);
    }
}
