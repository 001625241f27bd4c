//! Text to token ids and back, from a tokenizer.json or from the metadata of a GGUF file.

use std::path::Path;

use serde_json::{Map, Value as Json, json};
use tokenizers::{PostProcessor, TruncationDirection};

use crate::error::{Error, Result, one_line};
use crate::gguf::GgufVocab;

/// A tokenizer with the special tokens and the chat template that came with it.
#[derive(Clone)]
pub struct Tokenizer {
    /// Recognises control tokens in the text.
    encoder: tokenizers::Tokenizer,
    /// The same, but for it a control token in the text is text.
    plain_encoder: tokenizers::Tokenizer,
    /// Whether a text starts with an invented space (SentencePiece's `▁`).
    adds_space: bool,
    special: SpecialTokens,
    chat_template: Option<String>,
    /// tokenizer.json, as it is saved.
    json: Vec<u8>,
    /// tokenizer_config.json, as it is saved.
    config: Map<String, Json>,
}

/// Ids of the tokens that have a role. None: the model declares none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub unk: Option<u32>,
    pub pad: Option<u32>,
    /// Further ids at which generation ends, from generation_config.json or the GGUF key `eot_token_id`.
    pub ends: Vec<u32>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).field("special", &self.special).finish()
    }
}

impl Tokenizer {
    /// From the bytes of a tokenizer.json. It names no special tokens and has no chat template.
    pub fn from_json(json: &[u8]) -> Result<Tokenizer> {
        Tokenizer::build("tokenizer.json", json.to_vec())
    }

    /// From a Hugging Face folder: tokenizer.json and, where they are, tokenizer_config.json, chat_template.jinja and
    /// generation_config.json.
    pub fn from_dir(dir: &Path) -> Result<Tokenizer> {
        let path = dir.join("tokenizer.json");
        let json = fs_err::read(&path).map_err(|e| {
            Error::io(&path, "read", &e)
                .hint("a model folder needs its tokenizer.json; tokenizer.model alone is not read")
        })?;
        let mut tokenizer = Tokenizer::build(&path.display().to_string(), json)?;
        let config_path = dir.join("tokenizer_config.json");
        tokenizer.config = read_object(&config_path)?.unwrap_or_default();
        for (key, id) in [
            ("bos_token", &mut tokenizer.special.bos),
            ("eos_token", &mut tokenizer.special.eos),
            ("unk_token", &mut tokenizer.special.unk),
            ("pad_token", &mut tokenizer.special.pad),
        ] {
            let token = tokenizer.config.get(key).and_then(|t| t.as_str().or_else(|| t.get("content")?.as_str()));
            if let Some(token) = token {
                *id = Some(tokenizer.encoder.token_to_id(token).ok_or_else(|| {
                    let what = format!("{key} `{}` is no token, expected one of tokenizer.json", one_line(token));
                    Error::new(config_path.display(), what)
                })?);
            }
        }
        if let Some(generation) = read_object(&dir.join("generation_config.json"))? {
            let ids = match generation.get("eos_token_id") {
                Some(Json::Array(ids)) => ids.clone(),
                Some(id) => vec![id.clone()],
                None => Vec::new(),
            };
            tokenizer.special.ends = ids.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect();
        }
        tokenizer.chat_template = read_chat_template(dir, &tokenizer.config)?;
        Ok(tokenizer)
    }

    /// From a GGUF file's metadata.
    pub fn from_gguf(vocab: &GgufVocab) -> Result<Tokenizer> {
        let json = vocab.tokenizer_json()?;
        let mut tokenizer = Tokenizer::build("GGUF tokenizer", json.to_string().into_bytes())?;
        vocab.token_named("eot_token_id", vocab.eot)?;
        tokenizer.special = SpecialTokens {
            bos: vocab.bos,
            eos: vocab.eos,
            unk: vocab.unk,
            pad: vocab.pad,
            ends: vocab.eot.into_iter().collect(),
        };
        tokenizer.chat_template = vocab.chat_template.clone();
        tokenizer.config = Map::new();
        // The class that takes tokenizer.json as it is; a model's own class would rebuild parts of it.
        tokenizer.config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
        tokenizer.config.insert("clean_up_tokenization_spaces".into(), false.into());
        for (key, id, gguf_key) in [
            ("bos_token", vocab.bos, "bos_token_id"),
            ("eos_token", vocab.eos, "eos_token_id"),
            ("unk_token", vocab.unk, "unknown_token_id"),
            ("pad_token", vocab.pad, "padding_token_id"),
        ] {
            if let Some(token) = vocab.token_named(gguf_key, id)? {
                tokenizer.config.insert(key.into(), token.into());
            }
        }
        Ok(tokenizer)
    }

    fn build(place: &str, json: Vec<u8>) -> Result<Tokenizer> {
        let not_one = |e: &dyn std::fmt::Display| {
            let what = format!("not a tokenizer: {}", one_line(&e.to_string()));
            Error::new(place, what).hint("it must be what the tokenizers library saves")
        };
        // First as JSON alone: the library panics where a part of the file is none.
        serde_json::from_slice::<serde::de::IgnoredAny>(&json).map_err(|e| not_one(&e))?;
        let read = guarded(|| tokenizers::Tokenizer::from_bytes(&json));
        let mut encoder = read.map_err(|panic| not_one(&panic))?.map_err(|e| not_one(&e))?;
        // The library panics at the first longer character of a text behind such a normalizer.
        if serde_json::to_value(encoder.get_normalizer()).is_ok_and(|normalizer| prepends_nothing(&normalizer)) {
            return Err(Error::new(place, "the normalizer prepends an empty text, expected one to prepend")
                .hint("it must be what the tokenizers library saves"));
        }
        // A tokenizer.json may carry the truncation and padding of its last use; both would change ids in silence.
        let _ = encoder.with_truncation(None);
        encoder.with_padding(None);
        let mut plain_encoder = encoder.clone();
        plain_encoder.set_encode_special_tokens(true);
        let mut tokenizer = Tokenizer {
            encoder,
            plain_encoder,
            adds_space: false,
            special: SpecialTokens::default(),
            chat_template: None,
            json,
            config: Map::new(),
        };
        let first = tokenizer.encode("a")?.first().and_then(|&id| tokenizer.encoder.id_to_token(id));
        tokenizer.adds_space = first.is_some_and(|token| token.starts_with(['▁', 'Ġ']));
        Ok(tokenizer)
    }

    /// Ids of a text in which control tokens, as `<|im_end|>`, are control tokens. Adds no BOS: chat templates write
    /// their own. For text from users see [`Tokenizer::encode_as_text`].
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        ids(&self.encoder, text)
    }

    /// Ids of a text in which control tokens are plain text: nothing in it becomes a special id. Tokens that are
    /// added but not special (as `<think>`) stay tokens.
    pub fn encode_as_text(&self, text: &str) -> Result<Vec<u32>> {
        ids(&self.plain_encoder, text)
    }

    /// Ids of a whole text for an encoder: those of [`Tokenizer::encode`] between the special tokens that the
    /// tokenizer's post-processor adds, as `[CLS]` and `[SEP]`. Of a text with more than `limit` ids in all, the last
    /// ones before the closing special tokens are left out, as transformers truncates; the second value is true then,
    /// for the caller to count.
    ///
    /// # Errors
    /// A `limit` without room for the special tokens.
    pub fn encode_with_special(&self, text: &str, limit: usize) -> Result<(Vec<u32>, bool)> {
        let added = self.encoder.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        let Some(room) = limit.checked_sub(added) else {
            let what = format!("a limit of {limit} ids, expected at least the {added} special ones");
            return Err(Error::new("tokenizer", what));
        };
        let encoded = guarded(|| {
            let mut encoding = self.encoder.encode_fast(text, false)?;
            let truncated = encoding.len() > room;
            encoding.truncate(room, 0, TruncationDirection::Right);
            encoding.take_overflowing();
            Ok((self.encoder.post_process(encoding, None, true)?.get_ids().to_vec(), truncated))
        });
        encoded.and_then(|done| done).map_err(|e| failed("encode", &e))
    }

    /// As [`Tokenizer::encode`] (`as_text` false) or [`Tokenizer::encode_as_text`] (true), for a text that goes on
    /// from a text before it: no space is invented at its start.
    pub(crate) fn encode_next(&self, text: &str, as_text: bool) -> Result<Vec<u32>> {
        let encoder = if as_text { &self.plain_encoder } else { &self.encoder };
        if !self.adds_space || text.is_empty() {
            return ids(encoder, text);
        }
        // The space goes before another character, which is then taken off again: transformers does so with a line end.
        // Where that merges with the text, another one serves.
        for before in ["\n", ".", "a"] {
            let joint = ids(encoder, &format!("{before}{text}"))?;
            if let Some(rest) = joint.strip_prefix(ids(encoder, before)?.as_slice()) {
                return Ok(rest.to_vec());
            }
        }
        ids(encoder, text)
    }

    /// Text of ids. Ids that are no token are an error.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        if let Some(id) = ids.iter().find(|&&id| self.encoder.id_to_token(id).is_none()) {
            let what = format!("id {id} is no token, expected less than {}", self.vocab_size());
            return Err(Error::new("tokenizer", what));
        }
        let text = guarded(|| self.encoder.decode(ids, skip_special_tokens)).and_then(|done| done);
        text.map_err(|e| failed("decode", &e))
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.encoder.token_to_id(token)
    }

    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.encoder.id_to_token(id)
    }

    /// Number of tokens, added tokens included.
    pub fn vocab_size(&self) -> usize {
        self.encoder.get_vocab_size(true)
    }

    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// The chat template of the model, where it has one.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// Tokens that a text may name (added tokens): text, id, and whether it is a control token.
    pub(crate) fn added_tokens(&self) -> Vec<(String, u32, bool)> {
        let added = self.encoder.get_added_tokens_decoder();
        let mut tokens: Vec<_> = added.into_iter().map(|(id, token)| (token.content, id, token.special)).collect();
        tokens.sort_by_key(|token| token.1);
        tokens
    }

    /// Saves tokenizer.json, tokenizer_config.json, special_tokens_map.json and chat_template.jinja into `dir`, as
    /// transformers reads them.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let mut map = Map::new();
        for key in ["bos_token", "eos_token", "unk_token", "pad_token"] {
            if let Some(token) = self.config.get(key).filter(|token| !token.is_null()) {
                map.insert(key.into(), token.clone());
            }
        }
        let mut config = self.config.clone();
        config.remove("chat_template");
        write(dir, "tokenizer.json", &self.json)?;
        write(dir, "tokenizer_config.json", pretty(&json!(config)).as_bytes())?;
        write(dir, "special_tokens_map.json", pretty(&json!(map)).as_bytes())?;
        match &self.chat_template {
            Some(template) => write(dir, "chat_template.jinja", template.as_bytes()),
            None => Ok(()),
        }
    }
}

/// True where a normalizer, or one within it, is `Prepend` of nothing.
fn prepends_nothing(normalizer: &Json) -> bool {
    match normalizer {
        Json::Object(fields) => {
            let is = |field: &str, text: &str| fields.get(field).and_then(Json::as_str) == Some(text);
            is("type", "Prepend") && is("prepend", "") || fields.values().any(prepends_nothing)
        }
        Json::Array(items) => items.iter().any(prepends_nothing),
        _ => false,
    }
}

/// The library panics on some files that it should refuse (found by byte mutations): an error like others.
fn guarded<T>(call: impl FnOnce() -> T) -> std::result::Result<T, tokenizers::Error> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).map_err(|_| "the tokenizers library gave up".into())
}

fn ids(encoder: &tokenizers::Tokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding =
        guarded(|| encoder.encode_fast(text, false)).and_then(|done| done).map_err(|e| failed("encode", &e))?;
    Ok(encoding.get_ids().to_vec())
}

/// The library's own words may quote the text, so they are left out.
fn failed(doing: &str, _: &tokenizers::Error) -> Error {
    Error::new("tokenizer", format!("cannot {doing} a text")).hint("is the tokenizer's unknown token missing?")
}

fn read_object(path: &Path) -> Result<Option<Map<String, Json>>> {
    let bytes = match fs_err::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path, "read", &e)),
    };
    match serde_json::from_slice(&bytes) {
        Ok(object) => Ok(Some(object)),
        Err(e) => Err(Error::new(path.display(), format!("{}, expected a JSON object", one_line(&e.to_string())))),
    }
}

/// chat_template.jinja first, then the key of tokenizer_config.json: a text, or a list of named ones with a `default`.
fn read_chat_template(dir: &Path, config: &Map<String, Json>) -> Result<Option<String>> {
    let path = dir.join("chat_template.jinja");
    match fs_err::read_to_string(&path) {
        Ok(template) => return Ok(Some(template)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io(&path, "read", &e)),
    }
    let named = |entry: &&Json| entry["name"] == "default";
    let template = match config.get("chat_template") {
        Some(Json::Array(list)) => list.iter().find(named).and_then(|entry| entry["template"].as_str()),
        Some(template) => template.as_str(),
        None => None,
    };
    Ok(template.map(str::to_owned))
}

fn pretty(value: &Json) -> String {
    format!("{value:#}\n")
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let unfinished = dir.join(format!(".{name}.{}", std::process::id()));
    fs_err::write(&unfinished, bytes)
        .and_then(|()| fs_err::rename(&unfinished, &path))
        .map_err(|e| Error::io(&path, "write", &e))
}
