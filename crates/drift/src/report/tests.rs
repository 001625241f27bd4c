//! Whole pages from small run folders: what is gathered, what is missing, what is hostile.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::cases::visible;
use super::*;

fn put(root: &Path, path: &str, lines: &[Value]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn says(role: &str, content: &str) -> Value {
    json!([{"role": role, "content": content}])
}

/// Five chats, two cases and two seed pairs (one of each held out), one iteration.
fn small_run(root: &Path) {
    let manifest = |counts: Value| json!({"stage": "x", "complete": true, "counts": counts, "inputs": {"a": "00ff"}});
    let case = |id: &str, split: &str| {
        json!({"id": id, "prompt": says("user", "Name a fish."), "rejected": says("assistant", "A cow is one."), "split": split,
            "user_preference": {"content": "No, wrong."}, "evidence": {"detector": "rules", "confidence": 0.9, "cue": [0, 2]}})
    };
    let answer = |case: &str, mode: &str, overlap: f64| json!({"case": case, "iteration": 1, "mode": mode, "text": "Cod.", "ids": [7, 2], "finish": "stop", "overlap": overlap});
    let pair = |id: &str, split: &str| {
        json!({"id": id, "split": split, "prompt": says("user", "Name a fish."), "chosen": says("assistant", "Cod."),
            "rejected": says("assistant", "A cow is one."), "chosen_ids": [7, 2]})
    };
    let step =
        |step: u64, chosen: f64| json!({"step": step, "loss": 0.5, "rewards/chosen": chosen, "rewards/rejected": -0.5});
    let dropped =
        json!({"low_confidence": 1, "record_empty": 2, "case_duplicate": 1, "pair_no_prompt": 4, "case_empty": 0});
    let turns = json!({"chats": 3, "user_turns": 9, "judged_turns": 6, "dsat": 2, "both": 1});
    put(root, "detect/manifest.json", &[manifest(json!({"in": 5, "out": 2, "dropped": dropped}))]);
    put(root, "detect/funnel.json", &[json!({"funnel": turns, "redacted": {"email": 7}})]);
    put(root, "detect/cases.jsonl", &[case("c1", "train"), case("c2", "held_out")]);
    put(root, "detect/seed_pairs.jsonl", &[pair("s1", "train"), pair("s2", "held_out")]);
    put(root, "held-out/sample/candidates.jsonl", &[answer("c2", "unguided", 0.1)]);
    put(root, "held-out/score/manifest.json", &[manifest(json!({}))]);
    let replaced = json!({"in": 2, "out": 2, "dropped": {}, "noted": {"near_copy_replaced": 1}});
    put(root, "iter-1/sample/manifest.json", &[manifest(replaced)]);
    put(root, "iter-1/sample/candidates.jsonl", &[answer("c1", "guided", 0.25), answer("c3", "fallback", 0.5)]);
    put(root, "iter-1/pair/manifest.json", &[manifest(json!({"in": 2, "out": 1, "dropped": {"refusal": 1}}))]);
    put(root, "iter-1/pair/pairs.jsonl", &[pair("c1", "train")]);
    put(root, "iter-1/train/metrics.jsonl", &[step(1, 0.0), step(2, -0.1)]);
    let fresh = json!({"fresh_answer": {"pairs": 1, "accuracy": 1.0}});
    let eval =
        json!({"pairs": 1, "accuracy": 1.0, "accuracy_low": 0.2, "accuracy_high": 1.0, "margin": 0.4, "by": fresh});
    put(root, "iter-1/evaluate/eval.json", &[eval]);
    let side = |sigma: f64| {
        json!({"sigma": sigma, "contrast": 40.0, "gradient": 2.0, "mean_gradient": 1.0, "chosen_logp": -9.0,
        "rejected_logp": -20.5, "lemma": [{"tau": 0.5, "p0": 1.0, "delta": 40.0, "bound": 2.0}]})
    };
    let theory = json!({"beta": 0.1, "pairs": 1, "of": 1, "before": side(0.5), "after": side(0.25)});
    put(root, "iter-1/theory/theory.json", &[theory]);
    let logps = json!({"case": "c2", "margin": 0.4, "chosen_logp": -9.0, "base_chosen_logp": -8.0, "rejected_logp": -9.0,
        "base_rejected_logp": -4.0});
    put(root, "iter-1/evaluate/pairs.jsonl", &[logps]);
    let users = |rate: f64, change: Value| json!({"prompts": 80, "satisfied": {"rate": rate, "low": rate - 0.1, "high": rate + 0.1}, "change": change});
    put(root, "base/satisfaction/satisfaction.json", &[users(0.3, Value::Null)]);
    let change = json!({"difference": {"mean": 0.1, "low": -0.02, "high": 0.22}});
    put(root, "iter-1/satisfaction/satisfaction.json", &[users(0.4, change)]);
    put(root, "iter-1/gate/gate.json", &[json!({"ruling": "not_better", "why": "not measurably better"})]);
    for stage in ["base/satisfaction", "iter-1/satisfaction", "iter-1/gate"] {
        put(root, &format!("{stage}/manifest.json"), &[manifest(json!({}))]);
    }
    put(root, "run.json", &[json!({"command": "drift run", "model": {"hash": "ab"}})]);
    std::fs::write(root.join("config.toml"), "[train]\nbeta = 0.1\niterations = 1\n").unwrap();
}

/// The data as the page's script gets it.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(data).unwrap()
}

fn page_of(root: &Path) -> String {
    std::fs::read_to_string(write(root).unwrap()).unwrap()
}

#[test]
fn a_small_run_is_told_in_full() {
    let dir = tempfile::tempdir().unwrap();
    small_run(dir.path());
    let page = page_of(dir.path());
    let data = data(&page);
    let at = |pointer: &str| data.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is absent")).clone();

    let row = |index: usize| {
        let flow = at(&format!("/funnel/{index}"));
        json!([flow["label"], flow["count"], flow["of"], flow["parts"], flow["dropped"]])
    };
    assert_eq!(row(0), json!(["chats read", 5, 5, [["redacted email", 7]], [["empty", 2]]]));
    assert_eq!(row(1), json!(["user turns after an answer", 6, 9, [], []]));
    assert_eq!(row(2), json!(["dissatisfied turns", 3, 6, [], [["low confidence", 1]]]));
    assert_eq!(row(3), json!(["cases", 2, 3, [["for training", 1], ["held out", 1]], [["duplicate", 1]]]));
    assert_eq!(row(4)[4], json!([["no prompt", 4]]));
    assert_eq!(row(5)[0], json!("held out: fresh answers"));
    assert_eq!(row(7), json!(["iteration 1: pairs", 1, 2, [], [["refusal", 1]]]));

    assert_eq!(at("/satisfaction/0/label"), json!("base model"));
    assert_eq!(at("/satisfaction/1/change"), json!({"value": 0.1, "low": -0.02, "high": 0.22}));
    assert_eq!(at("/satisfaction/1/gate"), json!("not measurably better"));
    let told = "Of 80 simulated prompts the base model satisfies 30.0\u{a0}% (95\u{a0}% interval 20.0 to 40.0\u{a0}%), the model after \
                iteration 1 40.0\u{a0}% (95\u{a0}% interval 30.0 to 50.0\u{a0}%); paired difference +10.0 points (95\u{a0}% \
                interval -2.0 to 22.0\u{a0}%): no difference was measured.";
    assert!(at("/headline").as_array().unwrap().contains(&json!(told)), "{}", at("/headline"));

    assert_eq!(at("/stages/1/copies"), json!({"tried": 2, "near_copies": 1, "probe": false}));
    assert_eq!(at("/stages/1/sampled/guided_overlap"), json!(0.25));
    assert_eq!(at("/stages/0/lengths/pairs"), json!(1), "held-out seed pairs are not trained on");
    assert_eq!(at("/stages/1/lengths/chosen_tokens"), json!(2.0));
    assert_eq!(at("/stages/1/lengths/rejected_words/value"), json!(4.0));
    assert_eq!(at("/stages/1/metrics/series/rewards~1chosen"), json!([0.0, -0.1]));
    assert_eq!(at("/stages/1/chosen_shift"), json!(-1.0)); // -0.1 / beta, over the last fifth: one step
    assert_eq!(at("/stages/1/rejected_shift"), json!(-5.0));
    assert_eq!(at("/stages/1/held_out_shifts/rejected/value"), json!(-5.0));
    assert_eq!(at("/stages/1/eval/accuracy/low"), json!(0.2));
    assert_eq!(at("/stages/1/eval/margin/low"), Value::Null);
    assert_eq!(at("/stages/1/eval/parts/0/0"), json!("fresh answer"));
    assert_eq!(at("/stages/1/theory/after/sigma"), json!(0.25));
    assert_eq!(at("/provenance"), json!([["command", "drift run"], ["model.hash", "ab"]]));

    // First the case of training, then the held-out one, then seed pairs.
    assert_eq!(at("/cases/entries/0/answers/0/of"), json!("iteration 1"));
    let case = at("/cases/entries/1");
    assert_eq!((&case["id"], &case["feedback"]["cue"]["text"]), (&json!("c2"), &json!("No")));
    assert_eq!((&case["margins"], &case["answers"][0]["of"]), (&json!([["iteration 1", 0.4]]), &json!("base model")));
    assert_eq!(at("/cases/entries/2/satisfying/text"), json!("Cod."));

    for sentence in [
        "on 100.0\u{a0}% of 1 held-out pairs (95\u{a0}% interval 20.0 to 100.0\u{a0}%), which this many pairs cannot tell",
        "Of 5 chats, 2 dissatisfied cases (1 held out) and 2 seed pairs were kept; pairs to train on: 1 (iteration 1).",
        "fell by 1.00 nats against the base model, that of a rejected one fell by 5.00 nats",
        "In iteration 1, 1 of 2 guided answers (50.0\u{a0}%, 95",
        "not complete yet: held-out/sample, held-out/pair, warm/train, warm/evaluate, iter-1/train, iter-1/theory, iter-1/evaluate.",
    ] {
        assert!(page.contains(sentence), "{sentence:?} is not in {}", data["headline"]);
    }
    assert_eq!(page_of(dir.path()), page, "equal folders give equal pages");
}

/// Every file in turn is taken away, cut in half, or turned into bytes that are no text.
#[test]
fn missing_and_broken_files_are_said_never_fatal() {
    let files = [
        "detect/manifest.json",
        "detect/cases.jsonl",
        "detect/seed_pairs.jsonl",
        "iter-1/sample/candidates.jsonl",
        "iter-1/pair/manifest.json",
        "iter-1/pair/pairs.jsonl",
        "iter-1/train/metrics.jsonl",
        "iter-1/theory/theory.json",
        "iter-1/evaluate/eval.json",
        "iter-1/evaluate/pairs.jsonl",
        "run.json",
        "config.toml",
    ];
    for file in files {
        let dir = tempfile::tempdir().unwrap();
        small_run(dir.path());
        let path = dir.path().join(file);
        let whole = std::fs::read(&path).unwrap();
        for broken in [&whole[..whole.len() / 2 - 3], b"\xff\xfe\x00{", b"[[1"] {
            std::fs::write(&path, broken).unwrap();
            let notes = data(&page_of(dir.path()))["notes"].to_string();
            assert!(notes.contains(file), "{file}: {notes}");
        }
        std::fs::remove_file(&path).unwrap();
        let notes = data(&page_of(dir.path()))["notes"].to_string();
        assert!(notes.contains(&format!("{file} is not there")), "{file}: {notes}");
    }
}

#[test]
fn an_empty_folder_has_a_page_and_no_folder_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let page = page_of(dir.path());
    assert!(
        page.contains("There is no held-out evaluation yet")
            && page.contains("not complete yet: detect, held-out/sample")
    );
    let error = write(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("no such folder") && error.contains("hint:"), "{error}");
}

/// Nothing held out and no seed pair: the run waits neither for an evaluation nor for a warm start.
#[test]
fn steps_that_cannot_come_are_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "detect/manifest.json", &[json!({"complete": true})]);
    put(dir.path(), "detect/cases.jsonl", &[json!({"id": "c1", "split": "train"})]);
    put(dir.path(), "detect/seed_pairs.jsonl", &[]);
    let data = data(&page_of(dir.path()));
    let paths: Vec<&str> = data["steps"].as_array().unwrap().iter().filter_map(|step| step["path"].as_str()).collect();
    assert_eq!(paths, ["detect", "iter-1/sample", "iter-1/pair", "iter-1/train", "iter-1/theory"]);
}

#[test]
fn a_method_waits_for_its_own_steps_alone() {
    let steps = |name: &str| -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("config.toml"),
            format!("[method]\nname = \"{name}\"\n[train]\niterations = 1\n"),
        )
        .unwrap();
        let data = data(&page_of(dir.path()));
        let paths =
            data["steps"].as_array().unwrap().iter().filter_map(|step| step["path"].as_str()?.strip_prefix("iter-1/"));
        paths.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(steps("drift"), "sample pair train theory evaluate");
    assert_eq!(steps("iterdpo"), "sample rank pair train theory evaluate");
    assert_eq!(steps("kto"), "train evaluate");
    assert_eq!((steps("warm"), steps("of-tomorrow")), (String::new(), steps("drift")));
}

/// A probe that found copies alone is the copy rate of an iteration that was sampled unguided.
#[test]
fn a_probe_counts_as_the_copy_rate() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "iter-1/sample/candidates.jsonl", &[json!({"case": "c1", "mode": "unguided", "text": "x"})]);
    put(dir.path(), "iter-1/sample/guidance.json", &[json!({"cases": 24, "guided": {"near_copies": 20}})]);
    let page = page_of(dir.path());
    assert_eq!(data(&page)["stages"][1]["copies"], json!({"tried": 24, "near_copies": 20, "probe": true}));
    assert!(page.contains("20 of 24 guided answers") && page.contains("in a probe, so all were sampled unguided"));
}

#[test]
fn wrong_types_read_as_absent() {
    let dir = tempfile::tempdir().unwrap();
    small_run(dir.path());
    put(
        dir.path(),
        "detect/cases.jsonl",
        &[json!({"id": 3, "prompt": "x", "rejected": 1, "evidence": {"cue": [-1, "a"]}})],
    );
    put(dir.path(), "iter-1/evaluate/eval.json", &[json!({"pairs": "many", "accuracy": [1], "by": 3})]);
    let data = data(&page_of(dir.path()));
    assert_eq!(data["stages"][1]["eval"]["accuracy"], Value::Null);
    assert_eq!(data["cases"]["total"], json!(1));
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let page = page_of(dir.path());
    let namespace = "http://www.w3.org/2000/svg";
    assert_eq!(page.matches("//www").count(), page.matches(namespace).count());
    assert!(!page.contains("https:") && !page.contains(" src=") && !page.contains("@import") && !page.contains("url("));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a log holds, it reaches the script as text and adds no markup to the page.
    #[test]
    fn hostile_text_stays_text(text in prop_oneof![
        any::<String>(),
        "(</script>|<!--|]]>|<script>|\\{\\{data\\}\\}|\\{\\{script\\}\\}|&lt;|\"|'|\\\\u003c|\u{2028}|\u{202e}|\u{0}|\u{85}|x){0,12}",
    ]) {
        let dir = tempfile::tempdir().unwrap();
        small_run(dir.path());
        let plain = page_of(dir.path());
        put(dir.path(), "detect/cases.jsonl", &[json!({
            "id": text, "prompt": says(&text, &text), "rejected": says("assistant", &text), "user_preference": {"content": text},
            "evidence": {"rubric": text, "detector": text}, "split": text,
        })]);
        put(dir.path(), "iter-1/sample/candidates.jsonl", &[json!({"case": text, "text": text, "mode": text, "finish": text})]);
        put(dir.path(), "run.json", &[json!({text.clone(): text})]);
        put(dir.path(), "iter-1/pair/manifest.json", &[json!({"counts": {"dropped": {text.clone(): 3}}, "inputs": {text.clone(): text}})]);
        let page = page_of(dir.path());
        let data = data(&page);
        let shown = json!(visible(&text));
        prop_assert_eq!(&data["cases"]["entries"][0]["rejected"]["text"], &shown);
        prop_assert_eq!(&data["cases"]["entries"][0]["answers"][0]["text"]["text"], &shown);
        prop_assert_eq!(&data["provenance"][0][1], &shown);
        // The sentences of the headline are one paragraph each, ours alone.
        let tags = |page: &str| page.matches('<').count() - page.matches("<p>").count() - page.matches("</p>").count();
        prop_assert_eq!(tags(&page), tags(&plain));
        prop_assert!(page.chars().all(|char| char == '\n' || !char.is_control()));
    }
}
