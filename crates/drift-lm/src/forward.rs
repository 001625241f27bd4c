//! The forward pass alone: log-probabilities and logits without gradients.

use crate::block::{self, Activations, Scratch};
use crate::head::Head;
use crate::model::Model;
use crate::packed::Packed;
use drift_kernels::{Rows, matmul, norm, par};

impl Model {
    /// Log-probability of each target.
    pub fn logps(&self, batch: &Packed) -> Vec<f32> {
        let x = self.hidden(batch);
        let mut head = Head::new(self.precision());
        head.forward(self, batch, &x);
        head.logps
    }

    /// Logits after each token of one sequence, `[T, V]`.
    pub fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let mut batch = Packed::default();
        batch.push_prompt(tokens);
        let x = self.hidden(&batch);
        let mut logits = Vec::new();
        self.project(&x, &mut Rows::new(self.precision()), &mut logits);
        logits
    }

    /// Hidden states after the last layer, `[T, H]`.
    fn hidden(&self, batch: &Packed) -> Vec<f32> {
        let mut x = Vec::new();
        self.hidden_after(batch, self.config().num_layers, &mut x, |_, _| {});
        x
    }

    /// Hidden states after each of `layers` (in ascending order; 0 is the embeddings, L the last layer
    /// before the final norm), `[T, H]` each, handed to `visit` as (index in `layers`, states). Nothing
    /// above the last of them is computed.
    ///
    /// # Panics
    /// If `layers` do not ascend or go beyond the model.
    pub fn hidden_at(&self, batch: &Packed, layers: &[usize], mut visit: impl FnMut(usize, &[f32])) {
        assert!(layers.is_sorted_by(|a, b| a < b), "layers in ascending order");
        let Some(&last) = layers.last() else { return };
        assert!(last <= self.config().num_layers, "layers of the model");
        self.hidden_after(batch, last, &mut Vec::new(), |done, x| {
            if let Ok(index) = layers.binary_search(&done) {
                visit(index, x);
            }
        });
    }

    /// `x[T, H]` after the first `layers` layers; `visit` sees it after none, one, two … of them.
    fn hidden_after(&self, batch: &Packed, layers: usize, x: &mut Vec<f32>, mut visit: impl FnMut(usize, &[f32])) {
        self.embed(&batch.tokens, x);
        let (mut keep, mut scratch) = (Activations::default(), Scratch::new(self.precision()));
        visit(0, x);
        for l in 0..layers {
            block::forward(self, l, batch, x, &mut keep, &mut scratch);
            visit(l + 1, x);
        }
    }

    /// `x[T, H]`: the tokens' embeddings.
    pub(crate) fn embed(&self, tokens: &[u32], x: &mut Vec<f32>) {
        let h = self.config().hidden_size;
        let table = self.param(&self.layout().embed);
        x.resize(tokens.len() * h, 0.0);
        par::rows(x, h, 64, |first, rows| {
            for (i, row) in rows.chunks_mut(h).enumerate() {
                row.copy_from_slice(&table[tokens[first + i] as usize * h..][..h]);
            }
        });
    }

    /// Final norm and projection of `x[T, H]` → `[T, V]`.
    pub(crate) fn project(&self, x: &[f32], rows: &mut Rows, logits: &mut Vec<f32>) {
        let c = self.config();
        norm::forward(x, self.param(&self.layout().final_norm), c.rms_norm_eps, rows);
        logits.resize(x.len() / c.hidden_size * c.vocab_size, 0.0);
        matmul(rows, &self.head, logits, c.vocab_size, false);
    }
}
