//! Where minijinja differs from Jinja2 on Python values: printing, tests, filters, methods of str, list and dict.
//!
//! Known and left, as no chat template has been seen to need it: the `%` operator on strings, a unary plus, `\U`
//! escapes, `varargs` and `kwargs` of macros, an iteration over none (empty here, an error there), comparisons of
//! different types (an order here, an error there), and a few filters and methods, which are unknown here. The cases
//! marked `gap` in `tests/template_cases.json` have each of them.

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};

use crate::json::repr_float;

type Result<T> = std::result::Result<T, Error>;

pub fn install(env: &mut Environment<'static>) {
    env.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::None => out.write_str(&text(state, value)?).map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    });
    env.set_unknown_method_callback(method);
    env.add_filter("string", |state: &State, value: &Value| text(state, value));
    env.add_filter("trim", |state: &State, value: &Value, chars: Option<&str>| {
        Ok::<_, Error>(strip(&text(state, value)?, chars).to_owned())
    });
    env.add_filter("default", default);
    env.add_filter("d", default);
    env.add_filter("int", int);
    env.add_filter("float", |value: &Value, default: Option<f64>| number(value).unwrap_or(default.unwrap_or(0.0)));
    env.add_filter("indent", indent);
    env.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String | ValueKind::Undefined)
    });
    env.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    env.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    env.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    env.add_function("joiner", minijinja_contrib::globals::joiner);
}

/// Containers nested deeper than this are an error when printed.
const MAX_DEPTH: usize = 200;

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// `str(value)`.
fn text(state: &State, value: &Value) -> Result<String> {
    match value.kind() {
        ValueKind::Number | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            let mut out = String::new();
            repr(state, value, &mut out, 0)?;
            Ok(out)
        }
        _ => Ok(value.to_string()),
    }
}

/// `repr(value)`.
///
/// Lists may be lazy and endless (`x + x` over and over), so every item is paid for.
fn repr(state: &State, value: &Value, out: &mut String, depth: usize) -> Result<()> {
    state.consume_fuel(1)?;
    if depth > MAX_DEPTH {
        return Err(invalid("value is nested too deeply to print"));
    }
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => out.push_str(&format!("{value:?}")),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(x) => out.push_str(&repr_float(x)),
            Err(_) => out.push_str(&value.to_string()),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            out.push(open);
            for (n, item) in value.try_iter()?.enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                repr(state, &item, out, depth + 1)?;
            }
            if value.is_tuple() && value.len() == Some(1) {
                out.push(',');
            }
            out.push(close);
        }
        // Dictionaries, not the objects that only print themselves, as loops and namespaces.
        ValueKind::Map => {
            out.push('{');
            for (n, key) in value.try_iter()?.enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                repr(state, &key, out, depth + 1)?;
                out.push_str(": ");
                repr(state, &value.get_item(&key)?, out, depth + 1)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// The argument that a Python signature has at `n` under `name`, given by either.
pub fn argument(args: &[Value], n: usize, kwargs: &Kwargs, name: &str) -> Result<Option<Value>> {
    match args.get(n) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get(name),
    }
}

fn default(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value> {
    let other = argument(&args, 0, &kwargs, "default_value")?.unwrap_or_else(|| "".into());
    let boolean = argument(&args, 1, &kwargs, "boolean")?.is_some_and(|flag| flag.is_true());
    kwargs.assert_all_used()?;
    Ok(if value.is_undefined() || (boolean && !value.is_true()) { other } else { value.clone() })
}

/// `float(value)`, where it does not raise.
fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => strip(text, None).parse().ok(),
        None => f64::try_from(value.clone())
            .ok()
            .or_else(|| (value.kind() == ValueKind::Bool).then(|| value.is_true() as u8 as f64)),
    }
}

/// The `int` filter: what is no number gives the default.
fn int(value: &Value, default: Option<i64>, base: Option<u32>) -> i64 {
    let parsed = value.as_str().and_then(|text| {
        let text = strip(text, None);
        let (prefix, base) = match base.unwrap_or(10) {
            16 => ("0x", 16),
            8 => ("0o", 8),
            2 => ("0b", 2),
            0 if text.starts_with("0x") => ("0x", 16),
            0 if text.starts_with("0o") => ("0o", 8),
            0 if text.starts_with("0b") => ("0b", 2),
            base @ 3..=36 => ("", base),
            _ => ("", 10),
        };
        i64::from_str_radix(text.strip_prefix(prefix).unwrap_or(text), base).ok()
    });
    let exact = || if value.is_integer() { i64::try_from(value.clone()).ok() } else { None };
    let rounded = || number(value).filter(|x| x.is_finite()).map(|x| x as i64);
    parsed.or_else(exact).or_else(rounded).unwrap_or(default.unwrap_or(0))
}

/// The `indent` filter: `width` is a number of spaces or the text itself.
fn indent(state: &State, value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String> {
    let width = argument(&args, 0, &kwargs, "width")?.unwrap_or_else(|| 4.into());
    let first = argument(&args, 1, &kwargs, "first")?.is_some_and(|flag| flag.is_true());
    let blank = argument(&args, 2, &kwargs, "blank")?.is_some_and(|flag| flag.is_true());
    kwargs.assert_all_used()?;
    let margin = match width.as_str() {
        Some(margin) => margin.to_owned(),
        None => " ".repeat(i64::try_from(width)?.clamp(0, 1000) as usize),
    };
    let mut out = String::new();
    for (n, line) in (text(state, value)? + "\n").split_inclusive('\n').enumerate() {
        state.consume_fuel(1 + margin.len() as u64 / 64)?;
        if (n > 0 || first) && (blank || !line.trim_end_matches('\n').is_empty()) {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    out.pop();
    Ok(out)
}

/// White space of Python's `str`: Unicode's, and the four information separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn strip<'a>(text: &'a str, chars: Option<&str>) -> &'a str {
    match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)),
        None => text.trim_matches(is_space),
    }
}

fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value> {
    let done = match value.kind() {
        ValueKind::String => string_method(state, value.as_str().unwrap_or_default(), name, args)?,
        ValueKind::Map if name == "copy" => {
            let () = from_args(args)?;
            Some(value.clone())
        }
        ValueKind::Seq if name == "index" => {
            let (item,): (Value,) = from_args(args)?;
            let mut found = None;
            for (n, other) in value.try_iter()?.enumerate() {
                state.consume_fuel(1)?;
                if other == item {
                    found = Some(n.into());
                    break;
                }
            }
            Some(found.ok_or_else(|| invalid("index: not in the list"))?)
        }
        _ => None,
    };
    match done {
        Some(done) => Ok(done),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// The methods of `str` that minijinja-contrib lacks or does differently; None for the others.
fn string_method(state: &State, s: &str, name: &str, args: &[Value]) -> Result<Option<Value>> {
    Ok(Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            let drop = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
            let s = if name == "rstrip" { s } else { s.trim_start_matches(drop) };
            if name == "lstrip" { s } else { s.trim_end_matches(drop) }.into()
        }
        "split" | "rsplit" => {
            let (sep, limit, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
            let sep = sep.or(kwargs.get("sep")?).filter(|sep| !sep.is_none());
            let limit = limit.or(kwargs.get("maxsplit")?).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
            kwargs.assert_all_used()?;
            let sep =
                sep.as_ref().map(|sep| sep.as_str().ok_or_else(|| invalid("split: the separator must be a string")));
            state.consume_fuel(s.len() as u64 / 16)?;
            split(s, sep.transpose()?, limit, name == "rsplit")?.into()
        }
        "splitlines" => {
            let (keep,): (Option<bool>,) = from_args(args)?;
            state.consume_fuel(s.len() as u64 / 16)?;
            split_lines(s, keep.unwrap_or(false)).into()
        }
        "partition" | "rpartition" => {
            let (sep,): (&str,) = from_args(args)?;
            let parts = match (sep.is_empty(), name == "partition") {
                (true, _) => return Err(invalid("partition: empty separator")),
                (_, true) => s.split_once(sep).map_or([s, "", ""], |(a, b)| [a, sep, b]),
                (_, false) => s.rsplit_once(sep).map_or(["", "", s], |(a, b)| [a, sep, b]),
            };
            Tuple::from(parts.map(Value::from)).into()
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let (part, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let Some((before, s)) = window(s, start, end) else {
                return if name.ends_with("index") {
                    Err(invalid("index: not in the string"))
                } else {
                    Ok(Some(if name == "count" { 0 } else { -1 }.into()))
                };
            };
            let at = if name.starts_with('r') { s.rfind(part) } else { s.find(part) };
            match (name, at) {
                ("count", _) => s.matches(part).count().into(),
                (_, Some(at)) => (before + s[..at].chars().count()).into(),
                ("index" | "rindex", None) => return Err(invalid("index: not in the string")),
                (_, None) => (-1).into(),
            }
        }
        "startswith" | "endswith" => {
            let (parts, start, end): (Value, Option<i64>, Option<i64>) = from_args(args)?;
            let parts: Vec<Value> = if parts.is_tuple() { parts.try_iter()?.collect() } else { vec![parts] };
            let mut any = false;
            for part in &parts {
                let part =
                    part.as_str().ok_or_else(|| invalid(format!("{name}: expected a string or a tuple of them")))?;
                let fits = |s: &str| if name == "startswith" { s.starts_with(part) } else { s.ends_with(part) };
                any |= window(s, start, end).is_some_and(|(_, s)| fits(s));
            }
            any.into()
        }
        "join" => {
            let (parts,): (Value,) = from_args(args)?;
            let mut out = String::new();
            for (n, part) in parts.try_iter()?.enumerate() {
                let part = part.as_str().ok_or_else(|| invalid("join: expected strings"))?;
                state.consume_fuel(1 + s.len() as u64 / 64)?;
                out.push_str(if n > 0 { s } else { "" });
                out.push_str(part);
            }
            out.into()
        }
        "title" => {
            let () = from_args(args)?;
            let mut in_word = false;
            let mut out = String::with_capacity(s.len());
            for c in s.chars() {
                if in_word {
                    out.extend(c.to_lowercase())
                } else {
                    out.extend(c.to_uppercase())
                }
                in_word = c.is_lowercase() || c.is_uppercase();
            }
            out.into()
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swap =
                |c: char| if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() };
            s.chars().map(swap).collect::<String>().into()
        }
        "removeprefix" | "removesuffix" => {
            let (part,): (&str,) = from_args(args)?;
            let rest = if name == "removeprefix" { s.strip_prefix(part) } else { s.strip_suffix(part) };
            rest.unwrap_or(s).into()
        }
        "ljust" | "rjust" | "center" | "zfill" => {
            let (width, fill): (i64, Option<&str>) = from_args(args)?;
            let missing = usize::try_from(width).unwrap_or(0).saturating_sub(s.chars().count());
            state.consume_fuel(missing as u64 / 16)?;
            pad(s, name, width, missing, fill)?.into()
        }
        "format" => {
            // A width is an allocation: none of more than three digits, and none from the arguments.
            let wide = |spec: &str| spec.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 3);
            let nested = s.replace("{{", "").split('}').any(|field| field.matches('{').count() > 1);
            if nested || s.split([':', '%']).skip(1).any(wide) {
                return Err(invalid("format: width too large"));
            }
            return Ok(None);
        }
        _ => return Ok(None),
    }))
}

fn split(s: &str, sep: Option<&str>, limit: usize, from_right: bool) -> Result<Vec<Value>> {
    let mut parts = Vec::new();
    match sep {
        Some("") => return Err(invalid("split: empty separator")),
        Some(sep) if from_right => {
            parts.extend(s.rsplitn(limit.saturating_add(1), sep).map(Value::from));
            parts.reverse();
        }
        Some(sep) => parts.extend(s.splitn(limit.saturating_add(1), sep).map(Value::from)),
        None => {
            let skip =
                |s| if from_right { str::trim_end_matches(s, is_space) } else { str::trim_start_matches(s, is_space) };
            let mut rest = skip(s);
            while !rest.is_empty() {
                let cut = match from_right {
                    _ if parts.len() == limit => None,
                    false => rest.split_once(is_space),
                    true => rest.rsplit_once(is_space).map(|(rest, part)| (part, rest)),
                };
                let (part, after) = cut.unwrap_or((rest, ""));
                parts.push(part.into());
                rest = skip(after);
            }
            if from_right {
                parts.reverse();
            }
        }
    }
    Ok(parts)
}

/// Python ends a line at more characters than a line feed.
fn split_lines(s: &str, keep: bool) -> Vec<Value> {
    let ends =
        |c| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = s;
    while let Some(at) = rest.find(ends) {
        let end = if rest[at..].starts_with("\r\n") {
            at + 2
        } else {
            at + rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        lines.push(Value::from(&rest[..if keep { end } else { at }]));
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        lines.push(rest.into());
    }
    lines
}

/// `s[start:end]` and the number of characters before it; None where `start` lies behind the end.
fn window(s: &str, start: Option<i64>, end: Option<i64>) -> Option<(usize, &str)> {
    if start.is_none() && end.is_none() {
        return Some((0, s));
    }
    let length = s.chars().count() as i64;
    let clamp = |at: i64| if at < 0 { (at + length).max(0) } else { at };
    let (start, end) = (clamp(start.unwrap_or(0)), clamp(end.unwrap_or(length)).min(length));
    let byte = |at: i64| s.char_indices().nth(at as usize).map_or(s.len(), |(byte, _)| byte);
    (start <= end).then(|| (start as usize, &s[byte(start)..byte(end)]))
}

fn pad(s: &str, name: &str, width: i64, missing: usize, fill: Option<&str>) -> Result<String> {
    let fill = if name == "zfill" { "0" } else { fill.unwrap_or(" ") };
    if fill.chars().count() != 1 {
        return Err(invalid("the fill character must be exactly one character"));
    }
    // CPython puts the odd character of `center` on the left when the width is odd.
    let left = match name {
        "ljust" => 0,
        "center" => missing / 2 + (missing & width as usize & 1),
        _ => missing,
    };
    let (sign, digits) = match s.strip_prefix(['-', '+']) {
        Some(digits) if name == "zfill" => s.split_at(s.len() - digits.len()),
        _ => ("", s),
    };
    Ok(format!("{sign}{}{digits}{}", fill.repeat(left), fill.repeat(missing - left)))
}
