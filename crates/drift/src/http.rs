//! A server for this machine alone: it listens on 127.0.0.1 and takes one request a connection. Nothing of a request is
//! ever logged.

use crate::interrupt;
use anyhow::{Context, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Connections that are answered at once; browsers open a few ahead of need.
const MAX_CONNECTIONS: usize = 32;
/// A client that says nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(30);

/// What a handler sees of a request.
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

impl Request {
    /// Whether it names the server at `port` as its host, and comes from no page of another one: a page whose name was
    /// made to point here (DNS rebinding) does not.
    pub fn is_from_here(&self, port: u16) -> bool {
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let is_ours = |host: &str| hosts.iter().any(|ours| ours == host);
        let origin = self.origin.as_deref();
        self.host.as_deref().is_some_and(is_ours)
            && origin.is_none_or(|origin| origin.strip_prefix("http://").is_some_and(is_ours))
    }

    /// A form of another page cannot send this type without being asked about first.
    pub fn is_json(&self) -> bool {
        self.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/json"))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Response {
    pub fn text(status: u16, body: &str) -> Response {
        Response { status, content_type: "text/plain; charset=utf-8", body: body.to_string() }
    }
}

pub struct Server {
    listener: TcpListener,
    pub port: u16,
    /// Bytes.
    pub max_body: usize,
    /// Content-Security-Policy of every response.
    pub policy: &'static str,
}

impl Server {
    /// `port` 0: any that is free.
    pub fn bind(port: u16, max_body: usize, policy: &'static str) -> Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("port {port}: cannot be listened on; hint: another --port, or none for any that is free")
        })?;
        listener.set_nonblocking(true)?;
        Ok(Server { port: listener.local_addr()?.port(), listener, max_body, policy })
    }

    /// Until Ctrl-C. Requests that are being handled then are still answered.
    pub fn serve(&self, handle: impl Fn(&Request) -> Response + Sync) -> Result<()> {
        let open = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            while !interrupt::requested() {
                match self.listener.accept() {
                    Ok((stream, _)) if open.load(Ordering::SeqCst) < MAX_CONNECTIONS => {
                        open.fetch_add(1, Ordering::SeqCst);
                        scope.spawn(|| {
                            // A client that goes away or talks nonsense is its own affair.
                            let _ = self.answer(stream, &handle);
                            open.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                    Ok(_) => {} // closed at once
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(POLL),
                    Err(error) => return Err(error).context("the local server's connection"),
                }
            }
            Ok(())
        })
    }

    fn answer(&self, mut stream: TcpStream, handle: &impl Fn(&Request) -> Response) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        wait_for_data(&stream)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let response = match read_request(&mut stream, self.max_body)? {
            Ok(request) => handle(&request),
            Err(response) => response,
        };
        let Response { status, content_type, body } = response;
        let reason = match status {
            200 => "OK",
            400..500 => "Refused",
            _ => "Failed",
        };
        write!(
            stream,
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Content-Security-Policy: {}\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\n\r\n",
            body.len(),
            self.policy
        )?;
        stream.write_all(body.as_bytes())?;
        stream.flush()
    }
}

/// A connection that a browser opened ahead of need does not hold up the end.
fn wait_for_data(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(POLL))?;
    let start = Instant::now();
    loop {
        match stream.peek(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if interrupt::requested() || start.elapsed() > PATIENCE {
                    return Err(error);
                }
            }
            other => return other.map(drop),
        }
    }
}

/// The request, or what to say to one that cannot be taken.
fn read_request(stream: &mut impl Read, max_body: usize) -> std::io::Result<Result<Request, Response>> {
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
    if length > max_body {
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

    const MAX: usize = 64 << 10;

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
        let request = read_request(&mut Slow(text), MAX).unwrap().unwrap();
        assert_eq!(
            (&request.method[..], &request.path[..], &request.body[..]),
            ("POST", "/t/corrections", &b"hello"[..])
        );

        let status = |text: &[u8]| read_request(&mut &text[..], MAX).unwrap().unwrap_err().status;
        assert_eq!(status(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
        assert_eq!(status(b"\x16\x03\x01 hello\r\n\r\n"), 400);
        let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 2 * MAX_HEAD]].concat();
        assert_eq!(status(&long), 431);
        assert!(read_request(&mut &b"GET / HT"[..], MAX).is_err());
        // two hosts: neither counts
        let two = read_request(&mut &b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"[..], MAX).unwrap().unwrap();
        assert_eq!(two.host, None);
    }
}
