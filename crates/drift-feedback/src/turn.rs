//! A user turn together with what it reacts to.

use drift_chat::{Chat, Message, Role};

/// What a shared page leaves behind a message when it is copied.
const PAGE_REMNANTS: [&str; 4] =
    ["Share Prompt", "Copy to Clipboard", "지금 번역하기", "Please write in English language."];

/// A user message that directly follows an assistant's answer.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    /// Index of the user message in the chat.
    pub index: usize,
    /// The user's words without surrounding white space and page remnants.
    pub text: &'a str,
    /// Byte offset of `text` in the message.
    pub offset: usize,
    /// What the user asked for before; absent where the chat begins with the answer.
    pub request: Option<&'a str>,
    /// Index of the request's message.
    pub(crate) request_index: Option<usize>,
    /// The judged answer.
    pub answer: &'a str,
    /// What the assistant said next, if it did: an apology or a revised version tells a lot.
    pub reply: Option<&'a str>,
}

/// All turns of a chat that can be judged, but for those that an earlier branch of the conversation had.
pub fn turns(chat: &Chat) -> impl Iterator<Item = Turn<'_>> {
    (chat.repeated.max(1)..chat.messages.len()).filter_map(|index| {
        let (before, user) = (&chat.messages[index - 1], &chat.messages[index]);
        if user.role != Role::User || before.role != Role::Assistant {
            return None;
        }
        let text = without_remnants(&user.content);
        let offset = user.content.len() - user.content.trim_start().len();
        let is_reply = |message: &&Message| message.role == Role::Assistant && !message.content.trim().is_empty();
        let reply = chat.messages.get(index + 1).filter(is_reply).map(|message| message.content.as_str());
        let request_index = (0..index - 1).rev().find(|&at| chat.messages[at].role == Role::User);
        let request = request_index.map(|at| chat.messages[at].content.as_str());
        (!text.is_empty()).then_some(Turn {
            index,
            text,
            offset,
            request,
            request_index,
            answer: &before.content,
            reply,
        })
    })
}

fn without_remnants(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(rest) = PAGE_REMNANTS.iter().find_map(|remnant| text.strip_suffix(remnant)) {
        text = rest.trim_end();
    }
    text
}

/// At most `chars` characters from the start.
pub fn opening(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// At most `chars` characters before the end.
pub fn closing(text: &str, chars: usize) -> &str {
    text.char_indices().rev().nth(chars.saturating_sub(1)).map_or(text, |(start, _)| &text[start..])
}
