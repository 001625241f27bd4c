//! A server of chat completions on 127.0.0.1 that says, or fails, what a test wants.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// What the server does with a request.
pub enum Act {
    /// A whole response with this status.
    Reply(u16, Value),
    /// Half of a response, then nothing.
    Cut,
}

/// The server lives as long as the test's process.
pub struct Endpoint {
    pub base_url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    /// `act` gets the request's number, from 0 on, and its body.
    pub fn start(act: impl Fn(usize, &str) -> Act + Send + 'static) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = bodies.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap() > 2 {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                let number = kept.lock().unwrap().len();
                kept.lock().unwrap().push(body.clone());
                let (status, reply, part) = match act(number, &body) {
                    Act::Reply(status, reply) => (status, reply.to_string(), 1),
                    Act::Cut => (200, completion("half", Value::Null).to_string(), 2),
                };
                let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
                write!(stream, "{head}content-length: {}\r\n\r\n{}", reply.len(), &reply[..reply.len() / part])
                    .unwrap();
            }
        });
        Endpoint { base_url, bodies }
    }

    /// Bodies of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }

    /// `[judge]` with this endpoint, and `more` keys.
    pub fn config(&self, more: &str) -> String {
        format!("[judge]\nbase_url = \"{}\"\nmodel = \"m\"\nretry_wait_s = 0.01\n{more}", self.base_url)
    }
}

/// A chat completion.
pub fn completion(content: &str, logprobs: Value) -> Value {
    json!({
        "choices": [{ "index": 0, "finish_reason": "stop", "logprobs": logprobs,
            "message": { "role": "assistant", "content": content } }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 10 },
    })
}
