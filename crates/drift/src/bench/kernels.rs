//! Each operation of the engine alone, at the sizes that one DPO pair gives it.

use super::{Bounds, Row};
use crate::cli::ModelArgs;
use crate::config::sections::Precision;
use crate::profile;
use anyhow::Result;
use drift_kernels::attention::{self, Heads, Segment};
use drift_kernels::matmul::product;
use drift_kernels::meter::Tally;
use drift_kernels::rope::Rope;
use drift_kernels::softmax::{LogSumExp, logp_backward};
use drift_kernels::{Isa, Panels, Rows, elementwise, matmul, norm};
use drift_lm::load::inspect;
use serde::Serialize;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of the prompt, the chosen and the rejected answer
    #[arg(long, value_names = ["P", "C", "R"], num_args = 3, default_values_t = [800, 350, 370],
          value_parser = clap::value_parser!(u32).range(1..=16384))]
    tokens: Vec<u32>,
}

#[derive(Debug, Serialize)]
pub struct Measured {
    ceiling_tflops: f64,
    memory_gbytes_per_s: f64,
    precision: Precision,
    tokens: usize,
    answer_tokens: usize,
}

/// A slab of the vocabulary, as the engine takes it.
const SLAB: usize = 4096;

pub fn run(options: &Options) -> Result<(Measured, Vec<Row>)> {
    super::must_have_gradients(options.model.precision)?;
    let model = inspect(&options.model.path()?)?.config;
    let bounds = Bounds::measure(options.model.precision.into());
    let forward = options.model.precision.in_training();
    let precision = forward.gradients();
    let lengths: Vec<usize> = options.tokens.iter().map(|&n| n as usize).collect();
    let (tokens, answers) = (lengths.iter().sum::<usize>(), lengths[1] + lengths[2]);
    let segments: Vec<Segment> =
        [(0, 0, None), (lengths[0], lengths[0], Some(0)), (lengths[0] + lengths[1], lengths[0], Some(0))]
            .into_iter()
            .zip(&lengths)
            .map(|((start, position, parent), &len)| Segment { start, len, position, parent })
            .collect();
    let (h, f) = (model.hidden_size, model.intermediate_size);
    let heads =
        Heads { queries: model.num_heads, keys: model.num_kv_heads, dim: model.head_dim, window: model.windows[0] };
    let (ld, width) = (heads.width(), heads.queries * heads.dim);
    let mut rows = Vec::new();
    let mut measure = |name: String, work: &mut dyn FnMut()| rows.push(row(&bounds, name, work));

    for (name, out, input) in [("qkv", ld, h), ("o", h, width), ("gate, up", 2 * f, h), ("down", h, f)] {
        let (x, dy, w) = (values(tokens * input), values(tokens * out), values(out * input));
        let (mut a, mut b) = (Rows::new(forward), Panels::new(forward));
        a.load(&x, tokens, input, input);
        b.shape_to(input, out);
        b.set_columns(0, &w, out);
        let mut y = vec![0.0; tokens * out];
        measure(format!("{name}: forward [{tokens}, {input}] x [{input}, {out}]"), &mut || {
            matmul(&a, &b, &mut y, out, false)
        });
        (a, b) = (Rows::new(precision), Panels::new(precision));
        a.load(&dy, tokens, out, out);
        b.shape_to(out, input);
        b.set_rows(0, &w, out, input);
        let mut dx = vec![0.0; tokens * input];
        measure(format!("{name}: input gradient"), &mut || matmul(&a, &b, &mut dx, input, false));
        a.load_transposed(&dy, out, tokens, out);
        b.shape_to(tokens, input);
        b.set_rows(0, &x, tokens, input);
        let mut dw = vec![0.0; out * input];
        measure(format!("{name}: weight gradient"), &mut || matmul(&a, &b, &mut dw, input, true));
    }

    let slab = SLAB.min(model.vocab_size);
    let (x, w) = (values(answers * h), values(slab * h));
    let (mut inputs, mut b) = (Rows::new(forward), Panels::new(forward));
    inputs.load(&x, answers, h, h);
    b.shape_to(h, slab);
    b.set_columns(0, &w, slab);
    let mut logits = vec![0.0; answers * slab];
    measure(format!("head: a slab [{answers}, {h}] x [{h}, {slab}]"), &mut || {
        product(Isa::current(), &inputs, 0..answers, &b, 0..slab, 0, &mut logits, slab, false)
    });
    let mut lse = LogSumExp::default();
    lse.reset(answers);
    measure(format!("head: log-softmax of a slab [{answers}, {slab}]"), &mut || lse.add(&logits, slab));
    let (sums, targets, scale) = (vec![3.0; answers], vec![0; answers], vec![0.1; answers]);
    measure("head: its gradient".into(), &mut || logp_backward(&mut logits, slab, 0, &sums, &targets, &scale));

    let (x, dy) = (values(tokens * 2 * f), values(tokens * 2 * f));
    let (mut a, mut b) = (Rows::new(precision), Panels::new(precision));
    measure(format!("packing rows [{tokens}, {f}]"), &mut || a.load(&dy, tokens, f, 2 * f));
    measure(format!("packing turned rows [{f}, {tokens}]"), &mut || a.load_transposed(&dy, f, tokens, 2 * f));
    b.shape_to(tokens, f);
    measure(format!("packing panels [{tokens}, {f}]"), &mut || b.set_rows(0, &x, tokens, 2 * f));
    measure(format!("swiglu [{tokens}, {f}]"), &mut || elementwise::swiglu(&x, f, &mut inputs));
    let mut gradient = x.clone();
    measure("swiglu, backward".into(), &mut || elementwise::swiglu_backward(&mut gradient, f, &dy[..tokens * f]));
    let weight = values(h);
    measure(format!("norm [{tokens}, {h}]"), &mut || norm::forward(&x[..tokens * h], &weight, 1e-5, &mut inputs));
    let (mut dx, mut dw, mut rstd) = (vec![0.0; tokens * h], vec![0.0; h], Vec::new());
    measure("norm, backward".into(), &mut || {
        norm::backward(&x[..tokens * h], &weight, 1e-5, &dy[..tokens * h], &mut dx, &mut dw, &mut rstd)
    });

    let mut qkv = values(tokens * ld);
    let positions: Vec<u32> =
        segments.iter().flat_map(|s| (s.position..s.position + s.len).map(|p| p as u32)).collect();
    let rope = Rope::new(vec![0.01; heads.dim / 2], lengths[0] + lengths[1].max(lengths[2]));
    measure(format!("rope [{tokens}, {ld}]"), &mut || {
        rope.forward(&mut qkv, ld, heads.queries + heads.keys, &positions)
    });
    let (mut out, mut lse, mut dqkv) =
        (vec![0.0; tokens * width], vec![0.0; heads.queries * tokens], vec![0.0; tokens * ld]);
    let mut work = attention::Forward::new(forward);
    measure(format!("attention {lengths:?}"), &mut || {
        attention::forward(&mut work, &qkv, heads, &segments, &mut out, &mut lse)
    });
    let (dout, mut backward) = (values(tokens * width), attention::Backward::new(precision));
    measure("attention, backward".into(), &mut || {
        attention::backward(&mut backward, &qkv, &out, &lse, &dout, heads, &segments, &mut dqkv)
    });

    let measured = Measured {
        ceiling_tflops: bounds.flops_per_s / 1e12,
        memory_gbytes_per_s: bounds.bytes_per_s / 1e9,
        precision: options.model.precision,
        tokens,
        answer_tokens: answers,
    };
    Ok((measured, rows))
}

/// The fastest of the calls of a fifth of a second, the first left out. Its arithmetic and traffic are
/// what the engine's own meters count.
fn row(bounds: &Bounds, name: String, work: &mut dyn FnMut()) -> Row {
    work();
    profile::reset();
    work();
    let counted = profile::tallies(Duration::ZERO).iter().fold(Tally::default(), |a, (_, b)| Tally {
        flops: a.flops + b.flops,
        bytes: a.bytes + b.bytes,
        ..a
    });
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_millis(200) {
        let call = Instant::now();
        work();
        best = best.min(call.elapsed());
    }
    bounds.row(name, &Tally { calls: 1, time: best, ..counted }, best.as_secs_f64())
}

/// Small numbers of both signs.
fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 29 % 31) as f32 / 31.0 - 0.5).collect()
}
