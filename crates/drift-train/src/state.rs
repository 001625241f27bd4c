//! The training state on disk, so that going on equals not having stopped, bit for bit.
//!
//! `train.state`: 8 bytes of magic, the length of a JSON header (u64), the header, the parameters, the
//! optimiser's moments, and the BLAKE3 hash of all of it; little endian. It is written under another name
//! and renamed, so that being killed leaves the old state or the new one. The place in the data follows
//! from the step, and the learning rate does too.

use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::optim::Optimizer;
use drift_lm::Model;
use fs_err::File;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"DRIFTST1";
/// Bytes of a header at most; a real one has about a thousand.
const MAX_HEADER: u64 = 1 << 20;
/// Bytes read or written at once.
const PIECE: usize = 16 << 20;
const DAMAGED: &str = "delete the file to start the training over";

const _: () = assert!(cfg!(target_endian = "little"), "arrays are written as they lie in memory");

/// What must be the same for a state to be continued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub config: Value,
    /// Hash over ids, tokens and weights of all examples in their order.
    pub examples: String,
    pub n_examples: usize,
    /// Hash of the weights that training started from, and the precision of the products.
    pub model: String,
    pub precision: String,
}

/// How far the training is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// As in [`crate::metrics::StepMetrics`].
    pub num_tokens: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    identity: Identity,
    progress: Progress,
    n_params: usize,
    n_moments: usize,
}

pub fn path(dir: &Path) -> PathBuf {
    dir.join("train.state")
}

impl Identity {
    pub fn new(
        config: &TrainConfig,
        examples: String,
        n_examples: usize,
        reference: &crate::reference::Header,
    ) -> Identity {
        Identity {
            config: serde_json::to_value(config).expect("settings become JSON"),
            examples,
            n_examples,
            model: reference.model.clone(),
            precision: reference.precision.clone(),
        }
    }

    /// Says what the state `found` differs in.
    fn check(&self, path: &Path, found: &Identity) -> Result<()> {
        let place = path.display();
        if let Some((key, was, is)) = difference("", &found.config, &self.config) {
            return Err(Error::new(place, format!("was trained with {key} = {was}, expected {is} as now configured"))
                .hint("restore the setting to go on, or delete the file to start over"));
        }
        if (&self.examples, self.n_examples) != (&found.examples, found.n_examples) {
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            let (was, is) = (short(&found.examples), short(&self.examples));
            let (n_was, n_is) = (found.n_examples, self.n_examples);
            return Err(Error::new(
                place,
                format!("the data set changed: was {n_was} pairs ({was}), is {n_is} pairs ({is})"),
            )
            .hint("restore the pairs to go on, or delete the file to start over"));
        }
        if (&self.model, &self.precision) != (&found.model, &found.precision) {
            let (was, is) =
                (format!("{} in {}", found.model, found.precision), format!("{} in {}", self.model, self.precision));
            return Err(Error::new(place, format!("training started from weights {was}, expected {is}"))
                .hint("give the model that the training started from, or delete the file to start over"));
        }
        Ok(())
    }
}

/// The first leaf in which two JSON values differ: its path and both sides.
fn difference(at: &str, a: &Value, b: &Value) -> Option<(String, Value, Value)> {
    if let (Value::Object(x), Value::Object(y)) = (a, b)
        && x.keys().eq(y.keys())
    {
        let sub = |key: &str| if at.is_empty() { key.to_string() } else { format!("{at}.{key}") };
        return x.iter().find_map(|(key, value)| difference(&sub(key), value, &y[key]));
    }
    (a != b).then(|| (at.to_string(), a.clone(), b.clone()))
}

pub fn save(dir: &Path, identity: &Identity, progress: Progress, params: &[f32], optimizer: &Optimizer) -> Result<()> {
    let path = path(dir);
    let partial = path.with_extension("state.tmp");
    let header =
        Header { identity: identity.clone(), progress, n_params: params.len(), n_moments: optimizer.moments.len() };
    let arrays = std::iter::once(params).chain(optimizer.moments.iter().map(Vec::as_slice));
    let written = write(&partial, &header, arrays).and_then(|()| fs_err::rename(&partial, &path));
    written.map_err(|e| {
        _ = std::fs::remove_file(&partial);
        Error::io(&path, "save the training state", &e)
    })
}

fn write<'a>(path: &Path, header: &Header, arrays: impl Iterator<Item = &'a [f32]>) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update_rayon(bytes);
        file.write_all(bytes)
    };
    let header = serde_json::to_vec(header).expect("settings become JSON");
    put(MAGIC)?;
    put(&(header.len() as u64).to_le_bytes())?;
    put(&header)?;
    for array in arrays {
        bytemuck::cast_slice(array).chunks(PIECE).try_for_each(&mut put)?;
    }
    let hash = hasher.finalize();
    file.write_all(hash.as_bytes())?;
    file.sync_all()
}

/// How far the state in `dir` is, from its header alone; `None` where there is no state. A state that
/// belongs to other settings, pairs or weights is an error that says what differs.
pub fn progress(dir: &Path, identity: &Identity) -> Result<Option<Progress>> {
    let path = path(dir);
    let Some(mut file) = open(&path)? else { return Ok(None) };
    let header = read_header(&mut file, &path).map_err(|e| unreadable(&path, e))??;
    identity.check(&path, &header.identity)?;
    Ok(Some(header.progress))
}

/// Puts the state in `dir` into `model` and `optimizer`; `None` where there is none. Nothing is touched
/// before the whole file has been checked.
pub fn load(dir: &Path, identity: &Identity, model: &mut Model, optimizer: &mut Optimizer) -> Result<Option<Progress>> {
    let path = path(dir);
    let read = |e| unreadable(&path, e);
    let Some(mut file) = open(&path)? else { return Ok(None) };
    let bytes = file.metadata().map_err(read)?.len();
    verify(&mut file, bytes, &path).map_err(read)??;

    file.rewind().map_err(read)?;
    let header = read_header(&mut file, &path).map_err(read)??;
    identity.check(&path, &header.identity)?;
    let (n_params, n_moments) = (model.params().len(), optimizer.moments.len());
    if (header.n_params, header.n_moments) != (n_params, n_moments) {
        let (a, b) = (header.n_params, header.n_moments);
        let what = format!("{a} parameters and {b} moments, expected {n_params} and {n_moments}");
        return Err(Error::new(path.display(), what).hint(DAMAGED));
    }
    let mut result = Ok(());
    model.update(|params| result = file.read_exact(bytemuck::cast_slice_mut(params)));
    result.map_err(read)?;
    for moment in &mut optimizer.moments {
        file.read_exact(bytemuck::cast_slice_mut(moment)).map_err(read)?;
    }
    optimizer.updates = header.progress.step as u64;
    Ok(Some(header.progress))
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, "open", &e)),
    }
}

fn unreadable(path: &Path, e: std::io::Error) -> Error {
    match e.kind() {
        ErrorKind::UnexpectedEof => Error::new(path.display(), "ends early, expected a whole state").hint(DAMAGED),
        _ => Error::io(path, "read", &e),
    }
}

/// The hash at the end must be that of all before it.
fn verify(file: &mut File, bytes: u64, path: &Path) -> std::io::Result<Result<()>> {
    let mut hasher = blake3::Hasher::new();
    let mut body = Read::by_ref(file).take(bytes.saturating_sub(blake3::OUT_LEN as u64));
    let mut piece = vec![0; PIECE.min(bytes as usize)];
    loop {
        let n = body.read(&mut piece)?;
        if n == 0 {
            break;
        }
        hasher.update_rayon(&piece[..n]);
    }
    let mut expected = [0; blake3::OUT_LEN];
    file.read_exact(&mut expected)?;
    let found = hasher.finalize();
    Ok(if found == blake3::Hash::from_bytes(expected) {
        Ok(())
    } else {
        Err(Error::new(path.display(), "content and checksum differ, expected a whole state").hint(DAMAGED))
    })
}

fn read_header(file: &mut File, path: &Path) -> std::io::Result<Result<Header>> {
    let bad = |what: String| Ok(Err(Error::new(path.display(), what).hint(DAMAGED)));
    let mut fixed = [0; 16];
    file.read_exact(&mut fixed)?;
    let (magic, len) = fixed.split_at(8);
    let len = u64::from_le_bytes(len.try_into().expect("8 bytes"));
    if magic != MAGIC || len > MAX_HEADER {
        return bad("starts otherwise, expected a training state of this version".into());
    }
    let mut header = vec![0; len as usize];
    file.read_exact(&mut header)?;
    match serde_json::from_slice(&header) {
        Ok(header) => Ok(Ok(header)),
        Err(e) => bad(format!("header: {e}, expected a training state of this version")),
    }
}

/// Call it when the trained weights are safely elsewhere: until then the state is the only copy.
pub fn remove(dir: &Path) -> Result<()> {
    let path = path(dir);
    match fs_err::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(&path, "remove", &e)),
        _ => Ok(()),
    }
}
