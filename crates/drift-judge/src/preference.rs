//! Which of two answers is better, from the first token of the judge's reply.

use crate::chat::Reply;
use crate::judge::Question;
use crate::judge_file::Parser;
use crate::verdict::Complaint;

/// An instruction and two answers. The judge knows the first as `m`, the second as `M`.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    pub instruction: &'a str,
    pub first: &'a str,
    pub second: &'a str,
}

/// Log-probs of the two names as the reply's first token; a name that is not among the likeliest has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preference {
    pub m: Option<f64>,
    pub big_m: Option<f64>,
}

impl Question for Answers<'_> {
    type Verdict = Preference;
    const PARSER: Parser = Parser::Preference;

    fn texts(&self) -> Vec<(&'static str, &str)> {
        vec![("instruction", self.instruction), ("output_1", self.first), ("output_2", self.second)]
    }

    /// Without log-probs of alternatives, which some endpoints do not give, the name itself is a sure verdict.
    fn read(&self, reply: &Reply) -> Result<Preference, Complaint> {
        let said = reply.content.trim();
        let (m, big_m) = match reply.logprobs.first().filter(|first| !first.top.is_empty()) {
            Some(first) => {
                let of = |name: &str| {
                    let at = first.top.iter().find(|token| token.token == name)?;
                    Some(at.logprob).filter(|logprob| !logprob.is_nan())
                };
                (of("m"), of("M"))
            }
            None => ((said == "m").then_some(0.0), (said == "M").then_some(0.0)),
        };
        match (m, big_m) {
            (None, None) if said.is_empty() => Err(Complaint::Empty),
            (None, None) => Err(Complaint::Name),
            (m, big_m) => Ok(Preference { m, big_m }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::TokenLogprob;

    const ANSWERS: Answers = Answers { instruction: "Name a river.", first: "The Rhine.", second: "Water." };

    fn reply(content: &str, top: &[(&str, f64)]) -> Reply {
        let token = |&(token, logprob): &(&str, f64)| TokenLogprob { token: token.into(), logprob, top: Vec::new() };
        let first = TokenLogprob { token: content.into(), logprob: 0.0, top: top.iter().map(token).collect() };
        let logprobs = if top.is_empty() { Vec::new() } else { vec![first] };
        Reply { content: content.into(), finish_reason: None, logprobs, usage: None }
    }

    #[test]
    fn the_first_token_decides() {
        let both = reply("M", &[("M", -0.25), ("The", -2.0), ("m", -1.5)]);
        assert_eq!(ANSWERS.read(&both), Ok(Preference { m: Some(-1.5), big_m: Some(-0.25) }));
        let one = reply("The", &[("The", -0.1), ("m", -4.0)]);
        assert_eq!(ANSWERS.read(&one), Ok(Preference { m: Some(-4.0), big_m: None }));
        assert_eq!(ANSWERS.read(&reply("m", &[("a", -0.1)])), Err(Complaint::Name));
    }

    #[test]
    fn without_log_probs_the_name_alone_counts() {
        assert_eq!(ANSWERS.read(&reply(" M\n", &[])), Ok(Preference { m: None, big_m: Some(0.0) }));
        let alone = TokenLogprob { token: "m".into(), logprob: -0.1, top: Vec::new() };
        let without_others = Reply { logprobs: vec![alone], ..reply("m", &[]) };
        assert_eq!(ANSWERS.read(&without_others), Ok(Preference { m: Some(0.0), big_m: None }));
        assert_eq!(ANSWERS.read(&reply("m", &[])), Ok(Preference { m: Some(0.0), big_m: None }));
        assert_eq!(ANSWERS.read(&reply("Model m", &[])), Err(Complaint::Name));
        assert_eq!(ANSWERS.read(&reply("", &[])), Err(Complaint::Empty));
    }
}
