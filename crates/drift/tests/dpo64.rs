//! The real model's tokens and log-probs against TRL's, where the model and the references are at hand.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder with the references, and the model that `drift fetch` keeps.
fn assets() -> Option<(PathBuf, PathBuf)> {
    let shared = match std::env::var_os("DRIFT_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    };
    let found = drift::assets::MODEL.cached().filter(|_| shared.join("bench/dpo64.jsonl").exists());
    if found.is_none() {
        eprintln!("skipped: needs the folder `shared` (or DRIFT_SHARED) and the model of `drift fetch`");
    }
    Some((shared, found?))
}

fn ids(row: &Value, key: &str) -> Vec<u32> {
    row[key].as_array().expect(key).iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

fn trace(shared: &Path) -> Value {
    let text = std::fs::read_to_string(shared.join("reference/trl_fp32_trace.json")).expect("the trace");
    serde_json::from_str(&text).expect("json")
}

#[test]
fn all_64_pairs_have_the_ids_of_trl() {
    let Some((shared, model)) = assets() else { return };
    let format = drift::policy::chat_format(&model).expect("a chat format");
    let pairs = drift_chat::read_pairs(&shared.join("bench/dpo64.jsonl")).expect("pairs");
    let trace = trace(&shared);
    let examples = trace["examples"].as_array().expect("examples");
    assert_eq!((pairs.len(), examples.len()), (64, 64));
    for (i, (pair, expected)) in pairs.iter().zip(examples).enumerate() {
        let answer = |message: &drift_chat::Message| {
            let mode = drift_text::CompletionMode::Template;
            format.completion(&pair.prompt, &message.content, mode).expect("a completion").ids
        };
        assert_eq!(format.prompt_ids(&pair.prompt).expect("a prompt"), ids(expected, "prompt_ids"), "prompt {i}");
        assert_eq!(answer(&pair.chosen[0]), ids(expected, "chosen_ids"), "chosen {i}");
        assert_eq!(answer(&pair.rejected[0]), ids(expected, "rejected_ids"), "rejected {i}");
    }
}

/// One pair through the whole command; the trainer's test meets the other pairs of the trace.
#[test]
fn score_gives_the_log_probs_of_trl() {
    let Some((shared, model)) = assets() else { return };
    let trace = trace(&shared);
    let text = std::fs::read_to_string(shared.join("bench/dpo64.jsonl")).expect("pairs");
    let folder = tempfile::tempdir().expect("a folder");
    let pairs = folder.path().join("pairs.jsonl");
    let row = 2; // the shortest of the first step
    std::fs::write(&pairs, text.lines().nth(row).expect("a row")).expect("pairs");
    // Of 31 and 857 nats.
    for (precision, absolute, relative) in [("f32", 5e-3, 0.0), ("bf16", 0.0, 5e-3)] {
        let output = Command::cargo_bin("drift")
            .expect("the binary")
            .args(["score", "--precision", precision, "--completion", "template", "--model"])
            .args([&model, Path::new("--pairs"), &pairs])
            .output()
            .expect("drift score");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line: Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
        for side in ["chosen", "rejected"] {
            let got = line[format!("{side}_logp")].as_f64().expect("a sum");
            let expected = trace["trace"][0][format!("policy_logps_{side}")][row].as_f64().expect("a sum");
            let tolerance = absolute + relative * expected.abs();
            assert!((got - expected).abs() < tolerance, "{precision} {side}: {got}, TRL {expected}");
        }
    }
}
