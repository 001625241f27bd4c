//! One request at a time: what each fault leads to.

use super::mock::{Act, Mock, completion};
use super::settings;
use drift_judge::{Client, JudgeError, JudgeSettings, Message, Request, Role, Tokens};
use std::time::{Duration, Instant};

const SECRET_WORDS: &str = "my landlord's name is Grumbold";
const KEY: &str = "sk-4f9aKEY77c2";

fn request(content: &str) -> Request {
    Request {
        model: "judge-model".into(),
        messages: vec![Message { role: Role::User, content: content.into() }],
        temperature: None,
        max_tokens: 30,
        limit_key: "max_tokens".into(),
        top_logprobs: None,
        extra: Default::default(),
    }
}

fn say(content: &str) -> Act {
    Act::Say(content.into(), Some((11, 3)))
}

/// Meets `fault` at first, then an answer.
fn once(fault: Act) -> Mock {
    Mock::start(move |before, _| if before == 0 { fault.clone() } else { say("yes") })
}

#[test]
fn faults_that_pass_are_tried_again() {
    let json = "{\"error\":{\"code\":\"rate_limit_exceeded\"}}".to_string();
    let faults = [
        (Act::Status(429, "retry-after: 0\r\n", json), 0),
        (Act::Status(500, "", String::new()), 0),
        (Act::Status(503, "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "<html>".into()), 0),
        (Act::Cut, 1),
        (Act::Hang, 1),
        (Act::Noise, 1),
        (Act::Body("<html>nonsense".into()), 1),
        (Act::Body("{\"choices\":[]}".into()), 1),
        (Act::Slow(5_000, "late".into()), 1),
    ];
    for (fault, lost) in faults {
        let mock = once(fault.clone());
        // Long enough for a busy machine, short enough for a test.
        let timeout_s = if matches!(fault, Act::Slow(..)) { 2.0 } else { 60.0 };
        let client = Client::new(&JudgeSettings { timeout_s, ..settings(&mock) }).unwrap();
        let reply = client.ask(&request("?")).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(reply.content, "yes");
        let spend = client.spend();
        assert_eq!((spend.calls, spend.retries, spend.lost), (2, 1, lost), "{fault:?}");
        // A lost call may be on the bill: it is charged at its worst case, an error status at nothing.
        let worst = request("?").at_most();
        let expected = Tokens { input: 11 + lost * worst.input, output: 3 + lost * worst.output };
        assert_eq!(spend.tokens, expected, "{fault:?}");
        assert_eq!(mock.asked()[0].path, "POST /v1/chat/completions");
    }
}

#[test]
fn a_named_pause_is_kept_and_one_that_is_too_long_ends_it() {
    let mock = once(Act::Status(429, "retry-after: 1\r\n", String::new()));
    let client = Client::new(&settings(&mock)).unwrap();
    let start = Instant::now();
    client.ask(&request("?")).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));

    let mock = once(Act::Status(429, "retry-after: 3600\r\n", String::new()));
    let client = Client::new(&settings(&mock)).unwrap();
    let error = client.ask(&request("?")).unwrap_err();
    assert!(error.to_string().contains("asks for a pause of 3600 s"), "{error}");
    // Others are not let in either.
    assert_eq!(client.ask(&request("another")).unwrap_err(), error);
    assert_eq!(mock.asked().len(), 1);
}

#[test]
fn a_named_pause_holds_for_all() {
    let mock = Mock::start(|before, asked| match before {
        0 if asked.body.contains("first") => Act::Status(429, "retry-after: 1\r\n", String::new()),
        _ => say("yes"),
    });
    let client = Client::new(&settings(&mock)).unwrap();
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| client.ask(&request("first")).unwrap());
        while client.spend().calls == 0 {
            std::thread::yield_now();
        }
        client.ask(&request("second")).unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1));
    });
}

#[test]
fn lost_calls_are_paid_and_nothing_stays_set_aside() {
    let mock = Mock::start(|before, _| if before == 0 { Act::Cut } else { say("yes") });
    // Ten requests, each lost once and answered once, and room for the worst case of the last.
    let worst = request("0").at_most().total();
    let budget_tokens = 10 * (worst + 14) + worst;
    let client = Client::new(&JudgeSettings { budget_tokens, ..settings(&mock) }).unwrap();
    for n in 0..10 {
        client.ask(&request(&n.to_string())).unwrap();
    }
    assert_eq!(client.spend().tokens.total(), 10 * (worst + 14));
    // The eleventh fits at first, but not once more after it was lost.
    let error = client.ask(&request("x")).unwrap_err();
    assert_eq!((error.reason(), client.spend().lost), ("budget", 11));
    assert_eq!(client.spend().tokens.total(), budget_tokens);
}

#[test]
fn what_does_not_pass_is_asked_once_or_as_often_as_it_may() {
    let status = |status| Act::Status(status, "", String::new());
    let quota = Act::Status(429, "", "{\"error\":{\"code\":\"insufficient_quota\"}}".into());
    let cases = [
        (status(503), "failed", "HTTP 503, expected 200, in 4 tries", 4),
        (Act::Hang, "failed", "broke off", 4),
        (status(400), "rejected", "HTTP 400", 1),
        (Act::Body("x".repeat(2 << 20)), "rejected", "a reply above 1048576 bytes", 1),
        (status(401), "endpoint", "check the key", 1),
        (status(403), "endpoint", "check the key", 1),
        (status(404), "endpoint", "often in /v1", 1),
        (
            Act::Status(307, "location: http://127.0.0.1:9/\r\n", String::new()),
            "endpoint",
            "redirects are not followed",
            1,
        ),
        (quota, "endpoint", "no credit left", 1),
    ];
    for (fault, reason, part, calls) in cases {
        let script = fault.clone();
        let mock = Mock::start(move |_, _| script.clone());
        let client = Client::new(&settings(&mock)).unwrap();
        let error = client.ask(&request("?")).unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!((mock.asked().len(), client.spend().calls), (calls, calls as u64), "{error}");
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_named() {
    let mock = Mock::start(|_, _| say("yes"));
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (format!("http://127.0.0.1:{unused}/v1"), "the connection was refused"),
        // No label may have 64 letters, so that no look-up leaves the machine.
        (format!("http://{}.invalid/v1", "a".repeat(64)), "the host's name is unknown"),
        (mock.base_url().replace("http:", "https:"), "no TLS connection"),
    ];
    for (base_url, part) in cases {
        let client = Client::new(&JudgeSettings { base_url: base_url.clone(), ..settings(&mock) }).unwrap();
        let error = client.ask(&request("?")).unwrap_err();
        assert_eq!(error.reason(), "endpoint", "{error}");
        let error = error.to_string();
        assert!(error.starts_with(&base_url) && error.contains(part) && error.contains("; hint: "), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

/// A server that throws back the key and the chat in every place it has.
#[test]
fn neither_key_nor_chat_is_in_an_error_or_in_the_cache_unasked() {
    for status in [200, 302, 400, 401, 404, 418, 429, 500] {
        let mock = Mock::start(move |_, asked| {
            let key = asked.authorization.clone().unwrap_or_default();
            let text = format!("{key} {SECRET_WORDS}");
            let error = serde_json::json!({"error": {"message": text, "code": KEY, "type": text}});
            if status == 200 {
                Act::Body(format!("{text} {{"))
            } else {
                Act::Status(status, "x-key: sk-4f9aKEY77c2\r\n", error.to_string())
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache.jsonl");
        let with_cache = JudgeSettings { cache: Some(cache.clone()), ..settings(&mock) };
        let client = Client::with_key(&with_cache, Some(KEY)).unwrap();
        let error = client.ask(&request(SECRET_WORDS)).unwrap_err();
        assert_eq!(mock.asked()[0].authorization.as_deref(), Some("Bearer sk-4f9aKEY77c2"));
        let kept = std::fs::read_to_string(cache).unwrap();
        for text in [error.to_string(), format!("{error:?}"), kept] {
            assert!(!text.contains("KEY") && !text.contains("Grumbold") && !text.contains('\n'), "{text}");
        }
    }
}

#[test]
fn the_key_comes_from_the_named_variable() {
    let mock = Mock::start(|_, _| say("yes"));
    // The one variable that cargo sets and that is sure to be there.
    let with = JudgeSettings { key_env: Some("CARGO_PKG_NAME".into()), ..settings(&mock) };
    // At run time it is there as well, under cargo test.
    if std::env::var("CARGO_PKG_NAME").is_ok() {
        Client::new(&with).unwrap().ask(&request("?")).unwrap();
        assert_eq!(mock.asked()[0].authorization.as_deref(), Some("Bearer drift-judge"));
    }
    let without = JudgeSettings { key_env: Some("DRIFT_NO_SUCH_VARIABLE".into()), ..settings(&mock) };
    let error = Client::new(&without).err().unwrap().to_string();
    assert!(error.starts_with("judge.key_env: \"DRIFT_NO_SUCH_VARIABLE\" is not in the environment"), "{error}");
    Client::new(&settings(&mock)).unwrap().ask(&request("!")).unwrap();
    assert_eq!(mock.asked().last().unwrap().authorization, None);
}

#[test]
fn a_request_is_asked_once_by_threads_and_by_later_runs() {
    let mock = Mock::start(|_, _| Act::Slow(50, "yes".into()));
    let dir = tempfile::tempdir().unwrap();
    let with_cache = JudgeSettings { cache: Some(dir.path().join("cache.jsonl")), ..settings(&mock) };
    let client = Client::new(&with_cache).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(client.ask(&request("twin")).unwrap().content, "yes"));
        }
    });
    let spend = client.spend();
    assert_eq!((spend.calls, spend.cached, spend.tokens), (1, 7, Tokens { input: 10, output: 5 }));
    drop(client);
    let client = Client::new(&with_cache).unwrap();
    client.ask(&request("twin")).unwrap();
    assert_eq!((client.spend().calls, client.spend().cached, mock.asked().len()), (0, 1, 1));
    // Another body, another model, another endpoint: another question.
    client.ask(&Request { temperature: Some(0.5), ..request("twin") }).unwrap();
    client.ask(&Request { model: "other".into(), ..request("twin") }).unwrap();
    drop(client);
    let elsewhere = mock.base_url().replace("/v1", "/v2");
    Client::new(&JudgeSettings { base_url: elsewhere, ..with_cache }).unwrap().ask(&request("twin")).unwrap();
    assert_eq!(mock.asked().len(), 4);
}

#[test]
fn no_more_calls_at_once_than_allowed() {
    let mock = Mock::start(|_, _| Act::Slow(30, "yes".into()));
    let client = Client::new(&JudgeSettings { concurrency: 3, ..settings(&mock) }).unwrap();
    std::thread::scope(|scope| {
        for n in 0..12 {
            let client = &client;
            scope.spawn(move || client.ask(&request(&n.to_string())).unwrap());
        }
    });
    assert!((1..=3).contains(&mock.most_at_once()), "{}", mock.most_at_once());
    assert_eq!(mock.asked().len(), 12);
}

#[test]
fn a_reply_without_a_count_is_charged_at_its_worst() {
    let mock = Mock::start(|_, _| Act::Say("yes".into(), None));
    let with = JudgeSettings { input_price: 1.0, output_price: 4.0, ..settings(&mock) };
    let client = Client::new(&with).unwrap();
    client.ask(&request("?")).unwrap();
    let (spend, worst) = (client.spend(), request("?").at_most());
    assert_eq!((spend.unreported, spend.tokens), (1, worst));
    assert_eq!(spend.money, (worst.input as f64 + 4.0 * 30.0) / 1e6);
}

#[test]
fn logprobs_come_with_the_reply() {
    let mut body: serde_json::Value = serde_json::from_str(&completion("m", Some((9, 1)))).unwrap();
    body["choices"][0]["logprobs"] = serde_json::json!({"content": [{"token": "m", "logprob": -0.5,
        "top_logprobs": [{"token": "m", "logprob": -0.5}, {"token": "M", "logprob": -1.0}]}]});
    let mock = Mock::start(move |_, _| Act::Body(body.to_string()));
    let client = Client::new(&settings(&mock)).unwrap();
    let reply = client.ask(&Request { top_logprobs: Some(2), ..request("m or M?") }).unwrap();
    assert_eq!(reply.logprobs[0].top[1].logprob, -1.0);
    assert!(mock.asked()[0].body.contains("\"logprobs\":true,\"top_logprobs\":2"));
}

#[test]
fn contradictions_in_the_settings_are_one_line() {
    let mock = Mock::start(|_, _| say("yes"));
    let dir = tempfile::tempdir().unwrap();
    let no_pem = dir.path().join("ca.pem");
    std::fs::write(&no_pem, "hello").unwrap();
    let base = settings(&mock);
    let cases = [
        (JudgeSettings { base_url: String::new(), ..base.clone() }, "judge.base_url: missing"),
        (JudgeSettings { budget_money: 1.0, ..base.clone() }, "judge.budget_money: given, but"),
        (JudgeSettings { concurrency: 0, ..base.clone() }, "judge.concurrency: out of range"),
        (JudgeSettings { timeout_s: f64::NAN, ..base.clone() }, "judge.timeout_s: out of range"),
        (JudgeSettings { input_price: -1.0, ..base.clone() }, "judge.input_price: prices or budget below 0"),
        (JudgeSettings { ca_file: Some(no_pem.clone()), ..base.clone() }, "ca.pem: holds no certificate"),
        (JudgeSettings { cache: Some(no_pem.join("x")), ..base.clone() }, "ca.pem"),
    ];
    for (settings, part) in cases {
        let error: JudgeError = Client::new(&settings).err().unwrap_or_else(|| panic!("{part}: passed"));
        let error = error.to_string();
        assert!(error.contains(part) && error.contains("; hint: ") && !error.contains('\n'), "{error}");
    }
    let shown = toml::to_string(&JudgeSettings::default()).unwrap();
    assert_eq!(toml::from_str::<JudgeSettings>(&shown).unwrap(), JudgeSettings::default());
    for line in
        ["timeout_s = 0", "retries = 21", "concurrency = 65", "budget_money = -1", "modl = \"x\"", "key = \"x\""]
    {
        assert!(toml::from_str::<JudgeSettings>(line).is_err(), "{line}");
    }
}
