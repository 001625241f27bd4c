//! `kill -9` at seeded moments of a small training, started again each time: the files of the finished run
//! are those of an uninterrupted one, byte for byte. `DRIFT_KILLS` says how often (20 where it is not set).

mod common;

use common::{Random, examples, job, model, recipe};
use drift_train::config::TrainConfig;
use drift_train::{Event, Job, Outcome, train};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TRAIN: &str = "--train-in";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|arg| arg == TRAIN) {
        Some(at) => train_in(Path::new(&args[at + 1])),
        None if args.iter().any(|arg| arg == "--list") => {}
        None => kill_and_compare(),
    }
}

/// The child: trains, says a line at each step and reference pass, leaves the weights in `weights`.
fn train_in(dir: &Path) {
    let config = TrainConfig { batch_size: 2, ..recipe() };
    let mut model = model();
    let job = Job { save_every: 3, ..job(&config, dir) };
    let report = train(&mut model, examples(20), &job, &mut |event| {
        if !matches!(event, Event::Start { .. }) {
            println!("on");
            std::io::stdout().flush().unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((report.outcome, report.total_steps), (Outcome::Done, 20));
    let partial = dir.join("weights.tmp");
    std::fs::write(&partial, model.params().iter().flat_map(|p| p.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    std::fs::rename(partial, dir.join("weights")).unwrap();
}

fn start(dir: &Path) -> Child {
    let exe = std::env::current_exe().unwrap();
    Command::new(exe).arg(TRAIN).arg(dir).stdout(Stdio::piped()).spawn().unwrap()
}

/// Everything in `dir` but what a killed write left under its temporary name.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .filter(|path| path.extension().is_none_or(|ext| ext != "tmp"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_string(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn kill_and_compare() {
    let kills: usize = std::env::var("DRIFT_KILLS").map_or(20, |n| n.parse().expect("DRIFT_KILLS is a number"));
    let whole = tempfile::tempdir().unwrap();
    assert!(start(whole.path()).wait_with_output().unwrap().status.success());
    let expected = files(whole.path());
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        matches!(names[..], ["metrics.jsonl", reference, "train.state", "weights"] if reference.starts_with("reference-"))
    );

    let mut random = Random(42);
    let (mut killed, mut finished, mut moments) = (0, 0, Vec::new());
    while killed < kills || finished == 0 {
        let dir = tempfile::tempdir().unwrap();
        loop {
            let mut child = start(dir.path());
            if killed < kills {
                let (line, pause) = (random.below(9), Duration::from_micros(random.below(3000) as u64));
                let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
                let seen = lines.by_ref().take(line).count();
                let from = Instant::now();
                while from.elapsed() < pause {
                    std::hint::spin_loop();
                }
                child.kill().unwrap();
                let ended = child.wait().unwrap();
                // A child that was quicker than the blow has finished its run, and well.
                if !ended.success() {
                    killed += 1;
                    moments.push(seen);
                    continue;
                }
            } else {
                assert!(child.wait_with_output().unwrap().status.success());
            }
            break;
        }
        for ((name, got), (_, want)) in files(dir.path()).iter().zip(&expected) {
            assert!(got == want, "{name} differs after {killed} kills");
        }
        assert_eq!(files(dir.path()).len(), expected.len());
        finished += 1;
    }
    println!(
        "killed {killed} times in {finished} runs, after these numbers of lines: {moments:?}; every run ended in the same bytes"
    );
}
