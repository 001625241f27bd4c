//! Tokenizers from GGUF metadata against transformers (`make_tokenizer_cases.py`).

use drift_text::{ChatFormat, ChatTemplate, GgufVocab, Tokenizer};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

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

#[test]
fn an_encoder_gets_special_tokens_and_as_much_text_as_fits() {
    let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let [cls, sep] = [("[CLS]", 2), ("[SEP]", 3)].map(|(t, id)| json!({"id": t, "ids": [id], "tokens": [t]}));
    let json = json!({
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"[CLS]": cls, "[SEP]": sep}},
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "##b": 5, "c": 6}},
    });
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    let encode = |text: &str, limit| tokenizer.encode_with_special(text, limit).unwrap();
    assert_eq!(encode("Ab Ç? a", 7), (vec![2, 4, 5, 6, 1, 4, 3], false));
    assert_eq!(encode("Ab Ç? a", 6), (vec![2, 4, 5, 6, 1, 3], true));
    assert_eq!(encode("Ab Ç? a", 2), (vec![2, 3], true));
    assert_eq!(encode("", 2), (vec![2, 3], false));
    assert_eq!(
        tokenizer.encode_with_special("Ab", 1).unwrap_err().to_string(),
        "tokenizer: a limit of 1 ids, expected at least the 2 special ones"
    );
    // Without a post-processor nothing is added.
    let chat = Tokenizer::from_gguf(&vocab(&families()[0])).unwrap();
    let all = chat.encode("Hello, world!").unwrap();
    assert_eq!(chat.encode_with_special("Hello, world!", all.len()).unwrap(), (all.clone(), false));
    assert_eq!(chat.encode_with_special("Hello, world!", 1).unwrap(), (all[..1].to_vec(), true));
}

/// `DRIFT_MINILM`, else the cache folder of the `drift` binary.
fn minilm() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = var("DRIFT_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("drift")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/drift")));
    let cached = cache.map(|dir| dir.join("assets/all-MiniLM-L6-v2"));
    var("DRIFT_MINILM").or(cached).filter(|path| path.join("tokenizer.json").is_file())
}

#[test]
fn a_real_encoder_gets_the_ids_of_transformers() {
    let Some(folder) = minilm() else {
        println!("skipped: no all-MiniLM-L6-v2; hint: set DRIFT_MINILM to its folder");
        return;
    };
    // Beside the vectors that transformers makes of these ids, by drift-lm's `make_encoder_references.py`.
    let reference: Value =
        serde_json::from_str(include_str!("../../drift-lm/tests/fixtures/minilm/reference.json")).unwrap();
    let tokenizer = Tokenizer::from_dir(&folder).unwrap();
    let limit = reference["limit"].as_u64().unwrap() as usize;
    for (i, text) in reference["texts"].as_array().unwrap().iter().enumerate() {
        let (got, truncated) = tokenizer.encode_with_special(text.as_str().unwrap(), limit).unwrap();
        assert_eq!((got, json!(truncated)), (ids(&reference["ids"][i]), reference["truncated"][i].clone()), "{text}");
    }
}
