//! Real chat templates of seven families on real conversations, as transformers renders them.

use std::path::PathBuf;

use drift_text::{ChatTemplate, Error};
use serde_json::{Map, Value};

#[test]
fn real_templates_render_as_in_transformers() {
    let root = std::env::var_os("DRIFT_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let Ok(files) = std::fs::read_dir(root.join("data/templates")) else {
        println!("skipped: no {}", root.join("data/templates").display());
        return;
    };
    let mut failures = Vec::new();
    for file in files {
        let path = file.unwrap().path();
        let family: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let template = ChatTemplate::new(
            family["template"].as_str().unwrap(),
            family["bos_token"].as_str(),
            family["eos_token"].as_str(),
        )
        .unwrap();
        for (n, case) in family["cases"].as_array().unwrap().iter().enumerate() {
            let none = Map::new();
            let got = template.render(
                case["messages"].as_array().unwrap(),
                case["add_generation_prompt"].as_bool().unwrap(),
                case["kwargs"].as_object().unwrap_or(&none),
            );
            let same = match (&got, case["error"].as_str()) {
                (Ok(text), None) => Some(text.as_str()) == case["expected"].as_str(),
                (Err(Error::Raised { message }), Some(error)) => message == error,
                _ => false,
            };
            if !same {
                failures.push(format!("{} case {n}: {:?}", path.display(), got.err()));
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
