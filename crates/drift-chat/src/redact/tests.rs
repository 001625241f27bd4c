use super::*;
use crate::types::{Explicit, Message, Role, Signal};
use proptest::prelude::*;
use std::sync::LazyLock;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);
static WITH_NAMES: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(true));

fn chat(texts: &[&str]) -> Chat {
    let message = |text: &&str| Message { role: Role::User, content: text.to_string() };
    Chat { id: "c".into(), messages: texts.iter().map(message).collect(), ..Chat::default() }
}

fn redacted_with(redactor: &Redactor, texts: &[&str]) -> (Vec<String>, BTreeMap<Secret, u64>) {
    let mut chat = chat(texts);
    let hits = redactor.find(&chat);
    let counts = Pseudonyms::new([7; 32]).replace(&mut chat, &hits);
    (chat.messages.into_iter().map(|m| m.content).collect(), counts)
}

fn redacted(texts: &[&str]) -> (Vec<String>, BTreeMap<Secret, u64>) {
    redacted_with(&REDACTOR, texts)
}

#[test]
fn each_kind_is_found_and_numbered() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
    let (texts, counts) = redacted(&[
        "mail Ann@Example.com or bob@example.co.uk",
        "ann@example.com, card 4111 1111 1111 1111, IBAN GB82 WEST 1234 5698 7654 32 TODAY.",
        "from 192.168.0.12 and 2001:db8::ff00:42:8329 call +49 30 1234567 or (212) 555-0182",
        &format!("{key} and sk-abcdefghijk1mnopqrstuvwx"),
        "postgres://app:s3cr3t/x@db/x mac 00:1b:44:11:3a:b7 ssn 536-22-1234, Authorization: Bearer abc123def456ghi7",
        "password: hunter22, eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ]);
    assert_eq!(texts[0], "mail <EMAIL_1> or <EMAIL_2>");
    assert_eq!(texts[1], "<EMAIL_1>, card <CARD_1>, IBAN <IBAN_1> TODAY.");
    assert_eq!(texts[2], "from <IP_1> and <IP_2> call <PHONE_1> or <PHONE_2>");
    assert_eq!(texts[3], "<PRIVATE_KEY_1> and <API_KEY_1>");
    assert_eq!(texts[5], "password: <PASSWORD_1>, <JWT_1>");
    assert_eq!(counts[&Secret::Email], 3);
}

#[test]
fn what_stands_around_a_secret_stays() {
    let (texts, _) = redacted(&[
        "postgres://app:s3cr3t@db/x",
        "Authorization: Bearer abc123def456ghi7.",
        r#"{"api_key": "8f14e45fceea167a5a36dedd4bea2543"}"#,
        "mac 00:1b:44:11:3a:b7 ssn 536-22-1234",
    ]);
    assert_eq!(texts[0], "postgres://app:<PASSWORD_1>@db/x");
    assert_eq!(texts[1], "Authorization: Bearer <BEARER_1>.");
    assert_eq!(texts[2], r#"{"api_key": "<API_KEY_1>"}"#);
    assert_eq!(texts[3], "mac <MAC_1> ssn <SSN_1>");
}

#[test]
fn what_only_looks_alike_stays() {
    for text in [
        "card 4111 1111 1111 1112, version 1.2.3.400, std::fmt::Debug, cafe::bed::Ace, at 10:20:30",
        "2023-04-05, 3.14159265358979, IBAN GB82 WEST 1234 5698 7654 33, user@host, sk-short",
        "icon@2x.png git@github.com:a/b.git react@17.0.2 127.0.0.1:8080 255.255.255.0 v10.20.30.40",
        "sk-estate-planning-documents-and-more password = input('password') token = get_token(request)",
        "password: String, api_key=YOUR_API_KEY_GOES_HERE1 mongodb://user:password@localhost",
        "rows 026 027 028 029 030 031 and 857 979 793 1187 958, 046-416-809, file number is 5250511",
        "postgresql://myuser:mypassword@localhost nmap 10.20.30.0/24 1266636910371648",
        "uses actions/cache@v3.When, api_key = settings.MSG91_API_KEY2, postgresql://admin:...@db/main",
        "1680000000123 microseconds, x+1000000000, rows 2023 1024 4096, 12345678901234567890123",
    ] {
        assert_eq!(redacted(&[text]).0, [text]);
    }
}

#[test]
fn a_second_pass_changes_nothing() {
    let (once, _) = redacted(&["a@b.de 4111111111111111 10.0.0.1 +1 212 555 0182 password: hunter22"]);
    let (twice, counts) = redacted(&[&once[0]]);
    assert_eq!(once, twice);
    assert!(counts.is_empty());
}

#[test]
fn one_number_in_the_whole_run_whatever_the_key() {
    let redactor = &REDACTOR;
    let texts = ["write to b@x.org", "a@x.org or B@X.org", "+1 (212) 555-0182, 212-555-0182"];
    let run = |key: [u8; 32]| -> Vec<String> {
        let mut pseudonyms = Pseudonyms::new(key);
        let one = |text: &&str| {
            let mut chat = chat(&[text]);
            let hits = redactor.find(&chat);
            pseudonyms.replace(&mut chat, &hits);
            chat.messages.remove(0).content
        };
        texts.iter().map(one).collect()
    };
    assert_eq!(run([1; 32]), ["write to <EMAIL_1>", "<EMAIL_2> or <EMAIL_1>", "<PHONE_1>, <PHONE_2>"]);
    assert_eq!(run([1; 32]), run([2; 32]));
}

#[test]
fn comments_and_corrected_answers_are_redacted_too() {
    let judged = |signal, comment: Option<&str>| Explicit { message: 0, signal, comment: comment.map(String::from) };
    let explicit = vec![
        judged(Signal::Edited(Some("write to a@b.de".into())), None),
        judged(Signal::Thumbs(false), Some("not c@d.de, a@b.de")),
    ];
    let mut chat = Chat { explicit, ..Chat::default() };
    let hits = REDACTOR.find(&chat);
    Pseudonyms::new([7; 32]).replace(&mut chat, &hits);
    assert_eq!(chat.explicit[0].signal, Signal::Edited(Some("write to <EMAIL_1>".into())));
    assert_eq!(chat.explicit[1].comment.as_deref(), Some("not <EMAIL_2>, <EMAIL_1>"));
}

#[test]
fn names_only_where_asked_for_and_then_in_the_whole_chat() {
    let texts = ["My name is Erika Mustermann.", "Dear Erika, the Dear Sir joke is for Mustermann.", "the erika plant"];
    assert_eq!(redacted(&texts).0, texts);
    let (texts, counts) = redacted_with(&WITH_NAMES, &texts);
    assert_eq!(texts[0], "My name is <NAME_1>.");
    assert_eq!(texts[1], "Dear <NAME_2>, the Dear Sir joke is for <NAME_3>.");
    assert_eq!(texts[2], "the erika plant");
    assert_eq!(counts[&Secret::Name], 3);
}

#[test]
fn a_hostile_text_takes_time_in_proportion_to_its_length() {
    // a search that started anew at every byte would never end here
    for unit in ["a@", "1111 ", "AAAA", "A1b2", "::1", "-----BEGIN PRIVATE KEY-----", "password=", "://a:b", "key: "] {
        let text = unit.repeat(50_000 / unit.len());
        let (texts, _) = redacted(&[&text]);
        assert!(texts[0].len() <= text.len());
    }
}

proptest! {
    /// Hits are in order, apart, on borders of characters, whatever the text.
    #[test]
    fn hits_are_ranges_of_the_text(text in "[a-c@.:0-9 +()é-]{0,80}|\\PC{0,80}") {
        let chat = chat(&[&text]);
        let hits = WITH_NAMES.find(&chat).remove(0);
        let mut from = 0;
        for hit in hits {
            prop_assert!(hit.range.start >= from && hit.range.start < hit.range.end);
            prop_assert!(text.get(hit.range.clone()).is_some());
            from = hit.range.end;
        }
    }
}
