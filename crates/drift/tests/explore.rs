//! `drift explore`: methods side by side, on files of answers and on tiny models, with a tiny encoder.

mod common;

use common::{World, write_model_that_says};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The encoder of drift-lm's tests, with a tokenizer whose words are letters.
fn write_encoder(dir: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drift-lm/tests/fixtures/bert");
    fs::create_dir_all(dir).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture.join(file), dir.join(file)).unwrap();
    }
    let words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        .map(String::from)
        .into_iter()
        .chain(('a'..='z').flat_map(|letter| [letter.to_string(), format!("##{letter}")]))
        .collect();
    let vocab: serde_json::Map<String, Value> =
        words.into_iter().enumerate().map(|(id, word)| (word, json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    });
    fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(dir.join("tokenizer_config.json"), "{}").unwrap();
}

fn write_answers(path: &Path, rows: &[(&str, &str, f64)]) {
    let row =
        |(id, answer, reward): &(&str, &str, f64)| json!({"id": id, "answer": answer, "reward": reward}).to_string();
    fs::write(path, rows.iter().map(row).collect::<Vec<_>>().join("\n") + "\n").unwrap();
}

#[test]
fn files_of_answers_are_put_side_by_side() {
    let world = World::new();
    write_encoder(&world.path("encoder"));
    let wide = [("p", "red", 1.0), ("p", "a long green thing", 1.0), ("q", "zzz", 1.0), ("q", "what", 0.0)];
    let narrow = [("q", "red", 1.0), ("q", "red", 1.0), ("p", "red", 0.0), ("p", "red", 1.0)];
    write_answers(&world.path("wide.jsonl"), &wide);
    write_answers(&world.path("narrow.jsonl"), &narrow);
    let args = ["explore", "wide=wide.jsonl", "narrow=narrow.jsonl", "--encoder", "encoder", "--out", "out"];
    let report: Value = serde_json::from_str(&world.ok(&[&args[..], &["--json"]].concat())).unwrap();
    let [wide, narrow] = [&report["methods"][0], &report["methods"][1]];
    assert_eq!((wide["name"].as_str(), wide["reward"]["value"].as_f64()), (Some("wide"), Some(0.75)));
    let vendi = narrow["vendi"]["value"].as_f64().unwrap();
    assert!((vendi - 1.0).abs() < 1e-6 && wide["vendi"]["value"].as_f64().unwrap() > 1.01, "{report}");
    assert_eq!(narrow["distinct_good"][0]["value"].as_f64(), Some(1.0));
    assert_eq!(narrow["best_of"][1]["value"].as_f64(), Some(1.0));
    assert_eq!((report["prompts"].as_u64(), report["samples"].as_u64()), (Some(2), Some(2)));
    let table = world.ok(&args);
    assert!(
        table.starts_with("2 prompts, 2 answers to each") && table.contains("coverage of narrow less wide's"),
        "{table}"
    );
    let page = fs::read_to_string(world.path("out/index.html")).unwrap();
    assert!(page.contains("a long green thing") && !page.contains("{{"), "the page has its blanks filled");
}

#[test]
fn models_are_asked_once() {
    let world = World::new();
    write_encoder(&world.path("encoder"));
    write_model_that_says(&world.path("good"), "a ");
    write_model_that_says(&world.path("bad"), "a,");
    let args = [
        "explore",
        "good=good",
        "bad=bad",
        "--encoder",
        "encoder",
        "--out",
        "out",
        "--prompts",
        "6",
        "--samples",
        "2",
        "--kinds",
        "no-commas",
        "--max-new",
        "8",
        "--split",
        "dev",
    ];
    world.ok(&args);
    let report: Value = serde_json::from_slice(&fs::read(world.path("out/exploration.json")).unwrap()).unwrap();
    assert_eq!(report["kinds"], json!([{"kind": "no-commas", "asked": 12, "met": [12, 0]}]));
    let [page, answers] = ["out/index.html", "out/good/answers.jsonl"].map(|file| fs::read(world.path(file)).unwrap());
    world.ok(&args);
    assert_eq!(fs::read(world.path("out/good/answers.jsonl")).unwrap(), answers);
    assert_eq!(fs::read(world.path("out/index.html")).unwrap(), page);
}

#[test]
fn what_cannot_be_compared_is_one_line() {
    let world = World::new();
    write_encoder(&world.path("encoder"));
    write_answers(&world.path("two.jsonl"), &[("p", "red", 1.0), ("q", "blue", 0.0)]);
    write_answers(&world.path("one.jsonl"), &[("p", "red", 1.0)]);
    write_answers(&world.path("odd.jsonl"), &[("p", "red", 1.5)]);
    let error =
        |methods: &[&str]| world.error(&[&["explore", "--encoder", "encoder", "--out", "out"], methods].concat());
    let unequal = error(&["a=two.jsonl", "b=one.jsonl"]);
    assert!(unequal.contains("b: 0 answers to prompt q, expected 1; hint:"), "{unequal}");
    assert!(error(&["a=odd.jsonl"]).contains("odd.jsonl: row 1: reward is 1.5, expected 0 to 1"));
    assert!(error(&["a=two.jsonl", "a=one.jsonl"]).contains("a: named twice"));
    assert!(error(&["a=absent.jsonl"]).contains("absent.jsonl"));
    let nameless = world.drift().args(["explore", "two.jsonl", "--out", "out"]).output().unwrap();
    assert!(String::from_utf8_lossy(&nameless.stderr).contains("expected NAME=PATH"));
}
