//! Which of two answers is better, and whether by much, with a checklist at hand.

use crate::chat::Reply;
use crate::judge::Question;
use crate::judge_file::Parser;
use crate::verdict::{Complaint, unfenced};
use serde_json::{Map, Value};

/// Two answers to one query, what was said before, and what a good answer would have.
#[derive(Clone, Copy, Debug)]
pub struct Rivals<'a> {
    pub history: &'a str,
    pub query: &'a str,
    pub checklist: &'a str,
    /// Called A and B.
    pub answers: [&'a str; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Equal,
    /// The first or the second answer, 0 or 1.
    Better {
        which: usize,
        by_much: bool,
    },
}

impl Question for Rivals<'_> {
    type Verdict = Choice;
    const PARSER: Parser = Parser::Choice;

    fn texts(&self) -> Vec<(&'static str, &str)> {
        let Rivals { history, query, checklist, answers: [a, b] } = self;
        vec![("history", history), ("query", query), ("checklist", checklist), ("answer_a", a), ("answer_b", b)]
    }

    /// A JSON object with a `choice`: `A++`, `A+`, `A=B`, `B+` or `B++`; its other keys are the judge's reasons.
    fn read(&self, reply: &Reply) -> Result<Choice, Complaint> {
        let json = unfenced(reply.content.trim());
        if json.is_empty() {
            return Err(Complaint::Empty);
        }
        let said: Map<String, Value> = serde_json::from_str(json).map_err(|_| Complaint::Form)?;
        match said.get("choice").ok_or(Complaint::Form)?.as_str().map(str::trim) {
            Some("A++") => Ok(Choice::Better { which: 0, by_much: true }),
            Some("A+") => Ok(Choice::Better { which: 0, by_much: false }),
            Some("A=B") => Ok(Choice::Equal),
            Some("B+") => Ok(Choice::Better { which: 1, by_much: false }),
            Some("B++") => Ok(Choice::Better { which: 1, by_much: true }),
            _ => Err(Complaint::Choice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_one_of_five() {
        let rivals = Rivals { history: "", query: "A river?", checklist: "", answers: ["The Rhine.", "Paris."] };
        let read = |content: &str| {
            rivals.read(&Reply { content: content.into(), finish_reason: None, logprobs: Vec::new(), usage: None })
        };
        let better = |which, by_much| Ok(Choice::Better { which, by_much });
        assert_eq!(read(r#"{"reason of A>B": "a river", "choice": "A++"}"#), better(0, true));
        assert_eq!(read("```json\n{\"choice\": \" B+ \"}\n```"), better(1, false));
        assert_eq!([read(r#"{"choice": "A+"}"#), read(r#"{"choice": "B++"}"#)], [better(0, false), better(1, true)]);
        assert_eq!(read(r#"{"choice": "A=B"}"#), Ok(Choice::Equal));
        let cases = [
            ("", Complaint::Empty),
            ("A++", Complaint::Form),
            (r#"{"winner": "A"}"#, Complaint::Form),
            (r#"{"choice": "A"}"#, Complaint::Choice),
            (r#"{"choice": 1}"#, Complaint::Choice),
        ];
        for (content, complaint) in cases {
            assert_eq!(read(content), Err(complaint), "{content}");
        }
    }
}
