//! `drift evaluate run` on a tiny random model.

mod common;

use common::World;
use serde_json::Value;

const ARGS: [&str; 12] =
    ["evaluate", "run", "--suite", "simulated", "--model", "model", "--n", "6", "--max-new", "8", "--split", "dev"];

#[test]
fn answers_repeat_and_compare_with_themselves() {
    let world = World::new();
    let run = |more: &[&str]| world.ok(&[&ARGS[..], more].concat());
    let first: Value = serde_json::from_str(&run(&["--json", "--answers", "a.jsonl", "--concurrency", "1"])).unwrap();
    let second: Value = serde_json::from_str(&run(&["--json", "--against", "a.jsonl"])).unwrap();
    assert_eq!(first["satisfied"], second["satisfied"]);
    assert_eq!(
        (second["against"]["difference"]["mean"].as_f64(), second["against"]["p"].as_f64()),
        (Some(0.0), Some(1.0))
    );
    let rows = std::fs::read_to_string(world.path("a.jsonl")).unwrap();
    let missed = rows.lines().filter(|row| row.contains("\"missed\":[]")).count();
    assert_eq!((rows.lines().count(), first["satisfied"]["met"].as_u64()), (6, Some(missed as u64)));
    assert!(run(&[]).starts_with("simulated, 6 prompts of dev"));
    let error = world.error(&[&ARGS[..], &["--against", "a.jsonl", "--seed", "2"]].concat());
    assert!(error.contains("a.jsonl: answers to") && error.contains("hint:"), "{error}");
}
