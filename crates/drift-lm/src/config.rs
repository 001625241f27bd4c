//! What a model is: the checked form of a Hugging Face `config.json` or of GGUF metadata.

mod from_gguf;
mod from_hf;

use crate::error::{Error, Result};
pub(crate) use from_hf::{Fields, object};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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

/// Above every released model; they keep sizes that a damaged file claims from being multiplied or allocated.
pub(crate) const MAX_LAYERS: usize = 4096;
pub(crate) const MAX_SIZE: usize = 1 << 24;

impl ModelConfig {
    /// Whether such a network exists and transformers can say it in a `config.json`. `place` is for the error.
    pub fn validate(&self, place: &str) -> Result<()> {
        let c = self;
        let bad = |what: String| Err(Error::new(place, what));
        let sizes = [
            ("vocab_size", c.vocab_size, MAX_SIZE),
            ("hidden_size", c.hidden_size, MAX_SIZE),
            ("intermediate_size", c.intermediate_size, MAX_SIZE),
            ("num_hidden_layers", c.num_layers, MAX_LAYERS),
            ("num_attention_heads", c.num_heads, MAX_LAYERS),
            ("num_key_value_heads", c.num_kv_heads, MAX_LAYERS),
            ("head_dim", c.head_dim, MAX_LAYERS),
            ("max_position_embeddings", c.max_position_embeddings, u32::MAX as usize),
        ];
        for (field, size, max) in sizes {
            if !(1..=max).contains(&size) {
                return bad(format!("{field} is {size}, expected 1 to {max}"));
            }
        }
        if !c.num_heads.is_multiple_of(c.num_kv_heads) {
            let (n, g) = (c.num_heads, c.num_kv_heads);
            return bad(format!("num_key_value_heads is {g}, expected a divisor of num_attention_heads {n}"));
        }
        if !c.head_dim.is_multiple_of(2) {
            return bad(format!("head_dim is {}, expected an even number (RoPE turns pairs)", c.head_dim));
        }
        if !(c.rms_norm_eps > 0.0 && c.rms_norm_eps < 1.0) {
            return bad(format!("rms_norm_eps is {}, expected between 0 and 1", c.rms_norm_eps));
        }
        if !(c.rope_theta >= 1.0 && c.rope_theta.is_finite()) {
            return bad(format!("rope_theta is {}, expected at least 1", c.rope_theta));
        }
        c.validate_rope_scaling(place)?;
        c.validate_windows(place)?;
        let ids = c.bos_token_id.iter().map(|id| ("bos_token_id", id));
        for (field, id) in ids.chain(c.eos_token_ids.iter().map(|id| ("eos_token_id", id))) {
            if *id as usize >= c.vocab_size {
                return bad(format!("{field} is {id}, expected less than vocab_size {}", c.vocab_size));
            }
        }
        c.validate_family(place)
    }

    fn validate_rope_scaling(&self, place: &str) -> Result<()> {
        let fine = match self.rope_scaling {
            RopeScaling::None => true,
            RopeScaling::Linear { factor } => factor >= 1.0 && factor.is_finite(),
            RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, .. } => {
                factor >= 1.0 && factor.is_finite() && low > 0.0 && high > low && high.is_finite()
            }
        };
        let original = match self.rope_scaling {
            RopeScaling::Llama3 { original_max_position_embeddings: n, .. } => n,
            _ => 1,
        };
        if fine && (1..=u32::MAX as usize).contains(&original) {
            return Ok(());
        }
        let what = format!("rope scaling is {:?}, expected factor >= 1 and 0 < low < high", self.rope_scaling);
        Err(Error::new(place, what))
    }

    fn validate_windows(&self, place: &str) -> Result<()> {
        if self.windows.len() != self.num_layers {
            let what = format!("{} windows, expected one for each of {} layers", self.windows.len(), self.num_layers);
            return Err(Error::new(place, what));
        }
        let mut widths = self.windows.iter().flatten();
        if let Some(first) = widths.next()
            && (*first == 0 || widths.any(|w| w != first))
        {
            return Err(Error::new(place, "windows of 0 or of several widths, expected one width above 0"));
        }
        Ok(())
    }

    /// What the code of each family in transformers takes for granted.
    fn validate_family(&self, place: &str) -> Result<()> {
        let c = self;
        let windowed = c.windows.iter().flatten().count();
        let (wanted, fine) = match c.family {
            Family::Llama => (
                "biases on all of q, k, v, o or on none; no qk_norm; no window; hidden_size divided by the heads",
                c.qkv_bias == c.o_bias && !c.qk_norm && windowed == 0 && c.hidden_size.is_multiple_of(c.num_heads),
            ),
            Family::Mistral => (
                "no biases, no qk_norm, all layers windowed or none",
                !c.qkv_bias && !c.o_bias && !c.mlp_bias && !c.qk_norm && [0, c.num_layers].contains(&windowed),
            ),
            Family::Qwen2 => {
                ("biases on q, k and v alone, no qk_norm", c.qkv_bias && !c.o_bias && !c.mlp_bias && !c.qk_norm)
            }
            Family::Qwen3 => {
                ("qk_norm, biases on all of q, k, v, o or on none", c.qk_norm && c.qkv_bias == c.o_bias && !c.mlp_bias)
            }
        };
        if fine {
            return Ok(());
        }
        let what = format!(
            "a {:?} model with qkv_bias {}, o_bias {}, mlp_bias {}, qk_norm {}, {windowed} windowed layers, {} heads \
             for hidden_size {}, expected {wanted}",
            c.family, c.qkv_bias, c.o_bias, c.mlp_bias, c.qk_norm, c.num_heads, c.hidden_size
        );
        Err(Error::new(place, what))
    }

    /// The `config.json` of a folder whose weights are stored as `dtype` (`float32`, `bfloat16`). It spells rope
    /// and dtype in the way that transformers before and since version 5 and vLLM read.
    pub fn to_hf(&self, dtype: &str) -> Value {
        let c = self;
        let (architecture, model_type) = c.family.names();
        let mut json = json!({
            "architectures": [architecture],
            "model_type": model_type,
            "vocab_size": c.vocab_size,
            "hidden_size": c.hidden_size,
            "intermediate_size": c.intermediate_size,
            "num_hidden_layers": c.num_layers,
            "num_attention_heads": c.num_heads,
            "num_key_value_heads": c.num_kv_heads,
            "head_dim": c.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": as_written(c.rms_norm_eps),
            "rope_theta": c.rope_theta,
            "rope_scaling": rope_scaling_json(&c.rope_scaling),
            "max_position_embeddings": c.max_position_embeddings,
            "tie_word_embeddings": c.tie_word_embeddings,
            "bos_token_id": c.bos_token_id,
            "eos_token_id": ids_json(&c.eos_token_ids),
            "torch_dtype": dtype,
        });
        let window = c.windows.iter().flatten().next();
        match c.family {
            Family::Llama => {
                json["attention_bias"] = c.qkv_bias.into();
                json["mlp_bias"] = c.mlp_bias.into();
            }
            Family::Mistral => json["sliding_window"] = json!(window),
            Family::Qwen2 | Family::Qwen3 => {
                json["use_sliding_window"] = window.is_some().into();
                json["sliding_window"] = json!(window);
                let full = c.windows.iter().take_while(|w| w.is_none()).count();
                json["max_window_layers"] = full.into();
                if window.is_some() {
                    let name = |w: &Option<usize>| if w.is_some() { SLIDING } else { FULL };
                    json["layer_types"] = c.windows.iter().map(name).collect();
                }
            }
        }
        if c.family == Family::Qwen3 {
            json["attention_bias"] = c.qkv_bias.into();
        }
        json
    }

    /// The `generation_config.json` beside it: the ids, and no sampling settings.
    pub fn to_hf_generation(&self) -> Value {
        json!({ "bos_token_id": self.bos_token_id, "eos_token_id": ids_json(&self.eos_token_ids) })
    }
}

const SLIDING: &str = "sliding_attention";
const FULL: &str = "full_attention";

impl Family {
    const ALL: [Family; 4] = [Family::Llama, Family::Mistral, Family::Qwen2, Family::Qwen3];

    /// `architectures` and `model_type` of `config.json`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Family::Llama => ("LlamaForCausalLM", "llama"),
            Family::Mistral => ("MistralForCausalLM", "mistral"),
            Family::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
            Family::Qwen3 => ("Qwen3ForCausalLM", "qwen3"),
        }
    }
}

/// The number a person wrote before it was stored as f32: 1e-5 and not 9.999999747378752e-6.
pub(crate) fn as_written(x: f32) -> f64 {
    x.to_string().parse().expect("a printed f32 is a number")
}

fn ids_json(ids: &[u32]) -> Value {
    match ids {
        [] => Value::Null,
        [id] => json!(id),
        ids => json!(ids),
    }
}

fn rope_scaling_json(scaling: &RopeScaling) -> Value {
    match *scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_position_embeddings,
        }),
    }
}
