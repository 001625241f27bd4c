//! The detector and the harvest on small conversations written for the purpose.

use std::sync::LazyLock;

use drift_chat::{Chat, Message, Pair, Role, Source};
use drift_feedback::{Detector, Dropped, Funnel, Harvest, Harvester, Label, Limits, Rules, Verdict};
use proptest::prelude::*;

/// Compiled once for all tests.
static DETECTOR: LazyLock<Rules> = LazyLock::new(Rules::new);

/// Turns alternate, the user first.
fn chat(id: &str, texts: &[&str]) -> Chat {
    let message = |(at, text): (usize, &&str)| {
        let role = if at % 2 == 0 { Role::User } else { Role::Assistant };
        Message { role, content: text.to_string() }
    };
    let source = Source { file: "log".into(), byte: 0 };
    Chat { id: id.into(), messages: texts.iter().enumerate().map(message).collect(), source, ..Chat::default() }
}

const REQUEST: &str = "Write a function that sums the even numbers of a list in Python";
const ANSWER: &str = "def total(numbers):\n    return sum(numbers)";
const REVISED: &str = "I apologize for the oversight. Here is the corrected version:\ndef total(numbers):\n    return sum(n for n in numbers if n % 2 == 0)";

fn verdict(turn: &str, reply: Option<&str>) -> Label {
    let mut texts = vec![REQUEST, ANSWER, turn];
    texts.extend(reply);
    DETECTOR.label(&[chat("c", &texts)]).remove(0).remove(0)
}

#[test]
fn plain_feedback_is_recognised() {
    let expect = |turn: &str, reply: Option<&str>, expected: Verdict, rubric: &str| {
        let label = verdict(turn, reply);
        assert_eq!(label.label, expected, "{turn}: {label:?}");
        assert_eq!(
            label.evidence.as_ref().map_or("", |evidence| evidence.rubric.as_str()),
            rubric,
            "{turn}: {label:?}"
        );
    };
    expect("No, that is wrong, it sums all of them", Some(REVISED), Verdict::Dsat, "factual_error");
    expect("it doesn't work, I get TypeError: unsupported operand", Some(REVISED), Verdict::Dsat, "factual_error");
    expect("make it shorter", Some("def total(numbers): return sum(numbers[::2])"), Verdict::Dsat, "style");
    expect("Thank you!", Some("You're welcome!"), Verdict::Sat, "gratitude");
    expect("Perfect, it works now", None, Verdict::Sat, "praise");
    expect("Great, but make it shorter, only one line, not a function", Some(REVISED), Verdict::Both, "style");
    // the same request again
    expect(REQUEST, Some("def total(numbers): return sum(numbers[::2])"), Verdict::Dsat, "revision");
    // and what is none
    expect("continue", None, Verdict::None, "");
    expect("please go on", None, Verdict::None, "");
    expect("What is the capital of France?", Some("The capital of France is Paris."), Verdict::None, "");
    expect("Now write a poem about the sea", Some("The sea, the sea"), Verdict::None, "");
    expect("Write a thank you note to my teacher", Some("Dear teacher"), Verdict::None, "");
    expect("No problem, what about tuples?", None, Verdict::None, "");
}

#[test]
fn plain_complaints_and_thanks_in_other_languages() {
    let complaints = [
        "틀렸습니다",
        "不对，请重新写",
        "違います。",
        "Eso está mal, hazlo otra vez",
        "Ce n'est pas correct",
        "Das ist falsch",
        "Não é isso que eu pedi",
        "Non funziona, riprova",
        "это неправильно",
        "Dat klopt niet",
        "không đúng",
        "هذا خطأ",
    ];
    let thanks = [
        "감사합니다",
        "谢谢",
        "ありがとう",
        "Muchas gracias",
        "Merci beaucoup",
        "Vielen Dank",
        "Obrigado",
        "Grazie mille",
        "спасибо большое",
        "Dank je wel",
        "cảm ơn bạn",
        "شكرا",
    ];
    for turn in complaints {
        assert_eq!(verdict(turn, None).label, Verdict::Dsat, "{turn}");
    }
    for turn in thanks {
        assert_eq!(verdict(turn, None).label, Verdict::Sat, "{turn}");
    }
}

#[test]
fn the_cue_is_where_it_says() {
    let turn = format!("  Hmm, {} make it shorter", "é".repeat(20));
    let label = verdict(&turn, None);
    let (start, end) = label.evidence.unwrap().cue.unwrap();
    assert_eq!(&turn[start..end], "make it shorter");
    // in the end of a long turn, behind what was pasted
    let turn = format!("{}\nthis gives a wrong result, it doesn't work", "x = 1\n".repeat(200));
    let label = verdict(&turn, Some(REVISED));
    let (start, end) = label.evidence.unwrap().cue.unwrap();
    assert_eq!(&turn[start..end], "wrong");
}

#[test]
fn a_label_is_one_line_without_text() {
    let label = verdict("No, that is wrong: swordfish", Some(REVISED));
    let line = serde_json::to_string(&label).unwrap();
    assert!(!line.contains("swordfish") && !line.contains("sums"));
    assert!(line.contains(r#""label":"DSAT""#) && line.contains(r#""turn":2"#), "{line}");
    assert_eq!(serde_json::from_str::<Label>(&line).unwrap(), label);
}

fn label(turn: usize, label: Verdict) -> Label {
    Label { conversation: "c".into(), turn, label, dsat: 0.5, sat: 0.5, evidence: None }
}

fn harvest(chats: &[(Chat, Vec<Label>)], limits: Limits) -> (Vec<Harvest>, Funnel) {
    let mut harvester = Harvester::new(limits);
    let harvests = chats.iter().map(|(chat, labels)| harvester.add(chat, labels)).collect();
    (harvests, harvester.funnel().clone())
}

#[test]
fn a_dissatisfied_then_satisfied_user_gives_case_and_seed_pair() {
    let talk = chat("c", &["q", "bad", "no", "still bad", "no!", "good", "thanks", "welcome"]);
    let labels = vec![label(2, Verdict::Dsat), label(4, Verdict::Dsat), label(6, Verdict::Sat)];
    let (harvests, funnel) = harvest(&[(talk.clone(), labels)], Limits::default());
    let texts = |messages: &[Message]| messages.iter().map(|m| m.content.clone()).collect::<Vec<_>>();
    let cases = &harvests[0].cases;
    assert_eq!(texts(&cases[0].prompt), ["q"]);
    assert_eq!((texts(&cases[0].rejected), cases[0].user_preference.content.as_str()), (vec!["bad".into()], "no"));
    assert_eq!(texts(&cases[1].prompt), ["q", "bad", "no"]);
    let pairs: Vec<(Vec<String>, String, String)> = harvests[0]
        .seed_pairs
        .iter()
        .map(|Pair { prompt, chosen, rejected, .. }| {
            (texts(prompt), chosen[0].content.clone(), rejected[0].content.clone())
        })
        .collect();
    assert_eq!(pairs[0], (vec!["q".into()], "good".into(), "bad".into()));
    assert_eq!(pairs[1], (vec!["q".into(), "bad".into(), "no".into()], "good".into(), "still bad".into()));
    assert_eq!((funnel.cases, funnel.seed_pairs, funnel.dsat, funnel.sat, funnel.judged_turns), (2, 2, 2, 1, 3));

    // a turn that is neither, or that is missing in between, ends the search
    for labels in [
        vec![label(2, Verdict::Dsat), label(4, Verdict::None), label(6, Verdict::Sat)],
        vec![label(2, Verdict::Dsat), label(6, Verdict::Sat)],
        vec![label(2, Verdict::Sat), label(4, Verdict::Dsat)],
    ] {
        let (harvests, _) = harvest(&[(talk.clone(), labels)], Limits::default());
        assert!(harvests[0].seed_pairs.is_empty());
    }
}

#[test]
fn what_is_dropped_is_counted_by_reason() {
    let dsat = |turn| vec![label(turn, Verdict::Dsat)];
    let made_up = vec![label(2, Verdict::Both), label(4, Verdict::Sat)];
    let mut midway = chat("d", &["", "the log begins with this answer", "question", "bad", "no"]);
    midway.messages.remove(0);
    let mut no_prompt = midway.clone();
    no_prompt.messages.truncate(2);
    let chats = [
        (chat("a", &["q", "same", "no", "SAME ", "thanks"]), made_up.clone()),
        (chat("b", &["Q", "same", "no"]), dsat(2)),
        (chat("c", &["q", " ", "no"]), dsat(2)),
        (chat("e", &["q", "far too long an answer", "no"]), dsat(2)),
        (chat("f", &["far too long a prompt it is", "bad", "no"]), dsat(2)),
        (no_prompt, dsat(1)),
        (midway, dsat(3)),
    ];
    let (harvests, funnel) = harvest(&chats, Limits { prompt: 20, answer: 20, ..Limits::default() });
    let expected = [
        (Dropped::CaseNoPrompt, 1),
        (Dropped::CaseEmptyAnswer, 1),
        (Dropped::CasePromptTooLong, 1),
        (Dropped::CaseAnswerTooLong, 1),
        (Dropped::CaseDuplicate, 1),
        (Dropped::PairSameAnswer, 1),
    ];
    assert_eq!(funnel.dropped, expected.into_iter().collect());
    assert_eq!((funnel.cases, funnel.started_midway, funnel.both), (2, 1, 1));
    assert_eq!(harvests[6].cases[0].prompt.len(), 1, "the leading answer is gone");
    assert!(serde_json::to_string(&funnel).unwrap().contains(r#""case_no_prompt":1"#));
}

/// Conversations of any roles and any text, cues among it.
fn any_chat() -> impl Strategy<Value = Chat> {
    let role =
        prop::sample::select(vec![Role::System, Role::User, Role::User, Role::Assistant, Role::Assistant, Role::Tool]);
    let cue = prop::sample::select(vec!["no, wrong", "thanks", "make it shorter", "I apologize", "’", "continue", ""]);
    let content = (any::<String>(), cue, any::<String>(), 1..40usize)
        .prop_map(|(before, cue, after, times)| format!("{before}{cue}{after}").repeat(times));
    let messages = prop::collection::vec((role, content), 0..10);
    messages.prop_map(|messages| Chat {
        id: "c".into(),
        messages: messages.into_iter().map(|(role, content)| Message { role, content }).collect(),
        source: Source { file: "log".into(), byte: 0 },
        ..Chat::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_labelled_and_every_label_accounted_for(chats in prop::collection::vec(any_chat(), 1..4)) {
            let mut harvester = Harvester::new(Limits { prompt: 200, answer: 50, ..Limits::default() });
        for chat in &chats {
            let labels = DETECTOR.label(std::slice::from_ref(chat)).remove(0);
            for label in &labels {
                prop_assert_eq!(chat.messages[label.turn].role, Role::User);
                prop_assert_eq!(chat.messages[label.turn - 1].role, Role::Assistant);
                prop_assert_eq!(label.evidence.is_some(), label.label != Verdict::None);
                if let Some((start, end)) = label.evidence.as_ref().and_then(|evidence| evidence.cue) {
                    prop_assert!(chat.messages[label.turn].content.get(start..end).is_some_and(|cue| !cue.is_empty()));
                }
            }
            for pair in harvester.add(chat, &labels).seed_pairs {
                prop_assert_ne!(&pair.chosen, &pair.rejected);
            }
        }
        let funnel = harvester.funnel();
        let dropped: u64 = funnel.dropped.iter().filter(|(why, _)| format!("{why:?}").starts_with("Case")).map(|(_, n)| n).sum();
        prop_assert_eq!(funnel.dsat + funnel.both, funnel.cases + dropped);
    }
}
