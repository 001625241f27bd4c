//! IFBench's prompts, from a file. For evaluation alone: nothing is trained on them.

use super::{Checked, print_change, shown};
use crate::simulated::Asked;
use anyhow::Result;
use drift_eval::ifbench::{Accuracy, Change, Comparison, Prompt, Rates, accuracy, compare, read_prompts, verdicts};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

pub struct IfBench {
    pub prompts: PathBuf,
    /// The first so many; `None`: all.
    pub n: Option<usize>,
    /// Of the bootstrap; greedy answers need none.
    pub seed: u64,
}

impl Asked for Prompt {
    const SUITE: &'static str = "ifbench";

    fn id(&self) -> &str {
        &self.key
    }

    fn text(&self) -> &str {
        &self.text
    }

    /// Kinds missed strictly.
    fn missed(&self, answer: &str) -> Vec<&'static str> {
        verdicts(self, answer).into_iter().filter(|verdict| !verdict.strict).map(|verdict| verdict.kind.name).collect()
    }
}

#[derive(Serialize)]
pub struct Report {
    suite: &'static str,
    model: String,
    seed: u64,
    #[serde(flatten)]
    figures: Accuracy,
    /// The other model's answers are a, these b.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
}

impl Checked for IfBench {
    type Prompt = Prompt;
    type Report = Report;

    fn prompts(&self) -> Result<Vec<Prompt>> {
        let mut prompts = read_prompts(&self.prompts)?;
        prompts.truncate(self.n.unwrap_or(usize::MAX));
        Ok(prompts)
    }

    fn report(
        &self,
        model: String,
        prompts: &[Prompt],
        answers: &[String],
        others: Option<&[String]>,
    ) -> Result<Report> {
        let paired: Vec<(&Prompt, &str)> = prompts.iter().zip(answers.iter().map(String::as_str)).collect();
        Ok(Report {
            suite: "ifbench",
            model,
            seed: self.seed,
            figures: accuracy(&paired, self.seed)?,
            against: others.map(|others| compare(prompts, others, answers, self.seed)).transpose()?,
        })
    }

    fn print(out: &mut dyn Write, report: &Report) -> std::io::Result<()> {
        let figures = &report.figures;
        writeln!(out, "ifbench, {} prompts, 95 % intervals", figures.prompts)?;
        writeln!(out, "{:<34} {:<34} loose", "", "strict")?;
        let mut row = |name: &str, rates: &Rates| {
            writeln!(out, "{name:<34} {:<34} {}", shown(&rates.strict), shown(&rates.loose))
        };
        row("prompt level", &figures.prompt_level)?;
        row("instruction level", &figures.instruction_level)?;
        for (family, rates) in &figures.families {
            row(family, rates)?;
            for (kind, rates) in figures.kinds.iter().filter(|(kind, _)| kind.split(':').next() == Some(*family)) {
                row(&format!("  {kind}"), rates)?;
            }
        }
        writeln!(out, "{:<34} {:.1}", "words an answer", figures.words.mean)?;
        writeln!(out, "{:<34} {}", "blank answers", shown(&figures.empty))?;
        let changes =
            report.against.iter().flat_map(|against| [("strict", &against.strict), ("loose", &against.loose)]);
        for (name, Change { a, difference, only_a, only_b, p, .. }) in changes {
            print_change(out, &format!("{name}, against"), *a, difference, (*only_b, *only_a), *p)?;
        }
        Ok(())
    }
}
