//! Where on a plane the rewarded answers lie, and how much of it each method's answers reach.

use super::Answers;

/// Cells along either side of the plane.
pub const GRID: usize = 96;
const CELLS: usize = GRID * GRID;
/// A kernel is nothing beyond so many bandwidths.
const KERNEL: f64 = 4.0;
/// An answer reaches what is not farther than so many bandwidths: 86 % of its own kernel.
pub const REACH: f64 = 2.0;

type Bits = [u64; CELLS / 64];

/// One plane seen at one bandwidth. Prompts apart, so that they can be drawn anew.
pub struct Landscape {
    prompts: usize,
    /// Sum of reward * Gaussian kernel over a prompt's answers, all methods': [prompts][cells].
    density: Vec<Vec<f32>>,
    /// Cells within [`REACH`] of an answer: [methods * prompts].
    reached: Vec<Bits>,
}

/// Scott's rule in two dimensions: n^(-1/6) times the points' standard deviation. It is made for one hump; answers lie in a
/// clump a prompt, so bandwidths are small shares of it.
pub fn scott(places: &[[f64; 2]]) -> f64 {
    let n = places.len() as f64;
    let variance = |axis: usize| {
        let mean = places.iter().map(|place| place[axis]).sum::<f64>() / n;
        places.iter().map(|place| (place[axis] - mean).powi(2)).sum::<f64>() / n
    };
    n.powf(-1.0 / 6.0) * (0.5 * (variance(0) + variance(1))).sqrt()
}

impl Landscape {
    /// `places` in the order of the answers.
    pub fn new(answers: &Answers, places: &[[f64; 2]], bandwidth: f64) -> Landscape {
        let centres = [0, 1].map(|axis| centres(places, axis));
        let mut density = vec![vec![0.0f32; CELLS]; answers.prompts];
        let mut reached = vec![[0; CELLS / 64]; answers.methods.len() * answers.prompts];
        for (at, place) in places.iter().enumerate() {
            let group = at / answers.samples;
            let (density, reached) = (&mut density[group % answers.prompts], &mut reached[group]);
            let near = [0, 1].map(|axis| near(&centres[axis], place[axis], KERNEL * bandwidth));
            for (y, up) in &near[1] {
                for (x, across) in &near[0] {
                    let cell = y * GRID + x;
                    let square = (up * up + across * across) / (bandwidth * bandwidth);
                    density[cell] += (answers.rewards[at] * (-0.5 * square).exp()) as f32;
                    if square <= REACH * REACH {
                        reached[cell / 64] |= 1 << (cell % 64);
                    }
                }
            }
        }
        Landscape { prompts: answers.prompts, density, reached }
    }

    /// Each method's share of the high-reward region's cells that an answer of its own reaches, for each quantile. The
    /// region is the smallest one that holds this share of all rewards; prompt p counts `times[p]` times.
    pub fn coverage(&self, times: &[u32], quantiles: &[f64]) -> Vec<Vec<f64>> {
        let mut density = vec![0.0; CELLS];
        for (of_prompt, &times) in self.density.iter().zip(times).filter(|(_, times)| **times > 0) {
            density.iter_mut().zip(of_prompt).for_each(|(sum, &x)| *sum += f64::from(times) * f64::from(x));
        }
        let mut cells: Vec<usize> = (0..CELLS).filter(|&cell| density[cell] > 0.0).collect();
        cells.sort_unstable_by(|&a, &b| density[b].total_cmp(&density[a]).then(a.cmp(&b)));
        let total: f64 = cells.iter().map(|&cell| density[cell]).sum();
        let methods: Vec<Bits> =
            self.reached.chunks(self.prompts).map(|prompts| union(prompts.iter().zip(times))).collect();
        let share = |quantile: &f64| {
            let mut held = 0.0;
            let mut region = [0u64; CELLS / 64];
            let mut size = 0u32;
            for &cell in cells.iter().take_while(|&&cell| {
                let is_in = held < quantile * total;
                held += density[cell];
                is_in
            }) {
                region[cell / 64] |= 1 << (cell % 64);
                size += 1;
            }
            let common = |method: &Bits| method.iter().zip(&region).map(|(a, b)| (a & b).count_ones()).sum::<u32>();
            methods.iter().map(|method| f64::from(common(method)) / f64::from(size.max(1))).collect()
        };
        quantiles.iter().map(share).collect()
    }
}

fn union<'a>(prompts: impl Iterator<Item = (&'a Bits, &'a u32)>) -> Bits {
    let mut all = [0; CELLS / 64];
    for (bits, _) in prompts.filter(|(_, times)| **times > 0) {
        all.iter_mut().zip(bits).for_each(|(all, bits)| *all |= bits);
    }
    all
}

/// The middles of the cells along an axis, from the least to the greatest place.
fn centres(places: &[[f64; 2]], axis: usize) -> Vec<f64> {
    let along = || places.iter().map(|place| place[axis]);
    let (low, high) = (along().fold(f64::INFINITY, f64::min), along().fold(f64::NEG_INFINITY, f64::max));
    (0..GRID).map(|cell| low + (high - low) * (cell as f64 + 0.5) / GRID as f64).collect()
}

/// Cells not farther than `most` from x, with their distances.
fn near(centres: &[f64], x: f64, most: f64) -> Vec<(usize, f64)> {
    let away = centres.iter().enumerate().map(|(cell, centre)| (cell, centre - x));
    away.filter(|(_, away)| away.abs() <= most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exploration::Points;

    /// Two methods, two prompts, one answer each: the first answers at the corners, the second at one of them twice.
    fn four(rewards: [f64; 4]) -> Landscape {
        let rows = [1.0f32, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let answers = Answers {
            methods: vec!["wide".into(), "narrow".into()],
            prompts: 2,
            samples: 1,
            points: Points::new(&rows, 2),
            rewards: rewards.to_vec(),
        };
        Landscape::new(&answers, &[[0.0, 0.0], [64.0, 64.0], [0.0, 0.0], [0.0, 0.0]], 3.0)
    }

    #[test]
    fn a_method_that_answers_in_one_place_covers_half() {
        let both = four([1.0; 4]).coverage(&[1, 1], &[0.4, 0.99]);
        // three of four rewards lie in one corner, where cells hold four tenths of all
        assert_eq!(both[0], [1.0, 1.0]);
        assert!(both[1][0] > both[1][1] && both[1][1] > 0.2, "{both:?}");
    }

    #[test]
    fn what_is_not_rewarded_is_no_part_of_the_region() {
        let narrow_alone = four([0.0, 0.0, 1.0, 1.0]).coverage(&[1, 1], &[0.5]);
        assert_eq!(narrow_alone[0], [1.0, 1.0]);
        let far_corner = four([0.0, 1.0, 0.0, 0.0]).coverage(&[1, 1], &[0.5]);
        assert_eq!(far_corner[0][1], 0.0);
        assert!(far_corner[0][0] > 0.9);
    }

    #[test]
    fn a_prompt_that_was_not_drawn_reaches_nothing() {
        let without_second = four([1.0; 4]).coverage(&[2, 0], &[0.99]);
        assert_eq!(without_second[0][0], without_second[0][1]);
        assert_eq!(four([0.0; 4]).coverage(&[1, 1], &[0.5])[0], [0.0, 0.0]);
    }

    #[test]
    fn scott_of_four_corners() {
        let corners = [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]];
        assert!((scott(&corners) - 4f64.powf(-1.0 / 6.0)).abs() < 1e-12);
    }
}
