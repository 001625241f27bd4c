//! `drift convert`: logs in one format, rows in another, as a stream.

use crate::cli::LogArgs;
use crate::files::is_none_of;
use crate::interrupt;
use crate::privacy;
use crate::stages::detect;
use crate::talk::{Talk, Unit};
use anyhow::{Result, bail};
use drift_chat::{Chat, Entry, Exporter, Redaction, Redactor, Target, expand_logs};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Entries that are redacted at once, on all threads.
const BATCH: usize = 512;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Chat logs or pairs: files, folders, patterns in quotes, or - for standard input
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// Of chats: sharegpt, openai, parquet; of answers that the log judges and of pairs: trl, kto; of
    /// answers that the log calls bad, with the user's words: drift
    #[arg(long, value_name = "FORMAT")]
    to: Target,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Keep e-mail addresses, phone numbers, keys and the like as they are
    #[arg(long)]
    no_redact: bool,
    #[command(flatten)]
    log: LogArgs,
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    is_none_of(&options.out, &expand_logs(&options.logs)?)?;
    let key = privacy::random()?;
    let mut redaction = (!options.no_redact).then(|| Redaction::new(Redactor::default(), key));
    let mut exporter = Exporter::create(&options.out, options.to)?;
    let mut batch: Vec<Entry> = Vec::with_capacity(BATCH);
    let mut failed = None;
    let mut write = |batch: &mut Vec<Entry>| {
        if let Some(redaction) = &mut redaction {
            redact(redaction, batch);
        }
        batch.drain(..).try_for_each(|entry| exporter.add(&entry))
    };
    let bar = talk.bar("converting", 0, Unit::Bytes);
    let mut progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let mut on_entry = |entry| {
        batch.push(entry);
        if batch.len() == BATCH {
            failed = write(&mut batch).err();
        }
        if failed.is_some() { ControlFlow::Break(()) } else { interrupt::flow() }
    };
    let (files, reader) = (expand_logs(&options.logs)?, options.log.reader());
    let read = match options.to.wants_chats() {
        true => reader.chats(&files, &mut |chat| on_entry(Entry::Chat(chat)), &mut progress)?,
        false => reader.entries(&files, &mut on_entry, &mut progress)?,
    };
    if let Some(error) = failed {
        return Err(error.into());
    }
    write(&mut batch)?;
    bar.finish_and_clear();
    interrupt::check()?;
    detect::tell_damage(&read, talk);
    for (kind, n) in redaction.iter().flat_map(Redaction::counts) {
        talk.detail(format_args!("{n} {} redacted", detect::name_of(kind)));
    }
    let report = exporter.report();
    for (why, n) in &report.left_out {
        talk.step("left out", format_args!("{n} {}", detect::name_of(why)));
    }
    for (what, n) in &read.kept_out {
        talk.detail(format_args!("{n} {} kept out", detect::name_of(what)));
    }
    if report.rows == 0 {
        bail!(
            "{}: nothing to write: none of {} chats and {} pairs makes such a row; hint: `drift detect` finds what words \
             say of an answer, sharegpt, openai and parquet take every chat",
            options.out.display(),
            read.chats,
            read.pairs
        );
    }
    let rows = exporter.finish()?.rows;
    talk.step("convert", format_args!("{} chats, {} pairs in, {rows} rows out", read.chats, read.pairs));
    println!("{}", options.out.display());
    Ok(())
}

/// A pair's three parts are redacted as one chat, so that a name is the same in all of them.
fn redact(redaction: &mut Redaction, batch: &mut [Entry]) {
    let whole = |entry: &mut Entry| match entry {
        Entry::Chat(chat) => (std::mem::take(chat), [0; 2]),
        Entry::Pair(pair) => {
            let lengths = [pair.prompt.len(), pair.chosen.len()];
            let parts = [&mut pair.prompt, &mut pair.chosen, &mut pair.rejected];
            let messages = parts.into_iter().flat_map(std::mem::take).collect();
            (Chat { id: std::mem::take(&mut pair.conversation), messages, ..Chat::default() }, lengths)
        }
    };
    for entry in batch.iter_mut() {
        // an empty one is made anew from the content
        if let Entry::Pair(pair) = entry
            && redaction.is_hit(&pair.id)
        {
            pair.id.clear();
        }
    }
    let (mut chats, lengths): (Vec<Chat>, Vec<[usize; 2]>) = batch.iter_mut().map(whole).unzip();
    redaction.apply(&mut chats);
    for ((entry, mut redacted), [prompt, chosen]) in batch.iter_mut().zip(chats).zip(lengths) {
        match entry {
            Entry::Chat(chat) => {
                if let Some(user) = &mut redacted.user {
                    redaction.apply_to(user);
                }
                *chat = redacted;
            }
            Entry::Pair(pair) => {
                pair.rejected = redacted.messages.split_off(prompt + chosen);
                pair.chosen = redacted.messages.split_off(prompt);
                pair.prompt = redacted.messages;
                pair.conversation = redacted.id;
            }
        }
    }
}
