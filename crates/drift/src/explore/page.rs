//! The page of `drift explore`, one file that needs nothing else; made as the report is.

use super::Report;
use super::answers::Row;
use crate::files;
use crate::report::{HEAD, SEALED, embed, fill};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

/// Prompts whose answers can be read on the page.
const SHOWN: usize = 300;

pub fn write(path: &Path, report: &Report, rows: &[Row]) -> Result<()> {
    let exploration = &report.exploration;
    let (prompts, samples) = (exploration.prompts, exploration.samples);
    let shown = prompts.min(SHOWN);
    let cases: Vec<_> = (0..shown)
        .map(|prompt| {
            let of_method = |method: usize| {
                let from = (method * prompts + prompt) * samples;
                let answer = |row: &Row| json!({"answer": row.answer, "reward": row.reward, "missed": row.missed});
                rows[from..from + samples].iter().map(answer).collect::<Vec<_>>()
            };
            let first = &rows[prompt * samples];
            let answers: Vec<_> = (0..exploration.methods.len()).map(of_method).collect();
            json!({"id": first.id, "prompt": first.prompt, "kinds": first.kinds, "answers": answers})
        })
        .collect();
    let rewards: Vec<f64> = rows.iter().map(|row| row.reward).collect();
    let data = json!({"report": report, "rewards": rewards, "cases": cases});
    let script =
        concat!(include_str!("../report/dom.js"), include_str!("../report/beside.js"), include_str!("page.js"));
    let parts = [
        ("{{head}}", HEAD.to_owned()),
        ("{{policy}}", SEALED.to_owned()),
        (
            "{{style}}",
            concat!(include_str!("../report/page.css"), include_str!("../report/beside.css"), include_str!("page.css"))
                .to_owned(),
        ),
        ("{{data}}", embed(&data.to_string())),
        ("{{script}}", script.to_owned()),
    ];
    let page = fill(include_str!("page.html"), &parts);
    files::write(path, |out| out.write_all(page.as_bytes()))
}
