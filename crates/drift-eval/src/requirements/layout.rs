//! How an answer is laid out: lists, paragraphs, sections.

use super::text::{bullet, heading, numbered, paragraphs};
use super::{Claim, Kind, Parameters};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "bullets",
        claims: &[Claim::Layout],
        draw: |random, _| Parameters::n(random.between(2, 6)),
        asks: &[
            "Use exactly {number} bullet points.",
            "Give it to me as {n} bullets, no more and no fewer.",
            "I need {number} bullet points in it.",
            "The answer should contain exactly {n} bullet points (lines starting with - or *).",
        ],
        faults: &[
            "I asked for {number} bullet points.",
            "That is not {n} bullets.",
            "Where are my {number} bullet points?",
            "Count the bullets again, I need {n}.",
        ],
        met: |p, answer| answer.lines().filter(|line| bullet(line).is_some()).count() == p.n,
    },
    Kind {
        name: "numbered-steps",
        claims: &[Claim::Layout, Claim::Digits],
        draw: |random, _| Parameters::n(random.between(3, 6)),
        asks: &[
            "Write it as a numbered list with exactly {number} items.",
            "Number your points from 1 to {n}.",
            "Break it into {number} numbered steps.",
        ],
        faults: &[
            "I wanted {number} numbered items.",
            "It should be numbered from 1 to {n}.",
            "The numbering is wrong, there should be {number} of them.",
        ],
        met: |p, answer| {
            let numbers: Vec<_> = answer.lines().filter_map(numbered).map(|(number, _)| number).collect();
            numbers.len() == p.n && (1..).zip(&numbers).all(|(expected, number)| *number == Some(expected))
        },
    },
    Kind {
        name: "paragraph-count",
        claims: &[Claim::Layout],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Write {number} paragraphs, separated by blank lines.",
            "It should have exactly {n} paragraphs with an empty line between them.",
            "Split the text into {number} paragraphs (leave a blank line after each).",
        ],
        faults: &[
            "That is not {number} paragraphs.",
            "I asked for exactly {n} paragraphs.",
            "Please count the paragraphs, there should be {number}.",
        ],
        met: |p, answer| paragraphs(answer).len() == p.n,
    },
    Kind {
        name: "one-block",
        claims: &[Claim::Layout, Claim::Lines],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Keep everything in a single paragraph without line breaks.",
            "No line breaks please, just one block of text.",
            "Write it all on one line.",
        ],
        faults: &[
            "I can't use line breaks in this.",
            "It was supposed to be one block of text.",
            "Why did you break it into several lines?",
        ],
        met: |_, answer| answer.trim().lines().count() == 1,
    },
    Kind {
        name: "no-lists",
        claims: &[Claim::Layout],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Do not use any bullet points or numbered lists.",
            "Prose only, no lists of any kind.",
            "Please write in flowing text, without listing things line by line.",
        ],
        faults: &[
            "I said no lists.",
            "You gave me a list, I wanted prose.",
            "I don't want any bullets or numbered lines in there.",
        ],
        met: |_, answer| !answer.lines().any(|line| bullet(line).is_some() || numbered(line).is_some()),
    },
    Kind {
        name: "headed-sections",
        claims: &[Claim::Layout],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Divide it into {number} sections, each under a markdown heading that starts with #.",
            "Use exactly {n} headings in markdown style, like \"## Heading\".",
            "Structure it with {number} markdown headings (#).",
        ],
        faults: &[
            "There should be {number} headings with a # in front.",
            "The headings are not as I asked, I need {n} of them.",
            "I was hoping for {number} sections with proper markdown headings.",
        ],
        met: |p, answer| answer.lines().filter(|line| heading(line).is_some()).count() == p.n,
    },
    Kind {
        name: "labelled-parts",
        claims: &[Claim::Layout, Claim::Digits],
        draw: |random, _| {
            let n = random.between(2, 4);
            Parameters::words(random, &["Part", "Section", "Day", "Chapter"], 1).and_n(n)
        },
        asks: &[
            "Label the parts \"{word} 1\" up to \"{word} {n}\", each label at the start of a line.",
            "It must have {number} parts; begin each on a new line with {word} and its number.",
            "Split it in {number}, with lines that begin {word} 1, {word} 2 and so on.",
        ],
        faults: &[
            "The parts are not labelled {word} 1 to {word} {n}.",
            "I need {number} parts that each begin with {word} and a number.",
            "Where is the {word} 1, {word} 2 labelling I asked for?",
        ],
        met: |p, answer| {
            let labels: Vec<&str> = answer.lines().filter_map(|line| label(line, p.word())).collect();
            labels.len() == p.n && (1..).zip(labels).all(|(number, label)| label.parse() == Ok::<usize, _>(number))
        },
    },
    Kind {
        name: "two-versions",
        claims: &[Claim::Layout, Claim::Start, Claim::End],
        draw: |_, _| Parameters::none(),
        asks: &[
            "Give me two different versions, separated by a line with only ******.",
            "I want two alternatives to choose from; put a line of six asterisks (******) between them.",
            "Write two different answers and divide them with ******.",
        ],
        faults: &[
            "I asked for two versions with ****** between them.",
            "I need two different alternatives, not this.",
            "Where is the second version, after the ******?",
        ],
        met: |_, answer| {
            let versions: Vec<&str> = answer.split("******").map(str::trim).collect();
            match versions[..] {
                [first, second] => first != second && [first, second].iter().all(|v| v.contains(char::is_alphanumeric)),
                _ => false,
            }
        },
    },
    Kind {
        name: "table",
        claims: &[Claim::Layout, Claim::Dashes],
        draw: |random, _| Parameters::n(random.between(2, 4)),
        asks: &[
            "Include a markdown table with at least {number} rows below its header.",
            "Put a table in it (markdown, with | between the columns and {n} or more rows).",
            "I would like a markdown table with {number} rows or more in the answer.",
        ],
        faults: &[
            "There is no proper table with {number} rows in it.",
            "I wanted a table, in markdown, {n} rows at least.",
            "The table is missing or too small.",
        ],
        met: |p, answer| table_rows(answer).is_some_and(|rows| rows >= p.n),
    },
];

/// What follows the label word, up to the next thing that is no digit: `1` of `**Part 1:** …`.
fn label<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '#' | '*' | '_'));
    let (start, rest) = (line.get(..word.len())?, &line[word.len()..]);
    let digits = rest.strip_prefix(' ')?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    (end > 0 && start.eq_ignore_ascii_case(word)).then_some(&digits[..end])
}

/// Rows below the header of the largest table: lines with `|` after one of dashes, colons and bars, which has a header
/// line before it.
fn table_rows(answer: &str) -> Option<usize> {
    let lines: Vec<&str> = answer.lines().map(str::trim).collect();
    let cells = |line: &str| line.contains('|') && line.contains(char::is_alphanumeric);
    let rule = |line: &str| {
        line.contains("--")
            && line.contains('|')
            && line.chars().all(|c| matches!(c, '-' | ':' | '|') || c.is_whitespace())
    };
    (1..lines.len())
        .filter(|&i| rule(lines[i]) && cells(lines[i - 1]))
        .map(|i| lines[i + 1..].iter().take_while(|line| cells(line)).count())
        .max()
}
