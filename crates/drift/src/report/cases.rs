//! The reader for cases: what was asked, answered, complained about, and answered afresh.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::numbers::Estimate;
use super::read::{Folder, content, string};

/// Caps on what one page embeds; what is cut is counted on the page.
const TRAIN_CAP: usize = 200;
const HELD_OUT_CAP: usize = 100;
const SEED_CAP: usize = 50;
const TURN_CAP: usize = 12;
const TEXT_CAP: usize = 4000;

/// The head (or tail) of a text, with the number of characters left out.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Clip {
    pub text: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Clip {
    pub fn head(text: &str) -> Clip {
        let cut = text.char_indices().nth(TEXT_CAP).map_or(text.len(), |(at, _)| at);
        Clip { text: visible(&text[..cut]), more: text[cut..].chars().count() }
    }

    fn tail(text: &str) -> Clip {
        let more = text.chars().count().saturating_sub(TEXT_CAP);
        let cut = text.char_indices().nth(more).map_or(text.len(), |(at, _)| at);
        Clip { text: visible(&text[cut..]), more }
    }
}

/// Control characters as pictures and bidirectional overrides by number: log text is hostile, and what
/// a reader sees should be what the model saw.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        match char {
            '\r' if text[at..].starts_with("\r\n") => {}
            '\n' | '\t' => shown.push(char),
            '\0'..='\x1f' => shown.extend(char::from_u32(0x2400 + char as u32)),
            '\x7f' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.push_str(&format!("[U+{:04X}]", char as u32));
            }
            _ => shown.push(char),
        }
    }
    shown
}

#[derive(Debug, Serialize)]
pub struct Turn {
    role: String,
    text: Clip,
}

/// The user's feedback, cut at its cue.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Feedback {
    before: Clip,
    cue: Clip,
    after: Clip,
}

impl Feedback {
    /// `cue` is a byte range; one that does not fit the text marks nothing.
    pub fn new(text: &str, cue: Option<(usize, usize)>) -> Feedback {
        let parts = cue.and_then(|(start, end)| Some((text.get(..start)?, text.get(start..end)?, text.get(end..)?)));
        let (before, cue, after) = parts.unwrap_or(("", "", text));
        Feedback { before: Clip::tail(before), cue: Clip::head(cue), after: Clip::head(after) }
    }
}

#[derive(Debug, Serialize)]
pub struct Answer {
    /// Whose: `base model`, `iteration 1` …
    of: String,
    text: Clip,
    mode: Option<String>,
    finish: Option<String>,
    tokens: Option<usize>,
    overlap: Option<f64>,
}

/// A case, or a seed pair (which has a satisfying answer of the log instead of feedback).
#[derive(Debug, Serialize)]
pub struct Entry {
    id: String,
    seed: bool,
    split: Option<String>,
    detector: Option<String>,
    rubric: Option<String>,
    confidence: Option<f64>,
    /// Turns left out before the first of `context`.
    earlier: usize,
    context: Vec<Turn>,
    rejected: Clip,
    feedback: Option<Feedback>,
    satisfying: Option<Clip>,
    answers: Vec<Answer>,
    /// Of the held-out pair, by the stage after which it was measured.
    margins: Vec<(String, f64)>,
}

/// How one stage's answers were drawn.
#[derive(Debug, Default, Serialize)]
pub struct Sampled {
    pub answers: u64,
    pub guided: u64,
    pub unguided: u64,
    /// Unguided answers in the place of a guided one that was a near copy or whose prompt was too long.
    pub fallback: u64,
    /// Answers that ran into the length limit.
    pub cut: u64,
    /// Median word overlap of the guided answers with the rejected ones, 0 to 1.
    pub guided_overlap: Option<f64>,
}

/// How far the held-out answers moved from the base model, in nats an answer.
#[derive(Debug, Default, Serialize)]
pub struct Shifts {
    pub chosen: Option<Estimate>,
    pub rejected: Option<Estimate>,
}

/// Fresh answers and margins by the id of their case, in the order of the stages.
#[derive(Default)]
pub struct Answers {
    fresh: HashMap<String, Vec<Answer>>,
    margins: HashMap<String, Vec<(String, f64)>>,
}

impl Answers {
    /// Takes in a `sample/candidates.jsonl`.
    pub fn read_candidates(&mut self, folder: &mut Folder, of: &str, path: &str) -> Option<Sampled> {
        let (mut sampled, mut overlaps) = (Sampled::default(), Vec::new());
        let there = folder.lines(path, |row| {
            let answer = Answer {
                of: of.to_owned(),
                text: Clip::head(row.get("text").and_then(Value::as_str).unwrap_or_default()),
                mode: string(&row, "mode"),
                finish: string(&row, "finish"),
                tokens: row.get("ids").and_then(Value::as_array).map(Vec::len),
                overlap: row.get("overlap").and_then(Value::as_f64),
            };
            sampled.answers += 1;
            sampled.cut += u64::from(answer.finish.as_deref() == Some("length"));
            match answer.mode.as_deref() {
                Some("guided") => {
                    sampled.guided += 1;
                    overlaps.extend(answer.overlap);
                }
                Some("unguided") => sampled.unguided += 1,
                Some("fallback") => sampled.fallback += 1,
                _ => {}
            }
            if let Some(id) = string(&row, "case") {
                self.fresh.entry(id).or_default().push(answer);
            }
        });
        overlaps.sort_by(f64::total_cmp);
        sampled.guided_overlap = overlaps.get(overlaps.len() / 2).copied();
        there.then_some(sampled)
    }

    /// Takes in an `evaluate/pairs.jsonl`.
    pub fn read_verdicts(&mut self, folder: &mut Folder, of: &str, path: &str) -> Shifts {
        let (mut chosen, mut rejected) = (Vec::new(), Vec::new());
        folder.lines(path, |row| {
            let number = |name: &str| row.get(name).and_then(Value::as_f64);
            let conversation = string(&row, "conversation").or_else(|| string(&row, "case")).unwrap_or_default();
            let shift = |side: &str| {
                let shift = number(&format!("{side}_logp"))? - number(&format!("base_{side}_logp"))?;
                Some((conversation.clone(), shift))
            };
            chosen.extend(shift("chosen"));
            rejected.extend(shift("rejected"));
            if let Some((id, margin)) = string(&row, "case").zip(number("margin")) {
                self.margins.entry(id).or_default().push((of.to_owned(), margin));
            }
        });
        Shifts { chosen: Estimate::mean_by(&chosen), rejected: Estimate::mean_by(&rejected) }
    }
}

#[derive(Debug, Default, Serialize)]
pub struct Cases {
    pub total: u64,
    pub train: u64,
    pub held_out: u64,
    pub seeds: u64,
    pub seeds_held_out: u64,
    /// Cases with fresh answers before others, those of training before held-out ones, else as in the file.
    pub entries: Vec<Entry>,
}

impl Cases {
    pub fn read(folder: &mut Folder, cases: &str, seeds: &str, mut answers: Answers) -> Cases {
        let mut found = Cases::default();
        let mut ranks: [Vec<Entry>; 4] = Default::default();
        folder.lines(cases, |row| {
            found.total += 1;
            let entry = Entry::read(&row, &mut answers);
            let held_out = entry.split.as_deref() == Some("held_out");
            found.held_out += u64::from(held_out);
            found.train += u64::from(entry.split.as_deref() == Some("train"));
            let rank = &mut ranks[2 * usize::from(entry.answers.is_empty()) + usize::from(held_out)];
            if rank.len() < if held_out { HELD_OUT_CAP } else { TRAIN_CAP } {
                rank.push(entry);
            }
        });
        found.entries = ranks.into_iter().flatten().take(TRAIN_CAP + HELD_OUT_CAP).collect();
        folder.lines(seeds, |row| {
            found.seeds += 1;
            found.seeds_held_out += u64::from(row.get("split").and_then(Value::as_str) == Some("held_out"));
            if found.seeds <= SEED_CAP as u64 {
                let satisfying = Some(Clip::head(&content(&row, "chosen").unwrap_or_default()));
                found.entries.push(Entry { seed: true, feedback: None, satisfying, ..Entry::read(&row, &mut answers) });
            }
        });
        found
    }
}

impl Entry {
    fn read(row: &Value, answers: &mut Answers) -> Entry {
        let turns = row.get("prompt").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let earlier = turns.len().saturating_sub(TURN_CAP);
        let turn = |message: &Value| Turn {
            role: string(message, "role").unwrap_or_default(),
            text: Clip::head(message.get("content").and_then(Value::as_str).unwrap_or_default()),
        };
        let evidence = row.get("evidence").unwrap_or(&Value::Null);
        let bound = |at: usize| evidence.get("cue")?.get(at)?.as_u64().and_then(|at| usize::try_from(at).ok());
        let feedback = content(row, "user_preference").unwrap_or_default();
        let id = string(row, "id").unwrap_or_default();
        Entry {
            answers: answers.fresh.remove(&id).unwrap_or_default(),
            margins: answers.margins.remove(&id).unwrap_or_default(),
            id,
            seed: false,
            split: string(row, "split"),
            detector: string(evidence, "detector"),
            rubric: string(evidence, "rubric"),
            confidence: evidence.get("confidence").and_then(Value::as_f64),
            earlier,
            context: turns[earlier..].iter().map(turn).collect(),
            rejected: Clip::head(&content(row, "rejected").unwrap_or_default()),
            feedback: Some(Feedback::new(&feedback, bound(0).zip(bound(1)))),
            satisfying: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cue_is_cut_out_by_bytes_and_a_wrong_one_marks_nothing() {
        let clip = |text: &str| Clip { text: text.to_owned(), more: 0 };
        let cut = Feedback::new("né, that's wrong!", Some((5, 17)));
        assert_eq!(cut, Feedback { before: clip("né, "), cue: clip("that's wrong"), after: clip("!") });
        for wrong in [(2, 3), (5, 99), (5, 4)] {
            let cut = Feedback::new("né, no", Some(wrong));
            assert_eq!(cut, Feedback { after: clip("né, no"), ..Feedback::default() }, "{wrong:?}");
        }
    }

    #[test]
    fn clips_count_what_they_leave_out() {
        let text = "é".repeat(TEXT_CAP) + "tail";
        assert_eq!(Clip::head(&text), Clip { text: "é".repeat(TEXT_CAP), more: 4 });
        let tail = Clip::tail(&text);
        assert!(tail.more == 4 && tail.text.ends_with("étail"));
    }

    #[test]
    fn control_characters_are_seen() {
        assert_eq!(visible("a\r\nb\rc\0\x1b[2J\u{202e}d\u{85}\t"), "a\nb␍c␀␛[2J[U+202E]d[U+0085]\t");
    }
}
