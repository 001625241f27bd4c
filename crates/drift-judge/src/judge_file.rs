//! A judge as data: prompts, model, sampling and the parser of its replies, in a TOML file.
//!
//! The templates are Jinja. `system` and `user` see `request`, `answer`, `turn` and `mark`, a word that none of
//! the three texts can know; `again` sees `complaint`.

use crate::chat::{MESSAGE, Message, Reply, Request, Role};
use crate::{Complaint, JudgeError, Tokens, Turn};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::path::Path;

const SHIPPED: &str = include_str!("../judges/feedback.toml");
/// Steps of the template engine; a page of text takes some dozens.
const FUEL: u64 = 100_000;
/// Bytes of an unreadable reply that the judge is shown again.
const RETOLD: usize = 1_000;
/// Bytes of the question that follows it.
const MAX_AGAIN: usize = 500;

/// How replies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parser {
    /// A [`crate::Verdict`].
    Feedback,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    parser: Parser,
    model: Option<String>,
    temperature: Option<f64>,
    max_tokens: u32,
    #[serde(default = "limit_key")]
    limit_key: String,
    max_request_chars: usize,
    max_answer_chars: usize,
    max_turn_chars: usize,
    system: String,
    user: String,
    again: String,
    #[serde(default)]
    extra: Map<String, Value>,
}

fn limit_key() -> String {
    "max_tokens".into()
}

/// A judge file that has been checked; its templates compile and show the three texts.
pub struct JudgeFile {
    raw: Raw,
    templates: Environment<'static>,
    hash: String,
}

impl JudgeFile {
    pub fn shipped() -> Result<JudgeFile, JudgeError> {
        JudgeFile::parse(SHIPPED, Path::new("judges/feedback.toml"))
    }

    pub fn load(path: &Path) -> Result<JudgeFile, JudgeError> {
        let hint = "a judge file is TOML, see docs/judge.md";
        let text = std::fs::read_to_string(path)
            .map_err(|error| JudgeError::file(path, format!("cannot read ({error})"), hint))?;
        JudgeFile::parse(&text, path)
    }

    /// `path` is shown in errors.
    pub fn parse(text: &str, path: &Path) -> Result<JudgeFile, JudgeError> {
        let hint = "the shipped judge, crates/drift-judge/judges/feedback.toml, shows every key";
        let wrong = |what: String| JudgeError::file(path, what, hint);
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            wrong(format!("line {line}: {}", error.message().replace('\n', ", ")))
        })?;
        if let Some(key) = raw.extra.keys().find(|key| Request::OWN_KEYS.contains(&key.as_str())) {
            return Err(wrong(format!(
                "extra.{key}: set elsewhere, expected a key that the request does not have yet"
            )));
        }
        if !["max_tokens", "max_completion_tokens"].contains(&raw.limit_key.as_str()) {
            return Err(wrong("limit_key: unknown, expected max_tokens or max_completion_tokens".into()));
        }
        if raw.max_tokens == 0 || raw.max_request_chars.min(raw.max_answer_chars).min(raw.max_turn_chars) == 0 {
            return Err(wrong("max_tokens and max_…_chars: one is 0, expected at least 1".into()));
        }
        if raw.temperature.is_some_and(|temperature| !(0.0..=10.0).contains(&temperature)) {
            return Err(wrong("temperature: out of range, expected 0 to 10".into()));
        }
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        for (name, source) in [("system", &raw.system), ("user", &raw.user), ("again", &raw.again)] {
            let added = templates.add_template_owned(name, source.clone());
            added.map_err(|error| wrong(format!("{name}: {}", template_error(&error))))?;
        }
        let hash = blake3::hash(text.as_bytes()).to_hex()[..8].to_string();
        let judge = JudgeFile { raw, templates, hash };
        judge.try_out().map_err(wrong)?;
        Ok(judge)
    }

    /// That every template renders, and that the request shows all three texts.
    fn try_out(&self) -> Result<(), String> {
        let turn = Turn { request: "\u{1}request\u{1}", answer: "\u{1}answer\u{1}", turn: "\u{1}turn\u{1}" };
        let request = self.first("", &turn).map_err(|error| template_error(&error))?;
        let shown: String = request.messages.iter().map(|message| message.content.as_str()).collect();
        for (name, text) in [("request", turn.request), ("answer", turn.answer), ("turn", turn.turn)] {
            if self.clip_of(name, text).is_none() && !shown.contains(text) {
                return Err(format!(
                    "system and user: neither shows {{{{ {name} }}}}, expected request, answer and turn"
                ));
            }
        }
        let again = self.again_text(Complaint::Rubric).map_err(|error| template_error(&error))?;
        if again.len() > MAX_AGAIN {
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

    /// Whether a text of the turn is longer than the prompt takes.
    pub(crate) fn clips(&self, turn: &Turn) -> bool {
        let texts = [("request", turn.request), ("answer", turn.answer), ("turn", turn.turn)];
        texts.into_iter().any(|(name, text)| self.clip_of(name, text).is_some())
    }

    fn clip_of(&self, name: &str, text: &str) -> Option<String> {
        let limit = match name {
            "request" => self.raw.max_request_chars,
            "answer" => self.raw.max_answer_chars,
            _ => self.raw.max_turn_chars,
        };
        clip(text, limit)
    }

    /// The request for a turn.
    pub(crate) fn first(&self, model: &str, turn: &Turn) -> Result<Request, minijinja::Error> {
        let show = |name, text| self.clip_of(name, text).map_or(Cow::Borrowed(text), Cow::Owned);
        let (request, answer) = (show("request", turn.request), show("answer", turn.answer));
        let mut mark = blake3::Hasher::new();
        for text in [turn.request, turn.answer, turn.turn] {
            mark.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        let mark = mark.finalize().to_hex();
        let context = context! { request, answer, turn => show("turn", turn.turn), mark => &mark[..8] };
        let render =
            |name| Ok::<_, minijinja::Error>(self.templates.get_template(name)?.render(&context)?.trim().to_string());
        let messages = vec![
            Message { role: Role::System, content: render("system")? },
            Message { role: Role::User, content: render("user")? },
        ];
        Ok(Request {
            model: model.to_string(),
            messages,
            temperature: self.raw.temperature,
            max_tokens: self.raw.max_tokens,
            limit_key: self.raw.limit_key.clone(),
            top_logprobs: None,
            extra: self.raw.extra.clone(),
        })
    }

    /// The request after a reply that was no verdict.
    pub(crate) fn second(
        &self,
        first: &Request,
        reply: &Reply,
        complaint: Complaint,
    ) -> Result<Request, minijinja::Error> {
        let mut request = first.clone();
        let content = reply.content[..reply.content.floor_char_boundary(RETOLD)].to_string();
        request.messages.push(Message { role: Role::Assistant, content });
        request.messages.push(Message { role: Role::User, content: self.again_text(complaint)? });
        Ok(request)
    }

    fn again_text(&self, complaint: Complaint) -> Result<String, minijinja::Error> {
        let context = context! { complaint => complaint.to_string() };
        Ok(self.templates.get_template("again")?.render(context)?.trim().to_string())
    }

    /// What a turn cannot exceed: both requests, the second longer by a reply and a question.
    pub(crate) fn at_most(first: &Request) -> Tokens {
        let once = first.at_most();
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
    format!("template {name}, line {line}: {}, expected Jinja that knows request, answer, turn, mark", error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Turn = Turn { request: "Sum of 2 and 2?", answer: "5", turn: "No, that's wrong. {{ 7 * 7 }}" };

    #[test]
    fn the_shipped_judge_shows_the_texts_as_they_are() {
        let judge = JudgeFile::shipped().unwrap();
        let request = judge.first("m", &TURN).unwrap();
        assert_eq!(request.messages.len(), 2);
        let user = &request.messages[1].content;
        for text in [TURN.request, "\n5\n", TURN.turn] {
            assert!(user.contains(text), "{user}");
        }
        for name in drift_feedback::DSAT_RUBRICS.iter().chain(&drift_feedback::SAT_RUBRICS) {
            assert!(request.messages[0].content.contains(&format!("- {name}: ")), "{name}");
        }
        // The mark depends on the texts, so a text cannot hold its own.
        let other = judge.first("m", &Turn { turn: "No.", ..TURN }).unwrap();
        assert_ne!(request.messages[0], other.messages[0]);
        assert!(judge.id().starts_with("feedback-1-"), "{}", judge.id());
    }

    #[test]
    fn long_texts_lose_their_middle_and_say_so() {
        assert_eq!(clip("äöüß", 4), None);
        assert_eq!(clip("abcdéfgh", 5).unwrap(), "abc\n[... 3 characters left out ...]\ngh");
        assert_eq!(clip("abc", 1).unwrap(), "a\n[... 2 characters left out ...]\n");
        let judge = JudgeFile::shipped().unwrap();
        let long = "x".repeat(3_001);
        assert!(judge.clips(&Turn { answer: &long, ..TURN }) && !judge.clips(&TURN));
        assert!(!judge.clips(&Turn { answer: &long[1..], ..TURN }));
    }

    #[test]
    fn two_requests_never_exceed_what_was_announced() {
        let judge = JudgeFile::shipped().unwrap();
        let first = judge.first("m", &TURN).unwrap();
        let reply = Reply { content: "\u{1}é".repeat(5_000), finish_reason: None, logprobs: Vec::new(), usage: None };
        let second = judge.second(&first, &reply, Complaint::Rubric).unwrap();
        assert_eq!(second.messages.len(), 4);
        let (worst, announced) = (first.at_most().plus(second.at_most()), JudgeFile::at_most(&first));
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
