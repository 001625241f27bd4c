//! Do a method's answers explore? Answers of several methods to the same prompts, embedded: the share of the rewarded
//! region that each reaches on a plane (the paper's exploration analysis), and diversity where they are embedded. The
//! paper leaves its settings open; all of ours are in [`Settings`] and constants, and go into the report.

mod diversity;
mod landscape;
mod spectrum;
mod umap;

pub use landscape::{GRID, REACH};
pub use umap::{EPOCHS, NEIGHBOURS, umap};

use crate::error::{Error, Result};
use crate::mersenne::Mersenne;
use crate::statistics::bootstrap_mean;
use diversity::{best_of, clusters, vendi};
use landscape::{Landscape, scott};
use serde::Serialize;

/// Rows of `dim` numbers, each of length 1.
#[derive(Clone, Copy)]
pub struct Points<'a> {
    rows: &'a [f32],
    dim: usize,
}

impl<'a> Points<'a> {
    /// # Panics
    /// Not whole rows.
    pub fn new(rows: &'a [f32], dim: usize) -> Points<'a> {
        assert!(dim > 0 && rows.len().is_multiple_of(dim), "{} numbers in rows of {dim}", rows.len());
        Points { rows, dim }
    }

    pub fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn row(&self, i: usize) -> &'a [f32] {
        &self.rows[i * self.dim..(i + 1) * self.dim]
    }

    fn part(&self, from: usize, count: usize) -> Points<'a> {
        Points { rows: &self.rows[from * self.dim..(from + count) * self.dim], dim: self.dim }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// All arrays [methods, prompts, samples].
pub struct Answers<'a> {
    pub methods: Vec<String>,
    pub prompts: usize,
    pub samples: usize,
    pub points: Points<'a>,
    /// 0 to 1.
    pub rewards: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    pub seed: u64,
    /// Planes, each by another seed.
    pub planes: usize,
    /// Of Scott's.
    pub bandwidths: Vec<f64>,
    /// Shares of all rewards that the region holds.
    pub quantiles: Vec<f64>,
    /// Reward from which an answer counts as good.
    pub good: f64,
    /// Cosines from which two good answers are one.
    pub same: Vec<f64>,
    pub resamples: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 1,
            planes: 3,
            bandwidths: vec![0.1, 0.2, 0.4],
            quantiles: vec![0.5, 0.8, 0.95],
            good: 1.0,
            same: vec![0.8, 0.9, 0.95],
            resamples: 500,
        }
    }
}

/// With its 95 % interval, prompts drawn anew; `None` for fewer than two prompts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    pub value: f64,
    pub interval: Option<[f64; 2]>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct At {
    pub at: f64,
    #[serde(flatten)]
    pub figure: Figure,
}

#[derive(Clone, Debug, Serialize)]
pub struct Method {
    pub name: String,
    pub reward: Figure,
    /// Share of the high-reward region reached, mean over planes, bandwidths and quantiles.
    pub coverage: Figure,
    /// The same less the first method's, prompt draws in common; `None` for the first itself.
    pub coverage_gain: Option<Figure>,
    /// Vendi score of the samples of one prompt, mean over prompts: 1 to samples.
    pub vendi: Figure,
    /// Vendi score of all answers.
    pub vendi_of_all: f64,
    /// Distinct good answers a prompt, by the cosine from which two are one.
    pub distinct_good: Vec<At>,
    /// Chance of a good answer among k.
    pub best_of: Vec<At>,
}

/// Coverage at one setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coverage {
    pub plane: usize,
    pub bandwidth: f64,
    pub quantile: f64,
    /// In the methods' order, with all prompts.
    pub coverage: Vec<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Exploration {
    pub prompts: usize,
    pub samples: usize,
    pub settings: Settings,
    pub methods: Vec<Method>,
    pub coverage: Vec<Coverage>,
    /// Places on the first plane, in the answers' order.
    pub places: Vec<[f64; 2]>,
}

/// # Errors
/// Counts that do not fit each other, too few answers for a plane, or rewards outside 0 to 1.
pub fn explore(answers: &Answers, settings: &Settings) -> Result<Exploration> {
    check(answers)?;
    let planes: Vec<Vec<[f64; 2]>> =
        (0..settings.planes).map(|plane| umap(&answers.points, settings.seed + plane as u64)).collect();
    let views: Vec<(usize, f64, Landscape)> = planes
        .iter()
        .enumerate()
        .flat_map(|(plane, places)| settings.bandwidths.iter().map(move |&bandwidth| (plane, bandwidth, places)))
        .map(|(plane, bandwidth, places)| {
            (plane, bandwidth, Landscape::new(answers, places, bandwidth * scott(places)))
        })
        .collect();
    let whole = vec![1; answers.prompts];
    let coverage = views
        .iter()
        .flat_map(|&(plane, bandwidth, ref view)| {
            let by_quantile = settings.quantiles.iter().zip(view.coverage(&whole, &settings.quantiles));
            by_quantile.map(move |(&quantile, coverage)| Coverage { plane, bandwidth, quantile, coverage })
        })
        .collect();
    let drawn = resampled(answers, settings, &views);
    let methods = (0..answers.methods.len()).map(|m| method(answers, settings, m, &drawn)).collect();
    let places = planes.into_iter().next().unwrap_or_default();
    Ok(Exploration {
        prompts: answers.prompts,
        samples: answers.samples,
        settings: settings.clone(),
        methods,
        coverage,
        places,
    })
}

fn check(answers: &Answers) -> Result<()> {
    let Answers { methods, prompts, samples, points, rewards } = answers;
    let expected = methods.len() * prompts * samples;
    if points.len() != expected || rewards.len() != expected {
        let what = format!("{} embeddings and {} rewards, expected {expected} of each", points.len(), rewards.len());
        return Err(Error::new("exploration", what));
    }
    if expected < 2 {
        return Err(Error::new("exploration", format!("{expected} answers, expected at least 2")));
    }
    match rewards.iter().find(|reward| !(0.0..=1.0).contains(*reward)) {
        Some(reward) => Err(Error::new("exploration", format!("a reward of {reward}, expected 0 to 1"))),
        None => Ok(()),
    }
}

/// Each method's coverage, mean over the views, in every resample of the prompts: [resamples][methods].
fn resampled(answers: &Answers, settings: &Settings, views: &[(usize, f64, Landscape)]) -> Vec<Vec<f64>> {
    let mut random = Mersenne::from_text(&format!("exploration {}", settings.seed));
    let mut draw = || {
        let mut times = vec![0; answers.prompts];
        (0..answers.prompts).for_each(|_| times[random.below(answers.prompts)] += 1);
        times
    };
    let mean = |times: Vec<u32>| {
        let mut sums = vec![0.0; answers.methods.len()];
        let all = views.iter().flat_map(|(_, _, view)| view.coverage(&times, &settings.quantiles));
        let mut count = 0;
        for coverage in all {
            sums.iter_mut().zip(coverage).for_each(|(sum, share)| *sum += share);
            count += 1;
        }
        sums.into_iter().map(|sum| sum / f64::from(count.max(1))).collect()
    };
    (0..settings.resamples).map(|_| mean(draw())).collect()
}

fn method(answers: &Answers, settings: &Settings, m: usize, drawn: &[Vec<f64>]) -> Method {
    let Answers { prompts, samples, points, rewards, .. } = answers;
    let names: Vec<String> = (0..*prompts).map(|prompt| prompt.to_string()).collect();
    // over prompts
    let mean = |value: &dyn Fn(usize) -> f64| -> Figure {
        let values: Vec<(&str, f64)> = (0..*prompts).map(|prompt| (&names[prompt][..], value(prompt))).collect();
        let sum: f64 = values.iter().map(|(_, value)| value).sum();
        let interval = bootstrap_mean(&values, settings.seed).map(|interval| [interval.low, interval.high]);
        Figure { value: sum / *prompts as f64, interval }
    };
    let first = |prompt: usize| (m * prompts + prompt) * samples;
    let good = |prompt: usize| (first(prompt)..first(prompt) + samples).filter(|&at| rewards[at] >= settings.good);
    let distinct =
        |same: f64| mean(&|prompt| clusters(&good(prompt).map(|at| points.row(at)).collect::<Vec<_>>(), same) as f64);
    Method {
        name: answers.methods[m].clone(),
        reward: mean(&|prompt| rewards[first(prompt)..][..*samples].iter().sum::<f64>() / *samples as f64),
        coverage: of_draws(drawn.iter().map(|methods| methods[m]), *prompts),
        coverage_gain: (m > 0).then(|| of_draws(drawn.iter().map(|methods| methods[m] - methods[0]), *prompts)),
        vendi: mean(&|prompt| vendi(&points.part(first(prompt), *samples))),
        vendi_of_all: vendi(&points.part(first(0), prompts * samples)),
        distinct_good: settings.same.iter().map(|&at| At { at, figure: distinct(at) }).collect(),
        best_of: (1..=*samples)
            .map(|k| At { at: k as f64, figure: mean(&|prompt| best_of(k, *samples, good(prompt).count())) })
            .collect(),
    }
}

/// Mean and interval of the draws themselves: a resample has fewer distinct prompts than the whole, and reaches less, so
/// that the whole's figure could lie outside.
fn of_draws(draws: impl Iterator<Item = f64>, prompts: usize) -> Figure {
    let mut draws: Vec<f64> = draws.collect();
    draws.sort_unstable_by(f64::total_cmp);
    let n = draws.len();
    let value = draws.iter().sum::<f64>() / n.max(1) as f64;
    Figure { value, interval: (n >= 40 && prompts > 1).then(|| [draws[n / 40], draws[n - 1 - n / 40]]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit vectors around as many axes as there are groups: rows, and each row's group.
    pub(crate) fn blob_rows(groups: usize, each: usize, dim: usize, spread: f64) -> (Vec<f32>, Vec<usize>) {
        let mut random = Mersenne::from_text("blobs");
        let mut rows = Vec::new();
        for at in 0..groups * each {
            let mut row: Vec<f64> =
                (0..dim).map(|i| f64::from(i == at % groups) + spread * (random.uniform() - 0.5)).collect();
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.iter_mut().for_each(|x| *x /= length);
            rows.extend(row.into_iter().map(|x| x as f32));
        }
        (rows, (0..groups * each).map(|at| at % groups).collect())
    }

    pub(crate) fn blobs(groups: usize, each: usize, dim: usize, spread: f64) -> (Points<'static>, Vec<usize>) {
        let (rows, group) = blob_rows(groups, each, dim, spread);
        (Points::new(rows.leak(), dim), group)
    }

    /// Of 16 prompts the first method answers in four ways, the second always in one; all answers are good.
    fn wide_and_narrow() -> (Vec<f32>, Answers<'static>) {
        let (rows, group) = blob_rows(4, 32, 8, 0.1);
        let rows_of = |wanted: Option<usize>| -> Vec<f32> {
            let chosen = (0..128).filter(|&at| wanted.is_none_or(|wanted| group[at] == wanted)).cycle().take(64);
            chosen.flat_map(|at| rows[at * 8..(at + 1) * 8].to_vec()).collect()
        };
        let both = [rows_of(None), rows_of(Some(0))].concat();
        let answers = Answers {
            methods: vec!["wide".into(), "narrow".into()],
            prompts: 16,
            samples: 4,
            points: Points::new(both.clone().leak(), 8),
            rewards: vec![1.0; 128],
        };
        (both, answers)
    }

    #[test]
    fn the_method_that_varies_covers_more() {
        let (_, answers) = wide_and_narrow();
        let settings = Settings { resamples: 50, planes: 2, ..Settings::default() };
        let report = explore(&answers, &settings).unwrap();
        let [wide, narrow] = &report.methods[..] else { panic!("two methods") };
        assert!(wide.coverage.value > narrow.coverage.value + 0.1, "{wide:?} {narrow:?}");
        let gain = narrow.coverage_gain.unwrap();
        assert!(gain.value < -0.1 && gain.interval.unwrap()[1] < 0.0 && wide.coverage_gain.is_none(), "{gain:?}");
        assert!(wide.vendi.value > 3.5 && narrow.vendi.value < 1.1);
        assert_eq!((wide.distinct_good[0].figure.value, narrow.distinct_good[0].figure.value), (4.0, 1.0));
        assert_eq!((wide.reward.value, wide.best_of[3].figure.value), (1.0, 1.0));
        assert_eq!(report.coverage.len(), 2 * 3 * 3);
        assert_eq!(report.places.len(), 128);
        let again = explore(&answers, &settings).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&report).unwrap());
    }

    #[test]
    fn one_prompt_has_no_intervals() {
        let (_, answers) = wide_and_narrow();
        let one = Answers { prompts: 1, samples: 64, ..answers };
        let report = explore(&one, &Settings { resamples: 50, planes: 1, ..Settings::default() }).unwrap();
        let [first, second] = &report.methods[..] else { panic!("two methods") };
        let figures = [first.reward, first.coverage, first.vendi, second.coverage_gain.unwrap()];
        assert!(figures.iter().all(|figure| figure.interval.is_none()), "{figures:?}");
    }

    #[test]
    fn counts_and_rewards_are_checked() {
        let (_, mut answers) = wide_and_narrow();
        answers.rewards[3] = f64::NAN;
        let error = explore(&answers, &Settings::default()).unwrap_err().to_string();
        assert_eq!(error, "exploration: a reward of NaN, expected 0 to 1");
        answers.rewards.pop();
        let error = explore(&answers, &Settings::default()).unwrap_err().to_string();
        assert_eq!(error, "exploration: 128 embeddings and 127 rewards, expected 128 of each");
    }
}
