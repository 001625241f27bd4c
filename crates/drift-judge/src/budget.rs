//! What judging may cost, will cost, has cost.
//!
//! A call is let in only if the budget holds even its worst case; that much is set aside until the
//! endpoint says what the call really took. So the budget is never exceeded, not by calls in flight either.

use crate::JudgeSettings;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Tokens sent and received. Sums stop at the largest number: an endpoint may claim anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    pub input: u64,
    pub output: u64,
}

impl Tokens {
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    pub fn plus(self, other: Tokens) -> Tokens {
        Tokens { input: self.input.saturating_add(other.input), output: self.output.saturating_add(other.output) }
    }

    pub(crate) fn minus(self, other: Tokens) -> Tokens {
        Tokens { input: self.input.saturating_sub(other.input), output: self.output.saturating_sub(other.output) }
    }

    /// The smaller of each.
    fn within(self, other: Tokens) -> Tokens {
        Tokens { input: self.input.min(other.input), output: self.output.min(other.output) }
    }
}

/// Money for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    pub input: f64,
    pub output: f64,
}

impl Prices {
    pub fn of(self, tokens: Tokens) -> f64 {
        (tokens.input as f64 * self.input + tokens.output as f64 * self.output) / 1e6
    }
}

/// What is shown before: nothing has been asked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    pub questions: usize,
    /// Questions whose verdict, or failure to give one, the cache knows.
    pub cached: usize,
    /// Calls that are left, were every first reply a verdict.
    pub calls: usize,
    /// About; received tokens as many as a reply may have.
    pub tokens: Tokens,
    pub money: f64,
}

impl fmt::Display for Estimate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { questions, cached, calls, tokens, money } = self;
        write!(
            out,
            "{questions} questions, {cached} known: about {calls} calls, {} tokens sent, at most {} received, {money:.4} in money",
            tokens.input, tokens.output
        )
    }
}

/// What is shown after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spend {
    /// Requests that went out, retries included.
    pub calls: u64,
    pub retries: u64,
    /// Asks that the cache answered.
    pub cached: u64,
    pub tokens: Tokens,
    pub money: f64,
    /// Replies whose endpoint did not say what they took: charged at their worst case.
    pub unreported: u64,
    /// Calls that broke off or timed out, and may be on the bill: charged at their worst case.
    pub lost: u64,
}

impl fmt::Display for Spend {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spend { calls, retries, cached, tokens, money, unreported, lost } = self;
        write!(
            out,
            "{calls} calls ({retries} retries, {lost} lost, {unreported} without a count), {cached} answers from the \
             cache, {} tokens sent, {} received, {money:.4} in money",
            tokens.input, tokens.output
        )
    }
}

/// Spent and set aside, against the limits.
pub(crate) struct Ledger {
    limit_tokens: u64,
    limit_money: f64,
    prices: Prices,
    reserved: Tokens,
    spend: Spend,
}

impl Ledger {
    pub fn new(settings: &JudgeSettings) -> Ledger {
        Ledger {
            limit_tokens: settings.budget_tokens,
            limit_money: settings.budget_money,
            prices: settings.prices(),
            reserved: Tokens::default(),
            spend: Spend::default(),
        }
    }

    /// Sets `worst` aside; `false`, and nothing is, where it does not fit.
    pub fn reserve(&mut self, worst: Tokens) -> bool {
        let held = self.reserved.plus(worst);
        let after = self.spend.tokens.plus(held);
        let fits = (self.limit_tokens == 0 || after.total() <= self.limit_tokens)
            && (self.limit_money == 0.0 || self.prices.of(after) <= self.limit_money);
        if fits {
            self.reserved = held;
        }
        fits
    }

    /// Charges `taken` and gives back `worst` of what the caller still has set aside.
    pub fn charge(&mut self, reserved: &mut Tokens, worst: Tokens, taken: Tokens) {
        self.spend.tokens = self.spend.tokens.plus(taken);
        self.give_back(reserved, worst);
    }

    pub fn give_back(&mut self, reserved: &mut Tokens, part: Tokens) {
        let part = part.within(*reserved);
        *reserved = reserved.minus(part);
        self.reserved = self.reserved.minus(part);
    }

    pub fn counts(&mut self) -> &mut Spend {
        &mut self.spend
    }

    pub fn spend(&self) -> Spend {
        Spend { money: self.prices.of(self.spend.tokens), ..self.spend }
    }

    /// What is left of the limits, for an error.
    pub fn remains(&self) -> String {
        let spend = self.spend();
        match (self.limit_tokens, self.limit_money) {
            (0, money) => format!("{:.4} of {money} in money spent", spend.money),
            (tokens, 0.0) => format!("{} of {tokens} tokens spent", spend.tokens.total()),
            (tokens, money) => {
                format!("{} of {tokens} tokens and {:.4} of {money} in money spent", spend.tokens.total(), spend.money)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn money_is_tokens_times_price_per_million() {
        // 2,000 at 0.15 and 500 at 0.60 a million: 0.0003 + 0.0003.
        let prices = Prices { input: 0.15, output: 0.6 };
        assert!((prices.of(Tokens { input: 2_000, output: 500 }) - 0.0006).abs() < 1e-15);
    }

    #[test]
    fn a_call_enters_only_if_its_worst_case_fits() {
        let settings = JudgeSettings { budget_tokens: 100, ..Default::default() };
        let mut ledger = Ledger::new(&settings);
        let worst = Tokens { input: 40, output: 10 };
        let mut first = worst;
        assert!(ledger.reserve(worst) && ledger.reserve(worst));
        assert!(!ledger.reserve(Tokens { input: 1, output: 0 }));
        // The first took 30 of its 50, so 20 are free again.
        ledger.charge(&mut first, worst, Tokens { input: 25, output: 5 });
        assert!(!ledger.reserve(Tokens { input: 21, output: 0 }));
        assert!(ledger.reserve(Tokens { input: 20, output: 0 }));

        let settings = JudgeSettings { budget_tokens: 0, budget_money: 1.0, output_price: 10.0, ..Default::default() };
        let mut ledger = Ledger::new(&settings);
        assert!(ledger.reserve(Tokens { input: 1 << 40, output: 100_000 }));
        assert!(!ledger.reserve(Tokens { input: 0, output: 1 }));
    }

    proptest! {
        /// Whatever order calls come and go in, what was spent and what is set aside stay within the limit
        /// while endpoints keep to the worst case; and nothing stays set aside in the end.
        #[test]
        fn the_limit_holds(calls in prop::collection::vec((0u64..50, 0u64..50, 0u64..=100), 1..60)) {
            let settings = JudgeSettings { budget_tokens: 300, ..Default::default() };
            let mut ledger = Ledger::new(&settings);
            let mut open: Vec<(Tokens, Tokens)> = Vec::new();
            for (input, output, share) in calls {
                let worst = Tokens { input, output };
                if ledger.reserve(worst) {
                    open.push((worst, Tokens { input: input * share / 100, output: output * share / 100 }));
                }
                prop_assert!(ledger.spend.tokens.plus(ledger.reserved).total() <= 300);
                if share % 3 == 0 && let Some((worst, taken)) = open.pop() {
                    ledger.charge(&mut worst.clone(), worst, taken);
                }
            }
            for (worst, taken) in open {
                ledger.charge(&mut worst.clone(), worst, taken);
            }
            prop_assert_eq!(ledger.reserved, Tokens::default());
            prop_assert!(ledger.spend.tokens.total() <= 300);
        }
    }
}
