//! What all detectors have in common.

use drift_chat::Chat;
use rayon::prelude::*;
use std::sync::Arc;

use crate::label::Label;
use crate::turn::{Turn, turns};

/// Judges user turns. Every label carries the detector's name, a rubric, a probability and, where there is
/// one, the words that show it.
pub trait Detector: Send + Sync {
    fn name(&self) -> &'static str;

    /// Probabilities from which a turn counts as dissatisfied and as satisfied.
    fn thresholds(&self) -> [f32; 2];

    /// One label for each of `turns`, which are of `chat` and may have lost their replies.
    fn judge(&self, chat: &Chat, turns: &[Turn]) -> Vec<Label>;

    /// How many chats are worth labelling together: until they are labelled nobody sees progress.
    fn batch(&self) -> usize {
        256
    }

    /// The same for several chats.
    fn judge_all(&self, chats: &[(&Chat, Vec<Turn>)]) -> Vec<Vec<Label>> {
        chats.par_iter().map(|(chat, turns)| self.judge(chat, turns)).collect()
    }

    /// The labels of all turns of each chat, in order. Most are `NONE`.
    fn label(&self, chats: &[Chat]) -> Vec<Vec<Label>> {
        self.judge_all(&chats.par_iter().map(|chat| (chat, turns(chat).collect())).collect::<Vec<_>>())
    }
}

impl<D: Detector + ?Sized> Detector for Arc<D> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn thresholds(&self) -> [f32; 2] {
        (**self).thresholds()
    }

    fn judge(&self, chat: &Chat, turns: &[Turn]) -> Vec<Label> {
        (**self).judge(chat, turns)
    }

    fn batch(&self) -> usize {
        (**self).batch()
    }

    fn judge_all(&self, chats: &[(&Chat, Vec<Turn>)]) -> Vec<Vec<Label>> {
        (**self).judge_all(chats)
    }

    fn label(&self, chats: &[Chat]) -> Vec<Vec<Label>> {
        (**self).label(chats)
    }
}
