//! Answers in a form that a machine reads, and marked-up pieces of text.

use super::{Claim, Kind, Parameters};
use serde_json::Value;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "json-keys",
        claims: &[Claim::Whole],
        draw: |random, _| {
            let n = random.between(2, 3);
            Parameters::words(random, &["title", "summary", "text", "author", "mood", "details", "audience"], n)
        },
        asks: &[
            "Return it as a JSON object with the keys {words} and nothing else.",
            "Answer only with valid JSON that has exactly these keys: {words}.",
            "Format the whole answer as JSON; the keys are {words}.",
        ],
        faults: &[
            "I can't parse this as JSON with the keys {words}.",
            "It has to be valid JSON, only the keys {words}.",
            "My script chokes on that, I need a JSON object with {words}.",
        ],
        met: |p, answer| match json(answer) {
            Some(Value::Object(object)) => {
                object.len() == p.words.len() && p.words.iter().all(|k| object.contains_key(k))
            }
            _ => false,
        },
    },
    Kind {
        name: "json-list",
        claims: &[Claim::Whole],
        draw: |random, _| Parameters::n(random.between(3, 6)),
        asks: &[
            "Return only a JSON array of {n} strings.",
            "Give it as a JSON list with exactly {number} strings and no other text.",
            "The output must be a valid JSON array holding {number} strings.",
        ],
        faults: &[
            "That is no JSON array of {n} strings.",
            "I need a plain JSON list, {number} strings, nothing around it.",
            "The parser rejects this, please send an array of {number} strings.",
        ],
        met: |p, answer| match json(answer) {
            Some(Value::Array(list)) => list.len() == p.n && list.iter().all(Value::is_string),
            _ => false,
        },
    },
    Kind {
        name: "code-block",
        claims: &[Claim::Whole],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Put the whole answer inside one code block with triple backticks.",
            "Wrap everything in ``` so that I can copy it, with no text outside.",
            "The entire reply should be a single fenced code block (```).",
        ],
        faults: &[
            "It isn't inside a code block.",
            "I wanted all of it between triple backticks.",
            "There must not be any text outside the ``` block.",
        ],
        met: |_, answer| fenced(answer.trim()).is_some_and(|inside| !inside.contains("```")),
    },
    Kind {
        name: "comma-list",
        claims: &[Claim::Whole],
        draw: |random, _| Parameters::n(random.between(4, 8)),
        asks: &[
            "Reply with a single line of {number} items separated by commas.",
            "Just give me {n} keywords for it, comma separated, on one line.",
            "Boil it down to {number} short phrases in one line with commas between them.",
        ],
        faults: &[
            "I wanted one line with {number} comma separated items.",
            "Just the {n} items with commas, nothing more.",
            "That's not a line of {number} things with commas between.",
        ],
        met: |p, answer| {
            let answer = answer.trim();
            let items = answer.split(',').filter(|item| item.contains(char::is_alphanumeric)).count();
            answer.lines().count() == 1 && items == p.n && answer.matches(',').count() + 1 == p.n
        },
    },
    Kind {
        name: "quoted-whole",
        claims: &[Claim::Start, Claim::End],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Put double quotation marks around the entire answer.",
            "Your whole reply should be wrapped in double quotes.",
            "Start and finish with a \" so that the full text is quoted.",
        ],
        faults: &[
            "The quotation marks around the whole thing are missing.",
            "It should start and end with a double quote.",
            "I asked you to wrap the entire answer in quotes.",
        ],
        met: |_, answer| {
            let mut letters = answer.trim().chars();
            let (first, last) = (letters.next(), letters.next_back());
            matches!((first, last), (Some('"'), Some('"')) | (Some('“'), Some('”')))
        },
    },
    Kind {
        name: "highlights",
        claims: &[],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Highlight at least {number} phrases with markdown, *like this* or **like this**.",
            "Put {n} or more important parts in asterisks for emphasis.",
            "Make at least {number} key phrases bold or italic in markdown.",
        ],
        faults: &[
            "The highlighted phrases are missing, I need at least {number}.",
            "I don't see {n} parts emphasised with asterisks.",
            "Please actually highlight things, {number} at least.",
        ],
        met: |p, answer| answer.lines().map(highlights).sum::<usize>() >= p.n,
    },
    Kind {
        name: "placeholders",
        claims: &[],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Leave at least {number} placeholders in square brackets, such as [name], for me to fill in.",
            "Use {n} or more blanks like [date] or [place] that I can replace later.",
            "It is a draft, so put at least {number} [placeholders] in square brackets.",
        ],
        faults: &[
            "There aren't {number} placeholders in square brackets.",
            "I need blanks like [date] to fill in, at least {n}.",
            "How do I fill this in without the [placeholders]?",
        ],
        met: |p, answer| enclosed(answer, '[', ']') >= p.n,
    },
    Kind {
        name: "parentheses",
        claims: &[],
        draw: |random, _| Parameters::n(random.between(2, 3)),
        asks: &[
            "Add at least {number} remarks in parentheses.",
            "Use round brackets (like these) {n} times or more.",
            "I want at least {number} short asides in parentheses.",
        ],
        faults: &[
            "The remarks in parentheses are missing, {number} at least.",
            "I don't see {n} asides in round brackets.",
            "You skipped the bits in parentheses.",
        ],
        met: |p, answer| enclosed(answer, '(', ')') >= p.n,
    },
];

/// The answer as JSON; a code fence around all of it is allowed.
fn json(answer: &str) -> Option<Value> {
    let answer = answer.trim();
    serde_json::from_str(fenced(answer).unwrap_or(answer)).ok()
}

/// What is between a first line ```` ```word ```` and a last line ```` ``` ````.
fn fenced(answer: &str) -> Option<&str> {
    let (language, rest) = answer.strip_prefix("```")?.split_once('\n')?;
    let inside = rest.strip_suffix("```")?;
    (!language.contains('`') && (inside.is_empty() || inside.ends_with('\n'))).then_some(inside)
}

/// Pieces `*…*` and `**…**` of a line that hold a letter or digit and do not start or end with a space.
fn highlights(line: &str) -> usize {
    let mut count = 0;
    let mut rest = line;
    while let Some(start) = rest.find('*') {
        let text = rest[start..].trim_start_matches('*');
        let mark = &rest[start..rest.len() - text.len()];
        match text.find(mark) {
            Some(end) if mark.len() <= 3 && is_piece(&text[..end]) => {
                count += 1;
                rest = &text[end + mark.len()..];
            }
            _ => rest = text,
        }
    }
    count
}

fn is_piece(text: &str) -> bool {
    text == text.trim() && text.contains(char::is_alphanumeric)
}

/// Innermost pairs of brackets with a letter or digit between them.
fn enclosed(answer: &str, open: char, close: char) -> usize {
    let mut pieces = answer.split(open);
    pieces.next();
    pieces
        .filter_map(|piece| piece.split_once(close))
        .filter(|(inside, _)| inside.contains(char::is_alphanumeric))
        .count()
}
