//! Sentences with slots.

use super::Parameters;

/// Replaces each `{slot}` once, from the left: what is put in is not looked at again. Unknown slots stay.
pub(crate) fn fill(template: &str, mut slot: impl FnMut(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((slot(name)?, after))) {
            Some((value, after)) => {
                filled.push_str(&value);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

pub(super) fn with(sentence: &str, parameters: &Parameters) -> String {
    fill(sentence, |slot| match slot {
        "n" => Some(parameters.n.to_string()),
        "m" => Some(parameters.m.to_string()),
        "number" => Some(in_letters(parameters.n)),
        "word" => Some(parameters.word().to_string()),
        "words" => Some(quoted(&parameters.words)),
        _ => None,
    })
}

const NUMBERS: [&str; 13] =
    ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

fn in_letters(n: usize) -> String {
    NUMBERS.get(n).map_or_else(|| n.to_string(), |name| name.to_string())
}

/// `"a"`, `"a" and "b"`, `"a", "b" and "c"`.
fn quoted(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// A sentence as it continues another: its first letter small, unless its first word is more than a capitalised word
/// (`I`, `JSON`).
pub(crate) fn without_capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => sentence.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_by_hand() {
        let parameters = Parameters { n: 3, m: 40, words: vec!["{n}".into(), "b".into(), "c".into()] };
        let filled = with("{number} or {n} to {m}: {word}, {words} {x} {", &parameters);
        assert_eq!(filled, "three or 3 to 40: {n}, \"{n}\", \"b\" and \"c\" {x} {");
        assert_eq!(
            ["Use it.", "I asked.", "JSON, please."].map(without_capital),
            ["use it.", "I asked.", "JSON, please."]
        );
    }
}
