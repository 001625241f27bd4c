//! Logs in, cases and seed pairs out; or cases that were found elsewhere, checked and split.
//!
//! Conversations are put aside as held out before anything is trained, by their id alone.

use crate::config::Source;
use crate::config::sections::Detect;
use crate::detectors::{Choice, Opened};
use crate::files::{hash_file, is_none_of, must_exist, write_json};
use crate::interrupt;
use crate::privacy::{self, Privacy, Who};
use crate::review::corrections::{self, Corrections};
use crate::run_folder::{Counts, Manifest, Stage};
use crate::satisfied::{self, Satisfied};
use crate::seeds::subset;
use crate::talk::{Talk, Unit};
use anyhow::{Result, bail};
use drift_chat::{
    Case, Chat, JsonlWriter, LogReader, Message, Pair, ReadReport, Redaction, Redactor, STDIN, Seen, Split, content_id,
    conversation_of, expand_logs, read_cases, read_pairs, split_of, write_jsonl,
};
use drift_feedback::{Funnel, Harvester, Label, Limits, SetAside, Unpaired};
use drift_text::{ChatFormat, CompletionMode};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Damaged records that are named one by one; all are counted.
const NAMED: usize = 3;

/// Answers that satisfied their users.
pub const SATISFIED: &str = "satisfied.jsonl";

pub const OUTPUTS: [&str; 7] =
    ["cases.jsonl", "seed_pairs.jsonl", "labels.jsonl", "unpaired.jsonl", SATISFIED, "set_aside.jsonl", "funnel.json"];

pub struct Job<'a> {
    pub source: &'a Source,
    pub settings: &'a Detect,
    /// What finds the turns; it reads its own settings.
    pub detector: Choice,
    pub seed: u64,
    /// Counts tokens for the limits of `[detect]`; without it there are none.
    pub format: Option<&'a ChatFormat>,
    /// Of the run, where corrections and the list of the forgotten lie.
    pub root: &'a Path,
}

/// Names and hashes of the source's files, as inputs of the stage.
pub fn inputs(source: &Source) -> Result<Vec<(String, String)>> {
    let (files, expected) = match source {
        Source::Logs { files, .. } => (expand_logs(files)?, "a chat log"),
        Source::Cases { files, seed_pairs } => (files.iter().chain(seed_pairs).cloned().collect(), "JSON lines"),
    };
    let hash = |file: PathBuf| {
        let name = file.to_str().unwrap_or("a file").to_string();
        if name == STDIN {
            // what it will hold is not known: no earlier result stands for it
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            return Ok((name, format!("read once, at {} ns", now.as_nanos())));
        }
        must_exist(&file, expected)?;
        if file.is_dir() {
            bail!("{}: a folder, expected {expected}; hint: give the files themselves", file.display());
        }
        Ok((name, hash_file(&file)?))
    };
    files.into_iter().map(hash).collect()
}

/// Names and hashes of what people added to the run folder: corrected labels, and who is to be forgotten.
pub fn own_inputs(root: &Path) -> Result<Vec<(&'static str, String)>> {
    let there = [corrections::FILE, privacy::FORGOTTEN].into_iter().filter(|file| root.join(file).is_file());
    there.map(|file| Ok((file, hash_file(&root.join(file))?))).collect()
}

/// What was found, before subsets are drawn.
#[derive(Default)]
struct Found {
    cases: Vec<Case>,
    seed_pairs: Vec<Pair>,
    unpaired: Vec<Unpaired>,
    set_aside: Vec<SetAside>,
    counts: Counts,
    /// From chats to cases; absent where the cases were given.
    funnel: Option<Funnel>,
    redacted: BTreeMap<String, u64>,
    read: Option<ReadReport>,
    /// By conversation, for those chats whose log names the user: a hash of the user, and the user's side.
    users: BTreeSet<(String, String)>,
    by_user: HashMap<String, Split>,
}

/// `funnel.json`: what became of the chats, turn by turn.
#[derive(Serialize)]
struct Account<'a> {
    funnel: &'a Option<Funnel>,
    redacted: &'a BTreeMap<String, u64>,
    read: &'a Option<ReadReport>,
}

pub fn run(stage: &Stage, job: &Job, talk: &Talk) -> Result<Manifest> {
    fs_err::create_dir_all(stage.dir())?;
    // As many as there are turns in the log: they go to the disk as they come.
    let mut labels = JsonlWriter::create(&stage.path("labels.jsonl"))?;
    let mut found = match job.source {
        Source::Logs { files, redact, redact_names, reader } => {
            let logs = expand_logs(files)?;
            OUTPUTS.iter().try_for_each(|name| is_none_of(&stage.path(name), &logs))?;
            let key = privacy::random()?;
            let redaction = redact.then(|| Redaction::new(Redactor::new(*redact_names), key));
            job.search(files, reader, redaction, &mut labels, talk)?
        }
        Source::Cases { files, seed_pairs } => job.take(files, seed_pairs)?,
    };
    job.split(&mut found);
    job.limit(&mut found)?;
    let Found { mut cases, mut seed_pairs, mut unpaired, mut counts, funnel, redacted, read, users, set_aside, .. } =
        found;
    let settings = job.settings;
    let draw = |purpose, held_out, train| if purpose == Split::HeldOut { held_out } else { train };
    let before = (cases.len(), seed_pairs.len(), unpaired.len());
    let mut kept_cases = Vec::new();
    let mut kept_pairs = Vec::new();
    let mut kept_unpaired = Vec::new();
    for split in [Split::Train, Split::HeldOut] {
        let (of_split, rest) = cases.into_iter().partition::<Vec<_>, _>(|case| case.split == Some(split));
        let max = draw(split, settings.max_held_out, settings.max_cases);
        kept_cases.extend(subset(of_split, max, job.seed, "cases", |case: &Case| &case.id));
        cases = rest;
        let (of_split, rest) = seed_pairs.into_iter().partition::<Vec<_>, _>(|pair| pair.split == Some(split));
        let max = draw(split, settings.max_held_out, settings.max_seed_pairs);
        kept_pairs.extend(subset(of_split, max, job.seed, "seed pairs", |pair: &Pair| &pair.id));
        seed_pairs = rest;
        // As many with a good word and as many with a bad one as there may be cases.
        let max = draw(split, settings.max_held_out, settings.max_cases);
        for label in [false, true] {
            let is_drawn = |row: &Unpaired| row.split == Some(split) && row.label == label;
            let (drawn, rest) = unpaired.into_iter().partition::<Vec<_>, _>(is_drawn);
            kept_unpaired.extend(subset(drawn, max, job.seed, "unpaired", |row: &Unpaired| &row.key));
            unpaired = rest;
        }
    }
    let mut satisfied = satisfied::gather(&kept_pairs, &kept_unpaired);
    let mut kept_satisfied = Vec::new();
    for split in [Split::Train, Split::HeldOut] {
        let (of_split, rest) = satisfied.into_iter().partition::<Vec<_>, _>(|row| row.split == Some(split));
        let max = draw(split, settings.max_held_out, settings.max_cases);
        kept_satisfied.extend(subset(of_split, max, job.seed, "satisfied", |row: &Satisfied| &row.id));
        satisfied = rest;
    }
    count(&mut counts.dropped, "case_not_in_subset", before.0 - kept_cases.len());
    count(&mut counts.dropped, "seed_pair_not_in_subset", before.1 - kept_pairs.len());
    count(&mut counts.noted, "seed_pairs", kept_pairs.len());
    count(&mut counts.noted, "unpaired_not_in_subset", before.2 - kept_unpaired.len());
    count(&mut counts.noted, "unpaired", kept_unpaired.len());
    count(&mut counts.noted, "satisfied", kept_satisfied.len());
    counts.out = kept_cases.len();
    // Only now: a search that failed or was stopped leaves what an earlier one found.
    labels.finish()?;
    stage.begin(&[])?;
    write_jsonl(&stage.path("cases.jsonl"), &kept_cases)?;
    write_jsonl(&stage.path("seed_pairs.jsonl"), &kept_pairs)?;
    write_json(&stage.path("funnel.json"), &Account { funnel: &funnel, redacted: &redacted, read: &read })?;
    write_jsonl(&stage.path("unpaired.jsonl"), &kept_unpaired)?;
    write_jsonl(&stage.path(SATISFIED), &kept_satisfied)?;
    write_jsonl(&stage.path("set_aside.jsonl"), &set_aside)?;
    let mut outputs = OUTPUTS.to_vec();
    if !users.is_empty() {
        let row = |(conversation, user)| json!({ "conversation": conversation, "user": user });
        write_jsonl(&stage.path(privacy::USERS), users.into_iter().map(row))?;
        outputs.push(privacy::USERS);
    }
    stage.finish(counts, &outputs)
}

fn count(map: &mut BTreeMap<String, usize>, what: &str, n: usize) {
    if n > 0 {
        *map.entry(what.to_string()).or_default() += n;
    }
}

impl Job<'_> {
    fn search(
        &self,
        files: &[PathBuf],
        reader: &LogReader,
        mut redaction: Option<Redaction>,
        file: &mut JsonlWriter,
        talk: &Talk,
    ) -> Result<Found> {
        let Opened { detector, judge } = self.detector.open(talk)?;
        let logs = expand_logs(files)?;
        if let Some(judge) = &judge {
            match logs.iter().any(|file| file.to_str() == Some(STDIN)) {
                true => talk.warn("standard input is read once: no estimate of what the judge will take"),
                false => judge.estimate(&logs, reader, talk)?,
            }
        }
        let mut privacy = Privacy::open(self.root)?;
        let corrections = Corrections::read(self.root)?;
        let settings = self.settings;
        let mut harvester = Harvester::new(Limits {
            prompt: settings.max_prompt_chars,
            answer: settings.max_answer_chars,
            near_duplicate: settings.near_duplicate,
            set_aside: settings.set_aside,
            languages: settings.languages.clone(),
        });
        let mut found = Found::default();
        let mut batch: Vec<Chat> = Vec::new();
        let mut pseudonyms = 0;
        let mut label = |mut chats: Vec<Chat>| {
            // First: the labels point at bytes of the text as it is kept. Numbers are given in the log's order.
            if let Some(redaction) = &mut redaction {
                for chat in chats.iter_mut().filter(|chat| redaction.is_hit(&chat.id)) {
                    chat.id = privacy.pseudonym(&chat.id);
                    pseudonyms += 1;
                }
                redaction.apply(&mut chats);
            }
            let labels = detector.label(&chats);
            chats.into_iter().zip(labels).collect()
        };
        let mut keep = |judged: Vec<(Chat, Vec<Label>)>, found: &mut Found| -> Result<()> {
            for (chat, mut labels) in judged {
                if let Some(user) = &chat.user {
                    let conversation = conversation_of(&chat.id).to_string();
                    let side = split_of(&format!("user {user}"), self.seed, self.settings.held_out);
                    found.by_user.insert(conversation.clone(), side);
                    found.users.insert((conversation, privacy.hash(Who::User(user))));
                }
                // said in an earlier branch, and labelled there
                labels.retain(|label| label.turn >= chat.repeated);
                let mut sure = Vec::with_capacity(labels.len());
                for label in &mut labels {
                    let corrected = corrections.apply(label);
                    let confident = !label.label.is_dsat() || f64::from(label.dsat) >= self.settings.min_confidence;
                    match (corrected, confident) {
                        (None, false) => found.counts.drop("low_confidence"),
                        _ => sure.push(label.clone()),
                    }
                    if let Some(what) = corrected {
                        found.counts.note(what);
                    }
                }
                let harvest = harvester.add(&chat, &sure);
                found.cases.extend(harvest.cases);
                found.seed_pairs.extend(harvest.seed_pairs);
                found.unpaired.extend(harvest.unpaired);
                found.set_aside.extend(harvest.set_aside);
                for label in labels {
                    file.push(&label)?;
                }
            }
            Ok(())
        };
        let bar = talk.bar("detecting", 0, Unit::Bytes);
        let (mut judged, mut written) = (Vec::new(), Ok(()));
        let mut on_chat = |chat: Chat| {
            match () {
                () if chat.opted_out => found.counts.drop("record_opted_out"),
                () if privacy.is_forgotten(&chat) => found.counts.drop("record_forgotten"),
                () => batch.push(chat),
            }
            if batch.len() == detector.batch() {
                let (now, before) = (std::mem::take(&mut batch), std::mem::take(&mut judged));
                // one thread sorts what the others found before
                let kept;
                (judged, kept) = rayon::join(|| label(now), || keep(before, &mut found));
                written = kept;
            }
            match written.is_err() || judge.as_ref().is_some_and(|judge| judge.has_ended()) {
                true => ControlFlow::Break(()),
                false => interrupt::flow(),
            }
        };
        let read = reader.chats(&logs, &mut on_chat, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
        written?;
        keep(judged, &mut found)?;
        keep(label(batch), &mut found)?;
        bar.finish_and_clear();
        interrupt::check()?;
        for (reason, n) in judge.map(|judge| judge.finish(talk)).transpose()?.unwrap_or_default() {
            count(&mut found.counts.noted, &format!("without_a_verdict_{reason}"), n);
        }
        count(&mut found.counts.noted, "redacted_chat_id", pseudonyms);
        if !found.users.is_empty() || pseudonyms > 0 {
            privacy.keep_salt()?;
        }
        for (kind, n) in redaction.iter().flat_map(Redaction::counts) {
            found.redacted.insert(name_of(kind), *n);
        }
        for (kind, n) in &found.redacted {
            count(&mut found.counts.noted, &format!("redacted_{kind}"), *n as usize);
        }
        tell_damage(&read, talk);
        if read.chats == 0 {
            let skipped: u64 = read.skipped.values().sum();
            bail!(
                "{}: no chat among {skipped} records, expected some; hint: `--format` or `--columns` say how to read them",
                files[0].display()
            );
        }
        let damaged: u64 = read.skipped.values().sum();
        found.counts.r#in = (read.chats + damaged) as usize;
        for (reason, n) in &read.skipped {
            count(&mut found.counts.dropped, &format!("record_{}", name_of(reason)), *n as usize);
        }
        count(&mut found.counts.dropped, "record_cut", read.cuts.len());
        let funnel = harvester.funnel().clone();
        for (reason, n) in &funnel.dropped {
            count(&mut found.counts.dropped, &name_of(reason), *n as usize);
        }
        for (what, n) in
            [("dissatisfied_turns", funnel.dsat + funnel.both), ("satisfied_turns", funnel.sat + funnel.both)]
        {
            count(&mut found.counts.noted, what, n as usize);
        }
        (found.funnel, found.read) = (Some(funnel), Some(read));
        Ok(found)
    }

    fn take(&self, files: &[PathBuf], seed_pairs: &[PathBuf]) -> Result<Found> {
        let mut found = Found::default();
        let (privacy, corrections) = (Privacy::open(self.root)?, Corrections::read(self.root)?);
        let mut seen = Seen::new();
        for file in files {
            for case in read_cases(file)? {
                found.counts.r#in += 1;
                let whole: Vec<Message> = case.prompt.iter().chain(&case.rejected).cloned().collect();
                let confident =
                    case.evidence.as_ref().is_none_or(|e| f64::from(e.confidence) >= self.settings.min_confidence);
                match () {
                    () if privacy.is_listed(Who::Conversation(&case.conversation)) => {
                        found.counts.drop("case_forgotten");
                    }
                    () if corrections.denies(&case) => found.counts.drop("case_corrected_by_review"),
                    () if !confident => found.counts.drop("low_confidence"),
                    () if !seen.insert(&whole) => found.counts.drop("case_duplicate"),
                    () => {
                        found.unpaired.push(unpaired(
                            &case.conversation,
                            &case.id,
                            &case.prompt,
                            &case.rejected,
                            false,
                        ));
                        found.cases.push(case);
                    }
                }
            }
        }
        let mut seen = Seen::new();
        for file in seed_pairs {
            for pair in read_pairs(file)? {
                let whole: Vec<Message> =
                    pair.prompt.iter().chain(&pair.rejected).chain(&pair.chosen).cloned().collect();
                match () {
                    () if privacy.is_listed(Who::Conversation(&pair.conversation)) => {
                        found.counts.note("seed_pair_forgotten");
                    }
                    () if !seen.insert(&whole) => found.counts.note("seed_pair_duplicate"),
                    () => {
                        found.unpaired.push(unpaired(&pair.conversation, &pair.id, &pair.prompt, &pair.chosen, true));
                        found.seed_pairs.push(pair);
                    }
                }
            }
        }
        Ok(found)
    }

    /// By user where the log names one, else by conversation; a record without one is its own. Prompts of the held-out side leave the trained
    /// side, whatever conversation they come from.
    fn split(&self, found: &mut Found) {
        let users = std::mem::take(&mut found.by_user);
        let split = |conversation: &str, id: &str| {
            let name = if conversation.is_empty() { id } else { conversation };
            // all that one person said is on one side
            let side = users.get(name).copied();
            (name.to_string(), side.unwrap_or_else(|| split_of(name, self.seed, self.settings.held_out)))
        };
        let mut held_out: HashSet<String> = HashSet::new();
        for case in &mut found.cases {
            let (name, side) = split(conversation_of(&case.conversation), &case.id);
            (case.conversation, case.split) = (name, Some(side));
            if side == Split::HeldOut {
                held_out.insert(content_id(&[&case.prompt]));
            }
        }
        for pair in &mut found.seed_pairs {
            let (name, side) = split(conversation_of(&pair.conversation), &pair.id);
            (pair.conversation, pair.split) = (name, Some(side));
            if side == Split::HeldOut {
                held_out.insert(content_id(&[&pair.prompt]));
            }
        }
        for row in &mut found.unpaired {
            let (name, side) = split(conversation_of(&row.conversation), &row.key);
            (row.conversation, row.split) = (name, Some(side));
        }
        let clean =
            |split, prompt: &[Message]| split != Some(Split::Train) || !held_out.contains(&content_id(&[prompt]));
        let before = (found.cases.len(), found.seed_pairs.len());
        found.cases.retain(|case| clean(case.split, &case.prompt));
        found.seed_pairs.retain(|pair| clean(pair.split, &pair.prompt));
        let unpaired = found.unpaired.len();
        found.unpaired.retain(|row| clean(row.split, &row.prompt));
        count(&mut found.counts.noted, "unpaired_prompt_is_held_out", unpaired - found.unpaired.len());
        count(&mut found.counts.dropped, "case_prompt_is_held_out", before.0 - found.cases.len());
        count(&mut found.counts.dropped, "seed_pair_prompt_is_held_out", before.1 - found.seed_pairs.len());
    }

    /// The token limits.
    fn limit(&self, found: &mut Found) -> Result<()> {
        let settings = self.settings;
        let (max_prompt_tokens, max_answer_tokens) = (settings.max_prompt_tokens, settings.max_answer_tokens);
        let Some(format) = self.format.filter(|_| max_prompt_tokens + max_answer_tokens > 0) else { return Ok(()) };
        let fits = |prompt: &[Message], answers: &[&[Message]]| -> Result<(), &'static str> {
            let too_many = |n: usize, max: usize| max > 0 && n > max;
            match format.prompt_ids(prompt) {
                Err(_) => return Err("refused_by_template"),
                Ok(ids) if too_many(ids.len(), max_prompt_tokens) => return Err("prompt_over_token_limit"),
                Ok(_) => {}
            }
            for answer in answers {
                match format.completion(prompt, &answer[0].content, CompletionMode::Clean) {
                    Err(_) => return Err("refused_by_template"),
                    Ok(answer) if too_many(answer.ids.len(), max_answer_tokens) => {
                        return Err("answer_over_token_limit");
                    }
                    Ok(_) => {}
                }
            }
            Ok(())
        };
        let cases: Vec<Result<Case, &str>> = std::mem::take(&mut found.cases)
            .into_par_iter()
            .map(|case| fits(&case.prompt, &[&case.rejected]).map(|()| case))
            .collect();
        for case in cases {
            match case {
                Ok(case) => found.cases.push(case),
                Err(reason) => found.counts.drop(&format!("case_{reason}")),
            }
        }
        let pairs: Vec<Result<Pair, &str>> = std::mem::take(&mut found.seed_pairs)
            .into_par_iter()
            .map(|pair| fits(&pair.prompt, &[&pair.chosen, &pair.rejected]).map(|()| pair))
            .collect();
        for pair in pairs {
            match pair {
                Ok(pair) => found.seed_pairs.push(pair),
                Err(reason) => found.counts.drop(&format!("seed_pair_{reason}")),
            }
        }
        let unpaired: Vec<Result<Unpaired, &str>> = std::mem::take(&mut found.unpaired)
            .into_par_iter()
            .map(|row| fits(&row.prompt, &[&row.completion]).map(|()| row))
            .collect();
        for row in unpaired {
            match row {
                Ok(row) => found.unpaired.push(row),
                Err(reason) => found.counts.note(&format!("unpaired_{reason}")),
            }
        }
        Ok(())
    }
}

/// A side of a case or of a seed pair that was given; its id stands for the turn, which is not known.
fn unpaired(conversation: &str, id: &str, prompt: &[Message], completion: &[Message], label: bool) -> Unpaired {
    Unpaired {
        conversation: conversation.to_string(),
        key: id.to_string(),
        prompt: prompt.to_vec(),
        completion: completion.to_vec(),
        label,
        split: None,
    }
}

/// The snake_case name that a reason serialises to.
pub fn name_of(reason: &impl Serialize) -> String {
    serde_json::to_value(reason).ok().and_then(|name| name.as_str().map(str::to_string)).unwrap_or_default()
}

/// Damage in a log is no error, but it is said.
pub fn tell_damage(read: &ReadReport, talk: &Talk) {
    for skipped in read.first_skipped.iter().take(NAMED) {
        talk.warn(format_args!(
            "{}: byte {}: record skipped ({})",
            skipped.file,
            skipped.byte,
            name_of(&skipped.reason)
        ));
    }
    let damaged: u64 = read.skipped.values().sum();
    if damaged > NAMED as u64 {
        talk.warn(format_args!("{damaged} records skipped in all; funnel.json counts them by reason"));
    }
    for cut in &read.cuts {
        talk.warn(format_args!(
            "{}: ends at byte {} inside the record that begins at byte {}: that record is left out",
            cut.file, cut.end, cut.record
        ));
    }
}
