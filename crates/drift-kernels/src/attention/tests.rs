use super::*;
use crate::naive;
use crate::operand::Precision;

fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut x = seed;
    (0..n)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// A prompt of 70 with two answers, and an unrelated sequence: more than a block of each kind.
fn row() -> Vec<Segment> {
    vec![
        Segment { start: 0, len: 70, position: 0, parent: None },
        Segment { start: 70, len: 90, position: 70, parent: Some(0) },
        Segment { start: 160, len: 35, position: 70, parent: Some(0) },
        Segment { start: 195, len: 5, position: 0, parent: None },
    ]
}

fn segment_of(segments: &[Segment], t: usize) -> usize {
    segments.iter().position(|s| (s.start..s.start + s.len).contains(&t)).unwrap()
}

fn visible(segments: &[Segment], window: Option<usize>, i: usize, j: usize) -> bool {
    let (a, b) = (segment_of(segments, i), segment_of(segments, j));
    let position = |s: usize, t: usize| segments[s].position + t - segments[s].start;
    let (p, q) = (position(a, i), position(b, j));
    lineage(segments, a).contains(&b) && q <= p && window.is_none_or(|w| p - q < w)
}

fn column(x: &[f32], ld: usize, head: usize, dim: usize) -> Vec<f32> {
    x.chunks(ld).flat_map(|row| row[head * dim..][..dim].to_vec()).collect()
}

fn shapes() -> [Heads; 3] {
    [
        Heads { queries: 4, keys: 2, dim: 64, window: None },
        Heads { queries: 3, keys: 1, dim: 24, window: None },
        Heads { queries: 2, keys: 2, dim: 16, window: Some(30) },
    ]
}

#[test]
fn forward_meets_the_oracle() {
    let segments = row();
    for heads in shapes() {
        let (tokens, ld, dim) = (200, heads.width(), heads.dim);
        let qkv = values(tokens * ld, 1);
        let (mut out, mut lse) = (vec![0.0; tokens * heads.queries * dim], vec![0.0; heads.queries * tokens]);
        forward(&mut Forward::new(Precision::F32), &qkv, heads, &segments, &mut out, &mut lse);
        for head in 0..heads.queries {
            let group = head / (heads.queries / heads.keys);
            let expected = naive::attention(
                &column(&qkv, ld, head, dim),
                &column(&qkv, ld, heads.queries + group, dim),
                &column(&qkv, ld, heads.queries + heads.keys + group, dim),
                dim,
                |i, j| visible(&segments, heads.window, i, j),
            );
            let got = column(&out, heads.queries * dim, head, dim);
            for (e, g) in expected.iter().zip(&got) {
                assert!((e - g).abs() < 2e-6, "{heads:?}: {e} {g}");
            }
        }
    }
}

/// `Σ dout · out` with the oracle, as a function of qkv.
fn loss(qkv: &[f32], dout: &[f32], heads: Heads, segments: &[Segment]) -> f64 {
    let (ld, dim) = (heads.width(), heads.dim);
    (0..heads.queries)
        .map(|head| {
            let group = head / (heads.queries / heads.keys);
            let out = naive::attention(
                &column(qkv, ld, head, dim),
                &column(qkv, ld, heads.queries + group, dim),
                &column(qkv, ld, heads.queries + heads.keys + group, dim),
                dim,
                |i, j| visible(segments, heads.window, i, j),
            );
            let d = column(dout, heads.queries * dim, head, dim);
            out.iter().zip(&d).map(|(o, d)| *o as f64 * *d as f64).sum::<f64>()
        })
        .sum()
}

#[test]
fn backward_meets_finite_differences() {
    let segments = row();
    for heads in shapes() {
        let (tokens, ld, dim) = (200, heads.width(), heads.dim);
        let qkv = values(tokens * ld, 3);
        let dout = values(tokens * heads.queries * dim, 4);
        let (mut out, mut lse) = (vec![0.0; tokens * heads.queries * dim], vec![0.0; heads.queries * tokens]);
        forward(&mut Forward::new(Precision::F32), &qkv, heads, &segments, &mut out, &mut lse);
        let mut d = vec![0.0; qkv.len()];
        backward(&mut Backward::new(Precision::F32), &qkv, &out, &lse, &dout, heads, &segments, &mut d);
        // Along whole directions: one token's row at a time, so that every block and mask is met.
        for t in [0, 1, 31, 33, 69, 70, 100, 159, 160, 190, 195, 199] {
            let direction = values(ld, 77 + t as u32);
            let along = |step: f32| {
                let mut moved = qkv.clone();
                for (x, u) in moved[t * ld..][..ld].iter_mut().zip(&direction) {
                    *x += step * u;
                }
                loss(&moved, &dout, heads, &segments)
            };
            let slope = (along(1e-2) - along(-1e-2)) / 2e-2;
            let got: f64 = d[t * ld..][..ld].iter().zip(&direction).map(|(a, b)| *a as f64 * *b as f64).sum();
            assert!((slope - got).abs() < 2e-3 * (1.0 + slope.abs()), "{heads:?} token {t}: {slope} {got}");
        }
    }
}

#[test]
fn decode_continues_a_sequence() {
    for heads in shapes() {
        let (tokens, ld, dim) = (50, heads.width(), heads.dim);
        let segments = [Segment { start: 0, len: tokens, position: 0, parent: None }];
        let qkv = values(tokens * ld, 9);
        let (mut out, mut lse) = (vec![0.0; tokens * heads.queries * dim], vec![0.0; heads.queries * tokens]);
        forward(&mut Forward::new(Precision::F32), &qkv, heads, &segments, &mut out, &mut lse);
        let mut cache = Cache::new(heads, tokens);
        for (t, row) in qkv.chunks(ld).enumerate() {
            cache.remember(row, heads, t);
        }
        let mut last = vec![0.0; heads.queries * dim];
        cache.decode(&qkv[(tokens - 1) * ld..], heads, tokens, &mut Vec::new(), &mut last);
        for (e, got) in out[(tokens - 1) * heads.queries * dim..].iter().zip(&last) {
            assert!((e - got).abs() < 2e-6, "{heads:?}: {e} {got}");
        }
    }
}

#[test]
fn bf16_products_stay_close_to_f32() {
    let segments = row();
    for heads in shapes() {
        let (tokens, ld, dim) = (200, heads.width(), heads.dim);
        let qkv = values(tokens * ld, 5);
        let dout = values(tokens * heads.queries * dim, 6);
        let run = |precision: Precision| {
            let (mut out, mut lse) = (vec![0.0; dout.len()], vec![0.0; heads.queries * tokens]);
            forward(&mut Forward::new(precision), &qkv, heads, &segments, &mut out, &mut lse);
            let mut d = vec![0.0; qkv.len()];
            backward(&mut Backward::new(precision), &qkv, &out, &lse, &dout, heads, &segments, &mut d);
            (out, d)
        };
        let (exact, narrow) = (run(Precision::F32), run(Precision::Bf16));
        let distance = |a: &[f32], b: &[f32]| {
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|v| (v * v) as f64).sum::<f64>().sqrt();
            norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut a.iter().copied())
        };
        // bf16 keeps 8 bits: a relative rounding of 2^-9, three in a row.
        assert!(distance(&exact.0, &narrow.0) < 6e-3, "{heads:?} out: {}", distance(&exact.0, &narrow.0));
        assert!(distance(&exact.1, &narrow.1) < 1e-2, "{heads:?} gradient: {}", distance(&exact.1, &narrow.1));
    }
}

/// Gradient of a random `dout`, and the outputs.
fn gradient(precision: Precision, qkv: &[f32], dout: &[f32], heads: Heads, segments: &[Segment]) -> Vec<f32> {
    let tokens = qkv.len() / heads.width();
    let (mut out, mut lse) = (vec![0.0; dout.len()], vec![0.0; heads.queries * tokens]);
    forward(&mut Forward::new(precision), qkv, heads, segments, &mut out, &mut lse);
    let mut d = vec![f32::NAN; qkv.len()];
    backward(&mut Backward::new(precision), qkv, &out, &lse, dout, heads, segments, &mut d);
    d
}

/// Seven chunks of keys and a part: more than are worked on at once.
const LONG: usize = 7 * 256 + 10;

#[test]
fn a_long_row_meets_finite_differences() {
    let heads = Heads { queries: 1, keys: 1, dim: 8, window: None };
    let segments = [Segment { start: 0, len: LONG, position: 0, parent: None }];
    let (ld, dim) = (heads.width(), heads.dim);
    let (qkv, dout) = (values(LONG * ld, 11), values(LONG * heads.queries * dim, 12));
    let d = gradient(Precision::F32, &qkv, &dout, heads, &segments);
    let loss = |qkv: &[f32]| -> f64 {
        let [q, k, v] = [0, 1, 2].map(|head| column(qkv, ld, head, dim));
        let out = naive::attention(&q, &k, &v, dim, |i, j| j <= i);
        out.iter().zip(&dout).map(|(o, d)| *o as f64 * *d as f64).sum()
    };
    // The first keys, whose gradient comes from everywhere, and a query that sees every chunk.
    for t in [3, LONG - 1] {
        let direction = values(ld, 5 + t as u32);
        let along = |step: f32| {
            let mut moved = qkv.clone();
            for (x, u) in moved[t * ld..][..ld].iter_mut().zip(&direction) {
                *x += step * u;
            }
            loss(&moved)
        };
        let slope = (along(1e-2) - along(-1e-2)) / 2e-2;
        let got: f64 = d[t * ld..][..ld].iter().zip(&direction).map(|(a, b)| *a as f64 * *b as f64).sum();
        assert!((slope - got).abs() < 2e-3 * (0.1 + slope.abs()), "token {t}: {slope} {got}");
    }
}

#[test]
fn company_changes_no_bit_of_a_gradient() {
    // Company of another length in front changes which chunks are worked on at once.
    let company = 700;
    for (precision, window) in [(Precision::F32, None), (Precision::Bf16, None), (Precision::Bf16, Some(300))] {
        let heads = Heads { queries: 2, keys: 1, dim: 16, window };
        let (ld, width) = (heads.width(), heads.queries * heads.dim);
        let segments = [
            Segment { start: 0, len: company, position: 0, parent: None },
            Segment { start: company, len: LONG, position: 0, parent: None },
        ];
        let (qkv, dout) = (values((company + LONG) * ld, 21), values((company + LONG) * width, 22));
        let together = gradient(precision, &qkv, &dout, heads, &segments);
        let alone = [Segment { start: 0, ..segments[1].clone() }];
        let (qkv, dout) = (&qkv[company * ld..], &dout[company * width..]);
        assert!(together[company * ld..] == gradient(precision, qkv, dout, heads, &alone), "{precision:?} {window:?}");
        assert!(together.iter().all(|value| value.is_finite()));
    }
}
