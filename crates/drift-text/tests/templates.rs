//! Small templates, one a rule, against what transformers makes of them (`make_template_cases.py`).

use drift_text::{ChatTemplate, Error};
use serde_json::{Map, Value, json};

#[test]
fn rules_of_jinja_and_python_hold() {
    let fixture: Value = serde_json::from_str(include_str!("template_cases.json")).unwrap();
    let mut failures = Vec::new();
    for case in fixture["cases"].as_array().unwrap() {
        let source = case["template"].as_str().unwrap();
        let chat = &fixture["chats"][case["chat"].as_str().unwrap()];
        let mut extra = Map::new();
        extra.insert("tools".into(), chat["tools"].clone());
        let got = ChatTemplate::new(source, Some("<s>"), Some("</s>")).and_then(|template| {
            let messages = chat["messages"].as_array().unwrap();
            template.render(messages, case["add_generation_prompt"].as_bool().unwrap(), &extra)
        });
        let same = match (&got, case["error"].as_str()) {
            (Ok(text), None) => case["expected"] == json!(text),
            (Err(Error::Raised { message }), Some("TemplateError")) => case["message"] == json!(message),
            (Err(Error::Invalid { .. }), Some(error)) => error != "TemplateError",
            _ => false,
        };
        if same == case["gap"].as_bool().unwrap() {
            let want = case.get("expected").unwrap_or(&case["message"]);
            failures.push(format!("{source:?}\n   got {got:?}\n  want {want}"));
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
