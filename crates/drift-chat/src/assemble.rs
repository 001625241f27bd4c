//! From what single records gave to whole chats: rows of one conversation are joined, branches and
//! ids settled, feedback that came apart is brought to its answer, scores get a scale.

use std::collections::{HashMap, HashSet};

use blake3::Hasher;

use crate::formats::{Counts, Draft, KeptOut, Mark, Node, Parsed, Place, Row, Told, branches, keep_out};
use crate::ids::{AGAIN, BRANCH, content_id, pair_id};
use crate::read::{Entry, MAX_RECORD_BYTES, ReadReport, Reason};
use crate::scale::{Scale, Scales};
use crate::types::{Chat, Explicit, Message, Pair, Role, Source};

/// So many beginnings of conversations, and so many ids, are remembered, and as many older ones.
const REMEMBERED: usize = 1 << 19;
/// Feedback rows beyond are not kept in memory.
const MOST_FEEDBACK: usize = 1 << 22;

pub(crate) struct Assembler {
    scales: Scales,
    beginnings: Beginnings,
    ids: Ids,
    /// Feedback that came in rows of its own, by what it names.
    feedback: HashMap<String, Vec<Mark>>,
    waiting: u64,
    open: Option<Open>,
}

/// A conversation whose next row may follow.
struct Open {
    place: Place,
    nodes: Vec<Node>,
    user: Option<String>,
    opted_out: bool,
    bytes: usize,
    byte: u64,
}

impl Assembler {
    pub fn new(scale: Option<Scale>) -> Assembler {
        let scales = Scales::new(scale);
        let (beginnings, ids, feedback) = (Beginnings::default(), Ids::default(), HashMap::new());
        Assembler { scales, beginnings, ids, feedback, waiting: 0, open: None }
    }

    /// Looks at the scores of a batch before any of it is handed on.
    pub fn learn(&mut self, batch: &[&Parsed], report: &mut ReadReport) {
        for parsed in batch {
            let rows = parsed.row.iter().flat_map(|row| &row.nodes);
            let marks = rows.flat_map(|node| node.marks.iter().chain(&node.on_answer));
            let marks = marks.chain(parsed.chats.iter().flat_map(|draft| &draft.marks));
            for mark in marks.chain(parsed.feedback.iter().map(|(_, mark)| mark)) {
                self.scales.see(mark);
            }
        }
        // rows of feedback alone: wait for the rest of them
        if batch.iter().any(|parsed| parsed.row.is_some() || !parsed.chats.is_empty()) {
            self.scales.settle();
            report.scales.clone_from(self.scales.fixed());
        }
    }

    /// What is whole now, in order.
    pub fn add(&mut self, parsed: Parsed, byte: u64, file: &str, report: &mut ReadReport, out: &mut Vec<Entry>) {
        for (what, n) in parsed.kept_out {
            keep_out(&mut report.kept_out, what, n as usize);
        }
        for (target, mark) in parsed.feedback {
            if self.waiting as usize >= MOST_FEEDBACK {
                keep_out(&mut report.kept_out, KeptOut::FeedbackWithoutAnswer, 1);
                continue;
            }
            self.waiting += 1;
            self.feedback.entry(target).or_default().push(mark);
        }
        if let Some(row) = parsed.row {
            self.row(row, byte, file, report, out);
        }
        for draft in parsed.chats {
            self.chat(draft, byte, file, report, out);
        }
        for mut pair in parsed.pairs {
            complete(&mut pair);
            report.pairs += 1;
            out.push(Entry::Pair(pair));
        }
    }

    fn row(&mut self, row: Row, byte: u64, file: &str, report: &mut ReadReport, out: &mut Vec<Entry>) {
        let goes_on = self.open.as_ref().is_some_and(|open| match (&row.place, &open.place) {
            (Place::Next, _) => true,
            (Place::In(now), Place::In(before)) => now == before,
            _ => false,
        });
        if !goes_on {
            self.end_of_file(file, report, out);
        }
        let place = row.place;
        let open = self.open.get_or_insert_with(|| {
            let (user, opted_out) = (None, false);
            Open { place, nodes: Vec::new(), user, opted_out, bytes: 0, byte }
        });
        let text = |node: &Node| node.message.as_ref().map_or(0, |message| message.content.len());
        open.bytes += row.nodes.iter().map(|node| text(node) + size_of::<Node>()).sum::<usize>();
        if open.bytes <= MAX_RECORD_BYTES {
            open.nodes.extend(row.nodes);
        } else {
            open.nodes.clear();
        }
        open.user = open.user.take().or(row.user);
        open.opted_out |= row.opted_out;
    }

    /// Closes the conversation that rows were added to.
    pub fn end_of_file(&mut self, file: &str, report: &mut ReadReport, out: &mut Vec<Entry>) {
        let Some(open) = self.open.take() else { return };
        if open.bytes > MAX_RECORD_BYTES {
            report.skip(Reason::TooLarge, file, open.byte);
            return;
        }
        let mut kept_out = Counts::new();
        for mut draft in branches(&open.nodes, Told::ByMany, &mut kept_out) {
            draft.id = match &open.place {
                Place::In(id) => Some(id.clone()),
                Place::First | Place::Next => None,
            };
            (draft.user, draft.opted_out) = (open.user.clone(), open.opted_out);
            self.chat(draft, open.byte, file, report, out);
        }
        for (what, n) in kept_out {
            keep_out(&mut report.kept_out, what, n as usize);
        }
    }

    fn chat(&mut self, draft: Draft, byte: u64, file: &str, report: &mut ReadReport, out: &mut Vec<Entry>) {
        let Draft { id, branch, messages, mut repeated, mut marks, user, opted_out, names, grows } = draft;
        for (name, message) in names {
            let found = self.feedback.remove(&name).unwrap_or_default();
            self.waiting -= found.len() as u64;
            marks.extend(found.into_iter().map(|mark| Mark { message, ..mark }));
        }
        if grows {
            repeated = self.beginnings.repeated(&messages);
        }
        let mut explicit = Vec::with_capacity(marks.len());
        for Mark { message, name, score, comment } in marks {
            if messages.get(message).is_none_or(|message| message.role != Role::Assistant) {
                keep_out(&mut report.kept_out, KeptOut::FeedbackWithoutAnswer, 1);
                continue;
            }
            match self.scales.signal(&name, score) {
                Some(signal) => explicit.push(Explicit { message, signal, comment }),
                None => keep_out(&mut report.kept_out, KeptOut::ScoresOutsideScale, 1),
            }
        }
        if grows && repeated == messages.len() && explicit.is_empty() {
            keep_out(&mut report.kept_out, KeptOut::RepeatedChats, 1);
            return;
        }
        explicit.sort_by_key(|explicit| explicit.message);
        let is_given = id.is_some();
        let mut id = id.unwrap_or_else(|| content_id(&[&messages]));
        if let Some(branch) = branch {
            id = format!("{id}{BRANCH}{branch}");
        }
        // one that goes on is the same chat; an empty one has no turn to be named
        if is_given && repeated == 0 && !messages.is_empty() {
            let mut times = self.ids.times(&id);
            if times > 1 {
                report.same_id += 1;
                // the log may have such an id of its own
                let free = loop {
                    let next = format!("{id}{AGAIN}{times}");
                    if self.ids.times(&next) == 1 {
                        break next;
                    }
                    times += 1;
                };
                id = free;
            }
        }
        report.chats += 1;
        report.empty_chats += u64::from(messages.is_empty());
        report.explicit += explicit.len() as u64;
        let source = Source { file: file.to_string(), byte };
        out.push(Entry::Chat(Chat { id, messages, source, repeated, explicit, user, opted_out }));
    }

    /// At the very end: feedback that named nothing that was read.
    pub fn finish(self, report: &mut ReadReport) {
        keep_out(&mut report.kept_out, KeptOut::FeedbackWithoutAnswer, self.waiting as usize);
    }
}

fn complete(pair: &mut Pair) {
    if pair.id.is_empty() {
        pair.id = pair_id(&pair.prompt, &pair.chosen, &pair.rejected);
    }
    if pair.conversation.is_empty() {
        pair.conversation.clone_from(&pair.id);
    }
}

/// Hashes of the beginnings of conversations, the latest two times [`REMEMBERED`].
#[derive(Default)]
struct Beginnings {
    now: HashSet<[u8; 16]>,
    before: HashSet<[u8; 16]>,
}

impl Beginnings {
    /// How many leading messages were there in one of the last conversations; remembers these.
    fn repeated(&mut self, messages: &[Message]) -> usize {
        let mut repeated = 0;
        let mut hash = [0u8; 16];
        for (at, message) in messages.iter().enumerate() {
            let mut hasher = Hasher::new();
            hasher.update(&hash).update(&[message.role as u8]).update(message.content.as_bytes());
            hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            if self.now.contains(&hash) || self.before.contains(&hash) {
                repeated = at + 1;
            }
            if self.now.len() >= REMEMBERED {
                self.before = std::mem::take(&mut self.now);
            }
            self.now.insert(hash);
        }
        repeated
    }
}

/// How often an id came, for the latest two times [`REMEMBERED`] ids: hashes alone.
#[derive(Default)]
struct Ids {
    now: HashMap<[u8; 16], u32>,
    before: HashMap<[u8; 16], u32>,
}

impl Ids {
    /// 1 for a new one.
    fn times(&mut self, id: &str) -> u32 {
        let mut hash = [0u8; 16];
        hash.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
        if self.now.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.now);
        }
        let before = self.before.get(&hash).copied().unwrap_or_default();
        let times = self.now.entry(hash).or_insert(before);
        *times += 1;
        *times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted() {
        let mut ids = Ids::default();
        assert_eq!(["a", "b", "a", "a", "b"].map(|id| ids.times(id)), [1, 1, 2, 3, 2]);
    }

    #[test]
    fn growing_conversations_repeat_their_beginning() {
        let said = |texts: &[&str]| -> Vec<Message> {
            texts.iter().map(|text| Message { role: Role::User, content: text.to_string() }).collect()
        };
        let mut beginnings = Beginnings::default();
        assert_eq!(beginnings.repeated(&said(&["a", "b"])), 0);
        assert_eq!(beginnings.repeated(&said(&["a", "b", "c"])), 2);
        assert_eq!(beginnings.repeated(&said(&["a", "c"])), 1);
        assert_eq!(beginnings.repeated(&said(&["ab"])), 0);
        assert_eq!(beginnings.repeated(&said(&["a", "b", "c"])), 3);
    }
}
