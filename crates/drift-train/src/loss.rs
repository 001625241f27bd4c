//! The DPO family as pure functions of four sums of log-probs, each with its gradient.
//!
//! With r(y) = log pi(y|x) - log ref(y|x), sums over the tokens of an answer, and
//! s = beta (r(y+) - r(y-)), the losses of one pair are
//!
//! | loss | l(s) | source |
//! |---|---|---|
//! | sigmoid | -log sigma(s) | Rafailov et al. 2023 (arXiv 2305.18290), eq. 7 |
//! | cdpo | -(1-e) log sigma(s) - e log sigma(-s) | Mitchell 2023, "A note on DPO with noisy preferences", eq. 3 |
//! | robust | (-(1-e) log sigma(s) + e log sigma(-s)) / (1-2e) | Chowdhury et al. 2024 (arXiv 2403.00409), eq. 13 |
//! | hinge | max(0, 1 - s) | Zhao et al. 2023, SLiC-HF (arXiv 2305.10425), on DPO's s |
//! | ipo | (r(y+)/n+ - r(y-)/n- - 1/(2 beta))^2 | Azar et al. 2023 (arXiv 2310.12036), eq. 17, a mean over tokens as TRL does |
//! | sigmoid_norm | -log sigma(beta (r(y+)/n+ - r(y-)/n-)) | Lambert et al. 2024, Tulu 3 (arXiv 2411.15124), eq. 6 |
//! | kto | w sigma(-s), w by side, the reference raised by the step's KL | Ethayarajh et al. 2024 (arXiv 2402.01306), eq. 7 |
//! | sft | 0 | |
//!
//! An answer alone is a pair that lacks the other side: its s is beta r(y+), or -beta r(y-). KTO is for those, and so
//! is supervised fine-tuning (sft), which is the second term below and nothing else.
//!
//! The loss of a step is the mean of w l over its pairs, w the weight of a pair (1 unless said otherwise), plus
//! `rpo_alpha` times the mean of -log pi over all chosen tokens of the step (RPO, arXiv 2404.19733, eq. 1, normalised
//! as TRL does since 0.10.1). A pair's own coefficient needs nothing of the other pairs, and the token count of the
//! second term is known beforehand: so pairs go forward and backward one after another.
//! Everything here is f64.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairLoss {
    Sigmoid,
    /// Length-normalised DPO: beta is for means over tokens, 2 to 10.
    SigmoidNorm,
    Ipo,
    Hinge,
    /// `label_smoothing` is the assumed share of swapped pairs, 0 to 0.5.
    Cdpo {
        label_smoothing: f64,
    },
    /// The unbiased form of the same; 0.5 excluded.
    Robust {
        label_smoothing: f64,
    },
    /// Of single answers, the weights >= 0: chosen ones are desirable, rejected ones undesirable. [`crate::kto`] has
    /// the KL.
    Kto {
        desirable_weight: f64,
        undesirable_weight: f64,
    },
    /// No pair term: `rpo_alpha` times the NLL of single chosen answers.
    Sft,
}

/// Which answers an example has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    Both,
    /// The chosen one alone.
    Chosen,
    /// Either one, not both.
    One,
}

/// Sums of log-probs over the completion tokens of one pair, in nats, and the token counts; zeros for a side that is
/// not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairLogps {
    pub policy_chosen: f64,
    pub policy_rejected: f64,
    pub ref_chosen: f64,
    pub ref_rejected: f64,
    pub n_chosen: usize,
    pub n_rejected: usize,
}

/// The loss of one pair and its derivatives by the two sums of policy log-probs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairTerm {
    pub loss: f64,
    pub d_chosen: f64,
    pub d_rejected: f64,
}

impl PairTerm {
    /// Of a pair that counts `weight` times.
    pub fn times(self, weight: f64) -> PairTerm {
        PairTerm { loss: weight * self.loss, d_chosen: weight * self.d_chosen, d_rejected: weight * self.d_rejected }
    }
}

/// What a step minimises: the mean of `loss` over its pairs + `rpo_alpha` x NLL of its chosen tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    pub loss: PairLoss,
    /// > 0
    pub beta: f64,
    /// >= 0; 0 leaves the NLL term out.
    pub rpo_alpha: f64,
}

impl Objective {
    /// Derivatives of the step's loss by every chosen and by every rejected log-prob of one pair,
    /// in a step of `pairs` pairs with `chosen_tokens` chosen tokens in all.
    pub fn token_gradients(&self, term: &PairTerm, pairs: usize, chosen_tokens: usize) -> [f64; 2] {
        let pairs = pairs as f64;
        [term.d_chosen / pairs - self.rpo_alpha / chosen_tokens as f64, term.d_rejected / pairs]
    }

    /// The step's loss from the mean of its pair losses and its NLL, which a step without chosen answers does not have.
    pub fn step_loss(&self, mean_pair_loss: f64, nll: Option<f64>) -> f64 {
        nll.map_or(mean_pair_loss, |nll| mean_pair_loss + self.rpo_alpha * nll)
    }
}

impl PairLogps {
    /// Implicit rewards beta r(y+) and beta r(y-), as TRL logs them.
    pub fn rewards(&self, beta: f64) -> [f64; 2] {
        [beta * (self.policy_chosen - self.ref_chosen), beta * (self.policy_rejected - self.ref_rejected)]
    }

    /// Rewards measured from `kl` nats above the reference.
    pub fn above(self, kl: f64) -> PairLogps {
        let raised = |logp: f64, n: usize| if n > 0 { logp + kl } else { logp };
        PairLogps {
            ref_chosen: raised(self.ref_chosen, self.n_chosen),
            ref_rejected: raised(self.ref_rejected, self.n_rejected),
            ..self
        }
    }

    /// s, the difference of the two rewards, whatever the loss.
    pub fn margin(&self, beta: f64) -> f64 {
        beta * ((self.policy_chosen - self.ref_chosen) - (self.policy_rejected - self.ref_rejected))
    }

    /// n+ and n-, 1 at least.
    fn lengths(&self) -> (f64, f64) {
        (self.n_chosen.max(1) as f64, self.n_rejected.max(1) as f64)
    }

    /// r(y+)/n+ - r(y-)/n-
    fn mean_difference(&self) -> f64 {
        let (n_chosen, n_rejected) = self.lengths();
        (self.policy_chosen - self.ref_chosen) / n_chosen - (self.policy_rejected - self.ref_rejected) / n_rejected
    }
}

impl PairLoss {
    pub fn sides(&self) -> Sides {
        match self {
            PairLoss::Kto { .. } => Sides::One,
            PairLoss::Sft => Sides::Chosen,
            _ => Sides::Both,
        }
    }

    /// Whether it compares the policy with the weights that training starts from.
    pub fn has_reference(&self) -> bool {
        !matches!(self, PairLoss::Sft)
    }

    pub fn check(&self) -> Result<()> {
        if let PairLoss::Kto { desirable_weight, undesirable_weight } = *self {
            let weights = [("desirable_weight", desirable_weight), ("undesirable_weight", undesirable_weight)];
            for (key, weight) in weights {
                if !(weight >= 0.0 && weight.is_finite()) {
                    return Err(Error::new(format!("loss.kto.{key}"), format!("{weight}, expected >= 0")));
                }
            }
        }
        let (name, e, below, allowed) = match *self {
            PairLoss::Cdpo { label_smoothing: e } => ("cdpo", e, e <= 0.5, "0 <= label_smoothing <= 0.5"),
            PairLoss::Robust { label_smoothing: e } => ("robust", e, e < 0.5, "0 <= label_smoothing < 0.5"),
            _ => return Ok(()),
        };
        if e >= 0.0 && below {
            return Ok(());
        }
        Err(Error::new(format!("loss.{name}.label_smoothing"), format!("{e}, expected {allowed}"))
            .hint("it is the share of pairs whose sides are thought to be swapped"))
    }

    /// `beta` > 0.
    pub fn term(&self, beta: f64, p: &PairLogps) -> PairTerm {
        let s = p.margin(beta);
        // l(s) and dl/ds of the losses that see the pair through s alone.
        let (loss, dl) = match *self {
            PairLoss::Sigmoid => (-log_sigmoid(s), -sigmoid(-s)),
            PairLoss::Cdpo { label_smoothing: e } => {
                (-(1.0 - e) * log_sigmoid(s) - e * log_sigmoid(-s), -(1.0 - e) * sigmoid(-s) + e * sigmoid(s))
            }
            PairLoss::Robust { label_smoothing: e } => {
                let w = 1.0 / (1.0 - 2.0 * e);
                (
                    w * (-(1.0 - e) * log_sigmoid(s) + e * log_sigmoid(-s)),
                    w * (-(1.0 - e) * sigmoid(-s) - e * sigmoid(s)),
                )
            }
            PairLoss::Hinge => ((1.0 - s).max(0.0), if s < 1.0 { -1.0 } else { 0.0 }),
            PairLoss::Kto { desirable_weight, undesirable_weight } => {
                let w = if p.n_chosen > 0 { desirable_weight } else { undesirable_weight };
                (w * sigmoid(-s), -w * sigmoid(s) * sigmoid(-s))
            }
            PairLoss::Sft => (0.0, 0.0),
            PairLoss::SigmoidNorm => return sigmoid_norm(beta, p),
            PairLoss::Ipo => return ipo(beta, p),
        };
        PairTerm { loss, d_chosen: beta * dl, d_rejected: -beta * dl }
    }
}

fn ipo(beta: f64, p: &PairLogps) -> PairTerm {
    let (n_chosen, n_rejected) = p.lengths();
    let miss = p.mean_difference() - 1.0 / (2.0 * beta);
    PairTerm { loss: miss * miss, d_chosen: 2.0 * miss / n_chosen, d_rejected: -2.0 * miss / n_rejected }
}

fn sigmoid_norm(beta: f64, p: &PairLogps) -> PairTerm {
    let (n_chosen, n_rejected) = p.lengths();
    let s = beta * p.mean_difference();
    let dl = beta * -sigmoid(-s);
    PairTerm { loss: -log_sigmoid(s), d_chosen: dl / n_chosen, d_rejected: -dl / n_rejected }
}

/// 1 / (1 + e^-x) without overflow.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// log sigma(x) = min(x, 0) - log(1 + e^-|x|), exact far from 0 on both sides.
pub fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [PairLoss; 7] = [
        PairLoss::Sigmoid,
        PairLoss::SigmoidNorm,
        PairLoss::Ipo,
        PairLoss::Hinge,
        PairLoss::Cdpo { label_smoothing: 0.1 },
        PairLoss::Robust { label_smoothing: 0.1 },
        PairLoss::Kto { desirable_weight: 1.5, undesirable_weight: 0.5 },
    ];

    /// r(y+) = 3, r(y-) = -2, so at beta 0.1 s = 0.5.
    const PAIR: PairLogps = PairLogps {
        policy_chosen: -17.0,
        policy_rejected: -32.0,
        ref_chosen: -20.0,
        ref_rejected: -30.0,
        n_chosen: 10,
        n_rejected: 20,
    };

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-9, "got {got}, expected {want}");
    }

    #[test]
    fn worked_by_hand() {
        // sigma(0.5) = 0.6224593312, -log of it 0.4740769842; sigma(-0.5) = 0.3775406688, -log 0.9740769842.
        let sigmoid = PairLoss::Sigmoid.term(0.1, &PAIR);
        close(sigmoid.loss, 0.4740769842);
        close(sigmoid.d_chosen, -0.03775406688);
        close(sigmoid.d_rejected, 0.03775406688);
        // 0.9 * 0.4740769842 + 0.1 * 0.9740769842; dl/ds = -0.9 * 0.3775406688 + 0.1 * 0.6224593312
        let cdpo = PairLoss::Cdpo { label_smoothing: 0.1 }.term(0.1, &PAIR);
        close(cdpo.loss, 0.5240769842);
        close(cdpo.d_chosen, 0.1 * -0.2775406688);
        // (0.9 * 0.4740769842 - 0.1 * 0.9740769842) / 0.8; dl/ds = (-0.9 * 0.3775406688 - 0.1 * 0.6224593312) / 0.8
        let robust = PairLoss::Robust { label_smoothing: 0.1 }.term(0.1, &PAIR);
        close(robust.loss, 0.4115769842);
        close(robust.d_chosen, 0.1 * -0.5025406688);
        assert_eq!(PairLoss::Hinge.term(0.1, &PAIR), PairTerm { loss: 0.5, d_chosen: -0.1, d_rejected: 0.1 });
        // 3/10 - (-2)/20 = 0.4; 0.4 - 5 = -4.6; 4.6^2 = 21.16; 2 * -4.6 / 10; -2 * -4.6 / 20
        let ipo = PairLoss::Ipo.term(0.1, &PAIR);
        close(ipo.loss, 21.16);
        close(ipo.d_chosen, -0.92);
        close(ipo.d_rejected, 0.46);
        // the same 0.4, at beta 1.25 s = 0.5; 1.25 * 0.3775406688 / 10 and / 20
        let norm = PairLoss::SigmoidNorm.term(1.25, &PAIR);
        close(norm.loss, 0.4740769842);
        close(norm.d_chosen, -0.0471925836);
        close(norm.d_rejected, 0.0235962918);
    }

    /// A good answer at r = 3 and a bad one at r = -2, the KL 1: s is 0.1 (3 - 1) = 0.2 and -0.1 (-2 - 1) = 0.3.
    /// sigma(-0.2) = 0.4501660027, sigma(-0.3) = 0.4255574832.
    #[test]
    fn kto_by_hand() {
        let kto = PairLoss::Kto { desirable_weight: 2.0, undesirable_weight: 0.5 };
        let good = PairLogps { policy_rejected: 0.0, ref_rejected: 0.0, n_rejected: 0, ..PAIR }.above(1.0);
        let bad = PairLogps { policy_chosen: 0.0, ref_chosen: 0.0, n_chosen: 0, ..PAIR }.above(1.0);
        let (good, bad) = (kto.term(0.1, &good), kto.term(0.1, &bad));
        close(good.loss, 2.0 * 0.4501660027);
        close(good.d_chosen, -0.1 * 2.0 * 0.4501660027 * 0.5498339973);
        close(bad.loss, 0.5 * 0.4255574832);
        close(bad.d_rejected, 0.1 * 0.5 * 0.4255574832 * 0.5744425168);
    }

    #[test]
    fn policy_equal_to_reference_costs_ln_2() {
        let p = PairLogps { policy_chosen: -20.0, policy_rejected: -30.0, ..PAIR };
        close(PairLoss::Sigmoid.term(0.1, &p).loss, std::f64::consts::LN_2);
        close(PairLoss::Cdpo { label_smoothing: 0.3 }.term(0.1, &p).loss, std::f64::consts::LN_2);
        close(PairLoss::Robust { label_smoothing: 0.3 }.term(0.1, &p).loss, std::f64::consts::LN_2);
    }

    #[test]
    fn extreme_margins_stay_finite() {
        for loss in ALL {
            for far in [-1e6, 1e6] {
                let t = loss.term(0.5, &PairLogps { policy_chosen: far, ..PAIR });
                assert!(t.loss.is_finite() && t.d_chosen.is_finite() && t.d_rejected.is_finite(), "{loss:?} {t:?}");
            }
        }
        close(PairLoss::Sigmoid.term(1.0, &PairLogps { policy_chosen: -1e6 - 30.0, ..PAIR }).loss, 1e6 + 8.0);
    }

    #[test]
    fn label_smoothing_out_of_range_is_refused() {
        assert!(PairLoss::Cdpo { label_smoothing: 0.5 }.check().is_ok());
        for bad in [
            PairLoss::Robust { label_smoothing: 0.5 },
            PairLoss::Cdpo { label_smoothing: 0.6 },
            PairLoss::Cdpo { label_smoothing: f64::NAN },
            PairLoss::Robust { label_smoothing: -0.1 },
        ] {
            let line = bad.check().unwrap_err().to_string();
            assert!(line.contains("label_smoothing") && line.contains("expected"), "{line}");
        }
    }

    proptest! {
        #[test]
        fn gradients_are_the_finite_differences(
            logps in prop::array::uniform4(-80.0f64..-1.0), beta in 0.01f64..1.0, n in (1usize..60, 1usize..60)
        ) {
            let [policy_chosen, policy_rejected, ref_chosen, ref_rejected] = logps;
            let p = PairLogps { policy_chosen, policy_rejected, ref_chosen, ref_rejected, n_chosen: n.0, n_rejected: n.1 };
            let h = 1e-5;
            for loss in ALL {
                if matches!(loss, PairLoss::Hinge) && (p.margin(beta) - 1.0).abs() < 1e-3 {
                    continue; // the kink
                }
                let at = |dc: f64, dr: f64| {
                    loss.term(beta, &PairLogps { policy_chosen: policy_chosen + dc, policy_rejected: policy_rejected + dr, ..p }).loss
                };
                let t = loss.term(beta, &p);
                let (dc, dr) = ((at(h, 0.0) - at(-h, 0.0)) / (2.0 * h), (at(0.0, h) - at(0.0, -h)) / (2.0 * h));
                prop_assert!((t.d_chosen - dc).abs() < 1e-4 * (1.0 + dc.abs()), "{loss:?}: {} and {dc}", t.d_chosen);
                prop_assert!((t.d_rejected - dr).abs() < 1e-4 * (1.0 + dr.abs()), "{loss:?}: {} and {dr}", t.d_rejected);
            }
        }
    }
}
