//! What the judged suites have in common: answers that a model gives or that are there, and a judge to ask.

use super::Options;
use crate::cli::Settings;
use crate::files::{is_none_of, read_json, write_json};
use crate::policy::Policy;
use crate::run_folder::{RunFolder, not_ours};
use crate::simulated::asking::{Kept, Question as Asking, ask};
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_judge::{Judge, Question};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lists the files of the folder that calls of this command made.
const OURS: &str = ".ours.json";

/// Which answers are judged, by whom, and where all of it is kept.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Judged suites")]
pub struct Args {
    /// alpaca-eval, wildbench: a config file whose [judge] says who judges (docs/judge.md)
    #[command(flatten)]
    settings: Settings,
    /// The folder for answers, the judge's records and its replies; a call that was stopped goes on there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Judge these answers, a file of the official tools, and ask no model
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    outputs: Option<PathBuf>,
    /// What the records call the model [default: its file's name]
    #[arg(long, value_name = "NAME", conflicts_with = "outputs")]
    name: Option<String>,
    /// alpaca-eval: the baseline's answers, whose instructions are asked; wildbench: another model's answers to compare
    /// with (WB-Reward) instead of scores (WB-Score)
    #[arg(long, value_name = "FILE")]
    pub reference: Option<PathBuf>,
}

impl Args {
    /// # Errors
    /// One is given to a suite that a program checks.
    pub fn none_given(&self) -> Result<()> {
        let given = [
            ("--config", self.settings.given()),
            ("--out", self.out.is_some()),
            ("--outputs", self.outputs.is_some()),
            ("--name", self.name.is_some()),
            ("--reference", self.reference.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => bail!("{name}: belongs to alpaca-eval and wildbench; hint: a program checks this suite"),
            None => Ok(()),
        }
    }
}

/// A judged suite about to run.
pub struct Bench<'a> {
    pub options: &'a Options,
    /// `alpaca-eval`, as on the command line.
    pub suite: &'static str,
    pub talk: &'a Talk,
    folder: RunFolder,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// Options of other suites, or none of where to write.
    pub fn open(options: &'a Options, suite: &'static str, talk: &'a Talk) -> Result<Bench<'a>> {
        options.suite.not_simulated()?;
        for (name, given) in [("--answers", options.answers.is_some()), ("--against", options.against.is_some())] {
            if given {
                bail!("{name}: belongs to simulated and ifbench; hint: --out keeps the answers of this suite");
            }
        }
        let Some(out) = &options.judged.out else {
            bail!(
                "--suite {suite}: nowhere to write, expected --out DIR; hint: answers and the judge's records go there"
            );
        };
        Ok(Bench { options, suite, talk, folder: RunFolder::open(out)? })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.root().join(name)
    }

    /// An option that this suite needs.
    pub fn needed(&self, name: &str, given: &'a Option<PathBuf>, what: &str) -> Result<&'a Path> {
        given.as_deref().with_context(|| format!("--suite {}: no {name}, expected {what}", self.suite))
    }

    /// The first `--n`.
    pub fn n(&self) -> usize {
        self.options.suite.n.map_or(usize::MAX, |n| n as usize)
    }

    pub fn reference(&self) -> Result<&'a Path> {
        let what = "--reference FILE; hint: model_outputs.json of the baseline, as AlpacaEval publishes it";
        self.needed("--reference", &self.options.judged.reference, what)
    }

    /// Answers that are there, if such were given.
    pub fn outputs(&self) -> Option<&'a Path> {
        self.options.judged.outputs.as_deref()
    }

    /// Before anything is written: the folder remembers these names as ours.
    ///
    /// # Errors
    /// A file that is to be written is one that was given, or somebody else's.
    pub fn may_write(&self, names: &[&str]) -> Result<()> {
        let Options { suite, judged, .. } = self.options;
        let read: Vec<PathBuf> =
            [&judged.reference, &judged.outputs, &suite.prompts].into_iter().flatten().cloned().collect();
        let list = self.path(OURS);
        let mut ours: BTreeSet<String> = read_json(&list).unwrap_or_default();
        for name in names {
            let path = self.path(name);
            is_none_of(&path, &read)?;
            if path.exists() && !ours.contains(*name) {
                return Err(not_ours(&path));
            }
        }
        ours.extend(names.iter().map(|name| name.to_string()));
        write_json(&list, &ours)
    }

    /// The model's name and its answers to the chats; `None` where a chat does not fit its context.
    pub fn answers(&self, chats: Vec<Vec<drift_chat::Message>>) -> Result<(String, Vec<Option<String>>)> {
        let path = self.options.model.path()?;
        let name = match &self.options.judged.name {
            Some(name) => name.clone(),
            None => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let policy = Policy::load(&path, self.options.model.precision)?;
        let (drawing, run_seed) = (self.options.suite.drawing(), self.options.suite.seed);
        let settings = (&policy.weights, self.options.model.precision, &drawing, run_seed);
        let mut kept = Kept::beside(&self.path("answers"), &settings)?;
        let question = |(at, messages): (usize, Vec<drift_chat::Message>)| Asking {
            name: format!("{at} {}", drift_chat::content_id(&[&messages])),
            messages,
            seed: crate::seeds::seed(run_seed, &[self.suite, &at.to_string()]),
        };
        let questions: Vec<Asking> = chats.into_iter().enumerate().map(question).collect();
        let answers = ask(&policy, &questions, &drawing, &mut kept, "answering", self.talk)?;
        Ok((name, answers))
    }

    /// The judge of `--config`, with a cache in the folder unless it names another.
    pub fn judge<Q: Question>(&self) -> Result<Judge> {
        let settings = &self.options.judged.settings;
        if !settings.given() {
            bail!(
                "--suite {}: no judge, expected --config FILE; hint: its [judge] says who, docs/judge.md has the keys",
                self.suite
            );
        }
        let mut judge = settings.load()?.judge;
        judge.cache.get_or_insert_with(|| self.path("judge.jsonl"));
        Ok(Judge::new(&judge, Q::PARSER)?)
    }
}
