//! Simulated users' prompts.

use super::{Checked, print_change, shown};
use crate::simulated::{Suite, comparison, figures};
use anyhow::Result;
use drift_eval::satisfaction::{Comparison, Satisfaction};
use drift_eval::simulated::Prompt;
use serde::Serialize;
use std::io::Write;

#[derive(Serialize)]
pub struct Report {
    suite: &'static str,
    model: String,
    split: &'static str,
    seed: u64,
    #[serde(flatten)]
    figures: Satisfaction,
    /// The other model's answers are a, these b.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
}

impl Checked for Suite {
    type Prompt = Prompt;
    type Report = Report;

    fn prompts(&self) -> Result<Vec<Prompt>> {
        Suite::prompts(self)
    }

    fn report(
        &self,
        model: String,
        prompts: &[Prompt],
        answers: &[String],
        others: Option<&[String]>,
    ) -> Result<Report> {
        Ok(Report {
            suite: "simulated",
            model,
            split: self.split.name(),
            seed: self.seed,
            figures: figures(prompts, answers, self.seed)?,
            against: others.map(|others| comparison(prompts, others, answers, self.seed)).transpose()?,
        })
    }

    fn print(out: &mut dyn Write, report: &Report) -> std::io::Result<()> {
        let figures = &report.figures;
        writeln!(out, "simulated, {} prompts of {}, 95 % intervals", figures.prompts, report.split)?;
        writeln!(out, "{:<24} {}", "satisfied", shown(&figures.satisfied))?;
        for (name, of) in [("kinds of training", &figures.seen), ("with an unseen kind", &figures.unseen)] {
            if let Some(of) = of {
                writeln!(out, "  {name:<22} {}", shown(of))?;
            }
        }
        writeln!(out, "{:<24} {:.1}", "words an answer", figures.words.mean)?;
        writeln!(out, "{:<24} {:.3}", "repetition", figures.repetition.mean)?;
        writeln!(out, "{:<24} {:.3} {:.3}", "distinct 1- and 2-grams", figures.distinct_1, figures.distinct_2)?;
        writeln!(out, "{:<24} {}", "refusals", shown(&figures.refusal))?;
        for (kind, of) in &figures.kinds {
            writeln!(out, "  {kind:<22} {}", shown(of))?;
        }
        if let Some(Comparison { a, difference, only_a, only_b, p, .. }) = &report.against {
            print_change(out, "against", *a, difference, (*only_b, *only_a), *p)?;
        }
        Ok(())
    }
}
