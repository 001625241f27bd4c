//! A model from a GGUF file or a Hugging Face folder: its config, its parameters as flat f32, its hash.

use crate::config::ModelConfig;
use crate::error::{Error, Result, quoted};
use crate::gguf::{self, Gguf};
use crate::params::{Layout, Param};
use crate::quant::Dtype;
use crate::safetensors::File;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where a model comes from; tokenizer and chat template lie there too.
pub enum Source {
    Gguf(Gguf),
    HfFolder(PathBuf),
}

pub struct Loaded {
    pub config: ModelConfig,
    /// In the order of [`Layout`].
    pub params: Vec<f32>,
    /// [`hash`] of the two.
    pub hash: String,
    pub source: Source,
}

/// What is known without reading the weights.
pub struct Inspected {
    pub config: ModelConfig,
    pub source: Source,
    /// Number of parameters.
    pub params: usize,
    /// Bytes of the weight files.
    pub file_bytes: usize,
    /// Number of parameters stored in each format, most first.
    pub dtypes: Vec<(Dtype, usize)>,
}

/// The stored form of one parameter.
#[derive(Clone)]
pub(crate) struct Piece<'a> {
    /// The file's own name of it.
    pub name: String,
    pub bytes: &'a [u8],
    pub dtype: Dtype,
    /// The head size D where the rows of each head lie interleaved: `0, D/2, 1, D/2 + 1, …`.
    pub interleaved_head: Option<usize>,
}

/// `path`: a `.gguf` file, or a folder with `config.json` and `*.safetensors`.
///
/// Nothing is allocated for the weights before every tensor has been found in the file with its shape.
pub fn load(path: &Path) -> Result<Loaded> {
    let opened = Opened::at(path)?;
    let layout = Layout::of(&opened.config);
    let pieces = opened.pieces(&layout)?;
    let mut params = vec![0.0; layout.len];
    fill(&pieces, &layout, &mut params).map_err(|(name, what)| {
        Error::new(format!("{}: tensor {}", path.display(), quoted(&name)), what).hint("the file is damaged")
    })?;
    drop(pieces);
    let hash = hash(&opened.config, &params);
    Ok(Loaded { params, hash, source: opened.files.source(path), config: opened.config })
}

/// All checks of [`load`] but those of the numbers.
pub fn inspect(path: &Path) -> Result<Inspected> {
    let opened = Opened::at(path)?;
    let layout = Layout::of(&opened.config);
    let mut dtypes: BTreeMap<Dtype, usize> = BTreeMap::new();
    for (piece, param) in opened.pieces(&layout)?.iter().zip(&layout.params) {
        *dtypes.entry(piece.dtype).or_default() += param.range.len();
    }
    let mut dtypes: Vec<_> = dtypes.into_iter().collect();
    dtypes.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let file_bytes = match &opened.files {
        Files::Gguf(gguf) => gguf.file_bytes(),
        Files::Safetensors(shards) => shards.iter().map(File::file_bytes).sum(),
    };
    Ok(Inspected { params: layout.len, file_bytes, dtypes, source: opened.files.source(path), config: opened.config })
}

/// BLAKE3, in hex, of what the network computes: the parameters and the fields of the config that enter the
/// arithmetic. The same weights from a GGUF file and from a folder have the same hash.
pub fn hash(config: &ModelConfig, params: &[f32]) -> String {
    let ModelConfig {
        // These tell how to write, use and stop the model.
        family: _,
        max_position_embeddings: _,
        bos_token_id: _,
        eos_token_ids: _,
        // These enter the arithmetic; the shapes tell weights of equal bytes apart.
        vocab_size,
        hidden_size,
        intermediate_size,
        num_layers,
        num_heads,
        num_kv_heads,
        head_dim,
        rms_norm_eps,
        rope_theta,
        rope_scaling,
        tie_word_embeddings,
        qkv_bias,
        o_bias,
        mlp_bias,
        qk_norm,
        windows,
    } = config;
    let arithmetic = (
        [vocab_size, hidden_size, intermediate_size, num_layers, num_heads, num_kv_heads, head_dim],
        (rms_norm_eps.to_bits(), rope_theta.to_bits(), rope_scaling),
        [tie_word_embeddings, qkv_bias, o_bias, mlp_bias, qk_norm],
        windows,
    );
    let mut hasher = blake3::Hasher::new();
    hasher.update(&serde_json::to_vec(&arithmetic).expect("numbers become JSON"));
    hasher.update_rayon(bytemuck::cast_slice(params));
    hasher.finalize().to_hex().to_string()
}

struct Opened {
    config: ModelConfig,
    files: Files,
}

enum Files {
    Gguf(Gguf),
    Safetensors(Vec<File>),
}

impl Files {
    fn source(self, path: &Path) -> Source {
        match self {
            Files::Gguf(gguf) => Source::Gguf(gguf),
            Files::Safetensors(_) => Source::HfFolder(path.to_path_buf()),
        }
    }
}

impl Opened {
    fn at(path: &Path) -> Result<Opened> {
        if !path.is_dir() {
            let gguf = Gguf::open(path)?;
            return Ok(Opened { config: ModelConfig::from_gguf(&gguf)?, files: Files::Gguf(gguf) });
        }
        let (json, place) = read_text(&path.join("config.json"))?;
        let mut config = ModelConfig::from_hf(&json, &place)?;
        let generation = path.join("generation_config.json");
        if generation.exists() {
            let (json, place) = read_text(&generation)?;
            config.add_generation_config(&json, &place)?;
        }
        Ok(Opened { config, files: Files::Safetensors(open_shards(path)?) })
    }

    fn pieces(&self, layout: &Layout) -> Result<Vec<Piece<'_>>> {
        match &self.files {
            Files::Gguf(gguf) => gguf::weights::pieces(gguf, &self.config, layout),
            Files::Safetensors(shards) => folder_pieces(shards, layout),
        }
    }
}

/// The text of a small file, and its name for errors.
pub(crate) fn read_text(path: &Path) -> Result<(String, String)> {
    const MAX: u64 = 64 << 20;
    let about = std::fs::metadata(path).map_err(|e| Error::io(path, "read the file", &e))?;
    if about.len() > MAX {
        return Err(Error::new(path.display(), format!("has {} bytes, expected at most {MAX}", about.len())));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read the file", &e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::new(format!("{}: byte {at}", path.display()), "is not UTF-8, expected JSON text")
    })?;
    Ok((text, path.display().to_string()))
}

/// `model.safetensors`, or the shards that `model.safetensors.index.json` names.
fn open_shards(folder: &Path) -> Result<Vec<File>> {
    let single = folder.join("model.safetensors");
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        if !single.exists() {
            let what = "has no model.safetensors and no index of shards, expected one of them";
            return Err(Error::new(folder.display(), what).hint("convert pytorch_model.bin to safetensors first"));
        }
        return Ok(vec![File::open(&single)?]);
    }
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let (json, place) = read_text(&index)?;
    let Index { weight_map } = serde_json::from_str(&json).map_err(|e| {
        let place = format!("{place}: line {} column {}", e.line(), e.column());
        Error::new(place, "is no index of shards, expected {\"weight_map\":{tensor: file}}")
    })?;
    let names: BTreeSet<&String> = weight_map.values().collect();
    if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        return Err(Error::new(place, format!("names the file {}, expected one of this folder", quoted(name))));
    }
    let shards: Vec<File> = names.iter().map(|name| File::open(&folder.join(name))).collect::<Result<_>>()?;
    for (tensor, file) in &weight_map {
        let shard = names.iter().position(|name| *name == file).map(|i| &shards[i]);
        if shard.and_then(|s| s.tensor(tensor)).is_none() {
            let what = format!("puts tensor {} into {}, expected it there", quoted(tensor), quoted(file));
            return Err(Error::new(place, what));
        }
    }
    Ok(shards)
}

/// One piece a parameter, in the order of `layout`.
fn folder_pieces<'a>(shards: &'a [File], layout: &Layout) -> Result<Vec<Piece<'a>>> {
    let mut stored = BTreeMap::new();
    for shard in shards {
        for (name, tensor) in shard.tensors() {
            if let Some((other, _)) = stored.insert(name, (shard, tensor)) {
                let place = format!("{}: tensor {}", shard.path().display(), quoted(name));
                return Err(Error::new(place, format!("is in {} too, expected one file", other.path().display())));
            }
        }
    }
    let piece = |shard: &'a File, tensor, param: &Param| {
        let (bytes, tensor): (_, &crate::safetensors::Tensor) = (shard.bytes(tensor), tensor);
        if tensor.shape != param.shape {
            let place = format!("{}: tensor {}", shard.path().display(), quoted(&param.name));
            return Err(Error::new(place, format!("has shape {:?}, expected {:?}", tensor.shape, param.shape)));
        }
        Ok(Piece { name: param.name.clone(), bytes, dtype: tensor.dtype, interleaved_head: None })
    };
    let mut pieces = Vec::with_capacity(layout.params.len());
    for param in &layout.params {
        let Some((shard, tensor)) = stored.remove(param.name.as_str()) else {
            let place = shards.first().map(|s| s.path().parent().unwrap_or(s.path()).display().to_string());
            let place = format!("{}: tensor {}", place.unwrap_or_default(), quoted(&param.name));
            return Err(Error::new(place, format!("is missing, expected shape {:?}", param.shape)));
        };
        pieces.push(piece(shard, tensor, param)?);
    }
    // Written by some although tied.
    if layout.lm_head.is_none()
        && let Some((shard, tensor)) = stored.remove("lm_head.weight")
    {
        let embed = &layout.params[0];
        if !equal(&pieces[0], &piece(shard, tensor, embed)?, embed.shape[1]) {
            let place = format!("{}: tensor `lm_head.weight`", shard.path().display());
            let what = "differs from the embeddings, expected equal ones with tie_word_embeddings";
            return Err(Error::new(place, what).hint("set tie_word_embeddings to false in config.json"));
        }
    }
    // Tables that early versions stored; the config gives them.
    stored.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
    match stored.first_key_value() {
        None => Ok(pieces),
        Some((name, (shard, _))) => {
            let place = format!("{}: tensor {}", shard.path().display(), quoted(name));
            Err(Error::new(place, "has no place in the model of config.json, expected none"))
        }
    }
}

/// Whether two matrices with rows of `width` hold the same numbers.
fn equal(a: &Piece, b: &Piece, width: usize) -> bool {
    if a.dtype == b.dtype {
        return a.bytes == b.bytes;
    }
    let rows = a.bytes.par_chunks(a.dtype.bytes(width)).zip(b.bytes.par_chunks(b.dtype.bytes(width)));
    rows.all(|(x, y)| {
        let (mut p, mut q) = (vec![0.0; width], vec![0.0; width]);
        a.dtype.to_f32(x, &mut p);
        b.dtype.to_f32(y, &mut q);
        p == q
    })
}

/// Numbers that one task converts at a time.
const TASK: usize = 1 << 16;

/// Converts all pieces. The error is the first tensor, in the order of `layout`, that holds NaN or infinity.
fn fill(pieces: &[Piece], layout: &Layout, mut params: &mut [f32]) -> std::result::Result<(), (String, String)> {
    let mut slots = Vec::with_capacity(pieces.len());
    for (piece, param) in pieces.iter().zip(&layout.params) {
        let (slot, rest) = params.split_at_mut(param.range.len());
        slots.push((piece, param, slot));
        params = rest;
    }
    let bad = slots.into_par_iter().find_map_first(|(piece, param, slot)| {
        let (at, came) = convert(piece, param, slot)?;
        Some((piece.name.clone(), format!("number {at} is {came}, expected finite numbers")))
    });
    bad.map_or(Ok(()), Err)
}

/// Returns the first number that is not finite.
fn convert(piece: &Piece, param: &Param, slot: &mut [f32]) -> Option<(usize, f32)> {
    let (bytes, dtype) = (piece.bytes, piece.dtype);
    let width = match param.shape[..] {
        [_, width] => width,
        [n] => {
            if piece.interleaved_head.is_some() {
                1
            } else {
                n
            }
        } // the rows of a bias are single numbers
        _ => unreachable!("Layout has vectors and matrices"),
    };
    let rows = (TASK / width).max(1);
    slot.par_chunks_mut(rows * width).enumerate().find_map_first(|(task, dst)| {
        let row0 = task * rows;
        match piece.interleaved_head {
            None => dtype.to_f32(&bytes[dtype.bytes(row0 * width)..][..dtype.bytes(dst.len())], dst),
            Some(d) => {
                for (r, dst) in dst.chunks_mut(width).enumerate() {
                    let from = interleaved_row(row0 + r, d);
                    dtype.to_f32(&bytes[dtype.bytes(from * width)..][..dtype.bytes(width)], dst);
                }
            }
        }
        dst.iter().position(|x| !x.is_finite()).map(|i| (row0 * width + i, dst[i]))
    })
}

/// Where row `r` of q or k lies in a file that interleaves the halves of each head of size `d`.
fn interleaved_row(r: usize, d: usize) -> usize {
    let (head, i) = (r / d, r % d);
    head * d + if i < d / 2 { 2 * i } else { 2 * (i - d / 2) + 1 }
}
