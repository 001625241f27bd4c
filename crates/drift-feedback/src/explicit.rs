//! What the log itself says of an answer: thumbs, ratings, regenerated and edited answers, annotations.
//! Such a deed needs no interpretation, so it wins over what a detector reads in the words.

use drift_chat::{Chat, Evidence, Role, Signal};

use crate::detector::Detector;
use crate::label::{Label, Verdict};
use crate::turn::Turn;

const NAME: &str = "explicit";
/// Ratings within the lowest and the highest quarter of their scale say something; others do not.
const LOW: f64 = 0.25;
const HIGH: f64 = 0.75;

/// Explicit signals first, and `Words` where there are none.
pub struct Explicit<Words>(pub Words);

impl<Words: Detector> Detector for Explicit<Words> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn thresholds(&self) -> [f32; 2] {
        self.0.thresholds()
    }

    fn batch(&self) -> usize {
        self.0.batch()
    }

    fn judge(&self, chat: &Chat, turns: &[Turn]) -> Vec<Label> {
        self.judge_all(&[(chat, turns.to_vec())]).remove(0)
    }

    fn judge_all(&self, chats: &[(&Chat, Vec<Turn>)]) -> Vec<Vec<Label>> {
        let mut all = self.0.judge_all(chats);
        for ((chat, _), labels) in chats.iter().zip(&mut all) {
            for label in labels {
                if let Some(verdict) = verdict(chat, label.turn - 1) {
                    *label = explicit(chat, label.turn, verdict);
                }
            }
        }
        all
    }

    fn label(&self, chats: &[Chat]) -> Vec<Vec<Label>> {
        let mut all = self.0.label(chats);
        for (chat, labels) in chats.iter().zip(&mut all) {
            for (message, _) in chat.messages.iter().enumerate().skip(chat.repeated) {
                let Some(verdict) = verdict(chat, message) else { continue };
                let label = explicit(chat, message + 1, verdict);
                // an answer that was judged by a deed alone has no turn after it that a detector would see
                match labels.binary_search_by_key(&label.turn, |label| label.turn) {
                    Ok(at) => labels[at] = label,
                    Err(at) => labels.insert(at, label),
                }
            }
        }
        all
    }
}

fn explicit(chat: &Chat, turn: usize, verdict: Verdict) -> Label {
    let rubric = match verdict {
        Verdict::Dsat | Verdict::Both => Some("negative_feedback"),
        Verdict::Sat => Some("praise"),
        Verdict::None => None,
    };
    let evidence =
        |rubric: &str| Evidence { detector: NAME.to_string(), rubric: rubric.to_string(), confidence: 1.0, cue: None };
    let certain = |is: bool| f32::from(u8::from(is));
    Label {
        conversation: chat.id.clone(),
        turn,
        label: verdict,
        dsat: certain(verdict.is_dsat()),
        sat: certain(verdict.is_sat()),
        evidence: rubric.map(evidence),
    }
}

/// What the signals about an answer come to; `None` where they say nothing. A reworded request says
/// nothing: the user may have had another thought.
fn verdict(chat: &Chat, message: usize) -> Option<Verdict> {
    if chat.messages.get(message)?.role != Role::Assistant {
        return None;
    }
    let (mut said, mut dsat, mut sat) = (false, false, false);
    for explicit in chat.explicit.iter().filter(|explicit| explicit.message == message) {
        let (down, up) = match &explicit.signal {
            Signal::Thumbs(up) => (!up, *up),
            Signal::Rating { value, min, max } => {
                let place = (value - min) / (max - min);
                (place <= LOW, place >= HIGH)
            }
            Signal::Regenerated | Signal::Edited(_) => (true, false),
            Signal::Reworded | Signal::Commented => continue,
            Signal::Annotated { dsat, sat } => {
                said = true; // that nothing was found is a finding
                (*dsat, *sat)
            }
        };
        dsat |= down;
        sat |= up;
    }
    (said || dsat || sat).then(|| Verdict::of(dsat, sat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;
    use drift_chat::{Explicit as Given, Message};

    fn chat(signals: &[(usize, Signal)]) -> Chat {
        let texts = [
            (Role::User, "Write a poem about the sea"),
            (Role::Assistant, "The sea is blue."),
            (Role::User, "No, that's wrong. Make it shorter, you ignored what I said."),
            (Role::Assistant, "Sea: blue."),
        ];
        let explicit =
            signals.iter().map(|(message, signal)| Given { message: *message, signal: signal.clone(), comment: None });
        Chat {
            id: "c".into(),
            messages: texts.map(|(role, content)| Message { role, content: content.into() }).into(),
            explicit: explicit.collect(),
            ..Chat::default()
        }
    }

    fn verdicts(signals: &[(usize, Signal)]) -> Vec<(usize, Verdict, String)> {
        let labels = Explicit(Rules::new()).label(&[chat(signals)]).remove(0);
        let by = |label: &Label| label.evidence.as_ref().map(|e| e.detector.clone()).unwrap_or_default();
        labels.iter().map(|label| (label.turn, label.label, by(label))).collect()
    }

    #[test]
    fn a_deed_wins_over_words_and_needs_no_turn_after_it() {
        assert_eq!(verdicts(&[]), [(2, Verdict::Dsat, "rules".into())]);
        assert_eq!(verdicts(&[(1, Signal::Thumbs(true))]), [(2, Verdict::Sat, "explicit".into())]);
        assert_eq!(
            verdicts(&[(3, Signal::Regenerated)]),
            [(2, Verdict::Dsat, "rules".into()), (4, Verdict::Dsat, "explicit".into())]
        );
        let annotated = Signal::Annotated { dsat: false, sat: false };
        assert_eq!(verdicts(&[(1, annotated)]), [(2, Verdict::None, String::new())]);
    }

    #[test]
    fn ratings_speak_at_the_ends_of_their_scale() {
        let stars = |value| verdicts(&[(3, Signal::Rating { value, min: 1.0, max: 5.0 })]).get(1).map(|v| v.1);
        assert_eq!(stars(1.0), Some(Verdict::Dsat));
        assert_eq!(stars(2.0), Some(Verdict::Dsat));
        assert_eq!(stars(3.0), None);
        assert_eq!(stars(4.0), Some(Verdict::Sat));
        // a scale without an extent says nothing
        assert_eq!(verdicts(&[(3, Signal::Rating { value: 1.0, min: 1.0, max: 1.0 })]).len(), 1);
        // signals about a user's message or beyond the chat judge no answer
        assert_eq!(verdicts(&[(2, Signal::Thumbs(false)), (9, Signal::Thumbs(false))]).len(), 1);
    }
}
