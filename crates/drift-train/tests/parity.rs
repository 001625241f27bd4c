//! Losses against TRL's own code, optimisers against PyTorch's: `fixtures/make_*.py` wrote the numbers.

use drift_train::kto;
use drift_train::loss::{Objective, PairLogps, PairLoss};
use drift_train::optim::{Optimizer, OptimizerKind, clip_grad_norm};
use serde::Deserialize;

#[derive(Deserialize)]
struct Losses {
    cases: Vec<LossCase>,
}

#[derive(Deserialize)]
struct LossCase {
    loss_type: PairLoss,
    beta: f64,
    rpo_alpha: f64,
    chosen_token_logps: Vec<Vec<f64>>,
    rejected_token_logps: Vec<Vec<f64>>,
    ref_chosen: Vec<f64>,
    ref_rejected: Vec<f64>,
    loss: f64,
    d_chosen: Vec<f64>,
    d_rejected: Vec<f64>,
    metrics: std::collections::HashMap<String, f64>,
}

fn close(got: f64, want: f64, what: &str) {
    assert!((got - want).abs() <= 1e-9 * (1.0 + want.abs()), "{what}: got {got}, expected {want}");
}

#[test]
fn losses_gradients_and_rewards_are_trls() {
    let losses: Losses = serde_json::from_str(include_str!("fixtures/loss_trl.json")).unwrap();
    assert_eq!(losses.cases.len(), 18);
    for case in losses.cases {
        let objective = Objective { loss: case.loss_type, beta: case.beta, rpo_alpha: case.rpo_alpha };
        let pairs: Vec<PairLogps> = (0..case.ref_chosen.len())
            .map(|i| PairLogps {
                policy_chosen: case.chosen_token_logps[i].iter().sum(),
                policy_rejected: case.rejected_token_logps[i].iter().sum(),
                ref_chosen: case.ref_chosen[i],
                ref_rejected: case.ref_rejected[i],
                n_chosen: case.chosen_token_logps[i].len(),
                n_rejected: case.rejected_token_logps[i].len(),
            })
            .collect();
        let (n, tokens) = (pairs.len(), pairs.iter().map(|p| p.n_chosen).sum());
        let terms: Vec<_> = pairs.iter().map(|p| objective.loss.term(objective.beta, p)).collect();
        let mean = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        let nll = -pairs.iter().map(|p| p.policy_chosen).sum::<f64>() / tokens as f64;
        let what = format!("{:?}, beta {}", case.loss_type, case.beta);
        close(objective.step_loss(mean(&|i| terms[i].loss), Some(nll)), case.loss, &what);
        for (i, term) in terms.iter().enumerate() {
            let [chosen, rejected] = objective.token_gradients(term, n, tokens);
            close(chosen, case.d_chosen[i], &what);
            close(rejected, case.d_rejected[i], &what);
        }
        let reward = |i: usize| pairs[i].rewards(case.beta);
        close(mean(&|i| reward(i)[0]), case.metrics["rewards/chosen"], &what);
        close(mean(&|i| reward(i)[1]), case.metrics["rewards/rejected"], &what);
        close(mean(&|i| pairs[i].margin(case.beta)), case.metrics["rewards/margins"], &what);
    }
}

#[derive(Deserialize)]
struct Kto {
    cases: Vec<KtoCase>,
}

#[derive(Deserialize)]
struct KtoCase {
    beta: f64,
    desirable_weight: f64,
    undesirable_weight: f64,
    labels: Vec<bool>,
    token_logps: Vec<Vec<f64>>,
    r#ref: Vec<f64>,
    mismatched: Vec<f64>,
    ref_mismatched: Vec<f64>,
    loss: f64,
    gradients: Vec<f64>,
    metrics: std::collections::HashMap<String, f64>,
}

#[test]
fn ktos_loss_gradients_and_kl_are_trls() {
    let kto: Kto = serde_json::from_str(include_str!("fixtures/kto_trl.json")).unwrap();
    assert_eq!(kto.cases.len(), 16);
    for case in kto.cases {
        let KtoCase { beta, desirable_weight, undesirable_weight, .. } = case;
        let what = format!("{:?}, beta {beta}", case.labels);
        let shifts: Vec<f64> = case.mismatched.iter().zip(&case.ref_mismatched).map(|(now, then)| now - then).collect();
        let kl = kto::estimate(&shifts);
        close(kl, case.metrics["kl"], &what);
        let answers: Vec<PairLogps> = (0..case.labels.len())
            .map(|i| {
                let (logp, n) = (case.token_logps[i].iter().sum(), case.token_logps[i].len());
                let nothing = PairLogps {
                    policy_chosen: 0.0,
                    policy_rejected: 0.0,
                    ref_chosen: 0.0,
                    ref_rejected: 0.0,
                    n_chosen: 0,
                    n_rejected: 0,
                };
                match case.labels[i] {
                    true => PairLogps { policy_chosen: logp, ref_chosen: case.r#ref[i], n_chosen: n, ..nothing },
                    false => PairLogps { policy_rejected: logp, ref_rejected: case.r#ref[i], n_rejected: n, ..nothing },
                }
            })
            .collect();
        let loss = PairLoss::Kto { desirable_weight, undesirable_weight };
        let objective = Objective { loss, beta, rpo_alpha: 0.0 };
        let terms: Vec<_> = answers.iter().map(|p| loss.term(beta, &p.above(kl))).collect();
        let n = terms.len();
        close(terms.iter().map(|term| term.loss).sum::<f64>() / n as f64, case.loss, &what);
        let chosen_tokens = answers.iter().map(|p| p.n_chosen).sum::<usize>().max(1);
        for (i, term) in terms.iter().enumerate() {
            let side = usize::from(!case.labels[i]);
            close(objective.token_gradients(term, n, chosen_tokens)[side], case.gradients[i], &what);
        }
        for (side, good) in [("rewards/chosen", true), ("rewards/rejected", false)] {
            let of: Vec<usize> = (0..n).filter(|&i| case.labels[i] == good).collect();
            let reward = |i: usize| answers[i].rewards(beta)[usize::from(!good)];
            if let Some(want) = case.metrics.get(side) {
                close(of.iter().map(|&i| reward(i)).sum::<f64>() / of.len() as f64, *want, &what);
            }
        }
    }
}

#[derive(Deserialize)]
struct Optimizers {
    max_norm: f64,
    start: Vec<f32>,
    grads: Vec<Vec<f32>>,
    rates: Vec<f64>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    optimizer: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    grad_norm: f64,
    params: Vec<f32>,
}

#[test]
fn optimisers_and_clipping_are_pytorchs() {
    let reference: Optimizers = serde_json::from_str(include_str!("fixtures/optim_torch.json")).unwrap();
    assert_eq!(reference.runs.len(), 2);
    for run in &reference.runs {
        let kind = match run.optimizer.as_str() {
            "rms_prop" => OptimizerKind::RMSPROP,
            "adam_w" => OptimizerKind::ADAMW,
            other => panic!("{other}"),
        };
        let mut params = reference.start.clone();
        let mut optimizer = Optimizer::new(kind, params.len());
        for ((step, grads), &rate) in run.steps.iter().zip(&reference.grads).zip(&reference.rates) {
            let mut grads = grads.clone();
            let norm = clip_grad_norm(&mut grads, reference.max_norm);
            assert!((norm - step.grad_norm).abs() < 1e-6 * norm);
            optimizer.step(&mut params, &grads, rate);
            for (got, want) in params.iter().zip(&step.params) {
                // A unit in the last place a step: PyTorch's vector code may fuse multiply and add.
                assert!((got - want).abs() <= 1e-6 * want.abs().max(0.01), "{}: {got} and {want}", run.optimizer);
            }
        }
    }
}
