//! A judge: a verdict a question, in the order of the questions whatever the order of the replies.

use crate::chat::{Reply, Request};
use crate::judge_file::template_error;
use crate::{Client, Complaint, Estimate, JudgeError, JudgeFile, JudgeSettings, Parser, Permit, Prices, Spend};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// How often the caller is asked whether to go on while nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// What a judge is asked: the texts of its parser, and how a reply is read.
pub trait Question: Sync {
    type Verdict: Clone + Send;
    const PARSER: Parser;

    /// In the order of [`Parser::texts`].
    fn texts(&self) -> Vec<(&'static str, &str)>;

    /// # Errors
    /// What is wrong with a reply that is no verdict.
    fn read(&self, reply: &Reply) -> Result<Self::Verdict, Complaint>;
}

#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub done: usize,
    pub total: usize,
    pub spend: Spend,
}

/// What became of the questions of one call.
#[derive(Debug)]
pub struct Batch<V> {
    /// One a question, in their order.
    pub verdicts: Vec<Result<V, JudgeError>>,
    /// Questions without a verdict by [`JudgeError::reason`]; with the verdicts they add up to all questions.
    pub failed: BTreeMap<&'static str, usize>,
    /// Verdicts on shortened texts.
    pub clipped: usize,
}

/// A question that has had its place in the order.
enum Admitted<'a, V> {
    Known(Result<V, JudgeError>),
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
pub struct Judge {
    client: Client,
    file: JudgeFile,
    model: String,
    prices: Prices,
}

impl Judge {
    /// Takes the key from the environment. Where the settings name no judge file, the one that is shipped for this parser
    /// is taken.
    pub fn new(settings: &JudgeSettings, parser: Parser) -> Result<Judge, JudgeError> {
        Judge::with_client(settings, parser, Client::new(settings)?)
    }

    pub fn with_client(settings: &JudgeSettings, parser: Parser, client: Client) -> Result<Judge, JudgeError> {
        let file = settings.file.as_deref().map_or_else(|| JudgeFile::shipped(parser), JudgeFile::load)?;
        if file.parser() != parser {
            return Err(JudgeError::Settings {
                key: "file",
                what: format!("a judge of {:?}, expected one of {parser:?}", file.parser()).to_lowercase(),
                hint: "leave it out for the judge that is shipped",
            });
        }
        let model = settings.model.as_deref().or(file.model()).map(str::to_string);
        let model = model.ok_or_else(|| JudgeError::Settings {
            key: "model",
            what: "missing, expected the name under which the endpoint offers the model".into(),
            hint: "set it here, or in the judge file",
        })?;
        Ok(Judge { client, file, model, prices: settings.prices() })
    }

    /// Judge, model and endpoint: what verdicts depend on.
    pub fn id(&self) -> String {
        format!("{} {} {}", self.file.id(), self.model, self.client.base_url())
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One question.
    pub fn judge<Q: Question>(&self, question: &Q) -> Result<Q::Verdict, JudgeError> {
        self.finish(self.admit(question)?, question)
    }

    /// What judging would take from here. Nothing is asked.
    pub fn estimate<Q: Question>(&self, questions: &[Q]) -> Result<Estimate, JudgeError> {
        let mut estimate = Estimate { questions: questions.len(), ..Estimate::default() };
        let mut seen = HashSet::new();
        for question in questions {
            if self.recall(question).is_some() {
                estimate.cached += 1;
                continue;
            }
            let request = self.first(question)?;
            if seen.insert(blake3::hash(request.body().as_bytes())) {
                estimate.calls += 1;
                estimate.tokens = estimate.tokens.plus(request.about());
            }
        }
        estimate.money = self.prices.of(estimate.tokens);
        Ok(estimate)
    }

    /// All questions, `concurrency` at once. `watch` is called on this thread after each and ten times a second;
    /// once it breaks, or the budget ends or the endpoint is no use, the rest is answered from the cache alone.
    pub fn judge_all<Q: Question>(
        &self,
        questions: &[Q],
        mut watch: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Batch<Q::Verdict> {
        let mut verdicts: Vec<Option<Result<Q::Verdict, JudgeError>>> = vec![None; questions.len()];
        let next = Mutex::new(0);
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.client.concurrency().min(questions.len()) {
                let (next, send) = (&next, send.clone());
                scope.spawn(move || {
                    while let Some((index, verdict)) = self.judge_next(questions, next) {
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
                if watch(Progress { done, total: questions.len(), spend: self.client.spend() }).is_break() {
                    self.client.stop();
                }
            }
        });
        // Every index was taken by one thread, and every thread has ended.
        let verdicts: Vec<_> =
            verdicts.into_iter().map(|verdict| verdict.unwrap_or(Err(JudgeError::Stopped))).collect();
        let mut batch = Batch { verdicts, failed: BTreeMap::new(), clipped: 0 };
        for (verdict, question) in batch.verdicts.iter().zip(questions) {
            match verdict {
                Ok(_) => batch.clipped += usize::from(self.file.clips(&question.texts())),
                Err(error) => *batch.failed.entry(error.reason()).or_default() += 1,
            }
        }
        batch
    }

    /// Takes the next question. Questions are admitted one by one and in order; only asking is concurrent.
    fn judge_next<Q: Question>(
        &self,
        questions: &[Q],
        next: &Mutex<usize>,
    ) -> Option<(usize, Result<Q::Verdict, JudgeError>)> {
        let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
        let index = *next;
        let question = questions.get(index)?;
        *next += 1;
        let admitted = self.admit(question);
        drop(next);
        Some((index, admitted.and_then(|admitted| self.finish(admitted, question))))
    }

    fn finish<Q: Question>(&self, admitted: Admitted<Q::Verdict>, question: &Q) -> Result<Q::Verdict, JudgeError> {
        match admitted {
            Admitted::Known(verdict) => verdict,
            Admitted::Ask(mut permit) => self.read(question, |request| permit.ask(request)),
        }
    }

    fn admit<Q: Question>(&self, question: &Q) -> Result<Admitted<'_, Q::Verdict>, JudgeError> {
        let first = self.first(question)?;
        self.client.settled(&first);
        if let Some((verdict, asks)) = self.recall(question) {
            self.client.count_cached(asks);
            return Ok(Admitted::Known(verdict));
        }
        Ok(Admitted::Ask(self.client.admit(&first, self.file.at_most(&first))?))
    }

    /// What the cache alone says of a question, and from how many replies; `None` if one is missing.
    fn recall<Q: Question>(&self, question: &Q) -> Option<(Result<Q::Verdict, JudgeError>, u64)> {
        let mut asks = 0;
        let verdict = self.read(question, |request| {
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
    fn read<Q: Question, E: From<JudgeError>>(
        &self,
        question: &Q,
        mut ask: impl FnMut(&Request) -> Result<Reply, E>,
    ) -> Result<Q::Verdict, E> {
        let first = self.first(question)?;
        let reply = ask(&first)?;
        let complaint = match question.read(&reply) {
            Ok(verdict) => return Ok(verdict),
            Err(complaint) => complaint,
        };
        let second = self.file.second(&first, &reply, complaint).map_err(|error| self.no_prompt(&error))?;
        let verdict = match second {
            Some(second) => question.read(&ask(&second)?),
            None => Err(complaint),
        };
        Ok(verdict.map_err(JudgeError::Unparsed)?)
    }

    fn first<Q: Question>(&self, question: &Q) -> Result<Request, JudgeError> {
        self.file.first(&self.model, &question.texts()).map_err(|error| self.no_prompt(&error))
    }

    fn no_prompt(&self, error: &minijinja::Error) -> JudgeError {
        JudgeError::File { file: self.file.id(), what: template_error(error), hint: "the judge file's templates" }
    }
}
