//! An encoder from a folder, as transformers or sentence-transformers saves it.

use super::{Config, Encoder, Layer, Linear, Norm};
use crate::config::{Fields, MAX_LAYERS, MAX_SIZE, object};
use crate::error::{Error, Result, quoted};
use crate::load::read_text;
use crate::safetensors::File;
use drift_kernels::{Panels, Precision, elementwise};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Fields that change the arithmetic whatever they say; `false` is as good as absence.
const FOREIGN: &[&str] =
    &["quantization_config", "auto_map", "is_decoder", "is_encoder_decoder", "add_cross_attention"];

impl Encoder {
    /// `dir`: config.json and model.safetensors of a BERT, whose names may begin with `bert.`. Where modules.json
    /// is there, it must name mean pooling, and at most a normalisation after it; sentence_bert_config.json gives
    /// [`Encoder::max_tokens`].
    ///
    /// # Errors
    /// A file that is missing or damaged, a config whose arithmetic is not this one, a tensor that is missing, has
    /// another shape, holds NaN or infinity, or has no place here. Nothing is allocated for sizes that the weight
    /// file does not have.
    pub fn load(dir: &Path) -> Result<Encoder> {
        check_modules(dir)?;
        let config = config(dir)?;
        let path = dir.join("model.safetensors");
        // A table 0, 1, 2 … of integers that early versions stored.
        let file = File::open_without(&path, |name| name.ends_with("embeddings.position_ids"))?;
        let prefixed = file.tensor("bert.embeddings.word_embeddings.weight").is_some();
        let prefix = if prefixed { "bert." } else { "" };
        let mut weights = Weights { file: &file, prefix, used: BTreeSet::new() };
        let (h, f) = (config.hidden_size, config.intermediate_size);
        let words = weights.take("embeddings.word_embeddings.weight", &[config.vocab_size, h])?;
        let mut positions = weights.take("embeddings.position_embeddings.weight", &[config.max_positions, h])?;
        let types = weights.take("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, h])?;
        positions.chunks_mut(h).for_each(|position| elementwise::add(position, &types[..h]));
        let norm = weights.norm("embeddings.LayerNorm", h)?;
        let mut layers = Vec::new();
        for l in 0..config.num_layers {
            let name = |part: &str| format!("encoder.layer.{l}.{part}");
            let attention = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            layers.push(Layer {
                qkv: weights.linear(&attention, h, h)?,
                out: weights.linear(&[name("attention.output.dense")], h, h)?,
                attention_norm: weights.norm(&name("attention.output.LayerNorm"), h)?,
                up: weights.linear(&[name("intermediate.dense")], f, h)?,
                down: weights.linear(&[name("output.dense")], h, f)?,
                norm: weights.norm(&name("output.LayerNorm"), h)?,
            });
        }
        weights.check_rest()?;
        Ok(Encoder { config, words, positions, norm, layers })
    }
}

/// The tensors of a file, and which of them were asked for.
struct Weights<'a> {
    file: &'a File,
    prefix: &'static str,
    used: BTreeSet<String>,
}

impl Weights<'_> {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let name = format!("{}{name}", self.prefix);
        let bad = |what: String| Error::new(format!("{}: tensor `{name}`", self.file.path().display()), what);
        let Some(tensor) = self.file.tensor(&name) else {
            return Err(bad(format!("is missing, expected shape {shape:?}")));
        };
        if tensor.shape != shape {
            return Err(bad(format!("has shape {:?}, expected {shape:?}", tensor.shape)));
        }
        let mut numbers = vec![0.0; shape.iter().product()];
        tensor.dtype.to_f32(self.file.bytes(tensor), &mut numbers);
        if let Some(at) = numbers.iter().position(|x| !x.is_finite()) {
            let what = format!("number {at} is {}, expected finite numbers", numbers[at]);
            return Err(bad(what).hint("the file is damaged"));
        }
        self.used.insert(name);
        Ok(numbers)
    }

    fn norm(&mut self, name: &str, h: usize) -> Result<Norm> {
        let weight = self.take(&format!("{name}.weight"), &[h])?;
        Ok(Norm { weight, bias: self.take(&format!("{name}.bias"), &[h])? })
    }

    /// Layers of the same input, `[out, input]` each, side by side.
    fn linear(&mut self, names: &[String], out: usize, input: usize) -> Result<Linear> {
        let mut bias = Vec::new();
        let mut parts = Vec::new();
        for name in names {
            parts.push(self.take(&format!("{name}.weight"), &[out, input])?);
            bias.extend(self.take(&format!("{name}.bias"), &[out])?);
        }
        let mut weight = Panels::new(Precision::F32);
        weight.shape_to(input, bias.len());
        for (i, part) in parts.iter().enumerate() {
            weight.set_columns(i * out, part, out);
        }
        Ok(Linear { weight, bias })
    }

    /// Beside the encoder there may be heads that it was trained with, and nothing else.
    fn check_rest(&self) -> Result<()> {
        let is_head = |name: &str| name.starts_with("cls.") || name.starts_with(&format!("{}pooler.", self.prefix));
        match self.file.tensors().find(|(name, _)| !self.used.contains(*name) && !is_head(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let place = format!("{}: tensor {}", self.file.path().display(), quoted(name));
                Err(Error::new(place, "has no place in the model of config.json, expected none"))
            }
        }
    }
}

fn config(dir: &Path) -> Result<Config> {
    let (json, place) = read_text(&dir.join("config.json"))?;
    let map = object(&json, &place)?;
    let f = Fields { map: &map, place: &place, prefix: "" };
    if f.str("model_type")? != Some("bert") {
        return Err(f.bad("model_type", "\"bert\""));
    }
    let architecture = match f.get("architectures") {
        Some(Value::Array(names)) if names.len() == 1 => names[0].as_str(),
        _ => None,
    };
    if !matches!(architecture, Some("BertModel" | "BertForMaskedLM")) {
        return Err(f.bad("architectures", "[\"BertModel\"] or [\"BertForMaskedLM\"]"));
    }
    for (name, only) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
        if f.str(name)?.is_some_and(|value| value != only) {
            return Err(f.bad(name, &format!("{only:?}")));
        }
    }
    if let Some(name) = FOREIGN.iter().find(|name| f.get(name).is_some_and(|v| *v != Value::Bool(false))) {
        return Err(f.bad(name, "nothing"));
    }
    let size = |name: &str, most: usize| match f.size(name)? {
        size if (1..=most).contains(&size) => Ok(size),
        _ => Err(f.bad(name, &format!("1 to {most}"))),
    };
    let hidden_size = size("hidden_size", MAX_SIZE)?;
    let num_heads = size("num_attention_heads", MAX_LAYERS)?;
    if !hidden_size.is_multiple_of(num_heads) {
        return Err(f.bad("num_attention_heads", &format!("a divisor of hidden_size {hidden_size}")));
    }
    let layer_norm_eps = f.f64("layer_norm_eps")?.unwrap_or(1e-12) as f32;
    if !(layer_norm_eps > 0.0 && layer_norm_eps < 1.0) {
        return Err(f.bad("layer_norm_eps", "between 0 and 1"));
    }
    let max_positions = size("max_position_embeddings", MAX_SIZE)?;
    Ok(Config {
        vocab_size: size("vocab_size", MAX_SIZE)?,
        hidden_size,
        intermediate_size: size("intermediate_size", MAX_SIZE)?,
        num_layers: size("num_hidden_layers", MAX_LAYERS)?,
        num_heads,
        max_positions,
        type_vocab_size: size("type_vocab_size", MAX_SIZE)?,
        layer_norm_eps,
        max_tokens: max_tokens(dir, max_positions)?,
    })
}

fn max_tokens(dir: &Path, positions: usize) -> Result<usize> {
    let path = dir.join("sentence_bert_config.json");
    if !path.exists() {
        return Ok(positions);
    }
    let (json, place) = read_text(&path)?;
    let map = object(&json, &place)?;
    let f = Fields { map: &map, place: &place, prefix: "" };
    match f.usize("max_seq_length")? {
        None => Ok(positions),
        Some(n) if (1..=positions).contains(&n) => Ok(n),
        Some(_) => Err(f.bad("max_seq_length", &format!("1 to {positions}"))),
    }
}

#[derive(serde::Deserialize)]
struct Module {
    r#type: String,
    path: String,
}

/// What a sentence-transformers folder says of the steps after the encoder.
fn check_modules(dir: &Path) -> Result<()> {
    let path = dir.join("modules.json");
    if !path.exists() {
        return Ok(());
    }
    let (json, place) = read_text(&path)?;
    let expected = "expected a Transformer at \"\", a Pooling at \"1_Pooling\" and perhaps a Normalize";
    let bad = |what: String| Error::new(&place, format!("{what}, {expected}"));
    let modules: Vec<Module> = serde_json::from_str(&json)
        .map_err(|e| bad(format!("line {} column {} is no list of modules", e.line(), e.column())))?;
    for (i, module) in modules.iter().enumerate() {
        let kind = module.r#type.rsplit('.').next().unwrap_or_default();
        let fits = match i {
            0 => kind == "Transformer" && module.path.is_empty(),
            1 => kind == "Pooling" && module.path == "1_Pooling",
            _ => kind == "Normalize",
        };
        if !fits {
            return Err(bad(format!("module {i} is {} at {}", quoted(kind), quoted(&module.path))));
        }
    }
    if modules.len() < 2 {
        return Err(bad(format!("has {} modules", modules.len())));
    }
    let (json, place) = read_text(&dir.join("1_Pooling/config.json"))?;
    let map = object(&json, &place)?;
    let f = Fields { map: &map, place: &place, prefix: "" };
    if f.bool("pooling_mode_mean_tokens")? != Some(true) {
        return Err(f.bad("pooling_mode_mean_tokens", "true"));
    }
    for name in map.keys().filter(|name| name.starts_with("pooling_mode_") && *name != "pooling_mode_mean_tokens") {
        if f.bool(name)? == Some(true) {
            return Err(f.bad(name, "false beside pooling_mode_mean_tokens"));
        }
    }
    Ok(())
}
