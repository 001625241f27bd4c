//! The config file of a run: read once, checked once.
//!
//! [`sections`] holds one struct a section; names, types and ranges are checked while the file is
//! parsed, so those errors carry line and column. [`Config`] is what the stages see: exclusive
//! options have become enums, paths are resolved, contradictions are errors.

pub mod sections;

use crate::method::{self, Name, Prompts, Side};
use crate::simulated::Suite;
use drift_chat::LogReader;
use drift_judge::JudgeSettings;
use sections::{
    Cases, Detect, Evaluate, Gate, Guided, Logs, Loss, Method, Model, Precision, Rank, Run, Sample, Train, Warm,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    pub run: Run,
    pub model: Model,
    pub logs: Logs,
    pub cases: Cases,
    pub detect: Detect,
    pub judge: JudgeSettings,
    pub method: Method,
    pub warm: Warm,
    pub sample: Sample,
    pub train: Train,
    pub evaluate: Evaluate,
    pub gate: Gate,
}

/// Where the dissatisfaction comes from.
#[expect(clippy::large_enum_variant, reason = "a run has one")]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Source {
    /// Chat logs, to be searched for dissatisfied turns.
    Logs { files: Vec<PathBuf>, redact: bool, redact_names: bool, reader: LogReader },
    /// Cases found elsewhere: rows of the paper's DSAT file, and pair files for the warm start.
    Cases { files: Vec<PathBuf>, seed_pairs: Vec<PathBuf> },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    pub dir: PathBuf,
    pub seed: u64,
    /// `None`: the model that `drift fetch` gets.
    pub model: Option<PathBuf>,
    /// Of sampling and scoring.
    pub precision: Precision,
    /// `None` only in what [`Config::settings`] gives.
    pub source: Option<Source>,
    pub detect: Detect,
    pub judge: JudgeSettings,
    pub method: Method,
    pub warm: Warm,
    pub sample: Sample,
    pub train: Train,
    pub evaluate: Evaluate,
    pub gate: Gate,
}

/// One line: file, line and column where they are known, what came, what was expected, a hint.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl Config {
    /// The config of a whole run.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = read(path)?;
        Config::parse(&text, &path.display().to_string(), folder_of(path))
    }

    /// The settings for a command that gets its data from the command line; without a file, the defaults.
    pub fn settings(path: Option<&Path>) -> Result<Config, ConfigError> {
        let Some(path) = path else { return Config::settings_of("", "", Path::new("")) };
        Config::settings_of(&read(path)?, &path.display().to_string(), folder_of(path))
    }

    /// `name` is shown in errors; relative paths of the file are taken from `base`.
    pub fn parse(text: &str, name: &str, base: &Path) -> Result<Config, ConfigError> {
        let config = Config::settings_of(text, name, base)?;
        if config.source.is_none() {
            return Err(ConfigError(format!(
                "{name}: logs.files: missing, expected at least one chat log; hint: [logs] files = [\"chats.json\"], or \
                 [cases] files with rows of prompt, rejected, user_preference"
            )));
        }
        Ok(config)
    }

    fn settings_of(text: &str, name: &str, base: &Path) -> Result<Config, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError(parse_error(text, name, &error)))?;
        file.check(base).map_err(|what| ConfigError(format!("{name}: {what}")))
    }
}

impl File {
    /// What no single key shows: contradictions between keys. The error is `keys: what; hint`.
    pub fn check(self, base: &Path) -> Result<Config, String> {
        let File { run, model, logs, cases, detect, judge, method, warm, sample, train, evaluate, gate } = self;
        let resolve = |paths: Vec<PathBuf>| paths.into_iter().map(|path| base.join(path)).collect::<Vec<_>>();
        let source = match (logs.files.is_empty(), cases.files.is_empty()) {
            (false, true) if cases.seed_pairs.is_empty() => {
                let Logs { files, redact, redact_names, format, columns, scale } = logs;
                let reader = LogReader { format, columns, scale };
                Some(Source::Logs { files: resolve(files), redact, redact_names, reader })
            }
            (true, false) => Some(Source::Cases { files: resolve(cases.files), seed_pairs: resolve(cases.seed_pairs) }),
            (false, _) => {
                return Err(
                    "[logs] and [cases]: both given, expected one; hint: [cases] takes the place of detection, \
                            [logs] feeds it"
                        .into(),
                );
            }
            (true, true) => None,
        };
        if train.max_prompt_length >= train.max_length {
            return Err(format!(
                "train.max_prompt_length: {}, expected below train.max_length ({}); hint: the rest is what an answer may take",
                train.max_prompt_length, train.max_length
            ));
        }
        if train.max_prompt_length + sample.max_new_tokens > train.max_length {
            return Err(format!(
                "sample.max_new_tokens: {} with train.max_prompt_length {} exceeds train.max_length {}; hint: such answers \
                 would be sampled and then dropped as too long",
                sample.max_new_tokens, train.max_prompt_length, train.max_length
            ));
        }
        for loss in std::iter::once(&train.loss).chain(&method.losses) {
            match loss {
                Loss::SigmoidNorm | Loss::Ipo | Loss::Hinge if train.label_smoothing > 0.0 => {
                    return Err(format!(
                        "train.label_smoothing: {} with loss \"{}\", expected 0; hint: smoothing belongs to \"sigmoid\" (cDPO) \
                     and \"robust\"",
                        train.label_smoothing,
                        loss.name()
                    ));
                }
                Loss::Robust if train.label_smoothing == 0.0 => {
                    return Err(
                        "train.label_smoothing: 0 with loss \"robust\", expected the share of wrong labels, above 0; \
                            hint: with 0 it is loss \"sigmoid\""
                            .into(),
                    );
                }
                _ => {}
            }
        }
        if method.name == Name::Warm && warm.epochs == 0 {
            return Err(
                "method.name: \"warm\" with warm.epochs 0, so nothing would be trained; hint: warm.epochs = 3".into()
            );
        }
        if train.iterations == 0 && warm.epochs == 0 {
            return Err(
                "train.iterations and warm.epochs: both 0, so nothing would be trained; hint: iterations = 2".into()
            );
        }
        check_method(&method, &detect, &sample, &train, &judge)?;
        if evaluate.simulated > 0 && gate.simulated > 0 && evaluate.split == gate.split {
            return Err(format!(
                "gate.split: \"{}\" is evaluate.split too, expected another; hint: prompts that models are chosen by cannot also \
                 say how good they are",
                gate.split.name()
            ));
        }
        let (kinds, seed) = (evaluate.kinds.clone(), run.seed);
        for (key, split, n) in [("evaluate", evaluate.split, evaluate.simulated), ("gate", gate.split, gate.simulated)]
        {
            let suite = Suite { split, n, kinds: kinds.clone(), seed };
            suite.prompts().map_err(|error| format!("{key}.simulated: {error}"))?;
        }
        let detect = Detect { trained: detect.trained.map(|path| base.join(path)), ..detect };
        judge.check().map_err(|error| error.to_string())?;
        let file = |path: Option<PathBuf>| path.map(|path| base.join(path));
        let method = Method { judge_file: file(method.judge_file), ..method };
        let judge =
            JudgeSettings { file: file(judge.file), cache: file(judge.cache), ca_file: file(judge.ca_file), ..judge };
        Ok(Config {
            dir: base.join(run.dir),
            seed: run.seed,
            model: model.path.map(|path| base.join(path)),
            precision: model.precision,
            source,
            detect,
            judge,
            method,
            warm,
            sample,
            train,
            evaluate,
            gate,
        })
    }
}

/// What `[method]` and the other sections say against each other.
fn check_method(
    method: &Method,
    detect: &Detect,
    sample: &Sample,
    train: &Train,
    judge: &JudgeSettings,
) -> Result<(), String> {
    let recipe = method.name.recipe();
    let (loss, weights) = (recipe.loss, method.desirable_weight + method.undesirable_weight);
    let program = method.command.first().is_some_and(|program| !program.is_empty());
    let error = match () {
        () if method.rank == Rank::Command && !program => {
            "method.command: empty, expected the program of rank \"command\" and its arguments; hint: command = [\"./score.py\"]"
        }
        () if method.rank != Rank::Command && !method.command.is_empty() => {
            "method.command: given, expected none unless rank is \"command\"; hint: rank = \"command\""
        }
        () if method.rank == Rank::Judge && judge.base_url.is_empty() => {
            "judge.base_url: missing, expected the endpoint of rank \"judge\"; hint: docs/judge.md"
        }
        () if method.rank != Rank::Judge && method.judge_file.is_some() => {
            "method.judge_file: given, expected none unless rank is \"judge\"; hint: rank = \"judge\""
        }
        () if recipe.chosen == Side::Better && method.rank == Rank::Guided && sample.guided == Guided::Never => {
            "method.rank: \"guided\" with sample.guided \"never\", expected guided answers to prefer; hint: sample.guided = \
             \"always\", or another rank"
        }
        () if loss != method::Loss::Preference
            && (train.loss != Loss::Sigmoid || train.label_smoothing > 0.0 || !method.losses.is_empty()) =>
        {
            "train.loss, train.label_smoothing, method.losses: one is set, expected their defaults with a method of single \
             answers; hint: they belong to pairs"
        }
        () if train.precision == Some(Precision::Int8) => {
            "train.precision: \"int8\", expected \"bf16\" or \"f32\": bytes have no gradients; hint: model.precision = \"int8\" is \
             of sampling"
        }
        () if loss == method::Loss::Kto && train.batch_size < 2 => {
            "train.batch_size: 1, expected at least 2 with method \"kto\"; hint: its KL comes from the other answers of a step"
        }
        () if loss == method::Loss::Kto && weights == 0.0 => {
            "method.desirable_weight and undesirable_weight: both 0, so nothing would be trained; hint: 1.0"
        }
        () if method.confidence_weights && (recipe.prompts, recipe.rejected) != (Prompts::Disliked, Side::Recorded) => {
            "method.confidence_weights: true, expected false unless a dissatisfied user's answer is the rejected one; hint: it is \
             of \"drift\" and \"drift-unguided\""
        }
        () if method.stop_after > 0 && detect.held_out == 0.0 => {
            "method.stop_after: set with detect.held_out 0, expected held-out conversations to tell by; hint: held_out = 0.05"
        }
        () => return Ok(()),
    };
    Err(error.into())
}

impl Config {
    /// Precision of training and of the reference log-probs; bytes have no gradients.
    pub fn train_precision(&self) -> Precision {
        self.train.precision.unwrap_or(match self.precision {
            Precision::Int8 => Precision::Bf16,
            precision => precision,
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        ConfigError(format!("{path}: {error}, expected a TOML file; hint: docs/config.md shows every key"))
    })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl Config {
    /// As a file that shows every setting, with the paths resolved.
    pub fn to_file(&self) -> File {
        let (logs, cases) = match self.source.clone() {
            Some(Source::Logs { files, redact, redact_names, reader }) => {
                let LogReader { format, columns, scale } = reader;
                (Logs { files, redact, redact_names, format, columns, scale }, Cases::default())
            }
            Some(Source::Cases { files, seed_pairs }) => (Logs::default(), Cases { files, seed_pairs }),
            None => Default::default(),
        };
        File {
            run: Run { dir: self.dir.clone(), seed: self.seed },
            model: Model { path: self.model.clone(), precision: self.precision },
            logs,
            cases,
            detect: self.detect.clone(),
            judge: self.judge.clone(),
            method: self.method.clone(),
            warm: self.warm.clone(),
            sample: self.sample.clone(),
            train: self.train.clone(),
            evaluate: self.evaluate.clone(),
            gate: self.gate.clone(),
        }
    }
}

/// `file:line:column: key: what came, what was expected; hint`, from toml's error.
fn parse_error(text: &str, name: &str, error: &toml::de::Error) -> String {
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    // Rust's names of numbers are not the user's.
    let message = message
        .replace(", expected f64", ", expected a number")
        .replace(", expected u64", ", expected a whole number of at least 0")
        .replace(", expected usize", ", expected a whole number of at least 0");
    // serde says: unknown field `x`, expected one of `a`, `b` (or unknown variant).
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let meant = match names.as_slice() {
        [unknown, known @ ..] if message.starts_with("unknown ") => nearest(unknown, known),
        _ => None,
    };
    let hint = match meant {
        Some(known) => format!("did you mean `{known}`?"),
        None => "docs/config.md shows every key with its type and range".into(),
    };
    format!("{}{message}; hint: {hint}", place(text, name, error.span()))
}

/// `file:line:column: key: `, the key where the place is behind its `=`.
fn place(text: &str, name: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return format!("{name}: ") };
    let line = before.matches('\n').count() + 1;
    let start = before.rsplit('\n').next().unwrap_or_default();
    let key = start.split_once('=').map(|(key, _)| format!("{}: ", key.trim())).unwrap_or_default();
    format!("{name}:{line}:{}: {key}", start.chars().count() + 1)
}

/// The known name that a misspelt one was most likely meant to be.
fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|name| (strsim::jaro_winkler(unknown, name), *name));
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.75).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
