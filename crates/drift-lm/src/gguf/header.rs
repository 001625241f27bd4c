//! The header of a GGUF file: counts, metadata, table of tensors. Nothing in it is believed.

use super::{Entry, KINDS, Kind, Tensor, Value, scalar};
use crate::error::{Error, Result, quoted};
use crate::quant::Dtype;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Names of ggml's type numbers that are no longer or not yet read here, for the error.
const UNREAD_TYPES: [(u32, &str); 22] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
];

fn dtype_of(number: u32) -> Option<Dtype> {
    Some(match number {
        0 => Dtype::F32,
        1 => Dtype::F16,
        2 => Dtype::Q4_0,
        3 => Dtype::Q4_1,
        6 => Dtype::Q5_0,
        7 => Dtype::Q5_1,
        8 => Dtype::Q8_0,
        12 => Dtype::Q4_K,
        13 => Dtype::Q5_K,
        14 => Dtype::Q6_K,
        30 => Dtype::BF16,
        _ => return None,
    })
}

/// Arrays of arrays are allowed by the format and used by nobody; deeper ones are a trap for the stack.
const MAX_NESTING: usize = 4;

type Header = (BTreeMap<String, Entry>, BTreeMap<String, Tensor>);

/// Metadata and tensors of a whole file.
pub(super) fn read(path: &Path, file: &[u8]) -> Result<Header> {
    let mut at = Cursor { path, bytes: file, at: 0 };
    let (metadata, mut tensors) = at.header()?;
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(e) => match scalar(file, e) {
            Some(Value::U64(a)) if a.is_power_of_two() && a <= 1 << 20 => a as usize,
            other => {
                let what = format!("general.alignment is {other:?}, expected a power of two up to 1048576");
                return Err(Error::new(path.display(), what));
            }
        },
    };
    // The data begin at the next multiple of the alignment; a file without tensors may end before it.
    let data = at.at.next_multiple_of(alignment).min(file.len());
    place_tensors(path, &mut tensors, data, file.len(), alignment)?;
    Ok((metadata, tensors))
}

/// Turns offsets into ranges of the file; checks that they lie in it, aligned, and apart from each other.
fn place_tensors(
    path: &Path,
    tensors: &mut BTreeMap<String, Tensor>,
    data: usize,
    end: usize,
    alignment: usize,
) -> Result<()> {
    let bad = |name: &str, what: String| Error::new(path.display(), format!("tensor {} {what}", quoted(name)));
    for (name, t) in tensors.iter_mut() {
        let Range { start: offset, end: len } = t.bytes;
        let start = data.checked_add(offset);
        match start.and_then(|s| Some(s..s.checked_add(len)?)) {
            Some(range) if range.end <= end => t.bytes = range,
            _ => {
                let what = format!("takes {len} bytes at {offset} of the data, expected them within {}", end - data);
                return Err(bad(name, what).hint("the file is cut or damaged; fetch it again"));
            }
        }
        if offset % alignment != 0 {
            return Err(bad(name, format!("begins at {offset} of the data, expected a multiple of {alignment}")));
        }
    }
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, t)| (t.bytes.start, t.bytes.end));
    for pair in order.windows(2) {
        if pair[1].1.bytes.start < pair[0].1.bytes.end {
            let what = format!("overlaps tensor {}, expected each to have bytes of its own", quoted(pair[0].0));
            return Err(bad(pair[1].0, what));
        }
    }
    Ok(())
}

struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn error(&self, what: impl Into<String>) -> Error {
        Error::new(format!("{}: byte {}", self.path.display(), self.at), what)
    }

    fn take(&mut self, n: usize, of: &str) -> Result<&'a [u8]> {
        let left = self.bytes.len() - self.at;
        if n > left {
            let e = self.error(format!("{of} takes {n} bytes, expected at most the {left} that are left"));
            return Err(e.hint("the file is cut or damaged; fetch it again"));
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    fn u32(&mut self, of: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(4, of)?.try_into().expect("4 bytes")))
    }

    fn u64(&mut self, of: &str) -> Result<usize> {
        let x = u64::from_le_bytes(self.take(8, of)?.try_into().expect("8 bytes"));
        usize::try_from(x).map_err(|_| self.error(format!("{of} is {x}, expected less than the address space")))
    }

    fn name(&mut self, of: &str) -> Result<String> {
        let len = self.u64(of)?;
        let bytes = self.take(len, of)?;
        match std::str::from_utf8(bytes) {
            Ok(name) => Ok(name.to_string()),
            Err(_) => Err(self.error(format!("{of} is not UTF-8, expected UTF-8 text"))),
        }
    }

    /// Leaves the ranges of tensors relative: `offset..length`.
    fn header(&mut self) -> Result<Header> {
        let magic = self.take(4, "the magic number")?;
        if magic != b"GGUF" {
            self.at = 0;
            return Err(self.error(format!("begins with \"{}\", expected \"GGUF\"", magic.escape_ascii())));
        }
        match self.u32("the version")? {
            2 | 3 => {}
            v if v.swap_bytes() == 3 => return Err(self.error("is big-endian, expected little-endian")),
            v => return Err(self.error(format!("version {v}, expected 2 or 3"))),
        }
        let tensor_count = self.u64("the number of tensors")?;
        let metadata_count = self.u64("the number of metadata entries")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..metadata_count {
            let key = self.name("a metadata key")?;
            let kind = self.kind()?;
            let entry = self.entry(kind, 0)?;
            if metadata.contains_key(&key) {
                return Err(self.error(format!("metadata {} comes twice, expected once", quoted(&key))));
            }
            metadata.insert(key, entry);
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let name = self.name("the name of a tensor")?;
            let tensor = self.tensor(&name)?;
            if tensors.contains_key(&name) {
                return Err(self.error(format!("tensor {} comes twice, expected once", quoted(&name))));
            }
            tensors.insert(name, tensor);
        }
        Ok((metadata, tensors))
    }

    fn kind(&mut self) -> Result<Kind> {
        let number = self.u32("a value type")?;
        let kind = KINDS.get(number as usize).copied();
        kind.ok_or_else(|| self.error(format!("value type {number}, expected 0 to {}", KINDS.len() - 1)))
    }

    fn entry(&mut self, kind: Kind, depth: usize) -> Result<Entry> {
        let start = self.at;
        match (kind, kind.size()) {
            (_, Some(size)) => drop(self.take(size, "a value")?),
            (Kind::Array, _) => {
                if depth == MAX_NESTING {
                    return Err(self.error(format!("arrays nested deeper than {MAX_NESTING}, expected a flat one")));
                }
                let kind = self.kind()?;
                let count = self.u64("the length of an array")?;
                let start = self.at;
                match kind.size() {
                    Some(size) => drop(self.take(count.saturating_mul(size), "an array")?),
                    None => {
                        for _ in 0..count {
                            self.entry(kind, depth + 1)?;
                        }
                    }
                }
                return Ok(Entry { kind, count, bytes: start..self.at, array: true });
            }
            (_, None) => {
                let len = self.u64("the length of a text")?;
                self.take(len, "a text")?;
            }
        }
        Ok(Entry { kind, count: 1, bytes: start..self.at, array: false })
    }

    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let rank = self.u32("the rank of a tensor")?;
        if !(1..=4).contains(&rank) {
            return Err(self.error(format!("tensor {} has rank {rank}, expected 1 to 4", quoted(name))));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            shape.push(self.u64("a dimension")?);
        }
        shape.reverse();
        let number = self.u32("the type of a tensor")?;
        let Some(dtype) = dtype_of(number) else {
            let known = UNREAD_TYPES.iter().find(|(n, _)| *n == number).map_or("unknown", |(_, name)| name);
            let what =
                format!("tensor {} is of type {number} ({known}), expected one of {:?}", quoted(name), Dtype::ALL);
            return Err(self.error(what));
        };
        let offset = self.u64("the offset of a tensor")?;
        let row = shape[shape.len() - 1];
        if row % dtype.block_len() != 0 {
            let what = format!(
                "tensor {} has rows of {row}, expected a multiple of {} for {dtype:?}",
                quoted(name),
                dtype.block_len()
            );
            return Err(self.error(what));
        }
        let len = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let Some(len) = len.and_then(|n| (n / dtype.block_len()).checked_mul(dtype.block_bytes())) else {
            return Err(self.error(format!("tensor {} claims shape {shape:?}, expected one that fits", quoted(name))));
        };
        Ok(Tensor { shape, dtype, bytes: offset..len })
    }
}
