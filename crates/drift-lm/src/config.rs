//! What a model is: the checked form of a Hugging Face `config.json` or of GGUF metadata.

use serde::{Deserialize, Serialize};

/// The families differ only by the fields of [`ModelConfig`]; the name is kept to write `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    None,
    /// Positions divided by `factor`.
    Linear {
        factor: f64,
    },
    /// Llama 3.1's frequency-dependent scaling.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_max_position_embeddings: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    pub family: Family,
    /// V
    pub vocab_size: usize,
    /// H
    pub hidden_size: usize,
    /// F
    pub intermediate_size: usize,
    /// L
    pub num_layers: usize,
    /// N
    pub num_heads: usize,
    /// G, divides N
    pub num_kv_heads: usize,
    /// D, even; N * D need not equal H (Qwen3, Mistral-Nemo)
    pub head_dim: usize,
    pub rms_norm_eps: f32,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    pub max_position_embeddings: usize,
    pub tie_word_embeddings: bool,
    /// Bias on q, k and v (Qwen2).
    pub qkv_bias: bool,
    /// Bias on o_proj (Llama with `attention_bias`).
    pub o_bias: bool,
    /// Bias on gate, up and down (Llama with `mlp_bias`).
    pub mlp_bias: bool,
    /// RMSNorm over each head of q and k before RoPE (Qwen3).
    pub qk_norm: bool,
    /// Per layer: attend to the last `w` positions only, the own one included. Length L.
    pub windows: Vec<Option<usize>>,
    pub bos_token_id: Option<u32>,
    /// Every id that ends a generation.
    pub eos_token_ids: Vec<u32>,
}
