//! What a feedback judge says of a turn, read strictly: a reply that is nearly a verdict is none.

use crate::chat::Reply;
use crate::judge::Question;
use crate::judge_file::Parser;
use drift_feedback::{DSAT_RUBRICS, SAT_RUBRICS, Verdict as Feedback};
use serde::{Deserialize, Serialize};

/// A user turn, the answer that it judges, and the request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    pub request: &'a str,
    pub answer: &'a str,
    pub turn: &'a str,
}

impl Question for Turn<'_> {
    type Verdict = Verdict;
    const PARSER: Parser = Parser::Feedback;

    fn texts(&self) -> Vec<(&'static str, &str)> {
        vec![("request", self.request), ("answer", self.answer), ("turn", self.turn)]
    }

    fn read(&self, reply: &Reply) -> Result<Verdict, Complaint> {
        Verdict::parse(&reply.content, self.turn)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub label: Feedback,
    /// One of [`DSAT_RUBRICS`] or [`SAT_RUBRICS`]; of `BOTH`, the dissatisfaction; of `NONE`, none.
    pub rubric: Option<&'static str>,
    /// The judge's own, that the label is right, 0 to 1.
    pub confidence: f64,
    /// First and last (exclusive) byte of the quoted words in the turn.
    pub cue: Option<(usize, usize)>,
}

/// Why a reply is no verdict: told to the judge once, and to the user in an error. Quotes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Complaint {
    #[error("empty, expected a JSON object")]
    Empty,
    #[error("not one JSON object with the keys that were asked for and nothing else")]
    Form,
    #[error("label is none of SAT, DSAT, BOTH, NONE")]
    Label,
    #[error(
        "rubric is not a name of the label's side; DSAT and BOTH take one of dissatisfaction, SAT one of satisfaction"
    )]
    Rubric,
    #[error("label NONE with a rubric or a cue, expected null for both")]
    NotNull,
    #[error("confidence is no number from 0 to 1")]
    Confidence,
    #[error("cue is not copied letter by letter from the user's turn")]
    Cue,
    #[error("neither m nor M, expected the one that names the better answer")]
    Name,
    #[error("score is no number from 1 to 10")]
    Score,
    #[error("choice is none of A++, A+, A=B, B+, B++")]
    Choice,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    label: String,
    rubric: Option<String>,
    confidence: f64,
    cue: Option<String>,
}

impl Verdict {
    /// One JSON object, bare or in one Markdown code block, and nothing around it.
    pub fn parse(reply: &str, turn: &str) -> Result<Verdict, Complaint> {
        let json = unfenced(reply.trim());
        if json.is_empty() {
            return Err(Complaint::Empty);
        }
        let Said { label, rubric, confidence, cue } = serde_json::from_str(json).map_err(|_| Complaint::Form)?;
        let (label, side) = match label.as_str() {
            "SAT" => (Feedback::Sat, &SAT_RUBRICS[..]),
            "DSAT" => (Feedback::Dsat, &DSAT_RUBRICS[..]),
            "BOTH" => (Feedback::Both, &DSAT_RUBRICS[..]),
            "NONE" => (Feedback::None, &[][..]),
            _ => return Err(Complaint::Label),
        };
        if !(0.0..=1.0).contains(&confidence) {
            return Err(Complaint::Confidence);
        }
        if label == Feedback::None {
            let plain = Verdict { label, rubric: None, confidence, cue: None };
            let nothing = cue.is_none_or(|cue| cue.is_empty());
            return if rubric.is_none() && nothing { Ok(plain) } else { Err(Complaint::NotNull) };
        }
        let rubric = rubric.and_then(|rubric| side.iter().find(|name| **name == rubric)).ok_or(Complaint::Rubric)?;
        let cue = cue.filter(|cue| !cue.trim().is_empty()).ok_or(Complaint::Cue)?;
        let start = turn.find(&cue).ok_or(Complaint::Cue)?;
        let cue = Some((start, start + cue.len()));
        Ok(Verdict { label, rubric: Some(rubric), confidence, cue })
    }
}

/// The inside of a code block that is the whole text.
pub(crate) fn unfenced(text: &str) -> &str {
    let inside = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inside.map_or(text, |inside| inside.strip_prefix("json").unwrap_or(inside).trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TURN: &str = "Thanks, but that's “wrong” – again.";

    fn said(label: &str, rubric: &str, confidence: &str, cue: &str) -> String {
        format!(r#"{{"label":"{label}","rubric":{rubric},"confidence":{confidence},"cue":{cue}}}"#)
    }

    #[test]
    fn a_verdict_has_its_place_in_the_turn() {
        let reply = said("DSAT", "\"factual_error\"", "0.9", "\"that's “wrong”\"");
        let start = TURN.find("that").unwrap();
        let cue = Some((start, start + "that's “wrong”".len()));
        let expected = Verdict { label: Feedback::Dsat, rubric: Some("factual_error"), confidence: 0.9, cue };
        assert_eq!(Verdict::parse(&reply, TURN), Ok(expected));
        assert_eq!(Verdict::parse(&format!("\n```json\n{reply}\n```\n"), TURN), Ok(expected));
        assert_eq!(Verdict::parse(&format!("```{reply}```"), TURN), Ok(expected));
        let none = Verdict::parse(r#"{"label":"NONE","confidence":1}"#, TURN).unwrap();
        assert_eq!((none.label, none.rubric, none.cue), (Feedback::None, None, None));
        let both = Verdict::parse(&said("BOTH", "\"style\"", "0", "\"Thanks\""), TURN).unwrap();
        assert_eq!((both.label, both.cue), (Feedback::Both, Some((0, 6))));
    }

    #[test]
    fn what_is_nearly_a_verdict_is_none() {
        let (rubric, cue) = ("\"revision\"", "\"again\"");
        let good = said("DSAT", rubric, "0.5", cue);
        let cases = [
            (" ".to_string(), Complaint::Empty),
            (format!("Here it is: {good}"), Complaint::Form),
            (format!("{good} {good}"), Complaint::Form),
            (good[..good.len() - 1].to_string(), Complaint::Form),
            (good.replace("{", "{\"why\":\"x\","), Complaint::Form),
            (good.replace("{", "{\"label\":\"SAT\","), Complaint::Form),
            (said("DSAT", rubric, "\"high\"", cue), Complaint::Form),
            (said("DSAT", rubric, "null", cue), Complaint::Form),
            (said("dsat", rubric, "0.5", cue), Complaint::Label),
            (said("UNKNOWN", rubric, "0.5", cue), Complaint::Label),
            (said("DSAT", rubric, "1.01", cue), Complaint::Confidence),
            (said("DSAT", rubric, "-0.5", cue), Complaint::Confidence),
            (said("DSAT", "\"gratitude\"", "0.5", cue), Complaint::Rubric),
            (said("SAT", rubric, "0.5", cue), Complaint::Rubric),
            (said("BOTH", "\"praise\"", "0.5", cue), Complaint::Rubric),
            (said("DSAT", "null", "0.5", cue), Complaint::Rubric),
            (said("NONE", rubric, "0.5", "null"), Complaint::NotNull),
            (said("NONE", "null", "0.5", cue), Complaint::NotNull),
            (said("DSAT", rubric, "0.5", "\"that's wrong\""), Complaint::Cue),
            (said("DSAT", rubric, "0.5", "\"Again\""), Complaint::Cue),
            (said("DSAT", rubric, "0.5", "\" \""), Complaint::Cue),
            (said("DSAT", rubric, "0.5", "null"), Complaint::Cue),
        ];
        for (reply, complaint) in cases {
            assert_eq!(Verdict::parse(&reply, TURN), Err(complaint), "{reply}");
        }
    }

    proptest! {
        /// Any quote of the turn is found where its bytes are.
        #[test]
        fn a_quote_is_found(turn in "\\PC{1,40}", from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let chars: Vec<char> = turn.chars().collect();
            let (a, b) = (from.index(chars.len()), to.index(chars.len()));
            let quote: String = chars[a.min(b)..=a.max(b)].iter().collect();
            prop_assume!(!quote.trim().is_empty());
            let reply = said("DSAT", "\"style\"", "0.25", &serde_json::to_string(&quote).unwrap());
            let (start, end) = Verdict::parse(&reply, &turn).unwrap().cue.unwrap();
            prop_assert_eq!(&turn[start..end], quote.as_str());
        }

        #[test]
        fn no_reply_makes_it_panic(reply in "\\PC{0,80}", turn in "\\PC{0,40}") {
            let _ = Verdict::parse(&reply, &turn);
        }
    }
}
