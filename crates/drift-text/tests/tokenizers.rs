//! Tokenizers from GGUF metadata against transformers (`make_tokenizer_cases.py`).

use drift_text::{ChatFormat, ChatTemplate, GgufVocab, Tokenizer};
use serde_json::{Map, Value, json};

fn families() -> Vec<Value> {
    let fixture: Value = serde_json::from_str(include_str!("tokenizer_cases.json")).unwrap();
    fixture["families"].as_array().unwrap().clone()
}

fn vocab(family: &Value) -> GgufVocab {
    serde_json::from_value(family["gguf"].clone()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn texts_have_the_ids_of_transformers() {
    for family in families() {
        let tokenizer = Tokenizer::from_gguf(&vocab(&family)).unwrap();
        for case in family["texts"].as_array().unwrap() {
            let (text, pre) = (case["text"].as_str().unwrap(), &family["gguf"]["pre"]);
            assert_eq!(tokenizer.encode(text).unwrap(), ids(&case["ids"]), "{pre} {text:?}");
            assert_eq!(tokenizer.encode_as_text(text).unwrap(), ids(&case["as_text"]), "{pre} as text {text:?}");
            if *pre != json!("qwen2") {
                // Qwen's normalizer composes characters; without one, every text survives.
                let back = tokenizer.decode(&tokenizer.encode(text).unwrap(), false).unwrap();
                assert_eq!(back, text, "{pre} round trip");
            }
        }
    }
}

#[test]
fn chats_have_the_ids_of_transformers_and_texts_stay_texts() {
    for family in families() {
        let format = ChatFormat::new(Tokenizer::from_gguf(&vocab(&family)).unwrap()).unwrap();
        for case in family["chats"].as_array().unwrap() {
            check_chat(&format, case);
        }
    }
}

#[test]
fn a_tokenizer_that_invents_spaces_invents_none_within_a_chat() {
    let fixture: Value = serde_json::from_str(include_str!("tokenizer_cases.json")).unwrap();
    let family = &fixture["sentencepiece"];
    let tokenizer = Tokenizer::from_json(family["tokenizer_json"].to_string().as_bytes()).unwrap();
    let source = family["chat_template"].as_str().unwrap();
    let template = ChatTemplate::new(source, Some("<s>"), Some("<|endoftext|>")).unwrap();
    let format = ChatFormat::with_template(tokenizer, template, Map::new()).unwrap();
    for case in family["chats"].as_array().unwrap() {
        let messages = case["messages"].as_array().unwrap();
        let text = format.template().render(messages, false, &Map::new()).unwrap();
        let chat = format.encode_chat(messages).unwrap();
        assert_eq!(format.tokenizer().decode(&chat.ids, false).unwrap(), text);
        // transformers itself invents a space where a text that was made plain is followed by a line end.
        if case["plain"] == case["sanitized"] {
            check_chat(&format, case);
        }
    }
}

fn check_chat(format: &ChatFormat, case: &Value) {
    let messages = case["messages"].as_array().unwrap();
    // transformers drops its two markers from the text that it is given; here they survive.
    if messages.iter().any(|m| m["content"].as_str().unwrap().contains('\u{f0000}')) {
        return;
    }
    let reference = ids(&case["sanitized"]);
    if case["add_generation_prompt"] == json!(true) {
        assert_eq!(format.prompt_ids(messages).unwrap(), reference);
        return;
    }
    let chat = format.encode_chat(messages).unwrap();
    let decode = |ids| format.tokenizer().decode(ids, false).unwrap();
    assert_eq!(decode(&chat.ids), decode(&reference));
    assert_eq!(chat.ids == reference, !chat.split, "{messages:?}");
}

#[test]
fn a_saved_tokenizer_loads_again_with_equal_ids() {
    for family in families() {
        let tokenizer = Tokenizer::from_gguf(&vocab(&family)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        let again = Tokenizer::from_dir(dir.path()).unwrap();
        assert_eq!(again.special(), tokenizer.special());
        assert_eq!(again.chat_template(), tokenizer.chat_template());
        assert_eq!(again.vocab_size(), tokenizer.vocab_size());
        for case in family["texts"].as_array().unwrap() {
            assert_eq!(again.encode(case["text"].as_str().unwrap()).unwrap(), ids(&case["ids"]));
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        assert_eq!(names.len(), 4, "no unfinished file stays: {names:?}");
    }
}

#[test]
fn what_is_wrong_in_a_vocabulary_is_named() {
    let good = vocab(&families()[0]);
    let broken = |change: fn(&mut GgufVocab)| {
        let mut vocab = good.clone();
        change(&mut vocab);
        Tokenizer::from_gguf(&vocab).unwrap_err().to_string()
    };
    type Case = (fn(&mut GgufVocab), &'static str);
    let cases: [Case; 8] = [
        (|v| v.pre = "dbrx".into(), "GGUF tokenizer.ggml.pre: pre-tokenizer `dbrx`, expected one of gpt-2"),
        (|v| v.model = "llama".into(), "GGUF tokenizer.ggml.model: tokenizer model `llama`, expected gpt2"),
        (|v| v.token_types.clear(), "GGUF tokenizer.ggml.token_type: 0 kinds for"),
        (|v| v.tokens[7] = v.tokens[3].clone(), "GGUF tokenizer.ggml.tokens[7]: token `$` occurs twice"),
        (|v| v.merges[2] = "ab".into(), "GGUF tokenizer.ggml.merges[2]: no space"),
        (|v| v.merges[2] = "a 🦀".into(), "GGUF tokenizer.ggml.merges[2]: `🦀` is no token"),
        (|v| v.bos = Some(9999), "GGUF tokenizer.ggml.bos_token_id: id 9999, expected less than"),
        (|v| v.eot = Some(9999), "GGUF tokenizer.ggml.eot_token_id: id 9999"),
    ];
    for (change, expected) in cases {
        let error = broken(change);
        assert!(error.starts_with(expected), "{error:?} does not start with {expected:?}");
        assert!(!error.contains('\n'));
    }
}

#[test]
fn truncation_and_padding_of_a_file_are_off() {
    let family = &families()[0];
    let dir = tempfile::tempdir().unwrap();
    Tokenizer::from_gguf(&vocab(family)).unwrap().save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["truncation"] = json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = json!({"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "!"});
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    for case in family["texts"].as_array().unwrap() {
        assert_eq!(tokenizer.encode(case["text"].as_str().unwrap()).unwrap(), ids(&case["ids"]));
    }
}
