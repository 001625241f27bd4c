//! The simulated user: reads an answer, checks it, and says something, or nothing.

use super::{Prompt, Prompts, check_shares, phrases};
use crate::error::{Error, Result};
use crate::mersenne::Mersenne;
use crate::requirements::{Requirement, fill, without_capital};
use serde::{Deserialize, Serialize};

/// How users behave. Of contented users, the rest goes on with another task; of discontented ones, the rest complains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    pub satisfied_silent: f64,
    pub satisfied_thanks: f64,
    /// Noise: has what was asked for, and grumbles.
    pub complains_without_cause: f64,
    /// Noise: leaves without a word.
    pub silent_in_spite: f64,
    /// Noise: did not look closely.
    pub thanks_in_spite: f64,
    /// Noise: takes an answer that met everything for one that did not, or the other way round, and acts accordingly.
    pub misjudges: f64,
    /// Says the request again instead of naming the fault.
    pub asks_again: f64,
    /// Says so, and leaves; doubles from the second miss on.
    pub gives_up: f64,
    /// Of the complaints, those that do not name the fault.
    pub vague: f64,
    /// Answers until a user leaves at the latest.
    pub most_turns: usize,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            satisfied_silent: 0.55,
            satisfied_thanks: 0.15,
            complains_without_cause: 0.03,
            silent_in_spite: 0.2,
            thanks_in_spite: 0.02,
            misjudges: 0.0,
            asks_again: 0.15,
            gives_up: 0.08,
            vague: 0.15,
            most_turns: 4,
        }
    }
}

/// Whether an answer met every requirement; never what the user made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    Satisfied,
    /// The kinds missed, in the order they were asked for.
    Dissatisfied(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Silent,
    Thanks,
    GoesOn,
    Complains,
    AsksAgain,
    GivesUp,
}

impl Act {
    /// As in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Act::Silent => "silent",
            Act::Thanks => "thanks",
            Act::GoesOn => "goes on",
            Act::Complains => "complains",
            Act::AsksAgain => "asks again",
            Act::GivesUp => "gives up",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// The next user message; `None` where the user leaves without a word.
    pub says: Option<String>,
    pub truth: Truth,
    pub act: Act,
    /// What is said, or left unsaid, goes against the truth: a complaint without a cause, thanks or silence after a miss.
    pub noise: bool,
    /// No answer to this is read any more.
    pub ends: bool,
    /// The request that counts from now on, where it is another.
    pub next: Option<Prompt>,
}

#[derive(Clone, Debug)]
pub struct User<'a> {
    prompts: &'a Prompts,
    rates: Rates,
}

impl User<'_> {
    pub fn new(prompts: &Prompts, rates: Rates) -> Result<User<'_>> {
        let satisfied = rates.satisfied_silent + rates.satisfied_thanks + rates.complains_without_cause;
        let dissatisfied = rates.silent_in_spite + rates.thanks_in_spite + rates.asks_again + 2.0 * rates.gives_up;
        let shares = [
            ("satisfied_silent", rates.satisfied_silent),
            ("satisfied_thanks", rates.satisfied_thanks),
            ("complains_without_cause", rates.complains_without_cause),
            ("silent_in_spite", rates.silent_in_spite),
            ("thanks_in_spite", rates.thanks_in_spite),
            ("misjudges", rates.misjudges),
            ("asks_again", rates.asks_again),
            ("gives_up", rates.gives_up),
            ("vague", rates.vague),
        ];
        check_shares("simulated users", &shares)?;
        if satisfied > 1.0 + 1e-9 || dissatisfied > 1.0 + 1e-9 {
            let what =
                format!("rates add up to {satisfied} and {dissatisfied} (gives_up twice), expected at most 1 each");
            return Err(Error::new("simulated users", what).hint("lower the rates of silence"));
        }
        Ok(User { prompts, rates })
    }

    /// What the user does about the `turn`th answer (from 1) of a conversation. Seed `random` from the prompt's id, the
    /// turn and a seed of the run, and no order of conversations changes what is said.
    pub fn react(&self, prompt: &Prompt, answer: &str, turn: usize, random: &mut Mersenne) -> Reaction {
        let missed: Vec<&Requirement> = prompt.requirements.iter().filter(|r| !r.met(answer)).collect();
        let misjudged = self.rates.misjudges > 0.0 && random.uniform() < self.rates.misjudges;
        let content = missed.is_empty() != misjudged;
        let act = if content { self.when_satisfied(random) } else { self.when_dissatisfied(turn, random) };
        let last = turn >= self.rates.most_turns;
        let next = (act == Act::GoesOn && !last).then(|| self.prompts.follow_up(prompt, random));
        let says = match act {
            Act::Silent => None,
            Act::GoesOn => next.as_ref().map(|next| next.text.clone()),
            Act::Thanks => Some(random.pick(phrases::THANKS).to_string()),
            Act::GivesUp => Some(random.pick(phrases::GIVING_UP).to_string()),
            Act::AsksAgain => Some(asking_again(prompt, random)),
            Act::Complains if missed.is_empty() => Some(random.pick(phrases::GRUMBLING).to_string()),
            Act::Complains => Some(self.complaint(&missed, turn, random)),
        };
        // A user who would go on, but has no time left, is silent.
        let act = if says.is_none() { Act::Silent } else { act };
        Reaction {
            says,
            noise: missed.is_empty() == matches!(act, Act::Complains | Act::AsksAgain | Act::GivesUp),
            truth: match &missed[..] {
                [] => Truth::Satisfied,
                missed => Truth::Dissatisfied(missed.iter().map(|r| r.kind.name.to_string()).collect()),
            },
            act,
            ends: last || matches!(act, Act::Silent | Act::Thanks | Act::GivesUp),
            next,
        }
    }

    fn when_satisfied(&self, random: &mut Mersenne) -> Act {
        let rates = [
            (Act::Silent, self.rates.satisfied_silent),
            (Act::Thanks, self.rates.satisfied_thanks),
            (Act::Complains, self.rates.complains_without_cause),
        ];
        draw(&rates, Act::GoesOn, random)
    }

    fn when_dissatisfied(&self, turn: usize, random: &mut Mersenne) -> Act {
        let rates = [
            (Act::Silent, self.rates.silent_in_spite),
            (Act::Thanks, self.rates.thanks_in_spite),
            (Act::AsksAgain, self.rates.asks_again),
            (Act::GivesUp, self.rates.gives_up * if turn > 1 { 2.0 } else { 1.0 }),
        ];
        draw(&rates, Act::Complains, random)
    }

    fn complaint(&self, missed: &[&Requirement], turn: usize, random: &mut Mersenne) -> String {
        if random.uniform() < self.rates.vague {
            return styled(random.pick(phrases::VAGUE).to_string(), random);
        }
        let requirement = random.pick(missed);
        let mut fault = requirement.fault(random);
        let ask = requirement.ask(random);
        // Both faults in one message, now and then.
        if let [first, second] = missed
            && random.uniform() < 0.5
        {
            let other = if requirement.kind == first.kind { second } else { first };
            fault = format!("{fault} And {}", without_capital(&other.fault(random)));
        }
        let repeated = turn > 1 && random.uniform() < 0.5;
        let frame = random.pick(if repeated { phrases::STILL } else { phrases::COMPLAINTS });
        let said = fill(frame, |slot| match slot {
            "fault" => Some(fault.clone()),
            "fault_on" => Some(without_capital(&fault)),
            "ask" => Some(ask.clone()),
            _ => None,
        });
        styled(said, random)
    }
}

fn draw(rates: &[(Act, f64)], rest: Act, random: &mut Mersenne) -> Act {
    let mut at = random.uniform();
    for &(act, rate) in rates {
        if at < rate {
            return act;
        }
        at -= rate;
    }
    rest
}

/// The request as it was, or the task and what is asked of it in other words.
fn asking_again(prompt: &Prompt, random: &mut Mersenne) -> String {
    let anew = prompt.follows || random.uniform() < 0.5;
    let request = if anew {
        let asks: Vec<String> = prompt.requirements.iter().map(|requirement| requirement.ask(random)).collect();
        format!("{} {}", prompt.task, asks.join(" "))
    } else {
        prompt.text.clone()
    };
    fill(random.pick(phrases::ASKING_AGAIN), |_| Some(request.clone()))
}

/// Some write carefully, some all small and without a full stop, some with an exclamation mark.
fn styled(said: String, random: &mut Mersenne) -> String {
    let style = random.uniform();
    match said.strip_suffix('.') {
        _ if style < 0.6 => said,
        stem if style < 0.85 => stem.unwrap_or(&said).to_lowercase(),
        Some(stem) => format!("{stem}!"),
        None => said,
    }
}
