use super::server::Desk;
use super::*;
use crate::http::Request;
use drift_chat::{Case, Evidence, Message, Role, UserPreference};
use serde_json::{Value, json};

const PORT: u16 = 4711;

fn case(number: usize, key: &str, feedback: &str) -> Case {
    let say = |role, content: &str| Message { role, content: content.into() };
    Case {
        id: format!("case-{number}"),
        conversation: "c".into(),
        prompt: vec![say(Role::User, "Ask")],
        rejected: vec![say(Role::Assistant, "Answer </script><script>alert(1)</script>")],
        user_preference: UserPreference { content: feedback.into() },
        evidence: Some(Evidence {
            detector: "rules".into(),
            rubric: "revision".into(),
            confidence: 0.5 + number as f32 / 100.0,
            cue: Some((0, 2)),
        }),
        split: None,
        key: Some(key.into()),
    }
}

/// Ids as a hostile log may have them.
const HOSTILE: &str = "\"></script><img src=x onerror=alert(1)>\u{202e}:2";

fn sample() -> Sample {
    let cases = vec![case(1, "a:2", "No, wrong"), case(2, HOSTILE, "No <b>bold</b>")];
    Sample::draw(cases, Mode::Random, 10, 7)
}

fn desk(root: &Path) -> Desk {
    Desk::new("<run>".into(), sample(), Corrections::read(root).unwrap(), Log::open(root).unwrap()).unwrap()
}

fn get(desk: &Desk, path: &str) -> Request {
    let path = format!("/{}/{path}", desk.token());
    Request { method: "GET".into(), path, host: Some(format!("127.0.0.1:{PORT}")), ..Request::default() }
}

fn post(desk: &Desk, body: &Value) -> Request {
    let content_type = Some("application/json".into());
    let origin = Some(format!("http://127.0.0.1:{PORT}"));
    let body = body.to_string().into_bytes();
    Request { method: "POST".into(), content_type, origin, body, ..get(desk, "corrections") }
}

#[test]
fn nothing_is_answered_without_the_token_and_the_right_host() {
    let dir = tempfile::tempdir().unwrap();
    let desk = desk(dir.path());
    let status = |request: &Request| desk.handle(request, PORT).status;
    let good = get(&desk, "");
    assert_eq!(status(&good), 200);
    assert_eq!(status(&Request { host: Some(format!("localhost:{PORT}")), ..good.clone() }), 200);
    for host in
        [None, Some("evil.example"), Some("127.0.0.1:80"), Some("127.0.0.1"), Some("127.0.0.1:4711.evil.example")]
    {
        assert_eq!(status(&Request { host: host.map(String::from), ..good.clone() }), 403, "{host:?}");
    }
    let token = desk.token();
    let short = format!("/{}/", &token[..31]);
    for path in ["/", "", "/x/", "//", &short, &format!("/{token}x/"), &format!("/?token={token}")] {
        let response = desk.handle(&Request { path: path.into(), ..good.clone() }, PORT);
        assert_eq!(response.status, 403, "{path}");
        assert!(!response.body.contains("Ask"));
    }
    assert_eq!(status(&Request { origin: Some("http://evil.example".into()), ..good.clone() }), 403);
    assert_eq!(status(&get(&desk, "../Cargo.toml")), 404);
    assert_eq!(status(&Request { method: "DELETE".into(), ..good }), 405);
    let other = super::server::Desk::new(
        "run".into(),
        Sample::draw(Vec::new(), Mode::Random, 1, 7),
        Corrections::default(),
        Log::open(dir.path()).unwrap(),
    );
    assert_ne!(other.unwrap().token(), desk.token());
}

#[test]
fn a_correction_lands_in_the_file_and_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let desk = desk(dir.path());
    let say = |key: &str, label: &str| desk.handle(&post(&desk, &json!({ "key": key, "label": label })), PORT).status;
    assert_eq!((say("a:2", "DSAT"), say(HOSTILE, "NONE"), say("a:2", "UNSURE")), (200, 200, 200));
    // neither other turns, nor other labels, nor other types of content
    assert_eq!((say("b:2", "DSAT"), say("a:2", "GOOD")), (400, 400));
    assert_eq!(desk.handle(&post(&desk, &json!({ "key": "a:2", "label": "SAT", "by": "x" })), PORT).status, 400);
    let form =
        Request { content_type: Some("text/plain".into()), ..post(&desk, &json!({ "key": "a:2", "label": "SAT" })) };
    assert_eq!(desk.handle(&form, PORT).status, 415);

    let rows: Vec<Value> = files::read_jsonl(&dir.path().join(FILE)).unwrap();
    let short: Vec<(&str, &str)> =
        rows.iter().map(|r| (r["key"].as_str().unwrap(), r["label"].as_str().unwrap())).collect();
    assert_eq!(short, [("a:2", "DSAT"), (HOSTILE, "NONE"), ("a:2", "UNSURE")]);
    assert!(rows[0]["by"] == "review" && rows[0]["mode"] == "random" && rows[0]["at"].as_u64() > Some(1_600_000_000));
    let page = desk.handle(&get(&desk, ""), PORT).body;
    assert!(page.contains(r#""a:2":"UNSURE""#));
    let progress = desk.progress();
    assert_eq!((progress.right, progress.wrong, progress.unsure), (0, 1, 1));
}

#[test]
fn log_text_is_never_markup() {
    let dir = tempfile::tempdir().unwrap();
    let desk = desk(dir.path());
    let served = desk.handle(&get(&desk, ""), PORT).body;
    let export = page::export("<run>", &sample(), &Corrections::default()).unwrap();
    for page in [&served, &export] {
        assert!(!page.contains("alert(1)</script>") && !page.contains("<img") && !page.contains("<b>bold"));
        assert!(page.contains("&lt;run&gt;") && !page.contains("<h1><run>"));
    }
    // everything is in the file, and its policy names the hashes of what runs
    assert!(
        !export.contains("src=\"page.js\"") && export.contains("script-src 'sha256-") && !export.contains("unsafe")
    );
}

#[test]
fn a_random_sample_grows_at_its_end_and_an_uncertain_one_begins_with_the_least_confident() {
    let cases = || (0..50).map(|i| case(i, &format!("c{i}:2"), "No")).collect::<Vec<_>>();
    let keys =
        |mode, n| -> Vec<String> { Sample::draw(cases(), mode, n, 7).cards.into_iter().map(|card| card.key).collect() };
    let (small, large) = (keys(Mode::Random, 10), keys(Mode::Random, 30));
    assert_eq!(small, large[..10]);
    assert!(small != (0..10).map(|i| format!("c{i}:2")).collect::<Vec<_>>());
    assert_eq!(keys(Mode::Uncertain, 2), ["c0:2", "c1:2"]);
}

#[test]
fn progress_reads_as_a_sentence() {
    let progress = Progress { of: 20, right: 7, wrong: 3, unsure: 1, mode: Mode::Random };
    // the interval of 7 in 10 as in stats.rs
    assert_eq!(
        progress.to_string(),
        "11 of 20 reviewed: 7 right, 3 wrong, 1 unsure; precision 70.0 % (95 % interval 39.7 to 89.2)"
    );
    let learning = Progress { mode: Mode::Uncertain, ..progress };
    assert_eq!(learning.to_string(), "11 of 20 reviewed: 7 right, 3 wrong, 1 unsure");
}
