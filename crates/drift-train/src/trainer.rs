//! The training loop: forward, loss and backward pair by pair, one update a step.

use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::examples::{self, Example, FitCounts, micro_batches};
use crate::kto::Mismatched;
use crate::loss::{PairLogps, PairLoss};
use crate::metrics::{MetricsFile, PairRecord, StepFacts, StepMetrics};
use crate::optim::{Optimizer, clip_grad_norm};
use crate::reference;
use crate::score::{Score, pack, sum};
use crate::state::{self, Identity};
use blake3::Hash;
use drift_lm::{Model, Tape};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A training run. Its numbers depend on `config`, the model and the examples alone.
pub struct Job<'a> {
    pub config: &'a TrainConfig,
    /// An existing folder for `metrics.jsonl`, `reference-*.jsonl` and `train.state`. Where it holds the
    /// state of this same run, training goes on from it.
    pub dir: &'a Path,
    /// Where the model's weights, which are also the reference, came from; for the reader of the files.
    pub weights: &'a str,
    /// Steps between two states on disk; 0: only when stopped and at the end.
    pub save_every: usize,
    /// Memory for kept activations; what does not fit is computed again.
    pub activation_bytes: usize,
}

/// What the observer is told. It may answer `Break` to stop.
pub enum Event<'a> {
    /// Before the first step: what the length rules did, steps in all, and steps done by an earlier call.
    Start {
        fit: &'a FitCounts,
        total_steps: usize,
        resumed_at: usize,
    },
    Reference {
        done: usize,
        total: usize,
    },
    Step(StepDone<'a>),
}

pub struct StepDone<'a> {
    pub total_steps: usize,
    pub metrics: &'a StepMetrics,
    pub pairs: &'a [PairRecord],
    /// Of the step, after clipping, in the model's layout.
    pub grads: &'a [f32],
    /// After the update.
    pub model: &'a Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done and the model is trained. `train.state` still holds it: call
    /// [`state::remove`] once the checkpoint is written.
    Done,
    /// The observer said so; another call goes on from here.
    Stopped,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub outcome: Outcome,
    pub fit: FitCounts,
    pub total_steps: usize,
    /// Steps done in all, and those of them that an earlier call had done.
    pub steps: usize,
    pub resumed_at: usize,
    /// The file of the reference's log-probs, and how many pairs were computed now and found there.
    pub reference: PathBuf,
    pub reference_computed: usize,
    pub reference_cached: usize,
}

/// Trains `model`, which holds the weights to start from; they are the reference too.
///
/// Stopping (the observer's `Break`, asked after each step and each reference pass) saves the state. Going
/// on from a state gives the bits of an uninterrupted run, those of `metrics.jsonl` included.
pub fn train(
    model: &mut Model,
    examples: Vec<Example>,
    job: &Job,
    observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Report> {
    let config = job.config;
    config.check()?;
    let (examples, fit) = examples::fit(examples, config.objective.loss.sides(), &config.lengths);
    if examples.is_empty() {
        return Err(Error::new("training", format!("no pair is left of {}, expected at least 1 ({fit})", fit.given))
            .hint("look at the reasons, raise max_length, or give more pairs"));
    }
    examples::check(&examples, model)?;
    let hashes: Vec<Hash> = examples.iter().map(Example::hash).collect();
    let header = reference::Header::of(model, job.weights);
    let total_steps = config.total_steps(examples.len());
    let identity = Identity::new(config, set_hash(&examples, &hashes), examples.len(), &header);
    let resumed_at = state::progress(job.dir, &identity)?.map_or(0, |progress| progress.step);
    let mut report = Report {
        outcome: Outcome::Stopped,
        fit,
        total_steps,
        steps: resumed_at,
        resumed_at,
        reference: header.path(job.dir),
        reference_computed: 0,
        reference_cached: 0,
    };
    if observe(Event::Start { fit: &fit, total_steps, resumed_at }).is_break() {
        return Ok(report);
    }

    let mismatched = match config.objective.loss {
        PairLoss::Kto { .. } => {
            Some(Mismatched::new(config, &examples, &hashes, config.lengths.max_length.min(model.context())))
        }
        _ => None,
    };
    let mut score = |examples: &[Example], hashes: &[Hash]| {
        let mut on_progress = |done, total| observe(Event::Reference { done, total });
        let scores =
            reference::scores(job.dir, &header, model, examples, hashes, config.micro_tokens, &mut on_progress)?;
        Ok(scores.map(|reference| {
            report.reference_computed += reference.computed;
            report.reference_cached += reference.cached;
            reference.scores
        }))
    };
    let (mut reference, mut mismatched_reference) = (Vec::new(), Vec::new());
    if config.objective.loss.has_reference() {
        let Some(scores) = score(&examples, &hashes)? else { return Ok(report) };
        reference = scores;
    }
    if let Some(mismatched) = &mismatched {
        let hashes: Vec<Hash> = mismatched.examples.iter().map(Example::hash).collect();
        let Some(scores) = score(&mismatched.examples, &hashes)? else { return Ok(report) };
        mismatched_reference = scores;
    }

    let mut optimizer = Optimizer::new(config.optimizer, model.params().len());
    let mut progress = state::load(job.dir, &identity, model, &mut optimizer)?.unwrap_or_default();
    let mut metrics_file = MetricsFile::open(job.dir, progress.step)?;
    let mut pass = Pass {
        config,
        examples: &examples,
        reference: &reference,
        tape: Tape::new(model, job.activation_bytes),
        grads: vec![0.0; model.params().len()],
    };
    let per_epoch = config.steps_per_epoch(examples.len());
    let mut epoch_order = (usize::MAX, Vec::new());
    let mut stop = false;
    while progress.step < total_steps && !stop {
        let (epoch, within) = (progress.step / per_epoch, progress.step % per_epoch);
        if epoch_order.0 != epoch {
            epoch_order = (epoch, examples::order(&hashes, config.order, epoch));
        }
        let rows = epoch_order.1.chunks(config.batch_size).nth(within).expect("a batch for each step of the epoch");
        let kl = mismatched
            .as_ref()
            .map(|mismatched| mismatched.kl(progress.step, model, &mismatched_reference, config.micro_tokens));
        let pairs = pass.gradients(model, rows, kl.unwrap_or(0.0));
        let grad_norm = clip_grad_norm(&mut pass.grads, config.max_grad_norm);
        let learning_rate = config.schedule.at(progress.step, total_steps);
        progress.step += 1;
        let epoch = progress.step as f64 / per_epoch as f64;
        let num_tokens = progress.num_tokens;
        let facts = StepFacts { step: progress.step, epoch, grad_norm, learning_rate, num_tokens, kl };
        let metrics = StepMetrics::new(config, &pairs, facts);
        check_finite(&metrics, &pairs)?;
        model.update(|params| optimizer.step(params, &pass.grads, learning_rate));
        progress.num_tokens = metrics.num_tokens;
        report.steps = progress.step;
        metrics_file.append(&metrics)?;
        let done = StepDone { total_steps, metrics: &metrics, pairs: &pairs, grads: &pass.grads, model };
        stop = observe(Event::Step(done)).is_break();
        let due = job.save_every > 0 && progress.step.is_multiple_of(job.save_every);
        if due || stop || progress.step == total_steps {
            metrics_file.sync()?;
            state::save(job.dir, &identity, progress, model.params(), &optimizer)?;
        }
    }
    if progress.step == total_steps {
        report.outcome = Outcome::Done;
    }
    Ok(report)
}

/// What a step computes with.
struct Pass<'a> {
    config: &'a TrainConfig,
    examples: &'a [Example],
    /// One for each example, or none where the loss has no reference.
    reference: &'a [Score],
    tape: Tape,
    grads: Vec<f32>,
}

impl Pass<'_> {
    /// Fills `grads` with the gradient of the step's loss over the examples at `rows`. The memory does
    /// not depend on how many there are: a pair's coefficient follows from its own log-probs, and the
    /// token count of the NLL is known beforehand. Rewards are measured from `kl` above the reference.
    fn gradients(&mut self, model: &Model, rows: &[usize], kl: f64) -> Vec<PairRecord> {
        let (examples, objective) = (self.examples, &self.config.objective);
        let chosen_tokens = rows.iter().map(|&i| examples[i].chosen.len()).sum();
        let mut records = Vec::with_capacity(rows.len());
        self.grads.fill(0.0);
        for micro in micro_batches(rows.iter().map(|&i| examples[i].row_tokens()), self.config.micro_tokens) {
            let rows_now = &rows[micro];
            let (batch, ranges) = pack(rows_now.iter().map(|&i| &examples[i]));
            let logps = self.tape.forward(model, &batch);
            let mut dlogps = vec![0.0; logps.len()];
            for (&i, [chosen, rejected]) in rows_now.iter().zip(ranges) {
                let example = &examples[i];
                let (policy_chosen, policy_rejected) = (sum(&logps[chosen.clone()]), sum(&logps[rejected.clone()]));
                let reference = self.reference.get(i).map(|score| (score.chosen_logp, score.rejected_logp));
                let (ref_chosen, ref_rejected) = reference.unwrap_or((policy_chosen, policy_rejected));
                let pair = PairLogps {
                    policy_chosen,
                    policy_rejected,
                    ref_chosen,
                    ref_rejected,
                    n_chosen: chosen.len(),
                    n_rejected: rejected.len(),
                };
                let term = objective.loss.term(objective.beta, &pair.above(kl)).times(example.weight);
                let [d_chosen, d_rejected] = objective.token_gradients(&term, rows.len(), chosen_tokens);
                dlogps[chosen].fill(d_chosen as f32);
                dlogps[rejected].fill(d_rejected as f32);
                records.push(PairRecord::new(&example.id, example.prompt.len(), &pair, &term, objective.beta));
            }
            self.tape.backward(model, &batch, &dlogps, &mut self.grads);
        }
        records
    }
}

/// A step that is not finite would spoil the weights for good: it is refused before the update.
fn check_finite(metrics: &StepMetrics, pairs: &[PairRecord]) -> Result<()> {
    if metrics.loss.is_finite() && metrics.grad_norm.is_finite() {
        return Ok(());
    }
    let culprit = pairs.iter().find(|p| !p.loss.is_finite()).map(|p| format!(" (example {:?})", p.id));
    let (loss, norm) = (metrics.loss, metrics.grad_norm);
    let what = format!("loss {loss}, gradient norm {norm}{}, expected finite numbers", culprit.unwrap_or_default());
    Err(Error::new(format!("step {}", metrics.step), what).hint("lower the learning rate, or train in f32"))
}

/// Over ids, contents and weights in their order.
fn set_hash(examples: &[Example], hashes: &[Hash]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (example, hash) in examples.iter().zip(hashes) {
        hasher.update(&(example.id.len() as u64).to_le_bytes()).update(example.id.as_bytes()).update(hash.as_bytes());
        if example.weight != 1.0 {
            hasher.update(&example.weight.to_le_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}
