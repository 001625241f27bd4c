//! Methods side by side: one log, settings chosen on dev prompts, runs that are not repeated.

mod common;

use common::World;
use serde_json::Value;
use std::path::Path;

const FILE: &str = r#"
[experiment]
dir = "lab"
seeds = [1, 2]

[simulate]
conversations = 30
max_new_tokens = 8
temperature = 0.7
kinds = ["all"]

[config.model]
precision = "f32"
[config.detect]
max_cases = 6
max_seed_pairs = 4
max_held_out = 4
held_out = 0.3
[config.warm]
epochs = 1
[config.sample]
max_new_tokens = 8
guided = "never"
[config.train]
iterations = 1
batch_size = 2
max_length = 1000
max_prompt_length = 900
theory_pairs = 2
[config.evaluate]
simulated = 10
max_new_tokens = 8

[[method]]
name = "drift"
search = [{ method.learning_rates = [1e-3] }, { method.learning_rates = [1e-2] }]

[[method]]
name = "unguided"
config.method.name = "drift-unguided"
labels = "true"
flipped = 0.1

[small]
experiment.seeds = [1]
"#;

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn an_experiment_is_repeatable_and_goes_on() {
    let world = World::new();
    std::fs::write(world.path("plan.toml"), FILE).unwrap();
    let args = ["experiment", "plan.toml", "--model", "model"];
    let table = world.ok(&args);
    assert!(table.contains("| base | base |") && table.contains("| drift | iter-1 |"), "{table}");
    assert!(table.contains("drift less unguided at the end") && table.contains("2 runs of each method"), "{table}");

    let record = json(&world.path("lab/experiment.json"));
    assert_eq!(record["choices"][0]["tried"].as_array().unwrap().len(), 2);
    assert_eq!(record["runs"].as_array().unwrap().len(), 4);
    assert!(record["runs"][0]["models"].as_array().unwrap().iter().any(|model| model["theory"].is_object()));
    // searched on dev, measured on test
    let split = |run: &str| {
        json(&world.path(&format!("lab/{run}/base/satisfaction/satisfaction.json")))["suite"]["split"].clone()
    };
    assert_eq!((split("search/drift-1"), split("drift/seed-1")), (Value::from("dev"), Value::from("test")));
    let is_kept = |run: &str| world.path(&format!("lab/{run}/iter-1/train/checkpoint")).exists();
    assert_eq!(["search/drift-1", "drift/seed-1", "drift/seed-2"].map(is_kept), [false, true, false]);

    let page = std::fs::read_to_string(world.path("lab/index.html")).unwrap();
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&data["rows"], &data["contrasts"]), (&record["rows"], &record["contrasts"]));
    // Every pair of the first training is one of the log's requests.
    let pairs = |seed: usize| {
        let counts = json(&world.path(&format!("lab/drift/seed-{seed}/iter-1/pair/manifest.json")));
        counts["counts"]["out"].as_u64().unwrap()
    };
    assert_eq!(record["qualities"][0]["pairs"].as_u64(), Some(pairs(1) + pairs(2)), "{}", record["qualities"]);
    assert!(table.contains("Pairs, by the requirements themselves"), "{table}");
    assert!(world.path("lab/drift/seed-1/iter-1/train/profile.json").exists());
    let trainings = |at: usize| data["theory"][at]["trainings"].as_array().unwrap();
    assert_eq!((trainings(0).len(), &trainings(1)[0]["runs"]), (1, &Value::from(2)));
    let cases = data["reader"]["cases"].as_array().unwrap();
    let answered = cases.iter().all(|case| case["answers"].as_array().unwrap().iter().all(Value::is_object));
    assert!(cases.len() == 10 && answered, "the base model's answers and two methods'");
    assert_eq!(data["choices"][0]["tried"].as_array().unwrap().len(), 2);

    // Detection's own labels for the one, the log's truth for the other.
    let noted = |run: &str| json(&world.path(&format!("lab/{run}/detect/manifest.json")))["counts"]["noted"].clone();
    assert!(noted("drift/seed-1")["corrected_by_review"].is_null());
    assert!(noted("unguided/seed-1")["corrected_by_review"].as_u64() > Some(0), "{}", noted("unguided/seed-1"));

    // A second call repeats no run and says the same. Runs that are gone are done again, two at once and without what the
    // search trained, to the same figures.
    let result = world.path("lab/drift/seed-2/result.json");
    let written = || std::fs::metadata(&result).unwrap().modified().unwrap();
    let (before, first) = (written(), std::fs::read(&result).unwrap());
    assert_eq!(world.ok(&args), table);
    assert_eq!(written(), before);
    for method in ["drift", "unguided"] {
        std::fs::remove_dir_all(world.path("lab").join(method)).unwrap();
    }
    assert_eq!(world.ok(&[&args[..], &["--jobs", "2"]].concat()), table);
    assert_eq!(std::fs::read(&result).unwrap(), first);
    assert_eq!(json(&world.path("lab/experiment.json")), record);
}

#[test]
fn a_bad_plan_is_one_line_before_anything_is_done() {
    let world = World::new();
    let bad = [
        ("seeds = [1, 2]", "seeds = [1, 1]"),
        ("simulated = 10", "simulated = 0"),
        ("temperature = 0.7", "temperature = nan"),
        ("batch_size = 2", "batch_sise = 2"),
        ("name = \"unguided\"", "name = \"../drift\""),
        ("name = \"unguided\"", "name = \"drift\""),
        ("flipped = 0.1", "flipped = 0.6"),
        ("labels = \"true\"", "labels = \"detected\""),
        ("conversations = 30\n", ""),
        ("[small]", "[smal]"),
        ("conversations = 30", "conversations = 99999999"),
        ("[simulate]", "[simulate"),
    ];
    let mut lines = Vec::new();
    for (good, bad) in bad {
        std::fs::write(world.path("plan.toml"), FILE.replacen(good, bad, 1)).unwrap();
        lines.push(world.error(&["experiment", "plan.toml", "--model", "model"]));
    }
    assert!(!world.path("lab").exists());
    insta::assert_snapshot!(lines.join("\n"));
}
