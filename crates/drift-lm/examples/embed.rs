//! How fast the sentence encoder is.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p drift-lm --example embed -- FOLDER IDS [ROUNDS]`
//!
//! FOLDER: all-MiniLM-L6-v2 or its like. IDS: a JSON list of texts, each a list of token ids. Prints one line a round.

use drift_lm::Encoder;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(ids)) = (arguments.next(), arguments.next()) else {
        return Err("no folder and ids given; hint: embed FOLDER IDS [ROUNDS]".into());
    };
    let rounds: usize = arguments.next().map_or(Ok(3), |n| n.parse())?;
    let encoder = Encoder::load(Path::new(&folder))?;
    let texts: Vec<Vec<u32>> = serde_json::from_str(&std::fs::read_to_string(ids)?)?;
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let tokens: usize = texts.iter().map(|ids| ids.len()).sum();
    for _ in 0..rounds {
        let start = Instant::now();
        let vectors = encoder.embed(&texts)?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{} texts of {tokens} tokens, {} numbers: {seconds:.3} s, {:.1} texts/s",
            texts.len(),
            vectors.len(),
            texts.len() as f64 / seconds
        );
    }
    Ok(())
}
