//! A tiny random model and pairs for it.

use drift_lm::config::{Family, ModelConfig, RopeScaling};
use drift_lm::params::Layout;
use drift_lm::{Model, Precision};
use drift_train::config::TrainConfig;
use drift_train::examples::{Lengths, Order, OverLong};
use drift_train::schedule::{Decay, Schedule};
use drift_train::{Example, Job};
use std::path::Path;

pub const VOCAB: u32 = 64;

/// SplitMix64 (Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// -1 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

pub fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        vocab_size: VOCAB as usize,
        hidden_size: 32,
        intermediate_size: 64,
        num_layers: 2,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        max_position_embeddings: 128,
        tie_word_embeddings: true,
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        qk_norm: false,
        windows: vec![None; 2],
        bos_token_id: None,
        eos_token_ids: vec![2],
    }
}

pub fn params(seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let mut params = vec![0.0; Layout::of(&config()).len];
    for param in &Layout::of(&config()).params {
        for p in &mut params[param.range.clone()] {
            *p = if param.shape.len() == 1 { 1.0 } else { 0.3 * random.unit() };
        }
    }
    params
}

pub fn model() -> Model {
    Model::new(config(), params(1), Precision::F32)
}

pub fn examples(n: usize) -> Vec<Example> {
    let mut random = Random(7);
    let mut ids = |least: usize, most: usize| -> Vec<u32> {
        let n = least + random.below(most - least + 1);
        (0..n).map(|_| 3 + random.below(VOCAB as usize - 3) as u32).collect()
    };
    (0..n)
        .map(|i| {
            let mut answer = || [ids(0, 9), vec![2]].concat();
            let (chosen, rejected) = (answer(), answer());
            Example { id: format!("e{i}"), prompt: ids(1, 12), chosen, rejected, weight: 1.0 }
        })
        .collect()
}

/// Rates at which the tiny model moves visibly.
pub fn recipe() -> TrainConfig {
    TrainConfig {
        schedule: Schedule { learning_rate: 1e-3, decay: Decay::Linear, warmup_ratio: 0.1 },
        batch_size: 3,
        epochs: 2,
        order: Order::Shuffled { seed: 42 },
        lengths: Lengths { max_length: 64, max_prompt_length: 32, over_long: OverLong::Drop },
        micro_tokens: 40,
        ..TrainConfig::default()
    }
}

pub fn job<'a>(config: &'a TrainConfig, dir: &'a Path) -> Job<'a> {
    Job { config, dir, weights: "tiny random weights, seed 1", save_every: 2, activation_bytes: 1 << 20 }
}
