//! Chat templates: Jinja source and messages to text, exactly as transformers renders them.
//!
//! minijinja is the interpreter. What transformers sets around Jinja2 is set here: `trim_blocks`, `lstrip_blocks`,
//! loop controls, `raise_exception`, `strftime_now`, its own `tojson`, and `{% generation %}`, which marks answers
//! and prints nothing. Where minijinja differs from Python, `python` has the Python behaviour. A template comes with
//! a model, so it is foreign code: fuel bounds its time and memory, and it can reach nothing but its arguments. One hole
//! is known: minijinja does not charge for joining two lists, so a template made to double a list some thirty times can
//! exhaust memory.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::clock::Clock;
use crate::error::{Error, Result, one_line};
use crate::{json, python};

/// Longest template source, in bytes. Real ones have up to 30 kB.
const MAX_SOURCE: usize = 1 << 18;
/// What one rendering may spend: an instruction costs 1, 64 bytes of text made cost 1. So at most about 64 MB.
const FUEL: u64 = 1_000_000;
/// Stack to compile and render on. A sum can be as deep as the source is long, a list as deep as the fuel reaches,
/// and the interpreter walks and drops both by recursion.
const STACK: usize = 512 << 20;
/// Nesting of macro calls.
const MAX_RECURSION: usize = 100;

const NAME: &str = "chat template";

/// A compiled chat template with the model's special tokens.
#[derive(Clone)]
pub struct ChatTemplate {
    env: Environment<'static>,
    source: String,
    special: Map<String, Json>,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("source", &self.source).field("special", &self.special).finish()
    }
}

/// What `raise_exception` was called with, on its way through minijinja's own error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

impl ChatTemplate {
    /// Compiles `source`. `strftime_now` tells the local time of this moment, for as long as the template lives.
    ///
    /// Errors: the source does not parse; the line is named.
    pub fn new(source: &str, bos_token: Option<&str>, eos_token: Option<&str>) -> Result<ChatTemplate> {
        if source.len() > MAX_SOURCE {
            return Err(Error::new(NAME, format!("{} bytes, expected at most {MAX_SOURCE}", source.len())));
        }
        let mut special = Map::new();
        for (name, token) in [("bos_token", bos_token), ("eos_token", eos_token)] {
            if let Some(token) = token {
                special.insert(name.into(), token.into());
            }
        }
        let mut env = environment();
        set_clock(&mut env, Clock::local());
        // Jinja reads every line end as \n, in the text and in string literals alike.
        let lines = source.replace("\r\n", "\n").replace('\r', "\n");
        let compiled = without_generation_tags(&lines);
        let env = on_own_stack(|| {
            env.add_template_owned(NAME, compiled).map_err(|e| from_minijinja(&e))?;
            Ok(env)
        })?;
        Ok(ChatTemplate { env, source: source.to_owned(), special })
    }

    /// Sets what `strftime_now` takes for now: an ISO date or date and time in local time.
    pub fn with_date(mut self, date: &str) -> Result<ChatTemplate> {
        set_clock(&mut self.env, Clock::at(date)?);
        Ok(self)
    }

    /// The template as it came with the model.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders messages (objects with `role` and `content`, and whatever else the template reads).
    ///
    /// `extra` is what transformers takes as further keyword arguments of `apply_chat_template`: `tools` and
    /// `documents` (none where absent), and the template's own, as `enable_thinking`; they win over the special
    /// tokens. Fields that are null are dropped from a message, and the reasoning of an answer is filled in under each
    /// of the names that templates use for it, both as transformers does.
    ///
    /// Errors: [`Error::Raised`] with the template's own words; anything else names the template's line.
    pub fn render<M: Serialize>(
        &self,
        messages: &[M],
        add_generation_prompt: bool,
        extra: &Map<String, Json>,
    ) -> Result<String> {
        self.render_json(plain_messages(messages)?, add_generation_prompt, extra)
    }

    pub(crate) fn render_json(
        &self,
        messages: Vec<Json>,
        add_generation_prompt: bool,
        extra: &Map<String, Json>,
    ) -> Result<String> {
        if messages.is_empty() {
            return Err(Error::new(NAME, "no message, expected at least one"));
        }
        let mut context = self.special.clone();
        context.insert("tools".into(), Json::Null);
        context.insert("documents".into(), Json::Null);
        for (key, value) in extra {
            if key == "messages" || key == "add_generation_prompt" {
                return Err(Error::new(NAME, format!("`{key}` given as an extra argument, expected another name")));
            }
            context.insert(key.clone(), value.clone());
        }
        context.insert("messages".into(), messages.into_iter().map(with_reasoning_names).collect());
        context.insert("add_generation_prompt".into(), add_generation_prompt.into());
        on_own_stack(|| {
            let template = self.env.get_template(NAME).map_err(|e| from_minijinja(&e))?;
            template.render(Value::from(Serde(&context))).map_err(|e| from_minijinja(&e))
        })
        .map_err(|error| without_chat_text(error, &context["messages"]))
    }
}

/// Takes the interpreter's words out of an error where they quote a message: a dozen characters of it, or all of a
/// shorter one.
fn without_chat_text(error: Error, messages: &Json) -> Error {
    const QUOTE: usize = 12;
    let Error::Invalid { place, what, hint } = error else { return error };
    let chars: Vec<char> = what.chars().collect();
    let quotes = |text: &str| match text.chars().count() {
        0..3 => false,
        3..=QUOTE => what.contains(text),
        _ => chars.windows(QUOTE).any(|window| text.contains(&window.iter().collect::<String>())),
    };
    let kind = what.split(':').next().unwrap_or_default().to_owned();
    let what = if strings(messages).into_iter().any(quotes) { kind } else { what };
    Error::Invalid { place, what, hint }
}

/// Every string within a value, keys excepted.
pub(crate) fn strings(value: &Json) -> Vec<&str> {
    match value {
        Json::String(text) => vec![text],
        Json::Array(items) => items.iter().flat_map(strings).collect(),
        Json::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Runs `work` where the depth of a caller's stack does not matter. Only the pages that are touched are real.
fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|e| Error::new(NAME, format!("cannot start a thread to render in: {e}")))?;
        thread.join().unwrap_or_else(|_| Err(Error::new(NAME, "the interpreter failed, expected text or an error")))
    })
}

/// Messages as JSON objects, without the fields that are null.
pub(crate) fn plain_messages<M: Serialize>(messages: &[M]) -> Result<Vec<Json>> {
    let plain = |(n, message): (usize, &M)| match serde_json::to_value(message) {
        Ok(Json::Object(mut fields)) => {
            fields.retain(|_, value| !value.is_null());
            Ok(Json::Object(fields))
        }
        _ => Err(Error::new(format!("message {n}"), "not an object, expected {role, content}")),
    };
    messages.iter().enumerate().map(plain).collect()
}

/// An answer's reasoning under every name that templates read: `reasoning_content`, and `thinking` where it is absent.
fn with_reasoning_names(mut message: Json) -> Json {
    if let Json::Object(fields) = &mut message {
        let reasoning =
            ["reasoning_content", "thinking", "reasoning"].iter().find_map(|name| fields.get(*name)).cloned();
        if let Some(reasoning) = reasoning {
            fields.entry("thinking").or_insert_with(|| reasoning.clone());
            fields.insert("reasoning_content".into(), reasoning);
        }
    }
    message
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Lenient);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(MAX_RECURSION);
    env.add_filter("tojson", json::tojson);
    env.add_function("raise_exception", |message: &Value| -> std::result::Result<Value, minijinja::Error> {
        let error = minijinja::Error::new(ErrorKind::InvalidOperation, "raise_exception");
        Err(error.with_source(Raised(message.to_string())))
    });
    python::install(&mut env);
    env
}

fn set_clock(env: &mut Environment<'static>, clock: Clock) {
    env.add_function("strftime_now", move |format: &str| {
        clock.format(format).map_err(|_| {
            minijinja::Error::new(ErrorKind::InvalidOperation, "strftime_now: unknown directive in the format")
        })
    });
}

fn from_minijinja(error: &minijinja::Error) -> Error {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut inner = error;
    while let Some(e) = source {
        if let Some(Raised(message)) = e.downcast_ref() {
            return Error::Raised { message: message.clone() };
        }
        if let Some(e) = e.downcast_ref() {
            inner = e;
        }
        source = e.source();
    }
    let place = error.line().map_or(NAME.to_owned(), |line| format!("{NAME}, line {line}"));
    let detail = inner.detail().map(|d| format!(": {}", one_line(d))).unwrap_or_default();
    match inner.kind() {
        ErrorKind::OutOfFuel => {
            Error::new(place, "does not end within its budget").hint("the chat is far too long, or the template loops")
        }
        kind => Error::new(place, format!("{kind}{detail}")),
    }
}

/// Makes `{% generation %}…{% endgeneration %}` a plain block with a scope of its own, which is what it is when
/// nobody asks for the mask. Only the tag's name changes, so whitespace control and line numbers stay.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut raw = false;
    while let Some(at) = rest.find("{%").into_iter().chain(rest.find("{{")).chain(rest.find("{#")).min() {
        let (text, tag) = rest.split_at(at);
        out.push_str(text);
        let end = if raw && !tag.starts_with("{%") { 2 } else { tag_end(tag) };
        let (tag, after) = tag.split_at(end);
        let word = tag.trim_start_matches(['{', '%', '-', '+']).trim_end_matches(['}', '%', '-', '+']).trim();
        match word {
            "raw" if tag.starts_with("{%") => raw = true,
            "endraw" => raw = false,
            _ => {}
        }
        match word {
            "generation" if !raw && tag.starts_with("{%") => out.push_str(&tag.replace("generation", "with")),
            "endgeneration" if !raw && tag.starts_with("{%") => out.push_str(&tag.replace("generation", "with")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Length of the tag at the start of `source`: up to its closing delimiter outside of strings and dictionaries.
fn tag_end(source: &str) -> usize {
    if source.starts_with("{#") {
        return source.find("#}").map_or(source.len(), |at| at + 2);
    }
    let close: &[u8] = if source.starts_with("{%") { b"%}" } else { b"}}" };
    let bytes = source.as_bytes();
    let mut quote = None;
    let mut depth = 0;
    let mut at = 2;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(q), c) if c == q => quote = None,
            (None, c @ (b'"' | b'\'')) => quote = Some(c),
            (None, _) if depth == 0 && bytes[at..].starts_with(close) => return at + 2,
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    source.len()
}
