//! What a number means as a score: the worst and the best of its scale.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::formats::{Mark, Score};
use crate::types::Signal;

/// From the worst to the best, written `1..5`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scale {
    pub min: f64,
    pub max: f64,
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Scale, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let ends = text.split_once("..").and_then(|(min, max)| Some((number(min)?, number(max)?)));
        match ends {
            Some((min, max)) if min < max => Ok(Scale { min, max }),
            _ => Err("expected WORST..BEST, such as 1..5".to_string()),
        }
    }
}

impl TryFrom<String> for Scale {
    type Error = String;

    fn try_from(text: String) -> Result<Scale, String> {
        text.parse()
    }
}

impl From<Scale> for String {
    fn from(scale: Scale) -> String {
        scale.to_string()
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}..{}", self.min, self.max)
    }
}

/// The scale of each kind of score, from the first batch that has it.
pub(crate) struct Scales {
    forced: Option<Scale>,
    seen: HashMap<String, (f64, f64)>,
    fixed: BTreeMap<String, Scale>,
}

impl Scales {
    pub fn new(forced: Option<Scale>) -> Scales {
        Scales { forced, seen: HashMap::new(), fixed: BTreeMap::new() }
    }

    pub fn fixed(&self) -> &BTreeMap<String, Scale> {
        &self.fixed
    }

    pub fn see(&mut self, mark: &Mark) {
        let Score::Number(value) = mark.score else { return };
        if !self.fixed.contains_key(&mark.name) {
            let (min, max) = self.seen.entry(mark.name.clone()).or_insert((value, value));
            (*min, *max) = (min.min(value), max.max(value));
        }
    }

    /// From now on, scores seen so far have the smallest usual scale that holds them.
    pub fn settle(&mut self) {
        for (name, (min, max)) in self.seen.drain() {
            self.fixed.insert(name, self.forced.unwrap_or_else(|| usual_scale(min, max)));
        }
    }

    /// `None`: the number lies outside of the scale of its name.
    pub fn signal(&self, name: &str, score: Score) -> Option<Signal> {
        let value = match score {
            Score::Signal(signal) => return Some(signal),
            Score::Number(value) => value,
        };
        let Scale { min, max } = *self.fixed.get(name)?;
        (min..=max).contains(&value).then_some(Signal::Rating { value, min, max })
    }
}

/// The smallest usual scale that holds both.
fn usual_scale(min: f64, max: f64) -> Scale {
    let usual = [(0.0, 1.0), (-1.0, 1.0), (1.0, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (0.0, 100.0)];
    let found = usual.into_iter().find(|(low, high)| *low <= min && max <= *high);
    let (min, max) = found.unwrap_or((min, max));
    Scale { min, max }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_written_as_two_numbers() {
        let scale: Scale = "-1 .. 2.5".parse().unwrap();
        assert_eq!((scale.min, scale.max), (-1.0, 2.5));
        assert_eq!(scale.to_string().parse(), Ok(scale));
        for bad in ["", "5", "5..1", "1..1", "nan..1", "1..inf", "a..b"] {
            assert!(bad.parse::<Scale>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scale_is_the_smallest_usual_one() {
        let cases = [
            ((0.0, 1.0), (0.0, 1.0)),
            ((-1.0, 1.0), (-1.0, 1.0)),
            ((2.0, 4.0), (1.0, 5.0)),
            ((0.0, 3.0), (0.0, 5.0)),
            ((1.0, 7.5), (1.0, 10.0)),
            ((0.0, 55.0), (0.0, 100.0)),
            ((-3.0, 700.0), (-3.0, 700.0)),
        ];
        for ((min, max), expected) in cases {
            let scale = usual_scale(min, max);
            assert_eq!((scale.min, scale.max), expected, "{min} to {max}");
        }
    }
}
