//! Answers that satisfied their users: what SPIN and supervised fine-tuning learn from.

use drift_chat::{Message, Pair, Seen, Split, case_id};
use drift_feedback::Unpaired;
use serde::{Deserialize, Serialize};

/// A row of `satisfied.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Satisfied {
    /// From the content: equal prompt and answer give an equal id.
    pub id: String,
    pub conversation: String,
    pub prompt: Vec<Message>,
    /// Exactly one assistant message.
    pub completion: Vec<Message>,
    /// The answer to the same prompt that it made up for, and what the user said of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Vec<Message>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_feedback: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// The chosen answers of the seed pairs, then the unpaired ones with a good word, each answer to a prompt once.
pub fn gather(seed_pairs: &[Pair], unpaired: &[Unpaired]) -> Vec<Satisfied> {
    let of_pairs = seed_pairs.iter().map(|pair| Satisfied {
        id: case_id(&pair.prompt, &pair.chosen),
        conversation: pair.conversation.clone(),
        prompt: pair.prompt.clone(),
        completion: pair.chosen.clone(),
        rejected: pair.rejected_feedback.is_some().then(|| pair.rejected.clone()),
        rejected_feedback: pair.rejected_feedback.clone(),
        split: pair.split,
    });
    let alone = unpaired.iter().filter(|row| row.label).map(|row| Satisfied {
        id: case_id(&row.prompt, &row.completion),
        conversation: row.conversation.clone(),
        prompt: row.prompt.clone(),
        completion: row.completion.clone(),
        rejected: None,
        rejected_feedback: None,
        split: row.split,
    });
    let mut seen = Seen::new();
    let is_new = |row: &Satisfied| seen.insert(&[&row.prompt[..], &row.completion[..]].concat());
    of_pairs.chain(alone).filter(is_new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_chat::Role;

    #[test]
    fn pairs_come_first_bad_words_are_left_out_and_copies_go() {
        let say = |role, content: &str| vec![Message { role, content: content.into() }];
        let (ask, answer) = (say(Role::User, "2 + 2?"), say(Role::Assistant, "4"));
        let pair = Pair {
            conversation: "a".into(),
            prompt: ask.clone(),
            chosen: answer.clone(),
            rejected: say(Role::Assistant, "5"),
            rejected_feedback: Some("No.".into()),
            split: Some(Split::HeldOut),
            ..Pair::default()
        };
        let unpaired = |label, completion: &str| Unpaired {
            conversation: "b".into(),
            key: "b:2".into(),
            prompt: ask.clone(),
            completion: say(Role::Assistant, completion),
            label,
            split: Some(Split::Train),
        };
        let rows = [unpaired(true, " 4"), unpaired(false, "6"), unpaired(true, "four")];
        let found = gather(&[pair], &rows);
        assert_eq!(found.len(), 2);
        assert_eq!((&found[0].completion, &found[0].id), (&answer, &case_id(&ask, &answer)));
        assert_eq!(found[0].rejected, Some(say(Role::Assistant, "5")));
        assert_eq!(found[0].split, Some(Split::HeldOut));
        assert_eq!((&found[1].completion[0].content[..], &found[1].rejected), ("four", &None));
    }
}
