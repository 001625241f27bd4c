//! Chats to token ids: a tokenizer and a chat template together.
//!
//! Everything is rendered whole and then tokenised, with three rules on top:
//!
//! * **Control tokens come from the template alone.** Where a message contains the text of a control token, that text
//!   stays text: a user who writes `<|im_end|>` ends no turn. Such places are marked before rendering with a pair of
//!   private-use characters that occur nowhere in the messages, and tokenised on their own afterwards; this is
//!   `sanitize_control_tokens=True` of transformers, for special tokens. A chat without such a text has the ids that
//!   transformers' `apply_chat_template` gives by default. Added tokens that are not special (`<think>`,
//!   `<tool_call>`) stay tokens everywhere, since answers legitimately contain them.
//! * **A prompt's ids are a prefix of the ids of prompt and answer.** The answer is tokenised on its own; where
//!   tokenising both at once would merge across the border, [`Completion::split`] says so.
//! * **BOS is what the template writes**, as in transformers' chat path; the tokenizer adds none on top.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::error::{Error, Result};
use crate::template::{ChatTemplate, plain_messages, strings};
use crate::tokenizer::Tokenizer;

/// What a training answer ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionMode {
    /// The answer as it was recorded, and the end-of-turn token: what a sampled answer consists of.
    Clean,
    /// All that the template adds after the prompt, as TRL counts: with ChatML also the line end after the token.
    Template,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    pub ids: Vec<u32>,
    /// Tokenising prompt and answer at once would have given other ids: a token would span the border.
    pub split: bool,
}

/// An answer within a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the message.
    pub message: usize,
    /// Its tokens, the end-of-turn token included.
    pub tokens: Range<usize>,
}

/// A whole chat. `ids` and `mask` have one entry a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChat {
    pub ids: Vec<u32>,
    /// The assistant's answers, in order.
    pub spans: Vec<Span>,
    /// True for the tokens of `spans`: those that a model is trained to write.
    pub mask: Vec<bool>,
    /// As [`Completion::split`]: ids differ from tokenising the whole chat at once.
    pub split: bool,
}

/// How one model writes chats.
#[derive(Clone, Debug)]
pub struct ChatFormat {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    extra: Map<String, Json>,
    /// Text of each control token, longest first.
    controls: Vec<String>,
    end_of_turn: (u32, String),
}

/// Private-use characters around the control tokens that messages contain. None: they contain none.
type Marks = Option<(char, char)>;

impl ChatFormat {
    /// From a tokenizer that came with a chat template.
    ///
    /// Errors: no template; it does not compile; it fails on a chat of one question and one answer.
    pub fn new(tokenizer: Tokenizer) -> Result<ChatFormat> {
        let source = tokenizer.chat_template().ok_or_else(|| {
            Error::new("model", "no chat template, expected one in its tokenizer's files or metadata")
                .hint("take an instruction-tuned model, or put a chat_template.jinja into its folder")
        })?;
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.id_to_token(id));
        let special = tokenizer.special();
        let template = ChatTemplate::new(source, text(special.bos).as_deref(), text(special.eos).as_deref())?;
        ChatFormat::with_template(tokenizer, template, Map::new())
    }

    /// With a template of one's own and further arguments of it (see [`ChatTemplate::render`]), as
    /// `{"enable_thinking": false}`.
    pub fn with_template(tokenizer: Tokenizer, template: ChatTemplate, extra: Map<String, Json>) -> Result<ChatFormat> {
        let special = tokenizer.added_tokens().into_iter().filter(|(text, _, special)| *special && !text.is_empty());
        let mut controls: Vec<String> = special.map(|(text, ..)| text).collect();
        controls.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let end_of_turn = find_end_of_turn(&tokenizer, &template, &extra)?;
        Ok(ChatFormat { tokenizer, template, extra, controls, end_of_turn })
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The token that ends an answer: the first one that the template writes after it.
    pub fn end_of_turn(&self) -> u32 {
        self.end_of_turn.0
    }

    /// Ids at which generation ends: the end of turn first, then what the model declares besides.
    pub fn stop_ids(&self) -> Vec<u32> {
        let special = self.tokenizer.special();
        let mut ids = vec![self.end_of_turn.0];
        for &id in special.eos.iter().chain(&special.ends) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Ids of a prompt, the generation prompt included.
    pub fn prompt_ids<M: Serialize>(&self, prompt: &[M]) -> Result<Vec<u32>> {
        let mut messages = plain_messages(prompt)?;
        let marks = mark(&mut messages, &self.controls);
        let text = self.template.render_json(messages, true, &self.extra)?;
        self.encode(&text, marks, true)
    }

    /// Ids of words that go on from a prompt; control tokens in them stay text.
    pub fn words_ids(&self, text: &str) -> Result<Vec<u32>> {
        self.tokenizer.encode_next(text, true)
    }

    /// Ids of `answer` as the completion of `prompt`.
    ///
    /// Errors, in [`CompletionMode::Template`] only: the template writes the prompt differently once it is answered
    /// (as templates do that move the system text to the last message).
    pub fn completion<M: Serialize>(&self, prompt: &[M], answer: &str, mode: CompletionMode) -> Result<Completion> {
        let mut messages = plain_messages(prompt)?;
        messages.push(json!({"role": "assistant", "content": answer}));
        let marks = mark(&mut messages, &self.controls);
        let before = self.template.render_json(messages[..messages.len() - 1].to_vec(), true, &self.extra)?;
        let text = match mode {
            CompletionMode::Clean => {
                let answer = messages[messages.len() - 1]["content"].as_str().unwrap_or_default();
                format!("{before}{answer}")
            }
            CompletionMode::Template => self.template.render_json(messages, false, &self.extra)?,
        };
        let Some(rest) = text.strip_prefix(before.as_str()) else {
            return Err(Error::new("chat template", "an answer changes the text before it, expected the same prompt")
                .hint("use the clean completion, which takes the prompt as it is and adds the answer"));
        };
        let mut ids = self.encode(rest, marks, false)?;
        let mut joint = self.encode(&before, marks, true)?;
        joint.extend(&ids);
        let split = self.encode(&text, marks, true)? != joint;
        if mode == CompletionMode::Clean {
            ids.push(self.end_of_turn.0);
        }
        Ok(Completion { ids, split })
    }

    /// Ids of a whole chat, without a generation prompt, and where the answers are in it.
    ///
    /// An answer is found by rendering the chat once more with another text in its place: what differs is the answer,
    /// however the template trims or rewrites it.
    pub fn encode_chat<M: Serialize>(&self, messages: &[M]) -> Result<EncodedChat> {
        let mut messages = plain_messages(messages)?;
        let marks = mark(&mut messages, &self.controls);
        let text = self.template.render_json(messages.clone(), false, &self.extra)?;
        let probe = unused_char(&[&text], PROBES).to_string();
        let mut chat = EncodedChat { ids: Vec::new(), spans: Vec::new(), mask: Vec::new(), split: false };
        let mut done = 0;
        for n in 0..messages.len() {
            if messages[n]["role"] != "assistant" {
                continue;
            }
            let mut probed = messages.clone();
            probed[n]["content"] = probe.clone().into();
            let probed = self.template.render_json(probed, false, &self.extra)?;
            let Range { start, mut end } = difference(&text, &probed);
            if start < done {
                return Err(Error::new(
                    format!("message {n}"),
                    "the template mixes this answer with the one before it",
                ));
            }
            let gap = text[end..].len() - text[end..].trim_start().len();
            if text[end + gap..].starts_with(&self.end_of_turn.1) {
                end += gap + self.end_of_turn.1.len();
            }
            chat.push(&self.encode(&text[done..start], marks, done == 0)?, false);
            let first = chat.ids.len();
            chat.push(&self.encode(&text[start..end], marks, start == 0)?, true);
            chat.spans.push(Span { message: n, tokens: first..chat.ids.len() });
            done = end;
        }
        chat.push(&self.encode(&text[done..], marks, done == 0)?, false);
        chat.split = self.encode(&text, marks, true)? != chat.ids;
        Ok(chat)
    }

    /// Ids of rendered text. `starts`: nothing stands before it.
    fn encode(&self, text: &str, marks: Marks, mut starts: bool) -> Result<Vec<u32>> {
        let Some((open, close)) = marks else {
            return if starts { self.tokenizer.encode(text) } else { self.tokenizer.encode_next(text, false) };
        };
        let mut ids = Vec::new();
        for piece in text.split(open) {
            // What stands between two marks is text. A mark without its partner (a template may cut between them)
            // only keeps its two sides apart.
            let mut parts = piece.split(close);
            let written = parts.next().unwrap_or_default();
            let is_marked = piece.len() > written.len() && self.controls.iter().any(|token| token == written);
            for (part, as_text) in [(written, is_marked)].into_iter().chain(parts.map(|part| (part, false))) {
                ids.extend(match starts && !as_text {
                    true => self.tokenizer.encode(part)?,
                    false => self.tokenizer.encode_next(part, as_text)?,
                });
                starts &= part.is_empty();
            }
        }
        Ok(ids)
    }
}

impl EncodedChat {
    fn push(&mut self, ids: &[u32], answer: bool) {
        self.ids.extend(ids);
        self.mask.resize(self.ids.len(), answer);
    }
}

/// Renders one answer and takes the first added token that follows it. A template that writes none after an answer
/// leaves the end to the model's own end of text.
fn find_end_of_turn(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    extra: &Map<String, Json>,
) -> Result<(u32, String)> {
    const ANSWER: &str = "drift-looks-for-the-end-of-this-answer";
    let question = json!({"role": "user", "content": "?"});
    let answer = json!({"role": "assistant", "content": ANSWER});
    let text = template.render_json(vec![question, answer], false, extra)?;
    let Some(at) = text.rfind(ANSWER) else {
        return Err(Error::new("chat template", "leaves out the assistant's answer, expected it in the text"));
    };
    let added = tokenizer.added_tokens();
    for id in tokenizer.encode(&text[at + ANSWER.len()..])? {
        if let Some((token, id, _)) = added.iter().find(|token| token.1 == id && !token.0.trim().is_empty()) {
            return Ok((*id, token.clone()));
        }
    }
    let eos = tokenizer.special().eos.and_then(|id| Some((id, tokenizer.id_to_token(id)?)));
    eos.ok_or_else(|| {
        Error::new(
            "chat template",
            "writes no token after an answer and the model declares no eos, expected one of both",
        )
    })
}

/// Where to look for characters that occur nowhere: the private-use planes, where no one writes text.
const MARKS: Range<u32> = 0xF_0000..0xF_FFFE;
const PROBES: Range<u32> = 0x10_0000..0x10_FFFE;

fn unused_char(texts: &[&str], range: Range<u32>) -> char {
    let unused = |c: &char| !texts.iter().any(|text| text.contains(*c));
    range.filter_map(char::from_u32).find(unused).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Puts marks around every control token in the strings of the messages.
fn mark(messages: &mut [Json], controls: &[String]) -> Marks {
    fn rewrite(value: &mut Json, controls: &[String], marks: (char, char)) {
        match value {
            Json::String(text) => *text = mark_text(text, controls, marks),
            Json::Array(items) => items.iter_mut().for_each(|item| rewrite(item, controls, marks)),
            Json::Object(fields) => fields.values_mut().for_each(|item| rewrite(item, controls, marks)),
            _ => {}
        }
    }
    let texts: Vec<&str> = messages.iter().flat_map(strings).collect();
    if !texts.iter().any(|text| controls.iter().any(|token| text.contains(token.as_str()))) {
        return None;
    }
    let open = unused_char(&texts, MARKS);
    let close = unused_char(&texts, open as u32 + 1..MARKS.end);
    messages.iter_mut().for_each(|message| rewrite(message, controls, (open, close)));
    Some((open, close))
}

fn mark_text(text: &str, controls: &[String], (open, close): (char, char)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match controls.iter().find(|token| rest.starts_with(token.as_str())) {
            Some(token) => {
                out.extend([open]);
                out.push_str(token);
                out.push(close);
                rest = &rest[token.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// The part of `text` that `other` does not share with it at the start and at the end.
fn difference(text: &str, other: &str) -> Range<usize> {
    let same = |(a, b): &(char, char)| a == b;
    let start = text.chars().zip(other.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    let (text_rest, other_rest) = (&text[start..], &other[start..]);
    let end: usize =
        text_rest.chars().rev().zip(other_rest.chars().rev()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    start..text.len() - end
}
