//! Many turns: order, budget, cache and counts.

use super::mock::{Act, Asked, Mock};
use super::settings;
use drift_feedback::Verdict as Feedback;
use drift_judge::{Batch, Client, Judge, JudgeError, JudgeSettings, Parser, Progress, Turn, Verdict};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Texts of `n` turns; those that are equal modulo `distinct` are twins.
fn texts(n: usize, distinct: usize) -> Vec<String> {
    (0..n).map(|n| format!("turn-{}! Thanks, but that is wrong.", n % distinct)).collect()
}

fn turns(texts: &[String]) -> Vec<Turn<'_>> {
    texts.iter().map(|turn| Turn { request: "What is 2 + 2?", answer: "Five.", turn }).collect()
}

/// Which turn a request is about.
fn number(asked: &Asked) -> usize {
    let rest = asked.body.split("turn-").nth(1).expect("a turn");
    rest.split('!').next().expect("a number").parse().expect("a number")
}

fn is_second(asked: &Asked) -> bool {
    asked.body.contains("cannot be used")
}

fn verdict(n: usize) -> String {
    match n % 3 {
        0 => r#"{"label":"DSAT","rubric":"factual_error","confidence":0.75,"cue":"that is wrong"}"#,
        1 => r#"{"label":"SAT","rubric":"gratitude","confidence":0.5,"cue":"Thanks"}"#,
        _ => r#"{"label":"NONE","rubric":null,"confidence":1.0,"cue":null}"#,
    }
    .to_string()
}

/// A judge of few words, so that small budgets hold some turns.
fn small_judge(dir: &Path) -> Option<PathBuf> {
    let path = dir.join("judge.toml");
    let text = "name = 'small'\nparser = 'feedback'\nmax_tokens = 50\nsystem = 'Judge.'\n\
                user = '{{ request }} {{ answer }} {{ turn }}'\nagain = 'It cannot be used: {{ complaint }}'\n\
                max_chars = { request = 99, answer = 99, turn = 99 }\n";
    std::fs::write(&path, text).unwrap();
    Some(path)
}

/// Tokens that the mock claims for a reply.
const TAKEN: (u64, u64) = (100, 20);

fn say(content: String) -> Act {
    Act::Say(content, Some(TAKEN))
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn judge(settings: &JudgeSettings) -> Judge {
    Judge::new(settings, Parser::Feedback).unwrap()
}

fn adds_up(batch: &Batch<Verdict>, turns: usize) {
    assert_eq!(batch.verdicts.len(), turns);
    let judged = batch.verdicts.iter().filter(|verdict| verdict.is_ok()).count();
    assert_eq!(judged + batch.failed.values().sum::<usize>(), turns);
}

/// Errors name the port, which differs from mock to mock.
fn comparable(batch: &Batch<Verdict>) -> Vec<Result<Verdict, &'static str>> {
    batch.verdicts.iter().map(|verdict| verdict.clone().map_err(|error| error.reason())).collect()
}

/// Of 60 turns some meet a 500, a cut, nonsense, a wrong label once or for ever, a refusal.
fn mixed(before: usize, asked: &Asked) -> Act {
    match number(asked) {
        n if n % 5 == 1 && before == 0 => Act::Status(500, "", String::new()),
        n if n % 7 == 1 && before == 0 => Act::Cut,
        n if n % 8 == 2 && before == 0 => Act::Status(429, "retry-after: 0\r\n", String::new()),
        n if n % 11 == 3 && !is_second(asked) => say("I think the user is unhappy.".into()),
        n if n % 13 == 4 => say(r#"{"label":"ANGRY","rubric":"style","confidence":1,"cue":"wrong"}"#.into()),
        n if n % 17 == 5 => Act::Status(400, "", String::new()),
        n => say(verdict(n)),
    }
}

#[test]
fn order_and_counts_do_not_depend_on_concurrency_or_faults() {
    let texts = texts(60, 50);
    let turns = turns(&texts);
    let mut seen: Vec<Vec<Result<Verdict, &str>>> = Vec::new();
    for concurrency in [1, 3, 16] {
        let mock = Mock::start(mixed);
        let judge = judge(&JudgeSettings { concurrency, ..settings(&mock) });
        let batch = judge.judge_all(&turns, go_on);
        adds_up(&batch, 60);
        for (n, verdict) in batch.verdicts.iter().enumerate() {
            let n = n % 50;
            match verdict {
                Ok(verdict) => {
                    let expected = [Feedback::Dsat, Feedback::Sat, Feedback::None][n % 3];
                    assert_eq!(verdict.label, expected, "turn {n}");
                    let cue = verdict.cue.map(|(start, end)| &texts[n][start..end]);
                    assert_eq!(cue, [Some("that is wrong"), Some("Thanks"), None][n % 3], "turn {n}");
                }
                Err(JudgeError::Unparsed(_)) => assert_eq!(n % 13, 4),
                Err(error) => assert_eq!((n % 17, error.reason()), (5, "rejected")),
            }
        }
        // Turns 4, 17, 30, 43 and the twin of 4; 5, 22, 39 and the twin of 5, asked again since it failed.
        assert_eq!(batch.failed, BTreeMap::from([("rejected", 4), ("unparsed", 5)]));

        // A body may be sent again only after a fault; each reply is charged once.
        let spend = judge.client().spend();
        let asked = mock.asked();
        assert_eq!(asked.len() as u64, spend.calls);
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        let mut replies = 0;
        let mut lost = 0;
        for request in &asked {
            let before = times.entry(&request.body).or_default();
            match mixed(*before, request) {
                Act::Say(..) => {
                    replies += 1;
                    *before += 1000;
                }
                Act::Cut => lost += 1,
                _ => {}
            }
            *before += 1;
        }
        assert!(times.values().all(|times| *times < 2000), "a request was asked again after its reply");
        assert_eq!(spend.lost, lost);
        assert_eq!(spend.tokens.output, replies * TAKEN.1 + lost * 200);
        seen.push(comparable(&batch));
    }
    assert!(seen.iter().all(|verdicts| *verdicts == seen[0]));
}

#[test]
fn an_unreadable_reply_is_asked_about_once() {
    let mock = Mock::start(|_, _| say(r#"{"label":"SAT","rubric":"style","confidence":1,"cue":"Thanks"}"#.into()));
    let dir = tempfile::tempdir().unwrap();
    let with_cache = JudgeSettings { cache: Some(dir.path().join("cache.jsonl")), ..settings(&mock) };
    for run in 0..2 {
        let error =
            judge(&with_cache).judge(&Turn { request: "2 + 2?", answer: "5", turn: "turn-0! Thanks" }).unwrap_err();
        assert_eq!(error.reason(), "unparsed", "{run}");
        assert!(error.to_string().contains("rubric is not a name of the label's side"), "{error}");
        let asked = mock.asked();
        assert_eq!(asked.len(), 2);
        // The second request goes on from the first: the reply, and what was wrong with it.
        assert!(!is_second(&asked[0]) && is_second(&asked[1]));
        assert!(asked[1].body.contains(r#"\"rubric\":\"style\""#) && asked[1].body.contains("rubric is not a name"));
    }
}

#[test]
fn the_budget_ends_before_the_same_turn_at_any_concurrency() {
    // Twins side by side, and far apart: they cost nothing, even after the end of the budget.
    let texts: Vec<String> = (0..80).map(|n| texts(30, 30)[n / 2 % 30].clone()).collect();
    let turns = turns(&texts);
    let mut seen = Vec::new();
    for concurrency in [1, 4, 16] {
        let mock = Mock::start(|_, asked| say(verdict(number(asked))));
        let dir = tempfile::tempdir().unwrap();
        let budget = JudgeSettings {
            concurrency,
            cache: Some(dir.path().join("cache.jsonl")),
            file: small_judge(dir.path()),
            budget_tokens: 4_500,
            ..settings(&mock)
        };
        let first = judge(&budget);
        let batch = first.judge_all(&turns, go_on);
        adds_up(&batch, 80);
        let judged = batch.verdicts.iter().filter(|verdict| verdict.is_ok()).count();
        assert!(judged > 0 && batch.failed["budget"] == 80 - judged, "{:?}", batch.failed);
        let spend = first.client().spend();
        assert!(spend.tokens.total() <= 4_500, "{spend}");
        assert_eq!(spend.tokens.total(), spend.calls * (TAKEN.0 + TAKEN.1));
        let error = batch.verdicts[59].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("judge.budget: ") && error.contains("of 4500 tokens spent"), "{error}");
        drop(first);

        // What was done is kept: the next run asks the rest, and nothing twice.
        let rest = judge(&JudgeSettings { budget_tokens: 0, ..budget });
        let estimate = rest.estimate(&turns).unwrap();
        assert_eq!((estimate.questions, estimate.cached + estimate.calls), (80, judged + 30 - spend.calls as usize));
        let whole = rest.judge_all(&turns, go_on);
        assert!(whole.failed.is_empty());
        assert_eq!(rest.client().spend().calls + spend.calls, 30);
        let bodies: HashSet<String> = mock.asked().into_iter().map(|asked| asked.body).collect();
        assert_eq!((bodies.len(), mock.asked().len()), (30, 30));
        for (before, after) in batch.verdicts.iter().zip(&whole.verdicts) {
            assert!(before.is_err() || before == after);
        }
        seen.push(comparable(&batch));
    }
    assert!(seen.iter().all(|verdicts| *verdicts == seen[0]));
}

#[test]
fn money_ends_it_too() {
    let mock = Mock::start(|_, asked| say(verdict(number(asked))));
    let texts = texts(40, 40);
    let prices = JudgeSettings { input_price: 2.0, output_price: 8.0, ..settings(&mock) };
    let dir = tempfile::tempdir().unwrap();
    let judge = judge(&JudgeSettings { budget_money: 0.01, file: small_judge(dir.path()), ..prices });
    let estimate = judge.estimate(&turns(&texts)).unwrap();
    assert_eq!((estimate.questions, estimate.cached, estimate.calls), (40, 0, 40));
    assert_eq!(estimate.tokens.output, 40 * 50);
    let money = (estimate.tokens.input as f64 * 2.0 + 2_000.0 * 8.0) / 1e6;
    assert!((estimate.money - money).abs() < 1e-12);
    assert!(mock.asked().is_empty());
    let batch = judge.judge_all(&turns(&texts), go_on);
    adds_up(&batch, 40);
    let spend = judge.client().spend();
    assert!(spend.money > 0.0 && spend.money <= 0.01 && batch.failed["budget"] > 0, "{spend}");
    assert!((spend.money - spend.calls as f64 * (100.0 * 2.0 + 20.0 * 8.0) / 1e6).abs() < 1e-12);
}

/// A kill at any byte of the second line costs the second call, and no more. Every byte of a longer file is
/// cut in the cache's own test.
#[test]
fn after_a_kill_only_what_is_missing_is_asked_again() {
    let mock = Mock::start(|_, asked| say(verdict(number(asked))));
    let texts = texts(2, 2);
    let turns = turns(&texts);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.jsonl");
    let with_cache = JudgeSettings { cache: Some(path.clone()), concurrency: 1, ..settings(&mock) };
    let whole = judge(&with_cache).judge_all(&turns, go_on);
    let bytes = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    assert_eq!(ends.len(), 2);
    for cut in ends[0]..=bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let again = judge(&with_cache);
        assert_eq!(comparable(&again.judge_all(&turns, go_on)), comparable(&whole), "cut at {cut}");
        let kept = ends.iter().filter(|end| **end <= cut).count() as u64;
        let spend = again.client().spend();
        assert_eq!((spend.calls, spend.cached), (2 - kept, kept), "cut at {cut}");
    }
}

#[test]
fn an_endpoint_that_refuses_or_is_down_ends_the_batch() {
    let texts = texts(200, 200);
    let turns = turns(&texts);
    for concurrency in [1, 8] {
        let mock = Mock::start(|_, asked| match number(asked) {
            0..5 => say(verdict(number(asked))),
            _ => Act::Status(401, "", String::new()),
        });
        let batch = judge(&JudgeSettings { concurrency, ..settings(&mock) }).judge_all(&turns, go_on);
        adds_up(&batch, 200);
        assert_eq!(batch.failed.keys().collect::<Vec<_>>(), [&"endpoint"]);
        // With others in flight the refusal may overtake one of the first five.
        assert!(batch.failed["endpoint"] >= 195 && mock.asked().len() <= 5 + concurrency);
        assert!(concurrency > 1 || batch.failed["endpoint"] == 195);
    }

    let mock = Mock::start(|_, _| Act::Status(503, "", String::new()));
    let down = JudgeSettings { retries: 1, concurrency: 1, ..settings(&mock) };
    let batch = judge(&down).judge_all(&turns, go_on);
    adds_up(&batch, 200);
    assert_eq!(batch.failed, BTreeMap::from([("endpoint", 191), ("failed", 9)]));
    assert_eq!(mock.asked().len(), 20);
}

#[test]
fn stopping_keeps_what_is_done() {
    let mock = Mock::start(|_, asked| say(verdict(number(asked))));
    let texts = texts(50, 50);
    let turns = turns(&texts);
    let dir = tempfile::tempdir().unwrap();
    let with_cache = JudgeSettings { cache: Some(dir.path().join("c.jsonl")), concurrency: 2, ..settings(&mock) };
    let mut last = 0;
    let batch = judge(&with_cache).judge_all(&turns, |progress| {
        assert!(progress.done >= last && progress.total == 50);
        last = progress.done;
        if progress.done >= 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    adds_up(&batch, 50);
    assert_eq!(last, 50);
    assert!(batch.failed.get("stopped").is_none_or(|stopped| *stopped <= 43));
    let batch = judge(&with_cache).judge_all(&turns, go_on);
    assert!(batch.failed.is_empty());
    assert_eq!(mock.asked().len(), 50);
}

/// A pause that an endpoint asked for does not hold up a stop.
#[test]
fn a_stop_ends_a_pause() {
    let mock = Mock::start(|_, _| Act::Status(429, "retry-after: 86400\r\n", String::new()));
    let patient = JudgeSettings { max_wait_s: 86_400.0, ..settings(&mock) };
    let texts = texts(4, 4);
    let batch = judge(&patient).judge_all(&turns(&texts), |progress| {
        if progress.spend.calls > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(batch.failed, BTreeMap::from([("stopped", 4)]));
}

#[test]
fn no_turns_no_model_and_long_texts() {
    let mock = Mock::start(|_, asked| say(verdict(number(asked))));
    let batch = judge(&settings(&mock)).judge_all(&[] as &[Turn], go_on);
    assert!(batch.verdicts.is_empty() && batch.failed.is_empty());
    let no_model = JudgeSettings { model: None, ..settings(&mock) };
    let client = Client::new(&no_model).unwrap();
    let error = Judge::with_client(&no_model, Parser::Feedback, client).err().unwrap().to_string();
    assert!(error.starts_with("judge.model: missing"), "{error}");

    let long = format!("turn-0! {}that is wrong", "word ".repeat(5_000));
    let turn = Turn { request: "2 + 2?", answer: "5", turn: &long };
    let batch = judge(&settings(&mock)).judge_all(&[turn], go_on);
    assert_eq!(batch.clipped, 1);
    let verdict = batch.verdicts[0].clone().unwrap();
    // The place is that in the whole turn.
    assert_eq!(verdict.cue.map(|(start, end)| &long[start..end]), Some("that is wrong"));
    assert!(mock.asked()[0].body.contains("characters left out"));
}
