//! All that the page shows, gathered from a run folder alone.

use serde::Serialize;
use serde_json::Value;

use super::cases::{Answers, Cases, Clip, Sampled, Shifts};
use super::funnel::{self, Flow};
use super::headline::headline;
use super::numbers::{Eval, Lengths, Metrics, Satisfaction};
use super::read::{Folder, setting, string};
use crate::method::{Name, Prompts, Side};
use crate::profile::Profile;
use crate::stages::theory::Theory;

#[derive(Debug, Serialize)]
pub struct Report {
    pub name: String,
    pub headline: Vec<String>,
    /// Folder of the training that made the run's model, or `base`; `None` until the run is over.
    pub model: Option<String>,
    /// What could not be read or is not there.
    pub notes: Vec<String>,
    pub steps: Vec<Step>,
    pub funnel: Vec<Flow>,
    /// The warm start, then the iterations.
    pub stages: Vec<Stage>,
    /// Simulated users: of the base model, then of the stages that asked them.
    pub satisfaction: Vec<Satisfaction>,
    pub cases: Cases,
    pub settings: Settings,
    /// `run.json`, flattened to (key, value).
    pub provenance: Vec<(String, String)>,
    /// `config.toml` as it is.
    pub config: Option<Clip>,
}

/// Settings that figures depend on, where they are known.
#[derive(Debug, Serialize)]
pub struct Settings {
    /// `sigmoid` where the configuration names none.
    pub loss: String,
    pub beta: Option<f64>,
    pub tau: Option<f64>,
    pub max_grad_norm: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Done,
    Started,
    Absent,
}

/// One folder of the run with its manifest.
#[derive(Debug, Serialize)]
pub struct Step {
    pub path: String,
    pub state: State,
    /// Of drift.
    pub version: Option<String>,
    /// Name and hash of what it was made from, and of what it made.
    pub inputs: Vec<(String, String)>,
    pub outputs: Vec<(String, String)>,
    #[serde(skip)]
    manifest: Value,
}

impl Step {
    fn read(folder: &mut Folder, path: String) -> Step {
        let manifest = folder.json(&format!("{path}/manifest.json")).unwrap_or_default();
        let complete = manifest.get("complete").and_then(Value::as_bool) == Some(true);
        let state = match folder.has(&path) {
            true if complete => State::Done,
            true => State::Started,
            false => State::Absent,
        };
        let hashes = |name: &str| flatten(manifest.get(name).unwrap_or(&Value::Null));
        let (inputs, outputs, version) = (hashes("inputs"), hashes("outputs"), string(&manifest, "version"));
        Step { path, state, version, inputs, outputs, manifest }
    }

    pub fn count(&self, name: &str) -> Option<u64> {
        self.manifest.get("counts")?.get(name)?.as_u64()
    }

    /// The counts by reason under `name` (`dropped`, `noted`), the most frequent first.
    pub fn reasons(&self, name: &str) -> Vec<(String, u64)> {
        let reasons = self.manifest.get("counts").and_then(|counts| counts.get(name)?.as_object());
        let counted =
            reasons.into_iter().flatten().filter_map(|(reason, n)| Some((reason.replace('_', " "), n.as_u64()?)));
        let mut reasons: Vec<(String, u64)> = counted.filter(|(_, n)| *n > 0).collect();
        reasons.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        reasons
    }
}

/// How many guided answers were tried and how many of them repeated the rejected one.
#[derive(Debug, Serialize)]
pub struct Copies {
    pub tried: u64,
    pub near_copies: u64,
    /// On a few cases only, after which all were sampled unguided.
    pub probe: bool,
}

/// The warm start or an iteration.
#[derive(Debug, Serialize)]
pub struct Stage {
    pub label: String,
    pub short: String,
    pub sampled: Option<Sampled>,
    pub copies: Option<Copies>,
    pub lengths: Option<Lengths>,
    pub metrics: Option<Metrics>,
    pub eval: Option<Eval>,
    pub theory: Option<Theory>,
    /// Of the training.
    pub profile: Option<Profile>,
    /// Of the held-out pairs, against the base model.
    pub held_out_shifts: Shifts,
    /// How far the log-probs of training answers lie from the reference's at the end, in nats.
    pub chosen_shift: Option<f64>,
    pub rejected_shift: Option<f64>,
}

/// Folder and short label of the warm start.
pub const WARM: &str = "warm";

/// A page of more iterations than this helps nobody, whatever the configuration says.
const ITERATION_CAP: usize = 64;

impl Report {
    pub fn read(folder: &mut Folder) -> Report {
        let text = folder.text("config.toml");
        let config = text.as_deref().map(|text| {
            toml::from_str::<Value>(text).unwrap_or_else(|_| {
                folder.notes.push("config.toml is no TOML; its settings are unknown.".to_owned());
                Value::Null
            })
        });
        let config = config.unwrap_or_default();
        let recipe = method(&config).recipe();
        // A run that is over says which models it trained: fewer than planned where it stopped, and not those of an
        // earlier run in the folder.
        let ended = folder.json("model.json");
        let trained = ended.as_ref().and_then(|ended| ended.get("trained")?.as_array().cloned());
        let planned = match (&trained, recipe.prompts) {
            (Some(names), _) => {
                names.iter().filter(|name| name.as_str().is_some_and(|name| name.starts_with("iter-"))).count()
            }
            (None, Prompts::Nobodys) => 0,
            (None, _) => setting(&config, "iterations").map_or(1, |count| count as usize),
        };
        let planned = planned.min(ITERATION_CAP);
        let there = (1..).take_while(|k| folder.has(&format!("iter-{k}"))).count();
        let iterations = if trained.is_some() { planned } else { there.max(planned) };

        let mut paths: Vec<String> =
            ["detect", "held-out/sample", "held-out/pair", "held-out/score", "warm/train", "warm/evaluate"]
                .map(str::to_owned)
                .into();
        for k in 1..=iterations {
            let steps =
                ["sample", "rank", "pair", "train", "theory", "evaluate"].into_iter().filter(|step| match *step {
                    "sample" | "pair" | "theory" => recipe.answers() > 0,
                    "rank" => recipe.chosen == Side::Better,
                    _ => true,
                });
            paths.extend(steps.map(|step| format!("iter-{k}/{step}")));
        }
        let models = std::iter::once("base".to_owned()).chain([WARM.to_owned()]);
        for model in models.chain((1..=iterations).map(|k| format!("iter-{k}"))) {
            for (step, section) in [("satisfaction", "evaluate"), ("gate", "gate")] {
                let path = format!("{model}/{step}");
                let planned = config.get(section).and_then(|section| setting(section, "simulated"));
                if planned.is_some_and(|n| n > 0.0) || folder.has(&path) {
                    paths.push(path);
                }
            }
        }
        let mut steps: Vec<Step> = paths.into_iter().map(|path| Step::read(folder, path)).collect();
        let settings = Settings::find(&config, &steps);

        let mut answers = Answers::default();
        let base = answers.read_candidates(folder, "base model", "held-out/sample/candidates.jsonl");
        let mut stages =
            vec![Stage::read(folder, "warm start", WARM, WARM, "detect/seed_pairs.jsonl", &settings, &mut answers)];
        for k in 1..=iterations {
            let (label, short, root) = (format!("iteration {k}"), k.to_string(), format!("iter-{k}"));
            let pairs = format!("{root}/pair/pairs.jsonl");
            let mut stage = Stage::read(folder, &label, &short, &root, &pairs, &settings, &mut answers);
            stage.sampled = answers.read_candidates(folder, &label, &format!("{root}/sample/candidates.jsonl"));
            stage.copies = copies(folder, &root, &steps, stage.sampled.as_ref());
            stages.push(stage);
        }
        let named = stages[1..].iter().zip(1..).map(|(stage, k)| (&*stage.label, &*stage.short, format!("iter-{k}")));
        let satisfaction = [("base model", "base", "base".to_owned()), ("warm start", WARM, WARM.to_owned())]
            .into_iter()
            .chain(named)
            .filter_map(|(label, short, root)| Satisfaction::read(folder, label, short, &root))
            .collect();
        let cases = Cases::read(folder, "detect/cases.jsonl", "detect/seed_pairs.jsonl", answers);

        let mut flows = funnel::detected(folder, &steps[0], &cases);
        flows.extend(funnel::drawn(
            "held out",
            base.as_ref(),
            find(&steps, "held-out/sample"),
            find(&steps, "held-out/pair"),
        ));
        for (stage, k) in stages[1..].iter().zip(1..) {
            let step = |name: &str| find(&steps, &format!("iter-{k}/{name}"));
            flows.extend(funnel::drawn(&stage.label, stage.sampled.as_ref(), step("sample"), step("pair")));
        }
        drop_pointless(&mut steps, &config, &cases);
        let run = folder.json("run.json").unwrap_or_default();
        note_missing_files(folder, &steps);
        let mut report = Report {
            name: folder.name(),
            headline: Vec::new(),
            model: ended.as_ref().and_then(|ended| string(ended, "name")),
            funnel: flows,
            notes: std::mem::take(&mut folder.notes),
            steps,
            stages,
            satisfaction,
            cases,
            settings,
            provenance: flatten(&run),
            config: text.as_deref().map(Clip::head),
        };
        report.headline = headline(&report);
        report
    }
}

/// As the config names it; DRIFT where it names none, or one that this version does not know.
fn method(config: &Value) -> Name {
    config.pointer("/method/name").and_then(|name| serde_json::from_value(name.clone()).ok()).unwrap_or_default()
}

fn find<'a>(steps: &'a [Step], path: &str) -> Option<&'a Step> {
    steps.iter().find(|step| step.path == path)
}

/// Forgets absent steps that will never come: without held-out records nothing is evaluated, without
/// seed pairs (or epochs) there is no warm start.
fn drop_pointless(steps: &mut Vec<Step>, config: &Value, cases: &Cases) {
    let detected = steps[0].state == State::Done;
    let nothing_held_out = detected && cases.held_out + cases.seeds_held_out == 0;
    let no_theory = config.pointer("/train/theory_pairs").and_then(Value::as_u64) == Some(0);
    let no_warm_start = config.pointer("/warm/epochs").and_then(Value::as_u64) == Some(0)
        || detected && cases.seeds == cases.seeds_held_out;
    steps.retain(|step| {
        let pointless = nothing_held_out && (step.path.starts_with("held-out") || step.path.ends_with("evaluate"))
            || no_theory && step.path.ends_with("theory")
            || no_warm_start && step.path.starts_with(WARM);
        step.state != State::Absent || !pointless
    });
}

fn copies(folder: &mut Folder, root: &str, steps: &[Step], sampled: Option<&Sampled>) -> Option<Copies> {
    let sampled = sampled?;
    let noted = find(steps, &format!("{root}/sample")).filter(|step| step.count("out").is_some());
    let near_copies = noted.map_or(sampled.fallback, |step| {
        let noted = step.reasons("noted").into_iter().find(|(what, _)| what == "near copy replaced");
        noted.map_or(0, |(_, n)| n)
    });
    if sampled.guided + near_copies > 0 {
        return Some(Copies { tried: sampled.guided + near_copies, near_copies, probe: false });
    }
    let probe = folder.json(&format!("{root}/sample/guidance.json"))?;
    let near_copies = probe.pointer("/guided/near_copies")?.as_u64()?;
    Some(Copies { tried: probe.get("cases")?.as_u64()?, near_copies, probe: true })
}

impl Settings {
    /// From the configuration file, or from what the stages say they were run with.
    fn find(config: &Value, steps: &[Step]) -> Settings {
        let find = |name: &str| {
            let configs = std::iter::once(config).chain(steps.iter().filter_map(|step| step.manifest.get("config")));
            configs.into_iter().find_map(|config| setting(config, name)).filter(|value| *value > 0.0)
        };
        let loss = config.pointer("/train/loss").and_then(Value::as_str).unwrap_or("sigmoid").to_owned();
        Settings { loss, beta: find("beta"), tau: find("sigma_tau"), max_grad_norm: find("max_grad_norm") }
    }
}

impl Stage {
    fn read(
        folder: &mut Folder,
        label: &str,
        short: &str,
        root: &str,
        pairs: &str,
        settings: &Settings,
        answers: &mut Answers,
    ) -> Stage {
        let metrics = Metrics::read(folder, &format!("{root}/train/metrics.jsonl"));
        // rewards/* is beta (log pi - log ref), averaged over the pairs of a step.
        let trained = folder.json(&format!("{root}/train/manifest.json"));
        let own = trained.and_then(|manifest| manifest.pointer("/config/train/beta")?.as_f64());
        let beta = own.or(settings.beta);
        let shift = |side: &str| Some(metrics.as_ref()?.end.get(side)? / beta?);
        Stage {
            label: label.to_owned(),
            short: short.to_owned(),
            sampled: None,
            copies: None,
            lengths: Lengths::read(folder, pairs),
            chosen_shift: shift("rewards/chosen"),
            rejected_shift: shift("rewards/rejected"),
            eval: folder.json(&format!("{root}/evaluate/eval.json")).map(|eval| Eval::read(&eval)),
            theory: folder.json(&format!("{root}/theory/theory.json")).and_then(|theory| {
                let theory = serde_json::from_value(theory).ok();
                if theory.is_none() {
                    folder
                        .notes
                        .push(format!("{root}/theory/theory.json holds something else than the theory's quantities."));
                }
                theory
            }),
            profile: folder
                .json(&format!("{root}/train/profile.json"))
                .and_then(|profile| serde_json::from_value(profile).ok()),
            held_out_shifts: answers.read_verdicts(folder, label, &format!("{root}/evaluate/pairs.jsonl")),
            metrics,
        }
    }

    /// As in a sentence.
    pub fn name(&self) -> String {
        if self.short == WARM { format!("the {}", self.label) } else { self.label.clone() }
    }
}

/// A folder that is there should hold its files; folders that are not yet there are shown as such.
fn note_missing_files(folder: &mut Folder, steps: &[Step]) {
    if !folder.has("config.toml") {
        folder.notes.push("config.toml is not there: the settings are unknown.".to_owned());
    }
    if !folder.has("run.json") {
        folder.notes.push("run.json is not there: seeds, model hash and command are unknown.".to_owned());
    }
    for step in steps.iter().filter(|step| step.state != State::Absent) {
        let files: &[&str] = match step.path.rsplit('/').next() {
            Some("detect") => &["manifest.json", "cases.jsonl", "seed_pairs.jsonl"],
            Some("satisfaction") => &["manifest.json", "satisfaction.json", "answers.jsonl"],
            Some("gate") => &["manifest.json", "answers.jsonl"],
            Some("sample") => &["manifest.json", "candidates.jsonl"],
            Some("train") => &["manifest.json", "metrics.jsonl"],
            Some("rank") => &["manifest.json", "scores.jsonl"],
            Some("theory") => &["manifest.json", "theory.json"],
            Some("evaluate") => &["manifest.json", "eval.json", "pairs.jsonl"],
            _ => &["manifest.json", "pairs.jsonl"],
        };
        for path in files.iter().map(|file| format!("{}/{file}", step.path)) {
            if !folder.has(&path) {
                folder.notes.push(format!("{path} is not there."));
            }
        }
    }
}

/// Leaves of a JSON value as (dotted key, text).
fn flatten(value: &Value) -> Vec<(String, String)> {
    fn walk(key: String, value: &Value, rows: &mut Vec<(String, String)>) {
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    walk(if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, inner, rows);
                }
            }
            Value::Null => {}
            Value::String(text) => rows.push((key, Clip::head(text).text)),
            other => rows.push((key, Clip::head(&other.to_string()).text)),
        }
    }
    let mut rows = Vec::new();
    walk(String::new(), value, &mut rows);
    rows
}
