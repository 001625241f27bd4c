//! Prompts, completions and whole chats as ids: the borders between them, and where answers end.

use drift_text::{ChatFormat, ChatTemplate, CompletionMode, Error, GgufVocab, Tokenizer};
use serde_json::{Map, Value, json};

/// The vocabularies of the fixture, in its order: gpt-2, smollm, qwen2, llama-bpe, tekken.
fn vocab(which: usize) -> GgufVocab {
    let fixture: Value = serde_json::from_str(include_str!("tokenizer_cases.json")).unwrap();
    serde_json::from_value(fixture["families"][which]["gguf"].clone()).unwrap()
}

fn tokenizer(which: usize) -> Tokenizer {
    Tokenizer::from_gguf(&vocab(which)).unwrap()
}

fn format(source: &str) -> Result<ChatFormat, Error> {
    let template = ChatTemplate::new(source, Some("<s>"), Some("<|im_end|>"))?;
    ChatFormat::with_template(tokenizer(1), template, Map::new())
}

fn user(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: &str) -> Value {
    json!({"role": "assistant", "content": content})
}

fn text(format: &ChatFormat, ids: &[u32]) -> String {
    format.tokenizer().decode(ids, false).unwrap()
}

#[test]
fn a_completion_follows_its_prompt() {
    for (which, after) in ["\n", "\n", "\n", "", ""].into_iter().enumerate() {
        let format = ChatFormat::new(tokenizer(which)).unwrap();
        let prompt = [user("What?")];
        let before = format.prompt_ids(&prompt).unwrap();
        let clean = format.completion(&prompt, "This.", CompletionMode::Clean).unwrap();
        let template = format.completion(&prompt, "This.", CompletionMode::Template).unwrap();
        let end = format.tokenizer().id_to_token(format.end_of_turn()).unwrap();
        assert_eq!(text(&format, &clean.ids), format!("This.{end}"));
        assert_eq!(text(&format, &template.ids), format!("This.{end}{after}"));
        assert!(template.ids.starts_with(&clean.ids) && !clean.split && !template.split);

        let whole = format.encode_chat(&[user("What?"), assistant("This.")]).unwrap();
        assert_eq!(whole.ids, [before.clone(), template.ids].concat());
        assert_eq!(whole.spans.len(), 1);
        assert_eq!(whole.spans[0].tokens, before.len()..before.len() + clean.ids.len());
    }
}

#[test]
fn a_border_that_a_token_would_span_is_kept_and_told() {
    let source =
        "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}h{% endif %}";
    let format = format(source).unwrap();
    let prompt = [user("What?")];
    assert_eq!(format.tokenizer().encode("he").unwrap().len(), 1, "one token would span the border");
    let spanned = format.completion(&prompt, "e", CompletionMode::Clean).unwrap();
    assert!(spanned.split);
    assert_eq!(text(&format, &spanned.ids), "e<|im_end|>");
    assert!(!format.completion(&prompt, " e", CompletionMode::Clean).unwrap().split);
}

#[test]
fn bos_stands_once() {
    let mut vocab = vocab(3);
    vocab.add_bos = true;
    let format = ChatFormat::new(Tokenizer::from_gguf(&vocab).unwrap()).unwrap();
    let bos = format.tokenizer().special().bos.unwrap();
    let prompt = format.prompt_ids(&[user("<s>What?")]).unwrap();
    assert_eq!(prompt[0], bos);
    assert_eq!(prompt.iter().filter(|&&id| id == bos).count(), 1);
    let answer = format.completion(&[user("What?")], "This.", CompletionMode::Template).unwrap();
    assert!(!answer.ids.contains(&bos));
}

#[test]
fn the_end_of_turn_is_what_the_template_writes_after_an_answer() {
    let ends = |after: &str| {
        let source = "{% for m in messages %}[INST]{{ m.content }}".to_owned() + after + "{% endfor %}";
        format(&source).map(|format| (text(&format, &[format.end_of_turn()]), format.stop_ids().len()))
    };
    // The eos of this vocabulary is <|im_end|>: an end that differs is a second id to stop at.
    assert_eq!(ends("<|endoftext|>").unwrap(), ("<|endoftext|>".into(), 2));
    assert_eq!(ends(" {{ eos_token }}\n").unwrap(), ("<|im_end|>".into(), 1));
    assert_eq!(ends("<s>\n<|endoftext|>").unwrap(), ("<s>".into(), 2));
    assert_eq!(ends("\n\n").unwrap(), ("<|im_end|>".into(), 1), "the model's own end of text");

    let mut vocab = vocab(1);
    vocab.eos = None;
    vocab.chat_template = Some("{% for m in messages %}{{ m.content }}\n{% endfor %}".into());
    let error = ChatFormat::new(Tokenizer::from_gguf(&vocab).unwrap()).unwrap_err().to_string();
    assert!(error.contains("no token after an answer"), "{error}");
    let error = format("{% for m in messages %}{{ m.role }}{% endfor %}").unwrap_err().to_string();
    assert!(error.contains("leaves out the assistant's answer"), "{error}");
}

#[test]
fn a_model_without_a_chat_template_is_refused_with_a_hint() {
    let mut vocab = vocab(0);
    vocab.chat_template = None;
    let error = ChatFormat::new(Tokenizer::from_gguf(&vocab).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("model: no chat template") && error.contains("hint: "), "{error}");
}

#[test]
fn a_prompt_that_changes_with_its_answer_is_an_error_or_clean() {
    // As Mistral's template: the system text stands in the last message, if that is the user's.
    let format = format(
        "{% for m in messages if m.role != 'system' %}{% if loop.last and m.role == 'user' %}{{ messages[0].content }}\
         {% endif %}[INST]{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}",
    )
    .unwrap();
    let prompt = [json!({"role": "system", "content": "Be brief."}), user("What?")];
    let error = format.completion(&prompt, "This.", CompletionMode::Template).unwrap_err().to_string();
    assert!(error.starts_with("chat template: an answer changes the text before it") && error.contains("hint: "));
    let clean = format.completion(&prompt, "This.", CompletionMode::Clean).unwrap();
    assert_eq!(text(&format, &clean.ids), "This.<|im_end|>");
}

#[test]
fn answers_are_found_however_the_template_rewrites_them() {
    // As the templates of reasoning models: only the last answer keeps its thoughts, and answers are trimmed.
    let format = format(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% set c = m.content %}{% if m.role == 'assistant' %}\
         {% set c = c.split('</think>')[-1] | trim %}{% if loop.last %}{{ '<think>' }}{{ m.content.split('</think>')[0].\
         split('<think>')[-1] if '</think>' in m.content }}{{ '</think>' }}{% endif %}{% endif %}\
         {{ c + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    )
    .unwrap();
    let chat = [
        user("one"),
        assistant("<think>hm</think>\n\n first "),
        user("two"),
        assistant("same"),
        user("same"),
        assistant("<think>aha</think> third "),
    ];
    let encoded = format.encode_chat(&chat).unwrap();
    let answers: Vec<_> =
        encoded.spans.iter().map(|span| (span.message, text(&format, &encoded.ids[span.tokens.clone()]))).collect();
    let expected = [(1, "first<|im_end|>"), (3, "same<|im_end|>"), (5, "aha</think>third<|im_end|>")];
    assert_eq!(answers, expected.map(|(n, text)| (n, text.to_owned())));
    let masked: Vec<u32> = encoded.ids.iter().zip(&encoded.mask).filter(|(_, m)| **m).map(|(&id, _)| id).collect();
    assert_eq!(text(&format, &masked), expected.map(|(_, text)| text).concat());
}

#[test]
fn further_arguments_reach_the_template() {
    let source = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}\
                  {% if add_generation_prompt and not enable_thinking %}<think></think>{% endif %}";
    let template = ChatTemplate::new(source, None, None).unwrap();
    let prompt = |thinking: bool| {
        let extra = Map::from_iter([("enable_thinking".to_owned(), json!(thinking))]);
        let format = ChatFormat::with_template(tokenizer(1), template.clone(), extra).unwrap();
        text(&format, &format.prompt_ids(&[user("q")]).unwrap())
    };
    assert_eq!(prompt(true), "q<|im_end|>");
    assert_eq!(prompt(false), "q<|im_end|><think></think>");
}

#[test]
fn a_date_can_be_pinned() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y|%Y-%m-%d %H:%M:%S|%A, %-d. %B|%q|%Z') }}", None, None);
    let template = template.unwrap().with_date("2024-07-06T05:04:03").unwrap();
    let rendered = template.render(&[user("x")], false, &Map::new()).unwrap();
    assert_eq!(rendered, "06 Jul 2024|2024-07-06 05:04:03|Saturday, 6. July|%q|");
    assert!(template.with_date("yesterday").unwrap_err().to_string().contains("hint: write it as 2025-07-26"));
}
