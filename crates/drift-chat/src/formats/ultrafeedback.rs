//! UltraFeedback: `{instruction, completions: [{response, overall_score, annotations}]}`. Each
//! completion is a chat of two messages with a rating of 1 to 10 (or, without one, the mean of the
//! fine-grained 1 to 5), branches of one conversation; the best and the worst make a pair.

use serde::Deserialize;
use serde_json::Value;

use super::{Draft, Id, Mark, Parsed, Score, from_slice};
use crate::read::Reason;
use crate::types::{Message, Pair, Role, Signal};

#[derive(Deserialize)]
struct Row {
    id: Option<Id>,
    instruction: String,
    completions: Vec<Completion>,
}

#[derive(Deserialize)]
struct Completion {
    response: String,
    overall_score: Option<Value>,
    #[serde(rename = "fine-grained_score", alias = "fine_grained_score")]
    fine_grained: Option<Value>,
    annotations: Option<Value>,
    critique: Option<String>,
}

impl Completion {
    /// (value, max); `None` where the judge gave no number.
    fn rating(&self) -> Option<(f64, f64)> {
        let number = |value: &Value| {
            value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n: &f64| n.is_finite())
        };
        let within = |max: f64| move |value: &f64| (1.0..=max).contains(value);
        let overall = self.overall_score.as_ref().and_then(number).filter(within(10.0)).map(|value| (value, 10.0));
        let fine = || self.fine_grained.as_ref().and_then(number).filter(within(5.0));
        overall.or_else(|| fine().or_else(|| self.mean()).map(|value| (value, 5.0)))
    }

    /// Of the ratings of helpfulness, honesty, instruction following and truthfulness.
    fn mean(&self) -> Option<f64> {
        let annotations = self.annotations.as_ref()?.as_object()?.values();
        let rating = |one: &Value| one.get("Rating")?.as_str()?.trim().parse::<f64>().ok();
        let ratings: Vec<f64> = annotations.filter_map(rating).filter(|n| (1.0..=5.0).contains(n)).collect();
        (!ratings.is_empty()).then(|| ratings.iter().sum::<f64>() / ratings.len() as f64)
    }
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Row = from_slice(record)?;
    let prompt = vec![Message { role: Role::User, content: row.instruction }];
    let id = row.id.and_then(Id::text).unwrap_or_else(|| crate::ids::content_id(&[&prompt]));
    let answer = |text: &str| vec![Message { role: Role::Assistant, content: text.to_string() }];
    let mut parsed = Parsed::default();
    for (number, completion) in row.completions.iter().enumerate() {
        let rating = completion.rating();
        let marks = rating.map(|(value, max)| Mark {
            message: 1,
            name: "rating".to_string(),
            score: Score::Signal(Signal::Rating { value, min: 1.0, max }),
            comment: completion.critique.clone().filter(|critique| !critique.trim().is_empty()),
        });
        parsed.chats.push(Draft {
            id: Some(id.clone()),
            branch: (number > 0).then(|| (number + 1).to_string()),
            messages: prompt.iter().cloned().chain(answer(&completion.response)).collect(),
            repeated: usize::from(number > 0),
            marks: marks.into_iter().collect(),
            ..Draft::default()
        });
    }
    // scales are not mixed: a share of the way from the worst to the best possible
    let share = |completion: &Completion| completion.rating().map(|(value, max)| (value - 1.0) / (max - 1.0));
    let mut rated: Vec<(f64, &Completion)> = row.completions.iter().filter_map(|c| Some((share(c)?, c))).collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    if let (Some(best), Some(worst)) = (rated.first(), rated.last())
        && best.0 > worst.0
    {
        let (chosen, rejected) = (answer(&best.1.response), answer(&worst.1.response));
        parsed.pairs.push(Pair { conversation: id, prompt, chosen, rejected, ..Pair::default() });
    }
    Ok(parsed)
}
