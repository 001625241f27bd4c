//! What happened, in a few sentences: with n and intervals, and whichever way it came out.

use super::funnel::CHATS;
use super::model::{Report, Stage, State, WARM};
use super::numbers::Estimate;

pub fn headline(report: &Report) -> Vec<String> {
    let verdict = report.stages.iter().rev().find(|stage| stage.eval.is_some());
    let mut sentences = vec![match verdict {
        Some(stage) => accuracy(stage),
        None => {
            "There is no held-out evaluation yet, so nothing can be said about whether the model got better.".into()
        }
    }];
    sentences.extend(verdict.and_then(|last| change(report, last)));
    sentences.extend(satisfaction(report));
    sentences.extend(chosen(report));
    sentences.push(data(report));
    sentences.extend(report.stages.iter().rev().find_map(shifts));
    sentences.extend(report.stages.iter().rev().find_map(copies));
    sentences.extend(report.stages.iter().rev().find_map(length));
    let waiting: Vec<&str> =
        report.steps.iter().filter(|step| step.state != State::Done).map(|step| step.path.as_str()).collect();
    if !waiting.is_empty() {
        sentences.push(format!("The run is not finished; not complete yet: {}.", waiting.join(", ")));
    }
    sentences
}

fn accuracy(stage: &Stage) -> String {
    let eval = stage.eval.as_ref();
    let Some(accuracy) = eval.and_then(|eval| eval.accuracy.as_ref()) else {
        return format!("The evaluation after {} gives no accuracy.", stage.name());
    };
    let n = eval.and_then(|eval| eval.pairs).map_or("an unknown number of".to_owned(), count);
    let interval = match (accuracy.low, accuracy.high) {
        (Some(low), Some(high)) => format!(" ({})", interval(low, high)),
        _ => " (no interval given)".to_owned(),
    };
    let meaning = match (accuracy.low, accuracy.high) {
        (Some(low), _) if low > 0.5 => {
            "above chance (50\u{a0}%): on conversations it never saw, training moved it away from what users disliked"
        }
        (_, Some(high)) if high < 0.5 => {
            "below chance (50\u{a0}%): on conversations it never saw, training moved it towards what users disliked"
        }
        (Some(_), Some(_)) => "which this many pairs cannot tell from chance (50\u{a0}%)",
        _ => "chance being 50\u{a0}%",
    };
    format!(
        "After {}, measured against the base model, the model favours the chosen answer over the one that a user disliked on {} of {n} held-out pairs{interval}, {meaning}.",
        stage.name(),
        percent(accuracy.value)
    )
}

/// Against the first evaluation there is: intervals that overlap establish no change.
fn change(report: &Report, last: &Stage) -> Option<String> {
    let first = report.stages.iter().find(|stage| stage.eval.is_some()).filter(|first| first.label != last.label)?;
    let (before, after) = (first.eval.as_ref()?.accuracy.as_ref()?, last.eval.as_ref()?.accuracy.as_ref()?);
    let apart = match (before.high, before.low) {
        (Some(high), _) if after.low? > high => "the intervals are apart: a rise",
        (_, Some(low)) if after.high? < low => "the intervals are apart: a fall",
        _ => "the intervals overlap, so no change between the two is established",
    };
    Some(format!("After {} it was {} of the same pairs; {apart}.", first.name(), percent(before.value)))
}

/// Simulated users before and after. An interval that holds 0 is no difference.
fn satisfaction(report: &Report) -> Option<String> {
    let first = report.satisfaction.first()?;
    let n = first.prompts.map_or("the".to_owned(), count);
    let share = |of: &Estimate| match (of.low, of.high) {
        (Some(low), Some(high)) => format!("{} ({})", percent(of.value), interval(low, high)),
        _ => percent(of.value),
    };
    let last = report.satisfaction.last().filter(|last| last.label != first.label);
    let Some((last, change)) = last.and_then(|last| Some((last, last.change.as_ref()?))) else {
        return Some(format!("The {} satisfies {} of {n} simulated prompts.", first.label, share(&first.satisfied)));
    };
    let verdict = match (change.low, change.high) {
        (Some(low), _) if low > 0.0 => "more than before",
        (_, Some(high)) if high < 0.0 => "less than before",
        _ => "no difference was measured",
    };
    Some(format!(
        "Of {n} simulated prompts the {} satisfies {}, the model after {} {}; paired difference {:+.1} points ({}): {verdict}.",
        first.label,
        share(&first.satisfied),
        last.label,
        share(&last.satisfied),
        100.0 * change.value,
        interval(change.low?, change.high?)
    ))
}

/// Where the run's model is not the last one that was trained.
fn chosen(report: &Report) -> Option<String> {
    let model = report.model.as_deref()?;
    let last = report.stages.iter().rev().find(|stage| stage.metrics.is_some())?;
    let is_last = model == WARM && last.short == WARM || model.strip_prefix("iter-") == Some(&last.short);
    (!is_last).then(|| format!("The run\u{2019}s model is {model}: what was trained after it did not take its place."))
}

fn data(report: &Report) -> String {
    if report.funnel.is_empty() {
        return "Nothing has been detected yet.".to_owned();
    }
    let chats = report.funnel.iter().find(|flow| flow.label == CHATS);
    let chats = chats.map_or("the chats".to_owned(), |flow| format!("{} chats", count(flow.count)));
    let (cases, seeds) = (count(report.cases.total), count(report.cases.seeds));
    let trained: Vec<String> = report.stages[1..]
        .iter()
        .filter_map(|stage| Some(format!("{} ({})", count(stage.lengths.as_ref()?.pairs), stage.label)))
        .collect();
    let pairs = if trained.is_empty() { String::new() } else { format!("; pairs to train on: {}", trained.join(", ")) };
    format!(
        "Of {chats}, {cases} dissatisfied cases ({} held out) and {seeds} seed pairs were kept{pairs}.",
        count(report.cases.held_out)
    )
}

/// On the held-out pairs where they are, else on the last training steps.
fn shifts(stage: &Stage) -> Option<String> {
    let held_out = stage.held_out_shifts.chosen.as_ref().zip(stage.held_out_shifts.rejected.as_ref());
    let (place, chosen, rejected, against) = match held_out {
        Some((chosen, rejected)) => ("On the held-out pairs, after", chosen.value, rejected.value, "the base model"),
        None => ("At the end of training in", stage.chosen_shift?, stage.rejected_shift?, "the stage's start"),
    };
    let moved = |shift: f64| format!("{} by {:.2} nats", if shift < 0.0 { "fell" } else { "rose" }, shift.abs());
    let warning = if chosen < 0.0 { " The chosen answers became less likely too: watch for degeneration." } else { "" };
    Some(format!(
        "{place} {}, the mean log-probability of a chosen answer {} against {against}, that of a rejected one {}.{warning}",
        stage.name(),
        moved(chosen),
        moved(rejected)
    ))
}

fn copies(stage: &Stage) -> Option<String> {
    let sampled = stage.sampled.as_ref()?;
    let Some(copies) = stage.copies.as_ref().filter(|copies| copies.tried > 0) else {
        return Some(format!("In {} all {} answers were sampled unguided.", stage.label, count(sampled.answers)));
    };
    let share = Estimate::share(copies.near_copies, copies.tried)?;
    let then = match copies.probe {
        true => "in a probe, so all were sampled unguided",
        false => "and were sampled again unguided",
    };
    Some(format!(
        "In {}, {} of {} guided answers ({}, {}) were near copies of the rejected answer {then}.",
        stage.label,
        count(copies.near_copies),
        count(copies.tried),
        percent(share.value),
        interval(share.low?, share.high?)
    ))
}

fn length(stage: &Stage) -> Option<String> {
    let lengths = stage.lengths.as_ref().filter(|_| stage.short != WARM)?;
    let (chosen, rejected) = (lengths.chosen_words.as_ref()?.value, lengths.rejected_words.as_ref()?.value);
    Some(format!("Chosen answers of {} have {chosen:.0} words on average, rejected ones {rejected:.0}.", stage.label))
}

fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share)
}

fn interval(low: f64, high: f64) -> String {
    format!("95\u{a0}% interval {:.1} to {}", 100.0 * low, percent(high))
}

/// With thousands separated.
fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cases::Shifts;
    use crate::report::numbers::Eval;

    fn stage(label: &str, accuracy: f64, low: f64, high: f64) -> Stage {
        let eval = serde_json::json!({"pairs": 1234, "accuracy": accuracy, "accuracy_low": low, "accuracy_high": high});
        Stage {
            label: label.to_owned(),
            short: String::new(),
            sampled: None,
            copies: None,
            held_out_shifts: Shifts::default(),
            lengths: None,
            metrics: None,
            theory: None,
            profile: None,
            eval: Some(Eval::read(&eval)),
            chosen_shift: None,
            rejected_shift: None,
        }
    }

    #[test]
    fn the_verdict_follows_the_interval_not_the_figure() {
        for (low, high, expected) in
            [(0.51, 0.7, "above chance"), (0.4, 0.7, "cannot tell from chance"), (0.3, 0.49, "below chance")]
        {
            let sentence = accuracy(&stage("iteration 1", 0.6, low, high));
            assert!(sentence.contains(expected) && sentence.contains("60.0\u{a0}% of 1,234 held-out"), "{sentence}");
        }
    }

    #[test]
    fn a_fall_of_the_chosen_answers_is_said() {
        let falling =
            Stage { chosen_shift: Some(-0.5), rejected_shift: Some(-2.0), ..stage("iteration 1", 0.6, 0.5, 0.7) };
        assert!(shifts(&falling).unwrap().contains("fell by 0.50 nats"));
        assert!(shifts(&falling).unwrap().contains("less likely"));
    }
}
