//! Every format's fixture against the chats and pairs that it must give, written by hand.
//!
//! A chat is written `ID by USER (opted out) +REPEATED: u request | a answer !MESSAGE SIGNAL "comment"`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use drift_chat::{
    Chat, Columns, Entry, Format, KeptOut, LogReader, Message, Pair, ReadReport, Reason, Role, Scale, Signal,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn told(messages: &[Message]) -> String {
    let turn = |message: &Message| {
        let role = match message.role {
            Role::System => "s",
            Role::User => "u",
            Role::Assistant => "a",
            Role::Tool => "t",
        };
        format!("{role} {}", message.content.replace('\n', "/"))
    };
    messages.iter().map(turn).collect::<Vec<_>>().join(" | ")
}

fn chat(chat: &Chat) -> String {
    let mut text = chat.id.clone();
    if let Some(user) = &chat.user {
        text += &format!(" by {user}");
    }
    if chat.opted_out {
        text += " (opted out)";
    }
    if chat.repeated > 0 {
        text += &format!(" +{}", chat.repeated);
    }
    text += &format!(": {}", told(&chat.messages));
    for explicit in &chat.explicit {
        let signal = match &explicit.signal {
            Signal::Thumbs(up) => if *up { "up" } else { "down" }.to_string(),
            Signal::Rating { value, min, max } => format!("{value} of {min}..{max}"),
            Signal::Regenerated => "regenerated".to_string(),
            Signal::Reworded => "reworded".to_string(),
            Signal::Edited(text) => format!("edited: {}", text.as_deref().unwrap_or("?")),
            Signal::Commented => "commented".to_string(),
            Signal::Annotated { dsat, sat } => format!("annotated dsat={dsat} sat={sat}"),
        };
        text += &format!(" !{} {signal}", explicit.message);
        if let Some(comment) = &explicit.comment {
            text += &format!(" \"{comment}\"");
        }
    }
    text
}

fn pair(pair: &Pair) -> String {
    format!("pair: {} > {} < {}", told(&pair.prompt), told(&pair.chosen), told(&pair.rejected))
}

fn read(reader: &LogReader, names: &[&str]) -> (Vec<String>, ReadReport) {
    let paths: Vec<PathBuf> = names.iter().map(|name| fixture(name)).collect();
    let mut lines = Vec::new();
    let mut on_entry = |entry: Entry| {
        lines.push(match &entry {
            Entry::Chat(one) => chat(one),
            Entry::Pair(one) => pair(one),
        });
        ControlFlow::Continue(())
    };
    let report = reader.entries(&paths, &mut on_entry, &mut |_, _| {}).unwrap();
    (lines, report)
}

/// What a fixture gives, its format told by the content and again forced.
fn told_and_forced(name: &str, format: Format) -> (Vec<String>, ReadReport) {
    let (lines, report) = read(&LogReader::default(), &[name]);
    assert_eq!(report.formats[0].1, format);
    let forced = LogReader { format: Some(format), ..LogReader::default() };
    assert_eq!(read(&forced, &[name]).0, lines, "{name} forced");
    (lines, report)
}

fn kept_out(report: &ReadReport) -> Vec<(KeptOut, u64)> {
    report.kept_out.iter().map(|(what, n)| (*what, *n)).collect()
}

#[test]
fn api_logs() {
    let (lines, report) = told_and_forced("openai_log.jsonl", Format::OpenAiLog);
    let expected = [
        "s1#branch-r1 by u7: s s | u weather?",
        "s1#branch-r2 by u7 +2: s s | u weather? | a sunny",
        "s1#branch-r3 by u7 +3: s s | u weather? | a sunny | u how warm? | a 77 !4 0 of 0..1 \"not in Celsius\"",
        "u what is this? | a a cat",
        "s be kind | u hi | a hello",
        "u stream | a ab",
        "s sys | u claude? | a yes",
    ];
    assert_eq!(lines[..3], expected[..3]);
    // without a session, the id begins with a hash of the first request
    let without_ids: Vec<&str> = lines[3..].iter().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(without_ids, expected[3..]);
    let expected = [
        (KeptOut::ToolMessages, 3),
        (KeptOut::OtherParts, 2),
        (KeptOut::OtherChoices, 1),
        (KeptOut::RecordsWithoutMessages, 1),
    ];
    assert_eq!(kept_out(&report), expected);
}

#[test]
fn chatgpt_trees() {
    let (lines, report) = told_and_forced("chatgpt.json", Format::ChatGpt);
    let expected =
        ["c1: u a poem | a roses", "c1#branch-2 +1: u a poem | a violets !1 regenerated", "c2: u look | a a cat"];
    assert_eq!(lines, expected);
    let expected = [(KeptOut::ToolMessages, 2), (KeptOut::OtherParts, 2)];
    assert_eq!(kept_out(&report), expected);
}

#[test]
fn wildfeedback() {
    let (lines, report) = told_and_forced("wildfeedback_annotation.json", Format::WildFeedback);
    let without_ids: Vec<&str> = lines.iter().map(|line| line.split_once(": ").unwrap().1).collect();
    let expected = [
        "u tea? | a green | u I asked for black | a  | u and coffee? \
         !1 annotated dsat=true sat=false \"The user says that the request was ignored.\" !3 annotated dsat=false sat=false",
        "u sum? | a 4 | u no! cake now | a flour | u great !3 annotated dsat=false sat=true \"Praise.\"",
    ];
    assert_eq!(without_ids, expected);
    assert_eq!((report.chats, report.explicit), (2, 3));
    let (lines, _) = told_and_forced("wildfeedback_rows.json", Format::Pairs);
    assert_eq!(lines, ["pair: u q | a a | u q2 > a good < a bad"]);
}

#[test]
fn preferences() {
    let (lines, report) = told_and_forced("pairs.jsonl", Format::Pairs);
    assert_eq!(lines, ["pair: u q > a c < a r"; 3]);
    assert_eq!(report.skipped[&Reason::WrongShape], 1);

    let (lines, report) = told_and_forced("hh_rlhf.jsonl", Format::HhRlhf);
    let prompt = "u What is tea? | a A drink. | u And//coffee?";
    assert!(lines[0].ends_with(&format!(": {prompt} | a A drink too.")), "{}", lines[0]);
    assert_eq!(lines[1], format!("pair: {prompt} > a A drink too. < a Go away."));
    assert_eq!(lines[2..], ["pair: u Hi > a Hello! < a No."]);
    assert_eq!(report.skipped[&Reason::WrongShape], 1);

    let (lines, _) = told_and_forced("ultrafeedback.jsonl", Format::UltraFeedback);
    let without_ids: Vec<&str> = lines.iter().map(|line| line.split_once(": ").unwrap().1).collect();
    let expected = [
        "u Name a tea. | a Assam !1 8 of 1..10 \"Fine.\"",
        "u Name a tea. | a Coffee !1 2 of 1..10",
        "u Name a tea. | a Tea !1 3.5 of 1..5",
        "u Name a tea. > a Assam < a Coffee",
    ];
    assert_eq!(without_ids, expected);

    let (lines, report) = told_and_forced("kto.jsonl", Format::Kto);
    let without_ids: Vec<&str> = lines.iter().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(without_ids, ["u q | a a !1 up", "u q2 | a a2 !1 down"]);
    assert_eq!(report.skipped[&Reason::WrongShape], 1);
}

#[test]
fn open_assistant() {
    let (lines, report) = told_and_forced("oasst_trees.jsonl", Format::OasstTree);
    let expected = [
        "t1: u bread? | a flour !1 0.25 of 0..1 !1 down",
        "t1#branch-2 +1: u bread? | a water and flour | u yeast? !1 0.75 of 0..1",
        "pair: u bread? > a water and flour < a flour",
    ];
    // the first of two siblings was not regenerated by a user: a volunteer wrote the other
    assert_eq!(lines, expected);
    assert_eq!(kept_out(&report), [(KeptOut::HiddenMessages, 1)]);
    let (lines, _) = told_and_forced("oasst_messages.jsonl", Format::OasstMessages);
    let expected =
        ["t1: u bread? | a flour !1 0.25 of 0..1", "t1#branch-2 +1: u bread? | a water and flour", "t2: u salt?"];
    assert_eq!(lines, expected);
}

#[test]
fn traces() {
    let (lines, report) = told_and_forced("langfuse.jsonl", Format::Langfuse);
    let expected = [
        "s1#branch-t1 by ann: u q | a a !1 down \"wrong\"",
        "s1#branch-t2 by ann +2: u q | a a | u again | a b !3 4 of 1..5",
    ];
    assert_eq!(lines[..2], expected);
    // a trace without texts of its own stands for its generation
    assert!(lines[2].ends_with(": u deep | a down"), "{}", lines[2]);
    assert_eq!(lines[3..], ["s3#branch-t5: u p | a r", "s4#branch-t6: u p2 | a r2"]);
    assert_eq!(kept_out(&report), [(KeptOut::RecordsWithoutMessages, 1), (KeptOut::OtherScores, 1)]);

    let (lines, report) = told_and_forced("langsmith.jsonl", Format::LangSmith);
    assert_eq!(lines[0], "th1#branch-run1 by bob: u q | a a !1 0 of 0..1 \"no\"");
    assert_eq!(lines[1], "th2#branch-run3: u bulk | a yes !1 1 of 0..1");
    assert!(lines[2].ends_with("#branch-run5: u state | a machine"), "{}", lines[2]);
    assert_eq!(kept_out(&report), [(KeptOut::RecordsWithoutMessages, 1), (KeptOut::RepeatedChats, 1)]);
}

#[test]
fn feedback_in_a_file_of_its_own_finds_its_answers() {
    let (lines, _) = told_and_forced("tensorzero.jsonl", Format::TensorZero);
    assert_eq!(lines[0], "e1#branch-i1 by eve: s s | u q | a a");
    assert_eq!(lines[2], "e3#branch-i3: u q3 | a {\"k\":1}");
    // whatever the order of the files
    for names in [["tensorzero.jsonl", "tensorzero_feedback.jsonl"], ["tensorzero_feedback.jsonl", "tensorzero.jsonl"]]
    {
        let (lines, report) = read(&LogReader::default(), &names);
        let expected = [
            "e1#branch-i1 by eve: s s | u q | a a !2 down !2 commented \"too long\"",
            "e2#branch-i2: u q2 | a a2 !1 edited: better !1 4.5 of 1..5",
            "e3#branch-i3: u q3 | a {\"k\":1}",
        ];
        assert_eq!(lines, expected);
        let expected = [(KeptOut::ToolMessages, 1), (KeptOut::OtherScores, 1), (KeptOut::FeedbackWithoutAnswer, 1)];
        assert_eq!(kept_out(&report), expected);
        assert_eq!(report.scales["user_rating"], Scale { min: 1.0, max: 5.0 });
    }
    // a scale that is given wins, and what lies outside of it is counted
    let reader = LogReader { scale: Some(Scale { min: 0.0, max: 4.0 }), ..LogReader::default() };
    let (_, report) = read(&reader, &["tensorzero.jsonl", "tensorzero_feedback.jsonl"]);
    assert_eq!(report.kept_out[&KeptOut::ScoresOutsideScale], 1);
}

#[test]
fn tables() {
    let (lines, report) = told_and_forced("rows.csv", Format::Columns);
    let expected = [
        "s1 by u1: u hi, \"you\" | a line one/line two | u thanks !1 1 of 1..5",
        "s2 by u2 (opted out): u other | a an answer !1 5 of 1..5",
    ];
    assert_eq!(lines, expected);
    assert_eq!((report.skipped[&Reason::UnknownRole], report.skipped[&Reason::NoRecord]), (1, 1));
    let text = std::fs::read_to_string(fixture("rows.csv")).unwrap();
    let places: Vec<u64> = report.first_skipped.iter().map(|skipped| skipped.byte).collect();
    assert_eq!(places, ["s2,assistant\n", "s2,ghost"].map(|row| text.find(row).unwrap() as u64));

    let columns: Columns =
        "conversation=chat,request=data.question,answer=reply,rating=vote,comment=note".parse().unwrap();
    let reader = LogReader { columns: Some(columns), ..LogReader::default() };
    let (lines, _) = read(&reader, &["exchanges.jsonl"]);
    assert_eq!(lines, ["x: u q1 | a a1 | u q2 | a a2 !1 down \"wrong year\"", "y: u q3"]);
}

#[test]
fn every_chat_has_an_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let chat = |id: &str, text: &str| {
        format!("{{\"id\":\"{id}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}\n")
    };
    let log = [chat("X", "a"), chat("X#again-2", "b"), chat("X", "c"), chat("X", "d")].concat();
    std::fs::write(&path, log).unwrap();
    let mut ids = Vec::new();
    let mut on_chat = |chat: drift_chat::Chat| {
        ids.push(chat.id);
        std::ops::ControlFlow::Continue(())
    };
    let report = LogReader::default().chats(&[&path], &mut on_chat, &mut |_, _| ()).unwrap();
    assert_eq!((ids.len(), report.same_id), (4, 2));
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 4, "{ids:?}");
    assert!(ids.iter().all(|id| drift_chat::conversation_of(id) == "X"), "{ids:?}");
}

#[test]
fn parquet() {
    let (lines, report) = told_and_forced("wildchat.parquet", Format::WildChat);
    assert_eq!(lines, ["h1 by u1: u q | a ", "h2: ", "h3 by u2: u né | a a"]);
    assert_eq!((report.empty_chats, report.bytes), (1, 3));
    let (lines, _) = told_and_forced("rows.parquet", Format::Columns);
    assert_eq!(lines, ["7: u q | a a !1 2 of 1..5", "8: u alone"]);
}

#[test]
fn packed_logs_read_alike_and_keep_what_comes_before_damage() {
    let folder = tempfile::tempdir().unwrap();
    let plain = std::fs::read(fixture("openai_log.jsonl")).unwrap();
    let (expected, _) = read(&LogReader::default(), &["openai_log.jsonl"]);
    let gzip = |bytes: &[u8]| {
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let half = plain.iter().position(|&b| b == b'\n').unwrap() + 1;
    let packed = [
        gzip(&plain),
        zstd(&plain),
        [gzip(&plain[..half]), gzip(&plain[half..])].concat(),
        [zstd(&plain[..half]), zstd(&plain[half..])].concat(),
    ];
    let path = folder.path().join("log");
    let path = path.to_str().unwrap();
    for bytes in &packed {
        std::fs::write(path, bytes).unwrap();
        let (lines, report) = read(&LogReader::default(), &[path]);
        assert_eq!((lines, report.bytes), (expected.clone(), plain.len() as u64));
        // places count in the unpacked stream
        assert!(report.skipped.is_empty());
    }
    // two members, the second cut off: the first is whole
    for (first, bytes) in [(gzip(&plain[..half]), &packed[2]), (zstd(&plain[..half]), &packed[3])] {
        std::fs::write(path, &bytes[..first.len() + 20]).unwrap();
        let (lines, report) = read(&LogReader::default(), &[path]);
        assert_eq!(lines, expected[..1]);
        assert_eq!(report.skipped[&Reason::CannotUnpack], 1);
        assert_eq!(report.first_skipped[0].byte, half as u64);
    }
}
