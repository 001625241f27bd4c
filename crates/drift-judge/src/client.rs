//! Asking with care: from the cache where it can, within the budget, again where a failure may pass.
//!
//! Who wants to ask is first admitted: room for the worst case is set aside in the budget, and the request is
//! marked as in flight, so that its twin waits for the answer instead of asking too. Where the room is lacking
//! while others are in flight, admission waits for what they leave over. So, with requests admitted in
//! order, the budget ends before the same one at any concurrency.

use crate::budget::Ledger;
use crate::cache::{self, Cache, Key};
use crate::endpoint::{Endpoint, Fault, FaultKind};
use crate::{JudgeError, JudgeSettings, Reply, Request, Spend, Tokens, retry};
use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Requests that fail one after another, each as often as it may, before the endpoint counts as down.
const GIVE_UP_AFTER: u32 = 10;

/// An endpoint with its cache and its budget; to be shared between threads.
pub struct Client {
    endpoint: Endpoint,
    cache: Cache,
    concurrency: usize,
    retries: u32,
    first_wait: Duration,
    max_wait: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ledger: Ledger,
    /// First requests of the permits that are out.
    in_flight: HashSet<Key>,
    calling: usize,
    failed_in_a_row: u32,
    /// The endpoint asked everybody to wait.
    paused_until: Option<Instant>,
    /// Nobody else is admitted. Once it is there it stays.
    closed: Option<JudgeError>,
}

impl Client {
    /// Takes the key from the environment.
    pub fn new(settings: &JudgeSettings) -> Result<Client, JudgeError> {
        let Some(name) = &settings.key_env else { return Client::with_key(settings, None) };
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !name.chars().all(is_name) {
            // not shown: it may be the key
            return Err(JudgeError::Settings {
                key: "key_env",
                what: "no name of an environment variable, expected capitals, digits and _".into(),
                hint: "the key itself stands in the environment, never in a file",
            });
        }
        let key = std::env::var(name).map_err(|_| JudgeError::Settings {
            key: "key_env",
            what: format!(
                "{name:?} is not in the environment, or not text, expected the name of a variable with the key"
            ),
            hint: "export it, or leave key_env out where no key is needed",
        })?;
        Client::with_key(settings, Some(&key))
    }

    /// With `key` instead of the one that `key_env` names.
    pub fn with_key(settings: &JudgeSettings, key: Option<&str>) -> Result<Client, JudgeError> {
        settings.check()?;
        let state = State {
            ledger: Ledger::new(settings),
            in_flight: HashSet::new(),
            calling: 0,
            failed_in_a_row: 0,
            paused_until: None,
            closed: None,
        };
        Ok(Client {
            endpoint: Endpoint::new(settings, key)?,
            cache: settings.cache.as_deref().map_or_else(|| Ok(Cache::in_memory()), Cache::open)?,
            concurrency: settings.concurrency,
            retries: settings.retries,
            first_wait: Duration::from_secs_f64(settings.retry_wait_s),
            max_wait: Duration::from_secs_f64(settings.max_wait_s),
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// One request on its own.
    pub fn ask(&self, request: &Request) -> Result<Reply, JudgeError> {
        match self.peek(request) {
            Some(reply) => {
                self.count_cached(1);
                Ok(reply)
            }
            None => self.admit(request, request.at_most())?.ask(request),
        }
    }

    /// A permit to ask `first`, and what follows from it, for `worst` in all. Waits for an equal request that
    /// is in flight, and for room in the budget as long as others may leave some over.
    pub fn admit(&self, first: &Request, worst: Tokens) -> Result<Permit<'_>, JudgeError> {
        let key = self.key(&first.model, &first.body());
        let mut state = self.lock();
        loop {
            if let Some(error) = &state.closed {
                return Err(error.clone());
            }
            if !state.in_flight.contains(&key) {
                if state.ledger.reserve(worst) {
                    state.in_flight.insert(key);
                    return Ok(Permit { client: self, key, reserved: worst });
                }
                if state.in_flight.is_empty() {
                    return Err(self.close(&mut state, over_budget));
                }
            }
            state = self.wait(state);
        }
    }

    /// Returns once no equal request is in flight: then the cache has its reply, or it failed.
    pub(crate) fn settled(&self, request: &Request) {
        let key = self.key(&request.model, &request.body());
        let mut state = self.lock();
        while state.in_flight.contains(&key) {
            state = self.wait(state);
        }
    }

    /// From the cache, uncounted.
    pub(crate) fn peek(&self, request: &Request) -> Option<Reply> {
        self.cache.get(&self.key(&request.model, &request.body()))
    }

    pub(crate) fn count_cached(&self, asks: u64) {
        self.lock().ledger.counts().cached += asks;
    }

    /// Nothing more is asked; pauses end at once, a call that is out runs to its end. For good.
    pub fn stop(&self) {
        self.close(&mut self.lock(), |_| JudgeError::Stopped);
    }

    pub fn spend(&self) -> Spend {
        self.lock().ledger.spend()
    }

    /// Lines of the cache file that were cut by a kill or are none of its own; they were skipped.
    pub fn broken_cache_lines(&self) -> usize {
        self.cache.broken
    }

    pub fn base_url(&self) -> &str {
        &self.endpoint.base_url
    }

    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn key(&self, model: &str, body: &str) -> Key {
        cache::key(&self.endpoint.base_url, model, body)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The first cause stays; a spent budget alone, which lets calls in flight end, gives way to any other.
    fn close(&self, state: &mut State, cause: impl FnOnce(&State) -> JudgeError) -> JudgeError {
        let cause = cause(state);
        if matches!(state.closed, None | Some(JudgeError::Budget { .. })) {
            state.closed = Some(cause.clone());
        }
        self.changed.notify_all();
        cause
    }

    /// Returns if the request may be tried again.
    fn consider(&self, state: &mut State, fault: Fault, attempt: u32) -> Result<(), JudgeError> {
        let Fault { kind, what, hint, retry_after, .. } = fault;
        let url = self.endpoint.base_url.clone();
        let what = match kind {
            FaultKind::Request => {
                // The endpoint is up, and would not have this one.
                state.failed_in_a_row = 0;
                return Err(JudgeError::Rejected { url, what, hint });
            }
            FaultKind::Endpoint => what,
            FaultKind::Passing if retry_after.is_some_and(|asked| asked > self.max_wait) => {
                let asked = retry_after.unwrap_or_default().as_secs();
                format!("{what}; asks for a pause of {asked} s, expected at most judge.max_wait_s")
            }
            FaultKind::Passing if attempt < self.retries => {
                let until = retry_after.map(|asked| Instant::now() + asked);
                state.paused_until = state.paused_until.max(until);
                return Ok(());
            }
            FaultKind::Passing => {
                state.failed_in_a_row += 1;
                if state.failed_in_a_row < GIVE_UP_AFTER {
                    return Err(JudgeError::Failed { url, what, attempts: attempt + 1, hint });
                }
                format!("{what}, for {GIVE_UP_AFTER} requests in a row")
            }
        };
        Err(self.close(state, |_| JudgeError::Endpoint { url, what, hint }))
    }

    /// Waits until `not_before`, until the endpoint lets calls in again, and for one of the places.
    fn enter(&self, not_before: Instant) -> Result<(), JudgeError> {
        let mut state = self.lock();
        loop {
            if let Some(error) = state.closed.as_ref().filter(|error| !matches!(error, JudgeError::Budget { .. })) {
                return Err(error.clone());
            }
            let until = state.paused_until.map_or(not_before, |paused| paused.max(not_before));
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            } else if state.calling >= self.concurrency {
                state = self.wait(state);
            } else {
                state.calling += 1;
                return Ok(());
            }
        }
    }
}

fn over_budget(state: &State) -> JudgeError {
    JudgeError::Budget { what: format!("{}, the next call might take more than is left", state.ledger.remains()) }
}

/// Room in the budget for the asks of one piece of work. What is left of it goes back when it is dropped.
pub struct Permit<'a> {
    client: &'a Client,
    key: Key,
    reserved: Tokens,
}

impl Permit<'_> {
    /// From the cache, else from the endpoint. The reply is in the cache when this returns.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, JudgeError> {
        let (client, body, worst) = (self.client, request.body(), request.at_most());
        let key = client.key(&request.model, &body);
        if let Some(reply) = client.cache.get(&key) {
            client.count_cached(1);
            return Ok(reply);
        }
        let mut not_before = Instant::now();
        let mut attempt = 0;
        loop {
            self.cover(worst)?;
            client.enter(not_before)?;
            let outcome = client.endpoint.post(&body);
            let mut state = client.lock();
            state.calling -= 1;
            client.changed.notify_all();
            let counts = state.ledger.counts();
            counts.calls += 1;
            counts.retries += u64::from(attempt > 0);
            match outcome {
                Ok(reply) => {
                    counts.unreported += u64::from(reply.usage.is_none());
                    state.ledger.charge(&mut self.reserved, worst, reply.usage.unwrap_or(worst));
                    state.failed_in_a_row = 0;
                    drop(state);
                    let kept = client.cache.put(key, &reply);
                    return kept.map(|()| reply).map_err(|error| client.close(&mut client.lock(), |_| error));
                }
                Err(fault) => {
                    if fault.lost {
                        counts.lost += 1;
                        state.ledger.charge(&mut self.reserved, worst, worst);
                    }
                    let pause = retry::pause(attempt, client.first_wait, client.max_wait, fault.retry_after, &key);
                    client.consider(&mut state, fault, attempt)?;
                    not_before = Instant::now() + pause;
                    attempt += 1;
                }
            }
        }
    }

    /// Sets aside what is missing to `worst`: after a call that was lost, or for asks that nobody foresaw.
    fn cover(&mut self, worst: Tokens) -> Result<(), JudgeError> {
        let missing = worst.minus(self.reserved);
        let mut state = self.client.lock();
        if !state.ledger.reserve(missing) {
            return Err(self.client.close(&mut state, over_budget));
        }
        self.reserved = self.reserved.plus(missing);
        Ok(())
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let state = &mut *self.client.lock();
        let rest = self.reserved;
        state.ledger.give_back(&mut self.reserved, rest);
        state.in_flight.remove(&self.key);
        self.client.changed.notify_all();
    }
}
