//! Detectors from the command line: measured, trained, bound to their model.

mod common;

use common::World;
use serde_json::{Value, json};
use std::fmt::Write;

/// Chats with one judged turn each, and their labels: `chats.jsonl` is replaced, `labels.jsonl` is new.
fn labelled(world: &World) {
    let turns = [
        ("DSAT", "factual_error", "No, that is wrong. You made a mistake, please correct it.", "I apologize."),
        ("NONE", "none", "And what is the sum of them?", "It is a number."),
        ("DSAT", "revision", "Shorter please, I asked for a single word.", "Sorry, here it is: four."),
        ("NONE", "none", "Next, tell me about the history of numbers.", "Numbers are old."),
        ("SAT", "gratitude", "Thank you, that is perfect!", "You're welcome!"),
        ("NONE", "none", "Write a poem about the number seven.", "Seven, o seven."),
    ];
    let (mut chats, mut labels) = (String::new(), String::new());
    for i in 0..120 {
        let (label, rubric, turn, reply) = turns[i % turns.len()];
        let mut messages = vec![
            json!({ "role": "user", "content": format!("What is {} times {}, number {i}?", i % 7, i % 5) }),
            json!({ "role": "assistant", "content": format!("It is {}.", i % 11) }),
            json!({ "role": "user", "content": format!("{turn} ({i})") }),
        ];
        if i % 4 != 3 {
            messages.push(json!({ "role": "assistant", "content": reply }));
        }
        writeln!(chats, "{}", json!({ "id": format!("chat-{i}"), "messages": messages })).unwrap();
        let label = json!({ "key": format!("chat-{i}:2"), "label": label, "rubric": rubric });
        writeln!(labels, "{label}").unwrap();
    }
    std::fs::write(world.path("chats.jsonl"), chats).unwrap();
    std::fs::write(world.path("labels.jsonl"), labels).unwrap();
}

fn json_of(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(args)).unwrap()
}

#[test]
fn eval_measures_a_detector_against_labels() {
    let world = World::new();
    labelled(&world);
    // of two rows with one key the later counts; what the log lacks and what has no verdict is left out
    let more = r#"{"key":"chat-1:2","label":"DSAT","rubric":"ignored"}
{"key":"chat-3:2","label":"DISPUTED"}
{"key":"nobody:2","label":"SAT"}
"#;
    std::fs::write(world.path("corrected.jsonl"), more).unwrap();
    let args = ["detect", "eval", "labels.jsonl", "corrected.jsonl", "--logs", "chats.jsonl", "--detector", "rules"];
    let report = json_of(&world, &[&args[..], &["--json", "--errors", "3"]].concat());
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());

    let table = world.ok(&args);
    assert!(table.starts_with("rules: 119 labelled turns\n") && table.contains("DSAT missed"), "{table}");
    // the texts go to the file that was asked for and nowhere else
    world.ok(&[&args[..], &["--errors-file", "errors.jsonl"]].concat());
    let errors = std::fs::read_to_string(world.path("errors.jsonl")).unwrap();
    assert!(errors.contains("And what is the sum of them?") && !table.contains("sum of them"));
}

#[test]
fn options_that_a_detector_has_no_use_for_are_refused() {
    let world = World::new();
    let given = [
        ("rules", "--trained", "x.bin"),
        ("judge", "--target-precision", "0.9"),
        ("fast", "--model", "model"),
        ("fast", "--precision", "f32"),
    ];
    for (detector, option, value) in given {
        let error = world.error(&["detect", "chats.jsonl", "--out", "out", "--detector", detector, option, value]);
        assert!(
            error.starts_with(&format!("error: {option}: given with --detector {detector}, expected with ")),
            "{error}"
        );
    }
}

#[test]
fn a_trained_fast_tier_depends_on_its_labels_alone() {
    let world = World::new();
    labelled(&world);
    let train = |out: &str, labels: &str, threads: &str| {
        let args = ["detect", "train", "--tier", "fast", labels, "--logs", "chats.jsonl", "--out", out];
        world.ok(&[&args[..], &["--folds", "3", "--threads", threads]].concat());
        std::fs::read(world.path(out)).unwrap()
    };
    let one = train("one.bin", "labels.jsonl", "1");
    let reversed: Vec<String> =
        std::fs::read_to_string(world.path("labels.jsonl")).unwrap().lines().rev().map(str::to_string).collect();
    std::fs::write(world.path("reversed.jsonl"), reversed.join("\n")).unwrap();
    assert!(one == train("three.bin", "reversed.jsonl", "3"), "neither threads nor the order of rows change a bit");

    let args = ["detect", "eval", "labels.jsonl", "--logs", "chats.jsonl", "--detector", "fast", "--json"];
    let report = json_of(&world, &[&args[..], &["--cross-validate", "3"]].concat());
    assert_eq!((&report["cross_validated"], &report["DSAT"]["auroc"]), (&json!(3), &json!(1.0)));
    let few = world.error(&["detect", "train", "--tier", "fast", "few.jsonl", "--logs", "chats.jsonl", "--out", "x"]);
    assert!(few.contains("few.jsonl"), "{few}");
    std::fs::write(world.path("few.jsonl"), "{\"key\":\"chat-0:2\",\"label\":\"DSAT\"}\n").unwrap();
    let few = world.error(&["detect", "train", "--tier", "fast", "few.jsonl", "--logs", "chats.jsonl", "--out", "x"]);
    assert!(
        few.contains("1 turns with DSAT, 0 without, 0 with SAT, expected at least") && !world.path("x").exists(),
        "{few}"
    );
}

#[test]
fn a_probe_serves_its_model_and_no_other() {
    let world = World::new();
    labelled(&world);
    let train = [
        "detect",
        "train",
        "--tier",
        "deep",
        "--model",
        "model",
        "labels.jsonl",
        "--logs",
        "chats.jsonl",
        "--out",
        "model.probe",
        "--folds",
        "3",
        "--states",
        "states.bin",
    ];
    world.ok(&train);
    let first = std::fs::read(world.path("model.probe")).unwrap();
    world.ok(&train); // now from the kept states
    assert!(first == std::fs::read(world.path("model.probe")).unwrap());

    let deep = ["--detector", "deep", "--model", "model", "--trained", "model.probe"];
    let eval = ["detect", "eval", "labels.jsonl", "--logs", "chats.jsonl", "--json"];
    let report = json_of(&world, &[&eval[..], &deep].concat());
    assert_eq!(report["detector"], "deep");
    assert!(report["DSAT"]["auroc"].as_f64().unwrap() > 0.99, "{report}");
    world.ok(&[&["detect", "chats.jsonl", "--out", "found"], &deep[..]].concat());
    let labels = std::fs::read_to_string(world.path("found/labels.jsonl")).unwrap();
    assert!(labels.contains("\"detector\":\"deep\""));

    // the probe inside the program is for another model
    let refused = world.error(&["detect", "chats.jsonl", "--out", "none", "--detector", "deep", "--model", "model"]);
    assert!(
        refused.contains("as the probe's model has") && refused.contains("drift detect train --tier deep"),
        "{refused}"
    );
    std::fs::write(world.path("cut.probe"), &first[..first.len() / 2]).unwrap();
    let cut = world.error(&[
        "detect",
        "chats.jsonl",
        "--out",
        "none",
        "--detector",
        "deep",
        "--model",
        "model",
        "--trained",
        "cut.probe",
    ]);
    assert!(cut.contains("cut.probe: checksum does not match"), "{cut}");
}
