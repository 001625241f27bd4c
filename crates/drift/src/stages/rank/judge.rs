//! A language model behind an endpoint says which of two answers is better, in both orders: what it says for a place
//! counts on neither side.

use super::{Job, Scores};
use crate::config::sections::{Method, Rank};
use crate::judge::verdicts;
use crate::stages::sample::Candidate;
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_chat::{Message, Role};
use drift_eval::alpaca_eval::{Order, TokenLogProbs};
use drift_judge::{Answers, Judge, JudgeSettings, Parser, Preference};
use std::collections::HashMap;
use std::path::Path;

/// The judge of rank `judge`: the endpoint is that of `[judge]`, whose own file is for user turns.
/// Its replies are kept in the run folder where the settings name no place, so that none is paid for twice.
pub fn open(method: &Method, settings: &JudgeSettings, root: &Path) -> Result<Option<Judge>> {
    if method.rank != Rank::Judge {
        return Ok(None);
    }
    let cache = settings.cache.clone().unwrap_or_else(|| root.join("judge.jsonl"));
    let settings = JudgeSettings { file: method.judge_file.clone(), cache: Some(cache), ..settings.clone() };
    Ok(Some(Judge::new(&settings, Parser::Preference).context("method.rank \"judge\"")?))
}

/// Scores in the order of `answers`, and how many have none: they are ties.
pub fn scores(job: &Job, judge: &Judge, answers: &[&[Candidate]], talk: &Talk) -> Result<(Vec<Scores>, usize)> {
    let prompts: HashMap<&str, &[Message]> = job.tasks.iter().map(|task| (task.id, task.prompt)).collect();
    let mut texts = Vec::with_capacity(2 * answers.len());
    for both in answers {
        let [a, b] = both else { bail!("candidates: {} answers to one prompt, expected 2", both.len()) };
        let prompt = prompts.get(a.case.as_str()).context("candidates: an unknown case, expected the run's own")?;
        texts.extend([(instruction(prompt), &a.text, &b.text), (instruction(prompt), &b.text, &a.text)]);
    }
    let questions: Vec<Answers> =
        texts.iter().map(|(instruction, first, second)| Answers { instruction, first, second }).collect();
    let verdicts = verdicts(judge, &questions, talk)?;
    let mut without = 0;
    let scores = answers.iter().zip(verdicts.chunks(2)).map(|(both, verdicts)| {
        let scores = mean(verdicts).map(|second| [1.0 - second, second]);
        without += usize::from(scores.is_none());
        Scores { case: both[0].case.clone(), scores: scores.unwrap_or_default() }
    });
    Ok((scores.collect(), without))
}

/// Of the second answer to be the better one, 0 to 1, over both orders.
fn mean(verdicts: &[Option<Preference>]) -> Option<f64> {
    let of = |verdict: &Option<Preference>, order| {
        let Preference { m, big_m } = (*verdict)?;
        TokenLogProbs { m, big_m }.preference(order).map(|preference| preference - 1.0)
    };
    let [given, turned] = verdicts else { return None };
    Some((of(given, Order::AsGiven)? + of(turned, Order::Switched)?) / 2.0)
}

/// A prompt of one message is shown as it is, a longer one with who said what.
fn instruction(prompt: &[Message]) -> String {
    if let [only] = prompt {
        return only.content.clone();
    }
    let name = |role| match role {
        Role::System => "SYSTEM",
        Role::User => "USER",
        Role::Assistant => "ASSISTANT",
        Role::Tool => "TOOL",
    };
    let said: Vec<String> =
        prompt.iter().map(|message| format!("{}: {}", name(message.role), message.content)).collect();
    said.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_that_goes_by_the_place_says_nothing() {
        let said = |m: f64| Some(Preference { m: Some(m.ln()), big_m: Some((1.0 - m).ln()) });
        // .9 for the first place, whoever has it
        assert!((mean(&[said(0.9), said(0.9)]).unwrap() - 0.5).abs() < 1e-12);
        // the second answer is preferred with .6 as M and with .8 as m
        assert!((mean(&[said(0.4), said(0.8)]).unwrap() - 0.7).abs() < 1e-12);
        assert_eq!(mean(&[said(0.9), None]), None);
    }
}
