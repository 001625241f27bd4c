//! What a run needs of memory, from the configs alone: users ask first whether it will fit.

use crate::config::sections::{Kv, Optimizer, Precision, Train};
use drift_lm::params::Layout;
use drift_lm::tape::kept_bytes;
use drift_lm::{KvFormat, ModelConfig};

/// Batches, logits of a chunk, tokenizer, and what the allocator keeps back.
const OVERHEAD: u64 = 400 << 20;

/// Bytes, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Weights in f32, and their operand copies.
    pub model: u64,
    /// Beyond the model: gradients and optimiser state.
    pub training: u64,
    /// Beyond the model: keys and values of the sequences decoded at once.
    pub sampling: u64,
}

impl Need {
    /// Sampling keeps `positions` of all sequences that are decoded at once.
    pub fn of(model: &ModelConfig, train: &Train, precision: Precision, kv: Kv, positions: usize) -> Need {
        let params = Layout::of(model).len as u64;
        let head = (model.vocab_size * model.hidden_size) as u64;
        // Embeddings are looked up in f32; as the output matrix they have a copy.
        let matrices = if model.tie_word_embeddings { params } else { params - head };
        let operand: u64 = match precision {
            Precision::Int8 => 1,
            Precision::Bf16 => 2,
            Precision::F32 => 4,
        };
        let moments: u64 = match train.optimizer {
            Optimizer::Rmsprop => 1,
            Optimizer::Adamw => 2,
        };
        let position = model.num_layers * KvFormat::from(kv).bytes(model.num_kv_heads, model.head_dim);
        Need {
            model: 4 * params + operand * matrices,
            training: 4 * params * (1 + moments),
            sampling: (position * positions) as u64,
        }
    }

    /// At the peak, with activations recomputed where memory is short.
    pub fn peak(&self) -> u64 {
        OVERHEAD + self.model + self.training.max(self.sampling)
    }
}

/// Memory for kept activations: what the budget, or else the free memory, leaves. Results do not depend
/// on it.
pub fn activation_bytes(model: &ModelConfig, train: &Train, precision: Precision) -> usize {
    let budget = match train.memory_gb {
        Some(gigabytes) => (gigabytes * 1e9) as u64,
        // Something is left to the rest of the machine. The model is in memory already.
        None => free() / 4 * 3 + Need::of(model, train, precision, Kv::F32, 0).model,
    };
    usize::try_from(budget.saturating_sub(Need::of(model, train, precision, Kv::F32, 0).peak())).unwrap_or(usize::MAX)
}

/// At the peak of training on rows of up to `tokens`, with all the activations kept that the budget has room for.
pub fn training_peak(model: &ModelConfig, train: &Train, precision: Precision, tokens: usize) -> u64 {
    let kept = kept_bytes(model, tokens).min(activation_bytes(model, train, precision));
    Need::of(model, train, precision, Kv::F32, 0).peak() + kept as u64
}

/// Bytes that a new process could have, within the limits of its control group; 0 where the system
/// does not say.
pub fn free() -> u64 {
    read(|system| match system.cgroup_limits() {
        Some(limits) => system.available_memory().min(limits.free_memory),
        None => system.available_memory(),
    })
}

pub fn total() -> u64 {
    read(|system| match system.cgroup_limits() {
        Some(limits) => system.total_memory().min(limits.total_memory),
        None => system.total_memory(),
    })
}

fn read(ask: impl FnOnce(&sysinfo::System) -> u64) -> u64 {
    let Ok(mut system) = sysinfo::System::new() else { return 0 };
    system.refresh_memory();
    ask(&system)
}

/// `1.4 GB`, in powers of ten as disks and `memory_gb` count.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_lm::config::{Family, RopeScaling};

    fn smollm2() -> ModelConfig {
        ModelConfig {
            family: Family::Llama,
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_layers: 30,
            num_heads: 9,
            num_kv_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 100_000.0,
            rope_scaling: RopeScaling::None,
            max_position_embeddings: 8192,
            tie_word_embeddings: true,
            qkv_bias: false,
            o_bias: false,
            mlp_bias: false,
            qk_norm: false,
            windows: vec![None; 30],
            bos_token_id: None,
            eos_token_ids: vec![2],
        }
    }

    #[test]
    fn needs_by_hand() {
        // 134,515,008 parameters: 6 bytes each for the model; gradients and one moment: 8.
        let need = Need::of(&smollm2(), &Train::default(), Precision::Bf16, Kv::F32, 16_000);
        assert_eq!(need.model, 6 * 134_515_008);
        assert_eq!(need.training, 8 * 134_515_008);
        // 30 layers, 3 heads of 64, keys and values, f32: 46,080 bytes a token.
        assert_eq!(need.sampling, 46_080 * 16_000);
        // A byte each, and 4 for every 64.
        let bytes = Need::of(&smollm2(), &Train::default(), Precision::Bf16, Kv::Int8, 16_000);
        assert_eq!(bytes.sampling, (11_520 + 720) * 16_000);
        let adamw = Train { optimizer: Optimizer::Adamw, ..Train::default() };
        assert_eq!(Need::of(&smollm2(), &adamw, Precision::Bf16, Kv::F32, 16_000).training, 12 * 134_515_008);
    }

    #[test]
    fn activations_get_what_the_budget_leaves() {
        let with = |gigabytes| Train { memory_gb: Some(gigabytes), ..Train::default() };
        let peak = Need::of(&smollm2(), &Train::default(), Precision::Bf16, Kv::F32, 0).peak();
        assert_eq!(activation_bytes(&smollm2(), &with(4.0), Precision::Bf16) as u64, 4_000_000_000 - peak);
        assert_eq!(activation_bytes(&smollm2(), &with(1.0), Precision::Bf16), 0);
    }
}
