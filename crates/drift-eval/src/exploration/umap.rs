//! Points of many dimensions laid out on a plane so that neighbours stay neighbours: UMAP (McInnes, Healy & Melville
//! 2018), with exact neighbours, a start along the principal axes, and one thread: the same seed gives the same plane.

use super::spectrum::plane_of;
use super::{Points, dot};
use crate::mersenne::Mersenne;

/// Neighbours of a point, itself among them.
pub const NEIGHBOURS: usize = 15;
pub const EPOCHS: usize = 500;
/// Points that push a point away for each neighbour that draws it.
const NEGATIVES: usize = 5;
/// 1 / (1 + a d^2b) is as near as can be to 1 up to the distance 0.1 and to exp(0.1 - d) from there on.
const A: f64 = 1.576_943_460;
const B: f64 = 0.895_060_878;
/// No step is longer in either direction.
const LONGEST: f64 = 4.0;
/// Half the width of the first plane.
const EXTENT: f64 = 10.0;

/// How strongly two points belong together, in (0, 1]; `from` < `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    from: usize,
    to: usize,
    weight: f64,
}

/// A place on the plane for each point.
pub fn umap(points: &Points, seed: u64) -> Vec<[f64; 2]> {
    let mut random = Mersenne::from_text(&format!("umap {seed}"));
    let mut places = plane_of(points);
    let widest = places.iter().flatten().fold(0.0f64, |widest, x| widest.max(x.abs()));
    for x in places.iter_mut().flatten() {
        // equal points must be able to part
        *x = EXTENT * *x / widest.max(f64::MIN_POSITIVE) + 1e-4 * (random.uniform() - 0.5);
    }
    let edges = edges(&neighbours(points));
    lay_out(&mut places, &edges, &mut random);
    places
}

/// The nearest points of each by cosine distance, nearest first, without itself; of equally near ones the first.
fn neighbours(points: &Points) -> Vec<Vec<(usize, f64)>> {
    let n = points.len();
    (0..n)
        .map(|i| {
            let distance = |j| (1.0 - dot(points.row(i), points.row(j))).max(0.0);
            let mut others: Vec<(usize, f64)> = (0..n).filter(|&j| j != i).map(|j| (j, distance(j))).collect();
            let count = (NEIGHBOURS - 1).min(others.len());
            let order = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
            if count > 0 && count < others.len() {
                others.select_nth_unstable_by(count - 1, order);
            }
            others.truncate(count);
            others.sort_unstable_by(order);
            others
        })
        .collect()
}

/// Local distances made comparable: each point's neighbours belong to it with strengths that sum to log2 of their
/// number (section 3.1 there), and two points belong together if either says so.
fn edges(neighbours: &[Vec<(usize, f64)>]) -> Vec<Edge> {
    let mut directed: Vec<(usize, usize, f64)> = Vec::new();
    for (i, near) in neighbours.iter().enumerate() {
        let distances: Vec<f64> = near.iter().map(|&(_, distance)| distance).collect();
        let strengths = strengths(&distances);
        directed.extend(near.iter().zip(strengths).map(|(&(j, _), weight)| (i.min(j), i.max(j), weight)));
    }
    directed.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    let mut edges: Vec<Edge> = Vec::new();
    for (from, to, weight) in directed {
        match edges.last_mut() {
            Some(last) if (last.from, last.to) == (from, to) => last.weight += weight - last.weight * weight,
            _ => edges.push(Edge { from, to, weight }),
        }
    }
    edges
}

/// exp(-(d - nearest) / sigma), with sigma such that they sum to log2(k), k counting the point itself.
fn strengths(distances: &[f64]) -> Vec<f64> {
    let nearest = distances.iter().copied().find(|&distance| distance > 0.0).unwrap_or(0.0);
    let wanted = ((distances.len() + 1) as f64).log2();
    let with = |sigma: f64| distances.iter().map(move |d| (-(d - nearest).max(0.0) / sigma).exp());
    let (mut low, mut high) = (0.0, 1.0);
    while with(high).sum::<f64>() < wanted && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..64 {
        let middle = 0.5 * (low + high);
        match with(middle).sum::<f64>() < wanted {
            true => low = middle,
            false => high = middle,
        }
    }
    let mean = distances.iter().sum::<f64>() / distances.len().max(1) as f64;
    with(high.max(1e-3 * mean).max(f64::MIN_POSITIVE)).collect()
}

/// Stochastic descent on the cross-entropy between the strengths and nearness on the plane (algorithm 5 there).
fn lay_out(places: &mut [[f64; 2]], edges: &[Edge], random: &mut Mersenne) {
    let strongest = edges.iter().map(|edge| edge.weight).fold(0.0, f64::max);
    // an edge is drawn so many times more seldom than the strongest, never if not once in all epochs
    let rare = |edge: &Edge| strongest / edge.weight;
    let mut drawn: Vec<(&Edge, f64)> =
        edges.iter().map(|edge| (edge, rare(edge))).filter(|&(_, due)| due <= EPOCHS as f64).collect();
    for epoch in 1..=EPOCHS {
        let rate = 1.0 - (epoch - 1) as f64 / EPOCHS as f64;
        for (edge, due) in &mut drawn {
            if *due > epoch as f64 {
                continue;
            }
            *due += rare(edge);
            for (i, j) in [(edge.from, edge.to), (edge.to, edge.from)] {
                let pull = step(places[i], places[j], |d2| {
                    if d2 > 0.0 { -2.0 * A * B * d2.powf(B - 1.0) / (1.0 + A * d2.powf(B)) } else { 0.0 }
                });
                shift(&mut places[i], pull, rate);
                shift(&mut places[j], pull, -rate);
                for _ in 0..NEGATIVES {
                    let other = random.below(places.len());
                    if other != i {
                        let slope = |d2: f64| 2.0 * B / ((1e-3 + d2) * (1.0 + A * d2.powf(B)));
                        let push = step(places[i], places[other], slope);
                        shift(&mut places[i], push, rate);
                    }
                }
            }
        }
    }
}

/// The gradient along the line from b to a, clipped.
fn step(a: [f64; 2], b: [f64; 2], slope: impl Fn(f64) -> f64) -> [f64; 2] {
    let between = [a[0] - b[0], a[1] - b[1]];
    let slope = slope(between[0] * between[0] + between[1] * between[1]);
    between.map(|x| (slope * x).clamp(-LONGEST, LONGEST))
}

fn shift(place: &mut [f64; 2], by: [f64; 2], rate: f64) {
    place[0] += rate * by[0];
    place[1] += rate * by[1];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exploration::tests::blobs;

    #[test]
    fn strengths_sum_to_the_logarithm_of_their_number() {
        let distances = [0.0, 0.1, 0.15, 0.3, 0.31, 0.7, 0.9];
        let strengths = strengths(&distances);
        assert!((strengths.iter().sum::<f64>() - 3.0).abs() < 1e-9, "{strengths:?}");
        assert!(strengths[..2].iter().all(|&s| s == 1.0) && strengths.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn two_points_belong_together_if_either_says_so() {
        let near = vec![vec![(1, 0.1), (2, 0.2)], vec![(0, 0.1), (2, 0.4)], vec![(0, 0.2), (1, 0.4)]];
        let edges = edges(&near);
        assert_eq!(edges.iter().map(|edge| (edge.from, edge.to)).collect::<Vec<_>>(), [(0, 1), (0, 2), (1, 2)]);
        // each is the other's nearest, so either strength is 1
        assert_eq!(edges[0].weight, 1.0);
        let [to_2, to_1] = [strengths(&[0.1, 0.4])[1], strengths(&[0.2, 0.4])[1]];
        assert!((edges[2].weight - (to_2 + to_1 - to_2 * to_1)).abs() < 1e-12);
    }

    #[test]
    fn groups_of_many_dimensions_stay_groups_on_the_plane() {
        let (points, group) = blobs(3, 40, 12, 0.2);
        let places = umap(&points, 1);
        let distance = |i: usize, j: usize| (places[i][0] - places[j][0]).hypot(places[i][1] - places[j][1]);
        let is_pure = |&i: &usize| {
            let mut others: Vec<usize> = (0..places.len()).filter(|&j| j != i).collect();
            others.sort_by(|&a, &b| distance(i, a).total_cmp(&distance(i, b)));
            others[..10].iter().all(|&j| group[j] == group[i])
        };
        assert!((0..places.len()).filter(is_pure).count() >= 114, "of 120");
        assert_eq!(umap(&points, 1), places);
        assert!(umap(&points, 2) != places);
    }

    #[test]
    fn few_and_equal_points_have_finite_places() {
        for rows in [vec![1.0f32, 0.0], vec![1.0, 0.0, 1.0, 0.0], [1.0f32, 0.0].repeat(30)] {
            let places = umap(&Points::new(&rows, 2), 1);
            assert_eq!(places.len(), rows.len() / 2);
            assert!(places.iter().flatten().all(|x| x.is_finite()), "{places:?}");
        }
    }
}
