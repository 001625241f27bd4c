//! One decoder for the Llama family: weights in, logits or sampled ids out. Knows no text.
//!
//! Shape letters, used in every comment of the number leg:
//! T tokens of a packed batch, H hidden size, F intermediate size, V vocabulary, L layers,
//! N attention heads, G key/value heads, D head size, A answer positions.

pub mod config;
pub mod params;
