//! A language model behind an endpoint as the judge; docs/judge.md. [`verdicts`] asks it questions of any kind, [`Judge`] is
//! the detector's tier: what each turn is.
//!
//! A turn to which it has no answer (the budget is spent, or it made no sense) is judged by the fast tier, and
//! its label says so. An endpoint that is of no use ends the detection.

use crate::interrupt;
use crate::talk::{Talk, Unit};
use anyhow::{Result, bail};
use drift_chat::{Chat, Evidence, LogReader};
use drift_feedback::{Detector, Fast, Label, Turn, turns};
use drift_judge::{Estimate, JudgeError, JudgeSettings, Parser, Question};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

const NAME: &str = "judge";
/// What a judge says is already a yes or no.
const THRESHOLD: f32 = 0.5;

/// A verdict a question, `None` where the judge's reply was none. What it will take and what it took are told.
///
/// # Errors
/// Anything else that left a question without one, or Ctrl-C: what was answered is in the cache.
pub fn verdicts<Q: Question>(
    judge: &drift_judge::Judge,
    questions: &[Q],
    talk: &Talk,
) -> Result<Vec<Option<Q::Verdict>>> {
    talk.step(NAME, format_args!("before: {}; {}", judge.estimate(questions)?, judge.id()));
    let bar = talk.bar("judging", questions.len() as u64, Unit::Count);
    let batch = judge.judge_all(questions, |progress| {
        bar.set_position(progress.done as u64);
        interrupt::flow()
    });
    bar.finish_and_clear();
    talk.step(NAME, format_args!("after: {}", judge.client().spend()));
    interrupt::check()?;
    if batch.clipped > 0 {
        talk.warn(format_args!("{} questions were shown to the judge shortened", batch.clipped));
    }
    let unparsed = batch.failed.get("unparsed").copied().unwrap_or_default();
    if unparsed > 0 {
        talk.warn(format_args!("{unparsed} replies of the judge were no verdict"));
    }
    let mut verdicts = Vec::with_capacity(questions.len());
    for verdict in batch.verdicts {
        match verdict {
            Ok(verdict) => verdicts.push(Some(verdict)),
            Err(error) if error.reason() == "unparsed" => verdicts.push(None),
            Err(error) => {
                let without: usize = batch.failed.values().sum::<usize>() - unparsed;
                bail!("{without} of {} questions were not judged: {error}", questions.len());
            }
        }
    }
    Ok(verdicts)
}

pub struct Judge {
    judge: drift_judge::Judge,
    otherwise: Fast,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Turns by why the judge gave no verdict.
    failed: BTreeMap<&'static str, usize>,
    clipped: usize,
    /// Why going on makes no sense.
    end: Option<JudgeError>,
}

impl Judge {
    /// # Errors
    /// Contradictory settings, an unreadable judge file or cache, or no key where one is named.
    pub fn new(settings: &JudgeSettings, otherwise: Fast) -> Result<Judge> {
        Ok(Judge { judge: drift_judge::Judge::new(settings, Parser::Feedback)?, otherwise, state: Mutex::default() })
    }

    /// Tells what judging the logs will take. Nothing is asked.
    ///
    /// # Errors
    /// Unreadable logs, or a judge file whose templates fail.
    pub fn estimate(&self, files: &[PathBuf], reader: &LogReader, talk: &Talk) -> Result<()> {
        let (mut all, mut failed) = (Estimate::default(), None);
        let mut on_chat = |chat: Chat| {
            let turns: Vec<Turn> = turns(&chat).collect();
            match self.judge.estimate(&asked(&turns)) {
                Ok(of_chat) => {
                    all.questions += of_chat.questions;
                    all.cached += of_chat.cached;
                    all.calls += of_chat.calls;
                    all.tokens = all.tokens.plus(of_chat.tokens);
                    all.money += of_chat.money;
                    interrupt::flow()
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        reader.chats(files, &mut on_chat, &mut |_, _| ())?;
        interrupt::check()?;
        if let Some(error) = failed {
            bail!(error);
        }
        talk.step(NAME, format_args!("before: {all} (counted before redaction); {}", self.judge.id()));
        Ok(())
    }

    /// # Errors
    /// The endpoint was of no use, or Ctrl-C; what was answered is in the cache.
    pub fn finish(&self, talk: &Talk) -> Result<BTreeMap<&'static str, usize>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        interrupt::check()?;
        talk.step(NAME, format_args!("after: {}", self.judge.client().spend()));
        if let Some(error) = state.end.take() {
            bail!("{error}");
        }
        if state.clipped > 0 {
            talk.warn(format_args!("{} turns were shown to the judge shortened", state.clipped));
        }
        for (reason, n) in &state.failed {
            talk.warn(format_args!("{n} turns without a verdict of the judge ({reason}): the fast tier judged them"));
        }
        Ok(std::mem::take(&mut state.failed))
    }

    /// Whether going on makes no sense.
    pub fn has_ended(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end.is_some()
    }
}

impl Detector for Judge {
    fn name(&self) -> &'static str {
        NAME
    }

    fn thresholds(&self) -> [f32; 2] {
        [THRESHOLD; 2]
    }

    fn batch(&self) -> usize {
        32
    }

    fn judge(&self, chat: &Chat, turns: &[Turn]) -> Vec<Label> {
        self.judge_all(&[(chat, turns.to_vec())]).remove(0)
    }

    fn judge_all(&self, chats: &[(&Chat, Vec<Turn>)]) -> Vec<Vec<Label>> {
        let all: Vec<drift_judge::Turn> = chats.iter().flat_map(|(_, turns)| asked(turns)).collect();
        let batch = self.judge.judge_all(&all, |_| interrupt::flow());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clipped += batch.clipped;
        let mut verdicts = batch.verdicts.into_iter();
        let mut labels = Vec::with_capacity(chats.len());
        for (chat, turns) in chats {
            let mut of_chat = Vec::with_capacity(turns.len());
            for turn in turns {
                match verdicts.next() {
                    Some(Ok(verdict)) => of_chat.push(label(chat, turn, &verdict)),
                    Some(Err(error)) => {
                        *state.failed.entry(error.reason()).or_default() += 1;
                        if is_the_end(&error) {
                            state.end.get_or_insert(error);
                        }
                        of_chat.extend(self.otherwise.judge(chat, std::slice::from_ref(turn)));
                    }
                    None => unreachable!("a verdict or an error for each turn"),
                }
            }
            labels.push(of_chat);
        }
        labels
    }
}

fn is_the_end(error: &JudgeError) -> bool {
    matches!(error.reason(), "endpoint" | "file" | "settings")
}

fn asked<'a>(turns: &[Turn<'a>]) -> Vec<drift_judge::Turn<'a>> {
    let ask = |turn: &Turn<'a>| drift_judge::Turn {
        request: turn.request.unwrap_or_default(),
        answer: turn.answer,
        turn: turn.text,
    };
    turns.iter().map(ask).collect()
}

/// A judge that is sure of NONE gives no side a chance.
fn label(chat: &Chat, turn: &Turn, verdict: &drift_judge::Verdict) -> Label {
    let said = verdict.label;
    let p = verdict.confidence as f32;
    // half and half at confidence 0, and never on the other side of the threshold
    let chance = |is: bool| THRESHOLD + if is { p / 2.0 } else { -p / 2.0 };
    let evidence = verdict.rubric.map(|rubric| Evidence {
        detector: NAME.into(),
        rubric: rubric.into(),
        confidence: p,
        cue: verdict.cue.map(|(start, end)| (turn.offset + start, turn.offset + end)),
    });
    Label {
        conversation: chat.id.clone(),
        turn: turn.index,
        label: said,
        dsat: chance(said.is_dsat()),
        sat: chance(said.is_sat()),
        evidence,
    }
}
