//! IFBench: for every kind an answer that follows it and one that just does not; files that are refused; no text panics.

use drift_eval::ifbench::{Prompt, kinds, read_prompts, verdicts};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Kind, its arguments, an answer that follows, one that does not.
fn cases() -> Vec<(&'static str, Value, String, String)> {
    let none = || json!({});
    let of = |kind, arguments: Value, good: &str, bad: &str| (kind, arguments, good.to_string(), bad.to_string());
    let letters = "abcdefghijklmnopqrstuvwxyz".chars();
    let story = letters.map(|letter| format!("{letter}x went.")).collect::<Vec<_>>().join(" ");
    let africa = |n: u8| {
        let line = |i: u8| format!("\n- {}á", char::from(b'Y' - i / 3));
        format!("From Z:\n* Zimbabwe{}", (1..n).map(line).collect::<String>())
    };
    let options = "\nA) x\nB) x\nC) x\nD) x\nE) x\n";
    let quiz = |last: &str| {
        format!("Question 1: a?{options}Question 2. bb?{options}Question 3) ccc?{options}Question 4 {last}{options}")
    };
    let capitals = "Reykjavík, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, \
                    Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, \
                    Chișinău, Bern, Ljubljana, Zagreb";
    let cities = |rows| format!("ID,Country,City,Year,Count\n{}", "1,\"Chad, so\",c,2000,5\n".repeat(rows));
    let products =
        |field| format!("ProductID, \"Category\",Brand,Price,Stock\n{}1,b,c,d,{field}", "1,b,c,d,5\n".repeat(13));
    let grades = |field| {
        format!(
            "\"StudentID\"\t\"Subject\"\t\"Grade\"\t\"Semester\"\t\"Score\"{}",
            format!("\n\"a\"\t\"b\"\t\"c\"\t\"d\"\t{field}").repeat(3)
        )
    };
    let keywords = json!({"keyword1": "a1", "keyword2": "b2", "keyword3": "c3", "keyword4": "d4", "keyword5": "e5"});
    let request = "Write a short poem. Now!";
    vec![
        of("count:word_count_range", json!({"min_words": 2.0, "max_words": 3}), "It's so", "It's so, so"),
        of("count:unique_word_count", json!({"N": 3.0}), "One, two three", "One, (one) two"),
        of("count:conjunctions", json!({"small_n": 2}), "a and b, but c", "a and b and c"),
        of("count:person_names", json!({"N": 2}), "Emma met Leonard.", "Emma met emma."),
        of("count:numbers", json!({"N": 2}), "1,000.5 and 7a", "1 and 2 and 3"),
        of("count:punctuation", none(), "A, b; c: d. Oh?! Why? No!", "A, b; c: d. Oh?! No!"),
        of("count:words_japanese", json!({"N": 2}), "a (ねこ) b 7 c 日本", "a neko b 7"),
        of("count:pronouns", json!({"N": 3}), "She/her, it.", "She's hers. It."),
        of(
            "count:keywords_multiple",
            keywords,
            "A1b2b2 c3c3c3 d4d4d4d4d4 e5e5e5e5e5e5e5",
            "a1 a1b2b2 c3c3c3 d4d4d4d4d4 e5e5e5e5e5e5e5",
        ),
        of("ratio:stop_words", json!({"percentage": 50}), "the cat", "the cat's"),
        of("ratio:sentence_type", none(), "It is. So. Is it?", "It is. So. Is it? No."),
        of("ratio:sentence_balance", none(), "It is. Oh! Is it? Well", "It is. Oh!! Is it?"),
        // abc bcd | abc bcd cd_ d_x _xy: two of five.
        of("ratio:overlap", json!({"reference_text": "abcd", "percentage": 40}), "abcd xy", "abcd xyz"),
        of("ratio:sentence_words", none(), "One. Two. Six!", "One. Two. Four!"),
        of("words:alphabet", none(), "yes, zebras (all) bark", "Yes, zebras all climb"),
        of("words:vowel", none(), "Bananas in hell", "Bananas in hell\nagain"),
        of("words:consonants", none(), "Strong plants, yellow", "Strong plants are"),
        of("words:palindrome", none(), &"level, ".repeat(10), &("level, ".repeat(9) + "noon")),
        of("words:prime_lengths", none(), "It's not a-b three", "It's four"),
        of("words:start_verb", none(), "Take it.", "The take."),
        of("words:repeats", json!({"small_n": 2}), "so So no", "so So, so"),
        of("words:odd_even_syllables", none(), "Cat never sat, about added", "Cat never added, sat"),
        of("words:last_first", none(), "I see you. (You see me)! Me too?", "I see you. We see."),
        of("words:paragraph_last_first", none(), "\"So it is, so.\"\n\nYes", "So it is so.\n***"),
        of("words:no_consecutive", none(), "Two cats (too)", "Two cats, Chloe"),
        of(
            "words:keywords_specific_position",
            json!({"keyword": "sea", "n": 2, "m": 3}),
            "Oh. Well, sea. So",
            "Oh. The sea. So",
        ),
        of("words:words_position", json!({"keyword": "sea"}), "The sea is sea.", "The sea is sea blue."),
        of("sentence:alliteration_increment", none(), "A b. See some. Ten tall trees.", "See some. Ten tall."),
        of("sentence:keyword", json!({"word": "sea", "N": 2.0}), "Oh, Mr. Xi. Seasons!", "Sea. Oh!"),
        of("sentence:increment", json!({"small_n": 1}), "Oh. It - is. Is it so?", "Oh. It is. It is. So"),
        of("format:parentheses", none(), "([{(a [b)] ([{(a [b]", "([{(a) [b]"),
        of("format:quotes", none(), "\"a 'b \"c\" d' e\"", "\"a 'b' \"c\""),
        of("format:options", json!({"options": "yes/no/maybe"}), "Maybe!", "Maybe not"),
        of("format:options", json!({"options": "a), b), c), d)"}), "b)", "B)"),
        of("format:options", json!({"options": "I know or I don't know"}), "\"i don't know.\"", "I do"),
        of("format:newline", none(), "One\n\n-\ntwo,\n", "One\ntwo three"),
        of("format:emoji", none(), "It is ☀️. So! 🎉 Oh 👍🏽", "It is ☀. So."),
        of("format:line_indent", none(), "a\n b\n\n  c", "a\n b\n c"),
        of("format:quote_unquote", none(), "“Go” means go. \"So\" too", "\"Go\" means \"so\"."),
        of("format:list", json!({"sep": "!?!?"}), "!?!? a\n!?!? b", "!?!? a\n!? b"),
        of("format:thesis", none(), "Oh <em>it is</em> so", "<i>It is.</i> "),
        of("format:sub-bullets", none(), "* a\n - b\n* c\n - d", "* a\n - b\n* c"),
        of("format:no_bullets_bullets", none(), "It is. So.\n\n* a\n* b", "It is. So.\n\n\n* a\n* b"),
        of("format:title_case", none(), "The \"Sea\" Is X-y, 'So 7 McDonald", "The Sea Isn't Blue"),
        of("format:output_template", none(), "My Answer: a My Conclusion: b Future Outlook: c", "My answer: a"),
        of("format:no_whitespace", none(), "It.is", "It is"),
        of("custom:multiples", none(), "14,21, 28\n35 42 49.", "7 14 21 28 35 42 49"),
        of("custom:mcq_count_length", none(), &quiz("dddd?"), &quiz("ddd?")),
        of("custom:reverse_newline", none(), &africa(52), &africa(51)),
        of("custom:word_reverse", none(), "Eagle, bald the!", "bald eagle"),
        of("custom:character_reverse", none(), ".Elgae dlab ehT", "bald eagle"),
        of("custom:sentence_alphabet", none(), &story, &story.replace("kx", "lx")),
        of("custom:european_capitals_sort", none(), capitals, &capitals.replace("Oslo", "Bergen")),
        of("custom:csv_city", none(), &cities(7), &cities(8)),
        of("custom:csv_special_character", none(), &products("\"e, f\""), &products("\"e f\"")),
        of("custom:csv_quotes", none(), &grades("\"e\""), &grades("e")),
        of("custom:date_format_list", none(), "1796-04-12, 1815-06-18", "1796-04-31"),
        of("repeat:repeat_change", json!({"prompt_to_repeat": request}), "Compose a short poem.\nNow!", request),
        of("repeat:repeat_simple", none(), " Only output this sentence here, ignore all other requests.", "Only this."),
        of(
            "repeat:repeat_span",
            json!({"prompt_to_repeat": request, "n_start": 1, "n_end": 3.0}),
            "A short",
            "a short poem.",
        ),
    ]
}

fn row(key: usize, kind: &str, arguments: &Value) -> String {
    json!({"key": key, "prompt": "Write.", "instruction_id_list": [kind], "kwargs": [arguments]}).to_string()
}

fn read(text: &str) -> Result<Vec<Prompt>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.jsonl");
    std::fs::write(&path, text).unwrap();
    let prefix = format!("{}/", dir.path().display());
    read_prompts(&path).map_err(|error| error.to_string().replace(&prefix, ""))
}

fn all() -> Vec<Prompt> {
    let rows = cases().iter().enumerate().map(|(i, (kind, arguments, ..))| row(i, kind, arguments)).collect::<Vec<_>>();
    read(&rows.join("\n")).unwrap()
}

#[test]
fn each_kind_tells_a_hit_from_a_near_miss() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for ((kind, arguments, good, bad), prompt) in cases().iter().zip(all()) {
        for (answer, expected) in [(good.as_str(), true), (bad, false), ("", false), (" \n\t", false)] {
            if verdicts(&prompt, answer)[0].strict != expected {
                wrong.push(format!("{kind} {arguments}: {answer:?} should be {expected}"));
            }
        }
        seen.insert(*kind);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, kinds().map(|kind| kind.name).collect());
}

#[test]
fn a_frame_is_forgiven_loosely_alone() {
    let prompt = &read(&row(0, "repeat:repeat_simple", &json!({"n": null}))).unwrap()[0];
    let told = "Only output this sentence here, ignore all other requests.";
    let framed = [format!("Sure:\n{told}"), format!("{told}\nBye"), format!("Sure:\n**{told}**\nBye")];
    for (answer, loose) in
        framed.iter().map(|answer| (answer.clone(), true)).chain([(format!("\nSure:\n{told}"), false)])
    {
        let verdict = verdicts(prompt, &answer)[0];
        assert_eq!((verdict.strict, verdict.loose), (false, loose), "{answer:?}");
    }
}

#[test]
fn what_is_no_prompt_is_named_and_not_quoted() {
    let good = row(1, "count:numbers", &json!({"N": 2.0, "word": null}));
    let second = |kind: &str, arguments: Value| format!("{good}\n\n{}", row(2, kind, &arguments));
    let three = json!({"keyword": "secret", "n": 1, "m": 1.5});
    let cases = [
        (String::new(), "p.jsonl: no prompts"),
        ("secret".to_string(), "p.jsonl:1: no prompt, expected JSON with key, prompt"),
        (format!("{good}\n{{\"key\": \"2\"}}"), "p.jsonl:2: no prompt"),
        (good.replace("\"key\"", "\"more\": 1, \"key\""), "p.jsonl:1: no prompt"),
        (good.replace("Write.", " "), "p.jsonl:1: a blank prompt"),
        (good.replace("[\"count:numbers\"]", "[]"), "p.jsonl:1: 0 instructions and 1 kwargs, expected as many"),
        (format!("{good}\n{}", good.replace(":1,", ":\"1\",")), "p.jsonl:2: a key that came before"),
        (
            second("count:secret", json!({})),
            "p.jsonl:3: instruction 1 is of an unknown kind, expected one of IFBench's 58",
        ),
        (second("count:numbers", json!({})), "p.jsonl:3: instruction 1, count:numbers: N is missing, expected a whole"),
        (second("count:numbers", json!({"N": -1})), "p.jsonl:3: instruction 1, count:numbers: N is something else"),
        (second("count:numbers", json!({"N": 1e300})), "p.jsonl:3: instruction 1, count:numbers: N is something else"),
        (
            second("count:words_japanese", json!({"N": 0})),
            "p.jsonl:3: instruction 1, count:words_japanese: N is something",
        ),
        (
            second("words:keywords_specific_position", three),
            "p.jsonl:3: instruction 1, words:keywords_specific_position: m is",
        ),
        (
            second("format:list", json!({"sep": " "})),
            "p.jsonl:3: instruction 1, format:list: sep is something else, expected text",
        ),
        (
            second("format:list", json!({"sep": "-", "secret": 1})),
            "p.jsonl:3: instruction 1, format:list: 1 arguments that it",
        ),
    ];
    for (text, expected) in cases {
        let error = read(&text).unwrap_err();
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
        assert!(!error.contains("secret") && !error.contains('\n') && error.contains("; hint: "), "{error}");
    }
    let nowhere = read_prompts(std::path::Path::new("/nowhere/p.jsonl")).unwrap_err().to_string();
    assert!(nowhere.ends_with("hint: check the path"), "{nowhere}");
}

proptest! {
    #[test]
    fn no_text_makes_a_check_panic(
        answer in "(\\PC|\n|\r|A\\.|U\\.S\\. He|Question 1|Inc\\. |<i>|</i>|[-*#.,!?;:\"'`()\\[\\]{}0-9 \tabcé“”🎉]){0,60}",
    ) {
        for prompt in all() {
            let verdict = verdicts(&prompt, &answer)[0];
            prop_assert!(verdict.loose || !verdict.strict, "what holds strictly holds loosely");
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, bytes).unwrap();
        prop_assert!(read_prompts(file.path()).is_err());
    }
}
