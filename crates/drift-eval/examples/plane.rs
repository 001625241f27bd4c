//! Points on a plane, for comparing our UMAP with others' (tests/reference/umap_agreement.py): lines of numbers come in,
//! `x y` of each goes out. The argument is the seed.

use drift_eval::exploration::{Points, umap};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(1).ok_or("expected a seed")?.parse()?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let dim = text.lines().next().map_or(0, |line| line.split_whitespace().count());
    let rows = text.split_whitespace().map(str::parse).collect::<Result<Vec<f32>, _>>()?;
    for [x, y] in umap(&Points::new(&rows, dim), seed) {
        println!("{x} {y}");
    }
    Ok(())
}
