//! `drift detect --detector judge` against a server of its own.

mod common;

use common::World;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Answers each request with `verdict`, or with the status alone where that is not 200; keeps the bodies.
struct Server {
    base_url: String,
    asked: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<String>>>,
}

fn serve(status: u16, verdict: &Value) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (asked, bodies) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let reply = json!({ "choices": [{ "index": 0, "finish_reason": "stop",
        "message": { "role": "assistant", "content": verdict.to_string() } }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 10 } })
    .to_string();
    let (count, kept) = (asked.clone(), bodies.clone());
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
            count.fetch_add(1, Ordering::SeqCst);
            kept.lock().unwrap().push(String::from_utf8(body).unwrap());
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
            write!(stream, "{head}content-length: {}\r\n\r\n{reply}", reply.len()).unwrap();
        }
    });
    Server { base_url, asked, bodies }
}

fn log(world: &World) {
    let chat = |i: usize| {
        let messages = json!([
            { "role": "user", "content": format!("What is {i} and {i}? Write to jane.doe{i}@example.org") },
            { "role": "assistant", "content": format!("It is {i}.") },
            { "role": "user", "content": format!("That cannot be {i}") },
        ]);
        json!({ "id": format!("chat-{i}"), "messages": messages }).to_string()
    };
    std::fs::write(world.path("chats.jsonl"), (10..15).map(chat).collect::<Vec<_>>().join("\n")).unwrap();
}

fn config(world: &World, server: &Server, more: &str) {
    let text = format!(
        "[detect]\ndetector = \"judge\"\n[judge]\nbase_url = \"{}\"\nmodel = \"m\"\ncache = \"cache.jsonl\"\nretries = 0\n{more}",
        server.base_url
    );
    std::fs::write(world.path("judge.toml"), text).unwrap();
}

const ARGS: [&str; 6] = ["detect", "chats.jsonl", "--out", "out", "--config", "judge.toml"];

#[test]
fn a_judge_is_asked_once_a_turn_of_redacted_text() {
    let world = World::new();
    log(&world);
    let server =
        serve(200, &json!({ "label": "DSAT", "rubric": "factual_error", "confidence": 0.9, "cue": "cannot be" }));
    config(&world, &server, "");
    world.ok(&ARGS);
    let cases = std::fs::read_to_string(world.path("out/cases.jsonl")).unwrap();
    let first: Value = serde_json::from_str(cases.lines().next().unwrap()).unwrap();
    assert_eq!(cases.lines().count(), 5);
    assert_eq!(first["evidence"]["detector"], "judge");
    assert_eq!(first["evidence"]["rubric"], "factual_error");
    assert_eq!(first["evidence"]["cue"], json!([5, 14]));
    assert!(server.bodies.lock().unwrap().iter().all(|body| !body.contains("@example.org")));
    assert_eq!(server.asked.load(Ordering::SeqCst), 5);
    // again, elsewhere: every answer is in the cache
    world.ok(&["detect", "chats.jsonl", "--out", "again", "--config", "judge.toml"]);
    assert_eq!(server.asked.load(Ordering::SeqCst), 5);
    assert_eq!(std::fs::read_to_string(world.path("again/cases.jsonl")).unwrap(), cases);
}

#[test]
fn an_evaluation_asks_for_the_same_redacted_text() {
    let world = World::new();
    log(&world);
    let server = serve(200, &json!({ "label": "NONE", "rubric": null, "confidence": 0.9, "cue": "" }));
    config(&world, &server, "");
    std::fs::write(world.path("labels.jsonl"), "{\"key\":\"chat-10:2\",\"label\":\"DSAT\"}\n").unwrap();
    world.ok(&["detect", "eval", "labels.jsonl", "--logs", "chats.jsonl", "--config", "judge.toml"]);
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    assert!(server.bodies.lock().unwrap().iter().all(|body| body.contains("<EMAIL_1>")));
}

#[test]
fn turns_beyond_the_budget_are_counted_and_judged_by_the_fast_tier() {
    let world = World::new();
    log(&world);
    let server = serve(200, &json!({ "label": "NONE", "rubric": null, "confidence": 0.9, "cue": null }));
    config(&world, &server, "budget_tokens = 1\n");
    world.ok(&ARGS);
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("out/manifest.json")).unwrap()).unwrap();
    let asked = server.asked.load(Ordering::SeqCst);
    assert_eq!(asked, 0);
    assert_eq!(manifest["counts"]["noted"]["without_a_verdict_budget"], json!(5 - asked));
}

#[test]
fn an_endpoint_that_is_of_no_use_ends_in_one_line() {
    let world = World::new();
    log(&world);
    config(&world, &serve(401, &json!({})), "");
    let error = world.error(&ARGS);
    assert!(error.contains("401") && error.contains("hint:") && error.trim_end().lines().count() == 1, "{error}");
    assert!(!world.path("out/manifest.json").exists());
}
