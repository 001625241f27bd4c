//! The safetensors container: eight bytes of header length, a JSON header, the bytes of the tensors.
//!
//! Read and written here rather than through the crate of that name: its reader adds offsets of a lying header
//! without a check (a panic), and its errors do not say which tensor is meant.

use crate::error::{Error, Result, quoted};
use crate::map::map_file;
use crate::quant::Dtype;
use memmap2::Mmap;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// As in the format's own reader.
const MAX_HEADER: u64 = 100_000_000;

pub struct File {
    path: PathBuf,
    map: Mmap,
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub dtype: Dtype,
    bytes: Range<usize>,
}

/// An entry of the header. The offsets count from the end of the header.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl File {
    pub fn open(path: &Path) -> Result<File> {
        File::open_without(path, |_| false)
    }

    /// As [`File::open`], but tensors that `is_no_weight` names may be of any type and are left out: some writers
    /// keep tables of integers among the weights.
    pub fn open_without(path: &Path, is_no_weight: impl Fn(&str) -> bool) -> Result<File> {
        let map = map_file(path)?;
        let (data, entries) = header(path, &map)?;
        let (mut tensors, mut ranges) = (BTreeMap::new(), BTreeMap::new());
        for (name, entry) in entries {
            let place = || format!("{}: tensor {}", path.display(), quoted(&name));
            let bytes = range(&entry, data, map.len()).map_err(|what| Error::new(place(), what))?;
            if ranges.contains_key(&name) {
                return Err(Error::new(place(), "comes twice, expected once"));
            }
            if !is_no_weight(&name) {
                let tensor = tensor(&entry, bytes.clone()).map_err(|what| Error::new(place(), what))?;
                tensors.insert(name.clone(), tensor);
            }
            ranges.insert(name, bytes);
        }
        check_coverage(path, &ranges, data, map.len())?;
        Ok(File { path: path.to_path_buf(), map, tensors })
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
}

/// Where the data begin, and the entries.
fn header(path: &Path, map: &[u8]) -> Result<(usize, Vec<(String, Entry)>)> {
    let place = path.display();
    let cut = "the file is cut, damaged or no safetensors file";
    let Some((len, rest)) = map.split_first_chunk::<8>() else {
        return Err(Error::new(place, format!("has {} bytes, expected a header length of 8", map.len())).hint(cut));
    };
    let len = u64::from_le_bytes(*len);
    if len > MAX_HEADER.min(rest.len() as u64) {
        let what = format!("claims a header of {len} bytes, expected at most {}", MAX_HEADER.min(rest.len() as u64));
        return Err(Error::new(place, what).hint(cut));
    }
    let header: Header = serde_json::from_slice(&rest[..len as usize]).map_err(|e| {
        // serde's message may quote the file; line and column are enough to find the place.
        let place = format!("{place}: header, byte {}", 8 + e.column());
        Error::new(place, "is not a table of tensors, expected {\"name\":{\"dtype\",\"shape\",\"data_offsets\"}}")
    })?;
    Ok((8 + len as usize, header.0))
}

/// The entries in the order of the file, repeated names included.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Header, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "__metadata__" => drop(map.next_value::<HashMap<String, String>>()?),
                        _ => entries.push((name, map.next_value()?)),
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Where an entry's bytes lie in the file.
fn range(entry: &Entry, data: usize, end: usize) -> std::result::Result<Range<usize>, String> {
    let [from, to] = entry.data_offsets;
    if from > to || to > (end - data) as u64 {
        return Err(format!("lies at {from}..{to} of the data, expected a range within {}", end - data));
    }
    Ok(data + from as usize..data + to as usize)
}

fn tensor(entry: &Entry, bytes: Range<usize>) -> std::result::Result<Tensor, String> {
    let dtype = match entry.dtype.as_str() {
        "F32" => Dtype::F32,
        "F16" => Dtype::F16,
        "BF16" => Dtype::BF16,
        other => return Err(format!("has dtype {}, expected F32, F16 or BF16", quoted(other))),
    };
    let claimed = entry.shape.iter().try_fold(dtype.block_bytes() as u64, |n, d| n.checked_mul(*d));
    if claimed != Some(bytes.len() as u64) {
        return Err(format!("has shape {:?} in {} bytes, expected sizes that agree", entry.shape, bytes.len()));
    }
    let shape = entry.shape.iter().map(|d| *d as usize).collect();
    Ok(Tensor { shape, dtype, bytes })
}

/// The format wants the tensors to cover the data without gaps and overlaps.
fn check_coverage(path: &Path, ranges: &BTreeMap<String, Range<usize>>, data: usize, end: usize) -> Result<()> {
    let mut order: Vec<_> = ranges.iter().collect();
    order.sort_by_key(|(_, bytes)| (bytes.start, bytes.end));
    let mut at = data;
    for (name, bytes) in order {
        if bytes.start != at {
            let (came, expected) = (bytes.start - data, at - data);
            let what = format!("begins at {came} of the data, expected {expected}, where the one before ends");
            return Err(Error::new(format!("{}: tensor {}", path.display(), quoted(name)), what));
        }
        at = bytes.end;
    }
    if at == end {
        return Ok(());
    }
    Err(Error::new(path.display(), format!("has {} bytes after the last tensor, expected none", end - at)))
}

/// Header length and header of a file whose tensors follow in the order given, without gaps.
pub(crate) fn write_header<'a>(tensors: impl Iterator<Item = (&'a str, &'a [usize])>, dtype: Dtype) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), serde_json::json!({ "format": "pt" }));
    let mut at = 0;
    for (name, shape) in tensors {
        let end = at + shape.iter().product::<usize>() * dtype.block_bytes();
        let entry = serde_json::json!({ "dtype": format!("{dtype:?}"), "shape": shape, "data_offsets": [at, end] });
        header.insert(name.into(), entry);
        at = end;
    }
    let mut json = serde_json::Value::Object(header).to_string().into_bytes();
    // Spaces, so that the data begin at a multiple of 8.
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut json);
    bytes
}
