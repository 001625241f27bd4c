//! A simulated deployment: prompts whose requirements a program can check, and users who check them and talk like
//! people. What is true of each answer is known, so detection, training and satisfaction can be measured without a
//! judge.
//!
//! ```text
//! Prompts::new(settings) ── draw(split, n) ─▶ Prompt ── an answer ─▶ User::react ─▶ Reaction
//!                                               ▲                                     │ next
//!                                               └─────────────────────────────────────┘
//! ```

mod phrases;
mod sets;
mod tasks;
mod user;

pub use sets::{ALL, SETS, SOMETIMES};
pub use user::{Act, Rates, Reaction, Truth, User};

use crate::error::{Error, Result};
use crate::mersenne::Mersenne;
use crate::requirements::{Kind, Parameters, Requirement, fill, kinds, without_capital};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    Dev,
    Test,
}

impl Split {
    pub const ALL: [Split; 3] = [Split::Train, Split::Dev, Split::Test];

    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Dev => "dev",
            Split::Test => "test",
        }
    }
}

/// What prompts are made of. Shares are between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub seed: u64,
    /// Names of the kinds of requirement to use, or of a [`SETS`]; empty: all.
    pub kinds: Vec<String>,
    /// Of the templates, those kept for dev and for test.
    pub dev_templates: f64,
    pub test_templates: f64,
    /// Of the kinds, those that no split but dev, or but test, asks for.
    pub dev_kinds: f64,
    pub test_kinds: f64,
    /// Of the prompts of dev and test, those with a kind that training never sees (where there are such kinds).
    pub unseen: f64,
    /// Of the prompts, those with two requirements.
    pub two: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 0,
            kinds: Vec::new(),
            dev_templates: 0.15,
            test_templates: 0.25,
            dev_kinds: 0.1,
            test_kinds: 0.2,
            unseen: 0.4,
            two: 0.3,
        }
    }
}

/// A user's request. In the hidden truth it is written whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Of the text and the requirements: 16 hexadecimal digits.
    pub id: String,
    pub split: Split,
    /// What the user says.
    pub text: String,
    /// The task alone.
    pub task: String,
    pub requirements: Vec<Requirement>,
    /// Whether it asks for a kind that no training prompt asks for.
    pub unseen: bool,
    /// Whether it leans on the rules of the request before it.
    pub follows: bool,
}

impl Prompt {
    /// The kinds that an answer misses.
    pub fn missed(&self, answer: &str) -> Vec<&'static str> {
        let missed = self.requirements.iter().filter(|requirement| !requirement.met(answer));
        missed.map(|requirement| requirement.kind.name).collect()
    }
}

/// A follow-up may say the same as another and mean other rules: both count.
fn id(text: &str, requirements: &[Requirement]) -> String {
    let mut hash = Sha512::new_with_prefix(text);
    for Requirement { kind, parameters: Parameters { n, m, words } } in requirements {
        hash.update(format!("\n{} {n} {m} {}", kind.name, words.join("\n")));
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Templates and kinds, divided between the splits: by the shares and the kinds of the settings alone, not by the seed.
#[derive(Clone, Debug)]
pub struct Prompts {
    settings: Settings,
    /// Train, dev, test.
    templates: [Vec<&'static str>; 3],
    /// Asked for in every split.
    common: Vec<&'static Kind>,
    /// Asked for in this split alone; none for train.
    own: [Vec<&'static Kind>; 3],
}

impl Prompts {
    pub fn new(settings: Settings) -> Result<Prompts> {
        let shares = [
            ("dev_templates", settings.dev_templates),
            ("test_templates", settings.test_templates),
            ("dev_kinds", settings.dev_kinds),
            ("test_kinds", settings.test_kinds),
            ("unseen", settings.unseen),
            ("two", settings.two),
        ];
        check_shares("simulated prompts", &shares)?;
        let chosen = choose(&settings.kinds)?;
        // The same for every seed, so that what one run trained on is test for no other.
        let mut random = Mersenne::from_text("simulated split");
        let mut templates = tasks::TEMPLATES.to_vec();
        random.shuffle(&mut templates);
        let mut order: Vec<&'static Kind> = kinds().collect();
        random.shuffle(&mut order);
        order.retain(|kind| chosen.contains(kind));
        let chosen = order;
        let templates = divide(templates, settings.dev_templates, settings.test_templates);
        let [common, dev, test] = divide(chosen, settings.dev_kinds, settings.test_kinds);
        if common.is_empty() || templates.iter().any(Vec::is_empty) {
            return Err(Error::new(
                "simulated prompts",
                "a split without templates or kinds, expected at least one in each",
            )
            .hint("shares of dev and test must add up to less than 1"));
        }
        Ok(Prompts { settings, templates, common, own: [Vec::new(), dev, test] })
    }

    /// The kinds that only this split asks for.
    pub fn own_kinds(&self, split: Split) -> impl Iterator<Item = &'static str> {
        self.own[split as usize].iter().map(|kind| kind.name)
    }

    /// `n` prompts with different texts. Fewer prompts of the same settings are the first of more.
    pub fn draw(&self, split: Split, n: usize) -> Result<Vec<Prompt>> {
        let mut random = Mersenne::from_text(&format!("simulated prompts {} {}", self.settings.seed, split.name()));
        let mut prompts = Vec::new();
        let mut texts = BTreeSet::new();
        let mut repeats = 0;
        while prompts.len() < n {
            let prompt = self.prompt(split, &mut random);
            if texts.insert(prompt.text.clone()) {
                prompts.push(prompt);
                repeats = 0;
            } else if repeats == 1000 {
                let what = format!("{} different {} prompts, expected {n}", prompts.len(), split.name());
                return Err(Error::new("simulated prompts", what).hint("ask for fewer, or allow more kinds"));
            } else {
                repeats += 1;
            }
        }
        Ok(prompts)
    }

    fn prompt(&self, split: Split, random: &mut Mersenne) -> Prompt {
        let task = self.task(split, random);
        let own = &self.own[split as usize];
        let unseen = !own.is_empty() && random.uniform() < self.settings.unseen;
        let first = random.pick(if unseen { own } else { &self.common });
        let mut requirements = vec![first.draw(random, &task)];
        if random.uniform() < self.settings.two {
            let others: Vec<&'static Kind> = self.common.iter().copied().filter(|kind| first.goes_with(kind)).collect();
            if !others.is_empty() {
                requirements.push(random.pick(&others).draw(random, &task));
            }
        }
        let text = request(&task, &requirements, random);
        Prompt { id: id(&text, &requirements), split, text, task, requirements, unseen, follows: false }
    }

    fn task(&self, split: Split, random: &mut Mersenne) -> String {
        let template = random.pick(&self.templates[split as usize]);
        let mut used = Vec::new();
        fill(template, |slot| {
            let mut choices = tasks::list(slot).to_vec();
            choices.retain(|choice| !used.contains(choice));
            let choice = random.pick(&choices);
            used.push(choice);
            Some(choice.to_string())
        })
    }

    /// Another task of the same split under the requirements of `prompt`.
    fn follow_up(&self, prompt: &Prompt, random: &mut Mersenne) -> Prompt {
        let task = self.task(prompt.split, random);
        let requirements: Vec<Requirement> = prompt.requirements.iter().map(|r| r.of_task(&task)).collect();
        let text = fill(random.pick(phrases::FOLLOW_UPS), |_| Some(task.clone()));
        Prompt { id: id(&text, &requirements), text, task, requirements, follows: true, ..prompt.clone() }
    }
}

/// A task and what is asked of its answer, as a message.
fn request(task: &str, requirements: &[Requirement], random: &mut Mersenne) -> String {
    let asks: Vec<String> = requirements.iter().map(|requirement| requirement.ask(random)).collect();
    let frame = random.pick(if asks.len() == 1 { phrases::WITH_ONE } else { phrases::WITH_TWO });
    fill(frame, |slot| match slot {
        "task" => Some(task.to_string()),
        "task_on" => Some(without_capital(task)),
        "a" => asks.first().cloned(),
        "b" => asks.get(1).cloned(),
        "a_on" => asks.first().map(|ask| without_capital(ask)),
        "b_on" => asks.get(1).map(|ask| without_capital(ask)),
        _ => None,
    })
}

/// The kinds of these names and sets, all without any.
fn choose(names: &[String]) -> Result<Vec<&'static Kind>> {
    let mut chosen = Vec::new();
    for name in names {
        let set = SETS.iter().find(|(set, _)| set == name);
        match (set, Kind::named(name)) {
            (Some((_, members)), _) => chosen.extend(members.iter().filter_map(|member| Kind::named(member))),
            (None, Some(kind)) => chosen.push(kind),
            (None, None) if name == ALL => chosen.extend(kinds()),
            (None, None) => {
                let sets = SETS.iter().map(|(set, _)| *set);
                let names: Vec<&str> = [ALL].into_iter().chain(sets).chain(kinds().map(|kind| kind.name)).collect();
                let what = format!("kinds names no kind of requirement, expected {}", names.join(", "));
                return Err(Error::new("simulated prompts", what).hint("leave kinds empty to use all"));
            }
        }
    }
    Ok(if chosen.is_empty() { kinds().collect() } else { chosen })
}

/// The last `test` share, the `dev` share before it, and the rest first.
fn divide<T: Copy>(all: Vec<T>, dev: f64, test: f64) -> [Vec<T>; 3] {
    let part = |share: f64| (share * all.len() as f64).round() as usize;
    let before_test = all.len() - part(test);
    let before_dev = before_test.saturating_sub(part(dev));
    [all[..before_dev].to_vec(), all[before_dev..before_test].to_vec(), all[before_test..].to_vec()]
}

fn check_shares(place: &str, shares: &[(&str, f64)]) -> Result<()> {
    match shares.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
        None => Ok(()),
        Some((name, share)) => {
            Err(Error::new(place, format!("{name} is {share}, expected a share from 0 to 1")).hint("0.15 is 15 %"))
        }
    }
}
