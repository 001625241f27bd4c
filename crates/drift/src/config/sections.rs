//! One struct a section of the config file. A field's comment is its documentation; docs/config.md
//! shows them all, and a test holds the two together.

use crate::detectors::Tier;
use crate::method::Name;
use crate::simulated::MOST_PROMPTS;
use drift_chat::{Columns, Format, Scale};
use drift_eval::gate::Limits;
use drift_eval::simulated::Split;
use drift_feedback::decision::TARGET_PRECISION;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// The run folder; relative paths are taken from the folder of the config file.
    pub dir: PathBuf,
    /// Of everything that is drawn: subsets, samples, the order of training.
    pub seed: u64,
}

impl Default for Run {
    fn default() -> Run {
        Run { dir: "run".into(), seed: 42 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    Bf16,
    /// Weights and their inputs as bytes in units of 64 values each: no gradients.
    Int8,
}

impl From<Precision> for drift_lm::Precision {
    fn from(precision: Precision) -> drift_lm::Precision {
        match precision {
            Precision::F32 => drift_lm::Precision::F32,
            Precision::Bf16 => drift_lm::Precision::Bf16,
            Precision::Int8 => drift_lm::Precision::Int8,
        }
    }
}

impl Precision {
    /// Where pairs are trained on and scored. A small update's loss is a difference of log-probs, which products of bf16
    /// forward put off by percents: there `bf16` is for gradients, and 16-bit integers for the rest.
    pub fn in_training(self) -> drift_lm::Precision {
        match self {
            Precision::Bf16 => drift_lm::Precision::Int16,
            other => other.into(),
        }
    }

    /// What stages that train or score are known by, so that none goes on from another arithmetic's results.
    pub fn name_in_training(self) -> &'static str {
        drift_train::reference::precision_name(self.in_training())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kv {
    F32,
    Bf16,
    Int8,
}

impl From<Kv> for drift_lm::KvFormat {
    fn from(kv: Kv) -> drift_lm::KvFormat {
        match kv {
            Kv::F32 => drift_lm::KvFormat::F32,
            Kv::Bf16 => drift_lm::KvFormat::Bf16,
            Kv::Int8 => drift_lm::KvFormat::Int8,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// A GGUF file or a Hugging Face folder; absent: the model of `drift fetch`.
    pub path: Option<PathBuf>,
    /// Of the matmul operands: `bf16` (fast) or `f32`. Master weights are always f32.
    pub precision: Precision,
}

impl Default for Model {
    fn default() -> Model {
        Model { path: None, precision: Precision::Bf16 }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// Chat logs: files, folders, patterns.
    pub files: Vec<PathBuf>,
    /// Replace e-mail addresses, phone numbers, keys and the like before anything is written.
    pub redact: bool,
    /// Names of persons too, where a text introduces them (`my name is …`, `Dear Mr …`, a signature).
    pub redact_names: bool,
    /// Of all files, where it is not to be recognised: a name of docs/formats.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Which column of a table holds what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// Worst and best of scores that are numbers; absent: the smallest usual scale that holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
}

impl Default for Logs {
    fn default() -> Logs {
        Logs { files: Vec::new(), redact: true, redact_names: false, format: None, columns: None, scale: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cases {
    /// Instead of `[logs]`: JSONL rows of `prompt`, `rejected`, `user_preference`.
    pub files: Vec<PathBuf>,
    /// With them: JSONL rows of `prompt`, `chosen`, `rejected` for the warm start.
    pub seed_pairs: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detect {
    /// What finds the turns: `rules`, `fast` (a classifier inside the program), `deep` (a probe on the
    /// hidden states of the model) or `judge` (an endpoint).
    pub detector: Tier,
    /// `fast` and `deep` take the threshold that reached this precision in cross-validation, 0 to 1.
    #[serde(deserialize_with = "range::share")]
    pub target_precision: f64,
    /// Of `fast` and `deep`: a file of `drift detect train`; absent: the one inside the program.
    pub trained: Option<PathBuf>,
    /// Detections below this confidence are dropped, 0 to 1; the detector has its own threshold besides.
    #[serde(deserialize_with = "range::share")]
    pub min_confidence: f64,
    /// Keep a seeded subset of this many cases for training; 0 keeps all.
    pub max_cases: usize,
    /// Keep a seeded subset of this many seed pairs; 0 keeps all.
    pub max_seed_pairs: usize,
    /// Share of the conversations that is never trained on, 0 up to (not including) 1.
    #[serde(deserialize_with = "range::share_below_one")]
    pub held_out: f64,
    /// Keep a seeded subset of this many held-out cases; 0 keeps all.
    pub max_held_out: usize,
    /// Drop cases and seed pairs whose prompt has more tokens; 0: no limit.
    pub max_prompt_tokens: usize,
    /// Drop cases and seed pairs with an answer of more tokens; 0: no limit.
    pub max_answer_tokens: usize,
    /// The same in characters, before anything is tokenised.
    #[serde(deserialize_with = "range::at_least_one")]
    pub max_prompt_chars: usize,
    #[serde(deserialize_with = "range::at_least_one")]
    pub max_answer_chars: usize,
    /// Likeness of request and answer to those of an earlier case from which a case is dropped, above 0 to 1.
    #[serde(deserialize_with = "range::share_above_zero")]
    pub near_duplicate: f64,
    /// Leave out dissatisfaction that must not teach: jailbreaks, wishes to drop safety, mere abuse, another topic.
    pub set_aside: bool,
    /// Keep cases in these languages alone, by ISO 639-1; empty keeps all.
    pub languages: Vec<String>,
}

impl Default for Detect {
    fn default() -> Detect {
        Detect {
            detector: Tier::Fast,
            target_precision: TARGET_PRECISION,
            trained: None,
            min_confidence: 0.0,
            max_cases: 0,
            max_seed_pairs: 0,
            held_out: 0.05,
            max_held_out: 200,
            max_prompt_tokens: 0,
            max_answer_tokens: 0,
            max_prompt_chars: 80_000,
            max_answer_chars: 8_000,
            near_duplicate: 0.8,
            set_aside: true,
            languages: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Warm {
    /// Epochs of the warm start on the seed pairs; 0: no warm start.
    pub epochs: usize,
}

impl Default for Warm {
    fn default() -> Warm {
        Warm { epochs: 3 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    /// The guided answer is the better one.
    Guided,
    /// A program scores them.
    Command,
    /// A probe on the policy's hidden states, trained on the log's own labels, foresees the user's verdict.
    Probe,
    /// A language model behind the endpoint of `[judge]` compares them, in both orders.
    Judge,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Method {
    /// `drift`, `drift-unguided`, `spin`, `iterdpo`, `kto`, `sft` or `warm`; docs/methods.md has the table.
    pub name: Name,
    /// Of `spin`: from the second iteration on, the pairs of the one before are trained on too.
    pub mix_previous: bool,
    /// Of `drift` and `drift-unguided`: a pair of an iteration counts as much as the rejected answer's label is sure.
    pub confidence_weights: bool,
    /// Of `iterdpo`, which of two fresh answers is the better one: `guided`, `command`, `probe` or `judge`.
    pub rank: Rank,
    /// The judge of `rank = "judge"`, a file of the parser `preference`; absent: the one that is shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge_file: Option<PathBuf>,
    /// The program of `rank = "command"` and its arguments.
    pub command: Vec<String>,
    /// Seconds that it may take for all answers of an iteration.
    #[serde(deserialize_with = "range::above_zero")]
    pub command_timeout_s: f64,
    /// Of `kto`: how much a satisfying answer counts, and one that a user disliked.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub desirable_weight: f64,
    #[serde(deserialize_with = "range::at_least_zero")]
    pub undesirable_weight: f64,
    /// By iteration, the last one holds on; empty: `train.learning_rate`.
    #[serde(deserialize_with = "range::each_above_zero")]
    pub learning_rates: Vec<f64>,
    /// The same; empty: `train.beta`.
    #[serde(deserialize_with = "range::each_above_zero")]
    pub betas: Vec<f64>,
    /// The same; empty: `train.loss`.
    pub losses: Vec<Loss>,
    /// Iterations without a better result on the held-out pairs after which no other is begun; 0: all are done.
    pub stop_after: usize,
}

impl Default for Method {
    fn default() -> Method {
        Method {
            name: Name::Drift,
            mix_previous: true,
            confidence_weights: false,
            rank: Rank::Guided,
            judge_file: None,
            command: Vec::new(),
            command_timeout_s: 600.0,
            desirable_weight: 1.0,
            undesirable_weight: 1.0,
            learning_rates: Vec::new(),
            betas: Vec::new(),
            losses: Vec::new(),
            stop_after: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guided {
    /// Tries both on a few dozen cases and takes the guided prompt unless the answers are copies.
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Conversation, rejected answer and feedback as turns of the model's own chat template.
    Chat,
    /// The same without the rejected answer: the feedback speaks of a first draft, the request is repeated.
    Hidden,
    /// Plain text with `User:` and `Assistant:`, as in the paper's generator.
    Published,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// Train on answers cut at `max_new_tokens`, without an end token on either side of the pair.
    Keep,
    Drop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// Whether the sampler sees the rejected answer and the feedback: `auto`, `always` or `never`.
    pub guided: Guided,
    /// How the guided prompt is written: `chat`, `hidden` or `published`.
    pub form: Form,
    /// Follows the feedback in the guided prompt; absent: the form's own.
    pub instruction: Option<String>,
    /// 0 is greedy.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub temperature: f64,
    /// Nucleus, above 0 to 1.
    #[serde(deserialize_with = "range::share_above_zero")]
    pub top_p: f64,
    /// 0: no limit.
    pub top_k: usize,
    #[serde(deserialize_with = "range::at_least_one")]
    pub max_new_tokens: usize,
    /// A guided answer whose word overlap (Jaccard) with the rejected one reaches this is a copy: an
    /// unguided answer takes its place. Above 0 to 1.
    #[serde(deserialize_with = "range::share_above_zero")]
    pub near_copy: f64,
    /// Answers cut at `max_new_tokens`: `keep` or `drop`.
    pub cut: Cut,
    /// Drop answers that refuse.
    pub drop_refusals: bool,
    /// Drop answers that speak of the feedback, which the trained prompt does not show.
    pub drop_remarks: bool,
    /// Sequences decoded at once; more is faster and takes more memory, the samples stay the same.
    #[serde(deserialize_with = "range::at_least_one")]
    pub concurrency: usize,
    /// What keys and values are kept as: `f32`, or `bf16` and `int8`, which take a half and a quarter of
    /// the memory, are faster with long prompts, and change samples a little.
    pub kv: Kv,
}

impl Default for Sample {
    fn default() -> Sample {
        Sample {
            guided: Guided::Auto,
            form: Form::Chat,
            instruction: None,
            temperature: 0.7,
            top_p: 0.9,
            top_k: 0,
            max_new_tokens: 512,
            near_copy: 0.7,
            cut: Cut::Keep,
            drop_refusals: true,
            drop_remarks: true,
            concurrency: 16,
            kv: Kv::F32,
        }
    }
}

impl Sample {
    /// What an answer depends on, for the manifest of sampling.
    pub fn drawing(&self) -> serde_json::Value {
        let Sample { guided, form, instruction, temperature, top_p, top_k, max_new_tokens, near_copy, kv, .. } = self;
        json!({
            "guided": guided, "form": form, "instruction": instruction, "temperature": temperature, "top_p": top_p,
            "top_k": top_k, "max_new_tokens": max_new_tokens, "near_copy": near_copy, "kv": kv,
        })
    }

    /// What a pair depends on, for the manifest of pairing.
    pub fn pairing(&self) -> serde_json::Value {
        let Sample { cut, drop_refusals, drop_remarks, .. } = self;
        json!({ "cut": cut, "drop_refusals": drop_refusals, "drop_remarks": drop_remarks })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    Linear,
    Cosine,
    Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    Rmsprop,
    Adamw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    Sigmoid,
    #[serde(rename = "sigmoid_norm")]
    SigmoidNorm,
    Ipo,
    Hinge,
    Robust,
}

impl Loss {
    pub fn name(self) -> &'static str {
        match self {
            Loss::Sigmoid => "sigmoid",
            Loss::SigmoidNorm => "sigmoid_norm",
            Loss::Ipo => "ipo",
            Loss::Hinge => "hinge",
            Loss::Robust => "robust",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Rounds of sampling and training; 0: the warm start alone.
    pub iterations: usize,
    /// Passes over the pairs of an iteration.
    #[serde(deserialize_with = "range::at_least_one")]
    pub epochs: usize,
    /// Pairs a step.
    #[serde(deserialize_with = "range::at_least_one")]
    pub batch_size: usize,
    #[serde(deserialize_with = "range::above_zero")]
    pub learning_rate: f64,
    /// After the warm-up: `linear`, `cosine` (both to 0) or `constant`.
    pub schedule: Schedule,
    /// Share of the steps over which the learning rate rises from 0.
    #[serde(deserialize_with = "range::share_below_one")]
    pub warmup_ratio: f64,
    /// `rmsprop` (alpha 0.99, eps 1e-8) or `adamw` (0.9, 0.999, eps 1e-8, no decay).
    pub optimizer: Optimizer,
    /// The gradient is scaled down to this norm; 0: never.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub max_grad_norm: f64,
    #[serde(deserialize_with = "range::above_zero")]
    pub beta: f64,
    /// `sigmoid` (DPO; with label_smoothing cDPO), `sigmoid_norm` (means over tokens), `ipo`, `hinge` or `robust`.
    pub loss: Loss,
    /// Assumed share of wrong labels, 0 up to (not including) 0.5.
    #[serde(deserialize_with = "range::below_half")]
    pub label_smoothing: f64,
    /// Weight of the chosen answer's negative log-likelihood.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub rpo_alpha: f64,
    /// Tokens of prompt and answer together; longer pairs are dropped and counted.
    #[serde(deserialize_with = "range::at_least_one")]
    pub max_length: usize,
    /// Tokens of the prompt; whole old turns are left out until it fits.
    #[serde(deserialize_with = "range::at_least_one")]
    pub max_prompt_length: usize,
    /// `bf16` or `f32`; absent: as `model.precision`.
    pub precision: Option<Precision>,
    /// Memory for the whole of training; absent: what is free.
    #[serde(deserialize_with = "range::memory")]
    pub memory_gb: Option<f64>,
    /// Steps between two points to resume from.
    #[serde(deserialize_with = "range::at_least_one")]
    pub save_every: usize,
    /// Pairs of each iteration whose gradients are measured one by one, before and after; 0: none.
    pub theory_pairs: usize,
}

impl Default for Train {
    fn default() -> Train {
        Train {
            iterations: 2,
            epochs: 1,
            batch_size: 4,
            learning_rate: 5e-7,
            schedule: Schedule::Linear,
            warmup_ratio: 0.1,
            optimizer: Optimizer::Rmsprop,
            max_grad_norm: 1.0,
            beta: 0.1,
            loss: Loss::Sigmoid,
            label_smoothing: 0.0,
            rpo_alpha: 0.001,
            max_length: 2048,
            max_prompt_length: 1024,
            precision: None,
            memory_gb: None,
            save_every: 50,
            theory_pairs: 8,
        }
    }
}

impl Train {
    /// What the weights depend on, for the manifest of training: not how much memory it may take, how
    /// often it is saved, or how many iterations follow. The caller adds epochs and precision.
    pub fn arithmetic(&self) -> serde_json::Value {
        json!({
            "batch_size": self.batch_size, "learning_rate": self.learning_rate, "schedule": self.schedule,
            "warmup_ratio": self.warmup_ratio, "optimizer": self.optimizer, "max_grad_norm": self.max_grad_norm,
            "beta": self.beta, "loss": self.loss, "label_smoothing": self.label_smoothing, "rpo_alpha": self.rpo_alpha,
            "max_length": self.max_length, "max_prompt_length": self.max_prompt_length,
        })
    }
}

/// Simulated users' prompts, put to the base model and to every trained one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Prompts, up to 10,000; 0: none.
    #[serde(deserialize_with = "range::prompts")]
    pub simulated: usize,
    /// `train`, `dev` or `test`: no template is in two of them.
    pub split: Split,
    /// Tokens of an answer at most.
    #[serde(deserialize_with = "range::at_least_one")]
    pub max_new_tokens: usize,
    /// Kinds of requirement, `all`, or a named set of docs/evaluation.md.
    pub kinds: Vec<String>,
    /// Of the trained models, put to the last one alone.
    pub last_alone: bool,
}

impl Default for Evaluate {
    fn default() -> Evaluate {
        let kinds = vec!["sometimes".into()];
        Evaluate { simulated: 0, split: Split::Test, max_new_tokens: 256, kinds, last_alone: false }
    }
}

/// A trained model becomes the run's model only if it is measurably better than the one before. Of `[evaluate]`, the
/// kinds and the length of answers hold here too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gate {
    /// Prompts, up to 10,000; 0: no gate, the last model is the run's.
    #[serde(deserialize_with = "range::prompts")]
    pub simulated: usize,
    pub split: Split,
    /// The interval of the difference in satisfaction must lie above this share.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub margin: f64,
    /// Guard: change of the words an answer, as a share.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub length: f64,
    /// Guard: rise of repetition.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub repetition: f64,
    /// Guard: rise of the share of refusals.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub refusal: f64,
    /// Guard: fall of satisfaction on kinds that training never saw.
    #[serde(deserialize_with = "range::at_least_zero")]
    pub transfer: f64,
}

impl Default for Gate {
    fn default() -> Gate {
        let Limits { margin, length, repetition, refusal, transfer } = Limits::default();
        Gate { simulated: 0, split: Split::Dev, margin, length, repetition, refusal, transfer }
    }
}

/// Numbers with a range, checked while the file is parsed: the error then knows line and column.
mod range {
    use super::*;

    fn number<'de, D: Deserializer<'de>>(input: D, expected: &str, ok: fn(f64) -> bool) -> Result<f64, D::Error> {
        let value = f64::deserialize(input)?;
        if ok(value) { Ok(value) } else { Err(D::Error::custom(format!("{value}, expected {expected}"))) }
    }

    pub fn above_zero<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        number(input, "a number above 0", |v| v > 0.0 && v.is_finite())
    }

    pub fn each_above_zero<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<f64>::deserialize(input)?;
        match values.iter().find(|v| !(**v > 0.0 && v.is_finite())) {
            None => Ok(values),
            Some(value) => Err(D::Error::custom(format!("{value}, expected numbers above 0"))),
        }
    }

    pub fn at_least_zero<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        number(input, "a number of at least 0", |v| v >= 0.0 && v.is_finite())
    }

    pub fn share<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        number(input, "a number from 0 to 1", |v| (0.0..=1.0).contains(&v))
    }

    pub fn share_above_zero<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        number(input, "a number above 0, at most 1", |v| v > 0.0 && v <= 1.0)
    }

    pub fn share_below_one<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        number(input, "a number from 0 up to, not including, 1", |v| (0.0..1.0).contains(&v))
    }

    pub fn below_half<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        number(input, "a number from 0 up to, not including, 0.5", |v| (0.0..0.5).contains(&v))
    }

    pub fn memory<'de, D: Deserializer<'de>>(input: D) -> Result<Option<f64>, D::Error> {
        number(input, "gigabytes above 0", |v| v > 0.0 && v.is_finite()).map(Some)
    }

    pub fn prompts<'de, D: Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
        let value = i64::deserialize(input)?;
        let prompts = usize::try_from(value).ok().filter(|n| *n <= MOST_PROMPTS);
        prompts.ok_or_else(|| D::Error::custom(format!("{value}, expected a whole number from 0 to {MOST_PROMPTS}")))
    }

    pub fn at_least_one<'de, D: Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
        match i64::deserialize(input)? {
            value @ 1.. => Ok(value as usize),
            value => Err(D::Error::custom(format!("{value}, expected a whole number of at least 1"))),
        }
    }
}
