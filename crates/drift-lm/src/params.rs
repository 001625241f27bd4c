//! All parameters of a model in one flat f32 array, addressed by Hugging Face names.
//!
//! One array makes the optimiser, clipping, checkpoints and resuming trivial: a parameter is a range.

use crate::config::ModelConfig;
use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// `[out, in]` for projections, `[n]` for norms and biases, `[V, H]` for embeddings.
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

/// The parameters of one decoder layer, as ranges of the flat array.
#[derive(Clone, Debug)]
pub struct LayerParams {
    pub input_norm: Range<usize>,
    pub q: Range<usize>,
    pub k: Range<usize>,
    pub v: Range<usize>,
    pub o: Range<usize>,
    pub q_bias: Option<Range<usize>>,
    pub k_bias: Option<Range<usize>>,
    pub v_bias: Option<Range<usize>>,
    pub o_bias: Option<Range<usize>>,
    pub q_norm: Option<Range<usize>>,
    pub k_norm: Option<Range<usize>>,
    pub post_norm: Range<usize>,
    pub gate: Range<usize>,
    pub up: Range<usize>,
    pub down: Range<usize>,
    pub gate_bias: Option<Range<usize>>,
    pub up_bias: Option<Range<usize>>,
    pub down_bias: Option<Range<usize>>,
}

#[derive(Clone, Debug)]
pub struct Layout {
    /// In the order of Hugging Face's `named_parameters`.
    pub params: Vec<Param>,
    pub embed: Range<usize>,
    pub layers: Vec<LayerParams>,
    pub final_norm: Range<usize>,
    /// `None` where the embeddings are tied.
    pub lm_head: Option<Range<usize>>,
    /// Number of f32 in the flat array.
    pub len: usize,
}

impl Layout {
    pub fn of(config: &ModelConfig) -> Layout {
        let c = config;
        let (h, f) = (c.hidden_size, c.intermediate_size);
        let (q, kv) = (c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim);
        let mut all = Builder::default();
        let embed = all.add("model.embed_tokens.weight".into(), &[c.vocab_size, h]);
        let layers = (0..c.num_layers)
            .map(|i| {
                let mut p = |name: &str, shape: &[usize]| all.add(format!("model.layers.{i}.{name}"), shape);
                let q_w = p("self_attn.q_proj.weight", &[q, h]);
                let q_bias = c.qkv_bias.then(|| p("self_attn.q_proj.bias", &[q]));
                let k_w = p("self_attn.k_proj.weight", &[kv, h]);
                let k_bias = c.qkv_bias.then(|| p("self_attn.k_proj.bias", &[kv]));
                let v_w = p("self_attn.v_proj.weight", &[kv, h]);
                let v_bias = c.qkv_bias.then(|| p("self_attn.v_proj.bias", &[kv]));
                let o = p("self_attn.o_proj.weight", &[h, q]);
                let o_bias = c.o_bias.then(|| p("self_attn.o_proj.bias", &[h]));
                let q_norm = c.qk_norm.then(|| p("self_attn.q_norm.weight", &[c.head_dim]));
                let k_norm = c.qk_norm.then(|| p("self_attn.k_norm.weight", &[c.head_dim]));
                let gate = p("mlp.gate_proj.weight", &[f, h]);
                let gate_bias = c.mlp_bias.then(|| p("mlp.gate_proj.bias", &[f]));
                let up = p("mlp.up_proj.weight", &[f, h]);
                let up_bias = c.mlp_bias.then(|| p("mlp.up_proj.bias", &[f]));
                let down = p("mlp.down_proj.weight", &[h, f]);
                let down_bias = c.mlp_bias.then(|| p("mlp.down_proj.bias", &[h]));
                let input_norm = p("input_layernorm.weight", &[h]);
                let post_norm = p("post_attention_layernorm.weight", &[h]);
                LayerParams {
                    input_norm,
                    q: q_w,
                    k: k_w,
                    v: v_w,
                    o,
                    q_bias,
                    k_bias,
                    v_bias,
                    o_bias,
                    q_norm,
                    k_norm,
                    post_norm,
                    gate,
                    up,
                    down,
                    gate_bias,
                    up_bias,
                    down_bias,
                }
            })
            .collect();
        let final_norm = all.add("model.norm.weight".into(), &[h]);
        let lm_head = (!c.tie_word_embeddings).then(|| all.add("lm_head.weight".into(), &[c.vocab_size, h]));
        Layout { embed, layers, final_norm, lm_head, len: all.len, params: all.params }
    }
}

#[derive(Default)]
struct Builder {
    params: Vec<Param>,
    len: usize,
}

impl Builder {
    fn add(&mut self, name: String, shape: &[usize]) -> Range<usize> {
        let range = self.len..self.len + shape.iter().product::<usize>();
        self.len = range.end;
        self.params.push(Param { name, shape: shape.to_vec(), range: range.clone() });
        range
    }
}
