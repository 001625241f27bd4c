//! Names of persons, where a text says that they are: `my name is …`, `Dear Mr …`, a signature. No list of names and no
//! model, so a name that only occurs in passing stays.

use std::ops::Range;

use regex::Regex;

use crate::types::Chat;

pub(super) struct Names {
    introduced: Regex,
}

/// One or two capitalised words, perhaps with an initial between them.
const NAME: &str = r"(\p{Lu}[\p{L}'’-]+(?:[ \t]+\p{Lu}\.)?(?:[ \t]+\p{Lu}[\p{L}'’-]+)?)";

/// Capitalised words that follow such an introduction and are no names.
const NO_NAMES: &[&str] = &[
    "Sir",
    "Madam",
    "All",
    "Team",
    "Hiring",
    "Manager",
    "Customer",
    "Friend",
    "Friends",
    "Everyone",
    "Sirs",
    "Reader",
    "I",
    "The",
    "This",
    "Not",
    "Chat",
    "GPT",
    "ChatGPT",
    "Bard",
    "Professor",
    "Doctor",
    "Colleague",
    "Colleagues",
];

impl Names {
    pub fn new() -> Names {
        let cues = [
            format!(r"(?:[Mm]y name is|[Mm]y name's|[Ii] am called|[Mm]y name:|\bName:)[ \t]+{NAME}"),
            format!(r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Señora?|Monsieur|Madame)\.?[ \t]+{NAME}"),
            format!(r"(?m)^(?:Dear|Hi|Hello|Hey)[ \t]+{NAME}[ \t]*[,:!]"),
            format!(
                r"(?:[Rr]egards|[Ss]incerely|[Cc]heers|[Yy]ours(?: truly)?),?[ \t]*\r?\n\s*{NAME}[ \t]*(?:\r?\n|$)"
            ),
        ];
        Names { introduced: Regex::new(&cues.join("|")).expect("pattern fixed here") }
    }

    /// Every name that the chat introduces: as it was written, and its parts of three letters or more.
    pub fn of(&self, chat: &Chat) -> Vec<String> {
        let mut known = Vec::new();
        for message in &chat.messages {
            for found in self.introduced.captures_iter(&message.content) {
                let Some(name) = found.iter().skip(1).flatten().next() else { continue };
                let parts = name.as_str().split_whitespace().filter(|part| part.chars().count() >= 3);
                let parts: Vec<&str> = parts.filter(|part| !NO_NAMES.contains(part)).collect();
                known.extend(parts.iter().map(|part| part.to_string()));
                if parts.len() > 1 {
                    known.push(name.as_str().to_string());
                }
            }
        }
        // the longest first: a whole name is one name
        known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        known.dedup();
        known
    }

    /// Where `known` names stand as whole words in `text`.
    pub fn find(known: &[String], text: &str) -> Vec<Range<usize>> {
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let stands = |start: usize, end: usize| {
            !text[..start].ends_with(in_word) && !text[end..].starts_with(in_word) && !text[..start].ends_with('<')
        };
        let places = known.iter().flat_map(|name| text.match_indices(name.as_str()));
        places.map(|(start, name)| start..start + name.len()).filter(|range| stands(range.start, range.end)).collect()
    }
}
