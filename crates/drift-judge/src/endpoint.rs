//! One HTTP exchange with the endpoint, and what its failure means.

use crate::chat::Reply;
use crate::{JudgeError, JudgeSettings, retry};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};
use ureq::http::{HeaderValue, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error, Proxy, Timeout};

/// A chat completion with log-probs of a few hundred tokens has some 100 kB.
const MAX_REPLY: u64 = 1 << 20;
const MAX_HEADERS: usize = 64 << 10;
/// A pooled connection is not used again after so long: servers close idle ones, and a request that meets
/// the closing counts as lost.
const MAX_IDLE: Duration = Duration::from_secs(4);

pub(crate) struct Endpoint {
    agent: Agent,
    /// As configured, without a slash at its end: it is shown in errors.
    pub base_url: String,
    url: String,
    authorization: Option<HeaderValue>,
}

/// Why there is no reply.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    pub what: String,
    pub hint: &'static str,
    /// The endpoint may have worked on it, and may charge for it.
    pub lost: bool,
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FaultKind {
    /// The same request may succeed later.
    Passing,
    /// This request will not.
    Request,
    /// No request will.
    Endpoint,
}

impl Fault {
    fn new(kind: FaultKind, what: impl Into<String>, hint: &'static str) -> Fault {
        Fault { kind, what: what.into(), hint, lost: false, retry_after: None }
    }

    fn lost(self) -> Fault {
        Fault { lost: true, ..self }
    }
}

impl Endpoint {
    /// `key` is sent as a bearer token.
    pub fn new(settings: &JudgeSettings, key: Option<&str>) -> Result<Endpoint, JudgeError> {
        let (base_url, host) = check_url(&settings.base_url)?;
        let authorization = key.map(bearer).transpose()?;
        let local = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        let roots = settings.ca_file.as_deref().map_or(Ok(RootCerts::WebPki), certificates)?;
        let timeout = Duration::from_secs_f64(settings.timeout_s);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(if local { None } else { Proxy::try_from_env() })
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(Duration::from_secs(20))))
            .max_response_header_size(MAX_HEADERS)
            .max_idle_connections_per_host(settings.concurrency)
            .max_idle_age(MAX_IDLE)
            .user_agent(concat!("drift/", env!("CARGO_PKG_VERSION")))
            .build();
        let url = format!("{base_url}/chat/completions");
        Ok(Endpoint { agent: Agent::new_with_config(config), base_url, url, authorization })
    }

    pub fn post(&self, body: &str) -> Result<Reply, Fault> {
        let mut request = self.agent.post(&self.url).content_type("application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send(body).map_err(fault_of)?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let retry_after = after.and_then(|value| retry::retry_after(value, SystemTime::now()));
            // Only a code out of our own list leaves this function; a body that cannot be read has none.
            let body = response.body_mut().with_config().limit(MAX_REPLY).read_to_vec().unwrap_or_default();
            return Err(Fault { retry_after, ..fault_of_status(status, code_of(&body)) });
        }
        let body = response.body_mut().with_config().limit(MAX_REPLY).read_to_vec();
        // The endpoint had begun to answer, so whatever went wrong, it is on the bill.
        let body = body.map_err(|error| fault_of(error).lost())?;
        let no_completion = "the reply is no chat completion, expected JSON with choices[0].message.content";
        let hint = "does base_url end where /chat/completions begins, often in /v1?";
        Reply::parse(&body).ok_or_else(|| Fault::new(FaultKind::Passing, no_completion, hint).lost())
    }
}

/// The URL without slashes at its end, and its host.
fn check_url(url: &str) -> Result<(String, String), JudgeError> {
    // The URL is shown only once it is known to hold no secret.
    let wrong = |what: &str| {
        let hint =
            "for example base_url = \"http://127.0.0.1:8080/v1\"; a key belongs into the variable that key_env names";
        JudgeError::Settings { key: "base_url", what: what.into(), hint }
    };
    if url.is_empty() {
        return Err(wrong("missing, expected the URL of a chat-completions endpoint"));
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(wrong("another scheme, expected http:// or https://"));
    }
    if url.contains(['@', '?', '#']) {
        return Err(wrong("has a user, a query or a fragment, expected scheme, host and path alone"));
    }
    let url = url.trim_end_matches('/');
    if url.ends_with("/chat/completions") {
        return Err(wrong("ends in /chat/completions, expected what comes before it"));
    }
    let uri: Uri = url.parse().map_err(|_| wrong("not a URL, expected scheme, host and path"))?;
    let host = uri
        .host()
        .filter(|host| uri.scheme().is_some() && !host.is_empty())
        .ok_or_else(|| wrong("has no host, expected one"))?;
    Ok((url.to_string(), host.to_string()))
}

/// White space around a key is the shell's or a file's.
fn bearer(key: &str) -> Result<HeaderValue, JudgeError> {
    let wrong = |what: &str| {
        let hint = "the variable holds the key alone, as the endpoint's owner gave it";
        JudgeError::Settings { key: "key_env", what: what.into(), hint }
    };
    let key = key.trim();
    if key.is_empty() {
        return Err(wrong("the variable is empty, expected a key"));
    }
    let value = HeaderValue::try_from(format!("Bearer {key}"));
    let mut value = value.map_err(|_| wrong("the variable's value cannot be a header, expected printable ASCII"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn certificates(path: &Path) -> Result<RootCerts, JudgeError> {
    let wrong = |what: String| JudgeError::file(path, what, "judge.ca_file holds one or more PEM certificates");
    let text = std::fs::read(path).map_err(|error| wrong(format!("cannot read ({error})")))?;
    let mut found: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&text) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(wrong("not PEM, expected certificates".into())),
        }
    }
    if found.is_empty() {
        return Err(wrong("holds no certificate, expected at least one".into()));
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// Codes that endpoints give in an error's body. Nothing else of a body is ever shown: it may quote the
/// request, or the key.
const CODES: [&str; 8] = [
    "context_length_exceeded",
    "content_filter",
    "insufficient_quota",
    "invalid_api_key",
    "invalid_request_error",
    "model_not_found",
    "rate_limit_exceeded",
    "unsupported_parameter",
];

fn code_of(body: &[u8]) -> Option<&'static str> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error").unwrap_or(&body);
    let told: Vec<&str> = ["code", "type"].iter().filter_map(|key| error.get(key)?.as_str()).collect();
    told.iter().find_map(|told| CODES.into_iter().find(|code| code == told))
}

fn fault_of_status(status: u16, code: Option<&'static str>) -> Fault {
    use FaultKind::{Endpoint, Passing, Request};
    let what = match code {
        Some(code) => format!("HTTP {status} ({code}), expected 200"),
        None => format!("HTTP {status}, expected 200"),
    };
    let (kind, hint) = match (status, code) {
        (_, Some("insufficient_quota")) | (402, _) => (Endpoint, "the account has no credit left"),
        (_, Some("model_not_found")) => (Endpoint, "judge.model, or the judge file's: does the endpoint offer it?"),
        (_, Some("unsupported_parameter")) => {
            (Endpoint, "the judge file may set limit_key = \"max_completion_tokens\" and leave temperature out")
        }
        (300..=399, _) => (Endpoint, "redirects are not followed: set base_url to where it points"),
        (401 | 403 | 407, _) => (Endpoint, "check the key in the variable that judge.key_env names"),
        (404 | 405, _) => {
            (Endpoint, "does base_url end where /chat/completions begins, often in /v1? is the model's name right?")
        }
        (408 | 409 | 425 | 429 | 500.., _) => (Passing, "the endpoint is busy or down"),
        _ => (Request, "does the text fit the model's context? does the endpoint take every key of the judge file?"),
    };
    Fault::new(kind, what, hint)
}

fn fault_of(error: Error) -> Fault {
    use FaultKind::{Endpoint, Passing, Request};
    let unreachable = "is base_url right, and the server running?";
    let certificate = "judge.ca_file names certificates to trust; a server without TLS has an http:// URL";
    match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Fault::new(Passing, "no connection in time", unreachable)
        }
        Error::Timeout(_) => Fault::new(Passing, "no reply within timeout_s", "raise timeout_s").lost(),
        Error::HostNotFound => Fault::new(Endpoint, "the host's name is unknown", unreachable),
        Error::BodyExceedsLimit(_) => {
            Fault::new(Request, format!("a reply above {MAX_REPLY} bytes"), "is this a chat-completions endpoint?")
                .lost()
        }
        Error::Tls(_) | Error::Rustls(_) | Error::Pem(_) => Fault::new(Endpoint, "no TLS connection", certificate),
        Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Fault::new(Endpoint, "the connection was refused", unreachable),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                Fault::new(Passing, "no reply within timeout_s", "raise timeout_s").lost()
            }
            // What TLS finds wrong, a certificate or a server that speaks something else; its words are its own.
            ErrorKind::InvalidData => {
                let why = error.to_string().replace(char::is_control, " ");
                Fault::new(Endpoint, format!("no TLS connection ({why})"), certificate)
            }
            // The kind of a failed look-up has no stable name; std words it so on Linux and macOS.
            _ if error.to_string().starts_with("failed to lookup address") => {
                Fault::new(Endpoint, "the host's name is unknown", unreachable)
            }
            kind => Fault::new(Passing, format!("the connection broke off ({kind})"), unreachable).lost(),
        },
        Error::ConnectionFailed => Fault::new(Endpoint, "no connection", unreachable),
        Error::InvalidProxyUrl => Fault::new(Endpoint, "the proxy of the environment is no URL", "check HTTPS_PROXY"),
        Error::Protocol(_) | Error::Http(_) => {
            Fault::new(Passing, "the reply is no HTTP", "is base_url right, http or https?").lost()
        }
        _ => Fault::new(Endpoint, "the request could not be sent", unreachable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_a_secret_is_refused_without_showing_it() {
        for url in [
            "",
            "ftp://h/v1",
            "http://",
            "http://user:SECRET@h/v1",
            "https://h/v1?key=SECRET",
            "http://h/v1/chat/completions",
            "http://a b/",
        ] {
            let settings = JudgeSettings { base_url: url.into(), ..Default::default() };
            let error = Endpoint::new(&settings, None).err().unwrap_or_else(|| panic!("{url} passed")).to_string();
            assert!(error.starts_with("judge.base_url: ") && error.contains("; hint: "), "{error}");
            assert!(!error.contains("SECRET") && !error.contains('\n'), "{error}");
        }
        assert_eq!(check_url("https://h:1/v1//").unwrap(), ("https://h:1/v1".into(), "h".into()));
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_without_showing_it() {
        for key in ["SE\nCRET", "  ", "SECRÈT\u{7f}"] {
            let error = bearer(key).unwrap_err().to_string();
            assert!(error.starts_with("judge.key_env: ") && !error.contains("CR"), "{error}");
        }
        let value = bearer(" SECRET\n").unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer SECRET");
        assert!(!format!("{value:?}").contains("SECRET"));
    }

    #[test]
    fn only_known_codes_of_an_error_body_are_told() {
        let known = br#"{"error":{"message":"You said: secret","type":"x","code":"context_length_exceeded"}}"#;
        assert_eq!(code_of(known), Some("context_length_exceeded"));
        assert_eq!(code_of(br#"{"object":"error","type":"model_not_found","code":404}"#), Some("model_not_found"));
        for other in [&br#"{"error":{"code":"secret"}}"#[..], b"secret", br#"{"error":"secret"}"#, b"[]"] {
            assert_eq!(code_of(other), None);
        }
    }

    #[test]
    fn what_can_pass_is_tried_again_and_nothing_else() {
        use FaultKind::{Endpoint, Passing, Request};
        let kind = |status, code| fault_of_status(status, code).kind;
        assert!([408, 429, 500, 502, 503, 504, 529].iter().all(|status| kind(*status, None) == Passing));
        assert!([301, 307, 401, 402, 403, 404, 405].iter().all(|status| kind(*status, None) == Endpoint));
        assert!([400, 413, 422].iter().all(|status| kind(*status, None) == Request));
        assert_eq!(kind(429, Some("insufficient_quota")), Endpoint);
        assert_eq!(kind(400, Some("model_not_found")), Endpoint);
        assert_eq!(kind(400, Some("context_length_exceeded")), Request);
    }
}
