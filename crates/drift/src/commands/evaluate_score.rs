//! `drift evaluate score`: a benchmark's figures from a judge's records.

use crate::files;
use crate::talk::Talk;
use anyhow::{Context, Result, bail};
use drift_eval::alpaca_eval::{self, Entry, References, read_judged, read_leaderboard, write_leaderboard};
use drift_eval::wildbench::{
    self, Kind, Reward, Tasks, read_comparisons, read_reward_aggregates, read_score_aggregates, read_scores,
};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Whose definitions to follow
    #[arg(long, value_enum)]
    suite: Suite,
    /// The judge's records, one file a model: see docs/evaluation.md
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One JSON array on stdout, a model a line, not a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    alpaca_eval: AlpacaEval,
    #[command(flatten)]
    wildbench: WildBench,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Suite {
    /// AlpacaEval 2: win rates against a baseline, plain and length-controlled
    AlpacaEval,
    /// WildBench v2: WB-Score and WB-Reward
    Wildbench,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "AlpacaEval 2")]
struct AlpacaEval {
    /// Rows of the gamed baselines, for length control
    #[arg(long, value_name = "CSV")]
    gamed: Option<PathBuf>,
    /// Difficulty of each instruction, for length control [default: that of the gamed rows]
    #[arg(long, value_name = "CSV")]
    difficulty: Option<PathBuf>,
    /// Published regression weights, taken in place of a fit for the models that they have
    #[arg(long, value_name = "CSV")]
    weights: Option<PathBuf>,
    /// Fit with this inverse penalty, not the one that cross-validation chooses
    #[arg(long, value_name = "C", value_parser = positive)]
    c: Option<f64>,
    /// Put the models into this leaderboard, made if it is not there
    #[arg(long, value_name = "CSV")]
    leaderboard: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "WildBench")]
struct WildBench {
    /// A local copy of the tasks (JSON), for the groups and the macro mean
    #[arg(long, value_name = "FILE")]
    tasks: Option<PathBuf>,
    /// In comparisons, a slight win of an answer longer by more than this many characters is a tie
    #[arg(long, value_name = "K")]
    length_penalty: Option<usize>,
    /// Which model the comparisons are with: a part of its name
    #[arg(long, value_name = "MODEL")]
    reference: Option<String>,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if value > 0.0 && f64::is_finite(value) => Ok(value),
        _ => Err("expected a number above 0".into()),
    }
}

pub fn run(options: &Options, talk: &Talk) -> Result<()> {
    let (of_alpaca_eval, of_wildbench) = (&options.alpaca_eval, &options.wildbench);
    let foreign = match options.suite {
        Suite::AlpacaEval => of_wildbench.given(),
        Suite::Wildbench => of_alpaca_eval.given(),
    };
    if let Some(name) = foreign {
        bail!("{name}: belongs to the other suite; hint: `drift evaluate score --help` says which is whose");
    }
    let out = &mut std::io::stdout().lock();
    match options.suite {
        Suite::AlpacaEval => {
            let scores = of_alpaca_eval.scores(&options.files, talk)?;
            if options.json { lines(out, &scores) } else { alpaca_eval_table(out, &scores) }
        }
        Suite::Wildbench => {
            let figures = of_wildbench.figures(&options.files)?;
            if options.json { lines(out, &figures) } else { wildbench_table(out, &figures) }
        }
    }
    .context("stdout")
}

impl AlpacaEval {
    /// An option of this suite that was given.
    fn given(&self) -> Option<&'static str> {
        let given = [
            ("--gamed", self.gamed.is_some()),
            ("--difficulty", self.difficulty.is_some()),
            ("--weights", self.weights.is_some()),
            ("--c", self.c.is_some()),
            ("--leaderboard", self.leaderboard.is_some()),
        ];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    fn scores(&self, files: &[PathBuf], talk: &Talk) -> Result<Vec<alpaca_eval::Score>> {
        let references = References::read(self.gamed.as_deref(), self.difficulty.as_deref(), self.weights.as_deref())?;
        let mut scores = Vec::new();
        for file in files {
            for judged in read_judged(file)? {
                scores.push(alpaca_eval::score(&judged, &references, self.c)?);
            }
        }
        let without = scores.iter().filter(|score| score.length_controlled_winrate.is_none()).count();
        if without > 0 {
            talk.warn(format_args!(
                "{without} models without a length-controlled win rate; hint: it needs --gamed and --difficulty"
            ));
        }
        if let Some(path) = &self.leaderboard {
            let mut entries = if path.exists() { read_leaderboard(path)? } else { Vec::new() };
            for score in &scores {
                let entry = Entry::from(score);
                match entries.iter_mut().find(|other| other.name == entry.name) {
                    Some(other) => *other = Entry { mode: other.mode.clone(), ..entry },
                    None => entries.push(entry),
                }
            }
            files::write(path, |out| write_leaderboard(out, &entries))?;
            talk.step("leaderboard", path.display());
        }
        Ok(scores)
    }
}

/// WildBench's figures of one model.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Figures {
    Score(wildbench::Score),
    Reward(Reward),
}

impl WildBench {
    fn given(&self) -> Option<&'static str> {
        let given = [
            ("--tasks", self.tasks.is_some()),
            ("--length-penalty", self.length_penalty.is_some()),
            ("--reference", self.reference.is_some()),
        ];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    fn figures(&self, files: &[PathBuf]) -> Result<Vec<Figures>> {
        let tasks = self.tasks.as_deref().map(Tasks::read).transpose()?;
        let mut figures = Vec::new();
        for path in files {
            match Kind::of(path)? {
                Kind::Scores => {
                    figures.push(Figures::Score(wildbench::score(path, &read_scores(path)?, tasks.as_ref())?));
                }
                Kind::Comparisons => figures.push(Figures::Reward(self.reward(path, tasks.as_ref())?)),
                Kind::ScoreAggregates => figures.extend(read_score_aggregates(path)?.into_iter().map(Figures::Score)),
                Kind::RewardAggregates => {
                    figures.extend(read_reward_aggregates(path)?.into_iter().map(Figures::Reward))
                }
            }
        }
        Ok(figures)
    }

    fn reward(&self, path: &Path, tasks: Option<&Tasks>) -> Result<Reward> {
        let Some(reference) = &self.reference else {
            bail!(
                "{}: comparisons with an unnamed model, expected --reference; hint: give a part of its name",
                path.display()
            );
        };
        let rows = read_comparisons(path, reference)?;
        Ok(wildbench::reward(path, &rows, self.length_penalty, tasks)?)
    }
}

/// A JSON array with one item a line.
pub fn lines(out: &mut impl Write, items: &[impl Serialize]) -> std::io::Result<()> {
    for (i, item) in items.iter().enumerate() {
        out.write_all(if i == 0 { b"[\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, item)?;
    }
    out.write_all(b"\n]\n")
}

pub fn alpaca_eval_table(out: &mut impl Write, scores: &[alpaca_eval::Score]) -> std::io::Result<()> {
    let width = scores.iter().map(|score| score.model.chars().count()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "{:width$} {:>8} {:>8} {:>16} {:>5} {:>6} {:>5} {:>5} {:>8} {:>7}",
        "model", "lc rate", "win rate", "95 % interval", "wins", "losses", "draws", "n", "unparsed", "length"
    )?;
    for score in scores {
        writeln!(
            out,
            "{:width$} {:>8} {:>8.2} {:>16} {:>5} {:>6} {:>5} {:>5} {:>8} {:>7}",
            plain(&score.model),
            shown(score.length_controlled_winrate),
            score.win_rate,
            between(score.win_rate_low, score.win_rate_high),
            score.n_wins,
            score.n_wins_base,
            score.n_draws,
            score.n_total,
            score.n_unparsed,
            score.avg_length,
        )?;
    }
    Ok(())
}

pub fn wildbench_table(out: &mut impl Write, figures: &[Figures]) -> std::io::Result<()> {
    let model = |figures: &Figures| match figures {
        Figures::Score(score) => score.model.chars().count(),
        Figures::Reward(reward) => reward.model.chars().count(),
    };
    let width = figures.iter().map(model).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "{:width$} {:10} {:>7} {:>16} {:>10} {:>5} {:>8} {:>7}",
        "model", "figure", "value", "95 % interval", "task macro", "n", "unparsed", "length"
    )?;
    for figures in figures {
        match figures {
            Figures::Score(score) => writeln!(
                out,
                "{:width$} {:10} {:>7.2} {:>16} {:>10} {:>5} {:>8} {:>7}",
                plain(&score.model),
                "WB-Score",
                score.wb_score,
                between(score.wb_score_low, score.wb_score_high),
                shown(score.wb_score_task_macro),
                score.total,
                number(score.n_unparsed),
                shown(score.avg_len),
            )?,
            Figures::Reward(reward) => writeln!(
                out,
                "{:width$} {:10} {:>7.2} {:>16} {:>10} {:>5} {:>8} {:>7}",
                plain(&reward.model),
                "WB-Reward",
                reward.wb_reward,
                between(reward.wb_reward_low, reward.wb_reward_high),
                shown(reward.wb_reward_task_macro),
                reward.total,
                number(reward.n_unparsed),
                shown(reward.avg_len),
            )?,
        }
    }
    Ok(())
}

/// `-`: not known.
fn number(known: Option<usize>) -> String {
    known.map_or("-".into(), |n| n.to_string())
}

/// A name from a file, without what a terminal would obey.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.2}"))
}

fn between(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!("{low:.2} to {high:.2}"),
        _ => "-".into(),
    }
}
