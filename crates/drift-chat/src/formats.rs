//! The log formats. A new one is a variant here and a file beside the others.

mod drift;
mod openai;
mod sharegpt;
mod wildchat;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::read::Reason;
use crate::types::{Message, Role};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `{id, conversations: [{from, value}]}`
    ShareGpt,
    /// `{messages: [{role, content}]}`, the fine-tuning format of OpenAI.
    OpenAiMessages,
    /// `{conversation_hash | conversation_id, conversation: [{role, content}]}`: WildChat, LMSYS-Chat-1M.
    WildChat,
    /// A row of the DSAT file, `{prompt, rejected, user_preference}`, read back as the chat it came from.
    DriftCases,
    /// `{prompt, chosen, rejected}`: known, but no chat: nobody reacts to either answer.
    Pairs,
}

/// One parsed record, and what its format kept out.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub id: Option<String>,
    pub messages: Vec<Message>,
    /// Tool calls and tool results.
    pub tool_messages: u64,
    /// Images, audio, files inside a message.
    pub other_parts: u64,
}

/// The keys that tell the formats apart.
#[derive(Deserialize)]
struct Keys {
    conversations: Option<IgnoredAny>,
    conversation: Option<IgnoredAny>,
    messages: Option<IgnoredAny>,
    prompt: Option<IgnoredAny>,
    chosen: Option<IgnoredAny>,
    rejected: Option<IgnoredAny>,
    user_preference: Option<IgnoredAny>,
}

impl Format {
    /// The format of a record, from its keys.
    pub(crate) fn of(record: &[u8]) -> Option<Format> {
        let keys: Keys = serde_json::from_slice(record).ok()?;
        if keys.prompt.is_some() && keys.rejected.is_some() {
            return if keys.user_preference.is_some() {
                Some(Format::DriftCases)
            } else {
                keys.chosen.map(|_| Format::Pairs)
            };
        }
        let by_key = [
            (keys.conversations, Format::ShareGpt),
            (keys.conversation, Format::WildChat),
            (keys.messages, Format::OpenAiMessages),
        ];
        by_key.into_iter().find_map(|(key, format)| key.map(|_| format))
    }

    pub(crate) fn parse(self, record: &[u8]) -> Result<Parsed, Reason> {
        match self {
            Format::ShareGpt => sharegpt::parse(record),
            Format::OpenAiMessages => openai::parse(record),
            Format::WildChat => wildchat::parse(record),
            Format::DriftCases => drift::parse(record),
            Format::Pairs => Err(Reason::WrongShape),
        }
    }
}

fn from_slice<'a, T: Deserialize<'a>>(record: &'a [u8]) -> Result<T, Reason> {
    serde_json::from_slice(record).map_err(|error| {
        if std::str::from_utf8(record).is_err() {
            Reason::BadUtf8
        } else if error.is_data() {
            Reason::WrongShape
        } else {
            Reason::BadJson
        }
    })
}

/// Speakers as the formats spell them.
fn role(name: &str) -> Result<Role, Reason> {
    match name {
        "human" | "user" | "prompter" => Ok(Role::User),
        "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" | "bot" => Ok(Role::Assistant),
        "system" | "developer" => Ok(Role::System),
        "tool" | "function" => Ok(Role::Tool),
        _ => Err(Reason::UnknownRole),
    }
}

/// An id that a log may write as text or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    /// None for the empty text, which several logs write for "no id".
    fn text(self) -> Option<String> {
        match self {
            Id::Text(text) => (!text.is_empty()).then_some(text),
            Id::Number(number) => Some(number.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_keys() {
        let of = |text: &str| Format::of(text.as_bytes());
        assert_eq!(of(r#"{"id":"a","conversations":[]}"#), Some(Format::ShareGpt));
        assert_eq!(of(r#"{"messages":[],"tools":[]}"#), Some(Format::OpenAiMessages));
        assert_eq!(of(r#"{"conversation":[],"model":"m"}"#), Some(Format::WildChat));
        assert_eq!(of(r#"{"prompt":[],"rejected":[],"user_preference":{},"chosen":[]}"#), Some(Format::DriftCases));
        assert_eq!(of(r#"{"prompt":[],"rejected":[],"chosen":[]}"#), Some(Format::Pairs));
        assert_eq!(of(r#"{"from":"human","value":"a message alone"}"#), None);
        assert_eq!(of("[1]"), None);
    }

    #[test]
    fn every_format_reads_its_rows() {
        let texts = |format: Format, row: &str| {
            let parsed = format.parse(row.as_bytes()).unwrap();
            let texts: Vec<_> = parsed.messages.iter().map(|m| (m.role, m.content.clone())).collect();
            (parsed.id, texts, parsed.tool_messages, parsed.other_parts)
        };
        let turn = |role: Role, text: &str| (role, text.to_string());

        let row = r#"{"id":"a_0","conversations":[{"from":"human","value":"h\u00e9"},{"from":"gpt","value":""}]}"#;
        let expected = vec![turn(Role::User, "hé"), turn(Role::Assistant, "")];
        assert_eq!(texts(Format::ShareGpt, row), (Some("a_0".into()), expected, 0, 0));

        // a call without text, its result, and an image are kept out and counted; the text stays
        let row = r#"{"messages":[{"role":"developer","content":"s"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}},{"type":"text","text":"b"}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},{"role":"tool","content":"42","tool_call_id":"1"},
            {"role":"assistant","content":"done"}]}"#;
        let expected = vec![turn(Role::System, "s"), turn(Role::User, "a\nb"), turn(Role::Assistant, "done")];
        assert_eq!(texts(Format::OpenAiMessages, row), (None, expected, 2, 1));

        let row = r#"{"conversation_hash":"h","conversation":[{"role":"user","content":"q","toxic":false},{"role":"assistant","content":null}]}"#;
        let expected = vec![turn(Role::User, "q"), turn(Role::Assistant, "")];
        assert_eq!(texts(Format::WildChat, row), (Some("h".into()), expected, 0, 0));

        let row = r#"{"prompt":[{"role":"user","content":"q"}],"rejected":[{"role":"assistant","content":"r"}],"user_preference":{"content":"no"}}"#;
        let expected = vec![turn(Role::User, "q"), turn(Role::Assistant, "r"), turn(Role::User, "no")];
        assert_eq!(texts(Format::DriftCases, row), (None, expected, 0, 0));
    }

    #[test]
    fn bad_records_have_a_reason() {
        let reason = |row: &[u8]| Format::ShareGpt.parse(row).unwrap_err();
        assert_eq!(reason(br#"{"conversations":[{"from":"human","value":3}]}"#), Reason::WrongShape);
        assert_eq!(reason(br#"{"conversations":[{"from":"ghost","value":""}]}"#), Reason::UnknownRole);
        assert_eq!(reason(b"{\"conversations\":[{\"from\":\"human\",\"value\":\"\xff\"}]}"), Reason::BadUtf8);
        assert_eq!(reason(br#"{"conversations":[}"#), Reason::BadJson);
    }
}
