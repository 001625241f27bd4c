//! A judge as data: prompts, model, sampling and the parser of its replies, in a TOML file.
//!
//! The templates are Jinja. `system` and `user` see the texts of the parser's question and `mark`, a word that none of
//! the texts can know; `again` sees `complaint`.

use crate::chat::{MESSAGE, Message, Reply, Request, Role};
use crate::official;
use crate::{Complaint, JudgeError, Tokens};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Steps of the template engine; a page of text takes some dozens.
const FUEL: u64 = 100_000;
/// Bytes of an unreadable reply that the judge is shown again.
const RETOLD: usize = 1_000;
/// Bytes of the question that follows it.
const MAX_AGAIN: usize = 500;

/// What is asked, and how replies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parser {
    /// [`crate::Turn`]: a [`crate::Verdict`].
    Feedback,
    /// [`crate::Answers`]: a [`crate::Preference`].
    Preference,
    /// [`crate::Answer`]: a score from 1 to 10.
    Score,
    /// [`crate::Rivals`]: a [`crate::Choice`].
    Choice,
}

impl Parser {
    /// The texts that a judge must be shown, by the names that its templates have for them.
    pub const fn texts(self) -> &'static [&'static str] {
        match self {
            Parser::Feedback => &["request", "answer", "turn"],
            Parser::Preference => &["instruction", "output_1", "output_2"],
            Parser::Score => &["history", "query", "checklist", "answer"],
            Parser::Choice => &["history", "query", "checklist", "answer_a", "answer_b"],
        }
    }

    fn shipped(self) -> (&'static str, &'static str) {
        match self {
            Parser::Feedback => ("judges/feedback.toml", include_str!("../judges/feedback.toml")),
            Parser::Preference => ("judges/preference.toml", include_str!("../judges/preference.toml")),
            Parser::Score => ("judges/score.toml", include_str!("../judges/score.toml")),
            Parser::Choice => ("judges/choice.toml", include_str!("../judges/choice.toml")),
        }
    }
}

/// The file's keys. A prompt of an official tool becomes one of these.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    pub name: String,
    pub parser: Parser,
    pub model: Option<String>,
    pub temperature: Option<f64>,
    pub max_tokens: u32,
    #[serde(default = "limit_key")]
    pub limit_key: String,
    /// Ask for log-probs of the reply's tokens and so many alternatives of each.
    pub top_logprobs: Option<u8>,
    /// Characters of each text; absent: as many as it has.
    #[serde(default)]
    pub max_chars: BTreeMap<String, usize>,
    pub system: Option<String>,
    pub user: String,
    /// Follows a reply that is no verdict, once; absent: there is no second try.
    pub again: Option<String>,
    #[serde(default)]
    pub extra: Map<String, Value>,
}

pub(crate) fn limit_key() -> String {
    "max_tokens".into()
}

/// A judge file that has been checked; its templates compile and show all texts.
pub struct JudgeFile {
    raw: Raw,
    templates: Environment<'static>,
    hash: String,
}

const HINT: &str = "a judge file is TOML, see docs/judge.md";

impl JudgeFile {
    pub fn shipped(parser: Parser) -> Result<JudgeFile, JudgeError> {
        let (name, text) = parser.shipped();
        JudgeFile::parse(text, Path::new(name))
    }

    /// TOML, or a prompt of AlpacaEval (`.txt`) or WildBench (`.md`) as their repositories have them.
    pub fn load(path: &Path) -> Result<JudgeFile, JudgeError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| JudgeError::file(path, format!("cannot read ({error})"), HINT))?;
        let text = text.replace("\r\n", "\n");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => JudgeFile::of_official(official::alpaca_eval(&text), &text, path),
            Some("md") => JudgeFile::of_official(official::wildbench(&text), &text, path),
            _ => JudgeFile::parse(&text, path),
        }
    }

    fn of_official(raw: Result<Raw, &'static str>, text: &str, path: &Path) -> Result<JudgeFile, JudgeError> {
        let hint = "a prompt as the official repository has it, or a judge file, see docs/judge.md";
        let raw = raw.map_err(|what| JudgeError::file(path, what, hint))?;
        JudgeFile::check(raw, text).map_err(|what| JudgeError::file(path, what, hint))
    }

    /// `path` is shown in errors.
    pub fn parse(text: &str, path: &Path) -> Result<JudgeFile, JudgeError> {
        let hint = "the shipped judges, crates/drift-judge/judges, show every key";
        let wrong = |what: String| JudgeError::file(path, what, hint);
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            wrong(format!("line {line}: {}", error.message().replace('\n', ", ")))
        })?;
        JudgeFile::check(raw, text).map_err(wrong)
    }

    fn check(raw: Raw, text: &str) -> Result<JudgeFile, String> {
        if let Some(key) = raw.extra.keys().find(|key| Request::OWN_KEYS.contains(&key.as_str())) {
            return Err(format!("extra.{key}: set elsewhere, expected a key that the request does not have yet"));
        }
        if !["max_tokens", "max_completion_tokens"].contains(&raw.limit_key.as_str()) {
            return Err("limit_key: unknown, expected max_tokens or max_completion_tokens".into());
        }
        let texts = raw.parser.texts();
        if let Some(name) = raw.max_chars.keys().find(|name| !texts.contains(&name.as_str())) {
            return Err(format!("max_chars.{name}: no text of this parser, expected some of {}", texts.join(", ")));
        }
        if raw.max_tokens == 0 || raw.max_chars.values().any(|limit| *limit == 0) {
            return Err("max_tokens and max_chars: one is 0, expected at least 1".into());
        }
        if raw.top_logprobs.is_some_and(|n| n > 20) {
            return Err("top_logprobs: out of range, expected 0 to 20".into());
        }
        if raw.temperature.is_some_and(|temperature| !(0.0..=10.0).contains(&temperature)) {
            return Err("temperature: out of range, expected 0 to 10".into());
        }
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        let sources = [("system", raw.system.as_ref()), ("user", Some(&raw.user)), ("again", raw.again.as_ref())];
        for (name, source) in sources {
            if let Some(source) = source {
                let added = templates.add_template_owned(name, source.clone());
                added.map_err(|error| format!("{name}: {}", template_error(&error)))?;
            }
        }
        let hash = blake3::hash(text.as_bytes()).to_hex()[..8].to_string();
        let judge = JudgeFile { raw, templates, hash };
        judge.try_out()?;
        Ok(judge)
    }

    /// That every template renders, and that the request shows all texts.
    fn try_out(&self) -> Result<(), String> {
        let names = self.raw.parser.texts();
        let samples: Vec<(&str, String)> = names.iter().map(|name| (*name, format!("\u{1}{name}\u{1}"))).collect();
        let texts: Vec<(&str, &str)> = samples.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let request = self.first("", &texts).map_err(|error| template_error(&error))?;
        let shown: String = request.messages.iter().map(|message| message.content.as_str()).collect();
        for (name, text) in &texts {
            if self.clip_of(name, text).is_none() && !shown.contains(text) {
                return Err(format!("system and user: neither shows {{{{ {name} }}}}, expected {}", names.join(", ")));
            }
        }
        if let Some(again) = self.again_text(Complaint::Form).map_err(|error| template_error(&error))?
            && again.len() > MAX_AGAIN
        {
            return Err(format!("again: {} bytes, expected at most {MAX_AGAIN}", again.len()));
        }
        Ok(())
    }

    /// Name and hash of the file: verdicts of different judges are not to be compared.
    pub fn id(&self) -> String {
        format!("{}-{}", self.raw.name, self.hash)
    }

    pub fn parser(&self) -> Parser {
        self.raw.parser
    }

    pub fn model(&self) -> Option<&str> {
        self.raw.model.as_deref()
    }

    /// Whether one of the texts is longer than the prompt takes.
    pub(crate) fn clips(&self, texts: &[(&str, &str)]) -> bool {
        texts.iter().any(|(name, text)| self.clip_of(name, text).is_some())
    }

    fn clip_of(&self, name: &str, text: &str) -> Option<String> {
        clip(text, *self.raw.max_chars.get(name)?)
    }

    /// The request for these texts.
    pub(crate) fn first(&self, model: &str, texts: &[(&str, &str)]) -> Result<Request, minijinja::Error> {
        let mut mark = blake3::Hasher::new();
        let mut context = BTreeMap::new();
        for (name, text) in texts {
            mark.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            context.insert(*name, self.clip_of(name, text).unwrap_or_else(|| text.to_string()));
        }
        context.insert("mark", mark.finalize().to_hex()[..8].to_string());
        let render =
            |name| Ok::<_, minijinja::Error>(self.templates.get_template(name)?.render(&context)?.trim().to_string());
        let mut messages = Vec::new();
        if self.raw.system.is_some() {
            messages.push(Message { role: Role::System, content: render("system")? });
        }
        messages.push(Message { role: Role::User, content: render("user")? });
        Ok(Request {
            model: model.to_string(),
            messages,
            temperature: self.raw.temperature,
            max_tokens: self.raw.max_tokens,
            limit_key: self.raw.limit_key.clone(),
            top_logprobs: self.raw.top_logprobs,
            extra: self.raw.extra.clone(),
        })
    }

    /// The request after a reply that was no verdict; `None` where the judge is not asked again.
    pub(crate) fn second(
        &self,
        first: &Request,
        reply: &Reply,
        complaint: Complaint,
    ) -> Result<Option<Request>, minijinja::Error> {
        let Some(again) = self.again_text(complaint)? else { return Ok(None) };
        let mut request = first.clone();
        let content = reply.content[..reply.content.floor_char_boundary(RETOLD)].to_string();
        request.messages.push(Message { role: Role::Assistant, content });
        request.messages.push(Message { role: Role::User, content: again });
        Ok(Some(request))
    }

    fn again_text(&self, complaint: Complaint) -> Result<Option<String>, minijinja::Error> {
        if self.raw.again.is_none() {
            return Ok(None);
        }
        let context = context! { complaint => complaint.to_string() };
        Ok(Some(self.templates.get_template("again")?.render(context)?.trim().to_string()))
    }

    /// What a question cannot exceed: both requests, the second longer by a reply and a question.
    pub(crate) fn at_most(&self, first: &Request) -> Tokens {
        let once = first.at_most();
        if self.raw.again.is_none() {
            return once;
        }
        let more = RETOLD + MAX_AGAIN + 2 * MESSAGE;
        Tokens { input: 2 * once.input + more as u64, output: 2 * once.output }
    }
}

/// Head and tail of a text of more than `limit` characters, with a note between them; `None` if it is not longer.
fn clip(text: &str, limit: usize) -> Option<String> {
    let count = text.chars().count();
    if count <= limit {
        return None;
    }
    let head: String = text.chars().take(limit.div_ceil(2)).collect();
    let tail: String = text.chars().skip(count - limit / 2).collect();
    Some(format!("{head}\n[... {} characters left out ...]\n{tail}", count - limit))
}

/// The kind and place of a template's error. Its own words may quote what was rendered.
pub(crate) fn template_error(error: &minijinja::Error) -> String {
    let (name, line) = (error.name().unwrap_or("template"), error.line().unwrap_or(0));
    format!("template {name}, line {line}: {}, expected Jinja that knows the parser's texts and mark", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: [(&str, &str); 3] =
        [("request", "Sum of 2 and 2?"), ("answer", "5"), ("turn", "No, that's wrong. {{ 7 * 7 }}")];
    const SHIPPED: &str = include_str!("../judges/feedback.toml");

    fn feedback() -> JudgeFile {
        JudgeFile::shipped(Parser::Feedback).unwrap()
    }

    #[test]
    fn the_shipped_judge_shows_the_texts_as_they_are() {
        let judge = feedback();
        let request = judge.first("m", &TURN).unwrap();
        assert_eq!(request.messages.len(), 2);
        let user = &request.messages[1].content;
        for text in [TURN[0].1, "\n5\n", TURN[2].1] {
            assert!(user.contains(text), "{user}");
        }
        for name in drift_feedback::DSAT_RUBRICS.iter().chain(&drift_feedback::SAT_RUBRICS) {
            assert!(request.messages[0].content.contains(&format!("- {name}: ")), "{name}");
        }
        // The mark depends on the texts, so a text cannot hold its own.
        let other = judge.first("m", &[TURN[0], TURN[1], ("turn", "No.")]).unwrap();
        assert_ne!(request.messages[0], other.messages[0]);
        assert!(judge.id().starts_with("feedback-1-"), "{}", judge.id());
    }

    #[test]
    fn every_shipped_judge_is_one() {
        for parser in [Parser::Feedback, Parser::Preference, Parser::Score] {
            let judge = JudgeFile::shipped(parser).unwrap();
            assert_eq!(judge.parser(), parser);
        }
        // one token with its alternatives, and no second try
        let texts = [("instruction", "Name a river."), ("output_1", "The Rhine."), ("output_2", "A river.")];
        let judge = JudgeFile::shipped(Parser::Preference).unwrap();
        let first = judge.first("m", &texts).unwrap();
        assert_eq!((first.max_tokens, first.top_logprobs), (1, Some(5)));
        assert_eq!(judge.at_most(&first), first.at_most());
    }

    #[test]
    fn long_texts_lose_their_middle_and_say_so() {
        assert_eq!(clip("äöüß", 4), None);
        assert_eq!(clip("abcdéfgh", 5).unwrap(), "abc\n[... 3 characters left out ...]\ngh");
        assert_eq!(clip("abc", 1).unwrap(), "a\n[... 2 characters left out ...]\n");
        let judge = feedback();
        let long = "x".repeat(3_001);
        assert!(judge.clips(&[("answer", &long)]) && !judge.clips(&TURN));
        assert!(!judge.clips(&[("answer", &long[1..])]));
    }

    #[test]
    fn two_requests_never_exceed_what_was_announced() {
        let judge = feedback();
        let first = judge.first("m", &TURN).unwrap();
        let reply = Reply { content: "\u{1}é".repeat(5_000), finish_reason: None, logprobs: Vec::new(), usage: None };
        let second = judge.second(&first, &reply, Complaint::Rubric).unwrap().unwrap();
        assert_eq!(second.messages.len(), 4);
        let (worst, announced) = (first.at_most().plus(second.at_most()), judge.at_most(&first));
        assert!(worst.input <= announced.input && worst.output == announced.output, "{worst:?} {announced:?}");
        assert!(second.messages[3].content.contains("rubric is not a name"));
    }

    #[test]
    fn a_wrong_file_is_one_line_with_its_place() {
        let cases = [
            ("max_tokens = 200", "max_tokns = 200", "unknown field"),
            ("max_tokens = 200", "max_tokens = 0", "expected at least 1"),
            ("temperature = 0.0", "temperature = -1.0", "expected 0 to 10"),
            ("parser = \"feedback\"", "parser = \"other\"", "unknown variant"),
            ("max_tokens = 200", "max_tokens = 200\nlimit_key = \"n\"", "limit_key: unknown"),
            ("max_tokens = 200", "max_tokens = 200\nextra = { stream = true }", "extra.stream: set elsewhere"),
            ("turn = 3000", "turns = 3000", "max_chars.turns: no text of this parser"),
            ("turn = 3000", "turn = 0", "expected at least 1"),
            ("{{ answer }}", "", "neither shows {{ answer }}"),
            ("{{ answer }}", "{{ reply }}", "template user, line 5: undefined value"),
            ("{{ answer }}", "{{ answer", "template user, line"),
            ("{{ complaint }}", "{{ turn }}", "template again, line 1: undefined value"),
            ("{{ answer }}", "{% for i in range(1000000) %}x{% endfor %}", "template user"),
        ];
        for (old, new, expected) in cases {
            assert!(SHIPPED.contains(old), "{old}");
            let error = JudgeFile::parse(&SHIPPED.replacen(old, new, 1), Path::new("j.toml")).err();
            let error = error.unwrap_or_else(|| panic!("{new} passed")).to_string();
            assert!(error.starts_with("j.toml: ") && error.contains(expected), "{error}");
            assert!(error.contains("; hint: ") && !error.contains('\n'), "{error}");
        }
        let error = JudgeFile::load(Path::new("/nowhere/j.toml")).err().unwrap().to_string();
        assert!(error.starts_with("/nowhere/j.toml: cannot read") && !error.contains('\n'), "{error}");
    }
}
