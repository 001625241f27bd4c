//! TensorBoard event files, written from `metrics.jsonl`.
//!
//! An event file is a TFRecord stream: each record is `length: u64`, `masked crc32c(length): u32`,
//! `payload`, `masked crc32c(payload): u32`, all little-endian. A payload is a protobuf `Event`:
//! `wall_time: double = 1`, `step: int64 = 2`, then either `file_version: string = 3` or
//! `summary: Summary = 5`, a list of `Value { tag: string = 1, simple_value: float = 2 }`. Four
//! fields of two messages do not pay for a protobuf library.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::files;

/// Renders every scalar of `metrics` (one JSON object a line, with `step`) into one event file in
/// `out_dir`, under TRL's names prefixed `train/`, and returns its path. All events carry
/// `wall_time` (seconds since 1970): the clock is the caller's, so equal input gives equal bytes.
/// A value that is not a finite number has no point. The file is replaced as a whole, by rename.
pub fn write_events(metrics: &Path, out_dir: &Path, wall_time: f64) -> anyhow::Result<PathBuf> {
    let mut bytes = Vec::new();
    push_record(&mut bytes, &file_version(wall_time));
    let lines = BufReader::new(fs_err::File::open(metrics)?).lines();
    for (index, line) in lines.enumerate() {
        let line = line?;
        let place = || format!("{} line {}", metrics.display(), index + 1);
        let row: serde_json::Map<String, Value> = serde_json::from_str(&line)
            .map_err(|error| anyhow::anyhow!("{}: {error}, expected one JSON object a line", place()))?;
        let step = row.get("step").and_then(Value::as_u64);
        let step = step.with_context(|| format!("{}: no `step`, expected a whole number", place()))?;
        let scalars = row.iter().filter(|(name, _)| *name != "step").filter_map(|(name, value)| {
            let value = value.as_f64()? as f32;
            value.is_finite().then(|| (format!("train/{name}"), value))
        });
        push_record(&mut bytes, &scalars_event(wall_time, step, scalars));
    }
    // TensorBoard takes any file whose name holds "tfevents"; a fixed name lets a re-run replace it.
    let path = out_dir.join("events.out.tfevents.drift");
    files::write(&path, |out| out.write_all(&bytes))?;
    Ok(path)
}

/// The record that opens every event file.
fn file_version(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    push_double(&mut event, 1, wall_time);
    push_bytes(&mut event, 3, b"brain.Event:2");
    event
}

fn scalars_event(wall_time: f64, step: u64, scalars: impl Iterator<Item = (String, f32)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in scalars {
        let mut entry = Vec::new();
        push_bytes(&mut entry, 1, tag.as_bytes());
        push_float(&mut entry, 2, value);
        push_bytes(&mut summary, 1, &entry);
    }
    let mut event = Vec::new();
    push_double(&mut event, 1, wall_time);
    push_varint(&mut event, 2 << 3);
    push_varint(&mut event, step);
    push_bytes(&mut event, 5, &summary);
    event
}

/// Base 128, least significant group first. A field starts with `number << 3 | wire type`.
fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn push_double(out: &mut Vec<u8>, field: u64, value: f64) {
    push_varint(out, field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn push_float(out: &mut Vec<u8>, field: u64, value: f32) {
    push_varint(out, field << 3 | 5);
    out.extend(value.to_le_bytes());
}

fn push_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    push_varint(out, field << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn push_record(out: &mut Vec<u8>, payload: &[u8]) {
    let length = (payload.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked_crc32c(&length).to_le_bytes());
    out.extend(payload);
    out.extend(masked_crc32c(payload).to_le_bytes());
}

/// TFRecord's mask: checksums of data that holds checksums are weak, so they are rotated and shifted.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78 (RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut remainder = index as u32;
            let mut bit = 0;
            while bit < 8 {
                remainder = remainder >> 1 ^ if remainder & 1 == 1 { 0x82f6_3b78 } else { 0 };
                bit += 1;
            }
            table[index] = remainder;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 3720, appendix B.4, and the customary check value.
    #[test]
    fn crc32c_meets_its_published_vectors() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// Encoded by hand: 300 is ac 02 in base 128, 1.0 is 00 00 80 3f as a float.
    #[test]
    fn an_event_has_the_bytes_of_its_protobuf() {
        let event = scalars_event(2.0, 300, [("a".to_owned(), 1.0)].into_iter());
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0, 0x40][..],   // field 1, eight bytes: 2.0
            &[0x10, 0xac, 0x02],                      // field 2, varint: 300
            &[0x2a, 10, 0x0a, 8],                     // field 5, ten bytes: a summary; field 1, eight bytes: a value
            &[0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3f], // field 1: "a"; field 2, four bytes: 1.0
        ]
        .concat();
        assert_eq!(event, expected);
    }

    #[test]
    fn the_file_holds_every_finite_scalar_and_equal_input_gives_equal_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = dir.path().join("metrics.jsonl");
        fs_err::write(&metrics, "{\"step\":1,\"loss\":0.5,\"nll\":null}\n{\"step\":2,\"rewards/margins\":-1}\n")
            .unwrap();
        let path = write_events(&metrics, dir.path(), 0.0).unwrap();
        let bytes = fs_err::read(&path).unwrap();
        // The opening record as TensorFlow writes it: 24 bytes, then their masked checksum.
        let mut opening = 24u64.to_le_bytes().to_vec();
        opening.extend([0xa3, 0x7f, 0x4b, 0x22, 0x09, 0, 0, 0, 0, 0, 0, 0, 0]);
        opening.extend(b"\x1a\x0dbrain.Event:2");
        assert_eq!(bytes[..opening.len()], opening);
        let count = |tag: &[u8]| bytes.windows(tag.len()).filter(|window| *window == tag).count();
        assert_eq!((count(b"train/loss"), count(b"train/nll"), count(b"train/rewards/margins")), (1, 0, 1));
        write_events(&metrics, dir.path(), 0.0).unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = dir.path().join("metrics.jsonl");
        for (text, expected) in [("{\"step\":1}\n{", "line 2: "), ("{\"loss\":1}", "line 1: no `step`")] {
            fs_err::write(&metrics, text).unwrap();
            let error = write_events(&metrics, dir.path(), 0.0).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
