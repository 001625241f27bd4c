//! The config section `[judge]`. A field's comment is its documentation.

use crate::{JudgeError, Prices};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeSettings {
    /// Where `/chat/completions` is, http or https: `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// Name of the environment variable that holds the key; absent: none is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// Takes the place of the judge file's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The judge; absent: the one that is shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Where replies are kept, as private as the log; absent: in memory alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// PEM certificates to trust instead of Mozilla's, for an endpoint or proxy with its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Calls at once, 1 to 64; the verdicts stay the same.
    #[serde(deserialize_with = "concurrency")]
    pub concurrency: usize,
    /// Seconds that one call may take, from connecting to the last byte.
    #[serde(deserialize_with = "seconds")]
    pub timeout_s: f64,
    /// Further tries of a call that was cut, timed out, or met 429 or 5xx, up to 20.
    #[serde(deserialize_with = "retries")]
    pub retries: u32,
    /// Seconds before the first of them; doubled each time.
    #[serde(deserialize_with = "seconds")]
    pub retry_wait_s: f64,
    /// Longest pause in seconds; an endpoint that asks for more ends the judging.
    #[serde(deserialize_with = "seconds")]
    pub max_wait_s: f64,
    /// Most tokens to send and receive; 0: no limit.
    pub budget_tokens: u64,
    /// Most money to spend, in the unit of the prices; 0: no limit.
    #[serde(deserialize_with = "price")]
    pub budget_money: f64,
    /// Price of a million tokens sent.
    #[serde(deserialize_with = "price")]
    pub input_price: f64,
    /// Price of a million tokens received.
    #[serde(deserialize_with = "price")]
    pub output_price: f64,
}

impl Default for JudgeSettings {
    fn default() -> JudgeSettings {
        JudgeSettings {
            base_url: String::new(),
            key_env: None,
            model: None,
            file: None,
            cache: None,
            ca_file: None,
            concurrency: 4,
            timeout_s: 60.0,
            retries: 5,
            retry_wait_s: 1.0,
            max_wait_s: 120.0,
            budget_tokens: 1_000_000,
            budget_money: 0.0,
            input_price: 0.0,
            output_price: 0.0,
        }
    }
}

impl JudgeSettings {
    pub fn prices(&self) -> Prices {
        Prices { input: self.input_price, output: self.output_price }
    }

    /// What no single key shows, and values that were set in code.
    pub fn check(&self) -> Result<(), JudgeError> {
        let wrong = |key, what: &str, hint| Err(JudgeError::Settings { key, what: what.into(), hint });
        if self.budget_money > 0.0 && self.input_price == 0.0 && self.output_price == 0.0 {
            let what = "given, but input_price and output_price are 0, expected the prices of a million tokens";
            return wrong("budget_money", what, "without prices nothing costs money: use budget_tokens");
        }
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            return wrong("concurrency", "out of range, expected 1 to 64", "4 is kind to most endpoints");
        }
        let times =
            [("timeout_s", self.timeout_s), ("retry_wait_s", self.retry_wait_s), ("max_wait_s", self.max_wait_s)];
        if let Some((key, _)) = times.into_iter().find(|(_, seconds)| !is_wait(*seconds)) {
            return wrong(key, "out of range, expected seconds above 0, at most 86400", "leave it out for the default");
        }
        let money = [self.budget_money, self.input_price, self.output_price];
        if money.iter().any(|value| !is_price(*value)) {
            return wrong("input_price", "prices or budget below 0 or not finite, expected at least 0", "0 is free");
        }
        Ok(())
    }
}

const MAX_CONCURRENCY: usize = 64;
const MAX_RETRIES: u32 = 20;

fn is_wait(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= 86_400.0
}

fn is_price(value: f64) -> bool {
    value >= 0.0 && value.is_finite()
}

fn seconds<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(input)?;
    let expected = || D::Error::custom(format!("{value}, expected seconds above 0, at most 86400"));
    is_wait(value).then_some(value).ok_or_else(expected)
}

fn price<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(input)?;
    is_price(value)
        .then_some(value)
        .ok_or_else(|| D::Error::custom(format!("{value}, expected a number of at least 0")))
}

fn concurrency<'de, D: Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
    let value = i64::deserialize(input)?;
    let fits = usize::try_from(value).ok().filter(|n| (1..=MAX_CONCURRENCY).contains(n));
    fits.ok_or_else(|| D::Error::custom(format!("{value}, expected a whole number from 1 to {MAX_CONCURRENCY}")))
}

fn retries<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    let value = i64::deserialize(input)?;
    let fits = u32::try_from(value).ok().filter(|n| *n <= MAX_RETRIES);
    fits.ok_or_else(|| D::Error::custom(format!("{value}, expected a whole number from 0 to {MAX_RETRIES}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first TOML block of docs/judge.md shows every key with its default.
    #[test]
    fn the_documentation_shows_every_key_and_its_default() {
        let text = include_str!("../../../docs/judge.md");
        let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
        assert_eq!(toml::from_str::<JudgeSettings>(block).unwrap(), JudgeSettings::default());
        let path = || Some(PathBuf::from("x"));
        let (key_env, model) = (Some("x".to_string()), Some("x".to_string()));
        let full = JudgeSettings { key_env, model, file: path(), cache: path(), ca_file: path(), ..Default::default() };
        for key in toml::Table::try_from(full).unwrap().keys() {
            let shows = |line: &str| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{key} = ")) && line.contains(" # ")
            };
            assert!(block.lines().any(shows), "docs/judge.md: {key}: missing, or without a comment");
        }
    }
}
