//! The trainer on a tiny random model. Most tests carry the name of what other trainers got wrong.

mod common;

use common::{config, examples, job, model, params, recipe};
use drift_lm::{Model, Packed, Precision, Tape};
use drift_train::config::TrainConfig;
use drift_train::examples::Order;
use drift_train::loss::{Objective, PairLogps, PairLoss, Sides};
use drift_train::metrics::{PairRecord, StepMetrics};
use drift_train::optim::{OptimizerKind, norm};
use drift_train::score::{Score, score};
use drift_train::theory::signals;
use drift_train::{Event, Example, Outcome, Report, train};
use std::ops::ControlFlow;
use std::path::Path;

struct Step {
    metrics: StepMetrics,
    pairs: Vec<PairRecord>,
    grads: Vec<f32>,
    params: Vec<f32>,
}

struct Run {
    report: Report,
    steps: Vec<Step>,
    model: Model,
}

/// Trains in `dir`, stopped after step `until` where one is given.
fn run_in(dir: &Path, config: &TrainConfig, pairs: Vec<Example>, until: Option<usize>) -> Run {
    let (mut model, mut steps) = (model(), Vec::new());
    let report = train(&mut model, pairs, &job(config, dir), &mut |event| {
        if let Event::Step(done) = event {
            steps.push(Step {
                metrics: done.metrics.clone(),
                pairs: done.pairs.to_vec(),
                grads: done.grads.to_vec(),
                params: done.model.params().to_vec(),
            });
            if Some(done.metrics.step) == until {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    Run { report: report.unwrap(), steps, model }
}

fn run(config: &TrainConfig, pairs: Vec<Example>) -> Run {
    run_in(tempfile::tempdir().unwrap().path(), config, pairs, None)
}

fn failure(dir: &Path, config: &TrainConfig, pairs: Vec<Example>) -> String {
    let line =
        train(&mut model(), pairs, &job(config, dir), &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(!line.contains('\n') && line.contains("; hint: "), "{line}");
    line
}

fn scores(model: &Model, pairs: &[Example], micro_tokens: usize) -> Vec<Score> {
    let mut all = Vec::new();
    _ = score(model, pairs, micro_tokens, &mut |i, s| {
        assert_eq!(i, all.len());
        all.push(s);
        ControlFlow::Continue(())
    });
    all
}

fn reference_file(dir: &Path) -> String {
    let mut found = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    let path = found.find(|p| p.file_name().unwrap().to_str().unwrap().starts_with("reference-")).unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_first_pair_term_is_ln_2_and_nobody_has_won_yet() {
    let first = &run(&recipe(), examples(8)).steps[0];
    for pair in &first.pairs {
        assert!((pair.loss - std::f64::consts::LN_2).abs() < 1e-5, "{}", pair.loss);
    }
    let m = &first.metrics;
    assert!((m.loss - std::f64::consts::LN_2 - 0.001 * m.nll.unwrap()).abs() < 1e-5);
    // The training pass and the reference pass give the same bits, so no reward is above another.
    assert_eq!(
        (m.rewards_accuracies, m.rewards_margins, m.sigma, m.sigma_share_tau),
        (Some(0.0), Some(0.0), Some(0.5), Some(1.0))
    );
}

/// Of two pairs in a step, weights 2 and 0 leave the mean of the first alone: the same loss, the same bits of gradients.
#[test]
fn a_pair_counts_as_often_as_its_weight_says() {
    let objective = Objective { rpo_alpha: 0.0, ..recipe().objective };
    let config = |batch_size| TrainConfig {
        objective,
        batch_size,
        epochs: 1,
        order: Order::Sequential,
        micro_tokens: 1,
        ..recipe()
    };
    let mut pairs = examples(2);
    let alone = run(&config(1), vec![pairs[0].clone()]);
    (pairs[0].weight, pairs[1].weight) = (2.0, 0.0);
    let weighed = run(&config(2), pairs);
    let (alone, weighed) = (&alone.steps[0], &weighed.steps[0]);
    assert!(alone.metrics.loss > 0.0 && norm(&alone.grads) > 0.0);
    assert_eq!((weighed.metrics.loss, &weighed.grads), (alone.metrics.loss, &alone.grads));
}

#[test]
fn the_first_pair_term_is_ln_2_in_16_bits_too() {
    for (precision, name) in [(Precision::Bf16, "-bf16-spread.jsonl"), (Precision::Int16, "-int16.jsonl")] {
        let (dir, config) = (tempfile::tempdir().unwrap(), recipe());
        let mut model = Model::new(common::config(), params(1), precision);
        let mut margins = Vec::new();
        let mut observe = |event: Event| {
            if let Event::Step(done) = event {
                margins.push(done.metrics.rewards_margins.unwrap());
                assert!(margins.len() > 1 || done.pairs.iter().all(|p| (p.loss - std::f64::consts::LN_2).abs() < 1e-5));
            }
            ControlFlow::Continue(())
        };
        let report = train(&mut model, examples(9), &job(&config, dir.path()), &mut observe).unwrap();
        assert!(report.reference.to_str().unwrap().ends_with(name));
        assert!(margins[0] == 0.0 && margins[5] > 0.01, "{margins:?}");
    }
}

#[test]
fn the_policy_is_not_its_own_reference() {
    let last = run(&recipe(), examples(9)).steps.pop().unwrap().metrics;
    assert!(last.rewards_margins > Some(0.01), "{last:?}");
    assert!(last.loss < std::f64::consts::LN_2 && last.sigma < Some(0.5), "{last:?}");
}

#[test]
fn reference_is_computed_once_and_the_file_names_its_weights() {
    let dir = tempfile::tempdir().unwrap();
    let first = run_in(dir.path(), &recipe(), examples(9), Some(4)).report;
    assert_eq!((first.reference_computed, first.reference_cached), (9, 0));
    let file = reference_file(dir.path());
    assert!(
        file.contains("tiny random weights, seed 1") && file.contains(&drift_lm::load::hash(&config(), &params(1)))
    );
    // Going on happens with trained weights in memory; the reference stays that of the start.
    let second = run_in(dir.path(), &recipe(), examples(9), None).report;
    assert_eq!((second.reference_computed, second.reference_cached), (0, 9));
    assert_eq!(reference_file(dir.path()), file);
}

#[test]
fn a_reference_file_cut_in_two_is_completed_to_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    let path = run_in(whole.path(), &recipe(), examples(9), None).report.reference;
    let bytes = std::fs::read(&path).unwrap();
    for cut in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(path.file_name().unwrap()), &bytes[..cut]).unwrap();
        let again = run_in(dir.path(), &recipe(), examples(9), Some(1)).report;
        assert_eq!(std::fs::read(again.reference).unwrap(), bytes, "cut at byte {cut}");
    }
}

#[test]
fn a_reference_file_with_a_foreign_line_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = run_in(dir.path(), &recipe(), examples(3), Some(1)).report.reference;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("{\"example\"", "{\"exam\"", 1)).unwrap();
    assert!(failure(dir.path(), &recipe(), examples(3)).contains(".jsonl:2: "));
}

#[test]
fn stopping_during_the_reference_pass_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = recipe();
    let mut calls = 0;
    let report = train(&mut model(), examples(9), &job(&config, dir.path()), &mut |event| match event {
        Event::Reference { done, total } => {
            assert!(done > calls && total == 9);
            calls = done;
            if done >= 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        _ => ControlFlow::Continue(()),
    })
    .unwrap();
    assert_eq!((report.outcome, report.steps), (Outcome::Stopped, 0));
    let again = run_in(dir.path(), &config, examples(9), None).report;
    assert!(again.reference_cached >= 4 && again.reference_cached + again.reference_computed == 9, "{again:?}");
}

#[test]
fn a_packed_pair_equals_two_sequences() {
    let model = model();
    for e in examples(6) {
        let (mut row, mut alone) = (Packed::default(), Packed::default());
        let [chosen, rejected] = row.push_pair(&e.prompt, &e.chosen, &e.rejected);
        let (c, r) = (alone.push_sequence(&e.prompt, &e.chosen), alone.push_sequence(&e.prompt, &e.rejected));
        let weights: Vec<f32> = (0..row.targets.len()).map(|i| 0.1 * (i as f32 - 3.0)).collect();
        assert_eq!((chosen, rejected), (c, r));
        let pass = |batch: &Packed| {
            let (mut tape, mut grads) = (Tape::new(&model, 0), vec![0.0; model.params().len()]);
            let logps = tape.forward(&model, batch).to_vec();
            tape.backward(&model, batch, &weights, &mut grads);
            (logps, grads)
        };
        let (a, b) = (pass(&row), pass(&alone));
        assert!(a.0.iter().zip(&b.0).all(|(x, y)| (x - y).abs() < 1e-5));
        let difference: Vec<f32> = a.1.iter().zip(&b.1).map(|(x, y)| x - y).collect();
        assert!(norm(&difference) < 1e-5 * norm(&a.1), "{} of {}", norm(&difference), norm(&a.1));
    }
}

/// The step's loss of `policy` against `reference`, from scores alone.
fn loss_of(objective: &Objective, policy: &Model, reference: &[Score], pairs: &[Example]) -> f64 {
    let now = scores(policy, pairs, 0);
    let terms = now.iter().zip(reference).map(|(p, r)| {
        let logps = PairLogps {
            policy_chosen: p.chosen_logp,
            policy_rejected: p.rejected_logp,
            ref_chosen: r.chosen_logp,
            ref_rejected: r.rejected_logp,
            n_chosen: p.n_chosen,
            n_rejected: p.n_rejected,
        };
        objective.loss.term(objective.beta, &logps).loss
    });
    let chosen_tokens = now.iter().map(|s| s.n_chosen).sum::<usize>();
    let nll = -now.iter().map(|s| s.chosen_logp).sum::<f64>() / chosen_tokens as f64;
    objective.step_loss(terms.sum::<f64>() / pairs.len() as f64, Some(nll))
}

#[test]
fn the_gradient_of_a_step_is_the_slope_of_its_loss() {
    let start = params(1);
    for loss in [
        PairLoss::Sigmoid,
        PairLoss::Ipo,
        PairLoss::Hinge,
        PairLoss::Cdpo { label_smoothing: 0.2 },
        PairLoss::Kto { desirable_weight: 1.5, undesirable_weight: 0.5 },
        PairLoss::Sft,
    ] {
        let pairs = having(loss.sides(), examples(5));
        let reference = scores(&model(), &pairs, 0);
        let objective = Objective { loss, beta: 0.3, rpo_alpha: 0.5 };
        let config = TrainConfig {
            objective,
            max_grad_norm: f64::INFINITY,
            batch_size: 5,
            order: Order::Sequential,
            ..recipe()
        };
        let step = &run_in(tempfile::tempdir().unwrap().path(), &config, pairs.clone(), Some(1)).steps[0];
        let size = norm(&step.grads);
        assert!((step.metrics.grad_norm - size).abs() < 1e-9 * size);
        let h = 2e-3;
        let at = |h: f64| {
            let moved = start.iter().zip(&step.grads).map(|(p, g)| p + (h * f64::from(*g) / size) as f32).collect();
            loss_of(&objective, &Model::new(common::config(), moved, Precision::F32), &reference, &pairs)
        };
        assert!((step.metrics.loss - at(0.0)).abs() < 1e-6 * at(0.0));
        let slope = (at(h) - at(-h)) / (2.0 * h);
        assert!((slope - size).abs() < 5e-3 * size, "{loss:?}: slope {slope}, norm {size}");
    }
}

/// With the answers that a loss takes.
fn having(sides: Sides, mut pairs: Vec<Example>) -> Vec<Example> {
    for (i, pair) in pairs.iter_mut().enumerate() {
        match sides {
            Sides::Both => {}
            Sides::One if i.is_multiple_of(2) => pair.chosen.clear(),
            Sides::Chosen | Sides::One => pair.rejected.clear(),
        }
    }
    pairs
}

fn single_answers(loss: PairLoss) -> TrainConfig {
    let rpo_alpha = if loss == PairLoss::Sft { 1.0 } else { 0.0 };
    TrainConfig { objective: Objective { loss, beta: 0.1, rpo_alpha }, ..recipe() }
}

const KTO: PairLoss = PairLoss::Kto { desirable_weight: 1.0, undesirable_weight: 1.0 };

#[test]
fn kto_measures_from_the_mismatched_answers_of_the_step() {
    let config = TrainConfig { batch_size: 7, epochs: 3, order: Order::Sequential, ..single_answers(KTO) };
    let answers = having(Sides::One, examples(7));
    let steps = run(&config, answers.clone()).steps;
    assert_eq!(steps[0].metrics.kl, Some(0.0), "the policy is the reference");
    let mismatched: Vec<Example> = (0..7)
        .map(|i| {
            let Example { chosen, rejected, .. } = answers[(i + 6) % 7].clone();
            Example { chosen: [chosen, rejected].concat(), rejected: Vec::new(), ..answers[i].clone() }
        })
        .collect();
    let policy = Model::new(common::config(), steps[1].params.clone(), Precision::F32);
    let now: Vec<f64> = scores(&policy, &mismatched, 40).iter().map(|s| s.chosen_logp).collect();
    let then: Vec<f64> = scores(&model(), &mismatched, 40).iter().map(|s| s.chosen_logp).collect();
    let mean = now.iter().zip(&then).map(|(now, then)| now - then).sum::<f64>() / 7.0;
    let kl = steps[2].metrics.kl.unwrap();
    assert!((kl - mean.max(0.0)).abs() < 1e-4, "{kl} and {mean}");
    let metrics = &steps[2].metrics;
    assert!(metrics.rewards_chosen > metrics.rewards_rejected, "{metrics:?}");
    assert!(metrics.sigma.is_none() && metrics.sigmas.is_empty() && metrics.rewards_accuracies.is_none());
    assert!(metrics.loss < steps[0].metrics.loss);
}

#[test]
fn single_answers_resume_to_the_same_bytes() {
    for loss in [KTO, PairLoss::Sft] {
        let (config, answers) = (single_answers(loss), having(loss.sides(), examples(10)));
        let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let expected = run_in(whole.path(), &config, answers.clone(), None);
        run_in(cut.path(), &config, answers.clone(), Some(3));
        let found = run_in(cut.path(), &config, answers, None);
        assert_eq!(found.report.resumed_at, 3);
        assert!(found.model.into_params() == expected.model.into_params());
        let metrics = |dir: &Path| std::fs::read(dir.join("metrics.jsonl")).unwrap();
        assert!(metrics(whole.path()) == metrics(cut.path()));
    }
}

#[test]
fn fine_tuning_has_no_reference_and_its_loss_is_the_nll() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_in(dir.path(), &single_answers(PairLoss::Sft), having(Sides::Chosen, examples(9)), None);
    let (first, last) = (&run.steps[0].metrics, &run.steps[run.steps.len() - 1].metrics);
    assert_eq!(first.nll, Some(first.loss));
    assert!(last.nll < first.nll && first.rewards_chosen.is_none() && first.logps_rejected.is_none());
    assert!(
        std::fs::read_dir(dir.path()).unwrap().all(|f| !f.unwrap().file_name().to_str().unwrap().starts_with("ref"))
    );
}

#[test]
fn answers_that_the_loss_does_not_take_are_counted_and_bad_settings_named() {
    let dir = tempfile::tempdir().unwrap();
    let line = failure(dir.path(), &single_answers(KTO), examples(3));
    assert!(line.contains("3 with other answers than the loss takes"), "{line}");
    let alone = TrainConfig { batch_size: 1, ..single_answers(KTO) };
    let nothing =
        TrainConfig { objective: Objective { rpo_alpha: 0.0, ..single_answers(PairLoss::Sft).objective }, ..recipe() };
    let weight = single_answers(PairLoss::Kto { desirable_weight: -1.0, undesirable_weight: 1.0 });
    for (config, key) in [(alone, "batch_size"), (nothing, "rpo_alpha"), (weight, "desirable_weight")] {
        let line = config.check().unwrap_err().to_string();
        assert!(line.contains(key) && line.contains("expected"), "{line}");
    }
}

#[test]
fn micro_batches_do_not_change_the_step() {
    let step = |micro_tokens, batch_size| {
        let config = TrainConfig { micro_tokens, batch_size, order: Order::Sequential, ..recipe() };
        run_in(tempfile::tempdir().unwrap().path(), &config, examples(8), Some(1)).steps.pop().unwrap()
    };
    let (one, all) = (step(0, 8), step(10_000, 8));
    assert!((one.metrics.loss - all.metrics.loss).abs() < 1e-6);
    let difference: Vec<f32> = one.grads.iter().zip(&all.grads).map(|(x, y)| x - y).collect();
    assert!(norm(&difference) < 1e-5 * norm(&one.grads));
}

#[test]
fn threads_change_no_bit() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&recipe(), examples(9)).model.into_params())
    };
    let one = on(1);
    assert!(one == on(2) && one == on(5));
}

#[test]
fn logged_log_probs_can_be_had_again_by_scoring() {
    let config = TrainConfig { order: Order::Sequential, batch_size: 3, epochs: 1, ..recipe() };
    let pairs = examples(9);
    let steps = run(&config, pairs.clone()).steps;
    let before_step_3 = Model::new(common::config(), steps[1].params.clone(), Precision::F32);
    for (record, score) in steps[2].pairs.iter().zip(scores(&before_step_3, &pairs[6..], config.micro_tokens)) {
        assert_eq!(
            (record.policy_chosen_logps, record.policy_rejected_logps),
            (score.chosen_logp, score.rejected_logp)
        );
    }
}

#[test]
fn scoring_together_equals_scoring_one_by_one() {
    let pairs = examples(9);
    for (a, b) in scores(&model(), &pairs, 0).iter().zip(scores(&model(), &pairs, 1000)) {
        assert!((a.chosen_logp - b.chosen_logp).abs() < 1e-4 && (a.rejected_logp - b.rejected_logp).abs() < 1e-4);
        assert_eq!((a.n_prompt, a.n_chosen, a.n_rejected), (b.n_prompt, b.n_chosen, b.n_rejected));
    }
}

#[test]
fn going_on_equals_not_having_stopped() {
    for optimizer in [OptimizerKind::RMSPROP, OptimizerKind::ADAMW] {
        let config = TrainConfig { optimizer, ..recipe() };
        let whole = tempfile::tempdir().unwrap();
        let uninterrupted = run_in(whole.path(), &config, examples(10), None);
        assert_eq!((uninterrupted.report.outcome, uninterrupted.report.steps), (Outcome::Done, 8));
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        for stop in [1, 2, 5] {
            let part = run_in(dir.path(), &config, examples(10), Some(stop));
            assert_eq!(part.report.outcome, Outcome::Stopped);
            seen.extend(part.steps.iter().map(|s| s.metrics.step));
        }
        let last = run_in(dir.path(), &config, examples(10), None);
        seen.extend(last.steps.iter().map(|s| s.metrics.step));
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((last.report.outcome, last.report.resumed_at), (Outcome::Done, 5));
        assert!(last.model.params() == uninterrupted.model.params());
        for file in ["metrics.jsonl", "train.state"] {
            let read = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
            assert!(read(dir.path()) == read(whole.path()), "{file}");
        }
        // Once more after the end: nothing is trained, the weights are there for the checkpoint.
        let after = run_in(dir.path(), &config, examples(10), None);
        assert!(after.steps.is_empty() && after.model.params() == uninterrupted.model.params());
        drift_train::state::remove(dir.path()).unwrap();
        drift_train::state::remove(dir.path()).unwrap();
        assert!(!dir.path().join("train.state").exists());
    }
}

#[test]
fn a_changed_data_set_is_an_error_and_not_skipped_rows() {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &recipe(), examples(10), Some(2));
    assert!(failure(dir.path(), &recipe(), examples(9)).contains("data set changed: was 10 pairs"));
    let mut changed = examples(10);
    changed[4].chosen[0] = 5;
    assert!(failure(dir.path(), &recipe(), changed).contains("data set changed"));
    // Nothing of it harmed the state.
    assert_eq!(run_in(dir.path(), &recipe(), examples(10), None).report.resumed_at, 2);
}

#[test]
fn a_changed_setting_is_named() {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &recipe(), examples(10), Some(2));
    let mut config = recipe();
    config.objective.beta = 0.2;
    let line = failure(dir.path(), &config, examples(10));
    assert!(line.contains("objective.beta = 0.1, expected 0.2"), "{line}");
}

#[test]
fn other_starting_weights_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &recipe(), examples(10), Some(2));
    let mut other = Model::new(config(), params(2), Precision::F32);
    let line = train(&mut other, examples(10), &job(&recipe(), dir.path()), &mut |_| ControlFlow::Continue(()));
    assert!(line.unwrap_err().to_string().contains("training started from weights"));
}

#[test]
fn a_damaged_state_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &recipe(), examples(10), Some(2));
    let path = dir.path().join("train.state");
    let good = std::fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let lying = [&good[..8], &u64::MAX.to_le_bytes(), &good[16..]].concat();
    let bad = [
        Vec::new(),
        good[..20].to_vec(),
        good[..good.len() - 1].to_vec(),
        flipped(0),
        flipped(good.len() / 2),
        flipped(good.len() - 1),
        lying,
    ];
    for bytes in bad {
        std::fs::write(&path, bytes).unwrap();
        assert!(failure(dir.path(), &recipe(), examples(10)).contains("train.state: "));
    }
    std::fs::write(&path, good).unwrap();
    assert_eq!(run_in(dir.path(), &recipe(), examples(10), None).report.resumed_at, 2);
}

#[test]
fn lines_after_the_state_are_cut_and_lost_lines_are_an_error() {
    let whole = tempfile::tempdir().unwrap();
    run_in(whole.path(), &recipe(), examples(10), None);
    let expected = std::fs::read(whole.path().join("metrics.jsonl")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), &recipe(), examples(10), Some(3));
    let path = dir.path().join("metrics.jsonl");
    // As a run that was killed in the middle of line 5 leaves it.
    std::fs::write(&path, &expected[..expected.len() / 2 + 7]).unwrap();
    run_in(dir.path(), &recipe(), examples(10), None);
    assert!(std::fs::read(&path).unwrap() == expected);
    std::fs::write(&path, b"").unwrap();
    assert!(failure(dir.path(), &recipe(), examples(10)).contains("0 steps, expected the 8 of train.state"));
}

#[test]
fn chosen_and_rejected_are_reported_apart_under_trls_names() {
    let dir = tempfile::tempdir().unwrap();
    let steps = run_in(dir.path(), &recipe(), examples(8), None).steps;
    let text = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    for key in [
        "loss",
        "rewards/chosen",
        "rewards/rejected",
        "rewards/margins",
        "rewards/accuracies",
        "logps/chosen",
        "logps/rejected",
        "grad_norm",
        "learning_rate",
        "epoch",
        "step",
        "num_tokens",
        "sigma",
        "sigma_share_tau",
        "nll",
    ] {
        assert!(lines.iter().all(|line| line[key].is_number()), "{key}");
    }
    // 8 pairs in batches of 3: steps of 3, 3 and 2 pairs, the prompt counted with both answers.
    assert_eq!(steps.iter().map(|s| s.pairs.len()).collect::<Vec<_>>(), [3, 3, 2, 3, 3, 2]);
    assert_eq!(lines[5]["epoch"], 2.0);
    let per_epoch: usize = examples(8).iter().map(|e| e.prompt.len() + e.row_tokens()).sum();
    assert_eq!(lines[5]["num_tokens"], 2 * per_epoch);
    let first = &steps[0];
    let mean = first.pairs.iter().map(|p| p.policy_rejected_logps).sum::<f64>() / 3.0;
    assert_eq!(lines[0]["logps/rejected"].as_f64(), Some(mean));
}

#[test]
fn every_example_is_seen_once_an_epoch() {
    let steps = run(&recipe(), examples(8)).steps;
    for epoch in steps.chunks(3) {
        let mut ids: Vec<&str> = epoch.iter().flat_map(|s| &s.pairs).map(|p| p.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7"]);
    }
    let ids = |s: &[Step]| s.iter().flat_map(|s| &s.pairs).map(|p| p.id.clone()).collect::<Vec<_>>();
    assert_ne!(ids(&steps[..3]), ids(&steps[3..]));
}

#[test]
fn unusable_examples_are_named_or_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut pairs = examples(3);
    pairs[1].rejected[0] = common::VOCAB;
    let line = failure(dir.path(), &recipe(), pairs);
    assert!(line.starts_with("example \"e1\", rejected, token 0: id 64, expected below"), "{line}");
    let mut config = recipe();
    config.lengths.max_length = 1000;
    config.lengths.max_prompt_length = 1000;
    let mut pairs = examples(3);
    pairs[2].prompt = vec![5; 200];
    assert!(failure(dir.path(), &config, pairs.clone()).contains("context of 128"));
    for pair in &mut pairs {
        pair.chosen.clear();
    }
    assert!(
        failure(dir.path(), &config, pairs)
            .contains("no pair is left of 3, expected at least 1 (dropped: 0 empty prompt, 3 empty chosen")
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap().path().join("none");
    let line = train(&mut model(), examples(3), &job(&recipe(), &dir), &mut |_| ControlFlow::Continue(()));
    let line = line.unwrap_err().to_string();
    assert!(line.starts_with(dir.to_str().unwrap()) && line.contains("cannot open") && !line.contains('\n'), "{line}");
}

#[test]
fn a_step_that_is_not_finite_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut weights = params(1);
    weights[40] = f32::NAN;
    let mut model = Model::new(config(), weights, Precision::F32);
    let line = train(&mut model, examples(3), &job(&recipe(), dir.path()), &mut |_| ControlFlow::Continue(()));
    assert!(line.unwrap_err().to_string().contains("expected finite numbers"));
    // A rate that blows the weights up: an error, and the metrics hold finite numbers alone.
    let mut config = recipe();
    config.schedule.learning_rate = 1e30;
    let line = failure(dir.path(), &config, examples(9));
    assert!(line.starts_with("step "), "{line}");
}

/// With the sigmoid loss, no NLL and one pair a step, the step's gradient is -beta sigma(-s) d.
#[test]
fn a_pairs_signal_is_its_gradient_taken_apart() {
    let pairs = examples(6);
    let mut one_by_one = recipe();
    one_by_one.objective = Objective { loss: PairLoss::Sigmoid, beta: 0.3, rpo_alpha: 0.0 };
    one_by_one.batch_size = 1;
    one_by_one.max_grad_norm = f64::INFINITY;
    let first = run(&one_by_one, pairs.clone());
    let (start, reference) = (model(), scores(&model(), &pairs, 64));
    let go_on = &mut || ControlFlow::Continue(());

    let before = signals(&start, &pairs, &[], 0.3, usize::MAX, go_on).unwrap();
    assert!(before.pairs.iter().all(|pair| pair.margin == 0.0 && pair.sigma == 0.5));
    let step = &first.steps[0];
    let of_step = before.pairs.iter().find(|pair| pair.id == step.pairs[0].id).unwrap();
    assert!((of_step.gradient / step.metrics.grad_norm - 1.0).abs() < 1e-5, "{of_step:?}, {}", step.metrics.grad_norm);

    // The reference is where training began; the gradient of a whole batch is the mean of its pairs'.
    let after = signals(&first.model, &pairs, &reference, 0.3, 0, go_on).unwrap();
    let batch = TrainConfig { batch_size: 6, ..one_by_one };
    let whole = run(&batch, pairs.clone());
    assert!((before.mean_gradient / whole.steps[0].metrics.grad_norm - 1.0).abs() < 1e-4);
    let moved = scores(&first.model, &pairs, 64);
    for ((pair, now), base) in after.pairs.iter().zip(moved).zip(reference) {
        let margin = 0.3 * ((now.chosen_logp - base.chosen_logp) - (now.rejected_logp - base.rejected_logp));
        assert!((pair.margin - margin).abs() < 1e-5 && margin != 0.0, "{pair:?}, {margin}");
    }
    // Lemma 1 holds of the sample itself, whatever tau.
    let mean = after.pairs.iter().map(|pair| pair.gradient).sum::<f64>() / 6.0;
    for tau in [0.1, 0.3, 0.45, 0.5] {
        let bound = after.lemma(0.3, tau).bound;
        assert!(bound <= mean * (1.0 + 1e-9), "{tau}: {bound}, {mean}");
    }
    assert!(
        after.mean_gradient <= mean && signals(&start, &pairs, &[], 0.3, 0, &mut || ControlFlow::Break(())).is_none()
    );
}
