//! A chat-completions server on 127.0.0.1 that follows a script of faults and remembers what it was asked.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What one request meets.
#[derive(Clone, Debug)]
pub enum Act {
    /// A completion with this content that claims these tokens.
    Say(String, Option<(u64, u64)>),
    /// The same after a pause in milliseconds.
    Slow(u64, String),
    /// A status with headers (each ended by CRLF) and a body.
    Status(u16, &'static str, String),
    /// 200 with a body that may be anything.
    Body(String),
    /// Announces a completion and closes in the middle of it.
    Cut,
    /// Closes without a word.
    Hang,
    /// Sends no HTTP.
    Noise,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub authorization: Option<String>,
    pub body: String,
}

type Script = dyn Fn(usize, &Asked) -> Act + Send + Sync;

pub struct Mock {
    pub port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    most_at_once: Arc<Mutex<(usize, usize)>>,
}

impl Mock {
    /// `script` sees how often the same body was asked before, and the request.
    pub fn start(script: impl Fn(usize, &Asked) -> Act + Send + Sync + 'static) -> Mock {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let most_at_once: Arc<Mutex<(usize, usize)>> = Arc::default();
        let times: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let script: Arc<Script> = Arc::new(script);
        let shared = (asked.clone(), most_at_once.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, most) = shared.clone();
                let (times, script) = (times.clone(), script.clone());
                std::thread::spawn(move || {
                    let mut stream = stream;
                    while let Some(request) = read_request(&mut stream) {
                        let before = {
                            let mut times = times.lock().unwrap();
                            let seen = times.entry(request.body.clone()).or_default();
                            *seen += 1;
                            *seen - 1
                        };
                        asked.lock().unwrap().push(request.clone());
                        {
                            let mut most = most.lock().unwrap();
                            most.0 += 1;
                            most.1 = most.1.max(most.0);
                        }
                        let act = script(before, &request);
                        // Counted out before the answer: the client may ask again as soon as it has it.
                        if let Act::Slow(millis, _) = act {
                            std::thread::sleep(Duration::from_millis(millis));
                        }
                        most.lock().unwrap().0 -= 1;
                        if !answer(&mut stream, act) {
                            let _ = stream.shutdown(Shutdown::Both);
                            return;
                        }
                    }
                });
            }
        });
        Mock { port, asked, most_at_once }
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn most_at_once(&self) -> usize {
        self.most_at_once.lock().unwrap().1
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&bytes);
        if parsed.is_err() {
            // As servers do to one that speaks TLS.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            return None;
        }
        if let Ok(httparse::Status::Complete(head)) = parsed {
            let header = |name: &str| {
                let found = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
                found.map(|h| String::from_utf8_lossy(h.value).into_owned())
            };
            let length: usize = header("content-length")?.parse().ok()?;
            if bytes.len() >= head + length {
                let body = String::from_utf8(bytes[head..head + length].to_vec()).ok()?;
                let path = format!("{} {}", request.method?, request.path?);
                return Some(Asked { path, authorization: header("authorization"), body });
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}

pub fn completion(content: &str, usage: Option<(u64, u64)>) -> String {
    let usage = usage.map(|(input, output)| serde_json::json!({"prompt_tokens": input, "completion_tokens": output}));
    serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "usage": usage,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
    })
    .to_string()
}

/// Whether the connection may be used again.
fn answer(stream: &mut TcpStream, act: Act) -> bool {
    let (status, headers, body) = match act {
        Act::Say(content, usage) => (200, "", completion(&content, usage)),
        Act::Slow(_, content) => (200, "", completion(&content, Some((10, 5)))),
        Act::Status(status, headers, body) => (status, headers, body),
        Act::Body(body) => (200, "", body),
        Act::Cut => {
            let body = completion("{\"label\":\"SAT\"", Some((10, 5)));
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{}", &body[..body.len() / 2]).as_bytes());
            return false;
        }
        Act::Hang => return false,
        Act::Noise => {
            let _ = stream.write_all(b"\x00\x01SSH-2.0-nothing\r\n\r\n");
            return false;
        }
    };
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).is_ok()
}
