//! The GGUF container, versions 2 and 3: metadata and a table of tensors, read in place from a memory map.
//!
//! Format: ggml's `docs/gguf.md`. Nothing is copied out of the file but keys and names, so the memory of opening one
//! is bounded by the file, whatever its counts claim.

mod header;
pub(crate) mod weights;

use crate::config::as_written;
use crate::error::{Error, Result, quoted};
use crate::map::map_file;
use crate::quant::Dtype;
use memmap2::Mmap;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub struct Gguf {
    path: PathBuf,
    map: Mmap,
    metadata: BTreeMap<String, Entry>,
    tensors: BTreeMap<String, Tensor>,
}

/// Element type and count of a metadata value and where its bytes lie; a scalar is an array of one.
#[derive(Clone, Debug)]
struct Entry {
    kind: Kind,
    count: usize,
    bytes: Range<usize>,
    array: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

const KINDS: [Kind; 13] = [
    Kind::U8,
    Kind::I8,
    Kind::U16,
    Kind::I16,
    Kind::U32,
    Kind::I32,
    Kind::F32,
    Kind::Bool,
    Kind::String,
    Kind::Array,
    Kind::U64,
    Kind::I64,
    Kind::F64,
];

impl Kind {
    /// Bytes of one, `None` where they differ.
    fn size(self) -> Option<usize> {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
            Kind::String | Kind::Array => None,
        }
    }
}

/// One tensor of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Outermost first, as in Hugging Face: `[out, in]`. (The file stores them innermost first.)
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    bytes: Range<usize>,
}

impl Gguf {
    pub fn open(path: &Path) -> Result<Gguf> {
        let map = map_file(path)?;
        let (metadata, tensors) = header::read(path, &map)?;
        Ok(Gguf { path: path.to_path_buf(), metadata, tensors, map })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file_bytes(&self) -> usize {
        self.map.len()
    }

    /// By name, sorted.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// The stored bytes of a tensor of this file.
    pub fn bytes(&self, tensor: &Tensor) -> &[u8] {
        &self.map[tensor.bytes.clone()]
    }

    /// Metadata keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    pub fn u64(&self, key: &str) -> Result<Option<u64>> {
        self.scalar(key, "a whole number", |v| match v {
            Value::U64(x) => Some(x),
            Value::I64(x) => u64::try_from(x).ok(),
            _ => None,
        })
    }

    pub fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.scalar(key, "a number", |v| match v {
            Value::F64(x) => Some(x),
            _ => None,
        })
    }

    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.scalar(key, "true or false", |v| match v {
            Value::Bool(x) => Some(x),
            _ => None,
        })
    }

    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        let Some(e) = self.metadata.get(key) else { return Ok(None) };
        if e.kind != Kind::String || e.array {
            return Err(self.mistyped(key, e, "text"));
        }
        self.text(key, e.bytes.start).map(|(text, _)| Some(text))
    }

    /// An array of texts, e.g. `tokenizer.ggml.tokens`.
    pub fn strs(&self, key: &str) -> Result<Option<Vec<&str>>> {
        let Some(e) = self.metadata.get(key) else { return Ok(None) };
        if e.kind != Kind::String || !e.array {
            return Err(self.mistyped(key, e, "an array of texts"));
        }
        let mut at = e.bytes.start;
        let mut all = Vec::with_capacity(e.count); // each took 8 bytes of the file at least
        for _ in 0..e.count {
            let (text, next) = self.text(key, at)?;
            all.push(text);
            at = next;
        }
        Ok(Some(all))
    }

    /// An array of whole numbers, e.g. `tokenizer.ggml.token_type`.
    pub fn i64s(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.array(key, "an array of whole numbers", |v| match v {
            Value::U64(x) => i64::try_from(x).ok(),
            Value::I64(x) => Some(x),
            _ => None,
        })
    }

    /// An array of numbers, e.g. `tokenizer.ggml.scores`.
    pub fn f64s(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.array(key, "an array of numbers", |v| match v {
            Value::F64(x) => Some(x),
            _ => None,
        })
    }

    fn scalar<T>(&self, key: &str, expected: &str, pick: impl Fn(Value) -> Option<T>) -> Result<Option<T>> {
        let Some(e) = self.metadata.get(key) else { return Ok(None) };
        match scalar(&self.map, e).and_then(pick) {
            Some(x) => Ok(Some(x)),
            None => Err(self.mistyped(key, e, expected)),
        }
    }

    fn array<T>(&self, key: &str, expected: &str, pick: impl Fn(Value) -> Option<T>) -> Result<Option<Vec<T>>> {
        let Some(e) = self.metadata.get(key) else { return Ok(None) };
        let size = e.kind.size().filter(|_| e.array).ok_or_else(|| self.mistyped(key, e, expected))?;
        let items = self.map[e.bytes.clone()].chunks_exact(size);
        let all: Option<Vec<T>> = items.map(|b| pick(number(e.kind, b)?)).collect();
        all.map(Some).ok_or_else(|| self.mistyped(key, e, expected))
    }

    fn text(&self, key: &str, at: usize) -> Result<(&str, usize)> {
        let start = at + 8;
        let len = u64::from_le_bytes(self.map[at..start].try_into().expect("8 bytes")) as usize;
        let text = std::str::from_utf8(&self.map[start..start + len]).map_err(|e| {
            let place = format!("{}: byte {}", self.path.display(), start + e.valid_up_to());
            Error::new(place, format!("{} is not UTF-8, expected UTF-8 text", quoted(key)))
        })?;
        Ok((text, start + len))
    }

    fn mistyped(&self, key: &str, e: &Entry, expected: &str) -> Error {
        let came = match (e.array, scalar(&self.map, e)) {
            (true, _) => format!("an array of {} {:?}", e.count, e.kind),
            (false, Some(value)) => format!("{value:?}"),
            (false, None) => format!("{:?}", e.kind),
        };
        Error::new(self.path.display(), format!("metadata {} is {came}, expected {expected}", quoted(key)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
}

fn scalar(map: &[u8], e: &Entry) -> Option<Value> {
    if e.array { None } else { number(e.kind, &map[e.bytes.clone()]) }
}

/// `b` is as long as `kind` says.
fn number(kind: Kind, b: &[u8]) -> Option<Value> {
    Some(match kind {
        Kind::U8 => Value::U64(b[0].into()),
        Kind::I8 => Value::I64((b[0] as i8).into()),
        Kind::U16 => Value::U64(u16::from_le_bytes(b.try_into().ok()?).into()),
        Kind::I16 => Value::I64(i16::from_le_bytes(b.try_into().ok()?).into()),
        Kind::U32 => Value::U64(u32::from_le_bytes(b.try_into().ok()?).into()),
        Kind::I32 => Value::I64(i32::from_le_bytes(b.try_into().ok()?).into()),
        Kind::U64 => Value::U64(u64::from_le_bytes(b.try_into().ok()?)),
        Kind::I64 => Value::I64(i64::from_le_bytes(b.try_into().ok()?)),
        Kind::F32 => Value::F64(as_written(f32::from_le_bytes(b.try_into().ok()?))),
        Kind::F64 => Value::F64(f64::from_le_bytes(b.try_into().ok()?)),
        Kind::Bool => Value::Bool(b[0] != 0),
        Kind::String | Kind::Array => return None,
    })
}
