//! `json.dumps` as Python writes it, for the `tojson` filter of chat templates.

use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use crate::python::argument;

/// Containers nested deeper than this are an error, as in Python (whose limit is its stack).
const MAX_DEPTH: usize = 200;

/// The `tojson` filter of transformers: `json.dumps(x, ensure_ascii=False, indent=None, separators=None,
/// sort_keys=False)`. Unlike Jinja's own it escapes no HTML.
pub fn tojson(state: &State, value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let argument = |n, name| argument(&args, n, &kwargs, name);
    let ensure_ascii = argument(0, "ensure_ascii")?.is_some_and(|v| v.is_true());
    let sort_keys = argument(3, "sort_keys")?.is_some_and(|v| v.is_true());
    let indent = match argument(1, "indent")? {
        None => None,
        Some(v) if v.is_none() || v.is_undefined() => None,
        Some(v) => match v.as_str() {
            Some(text) => Some(text.to_owned()),
            None => Some(" ".repeat(i64::try_from(v)?.clamp(0, 64) as usize)),
        },
    };
    let separators = match argument(2, "separators")? {
        Some(v) if !v.is_none() => {
            let parts: Vec<Value> = v.try_iter()?.take(3).collect();
            match parts.as_slice() {
                [item, key] if item.as_str().is_some() && key.as_str().is_some() => (item.to_string(), key.to_string()),
                _ => return Err(Error::new(ErrorKind::InvalidOperation, "tojson: separators must be two strings")),
            }
        }
        _ if indent.is_some() => (",".into(), ": ".into()),
        _ => (", ".into(), ": ".into()),
    };
    kwargs.assert_all_used()?;
    let mut dump = Dump { out: String::new(), state, ensure_ascii, sort_keys, indent, separators };
    dump.value(value, 0)?;
    Ok(dump.out)
}

struct Dump<'a, 'b, 'c> {
    out: String,
    state: &'a State<'b, 'c>,
    ensure_ascii: bool,
    sort_keys: bool,
    /// What one level of indentation adds, where the output is spread over lines.
    indent: Option<String>,
    /// Between items, and between a key and its value.
    separators: (String, String),
}

impl Dump<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "tojson: value is nested too deeply"));
        }
        self.state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                let mut items = Vec::new();
                for item in value.try_iter()? {
                    self.state.consume_fuel(1)?;
                    items.push((None, item));
                }
                self.items('[', ']', items, depth)?;
            }
            ValueKind::Map => {
                let mut items = Vec::new();
                for key in value.try_iter()? {
                    let item = value.get_item(&key)?;
                    items.push((Some(key_text(&key)?), item));
                }
                if self.sort_keys {
                    items.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.items('{', '}', items, depth)?;
            }
            kind => {
                let what = format!("tojson: a value of type {kind} is not JSON serializable");
                return Err(Error::new(ErrorKind::BadSerialization, what));
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        open: char,
        close: char,
        items: Vec<(Option<String>, Value)>,
        depth: usize,
    ) -> Result<(), Error> {
        self.out.push(open);
        let empty = items.is_empty();
        for (n, (key, item)) in items.into_iter().enumerate() {
            if n > 0 {
                self.out.push_str(&self.separators.0);
            }
            self.newline(depth + 1);
            if let Some(key) = key {
                self.string(&key)?;
                self.out.push_str(&self.separators.1);
            }
            self.value(&item, depth + 1)?;
        }
        if !empty {
            self.newline(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn newline(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str(indent);
            }
        }
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.state.consume_fuel(text.len() as u64 / 16)?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ensure_ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }
}

/// A dictionary key that is no string is written as one: `{1: …}` becomes `{"1": …}`.
fn key_text(key: &Value) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::String => key.to_string(),
        ValueKind::None => "null".into(),
        ValueKind::Bool => if key.is_true() { "true" } else { "false" }.into(),
        ValueKind::Number => number(key),
        kind => {
            return Err(Error::new(ErrorKind::BadSerialization, format!("tojson: a {kind} cannot be a key")));
        }
    })
}

/// An integer as it is, a float as Python's `repr`: NaN and infinities by the names that `json.dumps` gives them.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(x) if x.is_nan() => "NaN".into(),
        Ok(x) if x.is_infinite() => if x > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Ok(x) => repr_float(x),
        Err(_) => value.to_string(),
    }
}

/// `repr(float)` of Python: the shortest digits that read back, in scientific notation below 1e-4 and from 1e16.
pub fn repr_float(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if x != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = x.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}
