//! Every path of the matrix product against the oracle, and the promises about bits.

use drift_kernels::matmul::product;
use drift_kernels::{Isa, Panels, Precision, Rows, naive};
use proptest::prelude::*;

fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut x = seed | 1;
    (0..n)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// C = A · B by the given path; A is loaded plainly or from its transpose, B by rows or by columns.
#[rustfmt::skip]
fn run(
    isa: Isa, precision: Precision, a: &[f32], b: &[f32], m: usize, n: usize, k: usize, turned: bool, by_columns: bool,
) -> Vec<f32> {
    let (mut rows, mut panels) = (Rows::new(precision), Panels::new(precision));
    panels.shape_to(k, n);
    if turned {
        rows.load_transposed(&naive::transpose(a, m, k), m, k, m);
    } else {
        rows.load(a, m, k, k);
    }
    if by_columns {
        panels.set_columns(0, &naive::transpose(b, k, n), n);
    } else {
        panels.set_rows(0, b, k, n);
    }
    let mut c = vec![f32::NAN; m * n];
    product(isa, &rows, 0..m, &panels, 0..n, 0, &mut c, n, false);
    c
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_path_meets_the_oracle(m in 1usize..150, n in 1usize..110, k in 1usize..140, seed: u32, turned: bool) {
        let (a, b) = (values(m * k, seed), values(k * n, seed ^ 99));
        for precision in Precision::ALL {
            let (x, y) = match precision {
                Precision::F32 => (a.clone(), b.clone()),
                Precision::Bf16 if turned => (naive::round_bf16(&a), naive::spread_bf16(&b, k, n)),
                Precision::Bf16 => (naive::round_bf16(&a), naive::round_bf16(&b)),
                Precision::Bf16x3 => (a.clone(), b.clone()),
                Precision::Int16 | Precision::Int8 => unreachable!("not of all"),
            };
            let expected = naive::matmul(&x, &y, m, n, k);
            // Two halves hold 16 bits, and low · low is left out: at most 3 · 2⁻¹⁸ of each |a b| <= 1.
            let within = 2e-5 + if precision == Precision::Bf16x3 { 3.0 * k as f32 / (1 << 18) as f32 } else { 0.0 };
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                let c = run(isa, precision, &a, &b, m, n, k, turned, turned);
                for (got, want) in c.iter().zip(&expected) {
                    prop_assert!((got - want).abs() < within, "{isa:?} {precision:?}: {got}, oracle {want}");
                }
            }
        }
    }

    #[test]
    fn integers_meet_the_oracle_with_one_result_on_every_path(
        m in 2usize..150, n in 1usize..110, k in 1usize..140, cut in 1usize..109, seed: u32,
    ) {
        let (mut a, b, cut) = (values(m * k, seed), values(k * n, seed ^ 99), cut.min(n));
        a[..k].fill(0.0);
        a[k] = 1e6; // beside it a row's other values are below its unit
        let columns = naive::transpose(&b, k, n);
        let (mut rows, mut last, mut panels) =
            (Rows::new(Precision::Int16), Rows::new(Precision::Int16), Panels::new(Precision::Int16));
        rows.load(&a, m, k, k);
        last.load(&a[(m - 1) * k..], 1, k, k);
        panels.shape_to(k, n);
        panels.set_columns(cut, &columns[cut * k..], n - cut);
        panels.set_columns(0, &columns[..cut * k], cut);

        let oracle = naive::matmul(&a, &b, m, n, k);
        let norms = |of: &[f32]| -> Vec<f32> {
            of.chunks(k).map(|row| row.iter().map(|x| x * x).sum::<f32>().sqrt()).collect()
        };
        // Half a unit a value on either side, a unit a 32,000th of the norm: by Cauchy and Schwarz the root of k of them.
        let within = 1.01 * (k as f32).sqrt() / 32_000.0;
        let (of_rows, of_columns) = (norms(&a), norms(&columns));
        let mut first: Option<Vec<f32>> = None;
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let mut c = vec![f32::NAN; m * n];
            product(isa, &rows, 0..m, &panels, 0..n, 0, &mut c, n, false);
            for (i, (got, want)) in c.iter().zip(&oracle).enumerate() {
                let within = within * of_rows[i / n] * of_columns[i % n];
                prop_assert!((got - want).abs() <= within, "{isa:?}: {got}, oracle {want}, within {within}");
            }
            if n > 32 {
                let mut part = vec![f32::NAN; (m - 1) * n];
                product(isa, &rows, 1..m, &panels, 32..n, 0, &mut part, n, false);
                for i in 1..m {
                    prop_assert_eq!(&part[(i - 1) * n..][..n - 32], &c[i * n + 32..(i + 1) * n], "{:?}", isa);
                }
            }
            let mut alone = vec![1.0; n];
            product(isa, &last, 0..1, &panels, 0..n, 0, &mut alone, n, true);
            let added: Vec<f32> = c[(m - 1) * n..].iter().map(|value| 1.0 + value).collect();
            prop_assert_eq!(alone, added, "{:?}", isa);
            prop_assert_eq!(first.get_or_insert_with(|| c.clone()), &c, "{:?}", isa);
        }
    }

    #[test]
    fn panels_may_be_filled_in_pieces(n in 1usize..80, k in 2usize..70, cut in 1usize..69, seed: u32) {
        let (cut, b) = (cut.min(k - 1), values(k * n, seed));
        for precision in Precision::ALL {
            let mut panels = [Panels::new(precision), Panels::new(precision)];
            panels.iter_mut().for_each(|panels| panels.shape_to(k, n));
            panels[0].set_rows(0, &b, k, n);
            panels[1].set_rows(cut, &b[cut * n..], k - cut, n);
            panels[1].set_rows(0, &b, cut, n);
            let mut columns = [Panels::new(precision), Panels::new(precision)];
            columns.iter_mut().for_each(|panels| panels.shape_to(n, k));
            columns[0].set_columns(0, &b, k);
            columns[1].set_columns(cut, &b[cut * n..], k - cut);
            columns[1].set_columns(0, &b[..cut * n], cut);
            for pieces in [panels, columns] {
                let (depth, width) = pieces[0].shape();
                let mut rows = Rows::new(precision);
                rows.load(&values(3 * depth, seed ^ 1), 3, depth, depth);
                let products = pieces.map(|panels| {
                    let mut c = vec![0.0; 3 * width];
                    product(Isa::Portable, &rows, 0..3, &panels, 0..width, 0, &mut c, width, false);
                    c
                });
                prop_assert_eq!(&products[0], &products[1]);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_company(m in 2usize..60, n in 1usize..70, k in 1usize..90, seed: u32) {
        let (a, b) = (values(m * k, seed), values(k * n, seed ^ 7));
        for precision in Precision::ALL {
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                let together = run(isa, precision, &a, &b, m, n, k, false, true);
                let last = run(isa, precision, &a[(m - 1) * k..], &b, 1, n, k, true, true);
                prop_assert_eq!(&together[(m - 1) * n..], &last[..]);
            }
        }
    }

    #[test]
    fn fused_f32_paths_agree_to_the_bit(m in 1usize..40, n in 1usize..70, k in 1usize..90, seed: u32) {
        let (a, b) = (values(m * k, seed), values(k * n, seed ^ 5));
        let fused = [Isa::Avx2, Isa::Avx512];
        let all: Vec<_> = fused.into_iter().filter(|isa| isa.available())
            .map(|isa| run(isa, Precision::F32, &a, &b, m, n, k, false, false)).collect();
        for other in all.iter().skip(1) {
            prop_assert_eq!(&all[0], other);
        }
    }

    #[test]
    fn parts_add_up(m in 1usize..50, n in 33usize..100, k in 64usize..128, seed: u32) {
        // Some rows, columns from a panel's border on, and k in two parts, the second accumulated.
        let (a, b) = (values(m * k, seed), values(k * n, seed ^ 3));
        let cut = 32;
        for precision in Precision::ALL {
            let mut panels = Panels::new(precision);
            panels.shape_to(k, n);
            panels.set_rows(0, &b, k, n);
            let (mut left, mut right) = (Rows::new(precision), Rows::new(precision));
            left.load(&a, m, cut, k);
            right.load(&a[cut..], m, k - cut, k);
            let (first, ld) = (m / 2, n);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                let whole = run(isa, precision, &a, &b, m, n, k, false, false);
                let mut c = vec![0.0; (m - first) * ld];
                product(isa, &left, first..m, &panels, 32..n, 0, &mut c, ld, false);
                product(isa, &right, first..m, &panels, 32..n, cut, &mut c, ld, true);
                for i in first..m {
                    for j in 32..n {
                        let (got, want) = (c[(i - first) * ld + j - 32], whole[i * n + j]);
                        prop_assert!((got - want).abs() < 2e-5, "{isa:?} {precision:?} [{i}, {j}]: {got} {want}");
                    }
                }
            }
        }
    }
}
