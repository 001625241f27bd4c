//! A decoder in memory: f32 master parameters and the operands packed from them.

use crate::config::{ModelConfig, RopeScaling};
use crate::params::{LayerParams, Layout};
use drift_kernels::attention::Heads;
use drift_kernels::rope::Rope;
use drift_kernels::{Panels, Precision};
use std::ops::Range;

/// Rotary tables are made for this many positions at most; a longer context is not used.
const MAX_POSITIONS: usize = 32_768;

pub struct Model {
    config: ModelConfig,
    layout: Layout,
    precision: Precision,
    params: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    /// B[H, V]
    pub(crate) head: Panels,
    pub(crate) rope: Rope,
}

/// One layer's weights as right operands of the forward pass.
pub(crate) struct Layer {
    /// B[H, (N + 2G) D]
    pub qkv: Panels,
    /// B[N D, H]
    pub o: Panels,
    /// B[H, 2F]
    pub gate_up: Panels,
    /// B[F, H]
    pub down: Panels,
    pub heads: Heads,
}

impl Model {
    /// `params` in the order of [`Layout`].
    pub fn new(config: ModelConfig, params: Vec<f32>, precision: Precision) -> Model {
        let layout = Layout::of(&config);
        assert_eq!(params.len(), layout.len, "parameters of the layout");
        let layers = (0..config.num_layers)
            .map(|l| Layer {
                qkv: Panels::new(precision),
                o: Panels::new(precision),
                gate_up: Panels::new(precision),
                down: Panels::new(precision),
                heads: Heads {
                    queries: config.num_heads,
                    keys: config.num_kv_heads,
                    dim: config.head_dim,
                    window: config.windows[l],
                },
            })
            .collect();
        let rope = Rope::new(inverse_frequencies(&config), config.max_position_embeddings.min(MAX_POSITIONS));
        let head = Panels::new(precision);
        let mut model = Model { config, layout, precision, params, layers, head, rope };
        model.pack();
        model
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn params(&self) -> &[f32] {
        &self.params
    }

    pub fn into_params(self) -> Vec<f32> {
        self.params
    }

    /// The longest sequence that the model can take.
    pub fn context(&self) -> usize {
        self.rope.positions()
    }

    /// Changes the f32 masters, then packs the operands anew.
    pub fn update(&mut self, change: impl FnOnce(&mut [f32])) {
        change(&mut self.params);
        self.pack();
    }

    pub(crate) fn param(&self, range: &Range<usize>) -> &[f32] {
        &self.params[range.clone()]
    }

    pub(crate) fn layer_params(&self, l: usize) -> &LayerParams {
        &self.layout.layers[l]
    }

    /// Where the projection to the vocabulary lies: the embeddings where they are tied.
    pub(crate) fn head_range(&self) -> Range<usize> {
        self.layout.lm_head.clone().unwrap_or(self.layout.embed.clone())
    }

    fn pack(&mut self) {
        let c = &self.config;
        let (h, f) = (c.hidden_size, c.intermediate_size);
        let (q, kv) = (c.num_heads * c.head_dim, c.num_kv_heads * c.head_dim);
        let params = &self.params;
        let weight = |range: &Range<usize>| &params[range.clone()];
        for (layer, p) in self.layers.iter_mut().zip(&self.layout.layers) {
            layer.qkv.shape_to(h, q + 2 * kv);
            layer.qkv.set_columns(0, weight(&p.q), q);
            layer.qkv.set_columns(q, weight(&p.k), kv);
            layer.qkv.set_columns(q + kv, weight(&p.v), kv);
            layer.o.shape_to(q, h);
            layer.o.set_columns(0, weight(&p.o), h);
            layer.gate_up.shape_to(h, 2 * f);
            layer.gate_up.set_columns(0, weight(&p.gate), f);
            layer.gate_up.set_columns(f, weight(&p.up), f);
            layer.down.shape_to(f, h);
            layer.down.set_columns(0, weight(&p.down), h);
        }
        let head = self.layout.lm_head.as_ref().unwrap_or(&self.layout.embed);
        self.head.shape_to(h, c.vocab_size);
        self.head.set_columns(0, weight(head), c.vocab_size);
    }
}

/// D / 2 frequencies, as Hugging Face computes them.
fn inverse_frequencies(config: &ModelConfig) -> Vec<f32> {
    let d = config.head_dim;
    (0..d / 2)
        .map(|i| {
            let plain = 1.0 / config.rope_theta.powf(2.0 * i as f64 / d as f64);
            let scaled = match config.rope_scaling {
                RopeScaling::None => plain,
                RopeScaling::Linear { factor } => plain / factor,
                RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                    let original = original_max_position_embeddings as f64;
                    let wavelength = 2.0 * std::f64::consts::PI / plain;
                    if wavelength < original / high_freq_factor {
                        plain
                    } else if wavelength > original / low_freq_factor {
                        plain / factor
                    } else {
                        let smooth = (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        (1.0 - smooth) * plain / factor + smooth * plain
                    }
                }
            };
            scaled as f32
        })
        .collect()
}
