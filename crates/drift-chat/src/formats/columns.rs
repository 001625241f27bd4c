//! Any table of chats, once it is said which column is what: one message a row, a request with its
//! answer a row, or all messages of a chat in one column. Rows of one conversation follow each other.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::feedback::score;
use super::pairs::messages;
use super::{Draft, Mark, Node, Parsed, Place, Row, Score, from_slice, role};
use crate::read::Reason;
use crate::types::{Message, Role, Signal};

/// Which column (or key; `a.b` for a key within a key) holds what. Written as
/// `conversation=chat,role=who,content=text`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Columns {
    /// The conversation's id.
    pub conversation: Option<String>,
    /// With `content`: one message a row.
    pub role: Option<String>,
    pub content: Option<String>,
    /// With `answer`: one exchange a row.
    pub request: Option<String>,
    pub answer: Option<String>,
    /// A list of messages, or the text of one in JSON.
    pub messages: Option<String>,
    pub user: Option<String>,
    /// Of the answer: a truth value, a number or a word such as `thumbs_down`.
    pub rating: Option<String>,
    pub comment: Option<String>,
    /// True where the chat may not be used.
    pub opted_out: Option<String>,
}

/// Names that a table is read by where none are given, the usual ones first.
const USUAL: [(&str, &[&str]); 10] = [
    ("conversation", &["conversation_id", "session_id", "thread_id", "chat_id", "dialogue_id", "dialog_id", "id"]),
    ("role", &["role", "author", "speaker", "sender", "from"]),
    ("content", &["content", "text", "message", "utterance", "value", "body"]),
    ("request", &["prompt", "question", "request", "user_message", "instruction", "query", "input"]),
    ("answer", &["response", "answer", "completion", "assistant_message", "reply", "output"]),
    ("messages", &["messages", "conversation", "conversations", "chat", "dialogue"]),
    ("user", &["user_id", "user"]),
    ("rating", &["rating", "thumbs", "feedback", "score", "label"]),
    ("comment", &["comment", "feedback_text"]),
    ("opted_out", &["opted_out", "opt_out", "do_not_train"]),
];

impl Columns {
    fn slot(&mut self, what: &str) -> Option<&mut Option<String>> {
        Some(match what {
            "conversation" | "id" => &mut self.conversation,
            "role" => &mut self.role,
            "content" => &mut self.content,
            "request" => &mut self.request,
            "answer" => &mut self.answer,
            "messages" => &mut self.messages,
            "user" => &mut self.user,
            "rating" => &mut self.rating,
            "comment" => &mut self.comment,
            "opted_out" => &mut self.opted_out,
            _ => return None,
        })
    }

    fn is_whole(&self) -> bool {
        self.messages.is_some()
            || (self.role.is_some() && self.content.is_some())
            || (self.request.is_some() && self.answer.is_some())
    }

    /// The columns of a table with usual names; `None` where they do not make a chat.
    pub(crate) fn guess(names: &[&str]) -> Option<Columns> {
        let mut columns = Columns::default();
        for (what, usual) in USUAL {
            let found = usual.iter().find_map(|usual| names.iter().find(|name| name.eq_ignore_ascii_case(usual)));
            *columns.slot(what)? = found.map(|name| name.to_string());
        }
        // rows of messages need to know where a conversation ends
        if columns.conversation.is_none() {
            (columns.role, columns.content) = (None, None);
        }
        columns.is_whole().then_some(columns)
    }

    /// The columns that are named.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut named = self.clone();
        USUAL.iter().filter_map(|(what, _)| named.slot(what)?.take()).collect()
    }

    /// Whether a record of JSON has the column, empty or not.
    pub(crate) fn is_in(column: &str, record: &[u8]) -> bool {
        from_slice::<Value>(record).is_ok_and(|row| at(&row, column).is_some())
    }

    /// As [`Columns::guess`], from a record of JSON.
    pub(crate) fn guess_from(record: &[u8]) -> Option<Columns> {
        let Ok(Value::Object(object)) = serde_json::from_slice(record) else { return None };
        let names: Vec<&str> = object.keys().map(String::as_str).collect();
        Columns::guess(&names)
    }

    pub(super) fn parse(&self, record: &[u8]) -> Result<Parsed, Reason> {
        let row: Value = from_slice(record)?;
        let cell = |column: &Option<String>| column.as_deref().and_then(|name| at(&row, name)).filter(|v| !v.is_null());
        let text = |column: &Option<String>| match cell(column)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let named = |column: &Option<String>| text(column).filter(|text| !text.is_empty());
        let user = named(&self.user);
        let opted_out = cell(&self.opted_out).is_some_and(is_yes);
        let comment = named(&self.comment);
        let found = cell(&self.rating).and_then(score);
        let found = found.or_else(|| comment.is_some().then_some(Score::Signal(Signal::Commented)));
        let name = self.rating.clone().or_else(|| self.comment.clone()).unwrap_or_default();
        let mark = found.map(|score| Mark { message: 0, name, score, comment });
        let mut parsed = Parsed::default();
        let id = named(&self.conversation);
        if self.messages.is_some() {
            let all = messages(cell(&self.messages).ok_or(Reason::WrongShape)?, Role::User, &mut parsed.kept_out)?;
            let answer = all.iter().rposition(|message| message.role == Role::Assistant);
            let marks = mark.zip(answer).map(|(mark, message)| Mark { message, ..mark }).into_iter().collect();
            parsed.chats.push(Draft { id, messages: all, marks, user, opted_out, ..Draft::default() });
            return Ok(parsed);
        }
        let node = |role, content| Node { message: Some(Message { role, content }), ..Node::default() };
        let mut nodes = if self.role.is_some() {
            let speaker = role(&text(&self.role).ok_or(Reason::WrongShape)?)?;
            vec![node(speaker, text(&self.content).unwrap_or_default())]
        } else {
            let request = text(&self.request).ok_or(Reason::WrongShape)?;
            let answer = text(&self.answer).map(|answer| node(Role::Assistant, answer));
            [node(Role::User, request)].into_iter().chain(answer).collect()
        };
        if let (Some(mark), Some(last)) = (mark, nodes.last_mut()) {
            // in a row of its own, a rating beside a user's message judges the answer before it
            let is_answer = last.message.as_ref().is_some_and(|message| message.role == Role::Assistant);
            if is_answer { last.marks.push(mark) } else { last.on_answer.push(mark) }
        }
        let place = id.map_or(Place::First, Place::In);
        parsed.row = Some(Row { place, nodes, user, opted_out });
        Ok(parsed)
    }
}

fn at<'a>(row: &'a Value, name: &str) -> Option<&'a Value> {
    row.get(name).or_else(|| name.split('.').try_fold(row, |value, key| value.get(key)))
}

fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim().to_lowercase().as_str(), "" | "no" | "false" | "0" | "n" | "f"),
        _ => false,
    }
}

impl TryFrom<String> for Columns {
    type Error = String;

    fn try_from(text: String) -> Result<Columns, String> {
        text.parse()
    }
}

impl From<Columns> for String {
    fn from(mut columns: Columns) -> String {
        let named = USUAL.iter().filter_map(|(what, _)| Some(format!("{what}={}", columns.slot(what)?.take()?)));
        named.collect::<Vec<_>>().join(",")
    }
}

impl FromStr for Columns {
    type Err = String;

    fn from_str(text: &str) -> Result<Columns, String> {
        let mut columns = Columns::default();
        let known = "conversation, role, content, request, answer, messages, user, rating, comment, opted_out";
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let Some((what, name)) = part.split_once('=') else {
                return Err(format!("`{}` is no WHAT=COLUMN, WHAT one of {known}", part.trim()));
            };
            let Some(slot) = columns.slot(what.trim()) else {
                return Err(format!("`{}` is unknown, expected one of {known}", what.trim()));
            };
            *slot = Some(name.trim().to_string());
        }
        if !columns.is_whole() {
            return Err(
                "not enough to make a chat, expected role and content, or request and answer, or messages".into()
            );
        }
        Ok(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_and_its_mistakes_are_named() {
        let columns: Columns = "id=chat, role=who,content=a.b".parse().unwrap();
        assert_eq!(columns.conversation.as_deref(), Some("chat"));
        assert_eq!(columns.content.as_deref(), Some("a.b"));
        assert_eq!(String::from(columns.clone()).parse(), Ok(columns));
        for (text, expected) in [("role", "no WHAT=COLUMN"), ("rol=x", "`rol` is unknown"), ("role=x", "not enough")] {
            let error = text.parse::<Columns>().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn usual_names_need_no_mapping() {
        let columns = Columns::guess(&["Session_ID", "role", "text", "ts"]).unwrap();
        assert_eq!((columns.conversation.as_deref(), columns.content.as_deref()), (Some("Session_ID"), Some("text")));
        assert!(Columns::guess(&["prompt", "response"]).is_some());
        assert!(Columns::guess(&["role", "content"]).is_none(), "no conversation ends");
        assert!(Columns::guess(&["a", "b"]).is_none());
    }
}
