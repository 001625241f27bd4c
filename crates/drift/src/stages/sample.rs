//! Prompts in, fresh answers of the current policy out: one to each, or two to choose between.
//!
//! A guided answer sees the rejected answer and the feedback. A near copy of the rejected answer
//! teaches nothing, so an unguided answer takes its place. Finished answers are appended to a
//! partial file at once: a second call draws only what is missing.

use crate::answers::{is_remark, same_text, word_overlap};
use crate::config::sections::{Guided, Sample};
use crate::files;
use crate::guided::{self, Complaint, guided};
use crate::interrupt;
use crate::policy::Policy;
use crate::run_folder::{Counts, Manifest, Stage};
use crate::satisfied::Satisfied;
use crate::seeds::{seed, subset};
use crate::talk::{Talk, Unit};
use crate::tokens::fit;
use anyhow::{Context, Result};
use drift_chat::{Case, Message, Split, write_jsonl};
use drift_lm::{Decoding, Request, Sampling, generate};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

/// Cases that `guided = "auto"` tries both ways.
const PROBE: usize = 24;

/// The file that grows while the stage works.
const PARTIAL: &str = "candidates.partial.jsonl";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Guided,
    Unguided,
    /// Unguided, since the guided answer was a near copy or the guided prompt too long.
    Fallback,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    Stop,
    Length,
}

/// One fresh answer, a row of `candidates.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Id of the case, or of the satisfying answer.
    pub case: String,
    pub iteration: usize,
    pub mode: Mode,
    /// Which of several unguided answers to the same prompt, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub number: usize,
    pub text: String,
    /// As they were drawn, the end token included.
    pub ids: Vec<u32>,
    pub finish: Finish,
    /// Word overlap (Jaccard) with the recorded answer, 0 to 1.
    pub overlap: f64,
    /// Hash of the weights that drew it.
    pub weights: String,
}

fn is_first(number: &usize) -> bool {
    *number == 0
}

/// A prompt of the log that is answered afresh, and what the log has of it.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub id: &'a str,
    pub conversation: &'a str,
    pub split: Option<Split>,
    pub prompt: &'a [Message],
    /// Exactly one assistant message.
    pub recorded: &'a [Message],
    /// Of a case's label, 0 to 1.
    pub confidence: Option<f32>,
    /// Guidance needs one.
    pub complaint: Option<Complaint<'a>>,
}

impl<'a> From<&'a Case> for Task<'a> {
    fn from(case: &'a Case) -> Task<'a> {
        let Case { id, conversation, prompt, rejected, user_preference, split, evidence, .. } = case;
        let confidence = evidence.as_ref().map(|evidence| evidence.confidence);
        let complaint = Complaint { prompt, rejected: &rejected[0].content, feedback: &user_preference.content };
        Task { id, conversation, split: *split, prompt, recorded: rejected, confidence, complaint: Some(complaint) }
    }
}

impl<'a> From<&'a Satisfied> for Task<'a> {
    fn from(row: &'a Satisfied) -> Task<'a> {
        let Satisfied { id, conversation, prompt, completion, rejected, rejected_feedback, split } = row;
        let rejected = rejected.as_ref().and_then(|rejected| rejected.first());
        let complaint = rejected.zip(rejected_feedback.as_deref()).map(|(rejected, feedback)| Complaint {
            prompt,
            rejected: &rejected.content,
            feedback,
        });
        Task { id, conversation, split: *split, prompt, recorded: completion, confidence: None, complaint }
    }
}

/// What the probe of `guided = "auto"` saw, as `guidance.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guidance {
    pub cases: usize,
    pub guided: Copies,
    pub unguided: Copies,
    pub use_guided: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copies {
    /// Answers whose word overlap with the rejected one reaches `sample.near_copy`.
    pub near_copies: usize,
    /// Answers that are the rejected one but for white space.
    pub identical: usize,
    /// Answers that speak of the feedback or of the earlier answer.
    pub remarks: usize,
    pub mean_overlap: f64,
}

pub struct Job<'a> {
    pub policy: &'a Policy,
    pub tasks: &'a [Task<'a>],
    /// To each prompt: 1, or 2, of which one is guided where that is of use.
    pub answers: usize,
    pub settings: &'a Sample,
    pub seed: u64,
    /// From 1; 0 for the held-out cases.
    pub iteration: usize,
    /// Tokens of the case's own prompt, as in training.
    pub max_prompt: usize,
    /// Tokens of the guided prompt.
    pub max_guided: usize,
}

pub fn run(stage: &Stage, job: &Job, talk: &Talk) -> Result<Manifest> {
    stage.begin(&[PARTIAL])?;
    let mut counts = Counts { r#in: job.tasks.len() * job.answers, ..Counts::default() };
    let prompts = job.prompts(&mut counts);
    let mut draws = Draws::open(stage.path(PARTIAL))?;

    let guidance = match job.settings.guided {
        Guided::Auto => job.probe(&prompts, &mut draws, talk)?,
        Guided::Always | Guided::Never => None,
    };
    let use_guided = match job.settings.guided {
        Guided::Always => true,
        Guided::Never => false,
        Guided::Auto => guidance.as_ref().is_some_and(|guidance| guidance.use_guided),
    };
    if use_guided {
        draws.draw(job, prompts.iter().filter(|prompt| prompt.guided.is_some()), GUIDED, talk)?;
    }
    let mut mode_of = |prompt: &Prompt| match (use_guided, prompt.guided.is_some()) {
        (false, _) => Mode::Unguided,
        (true, false) if prompt.task.complaint.is_none() => Mode::Unguided,
        (true, false) => {
            counts.note("guided_prompt_too_long");
            Mode::Fallback
        }
        (true, true) if draws.get(prompt, GUIDED).overlap >= job.settings.near_copy => {
            counts.note("near_copy_replaced");
            Mode::Fallback
        }
        (true, true) => Mode::Guided,
    };
    let modes: Vec<Mode> = prompts.iter().map(&mut mode_of).collect();
    // Beside another plain answer, the one that takes the guided answer's place is a second one.
    let (first, last) = (plain(0), plain(job.answers - 1));
    if job.answers > 1 {
        draws.draw(job, prompts.iter(), first, talk)?;
    }
    let unguided = prompts.iter().zip(&modes).filter(|(_, mode)| **mode != Mode::Guided).map(|(prompt, _)| prompt);
    draws.draw(job, unguided, last, talk)?;

    let mut candidates = Vec::with_capacity(prompts.len() * job.answers);
    for (prompt, &mode) in prompts.iter().zip(&modes) {
        if job.answers > 1 {
            candidates.push(draws.get(prompt, first).clone());
        }
        let way = if mode == Mode::Guided { GUIDED } else { last };
        candidates.push(Candidate { mode, ..draws.get(prompt, way).clone() });
    }
    for _ in candidates.iter().filter(|candidate| candidate.finish == Finish::Length) {
        counts.note("cut_at_max_new_tokens");
    }
    counts.out = candidates.len();
    write_jsonl(&stage.path("candidates.jsonl"), &candidates)?;
    let mut outputs = vec!["candidates.jsonl"];
    if let Some(guidance) = &guidance {
        files::write_json(&stage.path("guidance.json"), guidance)?;
        outputs.push("guidance.json");
    }
    let manifest = stage.finish(counts, &outputs)?;
    drop(draws);
    fs_err::remove_file(stage.path(PARTIAL))?;
    Ok(manifest)
}

/// A task as the sampler sees it.
struct Prompt<'a> {
    task: &'a Task<'a>,
    plain: Vec<u32>,
    /// `None`: too long, guidance is off, or there is no complaint.
    guided: Option<Vec<u32>>,
}

/// How an answer is drawn, and which of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Way {
    guided: bool,
    number: usize,
}

const GUIDED: Way = Way { guided: true, number: 0 };

fn plain(number: usize) -> Way {
    Way { guided: false, number }
}

impl Job<'_> {
    fn prompts(&self, counts: &mut Counts) -> Vec<Prompt<'_>> {
        let format = &self.policy.format;
        let room = self.policy.model.context().saturating_sub(self.settings.max_new_tokens);
        let mut prompts = Vec::with_capacity(self.tasks.len());
        let mut leave_out = |reason| (0..self.answers).for_each(|_| counts.drop(reason));
        let mut shortened = 0;
        for task in self.tasks {
            match fit(format, task.prompt, 1, self.max_prompt.min(room)) {
                Err(_) => leave_out("refused_by_template"),
                Ok(None) => leave_out("prompt_too_long"),
                Ok(Some(plain)) => {
                    shortened += usize::from(plain.turns_left_out > 0);
                    let guided = self.guided_ids(task, self.max_guided.min(room));
                    prompts.push(Prompt { task, plain: plain.ids, guided });
                }
            }
        }
        (0..shortened).for_each(|_| counts.note("prompt_shortened"));
        prompts
    }

    fn guided_ids(&self, task: &Task, max_tokens: usize) -> Option<Vec<u32>> {
        let complaint = task.complaint.filter(|_| self.settings.guided != Guided::Never)?;
        let format = &self.policy.format;
        match guided(complaint, self.settings.form, self.settings.instruction.as_deref()) {
            guided::Guided::Turns { messages, tail } => {
                fit(format, &messages, tail, max_tokens).ok().flatten().map(|fitted| fitted.ids)
            }
            guided::Guided::Text(text) => {
                format.tokenizer().encode_as_text(&text).ok().filter(|ids| ids.len() <= max_tokens)
            }
        }
    }

    /// Tries both ways on a few cases. Guidance is of use unless most of its answers are copies or remarks.
    fn probe(&self, prompts: &[Prompt], draws: &mut Draws, talk: &Talk) -> Result<Option<Guidance>> {
        let able: Vec<&Prompt> = prompts.iter().filter(|prompt| prompt.guided.is_some()).collect();
        let tried = subset(able, PROBE, self.seed, "guidance probe", |prompt| prompt.task.id);
        if tried.is_empty() {
            return Ok(None);
        }
        let mut copies = |guided: bool| -> Result<Copies> {
            let way = if guided { GUIDED } else { plain(0) };
            draws.draw(self, tried.iter().copied(), way, talk)?;
            let mut seen = Copies { near_copies: 0, identical: 0, remarks: 0, mean_overlap: 0.0 };
            for prompt in &tried {
                let (answer, task) = (draws.get(prompt, way), prompt.task);
                let request = task.prompt.last().map_or("", |message| &message.content);
                seen.near_copies += usize::from(answer.overlap >= self.settings.near_copy);
                seen.identical += usize::from(same_text(&answer.text, &task.recorded[0].content));
                seen.remarks += usize::from(is_remark(&answer.text, request));
                seen.mean_overlap += answer.overlap / tried.len() as f64;
            }
            Ok(seen)
        };
        let (guided, unguided) = (copies(true)?, copies(false)?);
        let use_guided = 2 * (guided.near_copies + guided.remarks) <= tried.len();
        let tell = |copies: &Copies| {
            let Copies { near_copies, identical, remarks, mean_overlap } = copies;
            format!(
                "{near_copies} near copies of the rejected answer ({identical} identical, mean word overlap {mean_overlap:.2}) and \
                 {remarks} remarks about the feedback"
            )
        };
        let verdict = if use_guided { "sampling guided" } else { "most are of no use, sampling unguided" };
        let (n, guided_seen, plain_seen) = (tried.len(), tell(&guided), tell(&unguided));
        talk.step(
            "guidance",
            format_args!("tried on {n} cases: guided {guided_seen}; unguided {plain_seen}: {verdict}"),
        );
        Ok(Some(Guidance { cases: tried.len(), guided, unguided, use_guided }))
    }
}

/// The answers drawn so far, on disk and in memory.
struct Draws {
    path: PathBuf,
    file: fs_err::File,
    done: HashMap<(String, Way), Candidate>,
}

impl Draws {
    /// With what an earlier call left; a last line cut in two is thrown away.
    fn open(path: PathBuf) -> Result<Draws> {
        let bytes = if path.exists() { fs_err::read(&path)? } else { Vec::new() };
        let mut done = HashMap::new();
        let mut whole = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match serde_json::from_slice::<Candidate>(line) {
                Ok(candidate) if line.ends_with(b"\n") => {
                    done.insert((candidate.case.clone(), candidate.way()), candidate);
                    whole += line.len();
                }
                _ => break,
            }
        }
        let file = fs_err::OpenOptions::new().create(true).append(true).open(&path)?;
        file.file().set_len(whole as u64).with_context(|| format!("{}: cannot be cut", path.display()))?;
        Ok(Draws { path, file, done })
    }

    fn get(&self, prompt: &Prompt, way: Way) -> &Candidate {
        &self.done[&(prompt.task.id.to_string(), way)]
    }

    /// Draws what is missing of `wanted`. The seed of an answer comes from its case, so what else is
    /// drawn, and in which order, changes nothing.
    fn draw<'a>(
        &mut self,
        job: &Job,
        wanted: impl Iterator<Item = &'a Prompt<'a>>,
        way: Way,
        talk: &Talk,
    ) -> Result<()> {
        let Way { guided, number } = way;
        let mode = if guided { Mode::Guided } else { Mode::Unguided };
        let missing: Vec<&Prompt> =
            wanted.filter(|prompt| !self.done.contains_key(&(prompt.task.id.to_string(), way))).collect();
        let iteration = job.iteration.to_string();
        let name = if guided { "guided" } else { "unguided" };
        let requests: Vec<Request> = missing
            .iter()
            .map(|prompt| Request {
                prompt: if guided { prompt.guided.clone().unwrap_or_default() } else { prompt.plain.clone() },
                max_new: job.settings.max_new_tokens,
                seed: seed(job.seed, &["sample", &iteration, prompt.task.id, name, &number.to_string()]),
            })
            .collect();
        let format = &job.policy.format;
        let stop = format.stop_ids();
        let bar = talk.bar("sampling", requests.len() as u64, Unit::Count).with_message(format!("{name} answers"));
        let mut failure = None;
        let on_done = &mut |index: usize, sample: drift_lm::Sample| {
            let task = missing[index].task;
            let finish = match sample.finish {
                drift_lm::Finish::Stop => Finish::Stop,
                drift_lm::Finish::Length => Finish::Length,
            };
            let stored = format.tokenizer().decode(&sample.ids, true).map_err(anyhow::Error::from).and_then(|text| {
                let candidate = Candidate {
                    case: task.id.to_string(),
                    iteration: job.iteration,
                    mode,
                    number,
                    overlap: word_overlap(&text, &task.recorded[0].content),
                    text,
                    ids: sample.ids,
                    finish,
                    weights: job.policy.weights.clone(),
                };
                self.append(candidate)
            });
            bar.inc(1);
            match stored {
                Ok(()) => interrupt::flow(),
                Err(error) => {
                    failure = Some(error);
                    std::ops::ControlFlow::Break(())
                }
            }
        };
        let anytime = interrupt::anytime();
        let decoding = Decoding { concurrency: job.settings.concurrency, kv: job.settings.kv.into() };
        generate(&job.policy.model, &requests, &sampling(job.settings), &stop, decoding, on_done);
        drop(anytime);
        bar.finish_and_clear();
        match failure {
            Some(error) => Err(error),
            None => Ok(interrupt::check()?),
        }
    }

    fn append(&mut self, candidate: Candidate) -> Result<()> {
        let mut line = serde_json::to_vec(&candidate)?;
        line.push(b'\n');
        self.file.write_all(&line).with_context(|| format!("{}: cannot write", self.path.display()))?;
        self.done.insert((candidate.case.clone(), candidate.way()), candidate);
        Ok(())
    }
}

impl Candidate {
    fn way(&self) -> Way {
        Way { guided: self.mode == Mode::Guided, number: self.number }
    }
}

pub fn sampling(settings: &Sample) -> Sampling {
    Sampling { temperature: settings.temperature as f32, top_p: settings.top_p as f32, top_k: settings.top_k }
}
