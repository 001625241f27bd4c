//! The deep tier: a probe on the hidden states of a local model.

pub mod view;
