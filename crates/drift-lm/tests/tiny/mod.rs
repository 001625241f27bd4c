//! A tiny random model with everything that a decoder of the family may have.

use drift_lm::config::{Family, RopeScaling};
use drift_lm::params::Layout;
use drift_lm::{Model, ModelConfig, Precision};

pub fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        vocab_size: 300,
        hidden_size: 48,
        intermediate_size: 80,
        num_layers: 3,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        max_position_embeddings: 512,
        tie_word_embeddings: true,
        qkv_bias: true,
        o_bias: true,
        mlp_bias: true,
        qk_norm: true,
        windows: vec![None, Some(40), None],
        bos_token_id: None,
        eos_token_ids: vec![0],
    }
}

fn noise(seed: u64, n: usize) -> impl Iterator<Item = f32> {
    let mut x = seed.wrapping_mul(2) | 1;
    (0..n).map(move |_| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

pub fn model(precision: Precision) -> Model {
    let config = config();
    let len = Layout::of(&config).len;
    Model::new(config, noise(1, len).map(|v| v * 0.3).collect(), precision)
}

pub fn ids(seed: u64, n: usize) -> Vec<u32> {
    noise(seed, n).map(|v| ((v + 1.0) * 149.0) as u32).collect()
}
