//! What is written reads back the same, and loads nowhere that it does not belong.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use drift_chat::{
    Case, Chat, Entry, Explicit, Exporter, LeftOut, LogReader, Message, Pair, Role, Signal, Target, UserPreference,
    case_id, pair_id, read_cases, read_pairs,
};
use proptest::prelude::*;

fn export(path: &Path, target: Target, entries: &[Entry]) -> drift_chat::ExportReport {
    let mut exporter = Exporter::create(path, target).unwrap();
    for entry in entries {
        exporter.add(entry).unwrap();
    }
    exporter.finish().unwrap()
}

fn read(path: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut on_entry = |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    };
    LogReader::default().entries(&[path], &mut on_entry, &mut |_, _| {}).unwrap();
    entries
}

fn chats(entries: Vec<Entry>) -> Vec<Chat> {
    let chat = |entry| match entry {
        Entry::Chat(chat) => chat,
        Entry::Pair(_) => panic!("a pair among chats"),
    };
    entries.into_iter().map(chat).collect()
}

/// Texts with what trips parsers: quotes, brackets, line ends, other scripts, JSON that looks like a log.
fn text() -> impl Strategy<Value = String> {
    let known = ["{\"messages\": [{\"role\": \"user\"}]}", "\n\nHuman: x", "[]", "a\u{2028}b", "\"", "🙂", ""];
    prop_oneof![any::<String>(), prop::sample::select(known.map(str::to_string).to_vec())]
}

fn message(role: Role, content: String) -> Message {
    Message { role, content }
}

fn chat() -> impl Strategy<Value = Chat> {
    let role = prop::sample::select(vec![Role::System, Role::User, Role::Assistant]);
    let messages = prop::collection::vec((role, text()).prop_map(|(role, text)| message(role, text)), 1..6);
    (messages, "[a-zA-Z0-9#-]{1,8}", prop::option::of("[a-z]{1,4}")).prop_map(|(messages, id, user)| Chat {
        id,
        messages,
        user,
        ..Chat::default()
    })
}

fn pair() -> impl Strategy<Value = Pair> {
    let words = || text().prop_filter("an answer", |text| !text.trim().is_empty());
    let weight = prop::option::of((0u8..9).prop_map(|quarters| f64::from(quarters) / 4.0));
    let strategy = (prop::collection::vec(text(), 0..3), words(), words(), words(), weight);
    strategy.prop_map(|(before, request, chosen, rejected, weight)| {
        let turns =
            before.into_iter().flat_map(|text| [message(Role::User, text.clone()), message(Role::Assistant, text)]);
        let prompt: Vec<Message> = turns.chain([message(Role::User, request)]).collect();
        let (chosen, rejected) =
            (vec![message(Role::Assistant, chosen)], vec![message(Role::Assistant, format!("not {rejected}"))]);
        let id = pair_id(&prompt, &chosen, &rejected);
        Pair { conversation: id.clone(), id, prompt, chosen, rejected, weight, ..Pair::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn chats_read_back_the_same(mut all in prop::collection::vec(chat(), 1..8)) {
        for (at, chat) in all.iter_mut().enumerate() {
            // a second chat of the same id is read as another
            chat.id += &format!("/{at}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let entries: Vec<Entry> = all.iter().cloned().map(Entry::Chat).collect();
        for target in [Target::ShareGpt, Target::OpenAi, Target::Parquet] {
            let report = export(&path, target, &entries);
            prop_assert_eq!(report.rows, all.len() as u64);
            let back = chats(read(&path));
            prop_assert_eq!(back.len(), all.len());
            for (back, written) in back.iter().zip(&all) {
                prop_assert_eq!(&back.messages, &written.messages);
                prop_assert!(target == Target::OpenAi || back.id == written.id);
                prop_assert!(target != Target::Parquet || back.user == written.user);
            }
        }
    }

    #[test]
    fn pairs_read_back_the_same(all in prop::collection::vec(pair(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let entries: Vec<Entry> = all.iter().cloned().map(Entry::Pair).collect();
        export(&path, Target::Trl, &entries);
        prop_assert_eq!(&read(&path), &entries);
        prop_assert_eq!(&read_pairs(&path).unwrap(), &all);

        export(&path, Target::Kto, &entries);
        let judged = chats(read(&path));
        prop_assert_eq!(judged.len(), 2 * all.len());
        for (two, pair) in judged.chunks(2).zip(&all) {
            for (chat, (answer, good)) in two.iter().zip([(&pair.chosen, true), (&pair.rejected, false)]) {
                let whole: Vec<Message> = pair.prompt.iter().chain(answer).cloned().collect();
                prop_assert_eq!(&chat.messages, &whole);
                prop_assert_eq!(&chat.explicit[0].signal, &Signal::Thumbs(good));
            }
        }
        // and once more through chats
        export(&path, Target::Kto, &judged.iter().cloned().map(Entry::Chat).collect::<Vec<_>>());
        let again = chats(read(&path));
        prop_assert_eq!(again.len(), judged.len());
        prop_assert!(again.iter().zip(&judged).all(|(a, b)| a.messages == b.messages && a.explicit == b.explicit));
    }

    #[test]
    fn cases_read_back_the_same(pairs in prop::collection::vec(pair(), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let case = |pair: Pair| {
            let id = case_id(&pair.prompt, &pair.rejected);
            let words = UserPreference { content: pair.chosen[0].content.clone() };
            let (prompt, rejected) = (pair.prompt, pair.rejected);
            Case { conversation: id.clone(), id, prompt, rejected, user_preference: words, evidence: None, split: None, key: None }
        };
        // a second case of the same id is read as another
        let mut seen = HashSet::new();
        let cases: Vec<Case> = pairs.into_iter().map(case).filter(|case| seen.insert(case.id.clone())).collect();
        drift_chat::write_jsonl(&path, &cases).unwrap();
        let entries = read(&path);
        export(&path, Target::Drift, &entries);
        prop_assert_eq!(&read_cases(&path).unwrap(), &cases);
    }
}

/// u "q", a "a", u "no", with these signals on the answer.
fn judged(signals: &[Signal], comment: Option<&str>) -> Entry {
    let messages =
        vec![message(Role::User, "q".into()), message(Role::Assistant, "a".into()), message(Role::User, "no".into())];
    let comment = comment.map(str::to_string);
    let explicit = |signal: &Signal| Explicit { message: 1, signal: signal.clone(), comment: comment.clone() };
    Entry::Chat(Chat { id: "c".into(), messages, explicit: signals.iter().map(explicit).collect(), ..Chat::default() })
}

#[test]
fn judged_answers_become_rows_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let rows = |target, entries: &[Entry]| {
        let report = export(&path, target, entries);
        let text = std::fs::read_to_string(&path).unwrap();
        (text.lines().map(str::to_string).collect::<Vec<_>>(), report.left_out.into_iter().collect::<Vec<_>>())
    };
    let down = judged(&[Signal::Thumbs(false)], Some("a comment"));
    let edited = judged(&[Signal::Edited(Some("b".into()))], None);
    let stars = judged(&[Signal::Rating { value: 5.0, min: 1.0, max: 5.0 }], None);
    let unclear = judged(&[Signal::Thumbs(true), Signal::Thumbs(false)], None);
    let silent = judged(&[], None);
    let all = [down, edited, stars, unclear, silent];

    let (drift, left_out) = rows(Target::Drift, &all);
    assert_eq!(drift.len(), 2);
    assert!(drift[0].contains(r#""user_preference":{"content":"no"}"#), "{}", drift[0]);
    assert_eq!(left_out, [(LeftOut::ChatWithoutVerdict, 2), (LeftOut::Contradictory, 1)]);

    let (trl, _) = rows(Target::Trl, &all);
    assert_eq!(trl.len(), 1);
    assert!(
        trl[0].contains(
            r#""chosen":[{"role":"assistant","content":"b"}],"rejected":[{"role":"assistant","content":"a"}]"#
        )
    );

    let message = |role, text: &str| vec![message(role, text.into())];
    let weighed = |weight| {
        let (prompt, chosen, rejected) =
            (message(Role::User, "q"), message(Role::Assistant, "a"), message(Role::Assistant, "b"));
        Entry::Pair(Pair { prompt, chosen, rejected, weight: Some(weight), ..Pair::default() })
    };
    let (trl, left_out) = rows(Target::Trl, &[weighed(0.5), weighed(-0.5)]);
    assert!(trl.len() == 1 && trl[0].ends_with(r#""weight":0.5}"#), "{trl:?}");
    assert_eq!(left_out, [(LeftOut::NotTrainable, 1)]);

    let (kto, left_out) = rows(Target::Kto, &all);
    let labels: Vec<bool> = kto.iter().map(|row| row.ends_with(r#""label":true}"#)).collect();
    assert_eq!(labels, [false, false, true, true]);
    assert_eq!(left_out, [(LeftOut::ChatWithoutVerdict, 1), (LeftOut::Contradictory, 1)]);
}

#[test]
fn who_opted_out_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let Entry::Chat(chat) = judged(&[Signal::Thumbs(false)], None) else { unreachable!("a chat") };
    let opted_out = Entry::Chat(Chat { opted_out: true, ..chat });
    for (_, target) in Target::ALL {
        let report = export(&path, target, std::slice::from_ref(&opted_out));
        assert_eq!((report.rows, report.left_out[&LeftOut::OptedOut]), (0, 1));
    }
}

#[test]
fn nothing_is_left_behind_by_a_writer_that_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    for (_, target) in Target::ALL {
        let mut exporter = Exporter::create(&path, target).unwrap();
        exporter.add(&judged(&[Signal::Thumbs(false)], None)).unwrap();
        drop(exporter);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    let missing = Exporter::create(&folder.path().join("none/out"), Target::Kto);
    assert!(missing.err().unwrap().to_string().contains("cannot write"));
}
