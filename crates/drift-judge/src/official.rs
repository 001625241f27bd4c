//! The prompts of the official benchmarks, read from a local copy: they are not ours to ship.

use crate::judge_file::{Parser, Raw, limit_key};
use serde_json::Map;
use std::collections::BTreeMap;

/// AlpacaEval's `alpaca_eval_clf.txt`: ChatML with `{instruction}`, `{output_1}`, `{output_2}`; sampled as
/// `weighted_alpaca_eval_gpt4_turbo` does, one token with five alternatives.
pub(crate) fn alpaca_eval(text: &str) -> Result<Raw, &'static str> {
    let part = |role: &str| {
        let start = text.find(&format!("<|im_start|>{role}\n"))?;
        let inside = &text[start..][format!("<|im_start|>{role}\n").len()..];
        Some(inside[..inside.find("<|im_end|>")?].trim())
    };
    let Some(user) = part("user") else {
        return Err("no ChatML, expected <|im_start|>user … <|im_end|> with {instruction}, {output_1}, {output_2}");
    };
    let names = ["instruction", "output_1", "output_2"].map(|name| (format!("{{{name}}}"), name));
    Ok(Raw {
        name: "alpaca-eval".into(),
        parser: Parser::Preference,
        model: None,
        temperature: Some(1.0),
        max_tokens: 1,
        limit_key: limit_key(),
        top_logprobs: Some(5),
        max_chars: BTreeMap::new(),
        system: part("system").map(|system| jinja(system, &names)),
        user: jinja(user, &names),
        again: None,
        extra: Map::new(),
    })
}

/// WildBench's `eval_template.score.v2.md` and `eval_template.pairwise.v2.md`: one user message with `{$history}`,
/// `{$user_query}`, `{$checklist}`, and `{$model_output}` or `{$candidate_A}` and `{$candidate_B}`.
pub(crate) fn wildbench(text: &str) -> Result<Raw, &'static str> {
    const COMMON: [(&str, &str); 3] = [("history", "history"), ("user_query", "query"), ("checklist", "checklist")];
    let (parser, answers): (Parser, &[(&str, &str)]) = match text.contains("{$candidate_A}") {
        true => (Parser::Choice, &[("candidate_A", "answer_a"), ("candidate_B", "answer_b")]),
        false => (Parser::Score, &[("model_output", "answer")]),
    };
    let names: Vec<(String, &str)> =
        COMMON.iter().chain(answers).map(|(theirs, ours)| (format!("{{${theirs}}}"), *ours)).collect();
    if names.iter().any(|(theirs, _)| !text.contains(theirs)) {
        return Err(
            "no template of WildBench, expected {$history}, {$user_query}, {$checklist}, and {$model_output} or \
                    {$candidate_A} and {$candidate_B}",
        );
    }
    Ok(Raw {
        name: "wildbench".into(),
        parser,
        model: None,
        temperature: Some(0.0),
        max_tokens: 1024,
        limit_key: limit_key(),
        top_logprobs: None,
        max_chars: BTreeMap::new(),
        system: None,
        user: jinja(text, &names),
        again: None,
        extra: Map::new(),
    })
}

/// Everything stays as it is but the names.
fn jinja(text: &str, names: &[(String, &str)]) -> String {
    let mut text = text.replace("{%", "{% endraw %}{{ '{%' }}{% raw %}");
    for (theirs, ours) in names {
        text = text.replace(theirs, &format!("{{% endraw %}}{{{{ {ours} }}}}{{% raw %}}"));
    }
    format!("{{% raw %}}{text}{{% endraw %}}")
}

#[cfg(test)]
mod tests {
    use crate::JudgeFile;
    use std::path::Path;

    fn written(name: &str, text: &str) -> Result<JudgeFile, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        JudgeFile::load(Path::new(&path)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_chatml_prompt_is_a_judge_of_preferences() {
        let text = "<|im_start|>system\nRank them.\n<|im_end|>\n<|im_start|>user\nBraces stay: {\"m\": {{x}}} {% endraw %}\n\
                    {instruction}|{output_1}|{output_2}\n<|im_end|>\n";
        let judge = written("clf.txt", &text.replace('\n', "\r\n")).unwrap();
        let texts = [("instruction", "I {output_1}"), ("output_1", "A"), ("output_2", "B {{ 7 }}")];
        let request = judge.first("gpt", &texts).unwrap();
        let said: Vec<&str> = request.messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said, ["Rank them.", "Braces stay: {\"m\": {{x}}} {% endraw %}\nI {output_1}|A|B {{ 7 }}"]);
        assert_eq!((request.max_tokens, request.top_logprobs), (1, Some(5)));
        assert!(written("clf.txt", "{instruction}").err().unwrap().contains("no ChatML"));
        let part = "<|im_start|>user\n{instruction}{output_1}<|im_end|>";
        assert!(written("clf.txt", part).err().unwrap().contains("neither shows {{ output_2 }}"));
    }

    #[test]
    fn a_score_template_is_a_judge_of_scores() {
        let text = "# Task\n{$history}\n{$user_query}\n{$checklist}\n{$model_output}\n{ \"score\": \"[1~10]\" }";
        let judge = written("score.md", text).unwrap();
        let texts = [("history", "H"), ("query", "Q"), ("checklist", "C"), ("answer", "A")];
        let request = judge.first("gpt", &texts).unwrap();
        assert_eq!(request.messages.len(), 1);
        assert_eq!(request.messages[0].content, "# Task\nH\nQ\nC\nA\n{ \"score\": \"[1~10]\" }");
        assert!(written("score.md", "{$history}").err().unwrap().contains("no template of WildBench"));
    }

    #[test]
    fn a_pairwise_template_is_a_judge_of_choices() {
        let text = "{$history}\n{$user_query}\n{$candidate_A}\n{$candidate_B}\n{$checklist}";
        let judge = written("pairwise.md", text).unwrap();
        let texts = [("history", "H"), ("query", "Q"), ("checklist", "C"), ("answer_a", "A"), ("answer_b", "B")];
        assert_eq!(judge.first("gpt", &texts).unwrap().messages[0].content, "H\nQ\nA\nB\nC");
        let half = written("pairwise.md", &text.replace("{$candidate_B}", "")).err().unwrap();
        assert!(half.contains("no template of WildBench"), "{half}");
    }
}
