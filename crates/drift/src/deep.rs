//! The deep tier: a probe on the hidden states of a local model. The very policy that is trained knows,
//! two thirds up, whether its user is dissatisfied.

mod pooled;
mod probe;
pub mod train;
pub mod view;

pub use pooled::{States, layers_of, states};
pub use probe::{Probe, open as open_probe, probe_bytes};

use crate::policy::Policy;
use crate::talk::Talk;
use anyhow::Result;
use drift_chat::Chat;
use drift_feedback::decision::Decision;
use drift_feedback::{Detector, Label, Rules, Turn};
use pooled::Pooler;
use std::path::Path;
use view::View;

const NAME: &str = "deep";

pub struct Deep {
    policy: Policy,
    probe: Probe,
}

impl Deep {
    /// # Errors
    /// The probe was made for another model. Weights that differ a little are said.
    pub fn new(policy: Policy, probe: Probe, path: &Path, talk: &Talk) -> Result<Deep> {
        probe.check(&policy, path, talk)?;
        Ok(Deep { policy, probe })
    }

    pub fn dsat_mut(&mut self) -> &mut Decision {
        &mut self.probe.decisions.dsat
    }
}

impl Detector for Deep {
    fn name(&self) -> &'static str {
        NAME
    }

    fn thresholds(&self) -> [f32; 2] {
        self.probe.decisions.thresholds()
    }

    fn judge(&self, chat: &Chat, turns: &[Turn]) -> Vec<Label> {
        self.judge_all(&[(chat, turns.to_vec())]).remove(0)
    }

    fn batch(&self) -> usize {
        8
    }

    /// A forward pass takes turns of several chats together, and has all threads to itself. A turn that the model cannot be shown (its template refuses, its context is too short) is judged by
    /// the fast tier, and its label says so.
    fn judge_all(&self, chats: &[(&Chat, Vec<Turn>)]) -> Vec<Vec<Label>> {
        let view = |turn: &Turn| {
            let view = View::new(&self.policy.format, turn).ok()?;
            (view.tokens() <= self.policy.model.context()).then_some(view)
        };
        let views: Vec<Option<View>> = chats.iter().flat_map(|(_, turns)| turns.iter().map(view)).collect();
        let shown: Vec<&View> = views.iter().flatten().collect();
        let mut rows = Pooler::new(&self.policy.model, &self.probe.layers).pool(&shown).into_iter();
        let mut rows = views.iter().map(|view| view.as_ref().and_then(|_| rows.next()));
        let judge = |(chat, turns): &(&Chat, Vec<Turn>)| {
            let fast = self.probe.fast.logits(chat, turns);
            let label = |(turn, fast): (&Turn, [f64; 2])| match rows.next().flatten() {
                Some(row) => {
                    let has_reply = turn.reply.is_some();
                    let logits = self.probe.logits(&row, has_reply, fast);
                    let (verdict, dsat, sat) = self.probe.decisions.decide(logits, has_reply);
                    Rules::label_as(NAME, chat, turn, verdict, dsat, sat)
                }
                None => self.probe.fast.judge(chat, std::slice::from_ref(turn)).remove(0),
            };
            turns.iter().zip(fast).map(label).collect()
        };
        chats.iter().map(judge).collect()
    }
}
