//! The simulated deployment as a whole: its prompts, its users and what is true of them.

use drift_eval::mersenne::Mersenne;
use drift_eval::requirements::Kind;
use drift_eval::simulated::{Act, Prompt, Prompts, Rates, Reaction, SETS, Settings, Split, Truth, User};
use std::collections::{BTreeMap, BTreeSet};

fn prompts() -> Prompts {
    Prompts::new(Settings::default()).unwrap()
}

fn kinds_of(prompts: &[Prompt]) -> BTreeSet<&str> {
    prompts.iter().flat_map(|p| &p.requirements).map(|r| r.kind.name).collect()
}

#[test]
fn thousands_of_prompts_that_differ_and_repeat_from_the_seed() {
    let drawn = prompts().draw(Split::Train, 4000).unwrap();
    assert_eq!(drawn.iter().map(|p| &p.text).collect::<BTreeSet<_>>().len(), 4000);
    assert_eq!(drawn.iter().map(|p| &p.id).collect::<BTreeSet<_>>().len(), 4000);
    assert!(drawn.iter().all(|p| !p.text.contains(['{', '}']) && p.text.len() < 600 && !p.unseen));
    assert_eq!(prompts().draw(Split::Train, 50).unwrap(), drawn[..50]);
    let other = Prompts::new(Settings { seed: 1, ..Settings::default() }).unwrap();
    assert_ne!(other.draw(Split::Train, 50).unwrap(), drawn[..50]);
    let two = drawn.iter().filter(|p| p.requirements.len() == 2).count() as f64 / 4000.0;
    assert!((two - 0.3).abs() < 0.03, "{two}");
    let pairs = drawn.iter().filter(|p| p.requirements.len() == 2);
    assert!(pairs.into_iter().all(|p| p.requirements[0].kind.goes_with(p.requirements[1].kind)));
}

#[test]
fn splits_share_no_template_and_test_has_kinds_of_its_own() {
    let prompts = prompts();
    let [train, dev, test] = [Split::Train, Split::Dev, Split::Test].map(|split| prompts.draw(split, 1500).unwrap());
    let tasks = |prompts: &[Prompt]| prompts.iter().map(|p| p.task.clone()).collect::<BTreeSet<_>>();
    assert!(tasks(&train).is_disjoint(&tasks(&test)) && tasks(&train).is_disjoint(&tasks(&dev)));
    assert!(tasks(&dev).is_disjoint(&tasks(&test)));
    for (split, drawn) in [(Split::Dev, &dev), (Split::Test, &test)] {
        let own: BTreeSet<&str> = prompts.own_kinds(split).collect();
        assert!(own.len() >= 5 && own.is_disjoint(&kinds_of(&train)) && own.is_subset(&kinds_of(drawn)));
        for prompt in drawn {
            assert_eq!(prompt.unseen, prompt.requirements.iter().any(|r| own.contains(r.kind.name)));
        }
        let unseen = drawn.iter().filter(|p| p.unseen).count() as f64 / 1500.0;
        assert!((unseen - 0.4).abs() < 0.05, "{unseen}");
    }
}

/// Else a prompt that one seed trains on could be another seed's test.
#[test]
fn splits_are_the_same_for_every_seed() {
    let templates = |seed| {
        let prompts = Prompts::new(Settings { seed, ..Settings::default() }).unwrap();
        let test = prompts.draw(Split::Test, 1500).unwrap();
        let own: BTreeSet<String> = prompts.own_kinds(Split::Test).map(str::to_string).collect();
        (test.into_iter().map(|p| p.task).collect::<BTreeSet<_>>(), own)
    };
    let ((one, own), (_, others)) = (templates(0), templates(1));
    assert_eq!(own, others);
    let train = Prompts::new(Settings { seed: 1, ..Settings::default() }).unwrap().draw(Split::Train, 3000).unwrap();
    assert!(train.iter().all(|p| !one.contains(&p.task) && p.requirements.iter().all(|r| !own.contains(r.kind.name))));
}

#[test]
fn sets_name_kinds_and_mix_with_them() {
    for (_, members) in SETS {
        let names: BTreeSet<&str> = members.iter().copied().collect();
        assert!(names.len() == members.len() && names.iter().all(|name| Kind::named(name).is_some()));
    }
    let drawn = |kinds: &[&str]| {
        let kinds = kinds.iter().map(|k| k.to_string()).collect();
        let settings = Settings { kinds, test_kinds: 0.0, dev_kinds: 0.0, ..Settings::default() };
        let drawn = Prompts::new(settings).unwrap().draw(Split::Train, 3000).unwrap();
        kinds_of(&drawn).into_iter().map(str::to_string).collect::<BTreeSet<_>>()
    };
    let sometimes = SETS[0].1.iter().map(|kind| kind.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(drawn(&["sometimes"]), sometimes);
    assert_eq!(drawn(&["sometimes", "all"]), drawn(&[]));
}

#[test]
fn only_the_kinds_that_are_named() {
    let named =
        |kinds: &[&str]| Settings { kinds: kinds.iter().map(|k| k.to_string()).collect(), ..Settings::default() };
    let few = Prompts::new(named(&["bullets", "max-words", "title"])).unwrap();
    let allowed = BTreeSet::from(["bullets", "max-words", "title"]);
    assert!(kinds_of(&few.draw(Split::Train, 300).unwrap()).is_subset(&allowed));
    for bad in [
        named(&["telepathy"]),
        Settings { two: 1.5, ..Settings::default() },
        Settings { unseen: f64::NAN, ..Settings::default() },
        Settings { test_kinds: 1.0, ..Settings::default() },
    ] {
        let error = Prompts::new(bad).unwrap_err().to_string();
        assert!(error.starts_with("simulated prompts: ") && error.contains("expected") && error.contains("; hint: "));
    }
    let one = Prompts::new(Settings { two: 0.0, ..named(&["one-block"]) }).unwrap();
    let error = one.draw(Split::Dev, 1_000_000).unwrap_err().to_string();
    assert!(error.contains("different dev prompts, expected 1000000; hint: "), "{error}");
}

/// Reactions of many users to the same kind of answer.
fn reactions(rates: Rates, answer: &str, turn: usize) -> Vec<Reaction> {
    let settings = Settings { kinds: vec!["no-commas".into()], ..Settings::default() };
    let prompts = Prompts::new(settings).unwrap();
    let user = User::new(&prompts, rates).unwrap();
    let prompt = &prompts.draw(Split::Train, 1).unwrap()[0];
    let mut random = Mersenne::from_text("users");
    (0..4000).map(|_| user.react(prompt, answer, turn, &mut random)).collect()
}

fn shares(reactions: &[Reaction]) -> BTreeMap<Act, f64> {
    let mut shares = BTreeMap::new();
    for reaction in reactions {
        *shares.entry(reaction.act).or_default() += 1.0 / reactions.len() as f64;
    }
    shares
}

#[test]
fn users_act_at_the_rates_of_the_settings() {
    let rates = Rates::default();
    let near = |got: Option<&f64>, rate: f64| assert!((got.unwrap_or(&0.0) - rate).abs() < 0.03, "{got:?}, {rate}");
    let served = reactions(rates.clone(), "Fine words.", 1);
    assert!(served.iter().all(|r| r.truth == Truth::Satisfied && r.noise == (r.act == Act::Complains)));
    let acts = shares(&served);
    near(acts.get(&Act::Silent), 0.55);
    near(acts.get(&Act::Thanks), 0.15);
    near(acts.get(&Act::Complains), 0.03);
    near(acts.get(&Act::GoesOn), 0.27);
    for turn in [1, 2] {
        let missed = reactions(rates.clone(), "Fine, so.", turn);
        let truth = Truth::Dissatisfied(vec!["no-commas".into()]);
        assert!(missed.iter().all(|r| r.truth == truth && r.noise == matches!(r.act, Act::Silent | Act::Thanks)));
        let acts = shares(&missed);
        near(acts.get(&Act::Silent), 0.2);
        near(acts.get(&Act::AsksAgain), 0.15);
        near(acts.get(&Act::GivesUp), 0.08 * turn as f64);
        near(acts.get(&Act::Complains), 0.63 - 0.08 * turn as f64);
    }
    let texts: BTreeSet<_> = reactions(rates, "Fine, so.", 1).into_iter().filter_map(|r| r.says).collect();
    assert!(texts.len() > 80, "{} ways to say it", texts.len());
    assert!(texts.iter().all(|text| !text.contains("no-commas") && !text.contains(['{', '}'])));
}

#[test]
fn users_who_misjudge_act_against_the_truth() {
    let rates = Rates { misjudges: 0.4, ..Rates::default() };
    let quiet = |reactions: &[Reaction]| {
        let acts = shares(reactions);
        [Act::Silent, Act::Thanks, Act::GoesOn].iter().filter_map(|act| acts.get(act)).sum::<f64>()
    };
    let (served, missed) = (reactions(rates.clone(), "Fine words.", 1), reactions(rates, "Fine, so.", 1));
    // Rightly judged .97 of the contented are quiet, and .22 of the discontented.
    assert!((quiet(&served) - (0.6 * 0.97 + 0.4 * 0.22)).abs() < 0.03, "{}", quiet(&served));
    assert!((quiet(&missed) - (0.6 * 0.22 + 0.4 * 0.97)).abs() < 0.03, "{}", quiet(&missed));
    let noise = |reactions: &[Reaction]| reactions.iter().filter(|r| r.noise).count() as f64 / reactions.len() as f64;
    assert!((noise(&served) - (1.0 - quiet(&served))).abs() < 1e-9);
    assert!((noise(&missed) - quiet(&missed)).abs() < 1e-9);
    assert!(served.iter().all(|r| r.truth == Truth::Satisfied && r.says.as_deref() != Some("")));
}

#[test]
fn what_is_said_and_when_a_conversation_ends() {
    for turn in 1..=4 {
        for answer in ["Fine words.", "Fine, so."] {
            for reaction in reactions(Rates::default(), answer, turn) {
                assert_eq!(reaction.says.is_none(), reaction.act == Act::Silent);
                assert_eq!(reaction.next.is_some(), reaction.act == Act::GoesOn);
                let leaves = matches!(reaction.act, Act::Silent | Act::Thanks | Act::GivesUp);
                assert_eq!(reaction.ends, leaves || turn == 4);
                if let Some(next) = reaction.next {
                    assert_eq!(Some(&next.text), reaction.says.as_ref());
                    assert!(next.follows && next.text.contains(&next.task) && next.requirements.len() == 1);
                }
            }
        }
    }
}

#[test]
fn rates_that_cannot_be_are_refused() {
    let prompts = prompts();
    for rates in [
        Rates { satisfied_silent: 0.9, satisfied_thanks: 0.2, ..Rates::default() },
        Rates { gives_up: 0.4, ..Rates::default() },
        Rates { vague: -0.1, ..Rates::default() },
    ] {
        let error = User::new(&prompts, rates).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("simulated users: ") && error.contains("expected") && error.contains("; hint: "));
    }
}

#[test]
fn the_hidden_truth_is_read_as_it_was_written() {
    for prompt in prompts().draw(Split::Test, 200).unwrap() {
        let json = serde_json::to_string(&prompt).unwrap();
        assert_eq!(serde_json::from_str::<Prompt>(&json).unwrap(), prompt);
    }
    for reaction in reactions(Rates::default(), "Fine, so.", 1).into_iter().take(100) {
        let json = serde_json::to_string(&reaction).unwrap();
        assert_eq!(serde_json::from_str::<Reaction>(&json).unwrap(), reaction);
    }
}
