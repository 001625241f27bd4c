//! Killed or interrupted, then called again: the end is the same, byte for byte.

mod common;

use common::World;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Moments at which the run is killed. `examples/kill_resume.rs` does the same a hundred times.
const KILLS: u64 = 6;

fn start(world: &World) -> Child {
    Command::new(env!("CARGO_BIN_EXE_drift"))
        .current_dir(world.root())
        .args(["run", "run.toml", "--threads", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn results(run: &Path) -> Vec<(&'static str, Vec<u8>)> {
    [
        "iter-2/train/checkpoint/model.safetensors",
        "iter-2/train/metrics.jsonl",
        "iter-1/sample/candidates.jsonl",
        "iter-2/sample/candidates.jsonl",
        "iter-2/evaluate/eval.json",
        "detect/cases.jsonl",
    ]
    .map(|file| (file, std::fs::read(run.join(file)).unwrap()))
    .into()
}

#[test]
fn killed_at_random_moments_and_resumed_ends_with_the_same_bytes() {
    let world = World::new();
    world.config("run.toml", "whole", "");
    let begin = Instant::now();
    assert!(start(&world).wait().unwrap().success());
    let whole = begin.elapsed();
    let expected = results(&world.path("whole"));

    world.config("run.toml", "killed", "");
    let mut killed = 0;
    for n in 0..KILLS {
        let mut child = start(&world);
        // A different part of what an uninterrupted run takes, so that all stages are met.
        std::thread::sleep(whole.mul_f64(0.02 + 0.4 * (drift::seeds::seed(n, &["kill"]) % 1000) as f64 / 1000.0));
        killed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    assert!(killed > 0, "every run had ended before it was killed");
    assert!(start(&world).wait().unwrap().success());
    for ((file, expected), (_, found)) in expected.iter().zip(results(&world.path("killed"))) {
        assert!(*expected == found, "{file} differs after {killed} kills");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_with_130_and_the_next_call_goes_on() {
    let world = World::new();
    world.config("run.toml", "whole", "");
    assert!(start(&world).wait().unwrap().success());
    let expected = results(&world.path("whole"));

    world.config("run.toml", "stopped", "");
    let mut stopped = 0;
    for stage in ["detect", "warm/train", "iter-1/sample", "iter-2/train"] {
        let mut child = start(&world);
        // Once the stage has begun (or ended: then the interrupt meets a later one).
        let begun = world.path("stopped").join(stage);
        let patience = Instant::now();
        while !begun.exists() && child.try_wait().unwrap().is_none() {
            assert!(patience.elapsed() < Duration::from_secs(120), "{stage} never began");
            std::thread::sleep(Duration::from_millis(1));
        }
        let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        let status = child.wait().unwrap();
        if status.success() {
            continue; // it was done before the signal came
        }
        assert!(interrupt.success());
        assert_eq!(status.code(), Some(130), "{stage}");
        stopped += 1;
    }
    assert!(stopped > 0, "every run had ended before it was interrupted");
    assert!(start(&world).wait().unwrap().success());
    for ((file, expected), (_, found)) in expected.iter().zip(results(&world.path("stopped"))) {
        assert!(*expected == found, "{file}");
    }
}
