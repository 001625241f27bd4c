//! Messages as API logs, traces and chat frameworks write them: OpenAI's `{role, content}` with
//! parts and tool calls, the Responses API's items, Anthropic's blocks, LangChain's message objects.

use std::borrow::Cow;

use serde_json::Value;

use super::{Counts, KeptOut, keep_out, role};
use crate::read::Reason;
use crate::types::{Message, Role};

/// Deeper wrappings are nobody's log.
const DEEPEST: usize = 8;

/// The messages of one record, and what is kept out of them.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pub messages: Vec<Message>,
    pub kept_out: Counts,
}

impl Turns {
    /// All messages of a list, or of an object that holds one under a usual name. A bare text is
    /// `speaker`'s. False: there is nothing that looks like a message.
    ///
    /// # Errors
    /// A message by an unknown speaker, or one that is no object.
    pub fn read(&mut self, value: &Value, speaker: Role) -> Result<bool, Reason> {
        self.read_within(value, speaker, 0)
    }

    fn read_within(&mut self, value: &Value, speaker: Role, depth: usize) -> Result<bool, Reason> {
        if depth > DEEPEST {
            return Ok(false);
        }
        match &*unwrapped(value) {
            Value::String(text) => {
                if !text.is_empty() {
                    self.messages.push(Message { role: speaker, content: text.clone() });
                }
                Ok(!text.is_empty())
            }
            Value::Array(items) => {
                if items.iter().any(|item| item.is_object() && !is_message(item) && item.get("type").is_some()) {
                    // an answer as a list of blocks
                    let items = Value::Array(items.clone());
                    return self.push(speaker, &items, 0).map(|()| true);
                }
                let mut any = false;
                for item in items {
                    any |= self.read_within(item, speaker, depth + 1)?;
                }
                Ok(any)
            }
            object @ Value::Object(_) if is_message(object) => self.message(object).map(|()| true),
            Value::Object(object) => {
                let mut any = false;
                if let Some(system) = ["system", "instructions"].iter().find_map(|key| object.get(*key)) {
                    any |= self.read_within(system, Role::System, depth + 1)?;
                }
                // the first that is there; what was asked and what was answered in one object
                let list = ["messages", "message", "chat_history", "history", "conversation"];
                let asked = ["input", "question", "query", "prompt", "user_input", "text", "content"];
                let answered = ["choices", "generations", "output", "answer", "response", "completion", "result"];
                if let Some(list) = list.iter().find_map(|key| object.get(*key)) {
                    any |= self.read_within(list, speaker, depth + 1)?;
                }
                if let Some(asked) = asked.iter().find_map(|key| object.get(*key)) {
                    any |= self.read_within(asked, speaker, depth + 1)?;
                }
                if let Some(answered) = answered.iter().find_map(|key| object.get(*key)) {
                    any |= self.answers(answered, depth + 1)?;
                }
                Ok(any)
            }
            _ => Ok(false),
        }
    }

    /// `choices`, `generations` or a bare answer: of several, the first is read.
    fn answers(&mut self, value: &Value, depth: usize) -> Result<bool, Reason> {
        let Value::Array(items) = &*unwrapped(value) else { return self.read_within(value, Role::Assistant, depth) };
        let choices = items.iter().all(|item| item.get("message").is_some() || item.get("text").is_some());
        match items.first() {
            Some(first) if choices && first.get("type").is_none_or(|kind| kind.as_str() != Some("text")) => {
                keep_out(&mut self.kept_out, KeptOut::OtherChoices, items.len() - 1);
                let first = first.get("message").or_else(|| first.get("text")).unwrap_or(first);
                self.read_within(first, Role::Assistant, depth)
            }
            // LangChain: a list of candidates for each of a list of prompts
            Some(Value::Array(_)) => self.answers(&items[0], depth),
            _ => self.read_within(&Value::Array(items.clone()), Role::Assistant, depth),
        }
    }

    fn message(&mut self, object: &Value) -> Result<(), Reason> {
        let Some(speaker) = speaker(object) else {
            // an item of the Responses API that is no message: a call, a result, a thought
            let what = match object.get("type").and_then(Value::as_str) {
                Some("reasoning") => KeptOut::OtherParts,
                _ => KeptOut::ToolMessages,
            };
            keep_out(&mut self.kept_out, what, 1);
            return Ok(());
        };
        let role = role(speaker)?;
        let inner = object.get("kwargs").or_else(|| object.get("data")).filter(|inner| inner.is_object());
        let inner = inner.unwrap_or(object);
        let count = |key: &str| inner.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        let old_call = inner.get("function_call").is_some_and(|call| !call.is_null());
        let calls = count("tool_calls") + usize::from(old_call);
        let content = ["content", "value", "text", "parts"].iter().find_map(|key| inner.get(*key));
        self.push(role, content.unwrap_or(&Value::Null), calls)
    }

    /// One message from its content: a text, or a list of parts.
    fn push(&mut self, role: Role, content: &Value, mut calls: usize) -> Result<(), Reason> {
        let mut others = 0;
        let content = match content {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let mut texts = Vec::new();
                for part in parts {
                    let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
                    // TensorZero writes `value`, everybody else `text`
                    let text = part.as_str().or_else(|| part.get("text").or_else(|| part.get("value"))?.as_str());
                    match (kind, text) {
                        ("text" | "input_text" | "output_text" | "refusal", Some(text)) => texts.push(text),
                        ("message", _) => return Err(Reason::WrongShape),
                        ("tool_use" | "tool_result" | "tool_call" | "function_call", _) => calls += 1,
                        _ => others += 1,
                    }
                }
                texts.join("\n")
            }
            Value::Object(object) => match object.get("text").or_else(|| object.get("value")) {
                Some(Value::String(text)) => text.clone(),
                _ => return Err(Reason::WrongShape),
            },
            _ => return Err(Reason::WrongShape),
        };
        keep_out(&mut self.kept_out, KeptOut::OtherParts, others);
        keep_out(&mut self.kept_out, KeptOut::ToolMessages, calls + usize::from(role == Role::Tool));
        // a message that is nothing but a call, or a call's result, says nothing to the user
        if role != Role::Tool && !(calls > 0 && content.trim().is_empty()) {
            self.messages.push(Message { role, content });
        }
        Ok(())
    }
}

/// Loggers often write JSON as a text: `"{\"messages\": …}"` is the object.
pub(super) fn unwrapped(value: &Value) -> Cow<'_, Value> {
    let Value::String(text) = value else { return Cow::Borrowed(value) };
    let looks_like_json = matches!(text.trim_start().as_bytes().first(), Some(b'{' | b'['));
    match serde_json::from_str::<Value>(text) {
        Ok(inner) if looks_like_json && holds_messages(&inner) => Cow::Owned(inner),
        _ => Cow::Borrowed(value),
    }
}

/// JSON that a user pasted stays text: only what is built like a log is unwrapped.
fn holds_messages(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.first().is_some_and(|item| is_message(item) || is_block(item) || item.is_array()),
        Value::Object(object) => {
            let lists = ["messages", "choices", "generations", "input", "output", "message", "kwargs", "role"];
            lists.iter().any(|key| object.contains_key(*key))
        }
        _ => false,
    }
}

fn is_block(value: &Value) -> bool {
    value.get("type").is_some_and(|kind| kind.as_str() == Some("text"))
}

fn is_message(value: &Value) -> bool {
    let calls = ["function_call", "function_call_output", "reasoning", "web_search_call", "file_search_call"];
    let is_item = value.get("type").and_then(Value::as_str).is_some_and(|kind| calls.contains(&kind));
    let has_content = ["content", "value", "text", "parts", "kwargs", "data", "tool_calls", "function_call"];
    is_item || (speaker(value).is_some() && has_content.iter().any(|key| value.get(*key).is_some()))
}

/// Who speaks: `role`, `from`, `author.role`, LangChain's `type` or the last part of its class path.
fn speaker(value: &Value) -> Option<&str> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let author = || value.get("author").and_then(|author| author.get("role")).and_then(Value::as_str);
    let kind = || text("type").filter(|kind| role(kind).is_ok());
    let class = || value.get("id")?.as_array()?.last()?.as_str().filter(|_| value.get("kwargs").is_some());
    text("role").or_else(|| text("from")).or_else(author).or_else(kind).or_else(class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn turns(value: Value) -> (Vec<(Role, String)>, u64) {
        let mut turns = Turns::default();
        turns.read(&value, Role::User).unwrap();
        let kept_out = turns.kept_out.values().sum();
        (turns.messages.into_iter().map(|m| (m.role, m.content)).collect(), kept_out)
    }

    #[test]
    fn messages_are_found_however_they_are_wrapped() {
        let expected = vec![(Role::User, "q".to_string()), (Role::Assistant, "a".to_string())];
        let openai = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]);
        let wrappings = [
            openai.clone(),
            json!({"messages": openai}),
            json!([openai]),
            json!(openai.to_string()),
            json!({"messages": [[
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": {"content": "q", "type": "human"}},
                {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {"content": "a"}}]]}),
            json!([{"type": "human", "data": {"content": "q"}}, {"type": "ai", "content": "a"}]),
            json!({"input": "q", "output": "a"}),
            json!({"question": "q", "generations": [[{"text": "a", "message": {"kwargs": {"content": "a"}, "id": ["x", "AIMessage"]}}]]}),
            json!({"messages": [{"role": "user", "content": "q"}], "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}}]}),
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "q"}]}],
                "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}]}),
        ];
        for wrapping in wrappings {
            let text = wrapping.to_string();
            assert_eq!(turns(wrapping), (expected.clone(), 0), "{text}");
        }
    }

    #[test]
    fn calls_and_other_parts_are_counted_and_the_text_stays() {
        let messages = json!([
            {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}, {"id": "2"}]},
            {"role": "tool", "content": "42"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "3", "input": {}}, {"type": "text", "text": "a"}]}]);
        let (messages, kept_out) = turns(messages);
        assert_eq!(messages, [(Role::User, "q".to_string()), (Role::Assistant, "a".to_string())]);
        assert_eq!(kept_out, 6, "an image, four calls, a result");
    }

    #[test]
    fn pasted_json_stays_text() {
        for text in ["[1, 2]", "{\"a\": 1}", "[] is empty", "{"] {
            assert_eq!(turns(json!(text)).0, [(Role::User, text.to_string())]);
        }
    }
}
