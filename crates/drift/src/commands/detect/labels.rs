//! Labels files joined with the logs that they are about.

use crate::cli::LogArgs;
use crate::files::is_none_of;
use crate::interrupt;
use crate::privacy;
use crate::talk::{Talk, Unit};
use anyhow::{Result, bail};
use drift_chat::{Redaction, Redactor, expand_logs};
use drift_feedback::labelled::{Joined, Joiner, Labels};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, clap::Args)]
pub struct LabelArgs {
    /// JSON lines of key (`<chat id>:<index of the user turn>`) and label (DSAT, SAT, BOTH, NONE, DISPUTED); of two
    /// rows with one key the later counts, so corrections go last
    #[arg(required = true, value_name = "LABELS")]
    labels: Vec<PathBuf>,
    /// The chat logs that the labels are about
    #[arg(long, required = true, num_args = 1.., value_name = "LOG")]
    logs: Vec<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

pub struct Material {
    pub joined: Joined,
    /// Rows without a verdict.
    pub open: usize,
}

impl LabelArgs {
    /// # Errors
    /// `out`, which is to be written, is one of the labels or logs.
    pub fn spare(&self, out: &Path) -> Result<()> {
        is_none_of(out, &self.labels)?;
        is_none_of(out, &expand_logs(&self.logs)?)
    }

    /// # Errors
    /// An unreadable file, a bad row, or labels of which the logs have none.
    /// `redact`: what is judged leaves the machine.
    pub fn load(&self, redact: bool, talk: &Talk) -> Result<Material> {
        let labels = Labels::read(&self.labels)?;
        if labels.rows.is_empty() {
            bail!("{}: no label with a verdict, expected some; hint: is the file empty?", self.labels[0].display());
        }
        let mut joiner = Joiner::new(&labels);
        let key = privacy::random()?;
        let mut redaction = redact.then(|| Redaction::new(Redactor::default(), key));
        let bar = talk.bar("reading", 0, Unit::Bytes);
        let mut on_chat = |chat| {
            let mut chat = [chat];
            if let Some(redaction) = &mut redaction {
                redaction.apply(&mut chat);
            }
            let [chat] = chat;
            joiner.add(chat);
            interrupt::flow()
        };
        self.log.reader().chats(&expand_logs(&self.logs)?, &mut on_chat, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
        bar.finish_and_clear();
        interrupt::check()?;
        let joined = joiner.finish();
        if joined.rows.is_empty() {
            bail!(
                "{}: none of {} labelled turns is in the logs, expected keys <chat id>:<index of the user turn> of them; \
                 hint: are these the logs that were labelled?",
                self.labels[0].display(),
                labels.rows.len()
            );
        }
        if joined.missing > 0 {
            talk.warn(format_args!("{} labelled turns are not in the logs and are left out", joined.missing));
        }
        talk.detail(format_args!(
            "{} labelled turns, {} without a verdict left out, {} replaced by later rows",
            joined.rows.len(),
            labels.open,
            labels.replaced
        ));
        Ok(Material { joined, open: labels.open })
    }
}
