//! Near-duplicates: texts whose sets of five-word shingles overlap, found by MinHash (Broder 1997) with banding.

use std::collections::HashMap;

/// Hashes of a signature: 16 bands of 4. Two texts of likeness 0.8 meet in a band with probability 0.9998, two of
/// likeness 0.3 with 0.12; the estimate from all 64 decides.
const HASHES: usize = 64;
const BAND: usize = 4;
/// Words of a shingle.
const SHINGLE: usize = 5;

/// Remembers texts by their signatures, about 450 bytes each.
#[derive(Debug)]
pub struct NearDuplicates {
    /// Likeness (Jaccard) from which a text counts as seen.
    threshold: f64,
    signatures: Vec<[u32; HASHES]>,
    bands: HashMap<(u8, u64), Vec<u32>>,
}

impl NearDuplicates {
    /// `threshold` above 0 to 1.
    pub fn new(threshold: f64) -> NearDuplicates {
        NearDuplicates { threshold, signatures: Vec::new(), bands: HashMap::new() }
    }

    /// True if no text like this one came before. Texts of fewer words than a shingle are never alike.
    pub fn insert(&mut self, texts: &[&str]) -> bool {
        let Some(signature) = signature(texts) else { return true };
        let keys: Vec<(u8, u64)> = signature
            .chunks(BAND)
            .zip(0..)
            .map(|(band, at)| (at, band.iter().fold(0, |key, &hash| mix(key ^ u64::from(hash)))))
            .collect();
        let alike = |&at: &u32| {
            let same = self.signatures[at as usize].iter().zip(&signature).filter(|(a, b)| a == b).count();
            same as f64 / HASHES as f64 >= self.threshold
        };
        if keys.iter().filter_map(|key| self.bands.get(key)).flatten().any(alike) {
            return false;
        }
        let at = self.signatures.len() as u32;
        self.signatures.push(signature);
        for key in keys {
            self.bands.entry(key).or_default().push(at);
        }
        true
    }
}

/// The least of each of 64 hashes over all shingles.
fn signature(texts: &[&str]) -> Option<[u32; HASHES]> {
    let words: Vec<u64> = texts
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()))
        .map(|word| word.chars().flat_map(char::to_lowercase).fold(7, |hash, c| mix(hash ^ u64::from(c as u32))))
        .collect();
    let mut least = [u32::MAX; HASHES];
    for shingle in words.windows(SHINGLE) {
        let hash = shingle.iter().fold(0, |hash, word| mix(hash ^ word));
        for (at, least) in least.iter_mut().enumerate() {
            *least = (*least).min((mix(hash ^ (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32) as u32);
        }
    }
    (words.len() >= SHINGLE).then_some(least)
}

/// The finaliser of MurmurHash3.
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ x >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ x >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: impl Iterator<Item = usize>) -> String {
        words.map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn likeness_decides() {
        // 96 shingles each. One word changed in the middle changes 5: 91 of 101 are common, likeness 0.90.
        let original = text(0..100);
        let one_word = text((0..100).map(|n| if n == 50 { 999 } else { n }));
        // half of the words: 46 of 146 are common, likeness 0.32
        let half = text((0..50).chain(200..250));
        let mut seen = NearDuplicates::new(0.75);
        assert!(seen.insert(&[&original]));
        assert!(!seen.insert(&[&original.to_uppercase()]));
        assert!(!seen.insert(&[&one_word]));
        assert!(seen.insert(&[&half]));
        assert!(seen.insert(&["too short"]) && seen.insert(&["too short"]));
    }

    #[test]
    fn the_estimate_is_near_the_truth() {
        // likeness of k common words at the start of 300: (k - 4) / (592 - (k - 4))
        for common in [100, 200, 280] {
            let (a, b) = (text(0..300), text((0..common).chain(1000..1300 - common)));
            let (a, b) = (signature(&[&a]).unwrap(), signature(&[&b]).unwrap());
            let same = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / HASHES as f64;
            let truth = (common - 4) as f64 / (592 - (common - 4)) as f64;
            assert!((same - truth).abs() < 0.17, "{same} against {truth}"); // 0.5 / sqrt(64) is 0.0625
        }
    }
}
