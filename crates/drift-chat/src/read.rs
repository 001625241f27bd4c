//! Reads logs of any size as a stream of chats, in the order of the files.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::Error;
use crate::formats::{Format, Parsed};
use crate::ids::content_id;
use crate::records::{Item, Record, Records};
use crate::types::{Chat, Source};

/// A larger record is passed over: memory stays bounded whatever a file holds.
pub const MAX_RECORD_BYTES: usize = 64 << 20;
/// Records are parsed on all threads in batches of about so many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// So many skipped records are named with file and byte; all are counted.
const NAMED: usize = 20;
const KNOWN: &str =
    "a ShareGPT array, or JSON lines with `messages`, `conversation` or `prompt` + `rejected` + `user_preference`";

/// Why a record was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    BadJson,
    BadUtf8,
    /// JSON, but not of the file's format.
    WrongShape,
    UnknownRole,
    /// Above [`MAX_RECORD_BYTES`].
    TooLarge,
    /// Bytes between or behind the records.
    NoRecord,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub reason: Reason,
    pub file: String,
    pub byte: u64,
}

/// A file that ends too early: the last complete record ends before `record`, the file at `end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    pub file: String,
    pub record: u64,
    pub end: u64,
}

/// What was read and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadReport {
    pub bytes: u64,
    pub chats: u64,
    /// Of `chats`: those without any message. They are handed on like the others.
    pub empty_chats: u64,
    /// File and format, in the order of reading.
    pub formats: Vec<(String, Format)>,
    pub skipped: BTreeMap<Reason, u64>,
    /// The first few of the skipped, with file and byte.
    pub first_skipped: Vec<Skipped>,
    pub cuts: Vec<Cut>,
    /// Tool calls and results kept out of the chats.
    pub tool_messages: u64,
    /// Message parts other than text kept out of the chats.
    pub other_parts: u64,
}

impl ReadReport {
    fn skip(&mut self, reason: Reason, file: &str, byte: u64) {
        *self.skipped.entry(reason).or_default() += 1;
        if self.first_skipped.len() < NAMED {
            self.first_skipped.push(Skipped { reason, file: file.to_string(), byte });
        }
    }
}

/// Hands every chat of `paths` to `on_chat`, in order; `Break` stops reading. `progress` gets
/// (bytes done, bytes in all) after each batch. Damaged records are skipped and counted.
///
/// # Errors
/// A file that is missing, empty or of no known format. Never for single records.
pub fn read_logs<P: AsRef<Path>>(
    paths: &[P],
    on_chat: &mut dyn FnMut(Chat) -> ControlFlow<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ReadReport, Error> {
    let mut files = Vec::with_capacity(paths.len());
    let mut total = 0;
    for path in paths {
        let (path, file) = (path.as_ref(), File::open(path.as_ref()));
        let size = file.and_then(|file| file.metadata()).map_err(|e| Error::read(path, e))?;
        if size.is_dir() {
            return Err(Error::read(path, std::io::ErrorKind::IsADirectory.into()));
        }
        total += size.len();
        files.push(path);
    }
    let mut report = ReadReport::default();
    for path in files {
        let before = report.bytes;
        let flow = read_file(path, MAX_RECORD_BYTES, &mut report, on_chat, &mut |done| progress(before + done, total))?;
        if flow.is_break() {
            break;
        }
    }
    Ok(report)
}

fn read_file(
    path: &Path,
    max_record: usize,
    report: &mut ReadReport,
    on_chat: &mut dyn FnMut(Chat) -> ControlFlow<()>,
    progress: &mut dyn FnMut(u64),
) -> Result<ControlFlow<()>, Error> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| Error::read(path, e))?;
    let Some(mut records) =
        Records::open(file, max_record, |line| Format::of(line).is_some()).map_err(|e| Error::read(path, e))?
    else {
        return Err(unknown(path, &name));
    };
    let before = report.bytes;
    let mut format = None;
    loop {
        let (batch, at_end) = next_batch(&mut records, report, &name).map_err(|e| Error::read(path, e))?;
        report.bytes = before + records.offset();
        if format.is_none() && !batch.is_empty() {
            let found =
                batch.iter().find_map(|record| Format::of(&record.bytes)).ok_or_else(|| unknown(path, &name))?;
            if found == Format::Pairs {
                let found = "preference pairs without a user's reaction".to_string();
                let hint = "pairs go to training as they are; detection needs the chats";
                return Err(Error::Format { file: name, found, expected: KNOWN, hint });
            }
            report.formats.push((name.clone(), found));
            format = Some(found);
        }
        if let Some(format) = format {
            let chats: Vec<_> = batch.into_par_iter().map(|record| parse(format, record, &name)).collect();
            for chat in chats {
                match chat {
                    Ok((chat, tool_messages, other_parts)) => {
                        report.chats += 1;
                        report.empty_chats += u64::from(chat.messages.is_empty());
                        report.tool_messages += tool_messages;
                        report.other_parts += other_parts;
                        if on_chat(chat).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    Err(Failed::Skip(reason, byte)) => report.skip(reason, &name, byte),
                    Err(Failed::Cut(record)) => {
                        report.cuts.push(Cut { file: name.clone(), record, end: report.bytes });
                    }
                }
            }
        }
        progress(report.bytes - before);
        if at_end {
            return if format.is_some() { Ok(ControlFlow::Continue(())) } else { Err(unknown(path, &name)) };
        }
    }
}

/// The next few MiB of records; what is no record goes to the report. True at the end of the file.
fn next_batch(
    records: &mut Records<File>,
    report: &mut ReadReport,
    name: &str,
) -> std::io::Result<(Vec<Record>, bool)> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES {
        match records.next()? {
            None => return Ok((batch, true)),
            Some(Item::Record(record)) => {
                bytes += record.bytes.len();
                batch.push(record);
            }
            Some(Item::TooLarge { byte }) => report.skip(Reason::TooLarge, name, byte),
            Some(Item::Broken { byte }) => report.skip(Reason::NoRecord, name, byte),
            Some(Item::Cut { record }) => {
                report.cuts.push(Cut { file: name.to_string(), record, end: records.offset() });
            }
        }
    }
    Ok((batch, false))
}

enum Failed {
    Skip(Reason, u64),
    Cut(u64),
}

fn parse(format: Format, record: Record, name: &str) -> Result<(Chat, u64, u64), Failed> {
    let byte = record.byte;
    let Parsed { id, messages, tool_messages, other_parts } = format.parse(&record.bytes).map_err(|reason| {
        // an unfinished last line is a cut, not damage
        let is_cut = record.unterminated
            && serde_json::from_slice::<serde::de::IgnoredAny>(&record.bytes).is_err_and(|error| error.is_eof());
        if is_cut { Failed::Cut(byte) } else { Failed::Skip(reason, byte) }
    })?;
    let id = id.unwrap_or_else(|| content_id(&[&messages]));
    let source = Source { file: name.to_string(), byte };
    Ok((Chat { id, messages, source, ..Chat::default() }, tool_messages, other_parts))
}

/// Names what the first bytes look like.
fn unknown(path: &Path, name: &str) -> Error {
    let mut head = Vec::new();
    let read =
        File::open(path).and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, 512), &mut head));
    if let Err(source) = read {
        return Error::read(path, source);
    }
    let convert = "convert it to JSON lines with a list of {role, content} under `messages`";
    let (found, hint) = match head.as_slice() {
        [] => ("an empty file", "check how the log was exported"),
        [0x1f, 0x8b, ..] => ("a gzip file", "unpack it first: gunzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("a zstd file", "unpack it first: unzstd"),
        [b'P', b'A', b'R', b'1', ..] => ("a Parquet file", convert),
        bytes if bytes.iter().all(u8::is_ascii_whitespace) => {
            ("nothing but white space", "check how the log was exported")
        }
        bytes if bytes.contains(&0) => ("binary data", convert),
        bytes if bytes.trim_ascii_start().starts_with(b"[") || bytes.trim_ascii_start().starts_with(b"{") => {
            ("JSON of no known chat format", convert)
        }
        _ => ("no JSON", convert),
    };
    Error::Format { file: name.to_string(), found: found.to_string(), expected: KNOWN, hint }
}
