//! GGUF metadata as a [`ModelConfig`]. Keys: ggml's `docs/gguf.md` and llama.cpp's `llama-arch.cpp`.

use super::{Family, ModelConfig, RopeScaling};
use crate::error::{Error, Result, quoted};
use crate::gguf::{Gguf, weights};

/// Keys under the architecture's name that are read below.
const READ: &[&str] = &[
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "expert_count",
];

/// Keys that change no arithmetic.
const IGNORED: &[&str] = &["rope.scaling.finetuned", "tensor_data_layout"];

impl ModelConfig {
    pub fn from_gguf(gguf: &Gguf) -> Result<ModelConfig> {
        let place = gguf.path().display().to_string();
        let bad = |what: String| Error::new(&place, what);
        let arch = gguf.str("general.architecture")?.unwrap_or_default();
        let mut family = match arch {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => {
                return Err(bad(format!("general.architecture is {}, expected llama, qwen2 or qwen3", quoted(other))));
            }
        };
        if gguf.u64("split.count")?.is_some_and(|n| n > 1) {
            return Err(bad("is one part of a split model, expected a whole file".into())
                .hint("join the parts with llama-gguf-split --merge"));
        }
        let keys = Keys { gguf, arch };
        keys.refuse_unread()?;
        if keys.usize("expert_count")?.is_some_and(|n| n > 0) {
            return Err(bad(format!("{arch}.expert_count is above 0, expected a dense model")));
        }
        let Some(embed) = gguf.tensor("token_embd.weight") else {
            return Err(bad("tensor `token_embd.weight` is missing, expected shape [vocab, hidden]".into()));
        };
        let vocab_size = embed.shape[0];
        if let Some(n) = keys.usize("vocab_size")?
            && n != vocab_size
        {
            return Err(bad(format!("{arch}.vocab_size is {n}, expected the {vocab_size} rows of token_embd.weight")));
        }
        let num_layers = keys.size("block_count")?;
        if num_layers > super::MAX_LAYERS {
            return Err(bad(format!("{arch}.block_count is {num_layers}, expected at most {}", super::MAX_LAYERS)));
        }
        let hidden_size = keys.size("embedding_length")?;
        let num_heads = keys.size("attention.head_count")?;
        let head_dim = match keys.usize("attention.key_length")? {
            Some(d) => d,
            None if num_heads > 0 && hidden_size % num_heads == 0 => hidden_size / num_heads,
            None => return Err(keys.missing("attention.key_length")),
        };
        for same in ["attention.value_length", "rope.dimension_count"] {
            if let Some(n) = keys.usize(same)?
                && n != head_dim
            {
                return Err(bad(format!("{arch}.{same} is {n}, expected the head size {head_dim}")));
            }
        }
        let window = keys.usize("attention.sliding_window")?;
        match family {
            // llama.cpp keeps Mistral under `llama`; the two differ in what transformers allows.
            Family::Llama if window.is_some() || num_heads > 0 && hidden_size % num_heads != 0 => {
                family = Family::Mistral;
            }
            Family::Qwen2 | Family::Qwen3 if window.is_some() => {
                let what = format!("{arch}.attention.sliding_window is set, expected none: it tells no layers");
                return Err(bad(what).hint("load the Hugging Face folder, whose config.json names the layers"));
            }
            _ => {}
        }
        let rope_theta = gguf.f64(&keys.name("rope.freq_base"))?.unwrap_or(10_000.0);
        let has = |tensor: &str| gguf.tensor(tensor).is_some();
        let mut config = ModelConfig {
            family,
            vocab_size,
            hidden_size,
            intermediate_size: keys.size("feed_forward_length")?,
            num_layers,
            num_heads,
            num_kv_heads: keys.usize("attention.head_count_kv")?.unwrap_or(num_heads),
            head_dim,
            rms_norm_eps: keys.f64("attention.layer_norm_rms_epsilon")? as f32,
            rope_theta,
            rope_scaling: keys.rope_scaling()?,
            max_position_embeddings: keys.size("context_length")?,
            tie_word_embeddings: !has("output.weight"),
            qkv_bias: has("blk.0.attn_q.bias"),
            o_bias: has("blk.0.attn_output.bias"),
            mlp_bias: has("blk.0.ffn_gate.bias"),
            qk_norm: has("blk.0.attn_q_norm.weight"),
            windows: vec![window; num_layers],
            bos_token_id: token_id(gguf, "tokenizer.ggml.bos_token_id")?,
            eos_token_ids: eos_ids(gguf)?,
        };
        config.validate(&place)?;
        if let Some(tensor) = gguf.tensor(weights::ROPE_FREQS) {
            if config.rope_scaling != RopeScaling::None {
                let what = format!("both {} and {arch}.rope.scaling, expected one", weights::ROPE_FREQS);
                return Err(bad(what));
            }
            let original = keys.usize("rope.scaling.original_context_length")?;
            config.rope_scaling = weights::rope_scaling(gguf, tensor, head_dim, rope_theta, original)?;
            config.validate(&place)?;
        }
        Ok(config)
    }
}

/// The metadata under the architecture's name.
struct Keys<'a> {
    gguf: &'a Gguf,
    arch: &'a str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.arch)
    }

    fn missing(&self, key: &str) -> Error {
        Error::new(self.gguf.path().display(), format!("metadata `{}` is missing, expected a value", self.name(key)))
    }

    /// An unknown key may change the arithmetic.
    fn refuse_unread(&self) -> Result<()> {
        let prefix = self.name("");
        let mut ours = self.gguf.keys().filter_map(|key| key.strip_prefix(&prefix));
        match ours.find(|key| !READ.contains(key) && !IGNORED.contains(key)) {
            None => Ok(()),
            Some(key) => {
                let what = format!(
                    "metadata {} is unknown, expected none that may change the result",
                    quoted(&self.name(key))
                );
                Err(Error::new(self.gguf.path().display(), what))
            }
        }
    }

    fn usize(&self, key: &str) -> Result<Option<usize>> {
        Ok(self.gguf.u64(&self.name(key))?.map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.usize(key)?.ok_or_else(|| self.missing(key))
    }

    fn f64(&self, key: &str) -> Result<f64> {
        self.gguf.f64(&self.name(key))?.ok_or_else(|| self.missing(key))
    }

    fn rope_scaling(&self) -> Result<RopeScaling> {
        let kind = self.name("rope.scaling.type");
        match self.gguf.str(&kind)? {
            None | Some("none") => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear { factor: self.f64("rope.scaling.factor")? }),
            Some(other) => {
                let what = format!("{kind} is {}, expected none or linear", quoted(other));
                Err(Error::new(self.gguf.path().display(), what))
            }
        }
    }
}

fn token_id(gguf: &Gguf, key: &str) -> Result<Option<u32>> {
    let Some(id) = gguf.u64(key)? else { return Ok(None) };
    match u32::try_from(id) {
        Ok(id) => Ok(Some(id)),
        Err(_) => Err(Error::new(gguf.path().display(), format!("{key} is {id}, expected less than 2^32"))),
    }
}

/// End of text, of turn and of message.
fn eos_ids(gguf: &Gguf) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for name in ["eos", "eot", "eom"] {
        let id = token_id(gguf, &format!("tokenizer.ggml.{name}_token_id"))?;
        ids.extend(id.filter(|id| !ids.contains(id)));
    }
    Ok(ids)
}
