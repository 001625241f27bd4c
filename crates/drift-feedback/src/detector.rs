//! What all detectors have in common.

use drift_chat::Chat;
use rayon::prelude::*;

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

    /// The labels of all turns of each chat, in order. Most are `NONE`.
    fn label(&self, chats: &[Chat]) -> Vec<Vec<Label>> {
        chats.par_iter().map(|chat| self.judge(chat, &turns(chat).collect::<Vec<_>>())).collect()
    }
}

impl<D: Detector + ?Sized> Detector for Box<D> {
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

    fn label(&self, chats: &[Chat]) -> Vec<Vec<Label>> {
        (**self).label(chats)
    }
}
