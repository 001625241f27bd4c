//! `drift forget`: takes somebody's conversations out of every file of a run, and says which models learnt from them.
//!
//! The list of the forgotten comes first, so that a detection that follows, even after a crash in the middle, leaves them
//! out; the files of detection come last, so that a second call finds what the first did not reach. Manifests are brought
//! up to date: what remains counts as finished. Only a training that saw the conversations does not, so the next
//! `drift run` trains it, and what comes of it, anew.

use crate::files::{self, hash_file};
use crate::privacy::{FORGOTTEN, Privacy, USERS, Who};
use crate::report;
use crate::review;
use crate::run_folder::{Manifest, RunFolder};
use crate::stages::train::{self, CHECKPOINT};
use crate::talk::Talk;
use anyhow::{Context, Result};
use drift_chat::conversation_of;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The run folder, or the folder of `drift detect --out`
    run: PathBuf,
    /// Everything of this user, by the log's id
    #[arg(long, value_name = "ID", conflicts_with = "conversation", required_unless_present = "conversation")]
    user: Option<String>,
    /// One conversation, by the log's id
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let root = &options.run;
    let detect = review::detect_folder(root)?;
    let _run = RunFolder::open(root)?;
    let reviews = root.join("review");
    let _review = reviews.is_dir().then(|| RunFolder::open(&reviews)).transpose()?;

    let mut privacy = Privacy::open(root)?;
    let who = match (&options.user, &options.conversation) {
        (Some(user), _) => Who::User(user),
        (None, id) => Who::Conversation(id.as_deref().unwrap_or_default()),
    };
    let mut gone = Gone { conversations: conversations(who, &privacy, &detect)?, ids: HashSet::new() };
    privacy.forget(who)?;

    let (rows, manifests) = files_of(root, &detect)?;
    for path in &rows {
        gone.collect(path)?;
    }
    let mut changes = Vec::new();
    for path in rows {
        changes.extend(gone.change(path)?);
    }
    let mut manifests: Vec<(PathBuf, Manifest)> = manifests
        .into_iter()
        .filter_map(|path| files::read_json(&path).ok().map(|manifest| (path, manifest)))
        .collect();
    // Said before anything is written: afterwards it could no longer be told.
    for line in learnt(&manifests, &changes, root) {
        println!("{line}");
    }
    for change in &mut changes {
        gone.rewrite(change)?;
    }
    for (path, manifest) in &mut manifests {
        if update(path, manifest, &changes, root)? {
            files::write_json(path, manifest)?;
        }
    }
    if root.join("report/index.html").is_file() {
        report::write(root)?;
    }
    let removed: usize = changes.iter().map(|change| change.removed).sum();
    if changes.is_empty() {
        talk.warn("nothing of it is in this run: is the id as the log has it? Later detections will leave it out");
    }
    talk.step(
        "forget",
        format_args!("{removed} rows removed from {} files; detection leaves them out from now on", changes.len()),
    );
    Ok(())
}

/// The conversations that are meant, as far as the run knows.
fn conversations(who: Who, privacy: &Privacy, detect: &Path) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Row {
        conversation: String,
        user: String,
    }
    match who {
        // by its id, or by what stands for an id that holds a secret
        Who::Conversation(id) => {
            Ok([id, &privacy.pseudonym(id)].into_iter().map(|id| conversation_of(id).to_string()).collect())
        }
        Who::User(_) => {
            let path = detect.join(USERS);
            let rows: Vec<Row> = if path.is_file() { files::read_jsonl(&path)? } else { Vec::new() };
            let hash = privacy.hash(who);
            Ok(rows.into_iter().filter(|row| row.user == hash).map(|row| row.conversation).collect())
        }
    }
}

/// All JSON lines and all manifests of a run; those of detection last.
fn files_of(root: &Path, detect: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut rows, mut manifests, mut folders) = (Vec::new(), Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match () {
                () if name == CHECKPOINT || name == "privacy" || path.is_symlink() => {}
                () if path.is_dir() => folders.push(path),
                () if name == "manifest.json" => manifests.push(path),
                () if name.ends_with(".jsonl") => rows.push(path),
                () => {}
            }
        }
    }
    rows.sort_by_key(|path| (path.parent() == Some(detect), path.clone()));
    manifests.sort();
    Ok((rows, manifests))
}

/// What any row of a run may be known by.
#[derive(Deserialize)]
struct Row {
    conversation: Option<Value>,
    id: Option<Value>,
    case: Option<Value>,
    key: Option<Value>,
    split: Option<Value>,
}

impl Row {
    fn text(field: &Option<Value>) -> Option<&str> {
        field.as_ref().and_then(Value::as_str)
    }
}

struct Gone {
    conversations: BTreeSet<String>,
    /// Of cases and pairs of these conversations, by which other rows name them.
    ids: HashSet<String>,
}

/// A file that holds rows of them.
struct Change {
    path: PathBuf,
    removed: usize,
    /// Of the removed: those that training may have seen.
    trained: usize,
    before: String,
    after: String,
}

impl Gone {
    fn is_theirs(&self, row: &Row) -> bool {
        let known = |id: &str| self.conversations.contains(conversation_of(id));
        Row::text(&row.conversation).is_some_and(known)
            || Row::text(&row.key).and_then(|key| key.rsplit_once(':')).is_some_and(|(chat, _)| known(chat))
            || [&row.case, &row.id].into_iter().filter_map(Row::text).any(|id| self.ids.contains(id))
    }

    fn collect(&mut self, path: &Path) -> Result<()> {
        each_line(path, |line| {
            if let Some(row) = parse(line).filter(|row| self.is_theirs(row)) {
                self.ids.extend([&row.case, &row.id].into_iter().filter_map(Row::text).map(str::to_string));
            }
            Ok(())
        })
    }

    fn change(&self, path: PathBuf) -> Result<Option<Change>> {
        let (mut removed, mut trained) = (0, 0);
        each_line(&path, |line| {
            if let Some(row) = parse(line).filter(|row| self.is_theirs(row)) {
                removed += 1;
                trained += usize::from(Row::text(&row.split) != Some("held_out"));
            }
            Ok(())
        })?;
        if removed == 0 {
            return Ok(None);
        }
        let before = hash_file(&path)?;
        Ok(Some(Change { path, removed, trained, before, after: String::new() }))
    }

    /// The other rows stay byte for byte.
    fn rewrite(&self, change: &mut Change) -> Result<()> {
        files::write(&change.path, |out| {
            each_line(&change.path, |line| {
                let theirs = parse(line).is_some_and(|row| self.is_theirs(&row));
                if theirs { Ok(()) } else { Ok(out.write_all(line)?) }
            })
            .map_err(std::io::Error::other)
        })?;
        change.after = hash_file(&change.path)?;
        Ok(())
    }
}

fn parse(line: &[u8]) -> Option<Row> {
    serde_json::from_slice(line).ok()
}

fn each_line(path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut reader = BufReader::new(fs_err::File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).with_context(|| format!("{}: cannot read", path.display()))? == 0 {
            return Ok(());
        }
        each(&line)?;
    }
}

/// The rows of a changed file that a training saw, if `manifest` is that training's.
fn trained_on<'a>(manifest: &Manifest, changes: &'a [Change]) -> Option<&'a Change> {
    manifest.outputs.get(CHECKPOINT)?;
    let is_seen = |change: &&Change| {
        let inputs = train::MATERIAL.iter().filter_map(|name| manifest.inputs.get(*name));
        inputs.into_iter().any(|hash| change.before == *hash) && change.trained > 0
    };
    changes.iter().find(is_seen)
}

/// A line for every checkpoint that was trained on them, or that started from one that was.
fn learnt(manifests: &[(PathBuf, Manifest)], changes: &[Change], root: &Path) -> Vec<String> {
    let mut lines: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut tainted: Vec<(&str, String)> = Vec::new();
    let name = |path: &Path| {
        let folder = path.parent().unwrap_or(path).join(CHECKPOINT);
        folder.strip_prefix(root).unwrap_or(&folder).display().to_string()
    };
    for (path, manifest) in manifests {
        if let Some(change) = trained_on(manifest, changes) {
            let is_pairs = change.path.to_string_lossy().ends_with("pairs.jsonl");
            let what = if is_pairs { "pairs" } else { "answers" };
            let line = format!("{}: trained on {} {what} of it", name(path), change.trained);
            lines.insert(path.clone(), line);
            tainted.push((&manifest.outputs[CHECKPOINT], name(path)));
        }
    }
    while let Some((hash, from)) = tainted.pop() {
        for (path, manifest) in manifests {
            let starts = manifest.inputs.get("model").is_some_and(|model| model == hash);
            let Some(own) = manifest.outputs.get(CHECKPOINT).filter(|_| starts) else { continue };
            if !lines.contains_key(path) {
                lines.insert(path.clone(), format!("{}: starts from {from}", name(path)));
                tainted.push((own, name(path)));
            }
        }
    }
    lines.into_values().collect()
}

/// Brings a manifest up to date with the changed files; true if it changed.
fn update(path: &Path, manifest: &mut Manifest, changes: &[Change], root: &Path) -> Result<bool> {
    let before = manifest.clone();
    let folder = path.parent().unwrap_or(path);
    for change in changes {
        let Some(file) = change.path.strip_prefix(folder).ok().and_then(Path::to_str) else { continue };
        let Some(hash) = manifest.outputs.get_mut(file) else { continue };
        *hash = change.after.clone();
        if ["cases.jsonl", "candidates.jsonl", "pairs.jsonl"].contains(&file) {
            manifest.counts.out = manifest.counts.out.saturating_sub(change.removed);
            *manifest.counts.dropped.entry("forgotten".to_string()).or_default() += change.removed;
        }
    }
    // A training that saw them keeps the old hash: it no longer counts as finished.
    if trained_on(manifest, changes).is_none() {
        for input in manifest.inputs.values_mut() {
            if let Some(change) = changes.iter().find(|change| change.before == *input) {
                *input = change.after.clone();
            }
        }
    }
    if manifest.outputs.contains_key("labels.jsonl") {
        manifest.inputs.insert(FORGOTTEN.to_string(), hash_file(&root.join(FORGOTTEN))?);
    }
    Ok(*manifest != before)
}
