//! `drift evaluate score` on small files: what goes to stdout, what an error says.

mod common;

use common::World;
use serde_json::{Value, json};
use std::fmt::Write;

/// Rows of two models, of gamed baselines, and of the tools that go with them.
fn alpaca_eval() -> World {
    let world = World::new();
    let write = |name: &str, text: &str| std::fs::write(world.path(name), text).unwrap();
    let mut compact = "row,instruction_id,preference,len_1,len_2,logprob_m,logprob_M,switched\n".to_string();
    let mut gamed = "model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline\n".to_string();
    let mut annotations = Vec::new();
    for i in 0..40usize {
        let preference = 1.0 + ((i * 7) % 20) as f64 / 20.0;
        let (len_1, len_2) = (100 + (i * 37) % 50, 80 + (i * 53) % 90);
        match i {
            3 => writeln!(compact, "{i},{i},,{len_1},{len_2},,,0").unwrap(),
            4 => writeln!(compact, "{i},{i},,{len_1},{len_2},-0.1,-2.5,1").unwrap(),
            _ => writeln!(compact, "{i},{i},{preference},{len_1},{len_2},,,0").unwrap(),
        }
        let (length, difficulty) = ((i % 9) as f64 / 3.0 - 1.0, (i % 5) as f64 / 2.0 - 1.0);
        writeln!(gamed, "concise,{},{i},{length},{difficulty},False", ((i * 3) % 10) as f64 / 10.0).unwrap();
        annotations.push(json!({
            "instruction": format!("task {i}"), "generator_1": "base", "output_1": "a".repeat(len_1),
            "generator_2": "other", "output_2": "b".repeat(len_2), "annotator": "judge", "preference": 3.0 - preference,
        }));
    }
    write("first.csv", &compact);
    write("gamed.csv", &gamed);
    write("annotations.json", &Value::from(annotations).to_string());
    world
}

#[test]
fn alpaca_eval_as_table_json_and_leaderboard() {
    let world = alpaca_eval();
    let files = ["evaluate", "score", "--suite", "alpaca-eval", "first.csv", "annotations.json"];
    let with = |more: &[&str]| world.ok(&[&files[..], more].concat());
    insta::assert_snapshot!("table", with(&["--gamed", "gamed.csv"]));

    let scores: Value = serde_json::from_str(&with(&["--gamed", "gamed.csv", "--json"])).unwrap();
    let names: Vec<&String> = scores[0].as_object().unwrap().keys().collect();
    insta::assert_snapshot!("names", names.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n"));
    assert_eq!((&scores[0]["model"], &scores[1]["model"]), (&json!("first"), &json!("other")));
    assert_eq!((&scores[0]["n_total"], &scores[0]["n_unparsed"]), (&json!(39), &json!(1)));

    let plain: Value = serde_json::from_str(&with(&["--json"])).unwrap();
    assert_eq!(plain[0]["length_controlled_winrate"], Value::Null);
    assert_eq!(plain[0]["win_rate"], scores[0]["win_rate"]);

    // A second call replaces the models' rows and keeps the others.
    with(&["--gamed", "gamed.csv", "--leaderboard", "board.csv"]);
    let before = std::fs::read_to_string(world.path("board.csv")).unwrap();
    std::fs::write(world.path("board.csv"), format!("{before}old,1,,1,99,0,100,1,verified,10,0.5,\n")).unwrap();
    with(&["--gamed", "gamed.csv", "--leaderboard", "board.csv"]);
    let after = std::fs::read_to_string(world.path("board.csv")).unwrap();
    assert_eq!(after, format!("{before}old,1,,1,99,0,100,1,verified,10,0.5,\n"));
}

#[test]
fn wildbench_rows_comparisons_and_aggregates() {
    let world = World::new();
    let write = |name: &str, text: &str| std::fs::write(world.path(name), text).unwrap();
    write("m.csv", "session_id,score,len_chars,truncated\na,8,100,0\nb,6,200,0\nc,1,0,0\n");
    let outputs = json!({ "m": "abcdef", "ref": "a" });
    let comparison = json!([{ "session_id": "a", "winner": "m", "extent": 1, "model_outputs": outputs },
                            { "session_id": "b", "winner": "m", "extent": 2, "model_outputs": outputs }]);
    write("pairwise.json", &comparison.to_string());
    let groups = json!({ "Creative Tasks": 1.0, "Coding & Debugging": 2.0 });
    let board = json!({ "x": { "score": 6.0, "task_categorized_scores": groups, "total": 10, "avg_len": 12.5 } });
    write("score.json", &board.to_string());
    write("tasks.jsonl", "{\"id\": \"a\", \"primary_tag\": \"Math\"}\n{\"id\": \"b\", \"primary_tag\": \"Editing\"}\n");
    let files = ["evaluate", "score", "--suite", "wildbench", "m.csv", "pairwise.json", "score.json"];
    let options = ["--reference", "ref", "--length-penalty", "4", "--tasks", "tasks.jsonl"];
    insta::assert_snapshot!("wildbench", world.ok(&[&files[..], &options].concat()));
    let figures: Value = serde_json::from_str(&world.ok(&[&files[..], &options, &["--json"]].concat())).unwrap();
    // One slight win becomes a tie: (0 + 1) / 2. Task macro of score.json: (0.5 + 2.5) / 4.75.
    assert_eq!((&figures[1]["reward"], &figures[1]["K"], &figures[1]["tie"]), (&json!(0.5), &json!(4), &json!(1)));
    assert!((figures[2]["task_macro_score"].as_f64().unwrap() - 3.0 / 4.75).abs() < 1e-12);
}

#[test]
fn what_does_not_fit_is_said_in_a_line() {
    let world = alpaca_eval();
    std::fs::write(world.path("pairwise.json"), "[{\"winner\": \"m\"}]").unwrap();
    std::fs::write(world.path("bad.csv"), "row,preference,len_1,len_2\n0,3,1,1\n").unwrap();
    let error =
        |suite: &str, more: &[&str]| world.error(&[&["evaluate", "score", "--suite", suite][..], more].concat());
    let errors = [
        error("alpaca-eval", &["missing.csv"]),
        error("alpaca-eval", &["gamed.csv"]),
        error("alpaca-eval", &["bad.csv"]),
        error("alpaca-eval", &["first.csv", "--gamed", "first.csv"]),
        error("alpaca-eval", &["first.csv", "--tasks", "tasks.json"]),
        error("wildbench", &["first.csv"]),
        error("wildbench", &["pairwise.json"]),
        error("wildbench", &["annotations.json"]),
        error("wildbench", &["first.csv", "--gamed", "gamed.csv"]),
    ];
    insta::assert_snapshot!("errors", errors.join("\n"));
}
