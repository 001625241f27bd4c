//! Whole files through `read_logs`: what comes back, what is counted, what is an error.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use drift_chat::{Chat, Error, Format, ReadReport, Reason, Role, read_cases, read_logs, read_pairs, write_jsonl};
use proptest::prelude::*;

fn read(paths: &[PathBuf]) -> Result<(Vec<Chat>, ReadReport), Error> {
    let mut chats = Vec::new();
    let mut on_chat = |chat| {
        chats.push(chat);
        ControlFlow::Continue(())
    };
    let report = read_logs(paths, &mut on_chat, &mut |_, _| {})?;
    Ok((chats, report))
}

fn read_bytes(bytes: &[u8]) -> Result<(Vec<Chat>, ReadReport), Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.json");
    std::fs::write(&path, bytes).unwrap();
    read(&[path])
}

/// Three conversations, pretty printed as the real file is.
fn sharegpt() -> String {
    let one = |id: &str| {
        serde_json::json!({"id": id, "conversations": [
            {"from": "human", "value": "say \"hi\" {[ \\ \u{1F600}"}, {"from": "gpt", "value": format!("hi from {id}")}]})
    };
    serde_json::to_string_pretty(&[one("aaaaaa1_0"), one("aaaaaa1_1"), one("bbbbbb2_0")]).unwrap()
}

fn openai() -> String {
    let row = |text: &str| {
        serde_json::json!({"messages": [{"role": "user", "content": text},
            {"role": "assistant", "content": [{"type": "text", "text": "an answer"}]}]})
    };
    ["one", "two", "three"].iter().map(|text| row(text).to_string() + "\n").collect()
}

fn wildchat() -> String {
    let row = |hash: &str| {
        serde_json::json!({"conversation_hash": hash, "model": "m", "conversation": [
            {"role": "user", "content": "q", "language": "English"}, {"role": "assistant", "content": "a"}]})
    };
    ["h1", "h2"].iter().map(|hash| row(hash).to_string() + "\n").collect()
}

fn cases() -> String {
    let row = |text: &str| {
        serde_json::json!({"prompt": [{"role": "user", "content": text}], "rejected": [{"role": "assistant", "content": "r"}],
            "user_preference": {"content": "no, shorter"}})
    };
    ["one", "two"].iter().map(|text| row(text).to_string() + "\n").collect()
}

fn pairs() -> String {
    let row = serde_json::json!({"prompt": [{"role": "user", "content": "q"}],
        "chosen": [{"role": "assistant", "content": "c"}], "rejected": [{"role": "assistant", "content": "r"}]});
    row.to_string() + "\n"
}

#[test]
fn each_format_is_found_from_its_content() {
    let found = |text: &str| {
        let (chats, report) = read_bytes(text.as_bytes()).unwrap();
        assert_eq!((chats.len() as u64, report.bytes), (report.chats, text.len() as u64));
        assert!(report.skipped.is_empty() && report.cuts.is_empty());
        (report.formats[0].1, chats.len())
    };
    assert_eq!(found(&sharegpt()), (Format::ShareGpt, 3));
    assert_eq!(found(&openai()), (Format::OpenAiMessages, 3));
    assert_eq!(found(&wildchat()), (Format::WildChat, 2));
    assert_eq!(found(&cases()), (Format::DriftCases, 2));
    // the same records without line breaks, as an array of rows, and after a byte order mark
    let compact: serde_json::Value = serde_json::from_str(&sharegpt()).unwrap();
    assert_eq!(found(&compact.to_string()), (Format::ShareGpt, 3));
    assert_eq!(found(&format!("[{}]", openai().trim().replace('\n', ","))), (Format::OpenAiMessages, 3));
    assert_eq!(found(&format!("\u{feff}{}", openai())), (Format::OpenAiMessages, 3));
    // objects that follow each other over several lines
    let objects = sharegpt().trim_matches(['[', ']']).replace("\n  },", "\n  }");
    assert_eq!(found(&objects), (Format::ShareGpt, 3));
}

#[test]
fn chats_keep_order_ids_and_places() {
    let text = sharegpt();
    let (chats, _) = read_bytes(text.as_bytes()).unwrap();
    let ids: Vec<_> = chats.iter().map(|chat| chat.id.as_str()).collect();
    assert_eq!(ids, ["aaaaaa1_0", "aaaaaa1_1", "bbbbbb2_0"]);
    assert_eq!(chats[0].messages[0].content, "say \"hi\" {[ \\ \u{1F600}");
    assert_eq!(chats[0].messages[1].role, Role::Assistant);
    for chat in &chats {
        assert_eq!(text.as_bytes()[chat.source.byte as usize], b'{');
    }
    let (rows, _) = read_bytes(openai().as_bytes()).unwrap();
    assert_eq!(rows[0].id.len(), 16, "an id from the content");
    assert_ne!(rows[0].id, rows[1].id);
}

#[test]
fn a_cut_file_gives_every_complete_conversation() {
    let text = sharegpt();
    let third = text.find("bbbbbb2_0").unwrap();
    let start = text[..third].rfind('{').unwrap();
    for end in start + 1..text.len() - 4 {
        let Some(cut) = text.get(..end) else { continue };
        let (chats, report) = read_bytes(cut.as_bytes()).unwrap();
        assert_eq!(chats.len(), 2, "cut at {end}");
        assert_eq!((report.cuts[0].record, report.cuts[0].end), (start as u64, end as u64));
    }
    // lines: a last line that ends early
    let text = openai();
    let (chats, report) = read_bytes(&text.as_bytes()[..text.len() - 5]).unwrap();
    assert_eq!((chats.len(), report.cuts.len(), report.skipped.len()), (2, 1, 0));
}

#[test]
fn one_bad_record_costs_one_record() {
    // lines: wrong type, bad UTF-8, no JSON
    let mut bytes = openai().into_bytes();
    let bad_from = bytes.len();
    bytes.extend(b"{\"messages\": 3}\n{\"messages\": \"\xff\"}\nnot json\n");
    bytes.extend(openai().bytes());
    let (chats, report) = read_bytes(&bytes).unwrap();
    assert_eq!(chats.len(), 6);
    assert_eq!(report.skipped.get(&Reason::WrongShape), Some(&1));
    assert_eq!(report.skipped.get(&Reason::BadUtf8), Some(&1));
    assert_eq!(report.skipped.get(&Reason::BadJson), Some(&1));
    assert_eq!(report.first_skipped[0].byte, bad_from as u64);

    // array: a lost quote, a lost bracket, a lost brace, junk, in the second of three conversations
    let text = sharegpt();
    let second = text.find("aaaaaa1_1").unwrap();
    for lost in ["\"value\"", "[", "]", "}"] {
        let at = second + text[second..].find(lost).unwrap();
        let damaged = text[..at].to_string() + &text[at + 1..];
        let (chats, report) = read_bytes(damaged.as_bytes()).unwrap();
        let ids: Vec<_> = chats.iter().map(|chat| chat.id.as_str()).collect();
        assert_eq!(ids, ["aaaaaa1_0", "bbbbbb2_0"], "without {lost}: {report:?}");
        assert_eq!(report.skipped.values().sum::<u64>(), 1, "without {lost}: {report:?}");
    }
    // a stray bracket is not the end, nor is the end of the first of two arrays
    let stray = text.replacen("\n  },\n", "\n  }],\n", 1);
    let (chats, report) = read_bytes(stray.as_bytes()).unwrap();
    assert_eq!((chats.len(), report.skipped.get(&Reason::NoRecord)), (3, Some(&1)));
    let (chats, report) = read_bytes([text.as_bytes(), text.as_bytes()].concat().as_slice()).unwrap();
    assert_eq!((chats.len(), report.skipped.get(&Reason::NoRecord)), (6, Some(&1)));
    let damaged = text.replacen("\"conversations\"", "#conversations\"", 1);
    let (chats, report) = read_bytes(damaged.as_bytes()).unwrap();
    assert_eq!((chats.len(), report.skipped.get(&Reason::NoRecord)), (2, Some(&1)));
}

/// The library behind panics on some of these.
#[test]
fn each_byte_of_a_parquet_file_may_be_damaged() {
    let whole = include_bytes!("fixtures/wildchat.parquet");
    let mut spoilt = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0xff;
        match read_bytes(&bytes) {
            Ok((_, report)) => spoilt += usize::from(report.skipped.contains_key(&Reason::NoRecord)),
            Err(error) => assert!(!error.to_string().contains('\n'), "byte {at}: {error}"),
        }
    }
    assert!(spoilt > 0);
}

#[test]
fn a_gigantic_line_is_passed_over() {
    let mut bytes = openai().into_bytes();
    let at = bytes.len() as u64;
    bytes.extend(b"{\"messages\": \"");
    bytes.resize(bytes.len() + drift_chat::MAX_RECORD_BYTES, b'x');
    bytes.extend(b"\"}\n");
    bytes.extend(openai().bytes());
    let (chats, report) = read_bytes(&bytes).unwrap();
    assert_eq!(chats.len(), 6);
    assert_eq!(report.skipped.get(&Reason::TooLarge), Some(&1));
    assert_eq!(report.first_skipped[0].byte, at);

    let text = sharegpt();
    let at = text.find("hi from aaaaaa1_1").unwrap();
    let huge = [&text.as_bytes()[..at], &vec![b'x'; drift_chat::MAX_RECORD_BYTES], &text.as_bytes()[at..]].concat();
    let (chats, report) = read_bytes(&huge).unwrap();
    assert_eq!((chats.len(), report.skipped.get(&Reason::TooLarge)), (2, Some(&1)));
}

#[test]
fn files_that_are_no_log_are_one_line_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| {
        let text = read(&[path.to_path_buf()]).unwrap_err().to_string();
        assert!(!text.contains('\n') && text.contains("; hint: "), "{text}");
        text
    };
    assert!(error(&folder.path().join("missing.json")).contains("cannot read"));
    assert!(error(folder.path()).contains("not their folder"));
    let cases: [(&[u8], &str); 9] = [
        (b"", "an empty file"),
        (b" \n", "white space"),
        (b"\x7fELF\0\0\0", "binary"),
        (b"\x1f\x8b\x08\0", "cannot be unpacked"),
        (b"hello world\n", "no JSON"),
        (b"[1, 2, 3]", "no known chat format"),
        (b"{\"a\": 1}\n{\"a\": 2}\n", "no known chat format"),
        (b"[", "no known chat format"),
        (b"{\"messages\": [", "no known chat format"),
    ];
    for (bytes, expected) in cases {
        let path = folder.path().join("log");
        std::fs::write(&path, bytes).unwrap();
        let text = error(&path);
        assert!(text.contains(expected), "{text}");
    }
    std::fs::write(folder.path().join("pairs"), pairs()).unwrap();
    assert!(error(&folder.path().join("pairs")).contains("preference pairs"));
}

#[test]
fn several_files_count_together_and_break_stops() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("a"), folder.path().join("b")];
    std::fs::write(&paths[0], sharegpt()).unwrap();
    std::fs::write(&paths[1], openai()).unwrap();
    let (chats, report) = read(&paths).unwrap();
    assert_eq!((chats.len(), report.formats.len()), (6, 2));

    let mut last = (0, 0);
    let mut seen = 0;
    let mut on_chat = |_| {
        seen += 1;
        if seen == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = read_logs(&paths, &mut on_chat, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!((seen, report.chats), (4, 4));
    assert_eq!(last.1, (sharegpt().len() + openai().len()) as u64);
}

#[test]
fn rows_are_read_strictly_and_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.jsonl");
    std::fs::write(&path, cases()).unwrap();
    let read_back = read_cases(&path).unwrap();
    assert_eq!(read_back.len(), 2);
    assert_eq!(read_back[0].id.len(), 16);
    assert_eq!(write_jsonl(&path, &read_back).unwrap(), 2);
    assert_eq!(read_cases(&path).unwrap(), read_back);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["cases.jsonl"], "no temporary file stays");
    assert!(
        write_jsonl(&folder.path().join("none/x.jsonl"), &read_back).unwrap_err().to_string().contains("cannot write")
    );

    std::fs::write(&path, format!("[{}]", cases().trim().replace('\n', ",\n"))).unwrap();
    assert_eq!(read_cases(&path).unwrap(), read_back, "an array reads the same");

    let sure = |confidence: f64| {
        let mut rows = read_back.clone();
        let evidence = serde_json::json!({"detector": "d", "rubric": "r", "confidence": confidence, "cue": null});
        rows[1].evidence = serde_json::from_value(evidence).unwrap();
        write_jsonl(&path, &rows).unwrap();
        read_cases(&path).map_err(|error| error.to_string())
    };
    assert!(sure(1.0).is_ok());
    assert!(sure(1.5).unwrap_err().contains("line 2: confidence is 1.5, expected 0 to 1"));

    let good = pairs();
    let check = |row: String, expected: &str| {
        std::fs::write(&path, format!("{good}\n{row}")).unwrap();
        let text = read_pairs(&path).unwrap_err().to_string();
        assert!(text.contains("line 3: ") && text.contains(expected) && !text.contains('\n'), "{text}");
    };
    check(good.replace(r#"[{"role":"user","content":"q"}]"#, "[]"), "`prompt` is empty");
    check(good.replace(r#""content":"c""#, r#""content":" ""#), "`chosen` is empty");
    check(good.replace(r#"[{"role":"assistant","content":"r"}]"#, "[]"), "`rejected` holds 0 messages");
    check(
        good.replace(r#""role":"assistant","content":"r""#, r#""role":"user","content":"r""#),
        "no assistant message",
    );
    check(good.replace("\"prompt\"", "\"promt\""), "missing field `prompt`");
    check(good.replace("\"prompt\"", "\"weight\":-1,\"prompt\""), "weight is -1.0, expected 0 to 1e6");
    check(good.replace("\"prompt\"", "\"weight\":1e300,\"prompt\""), "weight is 1e300, expected 0 to 1e6");
    check(good.replace("{\"role\"", "#"), "not JSON");
    check("3".to_string(), "expected struct Pair");
}

/// An edit of one byte: overwritten, put in, taken out, or the file cut off there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Edit {
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
}

fn edit() -> impl Strategy<Value = (prop::sample::Index, Edit)> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\\n".to_vec())];
    let edit = prop_oneof![
        byte.clone().prop_map(Edit::Set),
        byte.prop_map(Edit::Insert),
        Just(Edit::Remove),
        Just(Edit::Cut),
    ];
    (any::<prop::sample::Index>(), edit)
}

fn apply(bytes: &mut Vec<u8>, at: prop::sample::Index, edit: Edit) {
    let at = at.index(bytes.len().max(1));
    match edit {
        Edit::Set(byte) if at < bytes.len() => bytes[at] = byte,
        Edit::Insert(byte) => bytes.insert(at, byte),
        Edit::Remove if at < bytes.len() => drop(bytes.remove(at)),
        Edit::Set(_) | Edit::Remove => {}
        Edit::Cut => bytes.truncate(at),
    }
}

/// A valid file of each format with whole records and the number of its chats.
fn written() -> impl Strategy<Value = (String, usize)> {
    prop::sample::select(vec![(sharegpt(), 3), (openai(), 3), (wildchat(), 2), (cases(), 2), (pairs(), 0)])
}

/// A valid file of every format, plain and packed; or the one that `DRIFT_FUZZ` names (bench/fuzz).
fn every_format() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<(String, Vec<u8>)> =
        paths.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, sharegpt().as_bytes()).unwrap();
    let here = [
        ("sharegpt.json", sharegpt().into_bytes()),
        ("openai.jsonl", openai().into_bytes()),
        ("wildchat.jsonl", wildchat().into_bytes()),
        ("cases.jsonl", cases().into_bytes()),
        ("sharegpt.json.gz", gzip.finish().unwrap()),
        ("openai.jsonl.zst", zstd::encode_all(openai().as_bytes(), 1).unwrap()),
    ];
    files.extend(here.map(|(name, bytes)| (name.to_string(), bytes)));
    if let Some(wanted) = std::env::var("DRIFT_FUZZ").ok().filter(|wanted| !wanted.is_empty()) {
        files.retain(|(name, _)| *name == wanted);
    }
    files.into_iter().map(|(_, bytes)| bytes).collect()
}

proptest! {
    // 256 cases, more by PROPTEST_CASES (bench/fuzz).
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics(file in prop::sample::select(every_format()), edits in prop::collection::vec(edit(), 1..8)) {
        let mut bytes = file;
        for (at, edit) in edits {
            apply(&mut bytes, at, edit);
        }
        match read_bytes(&bytes) {
            Ok((chats, report)) => {
                prop_assert_eq!(report.chats, chats.len() as u64);
            }
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, &bytes).unwrap();
        for error in [read_cases(&path).err(), read_pairs(&path).err()].into_iter().flatten() {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn a_chat_lost_to_one_edit_is_a_skip_or_a_cut((text, chats) in written(), (at, edit) in edit()) {
        let mut bytes = text.clone().into_bytes();
        apply(&mut bytes, at, edit);
        // cut off right behind a line, lines leave no trace
        let traceless = edit == Edit::Cut && !text.starts_with('[');
        if let Ok((read, report)) = read_bytes(&bytes) {
            prop_assert!(traceless || read.len() >= chats || !report.skipped.is_empty() || !report.cuts.is_empty(), "{report:?}");
        }
    }
}
