//! The look of an answer: brackets, lines, lists, emphasis, templates.

use super::Kind;
use super::Need::Text;
use super::emoji::is_emoji;
use super::sentences::sentences;
use super::text::{is_lower, is_upper, trimmed, unpunctuated};
use super::tokens::tokens;

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "format:parentheses", needs: &[], met: |_, text| nests_brackets(text) },
    Kind { name: "format:quotes", needs: &[], met: |_, text| nests_quotes(text) },
    Kind { name: "format:options", needs: &[Text("options")], met: |a, text| is_option(a.text("options"), text) },
    Kind {
        name: "format:newline",
        needs: &[],
        met: |_, text| {
            let text = unpunctuated(text);
            text.trim().split('\n').filter(|line| !line.is_empty()).count() == text.split_whitespace().count()
        },
    },
    Kind { name: "format:emoji", needs: &[], met: |_, text| emoji_end_sentences(text) },
    Kind { name: "format:line_indent", needs: &[], met: |_, text| indents_each_line(text) },
    Kind { name: "format:quote_unquote", needs: &[], met: |_, text| explains_quotes(text) },
    Kind { name: "format:list", needs: &[Text("sep")], met: |a, text| text.matches(a.text("sep")).count() >= 2 },
    Kind { name: "format:thesis", needs: &[], met: |_, text| has_thesis(text) },
    Kind {
        name: "format:sub-bullets",
        needs: &[],
        // Every asterisk counts as a bullet and every hyphen as one below it; without a bullet nothing is missing.
        met: |_, text| text.split('*').skip(1).all(|bullet| bullet.contains('-')),
    },
    Kind { name: "format:no_bullets_bullets", needs: &[], met: |_, text| bullets_after_sentences(text) },
    Kind {
        name: "format:title_case",
        needs: &[],
        met: |_, text| !tokens(text).iter().any(|token| is_uncapitalised(token)),
    },
    Kind {
        name: "format:output_template",
        needs: &[],
        met: |_, text| ["My Answer:", "My Conclusion:", "Future Outlook:"].iter().all(|part| text.contains(part)),
    },
    Kind { name: "format:no_whitespace", needs: &[], met: |_, text| !text.contains(char::is_whitespace) },
];

/// Whether five brackets are open at once and the innermost is closed. One that closes nothing starts over.
fn nests_brackets(text: &str) -> bool {
    let mut open = Vec::new();
    let mut deepest = 0;
    for c in text.chars() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => match open.pop() == Some(c) {
                true if deepest >= 5 => return true,
                true => {}
                false => {
                    open.clear();
                    deepest = 0;
                }
            },
            _ => {}
        }
        deepest = deepest.max(open.len());
    }
    false
}

/// Whether straight quotes of both kinds in turn nest to some depth, and three levels below it are closed. An apostrophe
/// is a quote.
fn nests_quotes(text: &str) -> bool {
    let mut open = Vec::new();
    let mut deepest = 0;
    for c in text.chars().filter(|c| matches!(c, '"' | '\'')) {
        if open.last() == Some(&c) {
            open.pop();
            if deepest - open.len() >= 3 {
                return true;
            }
        } else {
            open.push(c);
            deepest = deepest.max(open.len());
        }
    }
    false
}

/// Letters as options must be given to the character; of words, case and punctuation around them do not count.
fn is_option(options: &str, text: &str) -> bool {
    let separator = if options.contains('/') {
        "/"
    } else if options.contains("or") {
        "or"
    } else {
        ","
    };
    let letters = options.chars().filter(|c| c.is_alphanumeric() || *c == '_').take(3).collect::<String>();
    let mut options = options.split(separator).map(str::trim);
    match letters.eq_ignore_ascii_case("abc") {
        true => options.any(|option| option == text),
        false => options.any(|option| trimmed(option).to_lowercase() == trimmed(text).to_lowercase()),
    }
}

/// At the end of each sentence, or the beginning of the next.
fn emoji_end_sentences(text: &str) -> bool {
    let sentences: Vec<String> =
        sentences(text).iter().map(|sentence| unpunctuated(sentence).trim().to_string()).collect();
    // The last character may be a variation of the emoji before it.
    let ends = |sentence: &str| sentence.chars().rev().take(2).any(is_emoji);
    let begins = |sentence: &String| sentence.starts_with(is_emoji);
    let met = |(i, sentence): (usize, &String)| {
        !sentence.is_empty() && (ends(sentence) || sentences.get(i + 1).is_some_and(begins))
    };
    sentences.iter().enumerate().all(met)
}

/// Blank lines do not count, but of several in a row the official check overlooks every other.
fn indents_each_line(text: &str) -> bool {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim().is_empty()
            && let Some(first) = lines.iter().position(|line| *line == lines[at])
        {
            lines.remove(first);
        }
        at += 1;
    }
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    lines.windows(2).all(|pair| indent(pair[0]) < indent(pair[1]))
}

/// Whether something stands between any two quotes, and after the last.
fn explains_quotes(text: &str) -> bool {
    let text = text.replace(['“', '”'], "\"").replace("'\"'", "");
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let rest = text.trim_matches(|c: char| c.is_ascii_digit() || (c.is_ascii_punctuation() && c != '"'));
    !text.contains("\"\"") && !rest.is_empty() && !rest.ends_with('"')
}

/// Whether there are italics in HTML with text in them and after them.
fn has_thesis(text: &str) -> bool {
    let Some(start) = text.find("<i>").or_else(|| text.find("<em>")) else { return false };
    let text = &text[start..];
    let Some(end) = text.find("</i>").or_else(|| text.find("</em>")) else { return false };
    // As long as the tags `<i>` and `</i>`, whichever were found.
    !text[3..end].trim().is_empty() && !text[end + 4..].trim().is_empty()
}

/// Lines with at least two sentences, then at least two lines of bullets, then nothing; a blank line ends the first part.
fn bullets_after_sentences(text: &str) -> bool {
    let mut in_sentences = true;
    let (mut sentences_seen, mut bullets) = (0, 0);
    for line in text.split('\n').map(str::trim) {
        if line.starts_with('*') {
            if sentences_seen < 2 {
                return false;
            }
            in_sentences = false;
            bullets += 1;
        } else if in_sentences {
            let found = sentences(line).len();
            sentences_seen += found;
            in_sentences = found > 0;
        } else {
            return false;
        }
    }
    bullets >= 2
}

/// A word of two letters or more that begins with a small one and goes on in one case.
fn is_uncapitalised(token: &str) -> bool {
    let mut rest = token.chars();
    let small = rest.next().is_some_and(char::is_lowercase);
    small && (is_lower(rest.as_str()) || is_upper(rest.as_str()))
}
