//! `config.json` and `generation_config.json`, as transformers before and since version 5 writes them.
//!
//! A field that is absent has the default of transformers' class, where all its versions agree on one; a field that
//! would change the arithmetic in a way that drift does not know is an error.

use super::{FULL, Family, ModelConfig, RopeScaling, SLIDING};
use crate::error::{Error, Result, quoted};
use serde_json::{Map, Value};

/// Fields that change the arithmetic of some model, with the only value that leaves ours as it is. `null` and
/// absence do so everywhere.
const NEUTRAL: &[(&str, f64)] = &[
    ("partial_rotary_factor", 1.0),
    ("rotary_pct", 1.0),
    ("pretraining_tp", 1.0),
    ("num_local_experts", 0.0),
    ("num_experts", 0.0),
    ("n_routed_experts", 0.0),
    ("logit_scale", 1.0),
    ("logits_scaling", 1.0),
    ("embedding_multiplier", 1.0),
    ("residual_multiplier", 1.0),
    ("scale_emb", 1.0),
];

/// Fields that change the arithmetic whatever they say; `false` is as good as absence.
const FOREIGN: &[&str] = &[
    "quantization_config",
    "auto_map",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
    "attention_multiplier",
    "attention_chunk_size",
    "attn_temperature_tuning",
    "clip_qkv",
    "no_rope_layers",
    "no_rope_layer_interval",
    "use_qk_norm",
    "qk_layernorm",
    "rope_interleaved",
    "use_mrope",
    "scale_depth",
    "dim_model_base",
    "is_encoder_decoder",
    "add_cross_attention",
];

impl ModelConfig {
    /// From the text of a `config.json`; `place` names the file in errors.
    pub fn from_hf(json: &str, place: &str) -> Result<ModelConfig> {
        let map = object(json, place)?;
        let f = Fields { map: &map, place, prefix: "" };
        let family = family(&f)?;
        refuse_foreign(&f)?;
        let num_layers = f.size("num_hidden_layers")?;
        let num_heads = f.size("num_attention_heads")?;
        let hidden_size = f.size("hidden_size")?;
        let num_kv_heads = match f.usize("num_key_value_heads")? {
            None if family == Family::Llama => num_heads, // before grouped-query attention
            n => f.required("num_key_value_heads", n)?,
        };
        let head_dim = match f.usize("head_dim")? {
            None if family == Family::Qwen3 => return Err(f.missing("head_dim")),
            None if num_heads == 0 || hidden_size % num_heads != 0 => return Err(f.missing("head_dim")),
            None => hidden_size / num_heads,
            Some(d) => d,
        };
        let attention_bias = f.bool("attention_bias")?;
        let mlp_bias = f.bool("mlp_bias")?.unwrap_or(false);
        match (family, attention_bias) {
            (Family::Mistral, Some(true)) => return Err(f.bad("attention_bias", "false for Mistral")),
            (Family::Qwen2, Some(false)) => return Err(f.bad("attention_bias", "true for Qwen2")),
            (Family::Mistral | Family::Qwen2 | Family::Qwen3, _) if mlp_bias => {
                return Err(f.bad("mlp_bias", "false for all but Llama"));
            }
            _ => {}
        }
        let attention_bias = attention_bias.unwrap_or(false);
        let (rope_theta, rope_scaling) = rope(&f)?;
        let config = ModelConfig {
            family,
            vocab_size: f.size("vocab_size")?,
            hidden_size,
            intermediate_size: f.size("intermediate_size")?,
            num_layers,
            num_heads,
            num_kv_heads,
            head_dim,
            rms_norm_eps: f.required("rms_norm_eps", f.f64("rms_norm_eps")?)? as f32,
            rope_theta,
            rope_scaling,
            max_position_embeddings: f.size("max_position_embeddings")?,
            tie_word_embeddings: f.bool("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: attention_bias || family == Family::Qwen2,
            o_bias: attention_bias && family != Family::Qwen2,
            mlp_bias,
            qk_norm: family == Family::Qwen3,
            windows: windows(&f, family, num_layers)?,
            bos_token_id: f.ids("bos_token_id")?.first().copied(),
            eos_token_ids: f.ids("eos_token_id")?,
        };
        config.validate(place)?;
        Ok(config)
    }

    /// Adds the end tokens of a `generation_config.json`; instruction-tuned models often name more there.
    pub fn add_generation_config(&mut self, json: &str, place: &str) -> Result<()> {
        let map = object(json, place)?;
        let f = Fields { map: &map, place, prefix: "" };
        for id in f.ids("eos_token_id")? {
            if !self.eos_token_ids.contains(&id) {
                self.eos_token_ids.push(id);
            }
        }
        if self.bos_token_id.is_none() {
            self.bos_token_id = f.ids("bos_token_id")?.first().copied();
        }
        self.validate(place)
    }
}

fn family(f: &Fields) -> Result<Family> {
    let architecture = match f.get("architectures") {
        None => None,
        Some(Value::Array(names)) if names.len() == 1 && names[0].is_string() => names[0].as_str(),
        Some(_) => return Err(f.bad("architectures", "a list of one name")),
    };
    let model_type = f.str("model_type")?;
    let known = "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM";
    let by_name = |field: &str, came: &str, name: fn(Family) -> &'static str| {
        Family::ALL.into_iter().find(|x| name(*x) == came).ok_or_else(|| f.bad(field, known))
    };
    match (architecture, model_type) {
        (None, None) => Err(f.missing("architectures")),
        (Some(a), None) => by_name("architectures", a, |x| x.names().0),
        (None, Some(m)) => by_name("model_type", m, |x| x.names().1),
        (Some(a), Some(m)) => {
            let family = by_name("architectures", a, |x| x.names().0)?;
            if family.names().1 == m { Ok(family) } else { Err(f.bad("model_type", family.names().1)) }
        }
    }
}

fn refuse_foreign(f: &Fields) -> Result<()> {
    for name in ["hidden_act", "hidden_activation"] {
        if f.str(name)?.is_some_and(|act| act != "silu") {
            return Err(f.bad(name, "\"silu\""));
        }
    }
    for (name, neutral) in NEUTRAL {
        if f.f64(name)?.is_some_and(|x| x != *neutral) {
            return Err(f.bad(name, &format!("{neutral} or nothing")));
        }
    }
    for name in FOREIGN {
        if f.get(name).is_some_and(|v| *v != Value::Bool(false)) {
            let e = f.bad(name, "nothing");
            return Err(match *name {
                "quantization_config" => e.hint("use the model's unquantised folder or a GGUF file"),
                _ => e,
            });
        }
    }
    Ok(())
}

/// Base and scaling, from `rope_parameters` (since version 5) or from `rope_theta` and `rope_scaling`.
fn rope(f: &Fields) -> Result<(f64, RopeScaling)> {
    let outer = f.f64("rope_theta")?;
    let (name, inner) = match (f.object("rope_parameters")?, f.object("rope_scaling")?) {
        (Some(_), Some(_)) => return Err(f.bad("rope_scaling", "nothing beside rope_parameters")),
        (Some(map), None) => ("rope_parameters.", map),
        (None, Some(map)) => ("rope_scaling.", map),
        (None, None) => return Ok((outer.unwrap_or(10_000.0), RopeScaling::None)),
    };
    let r = Fields { map: inner, place: f.place, prefix: name };
    let theta = match (r.f64("rope_theta")?, outer) {
        (Some(a), Some(b)) if a != b => return Err(r.bad("rope_theta", &format!("the outer rope_theta {b}"))),
        (a, b) => a.or(b).unwrap_or(10_000.0),
    };
    if r.f64("partial_rotary_factor")?.is_some_and(|x| x != 1.0) {
        return Err(r.bad("partial_rotary_factor", "1 or nothing"));
    }
    let (field, kind) = match (r.str("rope_type")?, r.str("type")?) {
        (Some(a), Some(b)) if a != b => return Err(r.bad("type", &format!("rope_type {a:?}"))),
        (Some(a), _) => ("rope_type", a),
        (None, Some(b)) => ("type", b),
        (None, None) => ("rope_type", "default"),
    };
    let number = |name: &str| r.required(name, r.f64(name)?);
    let (known, scaling): (&[&str], _) = match kind {
        "default" => (&[], RopeScaling::None),
        "linear" => (&["factor"], RopeScaling::Linear { factor: number("factor")? }),
        "llama3" => (
            &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
            RopeScaling::Llama3 {
                factor: number("factor")?,
                low_freq_factor: number("low_freq_factor")?,
                high_freq_factor: number("high_freq_factor")?,
                original_max_position_embeddings: r.size("original_max_position_embeddings")?,
            },
        ),
        _ => return Err(r.bad(field, "\"default\", \"linear\" or \"llama3\"")),
    };
    let also = ["rope_theta", "rope_type", "type", "partial_rotary_factor"];
    // Anything else is a scheme's own number or a table of several layer types.
    match inner.iter().find(|(k, v)| !v.is_null() && !known.contains(&k.as_str()) && !also.contains(&k.as_str())) {
        None => Ok((theta, scaling)),
        Some((key, _)) => Err(r.bad(key, &format!("nothing for rope type {kind:?}"))),
    }
}

fn windows(f: &Fields, family: Family, num_layers: usize) -> Result<Vec<Option<usize>>> {
    if num_layers > super::MAX_LAYERS {
        return Err(f.bad("num_hidden_layers", &format!("at most {}", super::MAX_LAYERS)));
    }
    let width = f.usize("sliding_window")?;
    let types = layer_types(f, num_layers)?;
    match family {
        Family::Llama if width.is_some() => Err(f.bad("sliding_window", "null for Llama")),
        Family::Mistral if !f.map.contains_key("sliding_window") => {
            Err(f.missing("sliding_window").hint("write null where every layer attends to all tokens"))
        }
        Family::Llama | Family::Mistral => match types {
            Some(types) if types.iter().any(|sliding| *sliding != width.is_some()) => {
                Err(f.bad("layer_types", "the same attention in every layer"))
            }
            _ => Ok(vec![width; num_layers]),
        },
        Family::Qwen2 | Family::Qwen3 => {
            let used = f.bool("use_sliding_window")?.unwrap_or(false);
            let sliding = match types {
                Some(types) if !used && types.contains(&true) => {
                    return Err(f.bad("layer_types", "no sliding_attention without use_sliding_window"));
                }
                Some(types) => types,
                None if !used => vec![false; num_layers],
                None => {
                    let full = f.required("max_window_layers", f.usize("max_window_layers")?)?;
                    (0..num_layers).map(|layer| layer >= full).collect()
                }
            };
            if used && width.is_none() {
                return Err(f.missing("sliding_window"));
            }
            Ok(sliding.into_iter().map(|sliding| if sliding { width } else { None }).collect())
        }
    }
}

/// Per layer, whether it slides.
fn layer_types(f: &Fields, num_layers: usize) -> Result<Option<Vec<bool>>> {
    let expected = format!("{num_layers} times {FULL:?} or {SLIDING:?}");
    let sliding = |v: &Value| match v.as_str() {
        Some(FULL) => Some(false),
        Some(SLIDING) => Some(true),
        _ => None,
    };
    match f.get("layer_types") {
        None => Ok(None),
        Some(Value::Array(types)) if types.len() == num_layers => {
            let types: Option<Vec<bool>> = types.iter().map(sliding).collect();
            types.map(Some).ok_or_else(|| f.bad("layer_types", &expected))
        }
        Some(_) => Err(f.bad("layer_types", &expected)),
    }
}

pub(crate) fn object(json: &str, place: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(json) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::new(place, "is not a JSON object, expected one")),
        Err(e) => Err(Error::new(format!("{place}: line {} column {}", e.line(), e.column()), json_trouble(&e))),
    }
}

fn json_trouble(e: &serde_json::Error) -> String {
    let what = if e.is_eof() { "ends early" } else { "is not JSON" };
    format!("{what}, expected a JSON object")
}

/// Typed access to the fields of an object; `null` is absence.
pub(crate) struct Fields<'a> {
    pub map: &'a Map<String, Value>,
    pub place: &'a str,
    pub prefix: &'a str,
}

impl<'a> Fields<'a> {
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|v| !v.is_null())
    }

    pub fn missing(&self, name: &str) -> Error {
        Error::new(self.place, format!("{}{name} is missing, expected a value", self.prefix))
    }

    pub fn bad(&self, name: &str, expected: &str) -> Error {
        let came = self.map.get(name).unwrap_or(&Value::Null).to_string();
        Error::new(self.place, format!("{}{name} is {}, expected {expected}", self.prefix, quoted(&came)))
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.missing(name))
    }

    fn typed<T>(&self, name: &str, expected: &str, pick: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        match self.get(name) {
            None => Ok(None),
            Some(v) => pick(v).map(Some).ok_or_else(|| self.bad(name, expected)),
        }
    }

    pub fn usize(&self, name: &str) -> Result<Option<usize>> {
        self.typed(name, "a whole number", |v| usize::try_from(v.as_u64()?).ok())
    }

    pub fn size(&self, name: &str) -> Result<usize> {
        self.required(name, self.usize(name)?)
    }

    pub fn f64(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "a number", Value::as_f64)
    }

    pub fn bool(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub fn str(&self, name: &str) -> Result<Option<&'a str>> {
        self.typed(name, "text", Value::as_str)
    }

    fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>> {
        self.typed(name, "an object", Value::as_object)
    }

    /// A token id or a list of them.
    fn ids(&self, name: &str) -> Result<Vec<u32>> {
        let id = |v: &Value| u32::try_from(v.as_u64()?).ok();
        let ids = self.typed(name, "a token id or a list of them", |v| match v {
            Value::Array(ids) => ids.iter().map(id).collect(),
            one => Some(vec![id(one)?]),
        })?;
        Ok(ids.unwrap_or_default())
    }
}
