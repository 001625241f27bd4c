//! sat_dsat_annotation.json of WildFeedback: one flat array of utterances, a new conversation where
//! the utterance's number is 0. Keys are misspelt in the file; content may be null.
//!
//! The label of a user row judges the answer before it, and only where `Preceeding` says that the
//! turn is about the same topic. Agent rows repeat the label of another row and are not asked.

use serde::Deserialize;
use serde_json::Value;

use super::{Mark, Node, Parsed, Place, Row, Score, from_slice, role};
use crate::read::Reason;
use crate::types::{Message, Role, Signal};

#[derive(Deserialize)]
struct Utterance {
    #[serde(rename = "UtteranceId", alias = "UtterranceId")]
    number: u64,
    #[serde(rename = "Role")]
    role: String,
    #[serde(rename = "Content")]
    content: Option<String>,
    #[serde(rename = "Preceeding", alias = "Preceding")]
    preceding: Option<Value>,
    #[serde(rename = "Satisfaction")]
    sat: Option<Value>,
    #[serde(rename = "Satisfaction-Justificiation", alias = "Satisfaction-Justification")]
    sat_reason: Option<Value>,
    #[serde(rename = "Disatisfaction", alias = "Dissatisfaction")]
    dsat: Option<Value>,
    #[serde(rename = "Dissatisfaction-Justificiation", alias = "Dissatisfaction-Justification")]
    dsat_reason: Option<Value>,
}

pub(super) fn parse(record: &[u8]) -> Result<Parsed, Reason> {
    let row: Utterance = from_slice(record)?;
    let role = role(&row.role)?;
    let mut node = Node::default();
    let preceding = row.preceding.as_ref().and_then(holds) == Some(true);
    if let (Role::User, true, true) = (role, preceding, row.sat.is_some() || row.dsat.is_some()) {
        let label = |value: &Option<Value>| value.as_ref().and_then(holds) == Some(true);
        let (dsat, sat) = (label(&row.dsat), label(&row.sat));
        let reason = if dsat { row.dsat_reason } else { row.sat_reason };
        let comment = reason.as_ref().filter(|_| dsat || sat).and_then(Value::as_str).map(str::to_string);
        let score = Score::Signal(Signal::Annotated { dsat, sat });
        node.on_answer.push(Mark { message: 0, name: "annotation".to_string(), score, comment });
    }
    node.message = Some(Message { role, content: row.content.unwrap_or_default() });
    let place = if row.number == 0 { Place::First } else { Place::Next };
    let row = Row { place, nodes: vec![node], user: None, opted_out: false };
    Ok(Parsed { row: Some(row), ..Parsed::default() })
}

/// Yes or no, in words or as a truth value.
fn holds(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(holds) => Some(*holds),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "" | "n/a" | "na" | "null" => None,
            "no" | "false" | "none" | "0" => Some(false),
            _ => Some(true),
        },
        _ => None,
    }
}
