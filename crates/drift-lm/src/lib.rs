//! One decoder for the Llama family: weights in, logits or sampled ids out. Knows no text.
//!
//! Shape letters, used in every comment of the number leg:
//! T tokens of a packed batch, H hidden size, F intermediate size, V vocabulary, L layers,
//! N attention heads, G key/value heads, D head size, A answer positions.

mod block;
pub mod config;
mod decoder;
pub mod encoder;
pub mod error;
pub mod forced;
mod forward;
pub mod generate;
pub mod gguf;
mod head;
pub mod load;
mod map;
pub mod model;
pub mod packed;
pub mod params;
pub mod quant;
pub mod safetensors;
pub mod sampler;
pub mod save;
pub mod tape;

pub use config::ModelConfig;
pub use drift_kernels::attention::KvFormat;
pub use drift_kernels::{Precision, meter};
pub use encoder::Encoder;
pub use generate::{Decoding, Finish, Request, Sample, generate};
pub use model::Model;
pub use packed::{Packed, Target};
pub use sampler::Sampling;
pub use tape::Tape;
