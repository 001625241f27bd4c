//! What a judge says of one turn: `judge SETTINGS.toml REQUEST ANSWER TURN`, with the keys of `[judge]` at the
//! file's top level. The verdict goes to stdout, cost and estimate to stderr.

use drift_judge::{Judge, JudgeSettings, Parser, Turn};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [settings, request, answer, turn] = &args[..] else {
        return Err("expected four arguments: SETTINGS.toml REQUEST ANSWER TURN".into());
    };
    let settings: JudgeSettings = toml::from_str(&std::fs::read_to_string(settings)?)?;
    let judge = Judge::new(&settings, Parser::Feedback)?;
    let question = Turn { request, answer, turn };
    eprintln!("{}\nbefore: {}", judge.id(), judge.estimate(&[question])?);
    let verdict = judge.judge(&question);
    eprintln!("after: {}", judge.client().spend());
    match verdict {
        Ok(verdict) => println!("{}", serde_json::to_string(&verdict)?),
        Err(error) => eprintln!("{error}"),
    }
    Ok(())
}
