//! The local server: one page, its script and style, and a place to send corrections to.
//!
//! It listens on 127.0.0.1 and answers only under a random token, so that neither another machine nor another user's
//! process nor a page in the same browser can read the cases. A request must also name this address as its host: a page
//! whose name was made to point here (DNS rebinding) does not. Nothing of a request is ever logged.

use super::Progress;
use super::corrections::{Correction, Corrections, Log, Mark};
use super::page;
use super::sample::Sample;
use crate::interrupt;
use crate::privacy;
use crate::talk::Talk;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MAX_HEAD: usize = 16 << 10;
const MAX_BODY: usize = 64 << 10;
const MAX_HEADERS: usize = 64;
/// Connections that are answered at once; browsers open a few ahead of need.
const MAX_CONNECTIONS: usize = 32;
/// A client that says nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(30);

/// What the handler sees of a request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub host: Option<String>,
    /// Browsers send it with everything but plain navigation.
    pub origin: Option<String>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Response {
    fn text(status: u16, body: &str) -> Response {
        Response { status, content_type: "text/plain; charset=utf-8", body: body.to_string() }
    }
}

/// The sample and what has been said of it.
pub struct Desk {
    name: String,
    sample: Sample,
    keys: HashSet<String>,
    token: String,
    said: Mutex<(Corrections, Log)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    key: String,
    label: Mark,
}

impl Desk {
    pub fn new(name: String, sample: Sample, said: Corrections, log: Log) -> Result<Desk> {
        let token = blake3::Hash::from_bytes(privacy::random()?).to_hex()[..32].to_string();
        let keys = sample.cards.iter().map(|card| card.key.clone()).collect();
        Ok(Desk { name, sample, keys, token, said: Mutex::new((said, log)) })
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Waits for a correction that is just being written.
    pub fn progress(&self) -> Progress {
        Progress::of(&self.sample, &self.said.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Answers a request to the server at `port`.
    pub fn handle(&self, request: &Request, port: u16) -> Response {
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let is_ours = |host: &str| hosts.iter().any(|ours| ours == host);
        let from_here =
            request.origin.as_deref().is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_ours));
        if !request.host.as_deref().is_some_and(is_ours) || !from_here {
            return Response::text(403, "another host");
        }
        let (token, page) = request.path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or_default();
        // Hashes compare in constant time, whatever was sent.
        if blake3::hash(token.as_bytes()) != blake3::hash(self.token.as_bytes()) {
            return Response::text(403, "use the link that drift review printed");
        }
        match (request.method.as_str(), page) {
            ("GET", "") => {
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                match page::served(&self.name, &self.sample, &said.0) {
                    Ok(body) => Response { status: 200, content_type: "text/html; charset=utf-8", body },
                    Err(_) => Response::text(500, "the page could not be made"),
                }
            }
            ("GET", "page.js") => {
                Response { status: 200, content_type: "text/javascript; charset=utf-8", body: page::SCRIPT.to_string() }
            }
            ("GET", "page.css") => {
                Response { status: 200, content_type: "text/css; charset=utf-8", body: page::STYLE.to_string() }
            }
            ("POST", "corrections") => self.take(request),
            (_, "" | "page.js" | "page.css" | "corrections") => Response::text(405, "another method"),
            _ => Response::text(404, "no such page"),
        }
    }

    fn take(&self, request: &Request) -> Response {
        // A form of another page cannot send this type without being asked about first.
        if request.content_type.as_deref().is_none_or(|kind| !kind.starts_with("application/json")) {
            return Response::text(415, "expected application/json");
        }
        let Ok(Said { key, label }) = serde_json::from_slice(&request.body) else {
            return Response::text(400, "expected {key, label}");
        };
        if !self.keys.contains(&key) {
            return Response::text(400, "no case of this sample");
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let correction = Correction { key, label, by: "review".to_string(), at, mode: self.sample.mode };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match said.1.append(std::slice::from_ref(&correction)) {
            Ok(()) => {
                said.0.put(correction);
                Response::text(200, "saved")
            }
            Err(_) => Response::text(500, "the correction could not be written"),
        }
    }
}

/// Serves until Ctrl-C.
pub fn serve(desk: Desk, port: u16, talk: &Talk) -> Result<Progress> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
        format!("port {port}: cannot be listened on; hint: another --port, or none for any that is free")
    })?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    println!("http://127.0.0.1:{port}/{}/", desk.token());
    talk.step("review", format_args!("{} cases; open the link in a browser, Ctrl-C ends", desk.sample.cards.len()));
    let desk = Arc::new(desk);
    let open = Arc::new(AtomicUsize::new(0));
    while !interrupt::requested() {
        match listener.accept() {
            Ok((stream, _)) if open.load(Ordering::SeqCst) < MAX_CONNECTIONS => {
                let (desk, open) = (Arc::clone(&desk), Arc::clone(&open));
                open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // A client that goes away or talks nonsense is its own affair.
                    let _ = answer(stream, &desk, port);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Ok(_) => {} // closed at once
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(POLL),
            Err(error) => return Err(error).context("the local page's connection"),
        }
    }
    Ok(desk.progress())
}

fn answer(mut stream: TcpStream, desk: &Desk, port: u16) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let response = match read_request(&mut stream)? {
        Ok(request) => desk.handle(&request, port),
        Err(response) => response,
    };
    let Response { status, content_type, body } = response;
    let reason = match status {
        200 => "OK",
        400..500 => "Refused",
        _ => "Failed",
    };
    let policy = page::POLICY;
    write!(
        stream,
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Content-Security-Policy: {policy}\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
         Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}

/// The request, or what to say to one that cannot be taken.
fn read_request(stream: &mut impl Read) -> std::io::Result<Result<Request, Response>> {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    let (mut request, head, length) = loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(&bytes) {
            Err(_) => return Ok(Err(Response::text(400, "no HTTP request"))),
            Ok(httparse::Status::Complete(head)) => {
                let header = |name: &str| -> Option<String> {
                    let mut of_name = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
                    let value = of_name.next().and_then(|header| std::str::from_utf8(header.value).ok());
                    // twice the same header is somebody's trick
                    value.filter(|_| of_name.next().is_none()).map(str::to_string)
                };
                let request = Request {
                    method: parsed.method.unwrap_or_default().to_string(),
                    path: parsed.path.unwrap_or_default().to_string(),
                    host: header("host"),
                    origin: header("origin"),
                    content_type: header("content-type"),
                    body: Vec::new(),
                };
                let length = header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
                break (request, head, length);
            }
            Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => {
                return Ok(Err(Response::text(431, "too long a head")));
            }
            Ok(httparse::Status::Partial) => match stream.read(&mut block)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => bytes.extend_from_slice(&block[..n]),
            },
        }
    };
    if length > MAX_BODY {
        return Ok(Err(Response::text(413, "too long a body")));
    }
    while bytes.len() < head + length {
        match stream.read(&mut block)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(&block[..n]),
        }
    }
    request.body = bytes[head..head + length].to_vec();
    Ok(Ok(request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_in_pieces_and_refused_by_size() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, block: &mut [u8]) -> std::io::Result<usize> {
                let n = self.0.len().min(3).min(block.len());
                block[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let text = b"POST /t/corrections HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nhello and more";
        let request = read_request(&mut Slow(text)).unwrap().unwrap();
        assert_eq!(
            (&request.method[..], &request.path[..], &request.body[..]),
            ("POST", "/t/corrections", &b"hello"[..])
        );

        let status = |text: &[u8]| read_request(&mut &text[..]).unwrap().unwrap_err().status;
        assert_eq!(status(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
        assert_eq!(status(b"\x16\x03\x01 hello\r\n\r\n"), 400);
        let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 2 * MAX_HEAD]].concat();
        assert_eq!(status(&long), 431);
        assert!(read_request(&mut &b"GET / HT"[..]).is_err());
        // two hosts: neither counts
        let two = read_request(&mut &b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"[..]).unwrap().unwrap();
        assert_eq!(two.host, None);
    }
}
