//! A model and how it writes chats, together: what samples, is trained and is scored.

use anyhow::{Result, bail};
use drift_lm::gguf::Gguf;
use drift_lm::load;
use drift_lm::{Model, Precision, save};
use drift_text::{ChatFormat, GgufVocab, Tokenizer};
use std::path::Path;

pub struct Policy {
    pub model: Model,
    pub format: ChatFormat,
    /// Hash of the weights.
    pub weights: String,
}

impl Policy {
    /// From a GGUF file or a Hugging Face folder. The text side is read first: it fails in a moment.
    pub fn load(path: &Path, precision: impl Into<Precision>) -> Result<Policy> {
        let format = chat_format(path)?;
        let loaded = load::load(path)?;
        let (tokens, rows) = (format.tokenizer().vocab_size(), loaded.config.vocab_size);
        if tokens > rows {
            bail!(
                "{}: the tokenizer has {tokens} tokens and the model {rows}, expected at most as many; hint: take the \
                 tokenizer that belongs to the model",
                path.display()
            );
        }
        Ok(Policy { model: Model::new(loaded.config, loaded.params, precision.into()), format, weights: loaded.hash })
    }

    /// A Hugging Face folder in f32: steps of 5e-7 would be lost in bf16.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        self.format.tokenizer().save(scratch.path())?;
        let mut others = Vec::new();
        for entry in fs_err::read_dir(scratch.path())? {
            let entry = entry?;
            others.push((entry.file_name().to_string_lossy().into_owned(), fs_err::read(entry.path())?));
        }
        others.sort();
        let others: Vec<(&str, &[u8])> = others.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
        let (config, params) = (self.model.config(), self.model.params());
        save::save_hf(dir, config, params, save::SaveAs::F32, save::SHARD_LIMIT, &others)?;
        Ok(())
    }
}

/// Tokenizer and chat template of a model, without its weights.
pub fn chat_format(path: &Path) -> Result<ChatFormat> {
    let tokenizer = match path.is_dir() {
        true => Tokenizer::from_dir(path)?,
        false => Tokenizer::from_gguf(&vocab(&Gguf::open(path)?)?)?,
    };
    Ok(ChatFormat::new(tokenizer)?)
}

/// The `tokenizer.*` keys of a GGUF file, handed from the number leg to the language leg.
fn vocab(gguf: &Gguf) -> Result<GgufVocab> {
    let text = |key: &str| Ok::<_, drift_lm::error::Error>(gguf.str(key)?.map(str::to_string));
    let list = |key: &str| {
        let items = gguf.strs(key)?.unwrap_or_default();
        Ok::<_, drift_lm::error::Error>(items.into_iter().map(str::to_string).collect::<Vec<_>>())
    };
    let id = |key: &str| -> Result<Option<u32>> {
        match gguf.u64(key)? {
            None => Ok(None),
            Some(id) => match u32::try_from(id) {
                Ok(id) => Ok(Some(id)),
                Err(_) => {
                    bail!("{}: {key}: {id}, expected a token id; hint: the file is damaged", gguf.path().display())
                }
            },
        }
    };
    let types = gguf.i64s("tokenizer.ggml.token_type")?.unwrap_or_default();
    Ok(GgufVocab {
        model: text("tokenizer.ggml.model")?.unwrap_or_default(),
        pre: text("tokenizer.ggml.pre")?.unwrap_or_default(),
        tokens: list("tokenizer.ggml.tokens")?,
        token_types: types.into_iter().map(|kind| i32::try_from(kind).unwrap_or(i32::MAX)).collect(),
        merges: list("tokenizer.ggml.merges")?,
        bos: id("tokenizer.ggml.bos_token_id")?,
        eos: id("tokenizer.ggml.eos_token_id")?,
        eot: id("tokenizer.ggml.eot_token_id")?,
        unk: id("tokenizer.ggml.unknown_token_id")?,
        pad: id("tokenizer.ggml.padding_token_id")?,
        add_bos: gguf.bool("tokenizer.ggml.add_bos_token")?.unwrap_or(false),
        chat_template: text("tokenizer.chat_template")?,
    })
}
