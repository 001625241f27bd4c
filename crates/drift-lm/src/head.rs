//! From hidden states to log-probabilities of the targets: final norm, projection to the vocabulary
//! and log-softmax, a slab of the vocabulary at a time, forward beside backward.

use crate::model::Model;
use crate::packed::Packed;
use drift_kernels::matmul::product;
use drift_kernels::softmax::{LogSumExp, logp_backward};
use drift_kernels::{Isa, Panels, Precision, Rows, elementwise, norm};

/// Entries of the vocabulary whose logits exist at once.
const SLAB: usize = 4096;

pub(crate) struct Head {
    /// The targets' hidden states before the final norm, `[A, H]`.
    gathered: Vec<f32>,
    normed: Rows,
    /// `[A, SLAB]`
    logits: Vec<f32>,
    running: LogSumExp,
    lse: Vec<f32>,
    pub logps: Vec<f32>,
}

impl Head {
    pub fn new(precision: Precision) -> Head {
        Head {
            gathered: Vec::new(),
            normed: Rows::new(precision),
            logits: Vec::new(),
            running: LogSumExp::default(),
            lse: Vec::new(),
            logps: Vec::new(),
        }
    }

    /// `x[T, H]` after the last layer → `logps`, one a target.
    pub fn forward(&mut self, model: &Model, batch: &Packed, x: &[f32]) {
        let c = model.config();
        let (h, answers) = (c.hidden_size, batch.targets.len());
        self.gathered.clear();
        for target in &batch.targets {
            self.gathered.extend_from_slice(&x[target.at * h..][..h]);
        }
        norm::forward(&self.gathered, model.param(&model.layout().final_norm), c.rms_norm_eps, &mut self.normed);
        self.running.reset(answers);
        self.logps.resize(answers, 0.0);
        for first in (0..c.vocab_size).step_by(SLAB) {
            let width = self.slab(model, first);
            self.running.add(&self.logits, width);
            for (a, target) in batch.targets.iter().enumerate() {
                if (first..first + width).contains(&(target.token as usize)) {
                    self.logps[a] = self.logits[a * width + target.token as usize - first];
                }
            }
        }
        self.lse.clear();
        self.lse.extend((0..answers).map(|a| self.running.value(a)));
        for (logp, lse) in self.logps.iter_mut().zip(&self.lse) {
            *logp -= lse;
        }
    }

    /// Logits of the vocabulary entries from `first` on; returns how many.
    fn slab(&mut self, model: &Model, first: usize) -> usize {
        let answers = self.normed.shape().0;
        let width = SLAB.min(model.config().vocab_size - first);
        self.logits.resize(answers * width, 0.0);
        let cols = first..first + width;
        product(Isa::current(), &self.normed, 0..answers, &model.head, cols, 0, &mut self.logits, width, false);
        width
    }
}

/// What only the backward pass needs.
pub(crate) struct HeadBackward {
    /// B[SLAB, H]: the slab's rows of the output matrix.
    weights: Panels,
    rows: Rows,
    turned: Rows,
    inputs: Panels,
    /// `[A, H]`: normed hidden states in f32, their gradient, the gradient before the norm.
    again: Vec<f32>,
    d_normed: Vec<f32>,
    d_gathered: Vec<f32>,
    rstd: Vec<f32>,
    targets: Vec<u32>,
}

impl HeadBackward {
    pub fn new(precision: Precision) -> HeadBackward {
        HeadBackward {
            weights: Panels::new(precision),
            rows: Rows::new(precision),
            turned: Rows::new(precision),
            inputs: Panels::new(precision),
            again: Vec::new(),
            d_normed: Vec::new(),
            d_gathered: Vec::new(),
            rstd: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Given `d loss / d logp` of each target, writes `dx[T, H]` and adds to `grads`. The logits are
    /// computed again.
    pub fn backward(
        &mut self,
        head: &mut Head,
        model: &Model,
        batch: &Packed,
        dlogps: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        let c = model.config();
        let (h, answers) = (c.hidden_size, batch.targets.len());
        let norm_range = model.layout().final_norm.clone();
        let weight = model.param(&norm_range);
        self.targets.clear();
        self.targets.extend(batch.targets.iter().map(|target| target.token));
        self.again.resize(answers * h, 0.0);
        for (x, out) in head.gathered.chunks(h).zip(self.again.chunks_mut(h)) {
            norm::row(x, weight, c.rms_norm_eps, out);
        }
        self.inputs.shape_to(answers, h);
        self.inputs.set_rows(0, &self.again, answers, h);
        self.d_normed.clear();
        self.d_normed.resize(answers * h, 0.0);
        let d_head = &mut grads[model.head_range()];
        for first in (0..c.vocab_size).step_by(SLAB) {
            let width = head.slab(model, first);
            logp_backward(&mut head.logits, width, first, &head.lse, &self.targets, dlogps);
            self.rows.load(&head.logits, answers, width, width);
            let isa = Isa::current();
            let weights = &model.param(&model.head_range())[first * h..(first + width) * h];
            self.weights.shape_to(width, h);
            self.weights.set_rows(0, weights, width, h);
            product(isa, &self.rows, 0..answers, &self.weights, 0..h, 0, &mut self.d_normed, h, true);
            self.turned.load_transposed(&head.logits, width, answers, width);
            let dw = &mut d_head[first * h..(first + width) * h];
            product(isa, &self.turned, 0..width, &self.inputs, 0..h, 0, dw, h, true);
        }
        self.d_gathered.clear();
        self.d_gathered.resize(answers * h, 0.0);
        let d_norm = &mut grads[norm_range];
        let (x, dy) = (&head.gathered, &self.d_normed);
        norm::backward(x, weight, c.rms_norm_eps, dy, &mut self.d_gathered, d_norm, &mut self.rstd);
        dx.fill(0.0);
        for (target, d) in batch.targets.iter().zip(self.d_gathered.chunks(h)) {
            elementwise::add(&mut dx[target.at * h..][..h], d);
        }
    }
}
