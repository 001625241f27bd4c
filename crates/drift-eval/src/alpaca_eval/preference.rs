//! From a judge's first token to a preference.

use crate::mersenne::Mersenne;
use serde_json::Value;

/// Which answer the judge knew as `m` and which as `M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `m` is the baseline.
    AsGiven,
    /// `m` is the model.
    Switched,
}

impl Order {
    /// The order that the official annotators draw for an instruction.
    pub fn of(instruction: &str) -> Order {
        match Mersenne::from_text(&format!("is_switched_outputs{instruction}0")).below(2) {
            0 => Order::AsGiven,
            _ => Order::Switched,
        }
    }
}

/// Log-probs of the two tokens that name an answer, as far as they are among the judge's top tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenLogProbs {
    /// Of `m`.
    pub m: Option<f64>,
    /// Of `M`.
    pub big_m: Option<f64>,
}

impl TokenLogProbs {
    /// Of the first token of a completion as the API gives it: `logprobs.content[0].top_logprobs[{token, logprob}]`,
    /// itself or within `choices[0]`.
    pub fn of_completion(completion: &Value) -> TokenLogProbs {
        let choice = match completion.get("logprobs") {
            Some(_) => completion,
            None => completion.pointer("/choices/0").unwrap_or(completion),
        };
        let top = choice.pointer("/logprobs/content/0/top_logprobs").and_then(Value::as_array);
        let of = |name: &str| {
            let token = top?.iter().find(|token| token.get("token").and_then(Value::as_str) == Some(name))?;
            token.get("logprob")?.as_f64().filter(|logprob| !logprob.is_nan())
        };
        TokenLogProbs { m: of("m"), big_m: of("M") }
    }

    /// 1 (the baseline is better) to 2 (the model is); a token that is missing has probability 0. `None` where both are
    /// missing: the reply was no verdict.
    pub fn preference(self, order: Order) -> Option<f64> {
        let log_odds_of_m = match (self.m, self.big_m) {
            (None, None) => return None,
            (m, big_m) => m.unwrap_or(f64::NEG_INFINITY) - big_m.unwrap_or(f64::NEG_INFINITY),
        };
        if log_odds_of_m.is_nan() {
            return None; // both tokens are there with probability 0
        }
        let preference = 2.0 - 1.0 / (1.0 + (-log_odds_of_m).exp());
        Some(match order {
            Order::AsGiven => preference,
            Order::Switched => 3.0 - preference,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_is_that_of_python() {
        // random.Random("is_switched_outputs" + s + "0").choices([False, True])[0]
        let drawn = ["What is 2 + 2?", "Name a river.", "Écris un poème.", "", "a\nb"].map(Order::of);
        let expected = [Order::AsGiven, Order::Switched, Order::AsGiven, Order::AsGiven, Order::AsGiven];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn missing_tokens_have_no_probability() {
        let preference = |m, big_m| TokenLogProbs { m, big_m }.preference(Order::AsGiven);
        assert_eq!(preference(None, None), None);
        assert_eq!(preference(Some(-0.1), None), Some(1.0));
        assert_eq!(preference(None, Some(-9.0)), Some(2.0));
        assert_eq!(preference(Some(-0.5), Some(-0.5)), Some(1.5));
        // P(m) = .6, P(M) = .2: 2 - .6 / .8
        let (m, big_m) = (Some(0.6f64.ln()), Some(0.2f64.ln()));
        assert!((preference(m, big_m).unwrap() - 1.25).abs() < 1e-15);
        let switched = TokenLogProbs { m, big_m }.preference(Order::Switched).unwrap();
        assert!((switched - 1.75).abs() < 1e-15);
    }

    #[test]
    fn completions_are_read_and_nonsense_is_no_verdict() {
        let top = json!([{ "token": "M", "logprob": -0.2 }, { "token": "Both", "logprob": -3.0 },
                         { "token": "m", "logprob": -1.5 }]);
        let choice = json!({ "logprobs": { "content": [{ "top_logprobs": top }] } });
        let expected = TokenLogProbs { m: Some(-1.5), big_m: Some(-0.2) };
        assert_eq!(TokenLogProbs::of_completion(&choice), expected);
        assert_eq!(TokenLogProbs::of_completion(&json!({ "choices": [choice] })), expected);
        for nonsense in [json!(null), json!("M"), json!({ "logprobs": null }), json!({ "choices": [] })] {
            assert_eq!(TokenLogProbs::of_completion(&nonsense), TokenLogProbs::default());
        }
    }
}
