//! The rules detector: cues in the turn and its surroundings, and what the turn has in common with
//! the messages around it, summed as log-odds. Deterministic, no model, millions of words a second.

use std::sync::{Arc, LazyLock};

use drift_chat::{Chat, Evidence};
use regex::{Regex, RegexSet, RegexSetBuilder};

use crate::cues::{CUES, Cue, Place};
use crate::detector::Detector;
use crate::label::{Label, Verdict};
use crate::languages::LANGUAGES;
use crate::similarity::{WordSet, hash, word_sets, words};
use crate::turn::{Turn, closing, opening};

/// Probabilities from which a turn counts as dissatisfied and as satisfied. Precision comes first:
/// a wrong case teaches the model to avoid a good answer.
pub const DSAT_THRESHOLD: f32 = 0.5;
pub const SAT_THRESHOLD: f32 = 0.3;

const NAME: &str = "rules";
/// Log-odds of a turn without any cue.
const DSAT_BIAS: f32 = -1.90;
const SAT_BIAS: f32 = -3.84;

/// In characters: what `Opening` sees of the turn, `Answer` and `Reply` of theirs.
const OPENING: usize = 160;
const ANSWER: usize = 220;
/// Turns above `SAID` characters are taken as their start and end.
const SAID: usize = 500;
const SAID_START: usize = 300;
const SAID_END: usize = 200;

/// A cue above this weight says by itself what the user minds.
const MENTION: f32 = 0.3;
/// For all patterns of a place as one automaton; an eighth of it is used.
const SET_BYTES: usize = 64 << 20;

/// What speaks for or against dissatisfaction beside the cues, in log-odds.
struct Signal {
    rubric: &'static str,
    dsat: f32,
}

/// The cues of one place: a set that says in one pass which of them are there, and each by itself
/// for its exception and its span.
struct Group {
    place: Place,
    set: RegexSet,
    cues: Vec<Compiled>,
}

struct Compiled {
    number: usize,
    cue: &'static Cue,
    pattern: Regex,
    unless: Option<Regex>,
}

/// A cue that counts, the text it is in, and that text's byte offset in the user's message, if it is from there.
struct Fired<'a> {
    compiled: &'a Compiled,
    text: &'a str,
    offset: Option<usize>,
}

/// Compiled once, shared between threads.
pub struct Rules {
    groups: Vec<Group>,
    cues: usize,
}

/// The rules, compiled at their first use.
static SHARED: LazyLock<Arc<Rules>> = LazyLock::new(|| Arc::new(Rules::new()));

impl Detector for Rules {
    fn name(&self) -> &'static str {
        NAME
    }

    fn thresholds(&self) -> [f32; 2] {
        [DSAT_THRESHOLD, SAT_THRESHOLD]
    }

    fn judge(&self, chat: &Chat, turns: &[Turn]) -> Vec<Label> {
        let sets = word_sets(chat); // each message taken apart once
        turns.iter().map(|turn| self.judge_one(chat, &sets, turn)).collect()
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules::new()
    }
}

impl Rules {
    pub fn new() -> Rules {
        let places = [Place::Opening, Place::Said, Place::Answer, Place::Reply];
        let all: Vec<&'static Cue> = CUES.iter().chain(LANGUAGES).collect();
        let groups = places.map(|place| {
            let compile = |(number, cue): (usize, &&'static Cue)| {
                let (pattern, unless) = cue.compile();
                Compiled { number, cue, pattern, unless }
            };
            let cues: Vec<_> = all.iter().enumerate().filter(|(_, cue)| cue.place == place).map(compile).collect();
            let set = RegexSetBuilder::new(cues.iter().map(|compiled| compiled.pattern.as_str()))
                .size_limit(SET_BYTES)
                .dfa_size_limit(SET_BYTES)
                .build()
                .expect("each of the patterns compiles by itself, and together they stay below the limit");
            Group { place, set, cues }
        });
        Rules { groups: groups.into(), cues: all.len() }
    }

    pub(crate) fn shared() -> Arc<Rules> {
        SHARED.clone()
    }

    /// How many cues there are.
    pub(crate) fn cues(&self) -> usize {
        self.cues
    }

    /// What each cue counts for dissatisfaction and for satisfaction, in the order of their numbers.
    pub(crate) fn cue_weights(&self) -> [Vec<f64>; 2] {
        let mut weights = [0, 1].map(|_| vec![0.0; self.cues]);
        for compiled in self.groups.iter().flat_map(|group| &group.cues) {
            weights[0][compiled.number] = compiled.cue.dsat.into();
            weights[1][compiled.number] = compiled.cue.sat.into();
        }
        weights
    }

    /// Calls `hit` with the number of each cue that counts.
    pub(crate) fn matches(&self, turn: &Turn, hit: &mut dyn FnMut(usize)) {
        let length = words(turn.text).count();
        self.fired(turn, length).iter().for_each(|fired| hit(fired.compiled.number));
    }

    fn judge_one(&self, chat: &Chat, sets: &[WordSet], turn: &Turn) -> Label {
        let length = words(turn.text).count();
        let fired = self.fired(turn, length);
        let signals = signals(sets, turn, length);
        let weights = |of: fn(&Cue) -> f32| fired.iter().map(|fired| of(fired.compiled.cue)).sum::<f32>();
        let dsat = sigmoid(DSAT_BIAS + weights(|cue| cue.dsat) + signals.iter().map(|signal| signal.dsat).sum::<f32>());
        let sat = sigmoid(SAT_BIAS + weights(|cue| cue.sat));
        let label = Verdict::of(dsat >= DSAT_THRESHOLD, sat >= SAT_THRESHOLD);
        let evidence = match label {
            Verdict::Dsat | Verdict::Both => Some(evidence(NAME, true, &fired, &signals, dsat)),
            Verdict::Sat => Some(evidence(NAME, false, &fired, &[], sat)),
            Verdict::None => None,
        };
        Label { conversation: chat.id.clone(), turn: turn.index, label, dsat, sat, evidence }
    }

    /// A label with rubric and cue for a verdict that the detector `by` came to.
    pub fn label_as(by: &str, chat: &Chat, turn: &Turn, label: Verdict, dsat: f32, sat: f32) -> Label {
        let evidence = (label != Verdict::None).then(|| {
            let p = if label.is_dsat() { dsat } else { sat };
            Rules::shared().explain(&word_sets(chat), turn, by, label.is_dsat(), p)
        });
        Label { conversation: chat.id.clone(), turn: turn.index, label, dsat, sat, evidence }
    }

    /// Rubric and cue for a verdict that another detector came to. `sets` are the chat's.
    pub(crate) fn explain(&self, sets: &[WordSet], turn: &Turn, by: &str, dsat: bool, p: f32) -> Evidence {
        let length = words(turn.text).count();
        let fired = self.fired(turn, length);
        let signals = if dsat { signals(sets, turn, length) } else { Vec::new() };
        evidence(by, dsat, &fired, &signals, p)
    }

    fn fired<'a>(&'a self, turn: &Turn<'a>, length: usize) -> Vec<Fired<'a>> {
        let mut fired: Vec<Fired> = Vec::new();
        for group in &self.groups {
            for (text, offset) in texts(group.place, turn) {
                for at in &group.set.matches(text) {
                    let compiled = &group.cues[at];
                    let is_excepted = || compiled.unless.as_ref().is_some_and(|unless| unless.is_match(text));
                    // start and end of one turn do not count twice
                    let is_known = |fired: &[Fired]| fired.iter().any(|f| std::ptr::eq(f.compiled, compiled));
                    if length <= compiled.cue.max_words && !is_known(&fired) && !is_excepted() {
                        fired.push(Fired { compiled, text, offset });
                    }
                }
            }
        }
        fired
    }
}

/// What is searched for the cues of a place.
fn texts<'a>(place: Place, turn: &Turn<'a>) -> Vec<(&'a str, Option<usize>)> {
    match place {
        Place::Opening => vec![(opening(turn.text, OPENING), Some(turn.offset))],
        Place::Said if opening(turn.text, SAID).len() == turn.text.len() => vec![(turn.text, Some(turn.offset))],
        Place::Said => {
            let end = closing(turn.text, SAID_END);
            let end_offset = turn.offset + turn.text.len() - end.len();
            vec![(opening(turn.text, SAID_START), Some(turn.offset)), (end, Some(end_offset))]
        }
        Place::Answer => vec![(opening(turn.answer, ANSWER), None)],
        Place::Reply => turn.reply.map(|reply| (opening(reply, ANSWER), None)).into_iter().collect(),
    }
}

/// The rubric of the strongest reason, the user's own words before anything around them, and the
/// span of the strongest cue in the turn. Many weak hints name nothing: then it is a revision, the
/// most frequent rubric by far (of satisfaction: that the user took note).
fn evidence(by: &str, dsat: bool, fired: &[Fired], signals: &[Signal], confidence: f32) -> Evidence {
    let weight = |cue: &Cue| if dsat { cue.dsat } else { cue.sat };
    let otherwise = if dsat { "revision" } else { "acknowledgment" };
    let named = |fired: &&Fired| !fired.compiled.cue.rubric.is_empty();
    let strongest = |own: bool, above: f32, allowed: fn(&&Fired) -> bool| {
        let cues = fired.iter().filter(|fired| fired.offset.is_some() == own && weight(fired.compiled.cue) > above);
        cues.filter(allowed).max_by(|a, b| weight(a.compiled.cue).total_cmp(&weight(b.compiled.cue)))
    };
    let around = strongest(false, 0.0, named).map(|fired| (fired.compiled.cue.rubric, weight(fired.compiled.cue)));
    let related = signals
        .iter()
        .filter(|signal| signal.dsat > 0.0 && !signal.rubric.is_empty())
        .map(|signal| (signal.rubric, signal.dsat));
    let rubric = match strongest(true, MENTION, named) {
        Some(own) => own.compiled.cue.rubric,
        None => {
            around.into_iter().chain(related).max_by(|a, b| a.1.total_cmp(&b.1)).map_or(otherwise, |(rubric, _)| rubric)
        }
    };
    let span = strongest(true, 0.0, named).or_else(|| strongest(true, MENTION, |_| true)).and_then(|own| {
        let hit = own.compiled.pattern.find(own.text)?;
        own.offset.map(|offset| (offset + hit.start(), offset + hit.end()))
    });
    Evidence { detector: by.to_string(), rubric: rubric.to_string(), confidence, cue: span }
}

/// Likeness of the turn to the request before (asked again?) and of the reply to the judged answer
/// (done again?), as Jaccard indices of the word sets in bands, and the length of the turn.
fn signals(sets: &[WordSet], turn: &Turn, length: usize) -> Vec<Signal> {
    let mut signals = Vec::new();
    let mut push = |rubric, dsat| signals.push(Signal { rubric, dsat });
    let this = &sets[turn.index];
    if let Some((at, request)) = turn.request_index.zip(turn.request) {
        if this.len() >= 3 {
            match this.jaccard(&sets[at]) {
                likeness if likeness >= 0.8 => push("revision", 1.51),
                likeness if likeness > 0.5 => push("revision", 0.83),
                likeness if likeness < 0.5 && this.share_in(&sets[at]) >= 0.6 => push("revision", 0.43),
                _ => {}
            }
        }
        // "write a …", "write a …": one task after the other
        let earlier = words(request).map(hash);
        if length > 2 && words(turn.text).map(hash).zip(earlier).take(2).filter(|(now, then)| now == then).count() == 2
        {
            push("", -0.22);
        }
    }
    if turn.reply.is_some() {
        match sets[turn.index - 1].jaccard(&sets[turn.index + 1]) {
            likeness if likeness >= 0.7 => push("revision", 1.48),
            likeness if likeness >= 0.5 => push("revision", 0.90),
            likeness if likeness >= 0.3 => push("revision", 0.82),
            likeness if likeness < 0.1 => push("", -1.04),
            _ => {}
        }
    }
    if turn.answer.contains("```") {
        push("", -0.23);
    }
    // very short and very long turns are rarely feedback
    match length {
        0..=3 => push("", -0.51),
        4..=8 => push("", 0.16),
        9..=20 => push("", 0.12),
        21..150 => {}
        _ => push("", -0.86),
    }
    signals
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
