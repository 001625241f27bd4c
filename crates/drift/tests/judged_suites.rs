//! `drift evaluate run --suite alpaca-eval|wildbench`: a model's answers before a judge that fails now and then.

mod common;

use common::World;
use common::endpoint::{Act, Endpoint, completion};
use drift_eval::alpaca_eval::Order;
use serde_json::{Value, json};

const INSTRUCTIONS: [&str; 6] =
    ["Name a river.", "What is 2 + 2?", "Say yes.", "Write a line.", "Name a colour.", "Count to 3."];

fn outputs(world: &World, name: &str, answer: impl Fn(usize) -> String) {
    let row = |(i, instruction): (usize, &&str)| json!({ "dataset": "d", "instruction": instruction, "output": answer(i), "generator": name });
    let rows: Vec<Value> = INSTRUCTIONS.iter().enumerate().map(row).collect();
    std::fs::write(world.path(&format!("{name}.json")), json!(rows).to_string()).unwrap();
}

fn read(world: &World, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(world.path(name)).unwrap()).unwrap()
}

/// Prefers the answer called M with probability .8.
fn prefers_big_m() -> Value {
    let top = json!([{ "token": "M", "logprob": 0.8f64.ln() }, { "token": "m", "logprob": 0.2f64.ln() }]);
    completion("M", json!({ "content": [{ "token": "M", "logprob": 0.8f64.ln(), "top_logprobs": top }] }))
}

#[test]
fn alpaca_eval_loses_nothing_and_asks_nothing_twice() {
    let world = World::new();
    outputs(&world, "base", |i| format!("base {i}"));
    outputs(&world, "ours", |i| if i == 2 { "base 2".into() } else { format!("ours {i}") });
    // Busy, down, cut: each is asked again. Nonsense on the fifth instruction is no verdict.
    let endpoint = Endpoint::start(|number, body| match number {
        0 => Act::Reply(429, json!({ "error": { "message": "busy" } })),
        2 => Act::Reply(500, json!("down")),
        3 => Act::Cut,
        _ if body.contains("colour") => Act::Reply(200, completion("Both are fine.", Value::Null)),
        _ => Act::Reply(200, prefers_big_m()),
    });
    std::fs::write(world.path("judge.toml"), endpoint.config("concurrency = 1\n")).unwrap();
    let args = ["evaluate", "run", "--suite", "alpaca-eval", "--reference", "base.json", "--outputs", "ours.json"];
    let args = [&args[..], &["--config", "judge.toml", "--out", "out", "--json"]].concat();
    let scores: Value = serde_json::from_str(&world.ok(&args)).unwrap();
    assert_eq!(endpoint.asked().len(), 5 + 3);
    let annotations = read(&world, "out/annotations.json");
    for (i, instruction) in INSTRUCTIONS.iter().enumerate() {
        let expected = match (i, Order::of(instruction)) {
            (2, _) => Some(1.5), // equal answers: a draw without a call
            (4, _) => None,
            (_, Order::AsGiven) => Some(1.8),
            (_, Order::Switched) => Some(1.2),
        };
        let row = &annotations[i];
        assert_eq!((&row["instruction"], &row["output_1"]), (&json!(instruction), &json!(format!("base {i}"))));
        let said = row["preference"].as_f64();
        assert_eq!(said.map(|said| (said * 1e9).round() / 1e9), expected, "{instruction}");
    }
    let score = &scores[0];
    assert_eq!((&score["model"], &score["n_total"], &score["n_unparsed"]), (&json!("ours"), &json!(5), &json!(1)));
    // the instructions stand on the side that the order says
    let first = &endpoint.asked()[1];
    let (base, ours) = (first.find("base 0").unwrap(), first.find("ours 0").unwrap());
    assert_eq!(base < ours, Order::of(INSTRUCTIONS[0]) == Order::AsGiven);

    // Again: all replies are known, the nonsense too; and the official form scores the same.
    assert_eq!(serde_json::from_str::<Value>(&world.ok(&args)).unwrap(), scores);
    assert_eq!(endpoint.asked().len(), 8);
    let again = world.ok(&["evaluate", "score", "--suite", "alpaca-eval", "out/annotations.json", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), scores);
}

#[test]
fn a_budget_that_ends_leaves_what_was_answered() {
    let world = World::new();
    outputs(&world, "base", |i| format!("base {i}"));
    outputs(&world, "ours", |i| format!("ours {i}"));
    let endpoint = Endpoint::start(|_, _| Act::Reply(200, prefers_big_m()));
    let args = ["evaluate", "run", "--suite", "alpaca-eval", "--reference", "base.json", "--outputs", "ours.json"];
    let args = [&args[..], &["--config", "judge.toml", "--out", "out"]].concat();
    std::fs::write(world.path("judge.toml"), endpoint.config("concurrency = 1\nbudget_tokens = 1200\n")).unwrap();
    let error = world.error(&args);
    let asked = endpoint.asked().len();
    assert!(error.contains("of 6 questions were not judged: judge.budget"), "{error}");
    assert!((1..6).contains(&asked) && !world.path("out/annotations.json").exists(), "{asked}");
    std::fs::write(world.path("judge.toml"), endpoint.config("")).unwrap();
    world.ok(&args);
    assert_eq!(endpoint.asked().len(), 6);
}

#[test]
fn wildbench_scores_what_a_model_answers() {
    let world = World::new();
    let task = |id: &str, query: &str| {
        json!({ "id": id, "checklist": ["is short", "is true"], "primary_tag": "Math", "secondary_tags": [],
            "conversation_input": [{ "role": "user", "content": "Hello" }, { "role": "assistant", "content": "Yes?" },
                                   { "role": "user", "content": query }] })
    };
    std::fs::write(world.path("tasks.json"), json!([task("a", "Sum of 2 and 2?"), task("b", "A prime?")]).to_string())
        .unwrap();
    let endpoint = Endpoint::start(|number, body| match number {
        0 => Act::Reply(200, completion("I like it.", Value::Null)), // told once what was wrong
        _ => Act::Reply(
            200,
            completion(if body.contains("prime") { "{\"score\": 4}" } else { "{\"score\": \"7\"}" }, Value::Null),
        ),
    });
    std::fs::write(world.path("judge.toml"), endpoint.config("concurrency = 1\n")).unwrap();
    let args = ["evaluate", "run", "--suite", "wildbench", "--prompts", "tasks.json", "--model", "model"];
    let more = ["--max-new", "8", "--config", "judge.toml", "--out", "out", "--name", "tiny", "--json"];
    let figures: Value = serde_json::from_str(&world.ok(&[&args[..], &more].concat())).unwrap();
    assert_eq!(endpoint.asked().len(), 3);
    let first = &endpoint.asked()[0];
    assert!(first.contains("USER: Hello\\n\\nASSISTANT: Yes?") && first.contains("- is short\\n- is true"), "{first}");
    assert_eq!(
        (&figures[0]["model"], &figures[0]["score"], &figures[0]["total"]),
        (&json!("tiny"), &json!(5.5), &json!(2))
    );
    let again =
        world.ok(&["evaluate", "score", "--suite", "wildbench", "out/tiny.json", "--tasks", "tasks.json", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), figures);

    // an empty answer has 1 without a call
    let rows = json!([{ "session_id": "a", "output": [""], "generator": "g" }, { "session_id": "b", "output": ["7"] }]);
    std::fs::write(world.path("theirs.json"), rows.to_string()).unwrap();
    let args = ["evaluate", "run", "--suite", "wildbench", "--prompts", "tasks.json", "--outputs", "theirs.json"];
    world.ok(&[&args[..], &["--config", "judge.toml", "--out", "theirs"]].concat());
    let scores: Vec<Value> =
        read(&world, "theirs/g.json").as_array().unwrap().iter().map(|row| row["score"].clone()).collect();
    assert_eq!((scores, endpoint.asked().len()), (vec![json!(1.0), json!(4.0)], 4));
}

#[test]
fn wildbench_compares_with_a_reference() {
    let world = World::new();
    let ids = ["a", "b", "c", "d", "e", "f"];
    let task = |id: &&str| {
        json!({ "id": id, "checklist": ["is short"], "primary_tag": "Math", "secondary_tags": [],
            "conversation_input": [{ "role": "user", "content": format!("Task {id}?") }] })
    };
    std::fs::write(world.path("tasks.json"), json!(ids.iter().map(task).collect::<Vec<_>>()).to_string()).unwrap();
    let file = |name: &str, answer: &dyn Fn(&str) -> String| {
        let row = |id: &&str| json!({ "session_id": id, "output": [answer(id)], "generator": name });
        std::fs::write(world.path(&format!("{name}.json")), json!(ids.iter().map(row).collect::<Vec<_>>()).to_string())
            .unwrap();
    };
    // Equal answers and an empty one need no judge.
    file("ours", &|id| {
        if id == "c" {
            "same".into()
        } else if id == "d" {
            " ".into()
        } else {
            format!("good {id}")
        }
    });
    file("theirs", &|id| if id == "c" { "same".into() } else { format!("bad {id}") });
    // Prefers the good answer, wherever it stands, task b's slightly; of task e it says nothing of use, twice.
    let endpoint = Endpoint::start(|_, body| {
        let place = if body.find("good ") < body.find("bad ") { "A" } else { "B" };
        let choice = if body.contains("Task b?") { format!("{place}+") } else { format!("{place}++") };
        let said = if body.contains("Task e?") { "Both.".into() } else { json!({ "choice": choice }).to_string() };
        Act::Reply(200, completion(&said, Value::Null))
    });
    std::fs::write(world.path("judge.toml"), endpoint.config("concurrency = 1\n")).unwrap();
    let args = ["evaluate", "run", "--suite", "wildbench", "--prompts", "tasks.json", "--outputs", "ours.json"];
    let args = [&args[..], &["--config", "judge.toml", "--out", "out", "--json", "--reference"]].concat();
    let figures: Value = serde_json::from_str(&world.ok(&[&args[..], &["theirs.json"]].concat())).unwrap();
    assert_eq!(endpoint.asked().len(), 3 + 2);
    let of = |key: &str| figures[0][key].clone();
    assert_eq!(["win_much", "win", "tie", "lose", "total", "n_unparsed"].map(of), [2, 1, 1, 0, 5, 1].map(Value::from));
    assert_eq!((of("model"), of("wb_reward")), (json!("ours"), json!(100.0 * 2.5 / 5.0)));
    // Neither answer stands first always.
    let rows = read(&world, "out/ref=theirs/ours.json");
    let first = |name: &str| rows.as_array().unwrap().iter().filter(|row| row["model_a"] == name).count();
    assert!(first("ours") > 0 && first("theirs") > 0, "{rows}");
    assert_eq!(
        (&rows[4]["winner"], &rows[3]["model_outputs"]["ours"]),
        (&Value::Null, &json!("[This model response is empty.]"))
    );
    let again = ["evaluate", "score", "--suite", "wildbench", "out/ref=theirs/ours.json", "--reference", "theirs"];
    let again = world.ok(&[&again[..], &["--tasks", "tasks.json", "--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), figures);
    let error = world.error(&[&args[..], &["ours.json"]].concat());
    assert!(error.contains("expected two names"), "{error}");
    assert_eq!(endpoint.asked().len(), 5);
    // A name within the other is another model all the same.
    file("our", &|id| format!("bad {id}"));
    let figures: Value = serde_json::from_str(&world.ok(&[&args[..], &["our.json"]].concat())).unwrap();
    assert_eq!(
        (&figures[0]["model"], &figures[0]["lose"], &figures[0]["total"]),
        (&json!("ours"), &json!(0), &json!(5))
    );
}

#[test]
fn what_is_missing_is_said_in_a_line() {
    let world = World::new();
    outputs(&world, "base", |i| format!("base {i}"));
    std::fs::write(world.path("judge.toml"), "[judge]\nbase_url = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\n").unwrap();
    let run = |args: &[&str]| world.error(&[&["evaluate", "run"], args].concat());
    let of = ["--suite", "alpaca-eval", "--reference", "base.json"];
    for (args, expected) in [
        (&["--suite", "alpaca-eval"][..], "nowhere to write, expected --out DIR"),
        (&["--suite", "alpaca-eval", "--out", "o"], "no --reference, expected"),
        (&[&of[..], &["--out", "o"]].concat(), "no judge, expected --config FILE"),
        (&[&of[..], &["--out", "o", "--split", "dev"]].concat(), "--split: belongs to simulated"),
        (&[&of[..], &["--out", "o", "--answers", "a"]].concat(), "--answers: belongs to simulated and ifbench"),
        (&["--suite", "wildbench", "--out", "o"], "no --prompts, expected"),
        (
            &["--suite", "wildbench", "--out", "o", "--prompts", "base.json", "--config", "judge.toml"],
            "expected tasks with",
        ),
        (&["--suite", "simulated", "--out", "o"], "--out: belongs to alpaca-eval and wildbench"),
    ] {
        let error = run(args);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    let error = run(&[&of[..], &["--out", "base.json", "--config", "judge.toml"]].concat());
    assert!(error.contains("base.json: ") && error.contains("expected a folder"), "{error}");
    std::fs::write(world.path("ours.json"), "[]").unwrap();
    let error = run(&[&of[..], &["--out", "o", "--outputs", "ours.json", "--config", "judge.toml"]].concat());
    assert!(error.contains("ours.json: no answer to an instruction"), "{error}");
}

#[test]
fn inputs_are_kept_and_answers_to_one_instruction_go_in_order() {
    let world = World::new();
    let rows = |name: &str| {
        let row = |i: usize| json!({ "instruction": "Again.", "output": format!("{name} {i}"), "generator": name });
        std::fs::write(world.path(&format!("{name}.json")), json!((0..3).map(row).collect::<Vec<_>>()).to_string())
            .unwrap();
    };
    rows("base");
    rows("ours");
    let endpoint = Endpoint::start(|_, _| Act::Reply(200, prefers_big_m()));
    std::fs::write(world.path("judge.toml"), endpoint.config("")).unwrap();
    let args = ["evaluate", "run", "--suite", "alpaca-eval", "--config", "judge.toml", "--outputs", "ours.json"];
    world.ok(&[&args[..], &["--reference", "base.json", "--out", "out"]].concat());
    for (i, row) in read(&world, "out/annotations.json").as_array().unwrap().iter().enumerate() {
        assert_eq!((&row["output_1"], &row["output_2"]), (&json!(format!("base {i}")), &json!(format!("ours {i}"))));
    }
    let before = std::fs::read(world.path("out/annotations.json")).unwrap();
    let error = world.error(&[&args[..], &["--reference", "out/annotations.json", "--out", "out"]].concat());
    assert!(error.contains("out/annotations.json: is read by this command"), "{error}");
    assert_eq!(std::fs::read(world.path("out/annotations.json")).unwrap(), before);
    // Somebody else's file of that name, twice; then one that only the cache would be appended to.
    std::fs::create_dir(world.path("theirs")).unwrap();
    std::fs::write(world.path("theirs/annotations.json"), "[]").unwrap();
    let theirs = [&args[..], &["--reference", "base.json", "--out", "theirs"]].concat();
    // A call that fails before it comes to that makes the folder nobody's.
    world.error(&[&args[..], &["--out", "theirs"]].concat());
    for _ in 0..2 {
        let error = world.error(&theirs);
        assert!(error.contains("theirs/annotations.json: there already"), "{error}");
    }
    assert_eq!(std::fs::read(world.path("theirs/annotations.json")).unwrap(), b"[]");
    std::fs::write(world.path("judge.toml"), endpoint.config("cache = \"base.json\"\n")).unwrap();
    let before = std::fs::read(world.path("base.json")).unwrap();
    let error = world.error(&[&args[..], &["--reference", "base.json", "--out", "new"]].concat());
    assert!(error.contains("base.json: holds something else"), "{error}");
    assert_eq!(std::fs::read(world.path("base.json")).unwrap(), before);
}
