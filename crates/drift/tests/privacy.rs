//! `drift forget` and consent on a whole run of a tiny model.

mod common;

use common::{World, chats};
use drift::run_folder::Manifest;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn manifest(folder: &Path) -> Manifest {
    serde_json::from_str(&std::fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap()
}

/// Every file of a folder with its text, checkpoints left out.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("checkpoint") => {}
            true => found.extend(texts(&path)),
            false => found.push((path.clone(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned())),
        }
    }
    found
}

fn holding(run: &Path, needle: &str) -> Vec<PathBuf> {
    texts(run).into_iter().filter(|(_, text)| text.contains(needle)).map(|(path, _)| path).collect()
}

#[test]
fn a_forgotten_conversation_leaves_every_file_and_does_not_come_back() {
    let world = World::new();
    world.config("run.toml", "run", "");
    world.ok(&["run", "run.toml"]);
    let run = world.path("run");
    let pairs = rows(&run.join("iter-1/pair/pairs.jsonl"));
    let id = pairs[0]["conversation"].as_str().unwrap().to_string();
    let (key, question) = (format!("\"{id}\""), pairs[0]["prompt"][0]["content"].as_str().unwrap().to_string());
    let review = json!({ "key": format!("{id}:2"), "label": "DSAT", "by": "review", "at": 1, "mode": "random" });
    let other = json!({ "key": "chat-99:2", "label": "DSAT", "by": "review", "at": 1, "mode": "random" });
    std::fs::create_dir(run.join("review")).unwrap();
    std::fs::write(run.join("review/corrections.jsonl"), format!("{review}\n{other}\n")).unwrap();
    assert!(holding(&run, &key).len() >= 4 && holding(&run, &question).len() >= 3);
    let before = manifest(&run.join("detect")).counts;

    let said = world.ok(&["forget", "run", "--conversation", &id]);
    assert!(said.contains("iter-1/train/checkpoint: trained on 1 pairs of it"), "{said}");
    assert!(said.contains("iter-2/train/checkpoint"), "{said}");
    assert_eq!(holding(&run, &key), Vec::<PathBuf>::new());
    assert_eq!(holding(&run, &question), Vec::<PathBuf>::new());
    assert_eq!(rows(&run.join("review/corrections.jsonl")), [other]);
    let after = manifest(&run.join("detect")).counts;
    assert_eq!((after.out, after.dropped["forgotten"]), (before.out - 1, 1));

    // Detection, the samples and pairs of the first iteration still count as done; its training does not.
    let listed: Vec<Value> = rows(&run.join("detect/cases.jsonl"));
    std::fs::remove_file(run.join("review/corrections.jsonl")).unwrap();
    let output = world.drift().args(["-v", "run", "run.toml"]).output().unwrap();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{talk}");
    for done in ["detect: as before", "iter-1/sample: as before", "iter-1/pair: as before"] {
        assert!(talk.contains(done), "{done}: {talk}");
    }
    assert!(talk.contains("iter-1/train its config, inputs or files have changed"), "{talk}");
    assert_eq!(rows(&run.join("detect/cases.jsonl")), listed);

    // A detection from the start leaves it out too.
    std::fs::remove_dir_all(run.join("detect")).unwrap();
    world.ok(&["run", "run.toml"]);
    assert_eq!(holding(&run, &key), Vec::<PathBuf>::new());
    assert_eq!(manifest(&run.join("detect")).counts.dropped["record_forgotten"], 1);
    assert_eq!(world.ok(&["forget", "run", "--conversation", "never-seen"]), "");
}

#[test]
fn corrections_win_at_the_next_detection() {
    let world = World::new();
    std::fs::write(world.path("few.jsonl"), chats(3)).unwrap();
    world.ok(&["detect", "few.jsonl", "--out", "found"]);
    let (found, cases) = (world.path("found"), rows(&world.path("found/cases.jsonl")));
    assert_eq!(cases.len(), 3);
    let key = cases[0]["key"].as_str().unwrap();
    let said = json!({ "key": key, "label": "NONE", "by": "review", "at": 1, "mode": "random" });
    let unknown = json!({ "key": "nobody:2", "label": "NONE", "by": "review", "at": 1, "mode": "random" });
    std::fs::write(world.path("saved.jsonl"), format!("{said}\n{unknown}\n")).unwrap();
    world.ok(&["review", "found", "--import", "saved.jsonl"]);
    assert_eq!(rows(&found.join("review/corrections.jsonl")), [said]);

    world.ok(&["detect", "few.jsonl", "--out", "found"]);
    let again = rows(&found.join("cases.jsonl"));
    assert_eq!(again, cases[1..]);
    assert_eq!(manifest(&found).counts.noted["corrected_by_review"], 1);
    let page = world.ok(&["review", "found", "--export", "page.html"]);
    assert_eq!(page, "page.html\n");
    assert!(std::fs::read_to_string(world.path("page.html")).unwrap().contains("What is"));
    let error = world.error(&["review", "nowhere"]);
    assert!(error.contains("nowhere: no such file, expected a run folder"), "{error}");
}

#[test]
fn who_opted_out_is_left_out_and_a_user_is_forgotten_whole() {
    let world = World::new();
    let mut table = "conversation_id,role,content,user,opted_out\n".to_string();
    for (chat, user, out) in [("a", "ann", "no"), ("b", "bob", "yes"), ("c", "ann", "no"), ("d", "dan", "no")] {
        table += &format!(
            "{chat},user,What is 6 times 7 for {chat}?,{user},{out}\n{chat},assistant,It is 41.,{user},{out}\n\
             {chat},user,\"No, that is wrong. You made a mistake, please correct it.\",{user},{out}\n\
             {chat},assistant,I apologize for the mistake. It is 42.,{user},{out}\n"
        );
    }
    std::fs::write(world.path("table.csv"), table).unwrap();
    world.ok(&["detect", "table.csv", "--out", "found"]);
    let found = world.path("found");
    let conversations = || -> Vec<String> {
        let of = |row: &Value| row["conversation"].as_str().unwrap().to_string();
        let mut all: Vec<String> = rows(&found.join("cases.jsonl")).iter().map(of).collect();
        all.sort();
        all
    };
    assert_eq!(conversations(), ["a", "c", "d"]);
    assert_eq!(manifest(&found).counts.dropped["record_opted_out"], 1);
    assert_eq!(holding(&found, "bob"), Vec::<PathBuf>::new());
    // users are kept as hashes alone, and all that one of them said is on one side
    assert_eq!(holding(&found, "ann"), Vec::<PathBuf>::new());
    let users = rows(&found.join("users.jsonl"));
    assert_eq!(users.len(), 3);
    assert_eq!(users[0]["user"], users[1]["user"]);

    world.ok(&["forget", "found", "--user", "ann"]);
    assert_eq!(conversations(), ["d"]);
    assert_eq!(rows(&found.join("users.jsonl")).len(), 1);
    let talk = world.drift().args(["detect", "table.csv", "--out", "found"]).output().unwrap();
    assert!(String::from_utf8_lossy(&talk.stderr).contains("(as before)"));
    std::fs::rename(found.join("manifest.json"), found.join(".unfinished")).unwrap();
    world.ok(&["detect", "table.csv", "--out", "found"]);
    assert_eq!(conversations(), ["d"]);
    assert_eq!(manifest(&found).counts.dropped["record_forgotten"], 2);
}

#[test]
fn an_address_as_an_id_is_kept_nowhere_and_can_still_be_forgotten() {
    let world = World::new();
    let chat = |id: &str, n: usize| {
        let said = [
            ("user", format!("What is {n} times 7?")),
            ("assistant", format!("It is {n}.")),
            ("user", "No, that is wrong.".into()),
        ];
        let messages: Vec<Value> = said.iter().map(|(role, text)| json!({ "role": role, "content": text })).collect();
        format!("{}\n", json!({ "id": id, "messages": messages }))
    };
    std::fs::write(world.path("log.jsonl"), chat("ann@mail.example.org", 3) + &chat("plain", 4) + &chat("plain", 5))
        .unwrap();
    let found = world.path("found");
    // What stands for an address is drawn at random, and with it the side of the split and so the place in the file.
    let ids_of = |folder: &Path| -> Vec<String> {
        let mut ids: Vec<String> =
            rows(&folder.join("cases.jsonl")).iter().map(|row| row["conversation"].as_str().unwrap().into()).collect();
        ids.sort();
        ids
    };
    let ids = || ids_of(&found);
    world.ok(&["detect", "log.jsonl", "--out", "found"]);
    let first = ids();
    assert!(first[0].starts_with("chat-") && first[1..] == ["plain", "plain"], "{first:?}");
    assert_eq!(holding(&found, "ann@"), Vec::<PathBuf>::new());
    assert_eq!(manifest(&found).counts.noted["redacted_chat_id"], 1);
    // the second of one id has turns of its own
    let mut keys: Vec<Value> = rows(&found.join("cases.jsonl")).iter().map(|row| row["key"].clone()).collect();
    keys.retain(|key| key.as_str().unwrap().starts_with("plain"));
    assert_eq!(keys, [json!("plain:2"), json!("plain#again-2:2")]);
    // the same in every detection of this folder
    std::fs::remove_file(found.join("manifest.json")).unwrap();
    std::fs::write(found.join(".unfinished"), "").unwrap();
    world.ok(&["detect", "log.jsonl", "--out", "found"]);
    assert_eq!(ids(), first);

    // by what the files and the review page show of it
    let copy = world.path("copy");
    world.ok(&["detect", "log.jsonl", "--out", "copy"]);
    let shown = ids_of(&copy)[0].clone();
    world.ok(&["forget", "copy", "--conversation", &shown]);
    std::fs::remove_file(copy.join("manifest.json")).unwrap();
    std::fs::write(copy.join(".unfinished"), "").unwrap();
    world.ok(&["detect", "log.jsonl", "--out", "copy"]);
    assert_eq!(manifest(&copy).counts.dropped["record_forgotten"], 1);

    world.ok(&["forget", "found", "--conversation", "ann@mail.example.org"]);
    assert_eq!(ids(), ["plain", "plain"]);
    world.ok(&["forget", "found", "--conversation", "plain"]);
    assert_eq!(ids(), [""; 0]);

    world.ok(&["convert", "log.jsonl", "--to", "sharegpt", "--out", "shared.jsonl"]);
    let shared = std::fs::read_to_string(world.path("shared.jsonl")).unwrap();
    assert!(shared.contains("\"<EMAIL_1>\"") && !shared.contains("ann@"), "{shared}");
}

#[test]
fn two_users_of_one_id_are_both_known_and_a_table_keeps_no_address() {
    let world = World::new();
    let mut table = "conversation_id,role,content,user\n".to_string();
    for (n, user) in [(3, "ann"), (4, "bob@mail.example.org")] {
        table += &format!(
            "7,user,What is {n} times 7?,{user}\n7,assistant,It is {n}.,{user}\n7,user,\"No, that is wrong.\",{user}\n"
        );
        table += &format!("between-{n},user,hello,{user}\n");
    }
    std::fs::write(world.path("table.csv"), table).unwrap();
    world.ok(&["detect", "table.csv", "--out", "found"]);
    assert_eq!(rows(&world.path("found/cases.jsonl")).len(), 2);
    // what cannot be told apart goes whole
    world.ok(&["forget", "found", "--user", "ann"]);
    assert_eq!(holding(&world.path("found"), "What is 3 times 7?"), Vec::<PathBuf>::new());
    world.ok(&["convert", "table.csv", "--to", "parquet", "--out", "table.parquet"]);
    let bytes = std::fs::read(world.path("table.parquet")).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("bob@"));
}
