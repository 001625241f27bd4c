//! The local server: one page, its script and style, and a place to send corrections to.
//!
//! It answers only under a random token, so that neither another user's process nor a page in the same browser can read
//! the cases.

use super::Progress;
use super::corrections::{Correction, Corrections, Log, Mark};
use super::page;
use super::sample::Sample;
use crate::http::{Request, Response, Server};
use crate::privacy;
use crate::talk::Talk;
use anyhow::Result;
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a correction.
const MAX_BODY: usize = 64 << 10;

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
        if !request.is_from_here(port) {
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
        if !request.is_json() {
            return Response::text(415, "expected application/json");
        }
        let Ok(Said { key, label }) = serde_json::from_slice(&request.body) else {
            return Response::text(400, "expected {key, label}");
        };
        if !self.keys.contains(&key) {
            return Response::text(400, "no case of this sample");
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let correction =
            Correction { key, label, by: "review".to_string(), at, mode: self.sample.mode, confidence: None };
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
pub fn serve(desk: &Desk, port: u16, talk: &Talk) -> Result<Progress> {
    let server = Server::bind(port, MAX_BODY, page::POLICY)?;
    println!("http://127.0.0.1:{}/{}/", server.port, desk.token());
    talk.step("review", format_args!("{} cases; open the link in a browser, Ctrl-C ends", desk.sample.cards.len()));
    server.serve(|request| desk.handle(request, server.port))?;
    Ok(desk.progress())
}
