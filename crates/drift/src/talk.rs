//! What the program says while it works, all of it on stderr: stdout is data.
//!
//! Lines are one verb and one sentence. Progress bars exist only on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Display;
use std::io::{IsTerminal, Write};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Errors alone.
    Quiet,
    #[default]
    Normal,
    /// Also what was skipped, where files lie and which kernels run.
    Verbose,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// Verbs and stage names are set flush right in this many columns.
const MARGIN: usize = 15;

#[derive(Clone, Debug)]
pub struct Talk {
    level: Level,
    color: bool,
    /// Which of several works that go on at once; empty where there is one.
    who: String,
}

impl Talk {
    pub fn new(level: Level, color: Color) -> Talk {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            // https://no-color.org: set and not empty means off.
            Color::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Talk { level, color, who: String::new() }
    }

    /// For one of several works that go on at once: each line names it, and there are no bars.
    pub fn of(&self, who: impl Display) -> Talk {
        Talk { who: format!("{who}: "), ..self.clone() }
    }

    /// One line about a step: a verb, then what.
    pub fn step(&self, verb: &str, what: impl Display) {
        if self.level >= Level::Normal {
            let verb = format!("{verb:>MARGIN$}");
            say(format_args!("{} {}{what}", self.paint("1;32", &verb), self.who));
        }
    }

    /// Something the user should look at, though the work goes on.
    pub fn warn(&self, what: impl Display) {
        if self.level >= Level::Normal {
            say(format_args!("{} {}{what}", self.paint("1;33", "warning:"), self.who));
        }
    }

    pub fn detail(&self, what: impl Display) {
        if self.level >= Level::Verbose {
            say(format_args!("{:>MARGIN$} {}{what}", "", self.who));
        }
    }

    pub fn error(&self, what: impl Display) {
        say(format_args!("{} {what}", self.paint("1;31", "error:")));
    }

    /// A bar of `total` units with the time left; hidden under `--quiet`, beside other work and where stderr is no terminal.
    pub fn bar(&self, verb: &str, total: u64, unit: Unit) -> ProgressBar {
        let is_hidden = self.level == Level::Quiet || !self.who.is_empty();
        let target = if is_hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let count = match unit {
            Unit::Count => "{pos}/{len}",
            Unit::Bytes => "{bytes}/{total_bytes}",
        };
        let verb = self.paint("1;36", &format!("{verb:>MARGIN$}"));
        let style = format!("{verb} [{{bar:30}}] {count} {{msg}} ({{elapsed}}, {{eta}} left)");
        bar.set_style(ProgressStyle::with_template(&style).expect("a constant template").progress_chars("=> "));
        bar
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// A line on stderr. Talk that nobody can hear (a closed pipe, a full disk) must not end the work.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
}

/// An error and its causes in one line, as every error of this program is shown.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        // A library that prints its cause itself would say it twice.
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_joined_once_and_in_one_line() {
        let inner = anyhow::anyhow!("byte 7: found\nnothing");
        let error = Err::<(), _>(inner).context("logs.json").context("logs.json: byte 7: found nothing").unwrap_err();
        assert_eq!(one_line(&error), "logs.json: byte 7: found nothing");
        let error = Err::<(), _>(anyhow::anyhow!("disk full")).context("runs/a: cannot write").unwrap_err();
        assert_eq!(one_line(&error), "runs/a: cannot write: disk full");
    }
}
