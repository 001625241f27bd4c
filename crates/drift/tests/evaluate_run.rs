//! Simulated users: `drift evaluate run`, `compare`, `simulate`, and the gate of a run, on tiny models.

mod common;

use common::{World, write_model_that_says};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

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

/// A model that says "a a a …" meets a ban on commas, and one that says "a,a,a,…" does not.
const BAN: [&str; 13] = [
    "--suite",
    "simulated",
    "--kinds",
    "no-commas",
    "--n",
    "24",
    "--max-new",
    "8",
    "--split",
    "dev",
    "-q",
    "--max-length",
    "9",
];

#[test]
fn compare_passes_a_better_model_and_stops_a_worse_one_by_its_exit_code() {
    let world = World::new();
    write_model_that_says(&world.path("good"), "a ");
    write_model_that_says(&world.path("bad"), "a,");
    let compare = |a: &str, b: &str, more: &[&str]| {
        let output = world.drift().args([&["compare", a, b], &BAN[..], more].concat()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text, _) = compare("bad", "good", &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("B is better by more than 0: satisfied 0.000 before, 1.000 after"), "{text}");
    let (code, text, _) = compare("good", "bad", &["--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["ruling"], &report["only_a"]), (Some(3), &json!("worse"), &json!(24)));
    let (code, text, _) = compare("good", "good", &[]);
    assert!(code == Some(3) && text.starts_with("B is not measurably better by more than 0"), "{text}");
    assert_eq!(compare("bad", "good", &["--margin", "1"]).0, Some(3));
    let (code, _, error) = compare("bad", "nowhere", &[]);
    assert!(code == Some(1) && error.contains("nowhere: no such file"), "{error}");

    // Answers stand for their model.
    let args = [&["evaluate", "run", "--model", "bad", "--answers", "bad.jsonl"], &BAN[..11]].concat();
    world.ok(&args);
    assert_eq!(compare("bad.jsonl", "good", &[]).0, Some(0));
    let (code, text, _) = compare("bad.jsonl", "good", &["--max-transfer=-1"]);
    assert!(code == Some(1) && text.is_empty());
}

/// "a,a,a,…" has no white space, "a a a …" has; both have few vowels, and neither fills in a template.
#[test]
fn ifbench_is_answered_greedily_by_its_file_and_compared() {
    let world = World::new();
    write_model_that_says(&world.path("commas"), "a,");
    write_model_that_says(&world.path("spaces"), "a ");
    let row = |key: &str, kinds: &[&str]| {
        let kwargs = vec![json!({ "N": null }); kinds.len()];
        json!({ "key": key, "prompt": format!("Say {key}."), "instruction_id_list": kinds, "kwargs": kwargs })
            .to_string()
    };
    let rows = [
        row("0", &["format:no_whitespace"]),
        row("1", &["words:vowel"]),
        row("2", &["words:vowel", "format:output_template"]),
    ];
    std::fs::write(world.path("p.jsonl"), rows.join("\n")).unwrap();
    let args = |more: &[&'static str]| [&["evaluate", "run", "--max-new", "8", "--suite", "ifbench"], more].concat();
    let run = |more: &[&'static str]| world.ok(&[args(&["--prompts", "p.jsonl"]), more.to_vec()].concat());
    let report = |more: &[&'static str]| serde_json::from_str::<Value>(&run(&[more, &["--json"]].concat())).unwrap();

    let first = report(&["--model", "commas", "--answers", "a.jsonl"]);
    let (prompts, instructions) = (&first["prompt_level"]["strict"], &first["instruction_level"]["loose"]);
    assert_eq!((&prompts["met"], &prompts["n"]), (&json!(2), &json!(3)));
    assert_eq!((&instructions["met"], &instructions["n"]), (&json!(3), &json!(4)));
    let answers = std::fs::read_to_string(world.path("a.jsonl")).unwrap();
    assert!(answers.lines().nth(2).unwrap().contains("\"missed\":[\"format:output_template\"]"), "{answers}");
    let other = &report(&["--model", "spaces", "--against", "a.jsonl"])["against"]["strict"];
    assert_eq!((&other["only_a"], &other["only_b"]), (&json!(1), &json!(0)));
    // Greedy answers are the same for every seed.
    let again = &report(&["--model", "commas", "--against", "a.jsonl", "--seed", "2"])["against"];
    assert_eq!((&again["loose"]["difference"]["mean"], &again["words"]["mean"]), (&json!(0.0), &json!(0.0)));
    let table = run(&["--model", "spaces", "--against", "a.jsonl", "--n", "1"]);
    assert!(table.starts_with("ifbench, 1 prompts") && table.contains("strict, against 1.000: -1.000"), "{table}");

    let error = |more: &[&'static str]| world.error(&[args(&["--model", "commas"]), more.to_vec()].concat());
    assert!(error(&[]).contains("expected --prompts FILE"));
    assert!(error(&["--prompts", "p.jsonl", "--split", "dev"]).contains("--split: belongs to simulated"));
    assert!(error(&["--prompts", "p.jsonl", "--answers", "./p.jsonl"]).contains("p.jsonl"));
    std::fs::write(world.path("bad.jsonl"), format!("{}\n{}", rows[0], rows[1].replace("vowel", "vowels"))).unwrap();
    assert!(error(&["--prompts", "bad.jsonl"]).contains("bad.jsonl:2: instruction 1 is of an unknown kind"));
    let compared = world.error(&["compare", "commas", "spaces", "--suite", "ifbench", "--prompts", "p.jsonl"]);
    assert!(compared.contains("--suite: not simulated"), "{compared}");
    let simulated =
        world.error(&["evaluate", "run", "--suite", "simulated", "--model", "commas", "--prompts", "p.jsonl"]);
    assert!(simulated.contains("--prompts: belongs to ifbench"), "{simulated}");
}

const SIMULATE: [&str; 14] = [
    "simulate",
    "--model",
    "model",
    "--out",
    "log.jsonl",
    "--truth",
    "truth.jsonl",
    "--n",
    "30",
    "--max-new",
    "6",
    "--kinds",
    "all",
    "-q",
];

#[test]
fn a_simulated_log_is_an_ordinary_one_and_its_truth_measures_detectors() {
    let world = World::new();
    let read = |name: &str| std::fs::read_to_string(world.path(name)).unwrap();
    let rows = |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let summary: Value = serde_json::from_str(&world.ok(&[&SIMULATE[..], &["--json"]].concat())).unwrap();
    let (log, truth) = (read("log.jsonl"), read("truth.jsonl"));
    world.ok(&[&SIMULATE[..], &["--concurrency", "3", "--threads", "1"]].concat());
    assert!(log == read("log.jsonl") && truth == read("truth.jsonl"), "the same seed gives the same bytes");
    assert!(!world.path("log.jsonl.unfinished").exists());

    // The log: conversations of 1 to 4 answers, and nothing else.
    let conversations: BTreeMap<String, Vec<Value>> = rows(&log)
        .iter()
        .map(|row| {
            let keys: BTreeSet<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, BTreeSet::from(["id", "messages"]));
            (row["id"].as_str().unwrap().to_string(), row["messages"].as_array().unwrap().clone())
        })
        .collect();
    assert_eq!(conversations.len(), 30);
    let role = |message: &Value| message["role"].as_str().unwrap().to_string();
    for messages in conversations.values() {
        let roles: Vec<String> = messages.iter().map(role).collect();
        assert!(roles.iter().enumerate().all(|(i, role)| *role == ["user", "assistant"][i % 2]), "{roles:?}");
    }

    // The truth: a row an answer; its key is the place of the user's reaction.
    let truth = rows(&truth);
    let answers: usize = conversations.values().map(|messages| messages.len() / 2).sum();
    assert_eq!((truth.len(), summary["answers"].as_u64()), (answers, Some(answers as u64)));
    let mut reactions = 0;
    for row in &truth {
        let (id, at) = row["key"].as_str().unwrap().rsplit_once(':').unwrap();
        let reaction = conversations[id].get(at.parse::<usize>().unwrap());
        assert_eq!(reaction.is_none(), row["rubric"] == "silent", "{row}");
        reactions += usize::from(reaction.is_some());
        assert_eq!(row["label"] == "SAT", row["satisfied"] == true && row["missed"] == json!([]));
        let unhappy = ["complains", "asks_again", "gives_up"].contains(&row["rubric"].as_str().unwrap());
        assert!(row["noise"] == json!(unhappy == row["satisfied"].as_bool().unwrap()) || row["rubric"] == "silent");
    }
    assert!(truth.iter().any(|row| row["turn"] == 2), "some conversations go on");

    // One command for a detector's precision and recall, and the log goes through detection.
    let eval = world.ok(&["detect", "eval", "truth.jsonl", "--logs", "log.jsonl", "--json"]);
    let eval: Value = serde_json::from_str(&eval).unwrap();
    assert_eq!((&eval["DSAT"]["turns"], &eval["missing"]), (&json!(reactions), &json!(answers - reactions)));
    assert!(eval["DSAT"]["hits"].as_u64().unwrap() > 0, "{}", eval["DSAT"]);
    world.ok(&["detect", "log.jsonl", "--out", "found"]);
    assert!(rows(&read("found/cases.jsonl")).len() > 1);
}

#[test]
fn rates_come_from_a_file_and_what_is_wrong_is_said_before_any_work() {
    let world = World::new();
    std::fs::write(
        world.path("quiet.toml"),
        "satisfied_silent = 0.0\nsilent_in_spite = 1.0\nasks_again = 0.0\ngives_up = 0.0\nthanks_in_spite = 0.0\n",
    )
    .unwrap();
    let summary = world.ok(&[&SIMULATE[..], &["--json", "--rates", "quiet.toml"]].concat());
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let missed = summary["answers"].as_u64().unwrap() - summary["satisfied"]["met"].as_u64().unwrap();
    assert!(summary["acts"]["silent"].as_u64().unwrap() >= missed && missed > 0, "{summary}");
    std::fs::write(world.path("bad.toml"), "silence = 1").unwrap();
    let error = |more: &[&str]| world.error(&[&SIMULATE[..1], more].concat());
    let at = ["--model", "model", "--out", "a", "--truth", "b"];
    let bad = error(&[&at[..], &["--rates", "bad.toml"]].concat());
    assert!(bad.contains("bad.toml: unknown field `silence`") && bad.contains("hint:"), "{bad}");
    for truth in ["a", "./a"] {
        let same = error(&["--model", "model", "--out", "a", "--truth", truth]);
        assert!(same.contains("--truth: the same file as --out"), "{same}");
    }
    let kind = error(&[&at[..], &["--kinds", "telepathy"]].concat());
    assert!(kind.contains("kinds names no kind of requirement, expected all, sometimes, "), "{kind}");
}

/// Pairs of answers to one request; the first is chosen.
fn lessons(chosen: &str, rejected: &str) -> String {
    let side = |text: &str| json!([{ "role": "assistant", "content": text.repeat(4) }]);
    let lesson = |i: usize| {
        let prompt = json!([{ "role": "user", "content": format!("Say something, number {i}.") }]);
        json!({ "prompt": prompt, "chosen": side(chosen), "rejected": side(rejected) }).to_string()
    };
    (0..40).map(lesson).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_gate_stops_a_model_trained_on_flipped_pairs_and_lets_a_better_one_pass() {
    let world = World::new();
    write_model_that_says(&world.path("good"), "a ");
    write_model_that_says(&world.path("bad"), "a,");
    std::fs::write(world.path("right.jsonl"), lessons("a ", "a,")).unwrap();
    std::fs::write(world.path("flipped.jsonl"), lessons("a,", "a ")).unwrap();
    let case = json!({ "prompt": [{ "role": "user", "content": "Say." }], "rejected": [{ "role": "assistant", "content": "x" }],
                       "user_preference": { "role": "user", "content": "No." } });
    std::fs::write(world.path("cases.jsonl"), case.to_string()).unwrap();
    let run = |model: &str, pairs: &str| -> (Value, Value, Value) {
        let text = format!(
            "[run]\ndir = \"{model}-run\"\n[model]\npath = \"{model}\"\nprecision = \"f32\"\n\
             [cases]\nfiles = [\"cases.jsonl\"]\nseed_pairs = [\"{pairs}\"]\n[detect]\nheld_out = 0.0\n\
             [warm]\nepochs = 4\n[sample]\nmax_new_tokens = 12\n\
             [train]\niterations = 0\nlearning_rate = 3e-2\nrpo_alpha = 1.0\nmax_length = 600\nmax_prompt_length = 400\n\
             [evaluate]\nsimulated = 20\nmax_new_tokens = 8\nkinds = [\"no-commas\"]\n\
             [gate]\nsimulated = 20\nlength = 9.0\n"
        );
        std::fs::write(world.path("run.toml"), text).unwrap();
        world.ok(&["run", "run.toml"]);
        let read = |name: &str| -> Value {
            let text = std::fs::read_to_string(world.path(&format!("{model}-run")).join(name)).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        (read("warm/gate/gate.json"), read("model.json"), read("warm/satisfaction/satisfaction.json"))
    };
    let (gate, model, satisfaction) = run("bad", "right.jsonl");
    assert_eq!(
        (&gate["ruling"], &gate["against"], &model["name"]),
        (&json!("better"), &json!("base"), &json!("warm")),
        "{gate}"
    );
    assert_eq!(model["path"], "warm/train/checkpoint");
    assert!(satisfaction["change"]["difference"]["low"].as_f64().unwrap() > 0.5, "{satisfaction}");

    let (gate, model, satisfaction) = run("good", "flipped.jsonl");
    assert_eq!((&gate["ruling"], &model["name"]), (&json!("worse"), &json!("base")), "{gate}");
    assert!(gate["why"].as_str().unwrap().starts_with("worse: satisfied 1.000 before, "), "{gate}");
    assert!(satisfaction["change"]["difference"]["high"].as_f64().unwrap() < 0.0);
}
