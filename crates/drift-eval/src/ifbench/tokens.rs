//! Tokens of the Penn Treebank's kind as NLTK 3.10 makes them, as far as checks look: punctuation is apart, and so are
//! `n't`, `'s` and the like; a full stop is apart where a sentence ends.

use super::text::is_word;

/// Before full stops that end no sentence, besides initials.
const ABBREVIATIONS: [&str; 27] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "inc", "ltd", "co", "corp", "vs", "e.g", "i.e", "u.s", "u.k",
    "u.n", "a.m", "p.m", "d.c", "gen", "rep", "sen", "gov", "mt", "ph.d",
];
/// Words of two tokens, the first of three letters.
const JOINED: [&str; 6] = ["cannot", "gimme", "gonna", "gotta", "lemme", "wanna"];
/// Apart from the word before them; the last is a closing quote.
const CLITICS: [&str; 8] = ["n't", "'ll", "'re", "'ve", "'s", "'m", "'d", "'"];

pub fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut spaced = String::with_capacity(text.len() * 2);
    let mut at = 0;
    while at < chars.len() {
        let run = chars[at..].iter().take_while(|&&c| c == chars[at]).count();
        let next = chars.get(at + 1);
        let (apart, length) = match chars[at] {
            '.' if run > 1 => (true, run),
            '.' => (ends_sentence(&chars, at), 1),
            '-' if run > 1 => (true, 2),
            ',' | ':' => (next.is_none_or(|c| !c.is_ascii_digit()), 1),
            '\'' if run > 1 => (true, 2),
            '\'' => (opens_quote(&chars, at), 1),
            '`' => (true, run.min(2)),
            '\u{2012}'..='\u{2015}' => (true, 1),
            ';' | '@' | '#' | '$' | '%' | '&' | '?' | '!' | '*' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' => {
                (true, 1)
            }
            '"' | '“' | '”' | '‘' | '’' | '„' | '«' | '»' => (true, 1),
            _ => (false, 1),
        };
        if apart {
            spaced.push(' ');
        }
        spaced.extend(&chars[at..at + length]);
        if apart {
            spaced.push(' ');
        }
        at += length;
    }
    spaced.split_whitespace().flat_map(parts).map(str::to_string).collect()
}

/// Whether the full stop there ends a sentence: before white space, closing marks between, unless it abbreviates; the
/// last of a text does.
fn ends_sentence(chars: &[char], at: usize) -> bool {
    let closes = |c: &&char| matches!(c, ']' | ')' | '}' | '>' | '"' | '\'' | '»' | '”' | '’');
    let after = at + 1 + chars[at + 1..].iter().take_while(closes).count();
    if chars[after..].iter().all(|c| c.is_whitespace()) {
        return true;
    }
    let before = chars[..at].iter().rev().take_while(|c| c.is_alphanumeric() || **c == '.');
    let word: String = before.collect::<Vec<_>>().into_iter().rev().collect::<String>().to_lowercase();
    let initial = word.chars().count() == 1 && word.contains(char::is_alphabetic);
    chars[after].is_whitespace() && !initial && !ABBREVIATIONS.contains(&word.as_str())
}

/// Whether the apostrophe there begins a word that is not a clitic.
fn opens_quote(chars: &[char], at: usize) -> bool {
    let word: String = chars[at + 1..].iter().take_while(|c| is_word(**c)).collect();
    let clitic = ["re", "ve", "ll", "m", "t", "s", "d", "n"].contains(&word.to_lowercase().as_str());
    (at == 0 || !is_word(chars[at - 1])) && !word.is_empty() && !clitic
}

/// A word without the clitic at its end, and the clitic.
fn parts(word: &str) -> Vec<&str> {
    let lower = word.to_ascii_lowercase();
    if JOINED.contains(&lower.as_str()) {
        return vec![&word[..3], &word[3..]];
    }
    let ends =
        |clitic: &&&str| lower.strip_suffix(**clitic).is_some_and(|rest| !rest.is_empty() && !rest.ends_with('\''));
    match CLITICS.iter().find(ends) {
        Some(clitic) => {
            let (word, clitic) = word.split_at(word.len() - clitic.len());
            vec![word, clitic]
        }
        None => vec![word],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let cases = [
            ("Don't, she said.", "Do n't , she said ."),
            ("It's 3:45, i.e. \"late\".", "It 's 3:45 , i.e. \" late \" ."),
            ("Mr. Li left. He cannot (or won't) stay...", "Mr. Li left . He can not ( or wo n't ) stay ..."),
            ("well-known -- **bold** and/or 'so'", "well-known -- * * bold * * and/or ' so '"),
            ("In the U.S.", "In the U.S ."),
            ("a,b 1,5 e.g.\nx='y', `z`—'s", "a , b 1,5 e.g. x= ' y ' , ` z ` — 's"),
        ];
        for (text, expected) in cases {
            assert_eq!(tokens(text).join(" "), expected, "{text:?}");
        }
        assert!(tokens(" \n").is_empty());
    }
}
