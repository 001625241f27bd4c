//! Instructions that are a task of their own, with a format for its answer.

use super::Kind;
use super::delimited::rows;
use super::sentences::sentences;
use super::text::{ascii, is_word, numbers, trimmed, unpunctuated};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "custom:multiples",
        needs: &[],
        met: |_, text| numbers(text).eq(["14", "21", "28", "35", "42", "49"]),
    },
    Kind { name: "custom:mcq_count_length", needs: &[], met: |_, text| has_growing_questions(text) },
    Kind { name: "custom:reverse_newline", needs: &[], met: |_, text| lists_africa_backwards(text) },
    Kind {
        name: "custom:word_reverse",
        needs: &[],
        met: |_, text| {
            let text = unpunctuated(text).to_lowercase();
            let mut words: Vec<&str> = text.split_whitespace().collect();
            words.reverse();
            words.join(" ").contains("bald eagle")
        },
    },
    Kind { name: "custom:character_reverse", needs: &[], met: |_, text| text.to_lowercase().contains("elgae dlab") },
    Kind {
        name: "custom:sentence_alphabet",
        needs: &[],
        met: |_, text| {
            let firsts = sentences(text).iter().map(|s| s.to_lowercase().chars().next()).collect::<Option<String>>();
            firsts.is_some_and(|firsts| firsts == "abcdefghijklmnopqrstuvwxyz")
        },
    },
    Kind {
        name: "custom:european_capitals_sort",
        needs: &[],
        met: |_, text| {
            let text = ascii(text);
            text.split(',').map(str::trim).filter(|capital| !capital.is_empty()).eq(CAPITALS.split(' '))
        },
    },
    Kind { name: "custom:csv_city", needs: &[], met: |_, text| is_city_table(text).unwrap_or(false) },
    Kind { name: "custom:csv_special_character", needs: &[], met: |_, text| is_product_table(text).unwrap_or(false) },
    Kind { name: "custom:csv_quotes", needs: &[], met: |_, text| is_quoted_table(text).unwrap_or(false) },
    Kind {
        name: "custom:date_format_list",
        needs: &[],
        met: |_, text| text.trim().split(',').all(|date| is_date_of_napoleon(date.trim()).unwrap_or(false)),
    },
];

/// The capitals north of 45 degrees, as the benchmark has them and sorts them.
const CAPITALS: &str = "\
    Reykjavik Helsinki Oslo Tallinn Stockholm Riga Moscow Copenhagen Vilnius Minsk Dublin Berlin Amsterdam Warsaw \
    London Brussels Prague Luxembourg Paris Vienna Bratislava Budapest Vaduz Chisinau Bern Ljubljana Zagreb";

/// Four questions, each with five options and longer than the one before, and nothing before them.
fn has_growing_questions(text: &str) -> bool {
    let lengths: Option<Vec<usize>> =
        questions(text).iter().map(|question| length_with_five_options(question)).collect();
    text.starts_with("Question")
        && lengths.is_some_and(|lengths| lengths.len() == 4 && lengths.is_sorted_by(|before, after| before < after))
}

/// What stands between `Question 1.`, `Question 2:` and so on.
fn questions(text: &str) -> Vec<&str> {
    const LABEL: &str = "Question ";
    let mut found = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(at) = rest[from..].find(LABEL).map(|at| from + at) {
        let after = &rest[at + LABEL.len()..];
        let text = after.trim_start_matches(|c: char| c.is_ascii_digit());
        if text.len() == after.len() {
            from = at + LABEL.len();
            continue;
        }
        found.push(&rest[..at]);
        rest = text.strip_prefix(['.', '|', ')', ':', ';']).unwrap_or(text);
        from = 0;
    }
    found.push(rest);
    found.into_iter().map(str::trim).filter(|question| !question.is_empty()).collect()
}

/// Characters of a question before its options, if these are five.
fn length_with_five_options(question: &str) -> Option<usize> {
    let mut words = Vec::new();
    let mut options = 0;
    for line in question.split('\n').map(str::trim) {
        if is_choice(line) {
            options += 1;
        } else if options == 0 {
            words.push(line);
        }
    }
    (options == 5).then(|| words.join(" ").trim().chars().count())
}

/// `A) text`.
fn is_choice(line: &str) -> bool {
    let text = line.strip_prefix(|c| matches!(c, 'A'..='E' | 'a'..='e'));
    let text = text.and_then(|text| text.strip_prefix(['.', '|', ')']));
    text.is_some_and(|text| text.trim_start().starts_with(is_word))
}

/// From the line with Zimbabwe on, at least 52 lines from Z to A.
fn lists_africa_backwards(text: &str) -> bool {
    let lines = text.split('\n').map(trimmed).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.skip_while(|line| !line.contains("Zimbabwe")).map(ascii).collect();
    lines.len() >= 52 && lines.is_sorted_by(|before, after| before >= after)
}

fn is_city_table(text: &str) -> Option<bool> {
    let rows = rows(text, ',')?;
    let header = rows.first()? == &["ID", "Country", "City", "Year", "Count"];
    Some(header && rows.len() == 8 && rows.iter().all(|row| row.len() == 5))
}

/// Fourteen rows, and in quotes a field with a character beyond letters, digits and spaces; the rows after it are not
/// looked at.
fn is_product_table(text: &str) -> Option<bool> {
    let header = has_header(text, ',', &[' ', '\t'], ["ProductID", "Category", "Brand", "Price", "Stock"]);
    // A tripled quote is read as one that belongs to the field.
    let rows = rows(&text.replace('"', "\"\"\""), ',')?;
    let special = rows.iter().skip(1).position(|row| row.iter().any(|field| is_special(field)))? + 1;
    Some(header && rows.len() == 15 && rows[1..=special].iter().all(|row| row.len() == 5))
}

fn is_special(field: &str) -> bool {
    let quoted = field.split('\n').next().and_then(|line| line.strip_prefix('"'));
    let inside = quoted.and_then(|line| line.rfind('"').map(|end| &line[..end]));
    inside.is_some_and(|inside| inside.contains(|c: char| !is_word(c) && !c.is_whitespace()))
}

fn is_quoted_table(text: &str) -> Option<bool> {
    let header = has_header(text, '\t', &[' '], ["StudentID", "Subject", "Grade", "Semester", "Score"]);
    let rows = rows(&text.replace('"', "\"\"\""), '\t')?;
    let quoted = |field: &String| field.trim().starts_with('"') && field.trim().ends_with('"');
    Some(header && rows.len() == 4 && rows.iter().all(|row| row.len() == 5 && row.iter().all(quoted)))
}

/// Whether the first line has these names, in quotes or not, with padding before all but the first.
fn has_header(text: &str, delimiter: char, padding: &[char], names: [&str; 5]) -> bool {
    let line = text.split('\n').next().unwrap_or("").trim();
    let fields = line.split(delimiter).enumerate();
    let fields = fields.map(|(i, field)| if i == 0 { field } else { field.trim_start_matches(padding) });
    fields.map(|field| field.strip_prefix('"').and_then(|f| f.strip_suffix('"')).unwrap_or(field)).eq(names)
}

/// `YYYY-MM-DD` within his life; a month of 00 is let pass with any day.
fn is_date_of_napoleon(date: &str) -> Option<bool> {
    let parts: Vec<&str> = date.split('-').collect();
    let shape = parts.iter().map(|part| part.len()).eq([4, 2, 2]);
    if !shape || !parts.iter().all(|part| part.bytes().all(|digit| digit.is_ascii_digit())) {
        return None;
    }
    let number = |i: usize| parts[i].parse::<u32>().ok();
    let days = match number(1)? {
        0 => 99,
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    Some((1769..=1821).contains(&number(0)?) && number(1)? <= 12 && number(2)? <= days)
}
