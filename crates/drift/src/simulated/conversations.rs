//! A simulated deployment: a model answers, simulated users check and react, turn by turn, all conversations at once.
//! What the world sees is an ordinary chat log; what is true of every answer is written apart.

use super::asking::{Drawing, Kept, Question, ask};
use super::{Suite, figures};
use crate::policy::Policy;
use crate::seeds::seed;
use crate::talk::Talk;
use anyhow::{Result, bail};
use drift_chat::{Message, Role, write_jsonl};
use drift_eval::mersenne::Mersenne;
use drift_eval::satisfaction::Satisfaction;
use drift_eval::simulated::{Act, Prompt, Rates, Reaction, Truth, User};
use drift_lm::Precision;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

pub struct Job<'a> {
    pub policy: &'a Policy,
    pub suite: &'a Suite,
    pub rates: &'a Rates,
    pub drawing: &'a Drawing,
    /// Of answers and users; the suite has that of the prompts.
    pub seed: u64,
}

pub struct Conversation {
    /// As the log has it; of other settings or weights, another one.
    pub id: String,
    pub turns: Vec<Turn>,
    /// Ended by the model's context, not by its user.
    pub too_long: bool,
}

pub struct Turn {
    /// The request that counts.
    pub prompt: Prompt,
    pub answer: String,
    pub reaction: Reaction,
}

impl Job<'_> {
    /// All that a conversation depends on.
    pub fn settings(&self) -> impl Serialize {
        let Job { policy, suite, rates, drawing, seed } = self;
        let Suite { split, kinds, seed: of_prompts, .. } = suite;
        json!([
            policy.weights,
            policy.model.precision() == Precision::F32,
            split,
            kinds,
            of_prompts,
            rates,
            drawing,
            seed
        ])
    }

    /// A conversation ends where its user leaves, or where it no longer fits the model's context.
    pub fn run(&self, kept: &mut Kept, talk: &Talk) -> Result<Vec<Conversation>> {
        let maker = self.suite.maker()?;
        let user = User::new(&maker, self.rates.clone())?;
        let settings = serde_json::to_string(&self.settings())?;
        let mut conversations = Vec::new();
        let mut open = Vec::new();
        for prompt in maker.draw(self.suite.split, self.suite.n)? {
            let id = format!("sim-{:016x}", seed(self.seed, &["conversation", &settings, &prompt.id]));
            open.push(Open {
                at: conversations.len(),
                name: prompt.id.clone(),
                said: vec![user_says(&prompt.text)],
                prompt,
            });
            conversations.push(Conversation { id, turns: Vec::new(), too_long: false });
        }
        for turn in 1.. {
            if open.is_empty() {
                break;
            }
            let questions: Vec<Question> = open
                .iter()
                .map(|open| Question {
                    name: format!("{} {turn}", open.name),
                    messages: open.said.clone(),
                    seed: seed(self.seed, &["conversation", &open.name, &turn.to_string()]),
                })
                .collect();
            let answers = ask(self.policy, &questions, self.drawing, kept, &format!("turn {turn}"), talk)?;
            let mut still = Vec::new();
            for (mut open, answer) in open.into_iter().zip(answers) {
                let Some(answer) = answer else {
                    conversations[open.at].too_long = true;
                    continue;
                };
                let name = format!("simulated user {} {} {turn}", self.seed, open.name);
                let reaction = user.react(&open.prompt, &answer, turn, &mut Mersenne::from_text(&name));
                open.said.push(Message { role: Role::Assistant, content: answer.clone() });
                open.said.extend(reaction.says.as_deref().map(user_says));
                let next = reaction.next.clone().unwrap_or_else(|| open.prompt.clone());
                let (ends, prompt) = (reaction.ends, std::mem::replace(&mut open.prompt, next));
                conversations[open.at].turns.push(Turn { prompt, answer, reaction });
                if !ends {
                    still.push(open);
                }
            }
            open = still;
        }
        let answered = conversations.iter().filter(|conversation| !conversation.turns.is_empty()).count();
        if answered < conversations.len() {
            bail!(
                "{} of {} requests do not fit the model's context of {} tokens; hint: take another model",
                conversations.len() - answered,
                conversations.len(),
                self.policy.model.context()
            );
        }
        Ok(conversations)
    }
}

/// A conversation that waits for an answer.
struct Open {
    /// Among the conversations.
    at: usize,
    /// The id of its first prompt: whatever the others do, it goes the same way.
    name: String,
    said: Vec<Message>,
    prompt: Prompt,
}

fn user_says(text: &str) -> Message {
    Message { role: Role::User, content: text.to_string() }
}

impl Conversation {
    fn messages(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.turns.iter().take(1).map(|turn| user_says(&turn.prompt.text)).collect();
        for turn in &self.turns {
            messages.push(Message { role: Role::Assistant, content: turn.answer.clone() });
            messages.extend(turn.reaction.says.as_deref().map(user_says));
        }
        messages
    }
}

/// A row of the log.
#[derive(Serialize)]
struct Logged<'a> {
    id: &'a str,
    messages: Vec<Message>,
}

/// A row of the truth: an answer. `key`, `label` and `rubric` make it a labels file of the user's turn that follows.
#[derive(Serialize)]
struct Told<'a> {
    /// Conversation and the place of the user's next message; where the user said nothing, the log has none there.
    key: String,
    /// `SAT` or `DSAT`: what is true of the answer, whatever the user said.
    label: &'static str,
    /// What the user did.
    rubric: Act,
    conversation: &'a str,
    /// From 1.
    turn: usize,
    satisfied: bool,
    missed: &'a [String],
    noise: bool,
    request: &'a Prompt,
}

/// # Errors
/// A folder that cannot be written.
pub fn write_log(path: &Path, conversations: &[Conversation]) -> Result<()> {
    let logged = |of: &Conversation| serde_json::to_value(Logged { id: &of.id, messages: of.messages() });
    let rows = conversations.iter().map(logged).collect::<Result<Vec<_>, _>>()?;
    write_jsonl(path, &rows)?;
    Ok(())
}

/// # Errors
/// A folder that cannot be written.
pub fn write_truth(path: &Path, conversations: &[Conversation]) -> Result<()> {
    let told = |(conversation, at, turn): (&Conversation, usize, &Turn)| {
        let missed: &[String] = match &turn.reaction.truth {
            Truth::Satisfied => &[],
            Truth::Dissatisfied(missed) => missed,
        };
        serde_json::to_value(Told {
            // A request, then answer and reaction by turns.
            key: format!("{}:{}", conversation.id, 2 * at + 2),
            label: if missed.is_empty() { "SAT" } else { "DSAT" },
            rubric: turn.reaction.act,
            conversation: &conversation.id,
            turn: at + 1,
            satisfied: missed.is_empty(),
            missed,
            noise: turn.reaction.noise,
            request: &turn.prompt,
        })
    };
    let mut rows = Vec::new();
    for conversation in conversations {
        for (at, turn) in conversation.turns.iter().enumerate() {
            rows.push(told((conversation, at, turn))?);
        }
    }
    write_jsonl(path, &rows)?;
    Ok(())
}

#[derive(Debug, Serialize)]
pub struct Summary {
    pub conversations: usize,
    /// Of these: ended by the model's context.
    pub too_long: usize,
    /// Of users' turns that react to an answer.
    pub reactions: usize,
    /// Answers by what their user did.
    pub acts: BTreeMap<Act, usize>,
    /// Answers whose user's words, or silence, go against the truth.
    pub noise: usize,
    /// Of all answers, with intervals by conversation.
    #[serde(flatten)]
    pub figures: Satisfaction,
}

/// # Errors
/// No conversation.
pub fn summary(conversations: &[Conversation], seed: u64) -> Result<Summary> {
    let (mut acts, mut noise, mut reactions) = (BTreeMap::new(), 0, 0);
    let (mut prompts, mut answers) = (Vec::new(), Vec::new());
    for conversation in conversations {
        for Turn { prompt, answer, reaction } in &conversation.turns {
            *acts.entry(reaction.act).or_default() += 1;
            noise += usize::from(reaction.noise);
            reactions += usize::from(reaction.says.is_some());
            // Answers of one conversation are not independent.
            prompts.push(Prompt { id: conversation.id.clone(), ..prompt.clone() });
            answers.push(answer.clone());
        }
    }
    let too_long = conversations.iter().filter(|conversation| conversation.too_long).count();
    Ok(Summary {
        conversations: conversations.len(),
        too_long,
        reactions,
        acts,
        noise,
        figures: figures(&prompts, &answers, seed)?,
    })
}
