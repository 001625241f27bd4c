//! Words, as the official checks count them. They differ from kind to kind, hence several definitions.

/// Without ASCII punctuation, what is around it closing up: `don't` is `dont`.
pub fn unpunctuated(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_punctuation()).collect()
}

/// Without ASCII punctuation and spaces around it.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(is_mark)
}

pub fn is_mark(c: char) -> bool {
    c.is_ascii_punctuation() || c == ' '
}

/// Longest runs of letters, digits and underscores: `don't` is two.
pub fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_word(c)).filter(|run| !run.is_empty())
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Longest runs of digits.
pub fn numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty())
}

/// ASCII alone: Latin letters lose their accents, everything else that is not ASCII goes.
pub fn ascii(text: &str) -> String {
    const ACCENTED: [(char, &str); 40] = [
        ('A', "ÀÁÂÃÄÅĀĂĄ"),
        ('C', "ÇĆĈĊČ"),
        ('D', "Ď"),
        ('E', "ÈÉÊËĒĔĖĘĚ"),
        ('G', "ĜĞĠĢ"),
        ('H', "Ĥ"),
        ('I', "ÌÍÎÏĨĪĬĮİ"),
        ('K', "Ķ"),
        ('L', "ĹĻĽ"),
        ('N', "ÑŃŅŇ"),
        ('O', "ÒÓÔÕÖŌŎŐ"),
        ('R', "ŔŖŘ"),
        ('S', "ŚŜŞŠȘ"),
        ('T', "ŢŤȚ"),
        ('U', "ÙÚÛÜŨŪŬŮŰŲ"),
        ('W', "Ŵ"),
        ('Y', "ÝŶŸ"),
        ('Z', "ŹŻŽ"),
        ('a', "àáâãäåāăą"),
        ('c', "çćĉċč"),
        ('d', "ď"),
        ('e', "èéêëēĕėęě"),
        ('g', "ĝğġģ"),
        ('h', "ĥ"),
        ('i', "ìíîïĩīĭį"),
        ('j', "ĵ"),
        ('k', "ķ"),
        ('l', "ĺļľ"),
        ('n', "ñńņň"),
        ('o', "òóôõöōŏő"),
        ('r', "ŕŗř"),
        ('s', "śŝşšș"),
        ('t', "ţťț"),
        ('u', "ùúûüũūŭůűų"),
        ('w', "ŵ"),
        ('y', "ýŷÿ"),
        ('z', "źżž"),
        ('J', "Ĵ"),
        (' ', "\u{a0}\u{202f}\u{2009}"),
        ('-', "\u{2011}"),
    ];
    let base = |c: char| {
        let plain = c.is_ascii().then_some(c);
        plain.or_else(|| ACCENTED.iter().find(|(_, accented)| accented.contains(c)).map(|(base, _)| *base))
    };
    text.chars().filter_map(base).collect()
}

/// Whether there are letters with a case and all are lower.
pub fn is_lower(text: &str) -> bool {
    text.contains(char::is_lowercase) && !text.contains(char::is_uppercase)
}

/// Whether there are letters with a case and all are upper.
pub fn is_upper(text: &str) -> bool {
    text.contains(char::is_uppercase) && !text.contains(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(unpunctuated("It's 1,000.5 - a “test”!"), "Its 10005  a “test”");
        assert_eq!((trimmed(" (so.) "), trimmed("\n- x"), trimmed("...")), ("so", "\n- x", ""));
        assert_eq!(runs("It's a_b, 1.5!").collect::<Vec<_>>(), ["It", "s", "a_b", "1", "5"]);
        assert_eq!(numbers("a1b22, 3").collect::<Vec<_>>(), ["1", "22", "3"]);
        assert_eq!(ascii("Chișinău, São Tomé, Côte d’Ivoire, Łódź"), "Chisinau, Sao Tome, Cote dIvoire, odz");
        assert!(is_lower("it's") && !is_lower("'") && !is_lower("iT") && is_upper("I'M") && !is_upper("I'm"));
    }
}
