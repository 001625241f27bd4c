//! Every method from its config word to its checkpoint, on a tiny model.

mod common;

use common::World;
use common::endpoint::{Act, Endpoint, completion};
use serde_json::{Value, json};
use std::path::Path;

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn manifest(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path.join("manifest.json")).unwrap()).unwrap()
}

/// Runs `method` (lines of `[method]`) in the folder of its name and returns that folder.
fn run(world: &World, name: &str, method: &str) -> std::path::PathBuf {
    world.config(&format!("{name}.toml"), name, method);
    world.ok(&["run", &format!("{name}.toml")]);
    world.path(name)
}

fn content(row: &Value, side: &str) -> String {
    row[side][0]["content"].as_str().unwrap().to_string()
}

#[test]
fn spin_prefers_the_recorded_answer_and_mixes_the_pairs_before() {
    let world = World::new();
    let dir = run(&world, "spin", "[method]\nname = \"spin\"");
    let satisfied = rows(&dir.join("detect/satisfied.jsonl"));
    assert!(satisfied.iter().any(|row| row["split"] == "held_out"), "some are held out");
    let trained: Vec<&Value> = satisfied.iter().filter(|row| row["split"] == "train").collect();
    let fresh = rows(&dir.join("iter-1/sample/candidates.jsonl"));
    let ids =
        |rows: &[Value], key: &str| rows.iter().map(|row| row[key].as_str().unwrap().to_string()).collect::<Vec<_>>();
    let trained_ids: Vec<String> = trained.iter().map(|row| row["id"].as_str().unwrap().to_string()).collect();
    assert_eq!(ids(&fresh, "case"), trained_ids);
    assert!(fresh.iter().all(|row| row["mode"] == "unguided"));
    let pairs = rows(&dir.join("iter-1/pair/pairs.jsonl"));
    assert!(!pairs.is_empty());
    for pair in &pairs {
        let recorded = trained.iter().find(|row| row["id"] == pair["id"]).unwrap();
        let drawn = fresh.iter().find(|row| row["case"] == pair["id"]).unwrap();
        assert_eq!(pair["chosen"], recorded["completion"]);
        assert_eq!(
            (content(pair, "rejected"), &pair["rejected_ids"]),
            (drawn["text"].as_str().unwrap().into(), &drawn["ids"])
        );
        assert!(pair.get("chosen_ids").is_none());
    }
    let first = manifest(&dir.join("iter-1/train"));
    let second = manifest(&dir.join("iter-2/train"));
    assert!(first["inputs"].get("previous_pairs").is_none());
    assert_eq!(second["inputs"]["previous_pairs"], first["inputs"]["pairs"]);
    let both = pairs.len() + rows(&dir.join("iter-2/pair/pairs.jsonl")).len();
    assert_eq!(second["counts"]["in"], both);

    let alone = run(&world, "alone", "[method]\nname = \"spin\"\nmix_previous = false");
    assert!(manifest(&alone.join("iter-2/train"))["inputs"].get("previous_pairs").is_none());
}

#[test]
fn spin_takes_guidance_where_there_is_a_complaint() {
    let world = World::new();
    world.config("run.toml", "run", "guided = \"always\"\nnear_copy = 1.0\n[method]\nname = \"spin\"");
    world.ok(&["run", "run.toml"]);
    let dir = world.path("run");
    let satisfied = rows(&dir.join("detect/satisfied.jsonl"));
    let fresh = rows(&dir.join("iter-1/sample/candidates.jsonl"));
    let (mut guided, mut plain) = (0, 0);
    for row in fresh {
        let recorded = satisfied.iter().find(|other| other["id"] == row["case"]).unwrap();
        let has_complaint = recorded.get("rejected_feedback").is_some();
        assert_eq!(row["mode"] == "guided", has_complaint);
        if has_complaint { guided += 1 } else { plain += 1 }
    }
    assert!(guided > 0 && plain > 0, "{guided} guided, {plain} plain");
}

#[test]
fn pairs_weigh_what_their_labels_are_worth_and_training_heeds_it() {
    let world = World::new();
    let method = "[method]\nname = \"drift-unguided\"\n";
    let plain = run(&world, "plain", method);
    // somebody who confirms each label and is surer of every other one
    let said = rows(&plain.join("detect/cases.jsonl")).into_iter().enumerate().map(|(at, case)| {
        let sure = [0.25, 0.75][at % 2];
        format!(
            "{}\n",
            json!({ "key": case["key"], "label": "DSAT", "by": "a", "at": 0, "mode": "random", "confidence": sure })
        )
    });
    std::fs::create_dir_all(world.path("weighed/review")).unwrap();
    std::fs::write(world.path("weighed/review/corrections.jsonl"), said.collect::<String>()).unwrap();
    let weighed = run(&world, "weighed", &format!("{method}confidence_weights = true"));
    let cases = rows(&weighed.join("detect/cases.jsonl"));
    let confidence = |pair: &Value| {
        let case = cases.iter().find(|case| case["id"] == pair["id"]).unwrap();
        case["evidence"]["confidence"].as_f64().unwrap()
    };
    let pairs = rows(&weighed.join("iter-1/pair/pairs.jsonl"));
    let mean = pairs.iter().map(confidence).sum::<f64>() / pairs.len() as f64;
    assert!(0.25 < mean && mean < 0.75, "labels of both kinds: {mean}");
    for pair in &pairs {
        assert!((pair["weight"].as_f64().unwrap() - confidence(pair) / mean).abs() < 1e-6, "{pair}");
    }
    let alike = rows(&plain.join("iter-1/pair/pairs.jsonl"));
    assert!(alike.len() == pairs.len() && alike.iter().all(|pair| pair.get("weight").is_none()));
    let trained = |dir: &Path| manifest(&dir.join("iter-1/train"))["outputs"]["checkpoint"].clone();
    assert_eq!(manifest(&plain.join("warm/train"))["outputs"], manifest(&weighed.join("warm/train"))["outputs"]);
    assert_ne!(trained(&plain), trained(&weighed));
}

#[test]
fn iterdpo_ranks_two_fresh_answers() {
    let world = World::new();
    world.config("run.toml", "run", "guided = \"always\"\nnear_copy = 1.0\n[method]\nname = \"iterdpo\"");
    world.ok(&["run", "run.toml"]);
    let dir = world.path("run");
    let fresh = rows(&dir.join("iter-1/sample/candidates.jsonl"));
    let cases = rows(&dir.join("detect/cases.jsonl")).iter().filter(|row| row["split"] == "train").count();
    assert_eq!(fresh.len(), 2 * cases);
    for pair in rows(&dir.join("iter-1/pair/pairs.jsonl")) {
        let of: Vec<&Value> = fresh.iter().filter(|row| row["case"] == pair["id"]).collect();
        assert_eq!((of[0]["mode"].as_str(), of[1]["mode"].as_str()), (Some("unguided"), Some("guided")));
        assert_eq!((&pair["chosen_ids"], &pair["rejected_ids"]), (&of[1]["ids"], &of[0]["ids"]));
    }
}

#[cfg(unix)]
mod command {
    use super::*;

    /// Writes a shell script that ranks, and the config that asks it.
    fn ask(world: &World, script: &str, more: &str) {
        std::fs::write(world.path("rank.sh"), script).unwrap();
        let method = "name = \"iterdpo\"\nrank = \"command\"\ncommand = [\"sh\", \"rank.sh\"]";
        world.config("run.toml", "run", &format!("guided = \"never\"\n[method]\n{method}\n{more}"));
    }

    /// Of each question its id: the first quoted string behind `"id":`, whatever stands before it.
    const ID: &str = "sed 's/.*\"id\":\"\\([0-9a-f]*\\)\".*/\\1/'";

    #[test]
    fn scores_decide_and_ties_are_dropped() {
        // the second answer wins, but a tie for ids that begin with a digit from 0 to 7
        let script = format!(
            "{ID} | while read id; do case $id in [0-7]*) s='[1, 1]';; *) s='[0, 0.5]';; esac; \
             echo \"{{\\\"id\\\": \\\"$id\\\", \\\"scores\\\": $s}}\"; done | sort -r"
        );
        let world = World::new();
        ask(&world, &script, "");
        world.ok(&["run", "run.toml"]);
        let dir = world.path("run");
        let fresh = rows(&dir.join("iter-1/sample/candidates.jsonl"));
        assert!(fresh.chunks(2).any(|both| both[0]["ids"] != both[1]["ids"]), "two plain answers, two seeds");
        let pairs = rows(&dir.join("iter-1/pair/pairs.jsonl"));
        assert!(!pairs.is_empty());
        for pair in &pairs {
            let of: Vec<&Value> = fresh.iter().filter(|row| row["case"] == pair["id"]).collect();
            assert_eq!((&pair["chosen_ids"], &pair["rejected_ids"]), (&of[1]["ids"], &of[0]["ids"]));
            assert!(pair["id"].as_str().unwrap().starts_with(['8', '9', 'a', 'b', 'c', 'd', 'e', 'f']));
        }
        let counts = manifest(&dir.join("iter-1/pair"))["counts"].clone();
        let dropped: u64 = counts["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert!(counts["dropped"]["tie"].as_u64().unwrap() > 0);
        assert_eq!(counts["in"].as_u64().unwrap(), counts["out"].as_u64().unwrap() + dropped);
    }

    #[test]
    fn whatever_else_it_does_is_one_line() {
        let answer = |id: &str| format!("echo '{{\"id\": \"{id}\", \"scores\": [1, 2]}}'");
        let bad = [
            ("exit 3", "".to_string()),
            ("cat > /dev/null; echo secret words", "".to_string()),
            ("cat > /dev/null", "".to_string()),
            (&*format!("cat > /dev/null; {}", answer("nobody")), "".to_string()),
            (&*format!("{ID} | head -n 1 | while read id; do {0}; {0}; done", answer("'$id'")), "".to_string()),
            ("cat > /dev/null; exec sleep 60", "command_timeout_s = 0.2".to_string()),
            ("cat > /dev/null; echo '{\"id\": \"a\", \"scores\": [1]}'", "".to_string()),
        ];
        let world = World::new();
        let mut lines = Vec::new();
        for (script, more) in bad {
            ask(&world, script, &more);
            let line = world.error(&["run", "run.toml"]);
            assert!(!line.contains("secret"), "{line}");
            lines.push(line);
        }
        let config = std::fs::read_to_string(world.path("run.toml")).unwrap();
        std::fs::write(world.path("run.toml"), config.replace("[\"sh\", ", "[\"./no-such-program\", ")).unwrap();
        lines.push(world.error(&["run", "run.toml"]));
        insta::assert_snapshot!(lines.join("\n"));
    }
}

#[test]
fn a_judge_ranks_in_both_orders_and_no_verdict_is_a_tie() {
    let world = World::new();
    // Prefers the second place by a little and the answer of more bytes by more; of prompts with an 8 it says nothing.
    let endpoint = Endpoint::start(|_, body| {
        let body: Value = serde_json::from_str(body).unwrap();
        let text = body["messages"][1]["content"].as_str().unwrap();
        let part = |name: &str| text.split(&format!("<<{name} ")).nth(1).unwrap().split(">>").next().unwrap().len();
        let odds = 0.1 + if part("M") > part("m") { 1.0 } else { -1.0 };
        let top = json!([{ "token": "M", "logprob": odds - 3.0 }, { "token": "m", "logprob": -3.0 }]);
        let said = json!({ "content": [{ "token": "M", "logprob": 0.0, "top_logprobs": top }] });
        Act::Reply(200, if text.contains('8') { completion("?", Value::Null) } else { completion("M", said) })
    });
    let method = format!("[method]\nname = \"iterdpo\"\nrank = \"judge\"\n{}", endpoint.config(""));
    world.config("run.toml", "run", &format!("guided = \"never\"\n{method}"));
    world.ok(&["run", "run.toml"]);
    let dir = world.path("run");
    let fresh = rows(&dir.join("iter-1/sample/candidates.jsonl"));
    let pairs = rows(&dir.join("iter-1/pair/pairs.jsonl"));
    assert!(!pairs.is_empty());
    for pair in &pairs {
        let of: Vec<&Value> = fresh.iter().filter(|row| row["case"] == pair["id"]).collect();
        let length = |row: &Value| row["text"].as_str().unwrap().len();
        let longer = usize::from(length(of[1]) > length(of[0]));
        assert_eq!(pair["chosen_ids"], of[longer]["ids"]);
    }
    let counts = manifest(&dir.join("iter-1/rank"))["counts"].clone();
    assert!(counts["noted"]["without_a_verdict"].as_u64().unwrap() > 0, "{counts}");
    let asked = endpoint.asked().len();
    world.ok(&["run", "run.toml"]);
    assert_eq!(endpoint.asked().len(), asked);

    let method = "[method]\nname = \"iterdpo\"\nrank = \"judge\"";
    world.config("none.toml", "none", &format!("guided = \"never\"\n{method}"));
    assert!(world.error(&["run", "none.toml"]).contains("judge.base_url: missing"));
    // A judge of another kind ends the run before anything is done.
    let feedback = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drift-judge/judges/feedback.toml");
    std::fs::copy(feedback, world.path("feedback.toml")).unwrap();
    let method = format!("{method}\njudge_file = \"feedback.toml\"\n{}", endpoint.config(""));
    world.config("other.toml", "other", &format!("guided = \"never\"\n{method}"));
    let error = world.error(&["run", "other.toml"]);
    assert!(error.contains("method.rank \"judge\"") && error.contains("a judge of feedback"), "{error}");
    assert!(!world.path("other/detect").exists());
}

#[test]
fn a_method_without_its_material_says_so() {
    let world = World::new();
    let thankless: String =
        common::chats(60).lines().filter(|line| !line.contains("perfect")).map(|l| format!("{l}\n")).collect();
    std::fs::write(world.path("chats.jsonl"), thankless).unwrap();
    let mut lines = Vec::new();
    // An instruction that leaves no guided prompt room.
    let too_long = "too long ".repeat(100);
    let unguided = format!("guided = \"always\"\ninstruction = \"{too_long}\"\n[method]\nname = \"iterdpo\"");
    for (name, more) in [
        ("spin", "[method]\nname = \"spin\""),
        ("sft", "[method]\nname = \"sft\""),
        ("warm", "[method]\nname = \"warm\""),
        ("probe", "[method]\nname = \"iterdpo\"\nrank = \"probe\""),
        ("iterdpo", &*unguided),
    ] {
        world.config(&format!("{name}.toml"), name, more);
        lines.push(world.error(&["run", &format!("{name}.toml")]));
    }
    world.config("sample.toml", "sample", "[method]\nname = \"spin\"");
    let args = ["sample", "--model", "model", "--cases", "none.jsonl", "--out", "out", "--config", "sample.toml"];
    lines.push(world.error(&args));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn single_answers_are_trained_on_without_sampling() {
    let world = World::new();
    let sft = run(&world, "sft", "[method]\nname = \"sft\"");
    let satisfied = rows(&sft.join("detect/satisfied.jsonl")).iter().filter(|row| row["split"] == "train").count();
    assert_eq!(manifest(&sft.join("iter-1/train"))["counts"]["in"], satisfied);
    assert!(!sft.join("iter-1/sample").exists() && !sft.join("iter-1/pair").exists());
    let metrics = rows(&sft.join("iter-1/train/metrics.jsonl"));
    assert!(metrics[0].get("rewards/chosen").is_none() && metrics[0]["loss"] == metrics[0]["nll"]);

    let kto = run(&world, "kto", "[method]\nname = \"kto\"\ndesirable_weight = 2.0");
    let unpaired: Vec<Value> =
        rows(&kto.join("detect/unpaired.jsonl")).into_iter().filter(|row| row["split"] == "train").collect();
    assert!(unpaired.iter().any(|row| row["label"] == true) && unpaired.iter().any(|row| row["label"] == false));
    let trained = manifest(&kto.join("iter-2/train"));
    assert_eq!(trained["counts"]["in"], unpaired.len());
    assert_eq!(trained["config"]["train"]["desirable_weight"], 2.0);
    assert!(rows(&kto.join("iter-2/train/metrics.jsonl")).iter().all(|row| row["kl"].as_f64().unwrap() >= 0.0));
}

#[test]
fn warm_is_the_warm_start_alone() {
    let world = World::new();
    let dir = run(&world, "warm", "[method]\nname = \"warm\"");
    assert!(dir.join("warm/train/checkpoint").is_dir() && dir.join("warm/evaluate/eval.json").is_file());
    assert!(!dir.join("iter-1").exists());
}

/// Of two runs in one folder the second, with another method or other lists, does anew what differs and nothing else.
#[test]
fn changing_the_method_does_anew_what_depends_on_it() {
    let world = World::new();
    let time = |path: &str| std::fs::metadata(world.path("run").join(path)).unwrap().modified().unwrap();
    run(&world, "run", "guided = \"never\"");
    let stages =
        ["detect", "held-out/score", "warm/train", "iter-1/sample", "iter-1/train", "iter-2/sample", "iter-2/train"];
    let times = |what: &str| -> Vec<_> { stages.iter().map(|stage| time(&format!("{stage}/{what}"))).collect() };
    let first = times("manifest.json");
    run(
        &world,
        "run",
        "guided = \"never\"\n[method]\nname = \"drift-unguided\"\nlearning_rates = [1e-3]\nstop_after = 5",
    );
    assert_eq!(times("manifest.json"), first, "the same by another name");
    run(&world, "run", "guided = \"never\"\n[method]\nbetas = [0.1, 0.5]");
    let second = times("manifest.json");
    assert_eq!(second[..6], first[..6], "the first beta is train.beta");
    assert!(second[6] > first[6]);
    run(&world, "run", "guided = \"never\"\n[method]\nname = \"spin\"");
    let third = times("manifest.json");
    assert_eq!(third[..3], first[..3]);
    assert!((3..7).all(|i| third[i] > second[i]));
}

#[test]
fn stop_after_ends_when_the_held_out_pairs_get_no_better() {
    let world = World::new();
    // A rate that does nothing: no iteration is better than the first.
    let method = "[method]\nname = \"sft\"\nlearning_rates = [1e-30]\nstop_after = 1";
    let config = world.config("run.toml", "run", method);
    let text = std::fs::read_to_string(&config)
        .unwrap()
        .replace("iterations = 2", "iterations = 4")
        .replace("epochs = 1", "epochs = 0");
    std::fs::write(&config, text).unwrap();
    let output = world.drift().args(["run", "run.toml"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).to_string();
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains(
            "iter-1 (held-out accuracy 0.500, margin 0.000); 1 after it did no better, so no other was begun"
        ),
        "{stderr}"
    );
    assert!(world.path("run/iter-2/evaluate").exists() && !world.path("run/iter-3").exists());
}

/// Stopped after any stage and called again, SPIN with mixed pairs ends with the same bytes.
#[test]
fn spin_resumes_to_the_same_bytes() {
    let world = World::new();
    let whole = run(&world, "whole", "[method]\nname = \"spin\"");
    let cut = run(&world, "cut", "[method]\nname = \"spin\"");
    let results = |dir: &Path| {
        ["iter-2/train/checkpoint/model.safetensors", "iter-2/train/metrics.jsonl", "iter-2/pair/pairs.jsonl"]
            .map(|file| std::fs::read(dir.join(file)).unwrap())
    };
    let expected = results(&whole);
    for lost in ["iter-2/train", "iter-2/pair", "iter-2/sample", "iter-1/train", "iter-1/pair", "detect"] {
        std::fs::remove_dir_all(cut.join(lost)).unwrap();
        world.ok(&["run", "cut.toml"]);
        assert!(results(&cut) == expected, "{lost} was lost");
    }
}

/// Satisfied users get short answers, the others long ones: that much a probe sees.
#[test]
fn a_probe_ranks_by_what_the_log_tells_and_says_how_well() {
    let world = World::new();
    let mut log = String::new();
    for i in 0..160 {
        let is_good = drift::seeds::seed(i, &["verdict"]).is_multiple_of(2);
        let answer = if is_good { format!("{i}") } else { format!("zzzz zzzz zzzz zzzz {i} zzzz zzzz zzzz") };
        let said = if is_good {
            "Thank you, that is perfect!"
        } else {
            "No, that is wrong. You made a mistake, please correct it."
        };
        let chat = serde_json::json!({ "id": format!("c{i}"), "messages": [
            { "role": "user", "content": format!("What is {i} plus 0?") }, { "role": "assistant", "content": answer },
            { "role": "user", "content": said }, { "role": "assistant", "content": "Good." } ] });
        log += &format!("{chat}\n");
    }
    std::fs::write(world.path("chats.jsonl"), log).unwrap();
    let config = world.config("run.toml", "run", "guided = \"never\"\n[method]\nname = \"iterdpo\"\nrank = \"probe\"");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text
        .replace("max_cases = 12", "max_cases = 40\nnear_duplicate = 1.0")
        .replace("max_held_out = 6", "max_held_out = 40");
    std::fs::write(&config, text.replace("iterations = 2", "iterations = 1")).unwrap();
    world.ok(&["run", "run.toml"]);
    let probe: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("run/iter-1/rank/probe.json")).unwrap()).unwrap();
    assert!(probe["auroc"].as_f64().unwrap() > 0.9 && probe["auroc_low"].as_f64().unwrap() > 0.5, "{probe}");
    let scores = rows(&world.path("run/iter-1/rank/scores.jsonl"));
    assert_eq!(scores.len(), rows(&world.path("run/iter-1/sample/candidates.jsonl")).len() / 2);
    assert!(scores.iter().any(|row| row["scores"][0] != row["scores"][1]));

    // Shuffled verdicts tell nothing, and the run says so.
    let log = std::fs::read_to_string(world.path("chats.jsonl")).unwrap().replace("zzzz ", "");
    std::fs::write(world.path("chats.jsonl"), log.replace(" zzzz", "")).unwrap();
    let line = world.error(&["run", "run.toml"]);
    assert!(line.contains("method.rank: \"probe\"") && line.contains("expected an interval above 0.5"), "{line}");
}
