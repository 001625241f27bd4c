//! The feedback judge: a verdict a turn, in the order of the turns whatever the order of the replies.

use crate::chat::{Reply, Request};
use crate::judge_file::template_error;
use crate::{Client, Estimate, JudgeError, JudgeFile, JudgeSettings, Parser, Permit, Prices, Spend, Verdict};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// How often the caller is asked whether to go on while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// A user turn, the answer that it judges, and the request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    pub request: &'a str,
    pub answer: &'a str,
    pub turn: &'a str,
}

#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub done: usize,
    pub total: usize,
    pub spend: Spend,
}

/// What became of the turns of one call.
#[derive(Debug)]
pub struct Batch {
    /// One a turn, in their order.
    pub verdicts: Vec<Result<Verdict, JudgeError>>,
    /// Turns without a verdict by [`JudgeError::reason`]; with the verdicts they add up to all turns.
    pub failed: BTreeMap<&'static str, usize>,
    /// Verdicts on shortened texts.
    pub clipped: usize,
}

/// A turn that has had its place in the order.
enum Admitted<'a> {
    Known(Result<Verdict, JudgeError>),
    Ask(Permit<'a>),
}

/// Why the cache gives no verdict.
enum Recalled {
    /// It lacks a reply.
    Nothing,
    /// It knows that there is none.
    Failure(JudgeError),
}

impl From<JudgeError> for Recalled {
    fn from(error: JudgeError) -> Recalled {
        Recalled::Failure(error)
    }
}

/// Shared between threads as it is.
pub struct FeedbackJudge {
    client: Client,
    file: JudgeFile,
    model: String,
    prices: Prices,
}

impl FeedbackJudge {
    /// Takes the key from the environment.
    pub fn new(settings: &JudgeSettings) -> Result<FeedbackJudge, JudgeError> {
        FeedbackJudge::with_client(settings, Client::new(settings)?)
    }

    pub fn with_client(settings: &JudgeSettings, client: Client) -> Result<FeedbackJudge, JudgeError> {
        let file = settings.file.as_deref().map_or_else(JudgeFile::shipped, JudgeFile::load)?;
        let Parser::Feedback = file.parser();
        let model = settings.model.as_deref().or(file.model()).map(str::to_string);
        let model = model.ok_or_else(|| JudgeError::Settings {
            key: "model",
            what: "missing, expected the name under which the endpoint offers the model".into(),
            hint: "set it here, or in the judge file",
        })?;
        Ok(FeedbackJudge { client, file, model, prices: settings.prices() })
    }

    /// Judge, model and endpoint: what verdicts depend on.
    pub fn id(&self) -> String {
        format!("{} {} {}", self.file.id(), self.model, self.client.base_url())
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One turn.
    pub fn judge_turn(&self, request: &str, answer: &str, turn: &str) -> Result<Verdict, JudgeError> {
        let turn = Turn { request, answer, turn };
        self.finish(self.admit(&turn)?, &turn)
    }

    /// What judging the turns would take from here. Nothing is asked.
    pub fn estimate(&self, turns: &[Turn]) -> Result<Estimate, JudgeError> {
        let mut estimate = Estimate { turns: turns.len(), ..Estimate::default() };
        let mut seen = HashSet::new();
        for turn in turns {
            if self.recall(turn).is_some() {
                estimate.cached += 1;
                continue;
            }
            let request = self.first(turn)?;
            if seen.insert(blake3::hash(request.body().as_bytes())) {
                estimate.calls += 1;
                estimate.tokens = estimate.tokens.plus(request.about());
            }
        }
        estimate.money = self.prices.of(estimate.tokens);
        Ok(estimate)
    }

    /// All turns, `concurrency` at once. `watch` is called on this thread after each turn and ten times a second;
    /// once it breaks, or the budget ends or the endpoint is no use, the rest is answered from the cache alone.
    pub fn judge_turns(&self, turns: &[Turn], mut watch: impl FnMut(Progress) -> ControlFlow<()>) -> Batch {
        let mut verdicts: Vec<Option<Result<Verdict, JudgeError>>> = vec![None; turns.len()];
        let next = Mutex::new(0);
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.client.concurrency().min(turns.len()) {
                let (next, send) = (&next, send.clone());
                scope.spawn(move || {
                    while let Some((index, verdict)) = self.judge_next(turns, next) {
                        // The receiver outlives the threads.
                        let _ = send.send((index, verdict));
                    }
                });
            }
            drop(send);
            let mut done = 0;
            loop {
                match receive.recv_timeout(TICK) {
                    Ok((index, verdict)) => {
                        verdicts[index] = Some(verdict);
                        done += 1;
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
                if watch(Progress { done, total: turns.len(), spend: self.client.spend() }).is_break() {
                    self.client.stop();
                }
            }
        });
        // Every index was taken by one thread, and every thread has ended.
        let verdicts: Vec<_> =
            verdicts.into_iter().map(|verdict| verdict.unwrap_or(Err(JudgeError::Stopped))).collect();
        let mut batch = Batch { verdicts, failed: BTreeMap::new(), clipped: 0 };
        for verdict in &batch.verdicts {
            match verdict {
                Ok(verdict) => batch.clipped += usize::from(verdict.clipped),
                Err(error) => *batch.failed.entry(error.reason()).or_default() += 1,
            }
        }
        batch
    }

    /// Takes the next turn. Turns are admitted one by one and in order; only asking is concurrent.
    fn judge_next(&self, turns: &[Turn], next: &Mutex<usize>) -> Option<(usize, Result<Verdict, JudgeError>)> {
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        let index = *next;
        let turn = turns.get(index)?;
        *next += 1;
        let admitted = self.admit(turn);
        drop(next);
        Some((index, admitted.and_then(|admitted| self.finish(admitted, turn))))
    }

    fn finish(&self, admitted: Admitted, turn: &Turn) -> Result<Verdict, JudgeError> {
        match admitted {
            Admitted::Known(verdict) => verdict,
            Admitted::Ask(mut permit) => self.read(turn, |request| permit.ask(request)),
        }
    }

    fn admit(&self, turn: &Turn) -> Result<Admitted<'_>, JudgeError> {
        let first = self.first(turn)?;
        self.client.settled(&first);
        if let Some((verdict, asks)) = self.recall(turn) {
            self.client.count_cached(asks);
            return Ok(Admitted::Known(verdict));
        }
        Ok(Admitted::Ask(self.client.admit(&first, JudgeFile::at_most(&first))?))
    }

    /// What the cache alone says of a turn, and from how many replies; `None` if one is missing.
    fn recall(&self, turn: &Turn) -> Option<(Result<Verdict, JudgeError>, u64)> {
        let mut asks = 0;
        let verdict = self.read(turn, |request| {
            asks += 1;
            self.client.peek(request).ok_or(Recalled::Nothing)
        });
        match verdict {
            Ok(verdict) => Some((Ok(verdict), asks)),
            Err(Recalled::Failure(error)) => Some((Err(error), asks)),
            Err(Recalled::Nothing) => None,
        }
    }

    /// A verdict from one reply, or from two if the first was none.
    fn read<E: From<JudgeError>>(
        &self,
        turn: &Turn,
        mut ask: impl FnMut(&Request) -> Result<Reply, E>,
    ) -> Result<Verdict, E> {
        let first = self.first(turn)?;
        let reply = ask(&first)?;
        let verdict = match Verdict::parse(&reply.content, turn.turn) {
            Ok(verdict) => verdict,
            Err(complaint) => {
                let second = self.file.second(&first, &reply, complaint).map_err(|error| self.no_prompt(&error))?;
                Verdict::parse(&ask(&second)?.content, turn.turn).map_err(JudgeError::Unparsed)?
            }
        };
        Ok(Verdict { clipped: self.file.clips(turn), ..verdict })
    }

    fn first(&self, turn: &Turn) -> Result<Request, JudgeError> {
        self.file.first(&self.model, turn).map_err(|error| self.no_prompt(&error))
    }

    fn no_prompt(&self, error: &minijinja::Error) -> JudgeError {
        JudgeError::File { file: self.file.id(), what: template_error(error), hint: "the judge file's templates" }
    }
}
