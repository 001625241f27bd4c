//! Explicit feedback in the spellings of the loggers: thumbs, scores and comments, within a record
//! or in a file of its own that names what it judges by id.

use serde_json::Value;

use super::{Counts, KeptOut, Mark, Parsed, Score, from_slice, keep_out};
use crate::read::Reason;
use crate::types::Signal;

/// Words in the name of a score that a person gave to an answer. Others are latencies, costs,
/// toxicities and the like, of which more is not better.
const OF_ANSWERS: [&str; 17] = [
    "feedback", "thumb", "rating", "user", "like", "satisf", "helpful", "star", "csat", "accept", "quality", "correct",
    "vote", "score", "reaction", "approv", "useful",
];
const UP: [&str; 17] = [
    "up",
    "thumbs_up",
    "thumbsup",
    "thumb_up",
    "like",
    "liked",
    "positive",
    "good",
    "+1",
    "true",
    "yes",
    "helpful",
    "accepted",
    "👍",
    "correct",
    "upvote",
    "satisfied",
];
const DOWN: [&str; 19] = [
    "down",
    "thumbs_down",
    "thumbsdown",
    "thumb_down",
    "dislike",
    "disliked",
    "negative",
    "bad",
    "-1",
    "false",
    "no",
    "unhelpful",
    "rejected",
    "👎",
    "incorrect",
    "downvote",
    "dissatisfied",
    "not_helpful",
    "unsatisfied",
];

/// What a value says of an answer: true and false, a number, a word.
pub(super) fn score(value: &Value) -> Option<Score> {
    match value {
        Value::Bool(up) => Some(Score::Signal(Signal::Thumbs(*up))),
        Value::Number(number) => number.as_f64().filter(|n| n.is_finite()).map(Score::Number),
        Value::String(text) => {
            let word = text.trim().to_lowercase().replace([' ', '-'], "_");
            let word = if matches!(text.trim(), "+1" | "-1") { text.trim().to_string() } else { word };
            if UP.contains(&word.as_str()) {
                Some(Score::Signal(Signal::Thumbs(true)))
            } else if DOWN.contains(&word.as_str()) {
                Some(Score::Signal(Signal::Thumbs(false)))
            } else {
                word.parse().ok().filter(|n: &f64| n.is_finite()).map(Score::Number)
            }
        }
        _ => None,
    }
}

/// All feedback that a record holds on its answer, at `message`.
pub(super) fn marks(record: &Value, message: usize, kept_out: &mut Counts) -> Vec<Mark> {
    let mut marks = Vec::new();
    let lists = ["scores", "feedback", "feedbacks", "feedback_stats", "user_feedback", "metrics"];
    for key in lists {
        let Some(value) = record.get(key) else { continue };
        let parsed = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        match parsed.as_ref().unwrap_or(value) {
            Value::Array(items) => {
                for item in items {
                    marks.extend(one(item, key, message, kept_out));
                }
            }
            // by name: `{"helpfulness": {"avg": 1}}`; or one score with its value and comment
            Value::Object(object) if !object.keys().any(|key| VALUES.contains(&key.as_str()) || key == "comment") => {
                for (name, value) in object {
                    marks.extend(named(name, value, message, kept_out));
                }
            }
            value => marks.extend(one(value, key, message, kept_out)),
        }
    }
    for key in ["rating", "score", "thumbs", "thumb", "reaction", "vote", "liked"] {
        if let Some(score) = record.get(key).and_then(score) {
            marks.push(Mark { message, name: key.to_string(), score, comment: comment(record) });
        }
    }
    for (key, signal) in [("regenerated", Signal::Regenerated), ("edited", Signal::Edited(None))] {
        if record.get(key).and_then(Value::as_bool) == Some(true) {
            marks.push(Mark { message, name: key.to_string(), score: Score::Signal(signal), comment: None });
        }
    }
    marks
}

/// Where a score keeps its value, the best first.
const VALUES: [&str; 7] = ["stringValue", "string_value", "value", "score", "rating", "avg", "values"];

fn comment(object: &Value) -> Option<String> {
    let texts = ["comment", "comments", "reason", "feedback_text"].iter().find_map(|key| object.get(*key))?;
    let text = texts.as_str().or_else(|| texts.as_array()?.iter().find_map(Value::as_str))?;
    (!text.trim().is_empty()).then(|| text.to_string())
}

/// One score, as an object with a name, or bare.
fn one(item: &Value, key: &str, message: usize, kept_out: &mut Counts) -> Option<Mark> {
    let name = ["name", "key", "metric_name"].iter().find_map(|key| item.get(*key)?.as_str()).unwrap_or(key);
    named(name, item, message, kept_out)
}

fn named(name: &str, item: &Value, message: usize, kept_out: &mut Counts) -> Option<Mark> {
    let mark = |score, comment| Some(Mark { message, name: name.to_string(), score, comment });
    if let Some(correction) = item.get("correction").filter(|correction| !correction.is_null()) {
        let text = correction.as_str().or_else(|| {
            ["content", "text", "output", "answer", "desired"].iter().find_map(|key| correction.get(*key)?.as_str())
        });
        return mark(Score::Signal(Signal::Edited(text.map(str::to_string))), comment(item));
    }
    let lower = name.to_lowercase();
    if !OF_ANSWERS.iter().any(|word| lower.contains(word)) && lower != "feedback_stats" {
        keep_out(kept_out, KeptOut::OtherScores, 1);
        return None;
    }
    let is_boolean = ["dataType", "data_type"]
        .iter()
        .any(|key| item.get(*key).and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("boolean")));
    let found = if item.is_object() { VALUES.iter().find_map(|key| score(item.get(*key)?)) } else { score(item) };
    match (found, comment(item)) {
        (Some(Score::Number(value)), comment) if is_boolean => {
            mark(Score::Signal(Signal::Thumbs(value != 0.0)), comment)
        }
        (Some(score), comment) => mark(score, comment),
        (None, Some(comment)) => mark(Score::Signal(Signal::Commented), Some(comment)),
        (None, None) => {
            keep_out(kept_out, KeptOut::OtherScores, 1);
            None
        }
    }
}

/// A row of a feedback file: Langfuse's scores, LangSmith's feedback, TensorZero's metrics, comments
/// and demonstrations, ChatGPT's message_feedback.json.
pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Value = from_slice(record)?;
    let mut parsed = Parsed::default();
    // the narrowest target first
    let ids =
        ["observationId", "observation_id", "inference_id", "target_id", "run_id", "message_id", "traceId", "trace_id"];
    let target = ids.iter().find_map(|key| row.get(*key)?.as_str()).or_else(|| row.get("id")?.as_str());
    let Some(target) = target else { return Err(Reason::WrongShape) };
    if let Some(mark) = target_mark(&row, &mut parsed.kept_out) {
        parsed.feedback.push((target.to_string(), mark));
    }
    Ok(parsed)
}

fn target_mark(row: &Value, kept_out: &mut Counts) -> Option<Mark> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let signal = |name: &str, signal, comment: Option<&str>| {
        let comment = comment.filter(|comment| !comment.trim().is_empty()).map(str::to_string);
        Some(Mark { message: 0, name: name.to_string(), score: Score::Signal(signal), comment })
    };
    match (text("metric_name"), text("target_type")) {
        // TensorZero: the table of comments has a target_type and no metric, that of demonstrations an inference_id alone
        (Some("comment"), _) | (None, Some(_)) => return signal("comment", Signal::Commented, text("value")),
        (Some("demonstration"), _) => return demonstration(row),
        (None, None) if row.get("inference_id").is_some() && row.get("score").is_none() => return demonstration(row),
        _ => {}
    }
    if let Some(rating) = text("rating").and_then(|_| row.get("rating").and_then(score)) {
        // ChatGPT keeps the words in a text of JSON
        let content = text("content").and_then(|text| serde_json::from_str::<Value>(text).ok());
        let words = content.as_ref().and_then(|content| content.get("text")).and_then(Value::as_str);
        let comment = words.filter(|words| !words.is_empty()).map(str::to_string);
        return Some(Mark { message: 0, name: "rating".to_string(), score: rating, comment });
    }
    one(row, "score", 0, kept_out)
}

/// What the answer should have been, as TensorZero's content blocks.
fn demonstration(row: &Value) -> Option<Mark> {
    let value = super::turns::unwrapped(row.get("value")?).into_owned();
    let blocks = value.as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(&value));
    let texts = blocks
        .iter()
        .filter_map(|block| block.as_str().or_else(|| block.get("text").or_else(|| block.get("value"))?.as_str()));
    let text = texts.collect::<Vec<_>>().join("\n");
    let score = Score::Signal(Signal::Edited((!text.is_empty()).then_some(text)));
    Some(Mark { message: 0, name: "demonstration".to_string(), score, comment: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(record: Value) -> Vec<(Score, Option<String>)> {
        marks(&record, 3, &mut Counts::new()).into_iter().map(|mark| (mark.score, mark.comment)).collect()
    }

    #[test]
    fn scores_are_found_in_every_spelling() {
        let (up, down) = (Score::Signal(Signal::Thumbs(true)), Score::Signal(Signal::Thumbs(false)));
        let langfuse = json!({"scores": [
            {"name": "user-feedback", "value": 0, "dataType": "BOOLEAN", "stringValue": "False", "comment": "wrong"},
            {"name": "rating", "value": 4.0, "dataType": "NUMERIC"}, {"name": "latency", "value": 17}]});
        assert_eq!(found(langfuse), [(down.clone(), Some("wrong".into())), (Score::Number(4.0), None)]);
        let langsmith = json!({"feedback_stats": {"user_score": {"n": 1, "avg": 1.0, "comments": ["nice"]}}});
        assert_eq!(found(langsmith), [(Score::Number(1.0), Some("nice".into()))]);
        let by_text = json!({"feedback_stats": "{\"user_score\": {\"n\": 1, \"avg\": 0.0}}"});
        assert_eq!(found(by_text), [(Score::Number(0.0), None)]);
        for (value, score) in
            [(json!("thumbs_up"), &up), (json!("👎"), &down), (json!(false), &down), (json!("+1"), &up)]
        {
            assert_eq!(found(json!({ "feedback": value })), [(score.clone(), None)]);
        }
        let correction = json!({"feedback": [{"key": "correctness", "score": 0, "correction": {"answer": "42"}}]});
        assert_eq!(found(correction), [(Score::Signal(Signal::Edited(Some("42".into()))), None)]);
        assert_eq!(found(json!({"regenerated": true})), [(Score::Signal(Signal::Regenerated), None)]);
        assert_eq!(found(json!({"scores": [], "feedback": null})), []);
    }

    #[test]
    fn rows_of_feedback_name_their_target() {
        let row = |value: Value| {
            let parsed = parse(value.to_string().as_bytes()).unwrap();
            parsed.feedback.into_iter().map(|(id, mark)| (id, mark.score, mark.comment)).collect::<Vec<_>>()
        };
        let thumbs = |up| Score::Signal(Signal::Thumbs(up));
        let boolean = json!({"id": "f", "target_id": "i1", "metric_name": "user_liked", "value": false});
        assert_eq!(row(boolean), [("i1".into(), thumbs(false), None)]);
        let comment = json!({"id": "f", "target_id": "i1", "target_type": "inference", "value": "too long"});
        assert_eq!(row(comment), [("i1".into(), Score::Signal(Signal::Commented), Some("too long".into()))]);
        let shown = json!({"id": "f", "inference_id": "i2", "value": "[{\"type\":\"text\",\"text\":\"better\"}]"});
        assert_eq!(row(shown), [("i2".into(), Score::Signal(Signal::Edited(Some("better".into()))), None)]);
        let chatgpt =
            json!({"id": "m1", "conversation_id": "c", "rating": "thumbs_down", "content": "{\"text\":\"no\"}"});
        assert_eq!(row(chatgpt), [("m1".into(), thumbs(false), Some("no".into()))]);
        let langfuse = json!({"id": "s", "traceId": "t", "observationId": "o", "name": "rating", "value": 0.5});
        assert_eq!(row(langfuse), [("o".into(), Score::Number(0.5), None)]);
    }
}
