//! A program of the user's that scores answers: JSON lines `{id, prompt, answers: [a, b]}` on its stdin, a JSON line
//! `{id, scores: [x, y]}` for each of them on its stdout, in any order.

use super::{Job, Scores};
use crate::interrupt;
use crate::stages::sample::Candidate;
use crate::talk::Talk;
use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Bytes of an answer line at most: an id and two numbers.
const LINE: u64 = 64 << 10;
/// How long Ctrl-C may have to wait.
const GLANCE: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Answer {
    id: String,
    scores: [f64; 2],
}

pub fn scores(job: &Job, answers: &[&[Candidate]], talk: &Talk) -> Result<Vec<Scores>> {
    let prompts: HashMap<&str, _> = job.tasks.iter().map(|task| (task.id, task.prompt)).collect();
    let mut questions = Vec::new();
    for both in answers {
        let [a, b] = both else { bail!("candidates: {} answers to one prompt, expected 2", both.len()) };
        let prompt = prompts.get(a.case.as_str()).context("candidates: an unknown case, expected the run's own")?;
        let question = json!({ "id": a.case, "prompt": prompt, "answers": [a.text, b.text] });
        serde_json::to_writer(&mut questions, &question)?;
        questions.push(b'\n');
    }
    let wanted: HashMap<&str, usize> = answers.iter().enumerate().map(|(i, both)| (both[0].case.as_str(), i)).collect();
    let limit = Duration::try_from_secs_f64(job.method.command_timeout_s).unwrap_or(Duration::MAX);
    talk.detail(format_args!("rank: {} asked about {} pairs of answers", job.method.command[0], answers.len()));
    let found = ask(&job.method.command, questions, &wanted, limit).map_err(|error| {
        if error.is::<interrupt::Interrupted>() { error } else { anyhow!("method.command: {error}") }
    })?;
    let scores = answers.iter().zip(found).map(|(both, scores)| Scores { case: both[0].case.clone(), scores });
    Ok(scores.collect())
}

/// The program is not left behind, whatever goes wrong.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // it has ended, or it is to
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Scores in the order of `wanted`'s numbers. Errors do not name the key `method.command`: the caller does.
fn ask(
    command: &[String],
    questions: Vec<u8>,
    wanted: &HashMap<&str, usize>,
    limit: Duration,
) -> Result<Vec<[f64; 2]>> {
    let begin = Instant::now();
    let mut child =
        Command::new(&command[0]).args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(
            |error| anyhow!("{:?}: {error}, expected a program; hint: is it on the path, may it be run?", command[0]),
        )?;
    let (mut stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut running = Running(child);
    let late = || {
        anyhow!(
            "no end after {} s, expected it sooner; hint: method.command_timeout_s, for all answers together",
            limit.as_secs_f64()
        )
    };
    // Both ends at once: a program that answers while it reads would block otherwise. The threads end with the pipes.
    let (send, lines) = sync_channel(64);
    std::thread::spawn(move || {
        let lines = Lines(BufReader::new(stdout));
        lines.map(|line| send.send(line)).take_while(Result::is_ok).for_each(drop);
    });
    // A program that has read enough closes its end; what it left out shows in its answers.
    std::thread::spawn(move || _ = stdin.write_all(&questions));

    let mut found: Vec<Option<[f64; 2]>> = vec![None; wanted.len()];
    let mut number = 0;
    loop {
        interrupt::check()?;
        if begin.elapsed() >= limit {
            return Err(late());
        }
        match lines.recv_timeout(GLANCE) {
            Ok(line) => {
                number += 1;
                take(&line?, number, wanted, &mut found)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = loop {
        interrupt::check()?;
        match running.0.try_wait()? {
            Some(status) => break status,
            None if begin.elapsed() >= limit => return Err(late()),
            None => std::thread::sleep(GLANCE.min(Duration::from_millis(5))),
        }
    };
    if !status.success() {
        bail!("ended with {status}, expected exit status 0; hint: what it wrote to stderr is above");
    }
    let missing = found.iter().filter(|scores| scores.is_none()).count();
    if missing > 0 {
        bail!(
            "{missing} of {} ids without scores, expected a line for each; hint: a line in, a line out",
            wanted.len()
        );
    }
    Ok(found.into_iter().flatten().collect())
}

/// Takes one line of the program's. Its text is never shown: it may hold words of the log.
fn take(line: &[u8], number: usize, wanted: &HashMap<&str, usize>, found: &mut [Option<[f64; 2]>]) -> Result<()> {
    let place = format!("line {number} of its stdout");
    let Ok(answer) = serde_json::from_slice::<Answer>(line) else {
        bail!(
            "{place}: something else, expected JSON {{\"id\": …, \"scores\": [x, y]}}; hint: messages belong to stderr"
        );
    };
    let Some(&at) = wanted.get(answer.id.as_str()) else {
        bail!("{place}: an id that was not asked about, expected one from stdin; hint: hand ids through as they came");
    };
    match found[at].replace(answer.scores) {
        Some(_) => bail!("{place}: an id for the second time, expected a line for each; hint: a line in, a line out"),
        None => Ok(()),
    }
}

/// Lines with a limit on their length; blank ones are passed over.
struct Lines(BufReader<ChildStdout>);

impl Iterator for Lines {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut line = Vec::new();
            match self.0.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Err(error) => return Some(Err(anyhow!("stdout: {error}, expected lines of JSON"))),
                Ok(0) => return None,
                Ok(n) if n as u64 == LINE && !line.ends_with(b"\n") => {
                    return Some(Err(anyhow!(
                        "stdout: a line of more than {LINE} bytes, expected an id and two scores"
                    )));
                }
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => return Some(Ok(line)),
            }
        }
    }
}
