//! What a sentence is to the official checks (the rule is IFEval's): `.`, `?` and `!` each end one, unless a full stop
//! belongs to a title, an abbreviation, a number, an initial or a web address. Two marks in a row thus make two
//! sentences, the second without a word. Line breaks are spaces.

/// Before a full stop that ends nothing.
const TITLES: [&str; 5] = ["Mr", "St", "Mrs", "Ms", "Dr"];
/// Words, after which a full stop ends a sentence only before a [`STARTERS`].
const COMPANIES: [&str; 5] = [" Inc", " Ltd", " Jr", " Sr", " Co"];
/// After a full stop that ends nothing, whatever else follows.
const DOMAINS: [&str; 7] = ["com", "net", "org", "io", "gov", "edu", "me"];
/// What begins a sentence after an abbreviation.
const STARTERS: [&str; 20] = [
    "Mr", "Mrs", "Ms", "Dr", "Prof", "Capt", "Cpt", "Lt", "He ", "She ", "It ", "They ", "Their ", "Our ", "We ",
    "But ", "However ", "That ", "This ", "Wherever",
];

#[derive(Clone, Copy)]
struct Piece {
    c: char,
    /// A full stop that ends nothing.
    inner: bool,
    /// The sentence ends after it.
    last: bool,
}

/// Sentences without the white space around them.
pub fn sentences(text: &str) -> Vec<String> {
    let spaces = |c| if c == '\n' { ' ' } else { c };
    let chars = [' '].into_iter().chain(text.chars().map(spaces)).chain([' ', ' ']);
    let mut line = Line(chars.map(|c| Piece { c, inner: false, last: false }).collect());
    line.titles_and_addresses();
    line.decimals();
    line.ellipses();
    line.degrees();
    line.acronyms();
    line.companies_and_initials();
    line.marks_after_quotes();
    line.split()
}

struct Line(Vec<Piece>);

impl Line {
    /// Whether there is a full stop of which nothing is known yet.
    fn open(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|piece| piece.c == '.' && !piece.inner)
    }

    fn open_stops(&self) -> Vec<usize> {
        (1..self.0.len()).filter(|&at| self.open(at)).collect()
    }

    fn is(&self, at: usize, which: fn(&char) -> bool) -> bool {
        self.0.get(at).is_some_and(|piece| which(&piece.c))
    }

    fn ends_before(&self, at: usize, word: &str) -> bool {
        let mut before = self.0[..at].iter().rev().map(|piece| piece.c);
        word.chars().rev().all(|c| before.next() == Some(c))
    }

    fn begins_after(&self, at: usize, word: &str) -> bool {
        let mut after = self.0[at + 1..].iter().map(|piece| piece.c);
        word.chars().all(|c| after.next() == Some(c))
    }

    /// Whether a space and a word that begins a sentence come after this.
    fn starter_after(&self, at: usize) -> bool {
        let starts = |word: &&str| match word.strip_suffix(' ') {
            // White space of any kind ends these words.
            Some(word) => {
                self.begins_after(at + 1, word)
                    && self.0.get(at + 2 + word.len()).is_some_and(|after| after.c.is_whitespace())
            }
            None => self.begins_after(at + 1, word),
        };
        self.begins_after(at, " ") && STARTERS.iter().any(starts)
    }

    fn titles_and_addresses(&mut self) {
        for at in self.open_stops() {
            let title = TITLES.iter().any(|title| self.ends_before(at, title));
            self.0[at].inner = title || DOMAINS.iter().any(|domain| self.begins_after(at, domain));
        }
    }

    /// A digit belongs to one number only: of `1.2.3` the second stop is open.
    fn decimals(&mut self) {
        let mut free = 0;
        for at in self.open_stops() {
            if at > free && self.is(at - 1, char::is_ascii_digit) && self.is(at + 1, char::is_ascii_digit) {
                self.0[at].inner = true;
                free = at + 2;
            }
        }
    }

    /// Two stops or more in a row end a sentence together.
    fn ellipses(&mut self) {
        let stops = self.open_stops();
        for run in stops.chunk_by(|a, b| a + 1 == *b).filter(|run| run.len() > 1) {
            for &at in run {
                self.0[at].inner = true;
            }
            self.0[run[run.len() - 1]].last = true;
        }
    }

    fn degrees(&mut self) {
        for at in self.open_stops() {
            if self.ends_before(at, "Ph") && self.begins_after(at, "D") && self.open(at + 2) {
                self.0[at].inner = true;
                self.0[at + 2].inner = true;
            }
        }
    }

    /// `U.S.`, `e.g.`: stops after single letters in a row end nothing, but the last of capitals does before a starter.
    fn acronyms(&mut self) {
        for at in self.open_stops() {
            let capitals = at >= 3
                && self.is(at - 1, char::is_ascii_uppercase)
                && self.open(at - 2)
                && self.is(at - 3, char::is_ascii_uppercase);
            self.0[at].last = capitals && self.starter_after(at);
        }
        for letters in [3, 2] {
            let mut at = 0;
            while at < self.0.len() {
                let pair = |i: usize| self.is(at + 2 * i, char::is_ascii_alphabetic) && self.open(at + 2 * i + 1);
                if (0..letters).all(pair) {
                    for i in 0..letters {
                        self.0[at + 2 * i + 1].inner = true;
                    }
                    at += 2 * letters;
                } else {
                    at += 1;
                }
            }
        }
    }

    fn companies_and_initials(&mut self) {
        for at in self.open_stops() {
            let initial = at >= 2
                && self.is(at - 1, char::is_ascii_alphabetic)
                && (self.is(at - 2, |c| *c == ' ') || (self.0[at - 2].c.is_whitespace() && self.begins_after(at, " ")));
            let company = COMPANIES.iter().any(|company| self.ends_before(at, company));
            self.0[at] = match company && self.starter_after(at) {
                // The official rule drops this stop.
                true => Piece { c: ' ', inner: false, last: true },
                false => Piece { inner: initial || company, ..self.0[at] },
            };
        }
    }

    /// A quote after a mark belongs to its sentence; the mark comes last.
    fn marks_after_quotes(&mut self) {
        for (mark, quote) in [('.', '”'), ('.', '"'), ('!', '"'), ('?', '"')] {
            let mut at = 0;
            while at + 1 < self.0.len() {
                let (piece, next) = (self.0[at], self.0[at + 1]);
                if piece.c == mark && !piece.inner && next.c == quote {
                    self.0.swap(at, at + 1);
                    at += 1;
                }
                at += 1;
            }
        }
    }

    fn split(self) -> Vec<String> {
        let mut found = Vec::new();
        let mut sentence = String::new();
        for Piece { c, inner, last } in self.0 {
            sentence.push(c);
            if last || (matches!(c, '.' | '?' | '!') && !inner) {
                found.push(sentence.trim().to_string());
                sentence.clear();
            }
        }
        if !sentence.trim().is_empty() {
            found.push(sentence.trim().to_string());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let cases: [(&str, &[&str]); 15] = [
            ("One. Two!\nThree? four", &["One.", "Two!", "Three?", "four"]),
            ("Dr. Ho met Mr. Li.", &["Dr. Ho met Mr. Li."]),
            ("See a.com. It is 3.5.", &["See a.com.", "It is 3.5."]),
            ("Of 1.2.3 he", &["Of 1.2.", "3 he"]),
            ("So... and on", &["So...", "and on"]),
            ("What?! No!!", &["What?", "!", "No!", "!"]),
            ("A Ph.D. helps. e.g. this", &["A Ph.D. helps.", "e.g. this"]),
            ("The U.S. is big.", &["The U.S. is big."]),
            ("In the U.S. He won.", &["In the U.S.", "He won."]),
            ("At Acme Inc. she works.", &["At Acme Inc. she works."]),
            ("At Acme Inc. They work.", &["At Acme Inc", "They work."]),
            ("J. Smith, plan B. Then", &["J. Smith, plan B. Then"]),
            ("He said \"No.\" Then “Go.” So \"Why?\"", &["He said \"No\".", "Then “Go”.", "So \"Why\"?"]),
            ("  ", &[]),
            ("...", &["..."]),
        ];
        for (text, expected) in cases {
            assert_eq!(sentences(text), expected, "{text:?}");
        }
    }
}
