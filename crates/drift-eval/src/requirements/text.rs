//! What a word, a sentence, a paragraph, a list item is. Every check counts by these definitions and no others.
//!
//! | unit | definition |
//! |---|---|
//! | word | a longest run of letters and digits; an apostrophe or hyphen between two of them belongs to it |
//! | sentence | ends with `.`, `!`, `?` or `…` (then closing quotes, brackets, emphasis) before white space, at a blank line, and around a list item or heading; holds a letter or digit. `Dr.`, `e.g.`, an initial such as `J.`, and the number of a list item end none |
//! | paragraph | lines between blank lines with a letter or digit in them |
//! | bullet | a line that starts with `-`, `*`, `+` or `•`, white space and text |
//! | numbered item | a line that starts with digits, `.` or `)`, white space and text |
//! | heading | a line of one to six `#`, a space and text |

/// The words of a text, in order.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = &rest[rest.find(char::is_alphanumeric)?..];
        let mut end = 0;
        let mut joiner = false;
        for (at, c) in rest.char_indices() {
            if c.is_alphanumeric() {
                end = at + c.len_utf8();
                joiner = false;
            } else if joiner || !matches!(c, '\'' | '’' | '-') {
                break;
            } else {
                joiner = true;
            }
        }
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

/// Lower case, with straight apostrophes: what two words are compared by.
pub fn folded(text: &str) -> String {
    text.to_lowercase().replace('’', "'")
}

pub fn folded_words(text: &str) -> Vec<String> {
    words(text).map(folded).collect()
}

/// How often the words of `phrase` follow each other in `text`, in any case and whatever punctuation is between them.
pub fn occurrences(text: &str, phrase: &str) -> usize {
    let (text, phrase) = (folded_words(text), folded_words(phrase));
    if phrase.is_empty() { 0 } else { text.windows(phrase.len()).filter(|window| *window == phrase).count() }
}

pub fn paragraphs(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            found.push(String::new());
        } else if let Some(paragraph) = found.last_mut() {
            paragraph.push_str(line);
            paragraph.push('\n');
        }
    }
    found.retain(|paragraph| paragraph.contains(char::is_alphanumeric));
    found
}

/// The text of a bullet.
pub fn bullet(line: &str) -> Option<&str> {
    after_mark(line.trim_start().strip_prefix(['-', '*', '+', '•'])?)
}

/// The number and the text of a numbered item. `None` as a number where it has more digits than any list.
pub fn numbered(line: &str) -> Option<(Option<u32>, &str)> {
    let line = line.trim_start();
    let digits = line.find(|c: char| !c.is_ascii_digit()).filter(|&digits| digits > 0)?;
    let text = after_mark(line[digits..].strip_prefix(['.', ')'])?)?;
    Some((line[..digits].parse().ok(), text))
}

/// The text of a heading.
pub fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    if (1..=6).contains(&(line.len() - text.len())) { after_mark(text) } else { None }
}

fn after_mark(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    (text.starts_with(char::is_whitespace) && trimmed.contains(char::is_alphanumeric)).then_some(trimmed)
}

const ABBREVIATIONS: [&str; 10] = ["mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "no"];

pub fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        let item = bullet(line).or(numbered(line).map(|(_, text)| text)).or(heading(line));
        if line.trim().is_empty() || item.is_some() {
            finish(&mut current, &mut found);
        }
        split_line(item.unwrap_or(line.trim()), &mut current, &mut found);
        if heading(line).is_some() {
            finish(&mut current, &mut found);
        }
        current.push(' ');
    }
    finish(&mut current, &mut found);
    found
}

fn split_line(line: &str, current: &mut String, found: &mut Vec<String>) {
    let mut ended = false;
    for c in line.chars() {
        let end = matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？');
        let closer = matches!(c, '"' | '\'' | '”' | '’' | ')' | ']' | '*' | '_');
        if ended && c.is_whitespace() {
            finish(current, found);
        }
        ended = (end && !(c == '.' && abbreviates(current))) || (ended && closer);
        current.push(c);
        if matches!(c, '。' | '！' | '？') {
            finish(current, found);
        }
    }
    if ended {
        finish(current, found);
    }
}

/// Whether a full stop after this text belongs to its last word.
fn abbreviates(text: &str) -> bool {
    let word = text.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“')).next().unwrap_or("");
    let mut letters = word.chars();
    let initial = letters.next().is_some_and(|c| c.is_uppercase() && c != 'I') && letters.next().is_none();
    initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

fn finish(current: &mut String, found: &mut Vec<String>) {
    if current.contains(char::is_alphanumeric) {
        found.push(current.trim().to_string());
    }
    current.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_by_hand() {
        let text = "Don't stop - it’s a well-known, 3.5-litre 'jar'--really. Ünï";
        let expected = ["Don't", "stop", "it’s", "a", "well-known", "3", "5-litre", "jar", "really", "Ünï"];
        assert_eq!(words(text).collect::<Vec<_>>(), expected);
        assert_eq!(words("' - ' …").count(), 0);
        assert_eq!(occurrences("It's on. IT’S, on! its on", "it's on"), 2);
        assert_eq!(occurrences("anything", "…"), 0);
    }

    #[test]
    fn sentences_by_hand() {
        let text = "# Plan\nDr. J. Smith (e.g. \"Jo\") came.\nHe said \"Stop!\" Then he\nleft...  Why?!\n\n1. Eat\n2. Rest. Sleep\n";
        let expected = [
            "Plan",
            "Dr. J. Smith (e.g. \"Jo\") came.",
            "He said \"Stop!\"",
            "Then he left...",
            "Why?!",
            "Eat",
            "Rest.",
            "Sleep",
        ];
        assert_eq!(sentences(text), expected);
        assert_eq!(sentences("今日は。雨です"), ["今日は。", "雨です"]);
        assert!(sentences("... !\n---\n").is_empty());
    }

    #[test]
    fn lines_by_hand() {
        assert_eq!(bullet("  - tea"), Some("tea"));
        assert_eq!([bullet("-tea"), bullet("**bold** text"), bullet("* * *"), bullet("---")], [None; 4]);
        assert_eq!(numbered("12) go"), Some((Some(12), "go")));
        assert_eq!([numbered("2024 was"), numbered("1.5 litres"), numbered(") x")], [None; 3]);
        assert_eq!(numbered("99999999999999. go"), Some((None, "go")));
        assert_eq!([heading("## A b"), heading("#tag"), heading("####### x")], [Some("A b"), None, None]);
        assert_eq!(paragraphs("a\nb\n \n\n***\n\nc"), ["a\nb\n", "c\n"]);
    }
}
