//! What a mistake on the command line must not destroy, or leave out in silence.

mod common;

use common::World;

const TRACE: &str = r#"{"id":"1","input":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"No, that is wrong"}],"output":{"role":"assistant","content":"c"},"sessionId":"s","userId":"u","timestamp":"2025-01-01T00:00:00Z","name":"n"}"#;

#[test]
fn an_output_that_is_an_input_is_refused() {
    let world = World::new();
    let log = std::fs::read(world.path("chats.jsonl")).unwrap();
    for args in [
        &["convert", "chats.jsonl", "--to", "openai", "--out", "chats.jsonl"][..],
        &["detect", "train", "l.jsonl", "--logs", "chats.jsonl", "--tier", "fast", "--out", "./chats.jsonl"],
        &["detect", "eval", "l.jsonl", "--logs", "chats.jsonl", "--errors-file", "chats.jsonl"],
    ] {
        let error = world.error(args);
        assert!(error.contains("chats.jsonl: is read by this command"), "{error}");
        assert_eq!(std::fs::read(world.path("chats.jsonl")).unwrap(), log);
    }
}

#[test]
fn files_of_others_in_the_folder_are_not_written_over() {
    let world = World::new();
    std::fs::create_dir(world.path("mine")).unwrap();
    for name in ["labels.jsonl", "manifest.json"] {
        std::fs::write(world.path("mine").join(name), "mine").unwrap();
        let error = world.error(&["detect", "chats.jsonl", "--out", "mine"]);
        assert!(error.contains(&format!("mine/{name}: there already, and not of an earlier call")), "{error}");
        assert_eq!(std::fs::read_dir(world.path("mine")).unwrap().count(), 1);
        std::fs::remove_file(world.path("mine").join(name)).unwrap();
    }
    std::fs::write(world.path("mine/notes.txt"), "mine").unwrap();
    world.ok(&["detect", "chats.jsonl", "--out", "mine"]);
}

#[test]
fn a_log_that_cannot_be_read_leaves_what_was_found_before() {
    let world = World::new();
    world.ok(&["detect", "chats.jsonl", "--out", "found"]);
    let manifest = std::fs::read(world.path("found/manifest.json")).unwrap();
    std::fs::write(world.path("other.jsonl"), "{\"messages\": 1}\n{\"messages\": 2}\n").unwrap();
    let error = world.error(&["detect", "other.jsonl", "--out", "found"]);
    assert!(error.contains("no chat among 2 records"), "{error}");
    assert_eq!(std::fs::read(world.path("found/manifest.json")).unwrap(), manifest);
}

#[test]
fn what_a_killed_detection_was_writing_goes_with_the_next() {
    let world = World::new();
    std::fs::create_dir(world.path("found")).unwrap();
    std::fs::write(world.path("found/.rows-a1B2c3.tmp"), "half").unwrap();
    world.ok(&["detect", "chats.jsonl", "--out", "found"]);
    assert!(!world.path("found/.rows-a1B2c3.tmp").exists() && world.path("found/labels.jsonl").exists());
}

#[test]
fn a_column_that_no_record_has_is_an_error() {
    let world = World::new();
    std::fs::write(world.path("t.csv"), "who,text,no,out\nuser,hello,1,no\nassistant,hi,1,no\n").unwrap();
    let columns = |opted_out: &str| format!("conversation=no,role=who,content=text,opted_out={opted_out}");
    let error = world.error(&["detect", "t.csv", "--columns", &columns("outt"), "--out", "found"]);
    assert!(
        error.contains("no record has the column \"outt\"") && !world.path("found/cases.jsonl").exists(),
        "{error}"
    );
    world.ok(&["convert", "t.csv", "--columns", &columns("out"), "--to", "openai", "--out", "ok.jsonl"]);
}

#[test]
fn a_trace_of_langfuse_is_known_by_its_keys() {
    let world = World::new();
    std::fs::write(world.path("t.jsonl"), TRACE).unwrap();
    world.ok(&["detect", "t.jsonl", "--out", "found"]);
    let cases = std::fs::read_to_string(world.path("found/cases.jsonl")).unwrap();
    assert_eq!(cases.lines().count(), 1);
}
