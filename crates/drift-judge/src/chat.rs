//! A chat-completions request and its reply: as much of OpenAI's API as every server of its kind has.

use crate::budget::Tokens;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Tokens that a chat template may add, to a conversation and to a message.
const TEMPLATE: usize = 64;
pub(crate) const MESSAGE: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub model: String,
    pub messages: Vec<Message>,
    /// Absent: the endpoint's own.
    pub temperature: Option<f64>,
    /// Most tokens of the reply.
    pub max_tokens: u32,
    /// Under which name `max_tokens` is sent: `max_tokens`, or `max_completion_tokens`.
    pub limit_key: String,
    /// Ask for log-probs of the reply's tokens, and for so many alternatives of each.
    pub top_logprobs: Option<u8>,
    /// Further keys of the body, as they are.
    pub extra: Map<String, Value>,
}

impl Request {
    /// Keys that `extra` may not hold, since cache, budget and parsing rest on them.
    pub const OWN_KEYS: [&str; 9] = [
        "model",
        "messages",
        "temperature",
        "max_tokens",
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
        "n",
        "stream",
    ];

    /// The JSON that is sent; equal requests give equal bytes.
    pub fn body(&self) -> String {
        let mut body = Map::new();
        body.insert("model".into(), json!(self.model));
        body.insert("messages".into(), json!(self.messages));
        if let Some(temperature) = self.temperature {
            body.insert("temperature".into(), json!(temperature));
        }
        body.insert(self.limit_key.clone(), json!(self.max_tokens));
        if let Some(top) = self.top_logprobs {
            body.insert("logprobs".into(), json!(true));
            body.insert("top_logprobs".into(), json!(top));
        }
        body.extend(self.extra.clone());
        Value::Object(body).to_string()
    }

    /// What the call cannot exceed: no tokenizer makes more tokens than bytes, a chat template adds a few.
    pub fn at_most(&self) -> Tokens {
        let texts: usize = self.messages.iter().map(|message| message.content.len()).sum();
        let extra: usize = self.extra.iter().map(|(key, value)| key.len() + value.to_string().len()).sum();
        let input = texts + extra + TEMPLATE + MESSAGE * self.messages.len();
        Tokens { input: input as u64, output: self.max_tokens.into() }
    }

    /// What it will be about: four bytes a token, which holds for English; the reply as long as it may be.
    pub fn about(&self) -> Tokens {
        let worst = self.at_most();
        Tokens { input: worst.input.div_ceil(4), ..worst }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    pub token: String,
    pub logprob: f64,
    /// The likeliest tokens at this place, as the endpoint orders them.
    #[serde(default, rename = "top_logprobs", skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TokenLogprob>,
}

/// The first choice of a completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Empty where the model refused or said nothing.
    pub content: String,
    /// `stop`, `length`, `content_filter`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// A token each, where they were asked for and the endpoint gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<TokenLogprob>,
    /// As the endpoint counted; absent where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Tokens>,
}

impl Reply {
    /// From a response body; `None` if it is no completion. Fields that are not read may be anything.
    pub fn parse(body: &[u8]) -> Option<Reply> {
        #[derive(Deserialize)]
        struct Completion {
            choices: Vec<Choice>,
            #[serde(default)]
            usage: Value,
        }
        #[derive(Deserialize)]
        struct Choice {
            message: Said,
            #[serde(default)]
            finish_reason: Option<String>,
            #[serde(default)]
            logprobs: Value,
        }
        #[derive(Deserialize)]
        struct Said {
            #[serde(default)]
            content: Option<String>,
        }
        let Completion { choices, usage } = serde_json::from_slice(body).ok()?;
        let Choice { message, finish_reason, mut logprobs } = choices.into_iter().next()?;
        let tokens = logprobs.get_mut("content").map(Value::take).unwrap_or_default();
        let count = |key: &str| usage.get(key).and_then(Value::as_u64);
        let usage = count("prompt_tokens").zip(count("completion_tokens"));
        Some(Reply {
            content: message.content.unwrap_or_default(),
            finish_reason,
            logprobs: serde_json::from_value(tokens).unwrap_or_default(),
            usage: usage.map(|(input, output)| Tokens { input, output }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> Request {
        Request {
            model: "m".into(),
            messages: vec![Message { role: Role::User, content: "Hé \"you\"\n".into() }],
            temperature: Some(0.0),
            max_tokens: 1,
            limit_key: "max_tokens".into(),
            top_logprobs: Some(5),
            extra: Map::from_iter([("seed".to_string(), json!(7))]),
        }
    }

    #[test]
    fn a_request_is_what_the_api_describes() {
        let expected = r#"{"model":"m","messages":[{"role":"user","content":"Hé \"you\"\n"}],"temperature":0.0,"max_tokens":1,"logprobs":true,"top_logprobs":5,"seed":7}"#;
        assert_eq!(request().body(), expected);
        let plain = Request { temperature: None, top_logprobs: None, extra: Map::new(), ..request() };
        let plain = Request { limit_key: "max_completion_tokens".into(), ..plain };
        let expected =
            r#"{"model":"m","messages":[{"role":"user","content":"Hé \"you\"\n"}],"max_completion_tokens":1}"#;
        assert_eq!(plain.body(), expected);
    }

    #[test]
    fn the_worst_case_counts_every_byte_that_the_model_may_see() {
        // 10 bytes of text (é has two), 4 + 1 of `seed`, 64 for the conversation, 16 for the message.
        assert_eq!(request().at_most(), Tokens { input: 10 + 5 + 64 + 16, output: 1 });
        assert_eq!(request().about(), Tokens { input: 24, output: 1 });
    }

    #[test]
    fn a_reply_keeps_text_logprobs_and_usage() {
        let body =
            br#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"m"},"finish_reason":"length",
            "logprobs":{"content":[{"token":"m","logprob":-0.25,"bytes":[109],"top_logprobs":[
            {"token":"m","logprob":-0.25,"bytes":[109]},{"token":"M","logprob":-1.5,"bytes":null}]}]}}],
            "usage":{"prompt_tokens":31,"completion_tokens":1,"total_tokens":32}}"#;
        let reply = Reply::parse(body).unwrap();
        assert_eq!((reply.content.as_str(), reply.finish_reason.as_deref()), ("m", Some("length")));
        assert_eq!(reply.usage, Some(Tokens { input: 31, output: 1 }));
        let top: Vec<(&str, f64)> = reply.logprobs[0].top.iter().map(|t| (t.token.as_str(), t.logprob)).collect();
        assert_eq!(top, [("m", -0.25), ("M", -1.5)]);
        let kept = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&kept).unwrap(), reply);
    }

    #[test]
    fn what_is_no_completion_is_none() {
        for body in [&b""[..], b"<html>", b"{}", br#"{"choices":[]}"#, br#"{"choices":[{"message":{"content":[1]}}]}"#]
        {
            assert_eq!(Reply::parse(body), None);
        }
        let refused =
            Reply::parse(br#"{"choices":[{"message":{"content":null,"refusal":"no"}}],"usage":{"prompt_tokens":-1}}"#);
        let refused = refused.unwrap();
        assert_eq!((refused.content.as_str(), refused.usage), ("", None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::parse(&body);
        }
    }
}
