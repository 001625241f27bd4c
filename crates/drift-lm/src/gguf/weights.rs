//! The tensors of a GGUF file as parameters under Hugging Face names.

use super::{Gguf, Tensor};
use crate::config::{ModelConfig, RopeScaling};
use crate::error::{Error, Result, quoted};
use crate::load::Piece;
use crate::params::Layout;
use crate::quant::Dtype;
use std::collections::BTreeSet;

/// Llama 3.x's frequency factors; llama.cpp keeps them as a tensor, and [`ModelConfig`] as the four numbers.
pub(crate) const ROPE_FREQS: &str = "rope_freqs.weight";

/// llama.cpp's `llama` architecture rotates neighbouring numbers of a head, Hugging Face the two halves. Its
/// converter reorders the rows of q and k for that; the other architectures here keep them.
fn is_interleaved(gguf: &Gguf) -> Result<bool> {
    Ok(gguf.str("general.architecture")? == Some("llama"))
}

/// GGUF's name of a parameter, e.g. `blk.0.attn_q.weight` for `model.layers.0.self_attn.q_proj.weight`.
fn gguf_name(name: &str) -> String {
    match name {
        "model.embed_tokens.weight" => return "token_embd.weight".into(),
        "model.norm.weight" => return "output_norm.weight".into(),
        "lm_head.weight" => return "output.weight".into(),
        _ => {}
    }
    let (layer, rest) = name["model.layers.".len()..].split_once('.').expect("a layer's parameter");
    let (module, kind) = rest.rsplit_once('.').expect("weight or bias");
    let module = match module {
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        other => unreachable!("Layout has no module {other}"),
    };
    format!("blk.{layer}.{module}.{kind}")
}

/// One piece a parameter, in the order of `layout`.
pub(crate) fn pieces<'a>(gguf: &'a Gguf, config: &ModelConfig, layout: &Layout) -> Result<Vec<Piece<'a>>> {
    let interleaved = is_interleaved(gguf)?;
    let mut surplus: BTreeSet<&str> = gguf.tensors().map(|(name, _)| name).collect();
    surplus.remove(ROPE_FREQS);
    let mut pieces = Vec::with_capacity(layout.params.len());
    for param in &layout.params {
        let name = gguf_name(&param.name);
        let place = || format!("{}: tensor {}", gguf.path().display(), quoted(&name));
        let Some(tensor) = gguf.tensor(&name) else {
            return Err(Error::new(place(), format!("is missing, expected shape {:?}", param.shape)));
        };
        surplus.remove(name.as_str());
        if tensor.shape != param.shape {
            return Err(Error::new(place(), format!("has shape {:?}, expected {:?}", tensor.shape, param.shape)));
        }
        let rotated = name.contains(".attn_q.") || name.contains(".attn_k.");
        let head_dim = (interleaved && rotated).then_some(config.head_dim);
        if head_dim.is_some() && tensor.shape.len() == 1 && tensor.dtype.block_len() > 1 {
            let what = format!("is a bias in {:?}, expected F32, F16 or BF16", tensor.dtype);
            return Err(Error::new(place(), what));
        }
        pieces.push(Piece { name, bytes: gguf.bytes(tensor), dtype: tensor.dtype, interleaved_head: head_dim });
    }
    match surplus.first() {
        None => Ok(pieces),
        Some(name) => {
            let what = format!("tensor {} has no place in a {:?} model, expected none", quoted(name), config.family);
            Err(Error::new(gguf.path().display(), what))
        }
    }
}

/// Llama 3's scaling from the stored factors by which frequencies are divided. `original` is the context before
/// scaling where the metadata tell it. llama.cpp drops the other numbers, which have been 1 and 4 in every release;
/// they are taken only when they give back the stored factors.
pub(crate) fn rope_scaling(
    gguf: &Gguf,
    tensor: &Tensor,
    head_dim: usize,
    theta: f64,
    original: Option<usize>,
) -> Result<RopeScaling> {
    let place = format!("{}: tensor {}", gguf.path().display(), quoted(ROPE_FREQS));
    if tensor.shape != [head_dim / 2] || tensor.dtype != Dtype::F32 {
        let what =
            format!("is {:?} of shape {:?}, expected F32 of shape [{}]", tensor.dtype, tensor.shape, head_dim / 2);
        return Err(Error::new(place, what));
    }
    let mut stored = vec![0.0; head_dim / 2];
    tensor.dtype.to_f32(gguf.bytes(tensor), &mut stored);
    if stored.iter().all(|f| *f == 1.0) {
        return Ok(RopeScaling::None);
    }
    let factor = stored.iter().fold(1.0f32, |a, b| a.max(*b)) as f64;
    let original = original.unwrap_or(8192);
    let (low, high) = (1.0, 4.0);
    let expected = (0..head_dim / 2).map(|i| {
        let wavelen = 2.0 * std::f64::consts::PI * theta.powf(2.0 * i as f64 / head_dim as f64);
        let turns = original as f64 / wavelen;
        let smooth = ((turns - low) / (high - low)).clamp(0.0, 1.0);
        1.0 / ((1.0 - smooth) / factor + smooth)
    });
    if !expected.zip(&stored).all(|(e, s)| (e - *s as f64).abs() <= 1e-4 * e) {
        let what = format!("is not Llama 3's scaling by {factor} of a context of {original}, expected that");
        return Err(Error::new(place, what).hint("load the Hugging Face folder, whose config.json has all numbers"));
    }
    Ok(RopeScaling::Llama3 {
        factor,
        low_freq_factor: low,
        high_freq_factor: high,
        original_max_position_embeddings: original,
    })
}
