//! From labels to training material: a DSAT case for every answer that a user was dissatisfied
//! with, a seed pair where a later answer made up for it. What cannot be used is counted by reason.

use std::collections::BTreeMap;

use drift_chat::{
    Case, Chat, Message, NearDuplicates, Pair, Role, Seen, Split, UserPreference, case_id, pair_id, turn_key,
};
use serde::{Deserialize, Serialize};

use crate::label::{Label, Verdict};
use crate::language::language;
use crate::set_aside::Judge;

/// What of the dissatisfaction is used. Longer material is dropped here, before anything is tokenised; shortening a
/// prompt to fit a model is left to those who know the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// In characters.
    pub prompt: usize,
    pub answer: usize,
    /// Likeness (Jaccard of five-word shingles) of request and answer from which a case repeats an earlier one, above 0
    /// to 1.
    pub near_duplicate: f64,
    /// Leave out what must not teach: see [`Dropped`].
    pub set_aside: bool,
    /// Of the feedback and the request, as [`language`] names them; empty: all.
    pub languages: Vec<String>,
}

impl Default for Limits {
    /// An answer of about 2,000 tokens, the published recipe's whole row; a prompt ten times that.
    fn default() -> Limits {
        Limits { prompt: 80_000, answer: 8_000, near_duplicate: 0.8, set_aside: true, languages: Vec::new() }
    }
}

/// Why a DSAT turn gave no case, or a DSAT turn that was made up for gave no seed pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// No user message with text right before the rejected answer.
    CaseNoPrompt,
    CaseEmptyAnswer,
    CasePromptTooLong,
    CaseAnswerTooLong,
    CaseDuplicate,
    /// Request and answer are all but those of an earlier case.
    CaseNearDuplicate,
    /// Neither feedback nor request is in one of the wanted languages.
    CaseOtherLanguage,
    /// Set aside: the prompt tells the model to be one without rules.
    CaseJailbreakPrompt,
    /// Set aside: the user wants the model to leave its rules.
    CaseAsksToDropSafety,
    /// Set aside: the answer refused what is harmful, and the user minds that.
    CaseHarmfulRequest,
    /// Set aside: insults, and nothing that an answer could do better.
    CaseAbuseOnly,
    /// Set aside: the user speaks of something else, so the complaint is not about the last answer.
    CaseOtherTopic,
    /// The dissatisfaction that was made up for is set aside.
    PairSetAside,
    PairNoPrompt,
    PairEmptyAnswer,
    PairPromptTooLong,
    PairAnswerTooLong,
    /// The later answer repeats the rejected one.
    PairSameAnswer,
    PairDuplicate,
}

/// How many of what are left after each step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    pub chats: u64,
    /// Chats with at least one DSAT turn, BOTH included.
    pub dsat_chats: u64,
    /// Chats with at least one SAT turn, BOTH included.
    pub sat_chats: u64,
    pub user_turns: u64,
    /// User turns that follow an answer: those with a label.
    pub judged_turns: u64,
    /// Turns labelled DSAT alone, SAT alone, and BOTH.
    pub dsat: u64,
    pub sat: u64,
    pub both: u64,
    pub cases: u64,
    pub seed_pairs: u64,
    /// Of the cases: those whose prompt lost a leading answer, since the log's part of the
    /// conversation begins with one and what it answers is not there.
    pub started_midway: u64,
    /// `dsat + both = cases +` all `case_…` entries.
    pub dropped: BTreeMap<Dropped, u64>,
}

/// An answer with the user's verdict and no other to compare it with: a row for KTO, as TRL reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unpaired {
    pub conversation: String,
    /// Which turn the verdict is, as [`drift_chat::turn_key`] writes it.
    pub key: String,
    pub prompt: Vec<Message>,
    /// Exactly one assistant message.
    pub completion: Vec<Message>,
    /// True: the user was satisfied.
    pub label: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// A turn whose dissatisfaction is not used, without its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetAside {
    pub conversation: String,
    pub key: String,
    pub reason: Dropped,
}

/// What one chat gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Harvest {
    pub cases: Vec<Case>,
    pub seed_pairs: Vec<Pair>,
    /// Of the cases those that are dissatisfied alone, and of the satisfied turns all that can be used.
    pub unpaired: Vec<Unpaired>,
    pub set_aside: Vec<SetAside>,
}

/// Takes chats with their labels one by one and keeps the counts. Duplicates are told across chats;
/// labels are never carried from one chat to another.
pub struct Harvester {
    limits: Limits,
    judge: Judge,
    funnel: Funnel,
    seen_cases: Seen,
    near_cases: NearDuplicates,
    seen_pairs: Seen,
    seen_satisfied: Seen,
}

/// Reasons that cases and pairs share, in that order.
const NO_PROMPT: [Dropped; 2] = [Dropped::CaseNoPrompt, Dropped::PairNoPrompt];
const EMPTY_ANSWER: [Dropped; 2] = [Dropped::CaseEmptyAnswer, Dropped::PairEmptyAnswer];
const PROMPT_TOO_LONG: [Dropped; 2] = [Dropped::CasePromptTooLong, Dropped::PairPromptTooLong];
const ANSWER_TOO_LONG: [Dropped; 2] = [Dropped::CaseAnswerTooLong, Dropped::PairAnswerTooLong];

impl Harvester {
    pub fn new(limits: Limits) -> Harvester {
        Harvester {
            near_cases: NearDuplicates::new(limits.near_duplicate),
            limits,
            judge: Judge::new(),
            funnel: Funnel::default(),
            seen_cases: Seen::new(),
            seen_pairs: Seen::new(),
            seen_satisfied: Seen::new(),
        }
    }

    pub fn funnel(&self) -> &Funnel {
        &self.funnel
    }

    /// `labels` are the chat's own, as [`crate::Detector`] gives them or corrected.
    pub fn add(&mut self, chat: &Chat, labels: &[Label]) -> Harvest {
        let count = |wanted: Verdict| labels.iter().filter(|label| label.label == wanted).count() as u64;
        self.funnel.chats += 1;
        self.funnel.dsat_chats += u64::from(labels.iter().any(|label| label.label.is_dsat()));
        self.funnel.sat_chats += u64::from(labels.iter().any(|label| label.label.is_sat()));
        self.funnel.user_turns += chat.messages.iter().filter(|message| message.role == Role::User).count() as u64;
        self.funnel.judged_turns += labels.len() as u64;
        self.funnel.dsat += count(Verdict::Dsat);
        self.funnel.sat += count(Verdict::Sat);
        self.funnel.both += count(Verdict::Both);
        let mut harvest = Harvest::default();
        for (at, label) in labels.iter().enumerate().filter(|(_, label)| label.label.is_dsat()) {
            let mut is_set_aside = false;
            match self.case(chat, label) {
                Ok(case) => {
                    self.funnel.cases += 1;
                    if label.label == Verdict::Dsat {
                        harvest.unpaired.push(unpaired(chat, label, &case.prompt, &case.rejected, false));
                    }
                    harvest.cases.push(case);
                }
                Err(reason) => {
                    *self.funnel.dropped.entry(reason).or_default() += 1;
                    is_set_aside = reason.is_set_aside();
                    if is_set_aside {
                        let (conversation, key) = (chat.id.clone(), turn_key(&chat.id, label.turn));
                        harvest.set_aside.push(SetAside { conversation, key, reason });
                    }
                }
            }
            let Some(chosen) = made_up_for(&labels[at..]) else { continue };
            if is_set_aside {
                *self.funnel.dropped.entry(Dropped::PairSetAside).or_default() += 1;
                continue;
            }
            match self.seed_pair(chat, label, &chat.messages[chosen]) {
                Ok(pair) => {
                    self.funnel.seed_pairs += 1;
                    harvest.seed_pairs.push(pair);
                }
                Err(reason) => *self.funnel.dropped.entry(reason).or_default() += 1,
            }
        }
        for label in labels.iter().filter(|label| label.label == Verdict::Sat) {
            let (context, answer) = chat.messages[..label.turn].split_at(label.turn - 1);
            let prompt = prompt(context);
            if self.check(&prompt, answer).is_ok() && self.seen_satisfied.insert(&chat.messages[..label.turn]) {
                harvest.unpaired.push(unpaired(chat, label, &prompt, answer, true));
            }
        }
        harvest
    }

    fn case(&mut self, chat: &Chat, label: &Label) -> Result<Case, Dropped> {
        let before = &chat.messages[..label.turn];
        let (context, rejected) = before.split_at(label.turn - 1);
        let prompt = prompt(context);
        self.check(&prompt, rejected).map_err(|reasons| reasons[0])?;
        if !self.seen_cases.insert(before) {
            return Err(Dropped::CaseDuplicate);
        }
        let midway = u64::from(prompt.len() < context.len());
        let case = Case {
            id: case_id(&prompt, rejected),
            conversation: chat.id.clone(),
            prompt,
            rejected: rejected.to_vec(),
            user_preference: UserPreference { content: feedback(chat, label.turn) },
            evidence: label.evidence.clone(),
            split: None,
            key: Some(turn_key(&chat.id, label.turn)),
        };
        self.sift(&case)?;
        self.funnel.started_midway += midway;
        Ok(case)
    }

    /// What must hold of a case beyond its shape.
    fn sift(&mut self, case: &Case) -> Result<(), Dropped> {
        let request = case.prompt.last().map_or("", |request| request.content.as_str());
        let feedback = case.user_preference.content.as_str();
        let is_wanted =
            |text: &str| language(text).is_some_and(|name| self.limits.languages.iter().any(|wanted| wanted == name));
        if !self.limits.languages.is_empty() && !is_wanted(feedback) && !is_wanted(request) {
            return Err(Dropped::CaseOtherLanguage);
        }
        if let Some(reason) = self.limits.set_aside.then(|| self.judge.of(case)).flatten() {
            return Err(reason);
        }
        match self.near_cases.insert(&[request, &case.rejected[0].content]) {
            true => Ok(()),
            false => Err(Dropped::CaseNearDuplicate),
        }
    }

    fn seed_pair(&mut self, chat: &Chat, label: &Label, chosen: &Message) -> Result<Pair, Dropped> {
        let (context, rejected) = chat.messages[..label.turn].split_at(label.turn - 1);
        let prompt = prompt(context);
        let chosen = std::slice::from_ref(chosen);
        self.check(&prompt, rejected).and_then(|()| self.check(&prompt, chosen)).map_err(|reasons| reasons[1])?;
        if is_same(&rejected[0].content, &chosen[0].content) {
            return Err(Dropped::PairSameAnswer);
        }
        let whole: Vec<Message> = prompt.iter().chain(rejected).chain(chosen).cloned().collect();
        if !self.seen_pairs.insert(&whole) {
            return Err(Dropped::PairDuplicate);
        }
        Ok(Pair {
            id: pair_id(&prompt, chosen, rejected),
            conversation: chat.id.clone(),
            prompt,
            chosen: chosen.to_vec(),
            rejected: rejected.to_vec(),
            rejected_feedback: Some(feedback(chat, label.turn)),
            ..Pair::default()
        })
    }

    /// What must hold of a prompt and an answer to it.
    fn check(&self, prompt: &[Message], answer: &[Message]) -> Result<(), [Dropped; 2]> {
        let asks = |message: &Message| message.role == Role::User && !message.content.trim().is_empty();
        if !prompt.last().is_some_and(asks) {
            return Err(NO_PROMPT);
        }
        let length = |messages: &[Message]| messages.iter().map(|m| m.content.chars().count()).sum::<usize>();
        match () {
            () if answer.iter().all(|message| message.content.trim().is_empty()) => Err(EMPTY_ANSWER),
            () if length(prompt) > self.limits.prompt => Err(PROMPT_TOO_LONG),
            () if length(answer) > self.limits.answer => Err(ANSWER_TOO_LONG),
            () => Ok(()),
        }
    }
}

/// The user's words about the answer before `turn`, or what was written beside a thumb; empty where the
/// answer was judged without a word.
fn feedback(chat: &Chat, turn: usize) -> String {
    let comment = || chat.explicit.iter().filter(|e| e.message + 1 == turn).find_map(|e| e.comment.clone());
    chat.messages.get(turn).map(|message| message.content.clone()).or_else(comment).unwrap_or_default()
}

impl Dropped {
    pub fn is_set_aside(self) -> bool {
        use Dropped::{CaseAbuseOnly, CaseAsksToDropSafety, CaseHarmfulRequest, CaseJailbreakPrompt, CaseOtherTopic};
        matches!(self, CaseAbuseOnly | CaseAsksToDropSafety | CaseHarmfulRequest | CaseJailbreakPrompt | CaseOtherTopic)
    }
}

fn unpaired(chat: &Chat, label: &Label, prompt: &[Message], answer: &[Message], satisfied: bool) -> Unpaired {
    Unpaired {
        conversation: chat.id.clone(),
        key: turn_key(&chat.id, label.turn),
        prompt: prompt.to_vec(),
        completion: answer.to_vec(),
        label: satisfied,
        split: None,
    }
}

/// The context without leading answers: a chat template wants a user to speak first.
fn prompt(context: &[Message]) -> Vec<Message> {
    let first_request = context.iter().position(|m| m.role == Role::User).unwrap_or(context.len());
    let kept = |at: usize, message: &Message| at >= first_request || message.role == Role::System;
    context.iter().enumerate().filter(|(at, m)| kept(*at, m)).map(|(_, m)| m.clone()).collect()
}

/// The index of the answer that satisfied, where dissatisfied turns, each right after the other,
/// end in a satisfied one. `labels` begin with the first of them. A turn that is both praises a
/// part only, so it does not end the search.
fn made_up_for(labels: &[Label]) -> Option<usize> {
    for pair in labels.windows(2) {
        if pair[1].turn != pair[0].turn + 2 {
            return None;
        }
        match pair[1].label {
            Verdict::Sat => return Some(pair[1].turn - 1),
            Verdict::Dsat | Verdict::Both => {}
            Verdict::None => return None,
        }
    }
    None
}

/// Equal but for white space and letter case.
fn is_same(a: &str, b: &str) -> bool {
    let normal = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    normal(a) == normal(b)
}
