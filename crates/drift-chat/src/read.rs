//! Reads logs of any size as a stream of chats and pairs, in the order of the files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;

use rayon::prelude::*;
use serde::Serialize;

use crate::assemble::Assembler;
use crate::error::Error;
use crate::formats::{Columns, Counts, Format, Parsed};
use crate::input::{Input, Packing, Progress, STDIN};
use crate::parquet_rows::{self, ParquetRows};
use crate::records::{Item, Record, Records};
use crate::scale::Scale;
use crate::table::{self, Table};
use crate::types::{Chat, Pair};

/// A larger record is passed over: memory stays bounded whatever a file holds.
pub const MAX_RECORD_BYTES: usize = 64 << 20;
/// Records are parsed on all threads in batches of about so many bytes.
const BATCH_BYTES: usize = 8 << 20;
/// So many skipped records are named with file and byte; all are counted.
const NAMED: usize = 20;
const KNOWN: &str = "a chat log in one of the formats of docs/formats.md";

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
    /// Bytes between or behind the records, a row of a table with too few or too many fields.
    NoRecord,
    /// A compressed file is damaged here: what follows is lost.
    CannotUnpack,
}

/// `byte` as in [`crate::Source`].
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReadReport {
    /// Unpacked, where a file is packed; rows, where it is Parquet.
    pub bytes: u64,
    pub chats: u64,
    /// Of `chats`: those without any message. They are handed on like the others.
    pub empty_chats: u64,
    /// Of `chats`: others than an earlier one of the same id. Theirs ends in `#again-2` and so on.
    pub same_id: u64,
    pub pairs: u64,
    /// Signals beside the text that the chats carry.
    pub explicit: u64,
    /// File and format, in the order of reading.
    pub formats: Vec<(String, Format)>,
    pub skipped: BTreeMap<Reason, u64>,
    /// The first few of the skipped, with file and byte.
    pub first_skipped: Vec<Skipped>,
    pub cuts: Vec<Cut>,
    /// What the formats leave out of the chats.
    pub kept_out: Counts,
    /// By the name of the score.
    pub scales: BTreeMap<String, Scale>,
}

impl ReadReport {
    pub(crate) fn skip(&mut self, reason: Reason, file: &str, byte: u64) {
        *self.skipped.entry(reason).or_default() += 1;
        if self.first_skipped.len() < NAMED {
            self.first_skipped.push(Skipped { reason, file: file.to_string(), byte });
        }
    }
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Chat(Chat),
    Pair(Pair),
}

/// How logs are read. The default: every format is told by its content.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogReader {
    /// Of every file.
    pub format: Option<Format>,
    /// What the columns of a table are; the format is [`Format::Columns`] then.
    pub columns: Option<Columns>,
    /// Worst and best of every score that is a number.
    pub scale: Option<Scale>,
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
    LogReader::default().chats(paths, on_chat, progress)
}

impl LogReader {
    /// As [`read_logs`]. Pairs are counted; a file that can hold nothing else is an error.
    ///
    /// # Errors
    /// As [`read_logs`].
    pub fn chats<P: AsRef<Path>>(
        &self,
        paths: &[P],
        on_chat: &mut dyn FnMut(Chat) -> ControlFlow<()>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ReadReport, Error> {
        let mut on_entry = |entry| match entry {
            Entry::Chat(chat) => on_chat(chat),
            Entry::Pair(_) => ControlFlow::Continue(()),
        };
        self.read(paths, true, &mut on_entry, progress)
    }

    /// Chats and pairs, as they come. Files of feedback alone are read first, so that it is there
    /// when its answers come.
    ///
    /// # Errors
    /// As [`read_logs`].
    pub fn entries<P: AsRef<Path>>(
        &self,
        paths: &[P],
        on_entry: &mut dyn FnMut(Entry) -> ControlFlow<()>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ReadReport, Error> {
        self.read(paths, false, on_entry, progress)
    }

    fn read<P: AsRef<Path>>(
        &self,
        paths: &[P],
        chats_only: bool,
        on_entry: &mut dyn FnMut(Entry) -> ControlFlow<()>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ReadReport, Error> {
        let mut files = Vec::with_capacity(paths.len());
        let mut total = 0;
        for path in paths.iter().map(AsRef::as_ref) {
            if path.as_os_str() != STDIN {
                let size = File::open(path).and_then(|file| file.metadata()).map_err(|e| Error::read(path, e))?;
                if size.is_dir() {
                    return Err(Error::read(path, io::ErrorKind::IsADirectory.into()));
                }
                total += size.len();
            }
            files.push((!(paths.len() > 1 && self.is_feedback(path)), path));
        }
        files.sort_by_key(|(later, _)| *later);
        let mut report = ReadReport::default();
        let mut assembler = Assembler::new(self.scale);
        let mut done = 0;
        for (_, path) in files {
            let mut file = FileRead { reader: self, path, chats_only, report: &mut report, assembler: &mut assembler };
            let mut file_done = 0;
            let flow = file.run(on_entry, &mut |bytes| {
                file_done = bytes;
                progress(done + bytes, total);
            })?;
            done += file_done;
            if flow.is_break() {
                return Ok(report);
            }
        }
        assembler.finish(&mut report);
        Ok(report)
    }

    /// True where the file's first record is feedback on answers that lie elsewhere.
    fn is_feedback(&self, path: &Path) -> bool {
        if path.as_os_str() == STDIN || self.columns.is_some() {
            return false;
        }
        let open = |path: &Path| -> io::Result<bool> {
            let input = Input::open(path)?;
            let head = io::Cursor::new(input.head);
            let Some(mut records) = Records::open(head, MAX_RECORD_BYTES, |line| Format::of(line).is_some())? else {
                return Ok(false);
            };
            Ok(match records.next()? {
                Some(Item::Record(record)) => Format::of(&record.bytes) == Some(Format::Feedback),
                _ => false,
            })
        };
        self.format.map_or_else(|| open(path).unwrap_or(false), |format| format == Format::Feedback)
    }
}

/// Where records come from.
enum Stream {
    Json(Records<Box<dyn Read + Send>>),
    Table(Table<Box<dyn Read + Send>>),
    Parquet(Box<ParquetRows>),
}

impl Stream {
    fn next(&mut self) -> io::Result<Option<Item>> {
        match self {
            Stream::Json(records) => records.next(),
            Stream::Table(table) => table.next(),
            Stream::Parquet(rows) => rows.next(),
        }
    }

    fn offset(&self) -> u64 {
        match self {
            Stream::Json(records) => records.offset(),
            Stream::Table(table) => table.offset(),
            Stream::Parquet(rows) => rows.offset(),
        }
    }
}

/// A few MiB of records, and what lay between them.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    skipped: Vec<(Reason, u64)>,
    cut: Option<u64>,
    offset: u64,
    /// Of the file itself.
    done: u64,
}

/// The reading of one file.
struct FileRead<'a> {
    reader: &'a LogReader,
    path: &'a Path,
    chats_only: bool,
    report: &'a mut ReadReport,
    assembler: &'a mut Assembler,
}

impl FileRead<'_> {
    /// One thread cuts the file into records, a batch ahead of all that parse them.
    fn run(
        &mut self,
        on_entry: &mut dyn FnMut(Entry) -> ControlFlow<()>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ControlFlow<()>, Error> {
        let path = self.path;
        let failed = |error| Error::read(path, error);
        let input = Input::open(path).map_err(failed)?;
        let (name, head, packing) = (input.name.clone(), input.head.clone(), input.packing);
        let Some((mut stream, state)) = self.open(input).map_err(failed)? else {
            return Err(unknown(&name, &head, packing));
        };
        let (before, mut format) = (self.report.bytes, self.reader.format);
        let mut columns = self.reader.columns.clone();
        std::thread::scope(|threads| {
            let (sender, batches) = mpsc::sync_channel::<io::Result<Batch>>(1);
            threads.spawn(move || {
                loop {
                    let batch = next_batch(&mut stream, &state);
                    let is_last = batch.as_ref().map_or(true, |(_, at_end)| *at_end);
                    // nobody listens any more: reading was stopped
                    if sender.send(batch.map(|(batch, _)| batch)).is_err() || is_last {
                        return;
                    }
                }
            });
            let (mut told, mut too_large) = (false, false);
            // a misspelt name would leave out what it stands for, an opt-out among others
            let mut missing = self.reader.columns.as_ref().map(Columns::names).unwrap_or_default();
            for batch in batches {
                let Batch { records, skipped, cut, offset, done } = batch.map_err(failed)?;
                missing.retain(|column| !records.iter().any(|record| Columns::is_in(column, &record.bytes)));
                self.report.bytes = before + offset;
                for (reason, byte) in skipped {
                    too_large |= reason == Reason::TooLarge;
                    self.report.skip(reason, &name, byte);
                }
                if let Some(record) = cut {
                    self.report.cuts.push(Cut { file: name.clone(), record, end: offset });
                }
                if !told && !records.is_empty() {
                    let (found, guessed) = self.tell(&records).ok_or_else(|| unknown(&name, &head, packing))?;
                    if found == Format::Pairs && self.chats_only {
                        let found = "preference pairs without a user's reaction".to_string();
                        let hint = "pairs go to training as they are; detection needs the chats";
                        return Err(Error::Format { file: name.clone(), found, expected: KNOWN, hint });
                    }
                    self.report.formats.push((name.clone(), found));
                    (format, columns, told) = (Some(found), guessed.or(columns), true);
                }
                if let Some(format) = format.filter(|_| told) {
                    let flow = self.hand_on(records, format, columns.as_ref(), &name, on_entry);
                    if flow.is_break() {
                        return Ok(flow);
                    }
                }
                progress(done);
            }
            let mut last = Vec::new();
            self.assembler.end_of_file(&name, self.report, &mut last);
            if !told && too_large {
                let found = format!("no record but one above {} MiB", MAX_RECORD_BYTES >> 20);
                let hint = "is there a line for each record?";
                return Err(Error::Format { file: name, found, expected: KNOWN, hint });
            }
            if !told {
                return Err(unknown(&name, &head, packing));
            }
            if let Some(column) = missing.first() {
                let found = format!("no record has the column {column:?}");
                let hint = "check its spelling in `--columns`";
                return Err(Error::Format { file: name, found, expected: "every column that is named", hint });
            }
            Ok(last.into_iter().map(on_entry).find(ControlFlow::is_break).unwrap_or(ControlFlow::Continue(())))
        })
    }

    fn open(&self, input: Input) -> io::Result<Option<(Stream, Progress)>> {
        let is_forced = self.reader.format.is_some() || self.reader.columns.is_some();
        let is_parquet = input.head.starts_with(parquet_rows::MAGIC);
        let is_table = is_table(&input.head, is_forced);
        let is_plain_file = input.packing == Packing::None && self.path.as_os_str() != STDIN;
        let (bytes, progress) = input.into_reader();
        if is_parquet {
            if !is_plain_file {
                return Ok(None);
            }
            let rows = ParquetRows::open(File::open(self.path)?, MAX_RECORD_BYTES)?;
            return Ok(Some((Stream::Parquet(Box::new(rows)), progress)));
        }
        let bytes: Box<dyn Read + Send> = Box::new(bytes);
        let stream = if is_table {
            Table::open(bytes, MAX_RECORD_BYTES)?.map(Stream::Table)
        } else {
            let is_record = |line: &[u8]| match is_forced {
                true => serde_json::from_slice::<serde_json::Map<_, _>>(line).is_ok(),
                false => Format::of(line).is_some() || Columns::guess_from(line).is_some(),
            };
            Records::open(bytes, MAX_RECORD_BYTES, is_record)?.map(Stream::Json)
        };
        Ok(stream.map(|stream| (stream, progress)))
    }

    /// The format of the first record that has one, and the columns where they had to be guessed.
    fn tell(&self, records: &[Record]) -> Option<(Format, Option<Columns>)> {
        if self.reader.columns.is_some() {
            return Some((Format::Columns, None));
        }
        let guess = || records.iter().find_map(|record| Columns::guess_from(&record.bytes));
        match self.reader.format {
            Some(Format::Columns) => guess().map(|columns| (Format::Columns, Some(columns))),
            Some(format) => Some((format, None)),
            None => records
                .iter()
                .find_map(|record| Format::of(&record.bytes).map(|format| (format, None)))
                .or_else(|| guess().map(|columns| (Format::Columns, Some(columns)))),
        }
    }

    fn hand_on(
        &mut self,
        records: Vec<Record>,
        format: Format,
        columns: Option<&Columns>,
        name: &str,
        on_entry: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let parsed: Vec<(u64, Result<Parsed, Failed>)> =
            records.into_par_iter().map(|record| (record.byte, parse(format, columns, &record))).collect();
        let good: Vec<&Parsed> = parsed.iter().filter_map(|(_, parsed)| parsed.as_ref().ok()).collect();
        self.assembler.learn(&good, self.report);
        let mut entries = Vec::new();
        for (byte, parsed) in parsed {
            match parsed {
                Ok(parsed) => self.assembler.add(parsed, byte, name, self.report, &mut entries),
                Err(Failed::Skip(reason)) => self.report.skip(reason, name, byte),
                Err(Failed::Cut) => {
                    let (file, end) = (name.to_string(), self.report.bytes);
                    self.report.cuts.push(Cut { file, record: byte, end });
                }
            }
            for entry in entries.drain(..) {
                on_entry(entry)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// A table's head with columns that make a chat (or that the caller names), and not JSON lines with
/// commas in the first.
fn is_table(head: &[u8], is_forced: bool) -> bool {
    let first = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().first().copied();
    !matches!(first, Some(b'{' | b'[') | None)
        && table::header_of(head).is_some_and(|(names, _)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            is_forced || Columns::guess(&names).is_some()
        })
}

/// The next few MiB of records; true at the end of the file.
fn next_batch(stream: &mut Stream, progress: &Progress) -> io::Result<(Batch, bool)> {
    let (mut batch, mut bytes, mut at_end) = (Batch::default(), 0, false);
    while bytes < BATCH_BYTES {
        match stream.next()? {
            None => {
                at_end = true;
                break;
            }
            Some(Item::Record(record)) => {
                bytes += record.bytes.len();
                batch.records.push(record);
            }
            Some(Item::TooLarge { byte }) => batch.skipped.push((Reason::TooLarge, byte)),
            Some(Item::Broken { byte }) => batch.skipped.push((Reason::NoRecord, byte)),
            Some(Item::Cut { record }) => batch.cut = Some(record),
        }
    }
    (batch.offset, batch.done) = (stream.offset(), progress.bytes());
    if at_end && progress.cannot_unpack() {
        batch.skipped.push((Reason::CannotUnpack, batch.offset));
    }
    Ok((batch, at_end))
}

enum Failed {
    Skip(Reason),
    Cut,
}

fn parse(format: Format, columns: Option<&Columns>, record: &Record) -> Result<Parsed, Failed> {
    format.parse(&record.bytes, columns).map_err(|reason| {
        // an unfinished last line is a cut, not damage
        let is_cut = record.unterminated
            && serde_json::from_slice::<serde::de::IgnoredAny>(&record.bytes).is_err_and(|error| error.is_eof());
        if is_cut { Failed::Cut } else { Failed::Skip(reason) }
    })
}

/// Names what the first bytes look like.
fn unknown(name: &str, head: &[u8], packing: Packing) -> Error {
    let convert = "`--columns` says what is what in a table or in JSON lines; `--format` forces a format";
    let start = head.trim_ascii_start();
    let (found, hint) = match head {
        [] if packing != Packing::None => ("a compressed file that cannot be unpacked", "check how it was copied"),
        [] => ("an empty file", "check how the log was exported"),
        [b'P', b'A', b'R', b'1', ..] => ("Parquet in a stream", "give the file itself, unpacked"),
        _ if start.is_empty() => ("nothing but white space", "check how the log was exported"),
        bytes if bytes.contains(&0) => ("binary data", "logs are JSON, CSV or Parquet, plain or as .gz or .zst"),
        _ if start.starts_with(b"[") || start.starts_with(b"{") => ("JSON of no known chat format", convert),
        _ => ("no JSON, and no table of chats with the usual column names", convert),
    };
    Error::Format { file: name.to_string(), found: found.to_string(), expected: KNOWN, hint }
}
