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
    continues(segments, a, b) && q <= p && window.is_none_or(|w| p - q < w)
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

/// Decodes rows of qkv from position `from` on, one a step, after the ones before were remembered; the
/// last step's output.
fn decoded(cache: &mut Cache, table: &mut Table, heads: Heads, qkv: &[f32], from: usize) -> Vec<f32> {
    let ld = heads.width();
    cache.extend(table, from);
    cache.remember(0, table, 0, &qkv[..from * ld]);
    let mut out = vec![0.0; heads.queries * heads.dim];
    for row in qkv[from * ld..].chunks(ld) {
        cache.extend(table, 1);
        cache.decode(0, std::slice::from_ref(table), row, &mut out);
    }
    out
}

#[test]
fn decode_meets_the_oracle_as_far_as_the_format_allows() {
    for (heads, format) in shapes().into_iter().flat_map(|heads| KvFormat::ALL.map(|format| (heads, format))) {
        let (tokens, ld, dim) = (2 * PAGE + 17, heads.width(), heads.dim);
        let qkv = values(tokens * ld, 9);
        let out = decoded(&mut Cache::new(vec![heads], format), &mut Table::default(), heads, &qkv, PAGE + 3);
        for head in 0..heads.queries {
            let group = head / (heads.queries / heads.keys);
            let [q, k, v] = [head, heads.queries + group, heads.queries + heads.keys + group];
            let q = &qkv[(tokens - 1) * ld + q * dim..][..dim];
            let (k, v) = (column(&qkv, ld, k, dim), column(&qkv, ld, v, dim));
            let first = heads.window.map_or(0, |w| tokens - w);
            let expected = naive::attention(q, &k, &v, dim, |_, j| j >= first);
            // Values are below 1: a kept one is off by at most 2^-9 of itself, or half a unit of 1 / 127. A
            // score is off by e = scale · Σ |q| · off, a weight by a factor of e^±2e.
            let off = match format {
                KvFormat::F32 => 0.0,
                KvFormat::Bf16 => 1.0 / 512.0,
                KvFormat::Int8 => 0.5001 / 127.0,
            };
            let of_score = heads.scale() * q.iter().map(|q| q.abs() * off).sum::<f32>();
            let within = 2e-6 + off + (2.0 * of_score).exp_m1();
            for (e, got) in expected.iter().zip(&out[head * dim..]) {
                assert!((e - got).abs() < within, "{heads:?} {format:?}: {e} {got}, within {within}");
            }
        }
    }
}

#[test]
fn sharing_and_company_change_no_bit_of_decoding() {
    let steps = 70;
    for (heads, format) in shapes().into_iter().flat_map(|heads| KvFormat::ALL.map(|format| (heads, format))) {
        let ld = heads.width();
        let width = heads.queries * heads.dim;
        // Two prompts: one of more than two pages for seven sequences, a short one for a single sequence.
        let prompts = [values((2 * PAGE + 9) * ld, 1), values(5 * ld, 2)];
        let of = |i: usize| &prompts[usize::from(i == 3)];
        let answers: Vec<Vec<f32>> = (0..8).map(|i| values(steps * ld, 10 + i)).collect();
        let alone: Vec<Vec<f32>> = (0..8)
            .map(|i| {
                let qkv = [&of(i)[..], &answers[i]].concat();
                let from = of(i).len() / ld;
                decoded(&mut Cache::new(vec![heads], format), &mut Table::default(), heads, &qkv, from)
            })
            .collect();
        let mut cache = Cache::new(vec![heads], format);
        let parents = prompts.each_ref().map(|prompt| {
            let mut table = Table::default();
            cache.extend(&mut table, prompt.len() / ld);
            cache.remember(0, &table, 0, prompt);
            table
        });
        let mut tables: Vec<Table> = (0..8).map(|i| cache.share(&parents[usize::from(i == 3)])).collect();
        parents.into_iter().for_each(|parent| cache.release(parent));
        assert_eq!(cache.pages_in_use(), 2 + 7 + 1, "two pages that seven share, and one of each");
        let mut out = vec![0.0; 8 * width];
        // Sequence 1 is a few steps ahead of the others.
        for row in answers[1][..10 * ld].chunks(ld) {
            cache.extend(&mut tables[1], 1);
            cache.decode(0, &tables[1..2], row, &mut out[..width]);
        }
        for step in 0..steps - 10 {
            let rows = |i: usize| &answers[i][(step + if i == 1 { 10 } else { 0 }) * ld..][..ld];
            let qkv: Vec<f32> = (0..8).flat_map(rows).copied().collect();
            tables.iter_mut().for_each(|table| cache.extend(table, 1));
            cache.decode(0, &tables, &qkv, &mut out);
        }
        assert!(out[width..2 * width] == alone[1][..], "{heads:?} {format:?}");
        for i in [0, 2, 3, 4, 5, 6, 7] {
            for row in answers[i][(steps - 10) * ld..].chunks(ld) {
                cache.extend(&mut tables[i], 1);
                cache.decode(0, &tables[i..=i], row, &mut out[i * width..][..width]);
            }
            assert!(out[i * width..][..width] == alone[i][..], "{heads:?} {format:?} {i}");
        }
        let most = cache.pages();
        tables.into_iter().for_each(|table| cache.release(table));
        assert_eq!((cache.pages_in_use(), cache.pages()), (0, most));
    }
}

#[test]
#[should_panic(expected = "shared pages do not change")]
fn a_shared_page_is_not_written() {
    let heads = shapes()[0];
    let mut cache = Cache::new(vec![heads], KvFormat::F32);
    let mut table = Table::default();
    cache.extend(&mut table, PAGE);
    let _other = cache.share(&table);
    cache.remember(0, &table, 0, &values(heads.width(), 1));
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
