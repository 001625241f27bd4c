//! Eigenvalues of small symmetric matrices, and the plane along which points vary most.

use super::Points;

/// Off-diagonal weight that counts as none, and sweeps until then; ten are usual.
const NOTHING: f64 = 1e-22;
const SWEEPS: usize = 60;
const ITERATIONS: usize = 200;

/// Eigenvalues, smallest first, of a symmetric matrix [n, n] in rows: cyclic Jacobi rotations (Golub & Van Loan,
/// section 8.5).
pub fn eigenvalues(mut matrix: Vec<f64>, n: usize) -> Vec<f64> {
    let weight = |matrix: &[f64], diagonal: bool| -> f64 {
        let entries = matrix.iter().enumerate().filter(|(at, _)| (at / n == at % n) == diagonal);
        entries.map(|(_, x)| x * x).sum()
    };
    for _ in 0..SWEEPS {
        if weight(&matrix, false) <= NOTHING * weight(&matrix, true) {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut matrix, n, p, q);
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|i| matrix[i * n + i]).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Turns rows and columns p and q so that their common entry becomes 0.
fn rotate(matrix: &mut [f64], n: usize, p: usize, q: usize) {
    let off = matrix[p * n + q];
    if off == 0.0 {
        return;
    }
    let tau = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * off);
    let tangent = tau.signum() / (tau.abs() + tau.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let mut turn = |a: usize, b: usize| {
        let (x, y) = (matrix[a], matrix[b]);
        matrix[a] = cosine * x - sine * y;
        matrix[b] = sine * x + cosine * y;
    };
    for k in 0..n {
        turn(k * n + p, k * n + q);
    }
    for k in 0..n {
        turn(p * n + k, q * n + k);
    }
}

/// The points on their two principal axes: orthogonal iteration on the centred points.
pub fn plane_of(points: &Points) -> Vec<[f64; 2]> {
    let (n, dim) = (points.len(), points.dim);
    let mut mean = vec![0.0; dim];
    for i in 0..n {
        mean.iter_mut().zip(points.row(i)).for_each(|(mean, &x)| *mean += f64::from(x) / n as f64);
    }
    let place = |axis: &[f64], i: usize| -> f64 {
        points.row(i).iter().zip(&mean).zip(axis).map(|((&x, mean), a)| (f64::from(x) - mean) * a).sum()
    };
    // any start with a share of each axis
    let mut axes: [Vec<f64>; 2] = [1.0, 2.0].map(|k| (0..dim).map(|i| (k * (i + 1) as f64).sin()).collect());
    for _ in 0..ITERATIONS {
        let places: Vec<[f64; 2]> = (0..n).map(|i| [place(&axes[0], i), place(&axes[1], i)]).collect();
        for (k, axis) in axes.iter_mut().enumerate() {
            axis.fill(0.0);
            for (i, places) in places.iter().enumerate() {
                for ((a, &x), mean) in axis.iter_mut().zip(points.row(i)).zip(&mean) {
                    *a += places[k] * (f64::from(x) - mean);
                }
            }
        }
        let [first, second] = &mut axes;
        unit(first);
        let along: f64 = first.iter().zip(&*second).map(|(a, b)| a * b).sum();
        second.iter_mut().zip(&*first).for_each(|(b, a)| *b -= along * a);
        unit(second);
    }
    (0..n).map(|i| [place(&axes[0], i), place(&axes[1], i)]).collect()
}

/// Length 1; nothing stays nothing.
fn unit(axis: &mut [f64]) {
    let length = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length > 0.0 {
        axis.iter_mut().for_each(|x| *x /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn eigenvalues_worked_by_hand() {
        // det(M - x) = (2 - x)((2 - x)^2 - 2) for the second differences of three points
        let differences = vec![2.0, -1.0, 0.0, -1.0, 2.0, -1.0, 0.0, -1.0, 2.0];
        let expected = [2.0 - 2f64.sqrt(), 2.0, 2.0 + 2f64.sqrt()];
        for (value, expected) in eigenvalues(differences, 3).iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12);
        }
        assert_eq!(eigenvalues(vec![3.0, 0.0, 0.0, 1.0], 2), [1.0, 3.0]);
        // all ones: n once, 0 otherwise
        let ones = eigenvalues(vec![1.0; 25], 5);
        assert!((ones[4] - 5.0).abs() < 1e-12 && ones[..4].iter().all(|x| x.abs() < 1e-12));
    }

    proptest! {
        #[test]
        fn eigenvalues_keep_the_sums_of_entries_and_of_squares(half in prop::collection::vec(-3.0f64..3.0, 36)) {
            let matrix: Vec<f64> = (0..36).map(|at| half[at] + half[at % 6 * 6 + at / 6]).collect();
            let trace: f64 = (0..6).map(|i| matrix[i * 7]).sum();
            let squares: f64 = matrix.iter().map(|x| x * x).sum();
            let values = eigenvalues(matrix, 6);
            prop_assert!((values.iter().sum::<f64>() - trace).abs() < 1e-9);
            prop_assert!((values.iter().map(|x| x * x).sum::<f64>() - squares).abs() < 1e-8);
        }
    }

    #[test]
    fn the_plane_is_the_one_that_varies_most() {
        // long along the third axis, half as long along the first, flat along the second
        let rows: Vec<f32> = (0..40)
            .flat_map(|i| {
                let angle = i as f32 * std::f32::consts::TAU / 40.0;
                [1.0 + angle.cos(), 7.0, 2.0 * angle.sin()]
            })
            .collect();
        for (i, place) in plane_of(&Points::new(&rows, 3)).iter().enumerate() {
            let angle = i as f64 * std::f64::consts::TAU / 40.0;
            assert!((place[0].abs() - (2.0 * angle.sin()).abs()).abs() < 1e-4, "{i}: {place:?}");
            assert!((place[1].abs() - angle.cos().abs()).abs() < 1e-4, "{i}: {place:?}");
        }
    }
}
