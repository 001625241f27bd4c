//! The file of the fast tier that the program carries.

use drift_chat::{Chat, Message, Role};
use drift_feedback::{DSAT_RUBRICS, Detector, Fast, SAT_RUBRICS, turns};
use proptest::prelude::*;
use std::sync::LazyLock;

static FAST: LazyLock<Fast> = LazyLock::new(Fast::shipped);

fn chat(texts: &[&str]) -> Chat {
    let message = |(i, text): (usize, &&str)| Message {
        role: if i % 2 == 0 { Role::User } else { Role::Assistant },
        content: text.to_string(),
    };
    Chat { id: "c".into(), messages: texts.iter().enumerate().map(message).collect(), ..Chat::default() }
}

const REQUEST: &str = "Write a function that sums the even numbers of a list in Python";
const ANSWER: &str = "def total(numbers):\n    return sum(numbers)";

#[test]
fn a_plain_complaint_needs_no_reply_after_it() {
    for complaint in [
        "No, that's wrong.",
        "That is not what I asked for.",
        "This doesn't work, I get an error.",
        "You ignored half of my question. Try again.",
        "No. You misunderstood me, only the even ones!",
    ] {
        let label = FAST.label(&[chat(&[REQUEST, ANSWER, complaint])]).remove(0).remove(0);
        assert!(label.label.is_dsat() && label.dsat > 0.5, "{complaint}: {}", label.dsat);
        assert!(DSAT_RUBRICS.contains(&label.evidence.unwrap().rubric.as_str()));
    }
}

#[test]
fn thanks_are_thanks_and_the_next_request_is_neither() {
    let judge = |turn| FAST.label(&[chat(&[REQUEST, ANSWER, turn])]).remove(0).remove(0);
    for thanks in ["Thank you, that works perfectly!", "Great, thanks a lot!"] {
        let label = judge(thanks);
        assert!(label.label.is_sat() && !label.label.is_dsat(), "{thanks}: {label:?}");
        assert!(SAT_RUBRICS.contains(&label.evidence.unwrap().rubric.as_str()));
    }
    for next in ["What is the capital of France?", "Now write the same in Rust", "continue"] {
        let label = judge(next);
        assert!(!label.label.is_dsat() && !label.label.is_sat() && label.evidence.is_none(), "{next}: {label:?}");
    }
}

#[test]
fn plain_words_of_languages_that_no_label_was_in() {
    let judge = |turn| FAST.label(&[chat(&[REQUEST, ANSWER, turn])]).remove(0).remove(0);
    for complaint in
        ["Das ist falsch, es funktioniert nicht.", "不对，错了", "Esto está mal, no funciona", "C'est faux"]
    {
        assert!(judge(complaint).label.is_dsat(), "{complaint}: {:?}", judge(complaint));
    }
    for thanks in ["Vielen Dank!", "ありがとう", "Muchas gracias", "Спасибо большое"] {
        assert!(judge(thanks).label.is_sat(), "{thanks}: {:?}", judge(thanks));
    }
}

#[test]
fn the_file_is_small_and_reads_as_it_was_written() {
    let file = FAST.write();
    assert!(file.len() < 300_000, "{} bytes", file.len());
    let again = Fast::read(&file).unwrap();
    let chat = chat(&[REQUEST, ANSWER, "No, that's wrong."]);
    let judged: Vec<_> = turns(&chat).collect();
    assert_eq!(again.logits(&chat, &judged), FAST.logits(&chat, &judged));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_probabilities(texts in prop::collection::vec("\\PC{0,40}|.{0,700}", 1..6)) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for label in FAST.label(&[chat(&texts)]).remove(0) {
            prop_assert!((0.0..=1.0).contains(&label.dsat) && (0.0..=1.0).contains(&label.sat));
        }
    }

    #[test]
    fn no_damage_is_read(at in 0usize..140_000, flip in 1u8..=255) {
        let mut file = FAST.write();
        let at = at % file.len();
        file[at] ^= flip;
        prop_assert!(Fast::read(&file).is_err());
    }
}
