//! A training pass: forward that remembers, backward that adds up gradients.

use crate::ModelConfig;
use crate::block::{self, Activations, BackwardLayer, BackwardScratch, Scratch};
use crate::head::{Head, HeadBackward};
use crate::model::Model;
use crate::packed::Packed;
use drift_kernels::elementwise;

/// What a row of `tokens` keeps between forward and backward where the budget has room for all of it.
pub fn kept_bytes(config: &ModelConfig, tokens: usize) -> usize {
    config.num_layers * tokens * (4 * config.hidden_size + Activations::bytes_per_token(config))
}

/// All buffers of forward and backward, reused from step to step; they grow to the largest batch.
pub struct Tape {
    budget: usize,
    /// Of the layer at hand: packed anew for each, since copies of all would take as much memory as the
    /// forward operands, and packing takes a hundredth of the layer's time.
    weights: BackwardLayer,
    layers: Vec<Activations>,
    /// Layers from this one on keep their activations, the others compute them again.
    first_kept: usize,
    again: Activations,
    scratch: Scratch,
    backward: BackwardScratch,
    head: Head,
    head_backward: HeadBackward,
    x: Vec<f32>,
    dx: Vec<f32>,
}

impl Tape {
    /// `budget` bytes for kept activations: as many layers keep theirs as fit, counted from the last;
    /// the rest keep only their input. Results do not depend on it.
    pub fn new(model: &Model, budget: usize) -> Tape {
        let (precision, layers) = (model.precision(), model.config().num_layers);
        let gradients = precision.gradients();
        Tape {
            budget,
            weights: BackwardLayer::new(gradients),
            layers: (0..layers).map(|_| Activations::default()).collect(),
            first_kept: 0,
            again: Activations::default(),
            scratch: Scratch::new(precision),
            backward: BackwardScratch::new(gradients),
            head: Head::new(precision),
            head_backward: HeadBackward::new(gradients),
            x: Vec::new(),
            dx: Vec::new(),
        }
    }

    /// Log-probability of each target, remembered for `backward`.
    pub fn forward(&mut self, model: &Model, batch: &Packed) -> &[f32] {
        let (layers, tokens) = (model.config().num_layers, batch.tokens.len());
        let inputs = layers * tokens * model.config().hidden_size * 4;
        let kept = self.budget.saturating_sub(inputs) / (tokens * Activations::bytes_per_token(model.config())).max(1);
        self.first_kept = layers.saturating_sub(kept);
        model.embed(&batch.tokens, &mut self.x);
        for l in 0..layers {
            let layer = &mut self.layers[l];
            layer.x.clone_from(&self.x);
            if l < self.first_kept {
                block::forward(model, l, batch, &mut self.x, &mut self.again, &mut self.scratch);
            } else {
                block::remember(model, l, batch, &mut self.x, layer, &mut self.scratch);
                block::project_down(model, l, &layer.gate_up, &mut self.scratch.inner, &mut self.x);
            }
        }
        self.head.forward(model, batch, &self.x);
        &self.head.logps
    }

    /// `grads += Σ dlogps[a] · d logp[a] / d params`, for the batch of the last `forward`.
    pub fn backward(&mut self, model: &Model, batch: &Packed, dlogps: &[f32], grads: &mut [f32]) {
        assert_eq!(dlogps.len(), batch.targets.len());
        assert_eq!(grads.len(), model.layout().len);
        let h = model.config().hidden_size;
        self.dx.resize(batch.tokens.len() * h, 0.0);
        self.head_backward.backward(&mut self.head, model, batch, dlogps, &mut self.dx, grads);
        for l in (0..model.config().num_layers).rev() {
            let layer = &mut self.layers[l];
            let kept = if l < self.first_kept {
                self.x.clone_from(&layer.x);
                block::remember(model, l, batch, &mut self.x, &mut self.again, &mut self.scratch);
                std::mem::swap(&mut self.again.x, &mut layer.x);
                &mut self.again
            } else {
                layer
            };
            self.weights.pack(model, l);
            block::backward(model, l, &self.weights, batch, kept, &mut self.dx, &mut self.backward, grads);
        }
        let embed = &mut grads[model.layout().embed.clone()];
        for (token, d) in batch.tokens.iter().zip(self.dx.chunks(h)) {
            elementwise::add(&mut embed[*token as usize * h..][..h], d);
        }
    }
}
