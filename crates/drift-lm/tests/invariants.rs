//! What the engine promises of its bits: packing, batching, threads and memory change nothing.

mod tiny;

use drift_lm::forced::decoded_logps;
use drift_lm::{KvFormat, Model, Packed, Precision, Request, Sample, Sampling, Tape, generate};
use std::ops::ControlFlow;
use tiny::{ids, model};

/// Prompt, chosen and rejected of three pairs: long, short, and an answer of a single token.
fn pairs() -> Vec<[Vec<u32>; 3]> {
    [(90, 70, 33), (5, 3, 8), (40, 1, 20)]
        .into_iter()
        .enumerate()
        .map(|(i, (p, c, r))| {
            let seed = 10 * i as u64;
            [ids(seed + 1, p), ids(seed + 2, c), ids(seed + 3, r)]
        })
        .collect()
}

/// Weights of the log-probs in a loss, and its gradient.
fn gradients(model: &Model, batch: &Packed, budget: usize) -> (Vec<f32>, Vec<f32>) {
    let mut tape = Tape::new(model, budget);
    let mut grads = vec![0.0; model.layout().len];
    let logps = tape.forward(model, batch).to_vec();
    let weights: Vec<f32> = batch.targets.iter().map(|t| (t.token % 7) as f32 * 0.1 - 0.25).collect();
    tape.backward(model, batch, &weights, &mut grads);
    (logps, grads)
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| (a - b) as f64)) / norm(&mut a.iter().map(|&v| v as f64))
}

#[test]
fn a_packed_pair_equals_two_sequences() {
    let model = model(Precision::F32);
    for [prompt, chosen, rejected] in pairs() {
        let (mut packed, mut apart) = (Packed::default(), Packed::default());
        packed.push_pair(&prompt, &chosen, &rejected);
        apart.push_sequence(&prompt, &chosen);
        apart.push_sequence(&prompt, &rejected);
        assert!(packed.tokens.len() < apart.tokens.len());
        let (a, da) = gradients(&model, &packed, usize::MAX);
        let (b, db) = gradients(&model, &apart, usize::MAX);
        // The same sums in the same order: a token's bits do not depend on the rest of the batch.
        assert_eq!(a, b);
        assert!(distance(&da, &db) < 1e-5, "gradients differ by {}", distance(&da, &db));
    }
}

#[test]
fn the_batch_changes_no_bit_of_a_row() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int16] {
        let model = model(precision);
        let mut all = Packed::default();
        let ranges: Vec<_> = pairs().iter().map(|[p, c, r]| all.push_pair(p, c, r)).collect();
        let together = model.logps(&all);
        for ([p, c, r], [of_chosen, of_rejected]) in pairs().iter().zip(ranges) {
            let mut one = Packed::default();
            let [chosen, rejected] = one.push_pair(p, c, r);
            let alone = model.logps(&one);
            assert_eq!(together[of_chosen], alone[chosen]);
            assert_eq!(together[of_rejected], alone[rejected]);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int16] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let model = model(precision);
                let mut batch = Packed::default();
                for [p, c, r] in pairs() {
                    batch.push_pair(&p, &c, &r);
                }
                gradients(&model, &batch, usize::MAX)
            })
        };
        let one = run(1);
        for threads in [2, 5] {
            assert!(one == run(threads), "{threads} threads, {precision:?}");
        }
    }
}

#[test]
fn recomputed_activations_change_no_bit() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int16] {
        let model = model(precision);
        let [prompt, chosen, rejected] = pairs().remove(0);
        let mut batch = Packed::default();
        batch.push_pair(&prompt, &chosen, &rejected);
        let kept = gradients(&model, &batch, usize::MAX);
        // Nothing kept, and one layer of three kept.
        for budget in [0, 3 * batch.tokens.len() * 48 * 4 + batch.tokens.len() * 2000] {
            assert!(kept == gradients(&model, &batch, budget), "budget {budget}");
        }
    }
}

#[test]
fn a_small_update_moves_log_probs_as_in_f32() {
    let mut batch = Packed::default();
    for [p, c, r] in pairs() {
        batch.push_pair(&p, &c, &r);
    }
    let (_, grads) = gradients(&model(Precision::F32), &batch, usize::MAX);
    let moved = |precision: Precision| -> Vec<f32> {
        let mut model = model(precision);
        let before = model.logps(&batch);
        model.update(|params| params.iter_mut().zip(&grads).for_each(|(p, g)| *p += 1e-3 * g.signum()));
        model.logps(&batch).iter().zip(before).map(|(after, before)| after - before).collect()
    };
    let exact = moved(Precision::F32);
    let off = [Precision::Int16, Precision::Bf16].map(|precision| distance(&exact, &moved(precision)));
    assert!(off[0] < 0.01 && off[0] < off[1] / 3.0, "integers, bf16: {off:?}");
}

#[test]
fn gradients_follow_the_loss() {
    let mut model = model(Precision::F32);
    let [prompt, chosen, rejected] = pairs().remove(0);
    let mut batch = Packed::default();
    batch.push_pair(&prompt, &chosen, &rejected);
    let weights: Vec<f32> = batch.targets.iter().map(|t| (t.token % 7) as f32 * 0.1 - 0.25).collect();
    let (_, grads) = gradients(&model, &batch, usize::MAX);
    let params: Vec<_> = model.layout().params.clone();
    for param in params {
        // Along the gradient's own sign in this parameter alone.
        let direction: Vec<f32> = grads[param.range.clone()].iter().map(|g| g.signum()).collect();
        let slope: f64 = grads[param.range.clone()].iter().map(|g| g.abs() as f64).sum();
        // Wide enough that rounding of the log-probs, some 1e-6 in all, is little beside the smallest slope.
        let step = 6e-2 / (direction.len() as f64).sqrt() as f32;
        let mut loss_at = |signed: f32| -> f64 {
            let shift = |model: &mut Model, by: f32| {
                model.update(|p| {
                    for (v, d) in p[param.range.clone()].iter_mut().zip(&direction) {
                        *v += by * d;
                    }
                })
            };
            shift(&mut model, signed);
            let loss = model.logps(&batch).iter().zip(&weights).map(|(l, w)| *l as f64 * *w as f64).sum();
            shift(&mut model, -signed);
            loss
        };
        let measured = (loss_at(step) - loss_at(-step)) / (2.0 * step as f64);
        let error = (measured - slope).abs() / slope.max(0.05);
        assert!(error < 2e-2, "{}: slope {measured}, gradient says {slope}", param.name);
    }
}

#[test]
fn company_changes_no_sampled_token() {
    let model = model(Precision::F32);
    // The last four have one prompt, of more than a page, which the first has too.
    let prompt = |i: u64| if i == 0 || i > 6 { ids(40, 150) } else { ids(50 + i, 3 + 9 * i as usize) };
    let requests: Vec<Request> =
        (0..11).map(|i| Request { prompt: prompt(i), max_new: 20 + i as usize, seed: i }).collect();
    let sampling = Sampling { temperature: 0.8, top_p: 0.95, top_k: 0 };
    let run = |concurrency: usize, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut samples: Vec<Option<Sample>> = vec![None; requests.len()];
        pool.install(|| {
            generate(&model, &requests, &sampling, &[0, 5], concurrency, &mut |i, sample| {
                assert!(samples[i].replace(sample).is_none(), "drawn twice");
                ControlFlow::Continue(())
            })
        });
        samples.into_iter().map(|s| s.expect("every request ends")).collect::<Vec<_>>()
    };
    let alone = run(1, 1);
    for (sample, request) in alone.iter().zip(&requests) {
        assert!((1..=request.max_new).contains(&sample.ids.len()));
    }
    // Alone: each with a cache of its own.
    for (i, request) in requests.iter().enumerate() {
        generate(&model, std::slice::from_ref(request), &sampling, &[0, 5], 1, &mut |_, sample| {
            assert_eq!(sample, alone[i], "request {i}");
            ControlFlow::Continue(())
        });
    }
    for (concurrency, threads) in [(3, 1), (7, 2), (100, 3)] {
        assert_eq!(alone, run(concurrency, threads), "{concurrency} at once, {threads} threads");
    }
}

#[test]
fn decoding_of_a_given_answer_gives_its_log_probs() {
    let model = model(Precision::F32);
    let sequences: Vec<(Vec<u32>, Vec<u32>)> =
        [(90, 70), (5, 1), (64, 30)].map(|(prompt, answer)| (ids(prompt as u64, prompt), ids(7, answer))).to_vec();
    let slices: Vec<(&[u32], &[u32])> = sequences.iter().map(|(p, a)| (&p[..], &a[..])).collect();
    let mut batch = Packed::default();
    let ranges: Vec<_> = slices.iter().map(|(prompt, answer)| batch.push_sequence(prompt, answer)).collect();
    let packed = model.logps(&batch);
    let distance = |kv: KvFormat| {
        let decoded = decoded_logps(&model, &slices, kv);
        let of = |(range, decoded): (&std::ops::Range<usize>, &Vec<f32>)| {
            assert_eq!(range.len(), decoded.len());
            let pairs = packed[range.clone()].iter().zip(decoded);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        ranges.iter().zip(&decoded).map(of).fold(0.0, f32::max)
    };
    let [exact, bf16, int8] = KvFormat::ALL.map(distance);
    // Sums in another order; then 8 bits of every value; then 7 bits of the largest.
    assert!(exact < 2e-5, "{exact}");
    assert!(exact < bf16 && bf16 < int8 && int8 < 0.2, "{bf16} {int8}");
}

#[test]
fn generation_stops_when_asked() {
    let model = model(Precision::F32);
    let requests: Vec<Request> = (0..6).map(|i| Request { prompt: ids(i, 4), max_new: 3, seed: i }).collect();
    let mut seen = 0;
    generate(&model, &requests, &Sampling::GREEDY, &[], 2, &mut |_, _| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(seen, 3);
}

#[test]
fn hidden_states_of_a_branch_are_those_of_prompt_and_branch_alone() {
    let model = model(Precision::F32);
    let h = model.config().hidden_size;
    let (prompt, first, second) = (ids(1, 45), ids(2, 7), ids(3, 20));
    let mut batch = Packed::default();
    let parent = batch.push_prompt(&prompt);
    let branches = [batch.push_branch(parent, &first), batch.push_branch(parent, &second)];
    assert_eq!(batch.push_branch(parent, &[]).len(), 0);
    let mut packed = Vec::new();
    model.hidden_at(&batch, &[0, 2, 3], |at, x| packed.push((at, x.to_vec())));
    assert_eq!(packed.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1, 2]);
    for (branch, tokens) in branches.iter().zip([&first, &second]) {
        let mut alone = Packed::default();
        let parent = alone.push_prompt(&prompt);
        alone.push_branch(parent, tokens);
        model.hidden_at(&alone, &[0, 2, 3], |at, x| {
            assert_eq!(x[..45 * h], packed[at].1[..45 * h], "the prompt does not see its branches");
            assert_eq!(x[45 * h..], packed[at].1[branch.start * h..branch.end * h]);
        });
        // as one piece the sums over keys are taken in another order
        let mut whole = Packed::default();
        whole.push_prompt(&[&prompt[..], tokens].concat());
        model.hidden_at(&whole, &[0, 2, 3], |at, x| {
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
            assert!(x[45 * h..].iter().zip(&packed[at].1[branch.start * h..branch.end * h]).all(near));
        });
    }
    // nothing above the last layer is computed, and the last layer's states are what the logits come from
    let mut lower = Vec::new();
    model.hidden_at(&batch, &[2], |_, x| lower = x.to_vec());
    assert_eq!(lower, packed[1].1);
    model.hidden_at(&batch, &[], |_, _| panic!("no layer was asked for"));
}
