//! Whole commands on a tiny model: what goes to stdout, what goes to the folder, what is done once.

mod common;

use common::World;
use serde_json::Value;
use std::path::Path;

fn rows(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_run_makes_the_folder_and_a_second_call_changes_nothing() {
    let world = World::new();
    let config = world.config("run.toml", "run", "");
    let stdout = world.ok(&["run", config.to_str().unwrap()]);
    assert_eq!(stdout.trim(), world.path("run/report/index.html").display().to_string());

    // Every stage has a complete manifest, and nothing unfinished is left.
    let stages = ["detect", "held-out/sample", "held-out/pair", "held-out/score", "warm/train", "warm/evaluate"];
    let iterations =
        [1, 2].map(|k| ["sample", "pair", "train", "theory", "evaluate"].map(|stage| format!("iter-{k}/{stage}")));
    for stage in stages.iter().map(|s| s.to_string()).chain(iterations.into_iter().flatten()) {
        let dir = world.path("run").join(&stage);
        let manifest = json(&dir.join("manifest.json"));
        assert_eq!((&manifest["stage"], &manifest["complete"]), (&Value::from(stage.as_str()), &Value::from(true)));
        let counts = &manifest["counts"];
        let dropped: u64 = counts["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        if stage != "detect" {
            assert_eq!(counts["in"].as_u64(), counts["out"].as_u64().map(|out| out + dropped), "{stage}: {counts}");
        }
        for entry in std::fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("partial") && !name.ends_with(".tmp") && name != "train.state", "{stage}/{name}");
        }
    }
    // The chosen answers are the sampled ids; a conversation is on one side of the split.
    let pairs = rows(&world.path("run/iter-1/pair/pairs.jsonl"));
    let candidates = rows(&world.path("run/iter-1/sample/candidates.jsonl"));
    assert!(!pairs.is_empty());
    for pair in &pairs {
        let candidate = candidates.iter().find(|candidate| candidate["case"] == pair["id"]).unwrap();
        assert_eq!(pair["chosen_ids"], candidate["ids"]);
        assert_eq!(pair["split"], "train");
    }
    let held_out = rows(&world.path("run/held-out/score/pairs.jsonl"));
    assert!(held_out.iter().any(|row| row["kind"] == "fresh_answer"));
    for row in &held_out {
        assert!(pairs.iter().all(|pair| pair["conversation"] != row["pair"]["conversation"]));
    }
    // Samples of iteration 2 come from the weights that iteration 1 made.
    let weights = |k: usize| rows(&world.path(&format!("run/iter-{k}/sample/candidates.jsonl")))[0]["weights"].clone();
    assert_ne!(weights(1), weights(2));
    let evaluated = json(&world.path("run/iter-1/evaluate/eval.json"));
    assert_eq!(evaluated["weights"], weights(2));
    assert_eq!(evaluated["pairs"].as_u64().unwrap() as usize, held_out.len());

    let written = |name: &str| std::fs::metadata(world.path(name)).unwrap().modified().unwrap();
    let before = written("run/iter-2/train/checkpoint/model.safetensors");
    let output = world.drift().args(["--verbose", "run", config.to_str().unwrap()]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.matches(": as before, ").count(), 16, "{stderr}");
    assert_eq!(written("run/iter-2/train/checkpoint/model.safetensors"), before);

    // Another beta trains and evaluates anew, and samples anew where the policy is another one.
    let text = std::fs::read_to_string(&config).unwrap().replace("[train]\n", "[train]\nbeta = 0.2\n");
    std::fs::write(&config, text).unwrap();
    let output = world.drift().args(["--verbose", "run", config.to_str().unwrap()]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    for kept in ["detect", "held-out/sample", "held-out/pair", "held-out/score"] {
        assert!(stderr.contains(&format!("{kept}: as before")), "{kept}: {stderr}");
    }
    assert_eq!(stderr.matches(": as before, ").count(), 4, "{stderr}");
}

#[test]
fn threads_and_concurrency_change_no_bit() {
    let world = World::new();
    let one = world.config("one.toml", "one", "");
    let two = world.config("two.toml", "two", "");
    let text = std::fs::read_to_string(&two).unwrap().replace("concurrency = 4", "concurrency = 7");
    std::fs::write(&two, text).unwrap();
    world.ok(&["run", one.to_str().unwrap(), "--threads", "1"]);
    world.ok(&["run", two.to_str().unwrap(), "--threads", "3"]);
    for file in
        ["iter-2/sample/candidates.jsonl", "iter-2/train/checkpoint/model.safetensors", "iter-2/train/metrics.jsonl"]
    {
        let read = |run: &str| std::fs::read(world.path(run).join(file)).unwrap();
        assert!(read("one") == read("two"), "{file}");
    }
}

#[test]
fn stages_alone_give_what_the_run_gives() {
    let world = World::new();
    let config = world.config("run.toml", "run", "");
    let config = config.to_str().unwrap();
    world.ok(&["run", config]);
    let cases: Vec<Value> =
        rows(&world.path("run/detect/cases.jsonl")).into_iter().filter(|case| case["split"] == "train").collect();
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    std::fs::write(world.path("cases.jsonl"), lines).unwrap();

    let policy = "run/warm/train/checkpoint";
    world.ok(&[
        "sample",
        "--config",
        config,
        "--model",
        policy,
        "--precision",
        "f32",
        "--cases",
        "cases.jsonl",
        "--out",
        "sample",
    ]);
    let same = |ours: &str, of_run: &str| {
        assert_eq!(
            std::fs::read_to_string(world.path(ours)).unwrap(),
            std::fs::read_to_string(world.path("run").join(of_run)).unwrap(),
            "{ours}"
        );
    };
    same("sample/candidates.jsonl", "iter-1/sample/candidates.jsonl");
    world.ok(&[
        "pair",
        "--config",
        config,
        "--model",
        policy,
        "--cases",
        "cases.jsonl",
        "--candidates",
        "sample/candidates.jsonl",
        "--out",
        "pair",
    ]);
    same("pair/pairs.jsonl", "iter-1/pair/pairs.jsonl");
    world.ok(&["train", "--config", config, "--model", policy, "--pairs", "pair/pairs.jsonl", "--out", "train"]);
    let trained = |dir: &str| std::fs::read(world.path(dir).join("checkpoint/model.safetensors")).unwrap();
    assert!(trained("train") == trained("run/iter-1/train"));
    same("train/metrics.jsonl", "iter-1/train/metrics.jsonl");

    // `score` gives the logged numbers: the first step's means, under the policy before it.
    let scores = world.ok(&["score", "--model", policy, "--pairs", "pair/pairs.jsonl", "--precision", "f32"]);
    let scores: Vec<Value> = scores.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(scores.len(), rows(&world.path("pair/pairs.jsonl")).len());
    let reference: Vec<Value> = std::fs::read_dir(world.path("train"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("reference-"))
        .map(|path| rows(&path))
        .unwrap();
    for score in &scores {
        let close = |row: &&Value| {
            let near = |key: &str| (row[key].as_f64().unwrap() - score[key].as_f64().unwrap()).abs() < 1e-9;
            near("chosen_logp") && near("rejected_logp")
        };
        assert!(reference[1..].iter().any(|row| close(&row)), "{score}");
    }
}

#[test]
fn cases_found_elsewhere_take_the_place_of_logs() {
    let world = World::new();
    let config = world.config("run.toml", "run", "");
    world.ok(&["detect", "chats.jsonl", "--out", "found"]);
    // As the paper's files are: the three keys, no id, no split.
    let strip = |name: &str, keys: [&str; 3]| {
        let rows = rows(&world.path("found").join(name));
        let lines = rows.iter().map(|row| {
            let kept: serde_json::Map<_, _> = keys.iter().map(|key| (key.to_string(), row[key].clone())).collect();
            format!("{}\n", Value::from(kept))
        });
        std::fs::write(world.path(name), lines.collect::<String>()).unwrap();
    };
    strip("cases.jsonl", ["prompt", "rejected", "user_preference"]);
    strip("seed_pairs.jsonl", ["prompt", "chosen", "rejected"]);
    let text = std::fs::read_to_string(&config).unwrap().replace(
        "[logs]\nfiles = [\"chats.jsonl\"]",
        "[cases]\nfiles = [\"cases.jsonl\"]\nseed_pairs = [\"seed_pairs.jsonl\"]",
    );
    std::fs::write(&config, text).unwrap();
    world.ok(&["run", "run.toml"]);
    let manifest = json(&world.path("run/detect/manifest.json"));
    assert_eq!(manifest["counts"]["in"].as_u64().unwrap() as usize, rows(&world.path("cases.jsonl")).len());
    let cases = rows(&world.path("run/detect/cases.jsonl"));
    assert!(cases.iter().any(|case| case["split"] == "held_out") && cases.iter().any(|case| case["split"] == "train"));
    assert!(json(&world.path("run/iter-2/evaluate/eval.json"))["pairs"].as_u64().unwrap() > 0);
}

#[test]
fn guided_answers_see_the_feedback_and_near_copies_fall_back() {
    let world = World::new();
    world.ok(&["detect", "chats.jsonl", "--out", "found"]);
    let sample = |name: &str, settings: &str| {
        let config = world.path("sample.toml");
        std::fs::write(&config, format!("[detect]\nmax_cases = 5\n[sample]\nmax_new_tokens = 8\n{settings}\n"))
            .unwrap();
        let args =
            ["sample", "--config", "sample.toml", "--model", "model", "--cases", "found/cases.jsonl", "--out", name];
        world.ok(&args);
        (rows(&world.path(name).join("candidates.jsonl")), json(&world.path(name).join("manifest.json")))
    };
    let modes =
        |rows: &[Value]| -> Vec<String> { rows.iter().map(|row| row["mode"].as_str().unwrap().to_string()).collect() };
    let texts = |rows: &[Value]| -> Vec<Value> { rows.iter().map(|row| row["ids"].clone()).collect() };

    let (plain, _) = sample("never", "guided = \"never\"");
    assert!(modes(&plain).iter().all(|mode| mode == "unguided"));
    let mut seen = vec![texts(&plain)];
    for form in ["chat", "hidden", "published"] {
        let (guided, _) = sample(form, &format!("guided = \"always\"\nform = \"{form}\"\nnear_copy = 1.0"));
        assert!(modes(&guided).iter().all(|mode| mode == "guided"), "{form}");
        assert!(!seen.contains(&texts(&guided)), "{form} shows the sampler another prompt");
        seen.push(texts(&guided));
    }
    // With the bar at almost nothing, every answer with a word of the rejected one is a copy.
    let (fallen, manifest) = sample("copies", "guided = \"always\"\nnear_copy = 1e-9");
    let replaced = modes(&fallen).iter().filter(|mode| *mode == "fallback").count();
    assert_eq!(manifest["counts"]["noted"]["near_copy_replaced"].as_u64().unwrap_or(0) as usize, replaced);
    for (row, plain) in fallen.iter().zip(&plain).filter(|(row, _)| row["mode"] == "fallback") {
        assert_eq!(row["ids"], plain["ids"], "a fallback is the unguided answer");
    }
    let (_, manifest) = sample("auto", "guided = \"auto\"");
    assert!(manifest["outputs"]["guidance.json"].is_string());
    let guidance = json(&world.path("auto/guidance.json"));
    assert_eq!(guidance["cases"], 24);
}

#[test]
fn score_prints_counts_and_sums_for_both_completions() {
    let world = World::new();
    std::fs::write(
        world.path("pairs.jsonl"),
        r#"{"prompt":[{"role":"user","content":"Hi"}],"chosen":[{"role":"assistant","content":"Hello"}],"rejected":[{"role":"assistant","content":"No"}]}"#,
    )
    .unwrap();
    let score = |completion: &str| -> Value {
        let args =
            ["score", "--model", "model", "--pairs", "pairs.jsonl", "--precision", "f32", "--completion", completion];
        serde_json::from_str(&world.ok(&args)).unwrap()
    };
    let (clean, template) = (score("clean"), score("template"));
    // <|start|>user\nHi<|end|>\n<|start|>assistant\n: 1 + 7 + 1 + 1 + 1 + 10
    assert_eq!((&clean["index"], &clean["n_prompt"]), (&Value::from(0), &Value::from(21)));
    assert_eq!((clean["n_chosen"].as_u64(), clean["n_rejected"].as_u64()), (Some(6), Some(3)));
    assert_eq!((template["n_chosen"].as_u64(), template["n_rejected"].as_u64()), (Some(7), Some(4)));
    assert!(clean["chosen_logp"].as_f64().unwrap() > template["chosen_logp"].as_f64().unwrap());
    let keys: Vec<&String> = clean.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["index", "n_prompt", "n_chosen", "n_rejected", "chosen_logp", "rejected_logp"]);
}

#[test]
fn generate_repeats_itself_for_a_seed_and_data_goes_to_stdout() {
    let world = World::new();
    let generate = |more: &[&str]| {
        world.ok(&[&["generate", "--model", "model", "--prompt", "Hi", "--max-new", "20"], more].concat())
    };
    assert_eq!(generate(&["--seed", "1"]), generate(&["--seed", "1", "--threads", "1"]));
    assert_ne!(generate(&["--seed", "1"]), generate(&["--seed", "2"]));
    assert_eq!(generate(&["--temperature", "0"]), generate(&["--temperature", "0", "--seed", "9"]));
}

#[test]
fn several_answers_are_lines_of_json_and_the_first_is_the_single_one() {
    let world = World::new();
    let generate = |more: &[&str]| {
        world.ok(&[&["generate", "--model", "model", "--prompt", "Hi", "--max-new", "20"], more].concat())
    };
    let texts = |out: String| -> Vec<String> {
        let text = |line: &str| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_string();
        out.lines().map(text).collect()
    };
    let three = texts(generate(&["--n", "3"]));
    assert_eq!(three.len(), 3);
    for (text, seed) in three.iter().zip(["42", "43", "44"]) {
        assert_eq!(generate(&["--seed", seed]), format!("{text}\n"));
    }
    for kv in ["bf16", "int8"] {
        assert_eq!(texts(generate(&["--n", "3", "--kv", kv])).len(), 3);
    }
}

#[test]
fn keys_and_values_in_fewer_bits_move_log_probs_a_little() {
    let world = World::new();
    std::fs::write(
        world.path("pairs.jsonl"),
        r#"{"prompt":[{"role":"user","content":"Hi"}],"chosen":[{"role":"assistant","content":"Hello"}],"rejected":[{"role":"assistant","content":"No"}]}"#,
    )
    .unwrap();
    let out: Value = serde_json::from_str(&world.ok(&[
        "bench",
        "kv",
        "--model",
        "model",
        "--pairs",
        "pairs.jsonl",
        "--precision",
        "f32",
        "--json",
    ]))
    .unwrap();
    let of = |format: &str, what: &str| out[format][what].as_f64().unwrap();
    for what in ["token_mean_abs", "token_max_abs", "answer_max_abs"] {
        assert!(of("bf16", what) > 0.0 && of("bf16", what) < of("int8", what) && of("int8", what) < 1.0, "{out}");
    }
}

#[test]
fn detect_writes_rows_of_the_papers_form_and_counts_damage() {
    let world = World::new();
    let mut log = common::chats(20);
    log.insert_str(0, "{\"id\": \"broken\", \"messages\": [\n");
    std::fs::write(world.path("log.jsonl"), log).unwrap();
    let output = world.drift().args(["detect", "log.jsonl", "--out", "found"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("log.jsonl: byte 0: record skipped"), "{stderr}");
    let cases = rows(&world.path("found/cases.jsonl"));
    assert!(cases.len() >= 15, "{}", cases.len());
    for case in &cases {
        assert_eq!(case["rejected"][0]["role"], "assistant");
        assert!(case["prompt"].is_array() && case["user_preference"]["content"].is_string());
    }
    assert!(!rows(&world.path("found/seed_pairs.jsonl")).is_empty());
    let manifest = json(&world.path("found/manifest.json"));
    assert_eq!(manifest["counts"]["in"], 21);
    assert_eq!(manifest["counts"]["dropped"]["record_bad_json"], 1);
}

#[test]
fn doctor_says_before_loading_whether_a_run_fits() {
    let world = World::new();
    let config = world.config("run.toml", "run", "");
    let out = world.ok(&["doctor", "--config", config.to_str().unwrap()]);
    assert!(out.contains("verdict   it fits") && out.contains("kernels use"), "{out}");
    let text = std::fs::read_to_string(&config).unwrap().replace("save_every = 1", "save_every = 1\nmemory_gb = 0.001");
    std::fs::write(&config, text).unwrap();
    let output = world.drift().args(["doctor", "--config", config.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("it does not fit"));
}

/// On ratios alone: they hold on every machine, seconds do not.
#[test]
fn bench_counts_the_work_of_every_operation() {
    let world = World::new();
    let pair = r#"{"prompt":[{"role":"user","content":"Hi, who are you?"}],"chosen":[{"role":"assistant","content":"Hello, I am drift"}],"rejected":[{"role":"assistant","content":"No"}]}"#;
    std::fs::write(world.path("pairs.jsonl"), [pair; 6].join("\n")).unwrap();
    let bench = |args: &[&str]| -> Value {
        serde_json::from_str(&world.ok(&[&["bench"], args, &["--json", "--model", "model"]].concat())).unwrap()
    };
    let train = bench(&["train", "--pairs", "pairs.jsonl", "--steps", "2", "--batch", "2"]);
    // Logits are computed again in the backward pass; nothing else is done twice.
    let ratio = train["work_over_least"].as_f64().unwrap();
    assert!((1.0..1.2).contains(&ratio), "{ratio}");
    let operations: Vec<&str> =
        train["breakdown"].as_array().unwrap().iter().map(|row| row["operation"].as_str().unwrap()).collect();
    for operation in ["products", "attention", "attention, backward", "packing", "norm", "update", "everything else"] {
        assert!(operations.contains(&operation), "{operation}: {operations:?}");
    }
    for key in ["pairs_per_s", "tokens_per_s", "tflops", "ceiling_tflops", "ceiling_fraction", "predicted_peak_bytes"] {
        assert!(train[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let sample = bench(&["sample", "--pairs", "pairs.jsonl", "--new", "4", "--concurrency", "3", "--context", "20"]);
    assert_eq!((&sample["prompt_tokens"], &sample["new_tokens"]), (&Value::from(60), &Value::from(12)));
    for key in ["tokens_per_s", "prefill_tokens_per_s"] {
        assert!(sample[key].as_f64().unwrap() > 0.0, "{key}");
    }
    // a difference of two times, which may be anything for so little work
    assert!(sample["decode_tokens_per_s"].is_number());
    let kernels = bench(&["kernels", "--tokens", "40", "20", "20"]);
    assert!(kernels["breakdown"].as_array().unwrap().len() > 20);
    let detect: Value = serde_json::from_str(&world.ok(&["bench", "detect", "--json", "chats.jsonl"])).unwrap();
    let positive = |name: &str| detect[name].as_f64().unwrap() > 0.0;
    assert!(positive("megabytes_per_s") && positive("rules_megabytes_per_s"));
    assert!(detect["conversations"].as_u64().unwrap() > 0);
}

#[test]
fn wrong_usage_is_exit_2_and_help_names_every_command() {
    let world = World::new();
    for args in
        [&["train"][..], &["generate", "--prompt", "x", "--top-p", "2"], &["nonsense"], &["run", "a", "--threads", "0"]]
    {
        assert_eq!(world.drift().args(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
    let help = world.ok(&["--help"]);
    for command in
        ["fetch", "demo", "run", "detect", "sample", "pair", "train", "score", "generate", "report", "doctor", "bench"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
}

#[test]
fn colours_follow_the_option_and_no_color() {
    let world = World::new();
    let stderr = |args: &[&str]| String::from_utf8(world.drift().args(args).output().unwrap().stderr).unwrap();
    assert!(stderr(&["report", "nowhere", "--color", "always"]).contains("\x1b["));
    assert!(!stderr(&["report", "nowhere"]).contains("\x1b["), "no terminal, no colour");
    assert!(!stderr(&["report", "nowhere", "--color", "never"]).contains("\x1b["));
}

#[test]
fn logs_come_from_patterns_pipes_and_tables_and_leave_in_other_formats() {
    let world = World::new();
    let log = std::fs::read(world.path("chats.jsonl")).unwrap();
    let middle = log.len() / 2 + log[log.len() / 2..].iter().position(|&byte| byte == b'\n').unwrap() + 1;
    std::fs::create_dir(world.path("logs")).unwrap();
    std::fs::write(world.path("logs/a.jsonl"), &log[..middle]).unwrap();
    std::fs::write(world.path("logs/b.jsonl"), &log[middle..]).unwrap();
    world.ok(&["detect", "chats.jsonl", "--out", "whole"]);
    let cases = std::fs::read(world.path("whole/cases.jsonl")).unwrap();
    assert!(!cases.is_empty());
    world.ok(&["detect", "logs/*.jsonl", "--out", "pattern"]);
    world.ok(&["detect", "logs", "--out", "folder"]);
    let piped = world.drift().args(["detect", "-", "--out", "piped"]).write_stdin(log).output().unwrap();
    assert!(piped.status.success());
    // through a table of one's own and back
    world.ok(&["convert", "logs", "--to", "parquet", "--out", "chats.parquet", "--no-redact"]);
    world.ok(&["detect", "chats.parquet", "--columns", "id=conversation_id,messages=conversation", "--out", "table"]);
    for found in ["pattern", "folder", "piped", "table"] {
        assert!(std::fs::read(world.path(found).join("cases.jsonl")).unwrap() == cases, "{found}");
    }

    world.ok(&["convert", "whole/cases.jsonl", "--to", "kto", "--out", "kto.jsonl"]);
    let rows = rows(&world.path("kto.jsonl"));
    assert!(rows.len() == cases.split(|&b| b == b'\n').count() - 1 && rows.iter().all(|row| row["label"] == false));
    let nothing = world.error(&["convert", "chats.jsonl", "--to", "kto", "--out", "none.jsonl"]);
    assert!(nothing.contains("nothing to write") && !world.path("none.jsonl").exists(), "{nothing}");
    world.ok(&["convert", "whole/seed_pairs.jsonl", "--to", "trl", "--out", "pairs.jsonl"]);
    let mixed = world.error(&["convert", "pairs.jsonl", "--to", "openai", "--out", "none.jsonl"]);
    assert!(mixed.contains("preference pairs") && !world.path("none.jsonl").exists(), "{mixed}");
}
