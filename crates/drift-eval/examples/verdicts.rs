//! Verdicts of the requirement checks, for comparing them with others' (tests/reference/ifeval_agreement.py): lines
//! `{"kind": …, "parameters": …, "answer": …}` in, `true` or `false` a line out.

use drift_eval::requirements::{Parameters, Requirement};
use serde_json::{Value, json};
use std::io::BufRead;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let row: Value = serde_json::from_str(&line?)?;
        let parameters: Parameters = serde_json::from_value(row["parameters"].clone())?;
        let requirement: Requirement = serde_json::from_value(json!({"kind": row["kind"], "parameters": parameters}))?;
        println!("{}", requirement.met(row["answer"].as_str().unwrap_or("")));
    }
    Ok(())
}
