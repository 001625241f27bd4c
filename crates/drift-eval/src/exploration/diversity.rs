//! How different a method's answers are, measured where they are embedded, not on a plane.

use super::spectrum::eigenvalues;
use super::{Points, dot};

/// Vendi score (Friedman & Dieng 2023, definition 3.1) with the cosine as similarity: exp of the entropy of the
/// eigenvalues of K / n, from 1 (all equal) to n (nothing in common).
pub fn vendi(points: &Points) -> f64 {
    let (n, dim) = (points.len(), points.dim);
    // X X' and X' X have the same eigenvalues but for zeros
    let size = n.min(dim);
    let entry = |i: usize, j: usize| match n <= dim {
        true => dot(points.row(i), points.row(j)),
        false => (0..n).map(|k| f64::from(points.row(k)[i]) * f64::from(points.row(k)[j])).sum(),
    };
    let mut matrix = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            let similar = entry(i, j) / n as f64;
            (matrix[i * size + j], matrix[j * size + i]) = (similar, similar);
        }
    }
    let values = eigenvalues(matrix, size);
    let entropy: f64 = values.iter().filter(|value| **value > 0.0).map(|value| -value * value.ln()).sum();
    entropy.exp()
}

/// Groups of points that chains of cosines of at least `threshold` connect.
pub fn clusters(points: &[&[f32]], threshold: f64) -> usize {
    let mut group: Vec<usize> = (0..points.len()).collect();
    for i in 0..points.len() {
        for j in 0..i {
            let (of_i, of_j) = (group[i], group[j]);
            if of_i != of_j && dot(points[i], points[j]) >= threshold {
                group.iter_mut().filter(|group| **group == of_i).for_each(|group| *group = of_j);
            }
        }
    }
    group.iter().enumerate().filter(|(i, group)| i == *group).count()
}

/// The chance that one of k answers is good, where c of n are: 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, eq. 1).
pub fn best_of(k: usize, n: usize, c: usize) -> f64 {
    if n - c < k {
        return 1.0;
    }
    1.0 - (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendi_counts_what_is_different() {
        let equal = [1.0f32, 0.0].repeat(5);
        assert!((vendi(&Points::new(&equal, 2)) - 1.0).abs() < 1e-9);
        let apart = [1.0f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        assert!((vendi(&Points::new(&apart, 3)) - 3.0).abs() < 1e-9);
        // one of four apart: eigenvalues 3/4 and 1/4
        let one_apart = [1.0f32, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
        let expected = (-(0.75f64 * 0.75f64.ln() + 0.25 * 0.25f64.ln())).exp();
        assert!((vendi(&Points::new(&one_apart, 2)) - expected).abs() < 1e-9, "more points than dimensions");
        let wide: Vec<f32> = one_apart.chunks(2).flat_map(|row| [row[0], row[1], 0.0, 0.0, 0.0]).collect();
        assert!((vendi(&Points::new(&wide, 5)) - expected).abs() < 1e-9, "fewer points than dimensions");
    }

    #[test]
    fn chains_make_one_cluster() {
        let angle = |degrees: f32| [degrees.to_radians().cos(), degrees.to_radians().sin()];
        let rows = [angle(0.0), angle(60.0), angle(20.0), angle(40.0), angle(120.0)];
        let points: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        // cos 20 = .94, cos 60 = .5
        assert_eq!(clusters(&points, 0.9), 2);
        assert_eq!(clusters(&points, 0.49), 1);
        assert_eq!(clusters(&points, 0.95), 5);
        assert_eq!(clusters(&[], 0.9), 0);
    }

    #[test]
    fn best_of_counts_draws_without_replacement() {
        assert_eq!(best_of(1, 4, 1), 0.25);
        assert!((best_of(2, 4, 1) - 0.5).abs() < 1e-12);
        // 1 - C(3,2)/C(5,2)
        assert!((best_of(2, 5, 2) - 0.7).abs() < 1e-12);
        assert_eq!([best_of(4, 4, 1), best_of(3, 4, 2), best_of(3, 4, 0)], [1.0, 1.0, 0.0]);
    }
}
