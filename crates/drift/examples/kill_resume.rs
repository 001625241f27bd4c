//! Kills a small run at 100 random moments, resumes it each time, and compares the end with a run that
//! was left alone: `cargo build --release && cargo run --release --example kill_resume`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::{Child, Command, Stdio};
use std::time::Instant;

const KILLS: u64 = 100;

fn main() {
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("drift");
    assert!(program.exists(), "{}: expected the program; hint: cargo build --release", program.display());
    let world = common::World::new();
    let start = || -> Child {
        let mut command = Command::new(&program);
        command.current_dir(world.root()).args(["run", "run.toml"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    world.config("run.toml", "whole", "");
    let begin = Instant::now();
    assert!(start().wait().unwrap().success());
    let whole = begin.elapsed();

    world.config("run.toml", "killed", "");
    let checkpoint = |run: &str| std::fs::read(world.path(run).join("iter-2/train/checkpoint/model.safetensors"));
    let expected = checkpoint("whole").unwrap();
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        runs += 1;
        let mut child = start();
        // Little progress a run, so that the kills spread over all stages.
        std::thread::sleep(whole.mul_f64((drift::seeds::seed(runs, &["kill"]) % 1000) as f64 / 4000.0));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
        if checkpoint("killed").is_ok_and(|bytes| bytes == expected) && world.path("killed/report/index.html").exists()
        {
            std::fs::remove_dir_all(world.path("killed")).unwrap(); // the end was reached: once more from the start
            println!("{kills:3} kills: reached the end with the same bytes");
        }
    }
    assert!(start().wait().unwrap().success());
    assert!(checkpoint("killed").unwrap() == expected, "the checkpoint differs after {kills} kills");
    println!("{kills} kills in {runs} runs of a run that takes {whole:.1?}: the final checkpoint is byte-identical");
}
