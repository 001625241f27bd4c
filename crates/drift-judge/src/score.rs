//! How good an answer is, from 1 to 10, against a checklist.

use crate::chat::Reply;
use crate::judge::Question;
use crate::judge_file::Parser;
use crate::verdict::{Complaint, unfenced};
use serde_json::{Map, Value};

/// An answer, what was asked, what was said before, and what a good answer would have.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub history: &'a str,
    pub query: &'a str,
    pub checklist: &'a str,
    pub answer: &'a str,
}

impl Question for Answer<'_> {
    type Verdict = f64;
    const PARSER: Parser = Parser::Score;

    fn texts(&self) -> Vec<(&'static str, &str)> {
        let Answer { history, query, checklist, answer } = self;
        vec![("history", history), ("query", query), ("checklist", checklist), ("answer", answer)]
    }

    /// A JSON object with a `score`, a number or one within quotes; its other keys are the judge's reasons.
    fn read(&self, reply: &Reply) -> Result<f64, Complaint> {
        let json = unfenced(reply.content.trim());
        if json.is_empty() {
            return Err(Complaint::Empty);
        }
        let said: Map<String, Value> = serde_json::from_str(json).map_err(|_| Complaint::Form)?;
        let score = said.get("score").ok_or(Complaint::Form)?;
        let score = score.as_f64().or_else(|| score.as_str()?.trim().parse().ok());
        score.filter(|score| (1.0..=10.0).contains(score)).ok_or(Complaint::Score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_a_number_from_1_to_10() {
        let answer = Answer { history: "", query: "Name a river.", checklist: "- one river", answer: "The Rhine." };
        let read = |content: &str| {
            answer.read(&Reply { content: content.into(), finish_reason: None, logprobs: Vec::new(), usage: None })
        };
        assert_eq!(read(r#"{"strengths": "short", "weaknesses": "", "score": "7"}"#), Ok(7.0));
        assert_eq!(read("```json\n{\"score\": 8.5}\n```"), Ok(8.5));
        let cases = [
            ("", Complaint::Empty),
            ("8", Complaint::Form),
            ("I give {\"score\": 8}", Complaint::Form),
            ("{\"mark\": 8}", Complaint::Form),
            ("{\"score\": 0}", Complaint::Score),
            ("{\"score\": \"good\"}", Complaint::Score),
            ("{\"score\": \"NaN\"}", Complaint::Score),
        ];
        for (content, complaint) in cases {
            assert_eq!(read(content), Err(complaint), "{content}");
        }
    }
}
