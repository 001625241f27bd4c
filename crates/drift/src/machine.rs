//! How fast this machine is, measured in a moment: what forecasts and benchmarks are held against.

use drift_kernels::{Panels, Precision, Rows, matmul};
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Floating-point operations a second of the best of a few products of the sizes that training has,
/// on all threads.
pub fn products_per_second(precision: Precision) -> f64 {
    [(1024, 576, 1536), (1024, 1536, 576), (1024, 1024, 1024)]
        .into_iter()
        .map(|(m, k, n)| {
            let (mut rows, mut panels) = (Rows::new(precision), Panels::new(precision));
            rows.load(&vec![0.5; m * k], m, k, k);
            panels.shape_to(k, n);
            panels.set_columns(0, &vec![0.25; k * n], n);
            let mut c = vec![0.0; m * n];
            per_second((2 * m * k * n) as f64, || matmul(&rows, &panels, &mut c, n, false))
        })
        .fold(0.0, f64::max)
}

/// Bytes a second of a stream from memory, on all threads.
pub fn bytes_per_second() -> f64 {
    let data = vec![1u64; 16 << 20];
    per_second(size_of_val(&data[..]) as f64, || {
        let sum: u64 = data.par_chunks(1 << 16).map(|chunk| chunk.iter().sum::<u64>()).sum();
        std::hint::black_box(sum);
    })
}

/// The best of the rounds of a quarter of a second, the first left out.
fn per_second(amount: f64, mut work: impl FnMut()) -> f64 {
    work();
    let start = Instant::now();
    let mut best: f64 = 0.0;
    while start.elapsed() < Duration::from_millis(250) {
        let round = Instant::now();
        work();
        best = best.max(amount / round.elapsed().as_secs_f64());
    }
    best
}

/// The most memory that this process ever had, in bytes, where the system tells.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
