//! One decoder layer, forward beside backward.
//!
//! ```text
//! x  += attention(rope(norm(x) · Wqkv)) · Wo
//! x  += swiglu(norm(x) · Wgate_up) · Wdown
//! ```

use crate::ModelConfig;
use crate::model::{Layer, Model};
use crate::packed::Packed;
use drift_kernels::attention::{self, Heads};
use drift_kernels::matmul::product;
use drift_kernels::{Isa, Panels, Precision, Rows, elementwise, matmul, norm, par};
use std::ops::Range;

/// What the backward pass of a layer needs of its forward pass.
#[derive(Default)]
pub(crate) struct Activations {
    /// The layer's input, `[T, H]`.
    pub x: Vec<f32>,
    /// x after attention, `[T, H]`.
    pub middle: Vec<f32>,
    /// Before the norms of q and k, only where the model has them.
    pub raw_qkv: Vec<f32>,
    /// After RoPE, `[T, (N + 2G) D]`.
    pub qkv: Vec<f32>,
    /// `[T, N D]`
    pub mixed: Vec<f32>,
    /// `[N, T]`
    pub lse: Vec<f32>,
    /// `[T, 2F]`
    pub gate_up: Vec<f32>,
}

impl Activations {
    /// Bytes a token that a layer keeps besides its input.
    pub fn bytes_per_token(c: &ModelConfig) -> usize {
        let qkv = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim;
        let raw = if c.qk_norm { qkv } else { 0 };
        4 * (c.hidden_size + raw + qkv + c.num_heads * (c.head_dim + 1) + 2 * c.intermediate_size)
    }
}

/// Left operands and buffers of what is not kept, shared by all layers.
pub(crate) struct Scratch {
    pub hidden: Rows,
    pub mixed: Rows,
    /// `[GATE_TOKENS, H]`
    some_hidden: Rows,
    /// `[GATE_TOKENS, 2F]`
    gate_up: Vec<f32>,
    pub inner: Rows,
    pub attention: attention::Forward,
}

impl Scratch {
    pub fn new(precision: Precision) -> Scratch {
        let rows = || Rows::new(precision);
        let attention = attention::Forward::new(precision);
        Scratch { hidden: rows(), mixed: rows(), some_hidden: rows(), gate_up: Vec::new(), inner: rows(), attention }
    }
}

/// norm(x) · Wqkv with bias, q/k norms and RoPE → `qkv[T, (N + 2G) D]`.
pub(crate) fn project_qkv(
    model: &Model,
    l: usize,
    x: &[f32],
    positions: &[u32],
    hidden: &mut Rows,
    raw: &mut Vec<f32>,
    qkv: &mut Vec<f32>,
) {
    let (layer, p) = (&model.layers[l], model.layer_params(l));
    let (heads, eps) = (layer.heads, model.config().rms_norm_eps);
    let (tokens, ld) = (positions.len(), heads.width());
    norm::forward(x, model.param(&p.input_norm), eps, hidden);
    qkv.resize(tokens * ld, 0.0);
    matmul(hidden, &layer.qkv, qkv, ld, false);
    if let (Some(q), Some(k), Some(v)) = (&p.q_bias, &p.k_bias, &p.v_bias) {
        let mut at = 0;
        for bias in [q, k, v] {
            elementwise::add_bias(qkv, ld, at, model.param(bias));
            at += bias.len();
        }
    }
    if let (Some(q), Some(k)) = (&p.q_norm, &p.k_norm) {
        raw.clone_from(qkv);
        let (q, k) = (model.param(q), model.param(k));
        par::rows(qkv, ld, 16, |first, rows| {
            for (i, row) in rows.chunks_mut(ld).enumerate() {
                for (head, out) in row.chunks_mut(heads.dim).take(heads.queries + heads.keys).enumerate() {
                    let from = &raw[(first + i) * ld + head * heads.dim..][..heads.dim];
                    norm::row(from, if head < heads.queries { q } else { k }, eps, out);
                }
            }
        });
    }
    model.rope.forward(qkv, ld, heads.queries + heads.keys, positions);
}

/// `x += mixed · Wo`, mixed `[T, N D]`.
pub(crate) fn project_out(model: &Model, l: usize, mixed: &[f32], rows: &mut Rows, x: &mut [f32]) {
    let (layer, p) = (&model.layers[l], model.layer_params(l));
    let (h, width) = (model.config().hidden_size, layer.heads.queries * layer.heads.dim);
    rows.load(mixed, x.len() / h, width, width);
    matmul(rows, &layer.o, x, h, true);
    if let Some(bias) = &p.o_bias {
        elementwise::add_bias(x, h, 0, model.param(bias));
    }
}

/// norm(x) · Wgate_up with biases → `gate_up[T, 2F]`
fn project_gates(model: &Model, l: usize, x: &[f32], hidden: &mut Rows, gate_up: &mut Vec<f32>) {
    let (layer, p) = (&model.layers[l], model.layer_params(l));
    let c = model.config();
    let (h, f) = (c.hidden_size, c.intermediate_size);
    norm::forward(x, model.param(&p.post_norm), c.rms_norm_eps, hidden);
    gate_up.resize(x.len() / h * 2 * f, 0.0);
    matmul(hidden, &layer.gate_up, gate_up, 2 * f, false);
    if let (Some(gate), Some(up)) = (&p.gate_bias, &p.up_bias) {
        elementwise::add_bias(gate_up, 2 * f, 0, model.param(gate));
        elementwise::add_bias(gate_up, 2 * f, f, model.param(up));
    }
}

/// `x += swiglu(gate_up) · Wdown`
pub(crate) fn project_down(model: &Model, l: usize, gate_up: &[f32], inner: &mut Rows, x: &mut [f32]) {
    let (layer, p, c) = (&model.layers[l], model.layer_params(l), model.config());
    elementwise::swiglu(gate_up, c.intermediate_size, inner);
    matmul(inner, &layer.down, x, c.hidden_size, true);
    if let Some(bias) = &p.down_bias {
        elementwise::add_bias(x, c.hidden_size, 0, model.param(bias));
    }
}

/// Tokens whose gates are computed at once where nobody keeps them: they stay in the cache.
const GATE_TOKENS: usize = 256;

/// `x += swiglu(norm(x) · Wgate_up) · Wdown`
pub(crate) fn mlp(model: &Model, l: usize, x: &mut [f32], s: &mut Scratch) {
    for x in x.chunks_mut(GATE_TOKENS * model.config().hidden_size) {
        project_gates(model, l, x, &mut s.some_hidden, &mut s.gate_up);
        project_down(model, l, &s.gate_up, &mut s.inner, x);
    }
}

/// `x[T, H]` after attention, in place; `keep` holds what that part's backward pass needs, but for the input.
fn attend(model: &Model, l: usize, batch: &Packed, x: &mut [f32], keep: &mut Activations, s: &mut Scratch) {
    let heads = model.layers[l].heads;
    let tokens = batch.tokens.len();
    project_qkv(model, l, x, &batch.positions, &mut s.hidden, &mut keep.raw_qkv, &mut keep.qkv);
    keep.mixed.resize(tokens * heads.queries * heads.dim, 0.0);
    keep.lse.resize(heads.queries * tokens, 0.0);
    attention::forward(&mut s.attention, &keep.qkv, heads, &batch.segments, &mut keep.mixed, &mut keep.lse);
    project_out(model, l, &keep.mixed, &mut s.mixed, x);
}

/// `x[T, H]` in place; of `keep` only attention's part is written.
pub(crate) fn forward(model: &Model, l: usize, batch: &Packed, x: &mut [f32], keep: &mut Activations, s: &mut Scratch) {
    attend(model, l, batch, x, keep, s);
    mlp(model, l, x, s);
}

/// What the backward pass needs of the layer's input `x[T, H]`, which becomes x after attention: all of
/// [`forward`] but [`project_down`].
pub(crate) fn remember(
    model: &Model,
    l: usize,
    batch: &Packed,
    x: &mut [f32],
    keep: &mut Activations,
    s: &mut Scratch,
) {
    attend(model, l, batch, x, keep, s);
    keep.middle.resize(x.len(), 0.0);
    keep.middle.copy_from_slice(x);
    project_gates(model, l, x, &mut s.hidden, &mut keep.gate_up);
}

/// One layer's weights as right operands of the input gradients.
pub(crate) struct BackwardLayer {
    qkv: Panels,
    o: Panels,
    gate_up: Panels,
    down: Panels,
}

impl BackwardLayer {
    pub fn new(precision: Precision) -> BackwardLayer {
        let panels = || Panels::new(precision);
        BackwardLayer { qkv: panels(), o: panels(), gate_up: panels(), down: panels() }
    }

    pub fn pack(&mut self, model: &Model, l: usize) {
        let (p, c, heads) = (model.layer_params(l), model.config(), model.layers[l].heads);
        let (h, f) = (c.hidden_size, c.intermediate_size);
        let (q, kv) = (heads.queries * heads.dim, heads.keys * heads.dim);
        self.qkv.shape_to(q + 2 * kv, h);
        self.qkv.set_rows(0, model.param(&p.q), q, h);
        self.qkv.set_rows(q, model.param(&p.k), kv, h);
        self.qkv.set_rows(q + kv, model.param(&p.v), kv, h);
        self.o.shape_to(h, q);
        self.o.set_rows(0, model.param(&p.o), h, q);
        self.gate_up.shape_to(2 * f, h);
        self.gate_up.set_rows(0, model.param(&p.gate), f, h);
        self.gate_up.set_rows(f, model.param(&p.up), f, h);
        self.down.shape_to(h, f);
        self.down.set_rows(0, model.param(&p.down), h, f);
    }
}

/// Buffers of the backward pass, shared by all layers.
pub(crate) struct BackwardScratch {
    /// Gradients as left operand.
    rows: Rows,
    /// Transposed gradients as left operand of the weight gradients.
    turned: Rows,
    /// Activations as right operand of the weight gradients.
    inputs: Panels,
    /// The input of a product, computed again: `[T, H]` or `[T, F]`.
    again: Vec<f32>,
    /// The gradient of that input.
    d_input: Vec<f32>,
    d_qkv: Vec<f32>,
    rstd: Vec<f32>,
    attention: attention::Backward,
}

impl BackwardScratch {
    pub fn new(precision: Precision) -> BackwardScratch {
        BackwardScratch {
            rows: Rows::new(precision),
            turned: Rows::new(precision),
            inputs: Panels::new(precision),
            again: Vec::new(),
            d_input: Vec::new(),
            d_qkv: Vec::new(),
            rstd: Vec::new(),
            attention: attention::Backward::new(precision),
        }
    }
}

/// `dW[out, in] += dYᵀ · X` for weights that share their input X `[T, in]`: `parts` are ranges of
/// `grads`, in the order of dY's columns.
fn weight_gradients(
    dy: &[f32],
    x: &[f32],
    tokens: usize,
    parts: &[&Range<usize>],
    turned: &mut Rows,
    inputs: &mut Panels,
    grads: &mut [f32],
) {
    let (out, input) = (dy.len() / tokens, x.len() / tokens);
    turned.load_transposed(dy, out, tokens, out);
    inputs.shape_to(tokens, input);
    inputs.set_rows(0, x, tokens, input);
    let mut first = 0;
    for part in parts {
        let rows = part.len() / input;
        let dw = &mut grads[(*part).clone()];
        product(Isa::current(), turned, first..first + rows, inputs, 0..input, 0, dw, input, true);
        first += rows;
    }
    debug_assert_eq!(first, out);
}

/// `x[T, H]` normalised again, in f32.
fn normalise(x: &[f32], w: &[f32], eps: f32, out: &mut Vec<f32>) {
    let h = w.len();
    out.resize(x.len(), 0.0);
    par::rows(out, h, 16, |first, rows| {
        for (i, row) in rows.chunks_mut(h).enumerate() {
            norm::row(&x[(first + i) * h..][..h], w, eps, row);
        }
    });
}

/// `dx[T, H]`: the gradient of the layer's output becomes that of its input; `grads += …`. Uses up
/// `kept.gate_up`.
pub(crate) fn backward(
    model: &Model,
    l: usize,
    weights: &BackwardLayer,
    batch: &Packed,
    kept: &mut Activations,
    dx: &mut [f32],
    s: &mut BackwardScratch,
    grads: &mut [f32],
) {
    let (p, c) = (model.layer_params(l), model.config());
    let Layer { heads, .. } = &model.layers[l];
    let (h, f, tokens, eps) = (c.hidden_size, c.intermediate_size, batch.tokens.len(), c.rms_norm_eps);

    // MLP. dx is the gradient of the sum, so of the projection's output too.
    s.again.resize(tokens * f, 0.0);
    elementwise::swiglu_plain(&kept.gate_up, f, &mut s.again);
    weight_gradients(dx, &s.again, tokens, &[&p.down], &mut s.turned, &mut s.inputs, grads);
    if let Some(bias) = &p.down_bias {
        elementwise::bias_backward(dx, h, 0, &mut grads[bias.clone()]);
    }
    s.rows.load(dx, tokens, h, h);
    s.d_input.resize(tokens * f, 0.0);
    matmul(&s.rows, &weights.down, &mut s.d_input, f, false);
    elementwise::swiglu_backward(&mut kept.gate_up, f, &s.d_input);
    let d_gate_up = &kept.gate_up;
    if let (Some(gate), Some(up)) = (&p.gate_bias, &p.up_bias) {
        elementwise::bias_backward(d_gate_up, 2 * f, 0, &mut grads[gate.clone()]);
        elementwise::bias_backward(d_gate_up, 2 * f, f, &mut grads[up.clone()]);
    }
    let post = model.param(&p.post_norm);
    normalise(&kept.middle, post, eps, &mut s.again);
    weight_gradients(d_gate_up, &s.again, tokens, &[&p.gate, &p.up], &mut s.turned, &mut s.inputs, grads);
    s.rows.load(d_gate_up, tokens, 2 * f, 2 * f);
    s.d_input.resize(tokens * h, 0.0);
    matmul(&s.rows, &weights.gate_up, &mut s.d_input, h, false);
    norm::backward(&kept.middle, post, eps, &s.d_input, dx, &mut grads[p.post_norm.clone()], &mut s.rstd);

    // Attention.
    let (ld, width) = (heads.width(), heads.queries * heads.dim);
    weight_gradients(dx, &kept.mixed, tokens, &[&p.o], &mut s.turned, &mut s.inputs, grads);
    if let Some(bias) = &p.o_bias {
        elementwise::bias_backward(dx, h, 0, &mut grads[bias.clone()]);
    }
    s.rows.load(dx, tokens, h, h);
    s.d_input.resize(tokens * width, 0.0);
    matmul(&s.rows, &weights.o, &mut s.d_input, width, false);
    s.d_qkv.resize(tokens * ld, 0.0);
    let (mixed, lse) = (&kept.mixed, &kept.lse);
    attention::backward(&mut s.attention, &kept.qkv, mixed, lse, &s.d_input, *heads, &batch.segments, &mut s.d_qkv);
    model.rope.backward(&mut s.d_qkv, ld, heads.queries + heads.keys, &batch.positions);
    if let (Some(q), Some(k)) = (&p.q_norm, &p.k_norm) {
        head_norms_backward(model, *heads, [q, k], &kept.raw_qkv, &mut s.d_qkv, grads);
    }
    if let (Some(q), Some(k), Some(v)) = (&p.q_bias, &p.k_bias, &p.v_bias) {
        let mut first = 0;
        for bias in [q, k, v] {
            elementwise::bias_backward(&s.d_qkv, ld, first, &mut grads[bias.clone()]);
            first += bias.len();
        }
    }
    let input_norm = model.param(&p.input_norm);
    normalise(&kept.x, input_norm, eps, &mut s.again);
    weight_gradients(&s.d_qkv, &s.again, tokens, &[&p.q, &p.k, &p.v], &mut s.turned, &mut s.inputs, grads);
    s.rows.load(&s.d_qkv, tokens, ld, ld);
    s.d_input.resize(tokens * h, 0.0);
    matmul(&s.rows, &weights.qkv, &mut s.d_input, h, false);
    norm::backward(&kept.x, input_norm, eps, &s.d_input, dx, &mut grads[p.input_norm.clone()], &mut s.rstd);
}

/// Backward through the norms of q and k heads, in place of dqkv.
fn head_norms_backward(
    model: &Model,
    heads: Heads,
    norms: [&Range<usize>; 2],
    raw: &[f32],
    d_qkv: &mut [f32],
    grads: &mut [f32],
) {
    let (ld, dim, eps) = (heads.width(), heads.dim, model.config().rms_norm_eps);
    for (row, raw) in d_qkv.chunks_mut(ld).zip(raw.chunks(ld)) {
        for head in 0..heads.queries + heads.keys {
            let range = norms[(head >= heads.queries) as usize];
            let at = head * dim..(head + 1) * dim;
            let (x, dy) = (&raw[at.clone()], &mut row[at]);
            norm::row_backward_in_place(x, model.param(range), eps, dy, &mut grads[range.clone()]);
        }
    }
}
