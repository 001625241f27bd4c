//! An experiment's file: what all methods have in common, and each method with the settings it may choose from.

use super::labels::Labels;
use crate::config::Config;
use crate::simulated::MOST_PROMPTS;
use anyhow::{Context, Result, anyhow, bail};
use drift_eval::simulated::Rates;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const HINT: &str = "recipes/compare-simulated.toml is one, docs/evaluation.md explains it";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub experiment: Experiment,
    pub simulate: Simulate,
    /// Sections of a run's config, for all methods.
    #[serde(default)]
    config: Table,
    #[serde(rename = "method")]
    pub arms: Vec<Arm>,
    /// What takes the place of the above with `--small`.
    #[serde(default)]
    #[allow(dead_code, reason = "applied before the file is understood, checked here")]
    small: Table,
    /// Of the file, for relative paths.
    #[serde(skip)]
    base: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Relative to the file.
    pub dir: PathBuf,
    /// Of the runs of each method; settings are chosen with the first.
    pub seeds: Vec<u64>,
}

/// The log: simulated users who talk with the base model.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Simulate {
    pub conversations: usize,
    pub max_new_tokens: usize,
    /// Of the answers in the log: another than that of training makes it another policy's log.
    pub temperature: f64,
    pub kinds: Vec<String>,
    #[serde(default)]
    pub rates: Rates,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    pub name: String,
    /// `detected`, or `true`: the log's truth.
    #[serde(default)]
    pub labels: Labels,
    /// Of true labels: the share that is turned around, up to .5.
    #[serde(default)]
    pub flipped: f64,
    /// Over what is common.
    #[serde(default)]
    config: Table,
    /// Over that: tried on dev prompts, the best is taken. One entry or none: nothing to choose.
    #[serde(default)]
    pub search: Vec<Table>,
}

impl Arm {
    pub fn has_choice(&self) -> bool {
        self.search.len() > 1
    }
}

/// What tells one run from another.
pub struct Setting<'a> {
    pub arm: &'a Arm,
    pub choice: Option<&'a Table>,
    pub dir: &'a Path,
    pub seed: u64,
    pub log: &'a Path,
    pub model: &'a Path,
    /// Further settings over all.
    pub more: Table,
}

impl Plan {
    /// # Errors
    /// An unreadable file, unknown keys, or a setting that no run takes.
    pub fn load(path: &Path, small: bool) -> Result<Plan> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow!("{name}: {error}, expected an experiment's TOML file; hint: {HINT}"))?;
        let said = |error: &toml::de::Error| error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        let mut table: Table = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow!("{name}:{line}: {}, expected TOML; hint: {HINT}", said(&error))
        })?;
        if small {
            let over = table.get("small").and_then(Value::as_table).cloned();
            merge(&mut table, over.with_context(|| format!("{name}: no [small], expected what --small changes"))?);
        }
        let plan: Result<Plan, _> = Value::Table(table).try_into();
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let plan = Plan { base, ..plan.map_err(|error| anyhow!("{name}: {}; hint: {HINT}", said(&error)))? };
        if plan.experiment.seeds.is_empty() || plan.arms.is_empty() {
            bail!(
                "{name}: no seed or no method, expected at least one of each; hint: [experiment] seeds = [1], [[method]]"
            );
        }
        let seeds = &plan.experiment.seeds;
        if let Some((_, twice)) = seeds.iter().enumerate().find(|(at, seed)| seeds[..*at].contains(seed)) {
            bail!(
                "{name}: experiment.seeds: {twice} twice, expected different ones; hint: equal seeds give equal runs"
            );
        }
        let Simulate { conversations, max_new_tokens, temperature, .. } = plan.simulate;
        if !(1..=MOST_PROMPTS).contains(&conversations) || max_new_tokens == 0 || !(0.0..=10.0).contains(&temperature) {
            bail!(
                "{name}: [simulate]: conversations {conversations}, max_new_tokens {max_new_tokens}, temperature \
                 {temperature}, expected 1 to {MOST_PROMPTS}, at least 1, and 0 to 10"
            );
        }
        let names: Vec<&str> = plan.arms.iter().map(|arm| arm.name.as_str()).collect();
        if let Some(bad) = names.iter().enumerate().find(|(at, name)| !is_name(name) || names[..*at].contains(name)) {
            bail!(
                "{name}: method {:?}, expected another name: letters, digits and hyphens, no name twice, not log, search or start",
                bad.1
            );
        }
        // Whatever is wrong is said before hours are spent.
        for arm in &plan.arms {
            let (most, allowed) = match arm.labels {
                Labels::True => (0.5, "0 to 0.5"),
                Labels::Detected => (0.0, "0 where labels are detected"),
            };
            if !(0.0..=most).contains(&arm.flipped) {
                bail!(
                    "{name}: method {}: flipped is {}, expected {allowed}; hint: labels = \"true\" can be turned around, up to \
                     half of them",
                    arm.name,
                    arm.flipped
                );
            }
            let choices: Vec<Option<&Table>> =
                if arm.search.is_empty() { vec![None] } else { arm.search.iter().map(Some).collect() };
            for choice in choices {
                let nowhere = Path::new("x");
                let (dir, log, model, more) = (nowhere, nowhere, nowhere, Table::new());
                let config = plan
                    .config(&Setting { arm, choice, dir, seed: 0, log, model, more })
                    .with_context(|| format!("{name}: method {}", arm.name))?;
                if config.evaluate.simulated == 0 {
                    bail!(
                        "{name}: config.evaluate.simulated: 0, expected some; hint: methods are told apart by these prompts"
                    );
                }
            }
        }
        Ok(plan)
    }

    pub fn dir(&self) -> PathBuf {
        self.base.join(&self.experiment.dir)
    }

    /// The config of one run.
    pub fn config(&self, of: &Setting) -> Result<Config> {
        let mut table = self.config.clone();
        merge(&mut table, of.arm.config.clone());
        merge(&mut table, of.choice.cloned().unwrap_or_default());
        merge(&mut table, of.more.clone());
        let text = |path: &Path| Value::String(path.to_string_lossy().into_owned());
        // Kinds that training never sees are told from those of the log.
        let kinds = self.simulate.kinds.iter().cloned().map(Value::String).collect();
        merge(&mut table, nested("evaluate", "kinds", Value::Array(kinds)));
        let seed = i64::try_from(of.seed).context("experiment.seeds: a number too large")?;
        merge(&mut table, nested("run", "dir", text(of.dir)));
        merge(&mut table, nested("run", "seed", Value::Integer(seed)));
        merge(&mut table, nested("model", "path", text(of.model)));
        merge(&mut table, nested("logs", "files", Value::Array(vec![text(of.log)])));
        Ok(Config::parse(&table.to_string(), "its config", Path::new(""))?)
    }
}

/// `[section] key = value`
pub fn nested(section: &str, key: &str, value: Value) -> Table {
    Table::from_iter([(section.to_string(), Value::Table(Table::from_iter([(key.to_string(), value)])))])
}

/// The experiment's own folders are not for methods.
fn is_name(name: &str) -> bool {
    !["", "log", "search", "start"].contains(&name)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `over` takes the place of what has the same key; tables are merged.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(over)) => merge(known, over),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recipes that ship, whole and small.
    #[test]
    fn the_recipes_are_plans() {
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/other-policy-simulated.toml");
        assert!([false, true].iter().all(|small| Plan::load(&other, *small).unwrap().simulate.temperature > 1.0));
        let noise = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/noise-simulated.toml");
        let (whole, small) = (Plan::load(&noise, false).unwrap(), Plan::load(&noise, true).unwrap());
        assert!(whole.arms.iter().any(|arm| arm.flipped == 0.4) && small.experiment.seeds.len() == 1);
        let more = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/more-simulated.toml");
        assert!([false, true].iter().all(|small| Plan::load(&more, *small).unwrap().arms.len() == 2));
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/compare-simulated.toml");
        let (whole, small) = (Plan::load(&recipe, false).unwrap(), Plan::load(&recipe, true).unwrap());
        assert!(whole.experiment.seeds.len() >= 3 && small.experiment.seeds.len() == 1);
        let budgets: Vec<usize> = whole.arms.iter().map(|arm| arm.search.len()).collect();
        assert!(budgets.iter().all(|n| *n == budgets[0]), "as many settings for each method: {budgets:?}");
        assert!(small.arms.iter().all(|arm| whole.arms.iter().any(|other| other.name == arm.name)));
    }

    #[test]
    fn tables_are_merged_and_all_else_is_replaced() {
        let table = |text: &str| toml::from_str::<Table>(text).unwrap();
        let mut known = table("a = 1\nlist = [1, 2]\n[train]\nbeta = 0.1\nepochs = 1\n");
        merge(&mut known, table("list = [3]\nb = 2\n[train]\nbeta = 0.3\n"));
        assert_eq!(known, table("a = 1\nlist = [3]\nb = 2\n[train]\nbeta = 0.3\nepochs = 1\n"));
        assert!(is_name("drift-2") && !is_name("") && !is_name("../x") && !is_name("start"));
    }
}
