//! WB-Reward: a judge says which of two answers is better, the model's or a reference's. Which of them stands first is
//! drawn for each task; equal answers are a tie, empty and cut ones are in the total alone, all without a call.

use super::{Output, Shown, file_name, outputs, read_outputs};
use crate::commands::evaluate_run::judged::Bench;
use crate::files::write_json;
use crate::judge::verdicts;
use crate::seeds::seed;
use anyhow::{Context, Result, bail};
use drift_eval::wildbench::{EMPTY, Prompt, Reward, TRUNCATED, Tasks, cut_words, read_comparisons, reward};
use drift_judge::{Choice, Rivals};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// In the place of a winner's name.
const TIE: &str = "tie";

/// A row of the official list of comparisons.
#[derive(Serialize)]
struct Compared<'a> {
    session_id: &'a str,
    /// A name or `tie`; `None` where the judge's reply was no verdict.
    winner: Option<&'a str>,
    /// 2: by much, 1: slightly, 0: a tie.
    extent: Option<u8>,
    /// As the judge was shown them.
    model_outputs: BTreeMap<&'a str, &'a str>,
    /// Whose answer stood first.
    model_a: &'a str,
    judge: &'a str,
}

/// Two answers to a task: the model's, the reference's.
struct Pair {
    shown: Shown,
    answers: [String; 2],
    /// 0: the model's stands first, 1: the reference's.
    first: usize,
}

impl Pair {
    fn is_asked(&self) -> bool {
        let [ours, theirs] = &self.answers;
        let counts = |text: &String| text != EMPTY && !text.ends_with(TRUNCATED);
        ours != theirs && counts(ours) && counts(theirs)
    }

    fn question(&self) -> Rivals<'_> {
        let Shown { history, query, checklist } = &self.shown;
        Rivals { history, query, checklist, answers: [&self.answers[self.first], &self.answers[1 - self.first]] }
    }
}

pub fn run(bench: &Bench, prompts: &[Prompt], reference: &Path, tasks: Option<&Tasks>) -> Result<Reward> {
    let judge = bench.judge::<Rivals>()?;
    let theirs = read_outputs(reference, prompts)?;
    let stem = reference.file_stem().unwrap_or_default().to_string_lossy();
    let ours = outputs(bench, prompts)?;
    let names = [ours[0].name("model"), theirs[0].name(&stem)];
    if names[0] == names[1] || names.iter().any(|name| name == TIE) {
        bail!(
            "{}: its generator is {:?} and the other {:?}, expected two names, neither of them {TIE:?}; hint: rename one in its \
             file, or give --name with --model",
            reference.display(),
            names[1],
            names[0]
        );
    }
    let name = format!("ref={}/{}.json", file_name(&names[1])?, file_name(&names[0])?);
    bench.may_write(&[&name])?;
    let shown = |output: &Output| if output.is_empty() { EMPTY.to_string() } else { cut_words(&output.output) };
    let pair = |((prompt, ours), theirs): ((&Prompt, &Output), &Output)| Pair {
        shown: prompt.into(),
        answers: [shown(ours), shown(theirs)],
        first: (seed(bench.options.suite.seed, &["wildbench", "first", &prompt.id]) % 2) as usize,
    };
    let pairs: Vec<Pair> = prompts.iter().zip(&ours).zip(&theirs).map(pair).collect();
    let questions: Vec<Rivals> = pairs.iter().filter(|pair| pair.is_asked()).map(Pair::question).collect();
    let mut verdicts = verdicts(&judge, &questions, bench.talk)?.into_iter();
    let id = judge.id();
    let mut rows = Vec::with_capacity(pairs.len());
    for (pair, prompt) in pairs.iter().zip(prompts) {
        let verdict = match pair.is_asked() {
            true => verdicts.next().context("a verdict for each question")?,
            false => Some(Choice::Equal),
        };
        let (winner, extent) = match verdict {
            None => (None, None),
            Some(Choice::Equal) => (Some(TIE), Some(0)),
            Some(Choice::Better { which, by_much }) => {
                (Some(&*names[which ^ pair.first]), Some(if by_much { 2 } else { 1 }))
            }
        };
        let model_outputs = names.iter().zip(&pair.answers).map(|(name, text)| (&**name, &**text)).collect();
        rows.push(Compared {
            session_id: &prompt.id,
            winner,
            extent,
            model_outputs,
            model_a: &names[pair.first],
            judge: &id,
        });
    }
    let file = bench.path(&name);
    fs_err::create_dir_all(file.parent().unwrap_or(&file))?;
    write_json(&file, &rows)?;
    bench.talk.step("wildbench", format_args!("{}; `drift evaluate score` takes a length penalty", file.display()));
    Ok(reward(&file, &read_comparisons(&file, &names[1])?, None, tasks)?)
}
