//! The tokenizer that a GGUF file carries in its metadata, as the tokenizer.json it was made from.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::error::{Error, Result, one_line};

/// The `tokenizer.*` keys of a GGUF file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GgufVocab {
    /// `tokenizer.ggml.model`: `gpt2` for byte-level BPE.
    pub model: String,
    /// `tokenizer.ggml.pre`: the name of the pre-tokenizer.
    pub pre: String,
    pub tokens: Vec<String>,
    /// llama.cpp's kinds, one a token: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
    pub token_types: Vec<i32>,
    /// Two tokens and a space between them, the first merge first.
    pub merges: Vec<String>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub eot: Option<u32>,
    pub unk: Option<u32>,
    pub pad: Option<u32>,
    pub add_bos: bool,
    pub chat_template: Option<String>,
}

const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// How the text is cut before byte-level BPE: the parts of tokenizer.json that the name in `pre` stands for.
struct PreTokenizer {
    normalizer: Json,
    pre_tokenizer: Json,
    /// A piece that is a token as a whole is that token, whatever the merges say (tiktoken vocabularies).
    ignore_merges: bool,
}

/// Runs of letters, runs of up to `digits` digits, runs of the rest, and white space: the pattern of tiktoken's
/// cl100k, which Llama 3 and Qwen 2 share but for the digits.
fn cl100k(digits: &str) -> String {
    format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
}

/// Mistral's tekken pattern: words are cut where lower case turns to upper case.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn pre_tokenizer(name: &str) -> Result<PreTokenizer> {
    let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let split = |pattern: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}, byte_level(false)]})
    };
    let (normalizer, pre_tokenizer, ignore_merges) = match name {
        "gpt-2" | "phi-2" => (Json::Null, byte_level(true), false),
        "smollm" | "starcoder" | "refact" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            (Json::Null, json!({"type": "Sequence", "pretokenizers": [digits, byte_level(true)]}), false)
        }
        "qwen2" => (json!({"type": "NFC"}), split(&cl100k("")), false),
        "llama-bpe" | "llama3" | "llama-v3" => (Json::Null, split(&cl100k("{1,3}")), true),
        "tekken" => (Json::Null, split(TEKKEN), true),
        other => {
            let what = format!(
                "pre-tokenizer `{}`, expected one of gpt-2, phi-2, smollm, starcoder, refact, qwen2, llama-bpe, tekken",
                one_line(other)
            );
            let hint = "load the model's Hugging Face folder, whose tokenizer.json says how to cut the text";
            return Err(Error::new("GGUF tokenizer.ggml.pre", what).hint(hint));
        }
    };
    Ok(PreTokenizer { normalizer, pre_tokenizer, ignore_merges })
}

impl GgufVocab {
    /// The equivalent tokenizer.json.
    ///
    /// Errors: a model or pre-tokenizer that is not known, lists of different lengths, a token that occurs twice, a
    /// merge that is not two tokens, an id outside of the vocabulary.
    pub(crate) fn tokenizer_json(&self) -> Result<Json> {
        if self.model != "gpt2" {
            let what = format!("tokenizer model `{}`, expected gpt2 (byte-level BPE)", one_line(&self.model));
            return Err(Error::new("GGUF tokenizer.ggml.model", what)
                .hint("load the model's Hugging Face folder, whose tokenizer.json is read as it is"));
        }
        let pre = pre_tokenizer(&self.pre)?;
        let (n_tokens, n_types) = (self.tokens.len(), self.token_types.len());
        if n_tokens != n_types {
            let what = format!("{n_types} kinds for {n_tokens} tokens, expected one each");
            return Err(Error::new("GGUF tokenizer.ggml.token_type", what));
        }
        let mut vocab = Map::new();
        let mut added = Vec::new();
        for (id, (token, kind)) in self.tokens.iter().zip(&self.token_types).enumerate() {
            if vocab.insert(token.clone(), id.into()).is_some() {
                let what = format!("token `{}` occurs twice, expected once", one_line(token));
                return Err(Error::new(format!("GGUF tokenizer.ggml.tokens[{id}]"), what));
            }
            if matches!(*kind, UNKNOWN | CONTROL | USER_DEFINED) {
                added.push(json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": *kind != USER_DEFINED}));
            }
        }
        let unk = self.token_named("unknown_token_id", self.unk)?;
        let bos = self.token_named("bos_token_id", self.bos)?;
        let post_processor = match (self.add_bos, bos) {
            (true, Some(bos)) => json!({"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                    {"SpecialToken": {"id": bos, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {bos: {"id": bos, "ids": [self.bos], "tokens": [bos]}}}),
            _ => Json::Null,
        };
        let merges = self.checked_merges(&vocab)?;
        Ok(json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": pre.normalizer, "pre_tokenizer": pre.pre_tokenizer, "post_processor": post_processor,
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            "model": {"type": "BPE", "dropout": null, "unk_token": unk, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "ignore_merges": pre.ignore_merges, "vocab": vocab, "merges": merges},
        }))
    }

    fn checked_merges(&self, vocab: &Map<String, Json>) -> Result<Vec<[String; 2]>> {
        let mut seen = HashSet::new();
        let mut merges = Vec::with_capacity(self.merges.len());
        for (n, merge) in self.merges.iter().enumerate() {
            let place = format!("GGUF tokenizer.ggml.merges[{n}]");
            let Some((left, right)) = merge.split_once(' ') else {
                return Err(Error::new(place, "no space, expected two tokens"));
            };
            for token in [left, right, &format!("{left}{right}")] {
                if !vocab.contains_key(token) {
                    let what = format!("`{}` is no token, expected it among tokenizer.ggml.tokens", one_line(token));
                    return Err(Error::new(place, what));
                }
            }
            if !seen.insert(merge) {
                return Err(Error::new(place, "occurs twice, expected once"));
            }
            merges.push([left.to_owned(), right.to_owned()]);
        }
        Ok(merges)
    }

    /// The token that a metadata key names by its id.
    pub(crate) fn token_named(&self, key: &str, id: Option<u32>) -> Result<Option<&str>> {
        let Some(id) = id else { return Ok(None) };
        let token = self.tokens.get(id as usize).ok_or_else(|| {
            let what = format!("id {id}, expected less than {}", self.tokens.len());
            Error::new(format!("GGUF tokenizer.ggml.{key}"), what)
        })?;
        Ok(Some(token))
    }
}
