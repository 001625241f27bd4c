//! `drift serve`: a model as an endpoint of this machine, for any client of OpenAI's chat completions: `[judge] base_url`
//! can name it, too. Requests that wait are decoded together.

use crate::cli::ModelArgs;
use crate::http::{Request, Response, Server};
use crate::interrupt;
use crate::policy::Policy;
use crate::talk::Talk;
use anyhow::Result;
use drift_chat::{Message, Role};
use drift_lm::{Finish, Sampling, generate};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a request.
const MAX_BODY: usize = 4 << 20;
/// Requests that are decoded at once.
const CONCURRENCY: usize = 16;
/// How long a first request waits for others to be decoded with.
const GATHER: Duration = Duration::from_millis(5);
const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// The port on 127.0.0.1; 0: any that is free
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Under which clients ask for the model
    #[arg(long, value_name = "NAME", default_value = "drift")]
    name: String,
    /// Tokens of an answer at most, where a request does not say
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    max_new: u32,
}

/// What of a request is understood. A key that would change the answer and is not here is refused, not passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    model: String,
    messages: Vec<Message>,
    #[serde(default = "temperature")]
    temperature: f32,
    #[serde(default = "top_p")]
    top_p: f32,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<usize>,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    stream: bool,
    n: Option<u32>,
    #[serde(rename = "user")]
    _user: Option<Value>,
}

fn temperature() -> f32 {
    0.7
}

fn top_p() -> f32 {
    0.9
}

/// A request on its way to the model.
struct Job {
    request: drift_lm::Request,
    sampling: Sampling,
    reply: Sender<drift_lm::Sample>,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let policy = Policy::load(&options.model.path()?, options.model.precision)?;
    let server = Server::bind(options.port, MAX_BODY, "default-src 'none'")?;
    println!("http://127.0.0.1:{}/v1", server.port);
    talk.step("serve", format_args!("{} answers chat completions on this machine alone; Ctrl-C ends", options.name));
    let (send, jobs) = channel();
    let desk = Desk { policy: &policy, options, port: server.port, count: AtomicU64::new(0) };
    std::thread::scope(|scope| {
        scope.spawn(|| decode(&policy, jobs));
        server.serve(|request| desk.handle(request, &send))
    })
}

struct Desk<'a> {
    policy: &'a Policy,
    options: &'a Options,
    port: u16,
    count: AtomicU64,
}

impl Desk<'_> {
    fn handle(&self, request: &Request, jobs: &Sender<Job>) -> Response {
        if !request.is_from_here(self.port) {
            return refused(403, "another host");
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/models") => json_of(&json!({
                "object": "list", "data": [{"id": self.options.name, "object": "model", "owned_by": "drift"}],
            })),
            ("POST", "/v1/chat/completions") => self.complete(request, jobs),
            (_, "/v1/models" | "/v1/chat/completions") => refused(405, "another method"),
            _ => refused(404, "expected /v1/chat/completions or /v1/models"),
        }
    }

    fn complete(&self, request: &Request, jobs: &Sender<Job>) -> Response {
        if !request.is_json() {
            return refused(415, "expected application/json");
        }
        let asked = match self.understand(&request.body) {
            Ok(asked) => asked,
            Err(response) => return response,
        };
        let prompt = match self.policy.format.prompt_ids(&asked.messages) {
            Ok(ids) => ids,
            Err(_) => return refused(400, "messages: the model's chat template refuses them"),
        };
        let (length, context) = (prompt.len(), self.policy.model.context());
        if length >= context {
            return refused(400, &format!("messages: {length} tokens, expected fewer than the context of {context}"));
        }
        let max_new = asked.max_tokens.unwrap_or(self.options.max_new as usize).min(context - length);
        let sampling = Sampling { temperature: asked.temperature, top_p: asked.top_p, top_k: 0 };
        let (reply, sample) = channel();
        let job = Job { request: drift_lm::Request { prompt, max_new, seed: asked.seed }, sampling, reply };
        match jobs.send(job).ok().and_then(|()| sample.recv().ok()) {
            Some(sample) => self.completion(length, &sample),
            None => refused(503, "the server ends"),
        }
    }

    fn understand(&self, body: &[u8]) -> Result<Asked, Response> {
        // where an error is, not what stands there: it may be somebody's words
        let asked: Asked = serde_json::from_slice(body).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => "a key that is missing, not supported or of another type",
                _ => "no JSON",
            };
            refused(400, &format!("line {}, column {}: {what}", error.line(), error.column()))
        })?;
        let wrong = match () {
            () if asked.model != self.options.name => {
                return Err(refused(404, &format!("model: no such model, expected {}", self.options.name)));
            }
            () if asked.stream => "stream: true, expected false: answers come whole",
            () if asked.n.is_some_and(|n| n != 1) => "n: expected 1",
            () if !(asked.temperature >= 0.0 && asked.temperature.is_finite()) => "temperature: expected 0 or more",
            () if !(asked.top_p > 0.0 && asked.top_p <= 1.0) => "top_p: expected above 0, at most 1",
            () if asked.max_tokens == Some(0) => "max_tokens: 0, expected at least 1",
            () if asked.messages.last().is_none_or(|last| last.role == Role::Assistant) => {
                "messages: expected some, the last one not the assistant's"
            }
            () => return Ok(asked),
        };
        Err(refused(400, wrong))
    }

    fn completion(&self, length: usize, sample: &drift_lm::Sample) -> Response {
        let Ok(content) = self.policy.format.tokenizer().decode(&sample.ids, true) else {
            return refused(500, "the answer is no text");
        };
        let made = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        json_of(&json!({
            "id": format!("chatcmpl-{}", self.count.fetch_add(1, Ordering::Relaxed)),
            "object": "chat.completion", "created": made, "model": self.options.name,
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": content},
                "finish_reason": if sample.finish == Finish::Stop { "stop" } else { "length" },
            }],
            "usage": {
                "prompt_tokens": length, "completion_tokens": sample.ids.len(),
                "total_tokens": length + sample.ids.len(),
            },
        }))
    }
}

/// Takes requests as they come: what waits and is drawn alike is decoded together. Ends with Ctrl-C.
fn decode(policy: &Policy, jobs: Receiver<Job>) {
    let mut waiting: Vec<Job> = Vec::new();
    loop {
        match jobs.recv_timeout(if waiting.is_empty() { POLL } else { GATHER }) {
            Ok(job) => waiting.push(job),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) if interrupt::requested() => return,
            Err(RecvTimeoutError::Timeout) if waiting.is_empty() => {}
            Err(RecvTimeoutError::Timeout) => {
                let sampling = waiting[0].sampling;
                let (batch, others) = waiting.into_iter().partition(|job| job.sampling == sampling);
                waiting = others;
                answer(policy, batch, &sampling);
            }
        }
    }
}

fn answer(policy: &Policy, batch: Vec<Job>, sampling: &Sampling) {
    let (requests, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|job| (job.request, job.reply)).unzip();
    generate(&policy.model, &requests, sampling, &policy.format.stop_ids(), CONCURRENCY, &mut |at, sample| {
        // a client that has gone away is its own affair
        let _ = replies[at].send(sample);
        interrupt::flow()
    });
}

fn json_of(value: &Value) -> Response {
    Response { status: 200, content_type: "application/json", body: value.to_string() }
}

/// As OpenAI's API says it.
fn refused(status: u16, message: &str) -> Response {
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    let body = json!({"error": {"message": message, "type": kind}}).to_string();
    Response { status, content_type: "application/json", body }
}
