//! A model as a Hugging Face folder that transformers and vLLM load unchanged.

use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::params::{Layout, Param};
use crate::quant::Dtype;
use crate::safetensors::write_header;
use half::{bf16, slice::HalfFloatSliceExt};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How the weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveAs {
    F32,
    /// Rounded to nearest, ties to even.
    Bf16,
}

/// Bytes of weights in one file, as transformers' default (50 GB) keeps all but the largest models in one.
pub const SHARD_LIMIT: usize = 50_000_000_000;

/// Writes `dir` with config.json, generation_config.json and the weights, in files of at most `shard_limit` bytes of
/// weights (a single tensor may be larger), and `others` (name and content: tokenizer, chat template). The same input
/// gives the same bytes.
///
/// All of it goes to `<dir>.tmp` first, which is then renamed; a folder that is there already is replaced. Memory
/// beyond the parameters: one small buffer.
pub fn save_hf(
    dir: &Path,
    config: &ModelConfig,
    params: &[f32],
    save_as: SaveAs,
    shard_limit: usize,
    others: &[(&str, &[u8])],
) -> Result<()> {
    config.validate(&dir.display().to_string())?;
    let layout = Layout::of(config);
    assert_eq!(params.len(), layout.len, "one number for every parameter of the config");
    let temporary = beside(dir, ".tmp")?;
    remove(&temporary)?;
    fs::create_dir_all(&temporary).map_err(|e| Error::io(&temporary, "create the folder", &e))?;
    let written = write_all(&temporary, config, params, &layout, save_as, shard_limit, others);
    if let Err(e) = written.and_then(|()| replace(dir, &temporary)) {
        // The first error is the one to tell; what is left of a full disk's folder is replaced by the next call.
        let _ = fs::remove_dir_all(&temporary);
        return Err(e);
    }
    Ok(())
}

fn write_all(
    folder: &Path,
    config: &ModelConfig,
    params: &[f32],
    layout: &Layout,
    save_as: SaveAs,
    shard_limit: usize,
    others: &[(&str, &[u8])],
) -> Result<()> {
    let (dtype, dtype_name) = match save_as {
        SaveAs::F32 => (Dtype::F32, "float32"),
        SaveAs::Bf16 => (Dtype::BF16, "bfloat16"),
    };
    write_file(&folder.join("config.json"), |f| f.write_all(pretty(&config.to_hf(dtype_name)).as_bytes()))?;
    let generation = pretty(&config.to_hf_generation());
    write_file(&folder.join("generation_config.json"), |f| f.write_all(generation.as_bytes()))?;
    for (name, content) in others {
        write_file(&folder.join(name), |f| f.write_all(content))?;
    }
    let shards = shards(&layout.params, dtype.block_bytes(), shard_limit);
    let name = |i: usize| match shards.len() {
        1 => "model.safetensors".to_string(),
        n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
    };
    for (i, shard) in shards.iter().enumerate() {
        let header = write_header(shard.iter().map(|p| (p.name.as_str(), &p.shape[..])), dtype);
        write_file(&folder.join(name(i)), |f| {
            f.write_all(&header)?;
            shard.iter().try_for_each(|p| write_numbers(f, &params[p.range.clone()], save_as))
        })?;
    }
    if shards.len() > 1 {
        let entries = shards.iter().enumerate().flat_map(|(i, s)| s.iter().map(move |p| (p, i)));
        let map: Map<String, Value> = entries.map(|(p, i)| (p.name.clone(), name(i).into())).collect();
        let index = json!({ "metadata": { "total_size": layout.len * dtype.block_bytes() }, "weight_map": map });
        write_file(&folder.join("model.safetensors.index.json"), |f| f.write_all(pretty(&index).as_bytes()))?;
    }
    Ok(())
}

fn pretty(json: &Value) -> String {
    format!("{json:#}\n")
}

/// Consecutive parameters, as many as fit.
fn shards(params: &[Param], size: usize, limit: usize) -> Vec<Vec<&Param>> {
    let mut shards: Vec<Vec<&Param>> = vec![Vec::new()];
    let mut bytes = 0;
    for param in params {
        let more = param.range.len() * size;
        if bytes > 0 && bytes + more > limit {
            shards.push(Vec::new());
            bytes = 0;
        }
        bytes += more;
        shards.last_mut().expect("never empty").push(param);
    }
    shards
}

fn write_numbers(f: &mut File, numbers: &[f32], save_as: SaveAs) -> std::io::Result<()> {
    match save_as {
        SaveAs::F32 => f.write_all(bytemuck::cast_slice(numbers)),
        SaveAs::Bf16 => {
            let mut buffer = vec![bf16::ZERO; numbers.len().min(1 << 16)];
            numbers.chunks(1 << 16).try_for_each(|chunk| {
                let rounded = &mut buffer[..chunk.len()];
                rounded.convert_from_f32_slice(chunk);
                f.write_all(bytemuck::cast_slice(rounded))
            })
        }
    }
}

fn write_file(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let attempt = || {
        let mut file = File::create_new(path)?;
        write(&mut file)?;
        file.sync_all()
    };
    attempt().map_err(|e| Error::io(path, "write the file", &e))
}

fn beside(dir: &Path, suffix: &str) -> Result<PathBuf> {
    let Some(name) = dir.file_name() else {
        return Err(Error::new(dir.display(), "is no name of a folder, expected one to create"));
    };
    let mut name = name.to_os_string();
    name.push(suffix);
    Ok(dir.with_file_name(name))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder, "remove the folder", &e)),
        _ => Ok(()),
    }
}

/// A folder cannot be renamed over a full one, so the old one steps aside first.
fn replace(dir: &Path, new: &Path) -> Result<()> {
    let old = beside(dir, ".old.tmp")?;
    remove(&old)?;
    if dir.exists() {
        fs::rename(dir, &old).map_err(|e| Error::io(dir, "move the old folder aside", &e))?;
    }
    fs::rename(new, dir).map_err(|e| Error::io(dir, "name the finished folder", &e))?;
    remove(&old)
}
