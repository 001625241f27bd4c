//! Every kind of requirement: an answer built to meet it passes, the same answer spoilt in one thing fails.

use drift_eval::mersenne::Mersenne;
use drift_eval::requirements::{Parameters, Requirement, kinds};
use proptest::prelude::*;

const TASK: &str = "Write a short text about the sea.";

/// An answer that meets a requirement, and one that just misses it.
fn pair(requirement: &Requirement) -> (String, String) {
    let Parameters { n, m, words } = &requirement.parameters;
    let (n, m) = (*n, *m);
    let word = words.first().map_or("", String::as_str);
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (1..=count).map(line).collect::<Vec<_>>().join("\n");
    let repeated = |text: &str, count: usize| vec![text; count].join(" ");
    let of = |good: &str, bad: &str| (good.to_string(), bad.to_string());
    match requirement.kind.name {
        "bullets" => {
            let list = |count| format!("Tea:\n{}\n**So** it is.", lines(count, &|i| format!("- leaf {i}")));
            (list(n), list(n + 1))
        }
        "numbered-steps" => {
            let list = |count| format!("Do:\n\n{}", lines(count, &|i| format!("{i}. step")));
            (list(n), list(n - 1))
        }
        "paragraph-count" => {
            let text = |count| lines(count, &|_| "One line.\nAnother line.\n".to_string());
            (text(n), text(n - 1))
        }
        "one-block" => of("All of it. On one line.\n", "All of it.\nOn two lines."),
        "no-lists" => of("Tea - and cake. 2 cups.", "Tea\n  2) and cake"),
        "headed-sections" => {
            let text = |count| lines(count, &|i| format!("## Head {i}\nText #{i}."));
            (text(n), text(n + 1))
        }
        "labelled-parts" => {
            let text = |count| lines(count, &|i| format!("**{word} {i}:** Text."));
            (text(n), text(n).replace(&format!("{word} {n}"), &format!("{word} {}", n + 1)))
        }
        "two-versions" => of("One text.\n******\nTwo texts.", "One text.\n******\nOne text."),
        "table" => {
            let table = |rows| format!("See:\n| a | b |\n|---|:-:|\n{}\n", lines(rows, &|i| format!("| {i} | x |")));
            (table(n), table(n - 1))
        }
        "json-keys" => {
            let object = |keys: &[String]| {
                format!("{{{}}}", keys.iter().map(|k| format!("\"{k}\": \"x\"")).collect::<Vec<_>>().join(", "))
            };
            (format!("```json\n{}\n```", object(words)), object(&words[1..]))
        }
        "json-list" => {
            let list = |count| format!("{:?}", vec!["x"; count]);
            (list(n), list(n + 1))
        }
        "code-block" => of("```\nall of it\n```", "Here:\n```\nnot all of it\n```"),
        "comma-list" => {
            let list = |count| vec!["salt"; count].join(", ");
            (list(n), list(n - 1))
        }
        "quoted-whole" => of("\"The sea is wide.\"", "\"The sea is wide.\" Yes."),
        "highlights" => (repeated("the *sea* and", n), repeated("the *sea* and", n - 1) + " * two stars *"),
        "placeholders" => (repeated("to [name]", n), repeated("to [name]", n - 1) + " []"),
        "parentheses" => (repeated("so (or not)", n), repeated("so (or not)", n - 1) + " ()"),
        "max-words" => (repeated("sea", n), repeated("sea", n + 1)),
        "min-words" => (repeated("it's", n), repeated("it's", n - 1)),
        "words-between" => (repeated("sea", m), repeated("sea", m + 1)),
        "max-sentences" => (repeated("It is.", n), repeated("It is.", n + 1)),
        "sentence-count" => (repeated("Is it?", n), repeated("Is it?", n - 1)),
        "max-characters" => ("é".repeat(n), "e".repeat(n + 1)),
        "short-sentences" => (repeated("sea", n) + ". Yes.", repeated("sea", n + 1) + ". Yes."),
        "lowercase" => of("all small, ünd so.", "all small, Ünd so."),
        "uppercase" => of("ALL BIG, 3 ÜND SO.", "ALL BIG, 3 ünd SO."),
        "capital-words" => (repeated("so BIG", n), repeated("so BIG", n - 1) + " I A"),
        "letter-often" => (repeated(word, n), repeated(word, n - 1)),
        "letter-banned" => ("The sea and the sun.".to_string(), format!("The sea {}.", word.to_uppercase())),
        "no-commas" => of("Wide; and blue.", "Wide, and blue."),
        "no-dashes" => of("- wide and blue\n- deep", "- wide and sea-blue"),
        "no-exclamation" => of("So wide.", "So wide!"),
        "exclamations" => (repeated("Oh!", n), repeated("Oh!", n - 1)),
        "semicolons" => (repeated("wide; blue", n), repeated("wide; blue", n - 1)),
        "questions" => (repeated("Is it \"wide?\"", n), repeated("Is it \"wide?\"", n - 1) + " ??? So."),
        "no-digits" => of("two seas", "2 seas"),
        "numbers-given" => (repeated("of 1,000.5 km", n), repeated("of 1,000.5 km", n - 1)),
        "emoji" => (repeated("sea 🌊", n), repeated("sea 🌊🏽", n - 1)),
        "include-words" => {
            (format!("Oh: {}!", words.join(" / ").to_uppercase()), format!("Oh: un{}", words.join("s ")))
        }
        "word-repeated" => (repeated(word, n), repeated(word, n - 1) + &format!(" {word}s")),
        "avoid-words" => (format!("A {word}er sea."), format!("A {word} sea.")),
        "avoid-frequent-word" => of("Seas sometimes look wide.", &format!("Seas {word} wide.")),
        "word-limit-each" => (repeated("water sea sea", n), repeated("water sea sea", n + 1)),
        "alliteration" => (repeated(&format!("{word}sea"), n), repeated(&format!("{word}sea"), n - 1) + " -ox"),
        "palindrome" => of("The sea is Level.", "The sea is aaa, ab-ba, a 121."),
        "long-word" => ("x".repeat(n), "x".repeat(n - 1)),
        "varied-openings" => of("The sea. A boat! \"Oh no.\"", "The sea. A boat! \"The\" end."),
        "no-contractions" => of("The sea's blue does not fade.", "The sea doesn’t fade."),
        "no-first-person" => of("You see it is mined.", "You see what I'm seeing."),
        "iso-dates" => (repeated("2024-02-29", n), repeated("2024-02-29", n - 1) + " 2023-02-29 2024-13-01 24-01-01"),
        "request-first" => of("write a short text about the sea! Fine: wide.", "Write a text about the sea. Fine."),
        "first-word" => (format!("\"{word}\", she said."), format!("So, {word}.")),
        "last-word" => (format!("We go {word}."), format!("We go {word} now.")),
        "end-phrase" => (format!("The sea. {word}\n"), format!("The sea. {word} Bye.")),
        "end-question" => of("Blue. Is it?\n", "Is it? Blue."),
        "end-exclamation" => of("Blue!\n", "Blue! So."),
        "title" => of("<<The Sea>>\n\nBlue.", "The Sea\n\n<<Blue>>"),
        "postscript" => of("Blue.\n\n**P.S.** And wet.", "Blue.\nP.S. And wet.\nBye."),
        "signed" => (format!("Blue.\n- {word}"), format!("Blue. {word}")),
        "short-form-line" => (format!("Blue.\n**{word}** wet."), format!("{word} wet.\nBlue.")),
        "script-language" => {
            let good = match word {
                "Russian" => "Море синее.",
                "Greek" => "Η θάλασσα είναι μπλε.",
                "Chinese" => "海是蓝色的。",
                "Japanese" => "海は青いです。",
                "Arabic" => "البحر أزرق.",
                "Hindi" => "समुद्र नीला है।",
                _ => "바다는 파랗다.",
            };
            of(good, &format!("{good} That means: the sea is blue and wide."))
        }
        "latin-language" => {
            let good = match word {
                "Spanish" => "El mar es azul y las olas van con el viento.",
                "French" => "La mer est bleue et les vagues vont avec le vent.",
                _ => "Das Meer ist blau und die Wellen gehen mit dem Wind.",
            };
            of(good, "The sea is blue and the waves go with the wind.")
        }
        "english-only" => of("The sea's blue.", "The sea’s blue."),
        name => panic!("no answers for {name}"),
    }
}

#[test]
fn each_kind_tells_a_hit_from_a_near_miss() {
    let mut random = Mersenne::from_text("pairs");
    for kind in kinds() {
        for _ in 0..30 {
            let requirement = kind.draw(&mut random, TASK);
            let (good, bad) = pair(&requirement);
            assert!(requirement.met(&good), "{requirement:?} should be met by {good:?}");
            assert!(!requirement.met(&bad), "{requirement:?} should be missed by {bad:?}");
        }
    }
}

#[test]
fn saying_nothing_meets_nothing() {
    let mut random = Mersenne::from_text("nothing");
    for kind in kinds() {
        let requirement = kind.draw(&mut random, TASK);
        assert!(!["", " \n\n ", "...", "\"\""].iter().any(|answer| requirement.met(answer)), "{}", kind.name);
    }
}

proptest! {
    #[test]
    fn no_text_and_no_parameters_make_a_check_panic(
        answer in "(\\PC|\n|[-*#`|<>\\[\\]().!?'\"’0-9,;: \t]){0,80}",
        n in prop_oneof![0..5usize, Just(usize::MAX)],
        words in prop::collection::vec("\\PC{0,6}", 0..3),
    ) {
        for kind in kinds() {
            let parameters = Parameters { n, m: n, words: words.clone() };
            let requirement = Requirement { kind, parameters };
            // The verdict depends on nothing else.
            prop_assert_eq!(requirement.met(&answer), requirement.met(&answer));
        }
    }

    /// White space around an answer changes no verdict but that on line breaks within it.
    #[test]
    fn white_space_around_an_answer_is_nothing(answer in "([a-zA-Z,.!?*\" ]|\n){0,60}") {
        let mut random = Mersenne::from_text("space");
        let padded = format!("\n{}\n\n", answer.trim());
        for kind in kinds() {
            let requirement = kind.draw(&mut random, TASK);
            prop_assert_eq!(requirement.met(answer.trim()), requirement.met(&padded), "{}", kind.name);
        }
    }
}
