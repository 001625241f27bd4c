//! The one file of a learned detector: a JSON header, arrays behind it, and a checksum.
//!
//! ```text
//! "DRIFTDET" | header length u32 | header, JSON | body | blake3 of all before, 16 bytes      (little-endian)
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: &[u8] = b"DRIFTDET";
const CHECKSUM: usize = 16;

/// What is wrong with a file, without its name: `what came, what was expected; hint: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub String);

pub fn write(header: &impl Serialize, body: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(header).expect("a header of names and numbers becomes JSON");
    let mut file = MAGIC.to_vec();
    file.extend((header.len() as u32).to_le_bytes());
    file.extend(header);
    file.extend(body);
    file.extend(&blake3::hash(&file).as_bytes()[..CHECKSUM]);
    file
}

/// Header and body.
///
/// # Errors
/// No such file, a damaged one, or a header of another shape.
pub fn read<H: DeserializeOwned>(file: &[u8]) -> Result<(H, &[u8]), Damaged> {
    let again = "; hint: make it again with `drift detect train`";
    let Some(rest) = file.strip_prefix(MAGIC) else {
        return Err(Damaged(format!("no detector file, expected one that begins with DRIFTDET{again}")));
    };
    let cut = || Damaged(format!("ends after {} bytes, expected more: the file is cut{again}", file.len()));
    let (length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let length = u32::from_le_bytes(*length) as usize;
    let all = file.len().checked_sub(CHECKSUM).ok_or_else(cut)?;
    if blake3::hash(&file[..all]).as_bytes()[..CHECKSUM] != file[all..] {
        return Err(Damaged(format!("checksum does not match, expected an unchanged file{again}")));
    }
    let rest = &rest[..rest.len().saturating_sub(CHECKSUM)];
    let (header, body) = rest.split_at_checked(length).ok_or_else(cut)?;
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    let header = serde_json::from_slice(header).map_err(|_| {
        let kind = serde_json::from_slice(header).map_or("unknown".into(), |Kind { kind }| kind);
        Damaged(format!(
            "a file of the {kind} tier, or of another version, expected one of this tier and version{again}"
        ))
    })?;
    Ok((header, body))
}

/// Takes `count` values of 4 bytes off the front of `body`.
pub fn take_f32(body: &mut &[u8], count: usize) -> Option<Vec<f32>> {
    let (taken, rest) = body.split_at_checked(count.checked_mul(4)?)?;
    *body = rest;
    let values: Vec<f32> = taken.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    values.iter().all(|value| value.is_finite()).then_some(values)
}

/// Whole numbers from -127 to 127 and the size of one: a quarter of the bytes, and an error of at most half
/// a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    pub step: f32,
    pub values: Vec<i8>,
}

impl Quantized {
    pub fn new(values: &[f64]) -> Quantized {
        let largest = values.iter().fold(0.0f64, |max, value| max.max(value.abs()));
        let step = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        Quantized { step: step as f32, values: values.iter().map(|value| (value / step).round() as i8).collect() }
    }

    pub fn write(&self, body: &mut Vec<u8>) {
        body.extend(self.step.to_le_bytes());
        body.extend(self.values.iter().map(|value| *value as u8));
    }

    pub fn take(body: &mut &[u8], count: usize) -> Option<Quantized> {
        let step = take_f32(body, 1)?[0];
        let (taken, rest) = body.split_at_checked(count)?;
        *body = rest;
        Some(Quantized { step, values: taken.iter().map(|byte| *byte as i8).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let file = write(&"header", &[1, 2, 3]);
        assert_eq!(read::<String>(&file), Ok(("header".to_string(), &[1u8, 2, 3][..])));
        for end in 0..file.len() {
            assert!(read::<String>(&file[..end]).is_err());
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x40;
            assert!(read::<String>(&damaged).is_err(), "byte {at}");
        }
        assert!(read::<u32>(&file).is_err());
    }

    #[test]
    fn a_lying_header_length_with_a_right_checksum_is_an_error() {
        let mut file = MAGIC.to_vec();
        file.extend(u32::MAX.to_le_bytes());
        file.extend(&blake3::hash(&file).as_bytes()[..CHECKSUM]);
        assert!(read::<String>(&file).is_err());
    }

    #[test]
    fn quantisation_errs_by_half_a_step() {
        let values = [0.5, -1.27, 0.004, 0.0];
        let quantized = Quantized::new(&values);
        assert_eq!(quantized.values, [50, -127, 0, 0]);
        let mut body = Vec::new();
        quantized.write(&mut body);
        assert_eq!(Quantized::take(&mut body.as_slice(), 4), Some(quantized));
        assert_eq!(Quantized::take(&mut body.as_slice(), 5), None);
    }
}
