//! From chats to pairs: how many are left after each step, and why the others are not.

use serde::Serialize;
use serde_json::Value;

use super::cases::{Cases, Sampled};
use super::model::{State, Step};
use super::read::Folder;

/// One row: `count` things, of `of` that came in.
#[derive(Debug, PartialEq, Serialize)]
pub struct Flow {
    pub label: String,
    pub count: u64,
    pub of: Option<u64>,
    /// What the count consists of, or what happened to what was kept.
    pub parts: Vec<(String, u64)>,
    pub dropped: Vec<(String, u64)>,
}

/// Label of the first row.
pub const CHATS: &str = "chats read";

/// The rows of detection. Its reasons for dropping start with the kind of thing that was dropped.
pub fn detected(folder: &mut Folder, detect: &Step, cases: &Cases) -> Vec<Flow> {
    if detect.state == State::Absent {
        return Vec::new();
    }
    let account = folder.json("detect/funnel.json").unwrap_or_default();
    let turns = |name: &str| account.get("funnel")?.get(name)?.as_u64();
    let (chats, judged) = (detect.count("in").or(turns("chats")), turns("judged_turns"));
    let dissatisfied = turns("dsat").zip(turns("both")).map(|(dsat, both)| dsat + both);
    let redacted = account.get("redacted").and_then(Value::as_object).into_iter().flatten();
    let redacted = redacted.filter_map(|(kind, n)| Some((format!("redacted {kind}"), n.as_u64()?))).collect();

    let dropped = detect.reasons("dropped");
    let kind = |reason: &str| {
        ["record ", "case ", "seed pair ", "pair ", "unpaired "].into_iter().find(|kind| reason.starts_with(kind))
    };
    let dropped = |kinds: &[Option<&str>]| -> Vec<(String, u64)> {
        let of_kind = dropped.iter().filter(|(reason, _)| kinds.contains(&kind(reason)));
        of_kind.map(|(reason, n)| (reason[kind(reason).map_or(0, str::len)..].to_owned(), *n)).collect()
    };
    let flow = |label: &str, count, of, parts, dropped| Flow { label: label.to_owned(), count, of, parts, dropped };
    let splits = |train, held_out| named(&[("for training", train), ("held out", held_out)]);
    let mut flows = Vec::new();
    flows.extend(chats.map(|chats| flow(CHATS, chats, Some(chats), redacted, dropped(&[Some("record ")]))));
    flows.extend(
        judged.map(|judged| flow("user turns after an answer", judged, turns("user_turns"), Vec::new(), Vec::new())),
    );
    flows.extend(dissatisfied.map(|n| flow("dissatisfied turns", n, judged, Vec::new(), dropped(&[None]))));
    let of_cases: &[Option<&str>] = if dissatisfied.is_some() { &[Some("case ")] } else { &[Some("case "), None] };
    let cases_split = splits(cases.train, cases.held_out);
    flows.push(flow("cases", cases.total, dissatisfied.or(chats), cases_split, dropped(of_cases)));
    let seeds_split = splits(cases.seeds - cases.seeds_held_out, cases.seeds_held_out);
    let of_seeds = [Some("seed pair "), Some("pair ")];
    flows.push(flow(
        "seed pairs (revised until it satisfied)",
        cases.seeds,
        dissatisfied.or(chats),
        seeds_split,
        dropped(&of_seeds),
    ));
    flows
}

/// The rows of fresh answers and of the pairs made from them.
pub fn drawn(label: &str, sampled: Option<&Sampled>, sample: Option<&Step>, pair: Option<&Step>) -> Vec<Flow> {
    let mut flows = Vec::new();
    let Some(sampled) = sampled else { return flows };
    let parts = [
        ("guided", sampled.guided),
        ("unguided", sampled.unguided),
        ("unguided in place of a guided one", sampled.fallback),
        ("cut at the length limit", sampled.cut),
    ];
    flows.push(Flow {
        label: format!("{label}: fresh answers"),
        count: sampled.answers,
        of: sample.and_then(|sample| sample.count("in")).or(Some(sampled.answers)),
        parts: named(&parts),
        dropped: sample.map_or_else(Vec::new, |sample| sample.reasons("dropped")),
    });
    if let Some((pair, count)) = pair.and_then(|pair| Some((pair, pair.count("out")?))) {
        flows.push(Flow {
            label: format!("{label}: pairs"),
            count,
            of: pair.count("in").or(Some(sampled.answers)),
            parts: pair.reasons("noted"),
            dropped: pair.reasons("dropped"),
        });
    }
    flows
}

fn named(parts: &[(&str, u64)]) -> Vec<(String, u64)> {
    parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_string(), *n)).collect()
}
