//! Chats and pairs, written in the formats that trainers load: DRIFT rows, TRL's preferences, KTO,
//! ShareGPT, OpenAI messages, Parquet.
//!
//! Chats become rows with a verdict (`drift`, `trl`, `kto`) only where the log itself judges an
//! answer; what the words say is for a detector to find.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::Error;
use crate::ids::{case_id, pair_id};
use crate::parquet_write::ParquetWriter;
use crate::read::Entry;
use crate::rows::{Row, check_answer, check_prompt, persist, temporary};
use crate::types::{Case, Chat, Message, Pair, Role, Signal, UserPreference};

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `{prompt, rejected, user_preference}`, JSON lines: of answers that the log calls bad and words say why.
    Drift,
    /// `{prompt, chosen, rejected}`, JSON lines: of pairs and of edited answers.
    Trl,
    /// `{prompt, completion, label}`, JSON lines: of pairs and of every judged answer.
    Kto,
    /// A JSON array of `{id, conversations: [{from, value}]}`, of chats.
    ShareGpt,
    /// `{messages: [{role, content}]}`, JSON lines, of chats.
    OpenAi,
    /// `{conversation_id, conversation: [{role, content}], user}`, of chats.
    Parquet,
}

/// Why an entry or a judged answer gave no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// The chat is not to be used.
    OptedOut,
    /// No message.
    EmptyChat,
    /// A chat that the log judges nowhere, or not in a way that makes such a row.
    ChatWithoutVerdict,
    /// A pair, where chats are asked for.
    PairWithoutChat,
    /// A judged answer with no user's words about it.
    NoWords,
    /// Up and down on one answer.
    Contradictory,
    /// No request before the answer, no text in one of them, both answers alike, or a weight out of range.
    NotTrainable,
}

/// Rows written, and what was left out by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    pub rows: u64,
    pub left_out: BTreeMap<LeftOut, u64>,
}

impl ExportReport {
    fn leave_out(&mut self, why: LeftOut) {
        *self.left_out.entry(why).or_default() += 1;
    }
}

/// Writes to a temporary file beside the path; [`Exporter::finish`] renames it.
pub struct Exporter {
    target: Target,
    path: PathBuf,
    out: Output,
    report: ExportReport,
}

enum Output {
    Lines(BufWriter<NamedTempFile>),
    Parquet(Box<ParquetWriter>, NamedTempFile),
}

#[derive(Serialize)]
struct KtoRow<'a> {
    prompt: &'a [Message],
    completion: &'a [Message],
    label: bool,
}

#[derive(Serialize)]
struct ShareGptRow<'a> {
    id: &'a str,
    conversations: Vec<ShareGptTurn<'a>>,
}

#[derive(Serialize)]
struct ShareGptTurn<'a> {
    from: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct OpenAiRow<'a> {
    messages: &'a [Message],
}

impl Exporter {
    /// # Errors
    /// A folder that is missing or not writable.
    pub fn create(path: &Path, target: Target) -> Result<Exporter, Error> {
        let open = || -> io::Result<Output> {
            let file = temporary(path)?;
            Ok(match target {
                Target::Parquet => Output::Parquet(Box::new(ParquetWriter::new(file.reopen()?)?), file),
                _ => Output::Lines(BufWriter::with_capacity(1 << 18, file)),
            })
        };
        let out = open().map_err(|source| Error::write(path, source))?;
        Ok(Exporter { target, path: path.to_path_buf(), out, report: ExportReport::default() })
    }

    /// # Errors
    /// A full disk.
    pub fn add(&mut self, entry: &Entry) -> Result<(), Error> {
        let added = match entry {
            Entry::Chat(chat) => self.chat(chat),
            Entry::Pair(pair) => self.pair(pair),
        };
        added.map_err(|source| Error::write(&self.path, source))
    }

    /// So far.
    pub fn report(&self) -> &ExportReport {
        &self.report
    }

    /// # Errors
    /// A full disk. A file of that name is as it was then.
    pub fn finish(self) -> Result<ExportReport, Error> {
        let Exporter { target, path, out, report } = self;
        let close = || -> io::Result<()> {
            let file = match out {
                Output::Lines(mut out) => {
                    if target == Target::ShareGpt {
                        out.write_all(if report.rows == 0 { b"[]\n" } else { b"\n]\n" })?;
                    }
                    out.into_inner().map_err(|error| error.into_error())?
                }
                Output::Parquet(writer, file) => {
                    writer.finish()?;
                    file
                }
            };
            persist(file, &path)
        };
        close().map_err(|source| Error::write(&path, source))?;
        Ok(report)
    }

    fn chat(&mut self, chat: &Chat) -> io::Result<()> {
        if chat.opted_out {
            self.report.leave_out(LeftOut::OptedOut);
            return Ok(());
        }
        if chat.messages.is_empty() {
            self.report.leave_out(LeftOut::EmptyChat);
            return Ok(());
        }
        match self.target {
            Target::Drift | Target::Trl | Target::Kto => self.judged(chat),
            Target::OpenAi => self.line(&OpenAiRow { messages: &chat.messages }),
            Target::ShareGpt => {
                let turn = |message: &'_ Message| match message.role {
                    Role::System => "system",
                    Role::User => "human",
                    Role::Assistant => "gpt",
                    Role::Tool => "tool",
                };
                let turns = chat.messages.iter().map(|m| ShareGptTurn { from: turn(m), value: &m.content });
                self.line(&ShareGptRow { id: &chat.id, conversations: turns.collect() })
            }
            Target::Parquet => {
                if let Output::Parquet(writer, _) = &mut self.out {
                    writer.add(chat)?;
                }
                self.report.rows += 1;
                Ok(())
            }
        }
    }

    /// A row for each answer that the log judges.
    fn judged(&mut self, chat: &Chat) -> io::Result<()> {
        let before = (self.report.rows, self.report.left_out.clone());
        let mut at = 0;
        while let Some(first) = chat.explicit.get(at) {
            // all that is said of one answer
            let of_one = chat.explicit[at..].iter().take_while(|explicit| explicit.message == first.message).count();
            let said = &chat.explicit[at..at + of_one];
            at += of_one;
            let (prompt, rest) = chat.messages.split_at(first.message.min(chat.messages.len()));
            let Some((answer, later)) = rest.split_first() else { continue };
            let answer = std::slice::from_ref(answer);
            let verdicts = || said.iter().filter_map(|explicit| explicit.signal.verdict());
            let edited = said.iter().find_map(|explicit| match &explicit.signal {
                Signal::Edited(Some(text)) => Some([Message { role: Role::Assistant, content: text.clone() }]),
                _ => None,
            });
            if check_prompt(prompt).is_err() || check_answer("answer", answer).is_err() {
                self.report.leave_out(LeftOut::NotTrainable);
                continue;
            }
            let good = verdicts().next().filter(|first| verdicts().all(|verdict| verdict == *first));
            match self.target {
                Target::Trl => {
                    let Some(edited) = edited else { continue };
                    let (conversation, chosen) = (chat.id.clone(), edited.to_vec());
                    let (prompt, rejected) = (prompt.to_vec(), answer.to_vec());
                    self.pair(&Pair { conversation, prompt, chosen, rejected, ..Pair::default() })?;
                }
                Target::Kto if good.is_some() || edited.is_some() => {
                    let label = good.unwrap_or(false);
                    self.line(&KtoRow { prompt, completion: answer, label })?;
                    if let Some(edited) = edited.filter(|edited| check_answer("answer", edited).is_ok()) {
                        self.line(&KtoRow { prompt, completion: &edited, label: true })?;
                    }
                }
                Target::Drift if good == Some(false) => {
                    let comment = said.iter().find_map(|explicit| explicit.comment.as_deref());
                    let next =
                        || later.first().filter(|next| next.role == Role::User).map(|next| next.content.as_str());
                    let words = next().or(comment).filter(|words| !words.trim().is_empty());
                    let Some(words) = words else {
                        self.report.leave_out(LeftOut::NoWords);
                        continue;
                    };
                    self.line(&Case {
                        id: case_id(prompt, answer),
                        conversation: chat.id.clone(),
                        prompt: prompt.to_vec(),
                        rejected: answer.to_vec(),
                        user_preference: UserPreference { content: words.to_string() },
                        evidence: None,
                        split: None,
                        key: None,
                    })?;
                }
                _ if good.is_none() && verdicts().next().is_some() => self.report.leave_out(LeftOut::Contradictory),
                _ => {}
            }
        }
        if before == (self.report.rows, self.report.left_out.clone()) {
            self.report.leave_out(LeftOut::ChatWithoutVerdict);
        }
        Ok(())
    }

    fn pair(&mut self, pair: &Pair) -> io::Result<()> {
        if pair.check().is_err() || pair.chosen == pair.rejected {
            self.report.leave_out(LeftOut::NotTrainable);
            return Ok(());
        }
        match self.target {
            Target::Trl => {
                let mut pair = pair.clone();
                if pair.id.is_empty() {
                    pair.id = pair_id(&pair.prompt, &pair.chosen, &pair.rejected);
                }
                self.line(&pair)
            }
            Target::Kto => {
                self.line(&KtoRow { prompt: &pair.prompt, completion: &pair.chosen, label: true })?;
                self.line(&KtoRow { prompt: &pair.prompt, completion: &pair.rejected, label: false })
            }
            Target::Drift | Target::ShareGpt | Target::OpenAi | Target::Parquet => {
                self.report.leave_out(LeftOut::PairWithoutChat);
                Ok(())
            }
        }
    }

    fn line(&mut self, row: &impl Serialize) -> io::Result<()> {
        let Output::Lines(out) = &mut self.out else { return Err(io::Error::other("no lines in Parquet")) };
        if self.target == Target::ShareGpt {
            out.write_all(if self.report.rows == 0 { b"[\n" } else { b",\n" })?;
        }
        serde_json::to_writer(&mut *out, row)?;
        if self.target != Target::ShareGpt {
            out.write_all(b"\n")?;
        }
        self.report.rows += 1;
        Ok(())
    }
}

impl Target {
    pub const ALL: [(&'static str, Target); 6] = [
        ("drift", Target::Drift),
        ("trl", Target::Trl),
        ("kto", Target::Kto),
        ("sharegpt", Target::ShareGpt),
        ("openai", Target::OpenAi),
        ("parquet", Target::Parquet),
    ];

    /// True where only chats can be written.
    pub fn wants_chats(self) -> bool {
        !matches!(self, Target::Trl | Target::Kto)
    }
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Target, String> {
        let found = Target::ALL.iter().find(|(known, _)| *known == name).map(|(_, target)| *target);
        found.ok_or_else(|| format!("expected one of {}", Target::ALL.map(|(name, _)| name).join(", ")))
    }
}
