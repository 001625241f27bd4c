//! `drift detect --detector judge` against a server of its own.

mod common;

use common::World;
use common::endpoint::{Act, Endpoint, completion};
use serde_json::{Value, json};

/// Answers each request with `verdict`, or with the status alone where that is not 200.
fn serve(status: u16, verdict: &Value) -> Endpoint {
    let reply = completion(&verdict.to_string(), Value::Null);
    Endpoint::start(move |_, _| Act::Reply(status, reply.clone()))
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

fn config(world: &World, server: &Endpoint, more: &str) {
    let judge = server.config(&format!("cache = \"cache.jsonl\"\nretries = 0\n{more}"));
    let text = format!("[detect]\ndetector = \"judge\"\n{judge}");
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
    assert!(server.asked().iter().all(|body| !body.contains("@example.org")));
    assert_eq!(server.asked().len(), 5);
    // again, elsewhere: every answer is in the cache
    world.ok(&["detect", "chats.jsonl", "--out", "again", "--config", "judge.toml"]);
    assert_eq!(server.asked().len(), 5);
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
    assert_eq!(server.asked().len(), 1);
    assert!(server.asked().iter().all(|body| body.contains("<EMAIL_1>")));
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
    let asked = server.asked().len();
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
