//! The log formats. A new one is a variant here and a file beside the others.

mod chatgpt;
mod columns;
mod drift;
mod feedback;
mod hh_rlhf;
mod kto;
mod langfuse;
mod langsmith;
mod oasst;
mod openai;
mod openai_log;
mod pairs;
mod sharegpt;
mod tensorzero;
mod tree;
mod turns;
mod ultrafeedback;
mod wildchat;
mod wildfeedback;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use columns::Columns;

use crate::read::Reason;
use crate::types::{Message, Pair, Role, Signal};

/// What a log's records look like. docs/formats.md has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Format {
    /// `{id, conversations: [{from, value}]}`
    ShareGpt,
    /// `{messages: [{role, content}]}`, the fine-tuning format of OpenAI.
    OpenAiMessages,
    /// `{request: {messages}, response: {choices}}` and its wrappings: one exchange with an API a record.
    OpenAiLog,
    /// conversations.json of a ChatGPT data export: a tree under `mapping`.
    ChatGpt,
    /// `{conversation_hash | conversation_id, conversation: [{role, content}]}`: WildChat, LMSYS-Chat-1M.
    WildChat,
    /// sat_dsat_annotation.json of WildFeedback: one utterance a record.
    WildFeedback,
    /// A row of the DSAT file, `{prompt, rejected, user_preference}`, read back as the chat it came from.
    DriftCases,
    /// `{prompt, chosen, rejected}`: known, but no chat: nobody reacts to either answer.
    Pairs,
    /// `{chosen, rejected}` as "\n\nHuman: … \n\nAssistant: …" text.
    HhRlhf,
    /// `{instruction, completions: [{response, overall_score, annotations}]}`
    UltraFeedback,
    /// `{message_tree_id, prompt: {text, role, replies: […]}}`
    OasstTree,
    /// `{message_id, parent_id, message_tree_id, text, role}`, one message a record.
    OasstMessages,
    /// `{prompt, completion, label}`
    Kto,
    /// Traces and observations of Langfuse, with scores.
    Langfuse,
    /// Runs of LangSmith, with feedback.
    LangSmith,
    /// Inferences of TensorZero, with feedback.
    TensorZero,
    /// Feedback on answers of other records, named by id: `{target_id, value}` and its spellings.
    Feedback,
    /// Anything else, as [`Columns`] say.
    Columns,
}

impl Format {
    pub const ALL: [Format; 18] = [
        Format::ShareGpt,
        Format::OpenAiMessages,
        Format::OpenAiLog,
        Format::ChatGpt,
        Format::WildChat,
        Format::WildFeedback,
        Format::DriftCases,
        Format::Pairs,
        Format::HhRlhf,
        Format::UltraFeedback,
        Format::OasstTree,
        Format::OasstMessages,
        Format::Kto,
        Format::Langfuse,
        Format::LangSmith,
        Format::TensorZero,
        Format::Feedback,
        Format::Columns,
    ];

    /// What `--format` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Format::ShareGpt => "sharegpt",
            Format::OpenAiMessages => "openai",
            Format::OpenAiLog => "openai-log",
            Format::ChatGpt => "chatgpt",
            Format::WildChat => "wildchat",
            Format::WildFeedback => "wildfeedback",
            Format::DriftCases => "drift",
            Format::Pairs => "pairs",
            Format::HhRlhf => "hh-rlhf",
            Format::UltraFeedback => "ultrafeedback",
            Format::OasstTree => "oasst",
            Format::OasstMessages => "oasst-messages",
            Format::Kto => "kto",
            Format::Langfuse => "langfuse",
            Format::LangSmith => "langsmith",
            Format::TensorZero => "tensorzero",
            Format::Feedback => "feedback",
            Format::Columns => "columns",
        }
    }
}

impl From<Format> for &'static str {
    fn from(format: Format) -> &'static str {
        format.name()
    }
}

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(name: String) -> Result<Format, String> {
        name.parse()
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        let names = || Format::ALL.map(Format::name).join(", ");
        Format::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| format!("expected one of {}", names()))
    }
}

/// What a format leaves out of the chats; each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptOut {
    /// Tool calls and tool results.
    ToolMessages,
    /// Images, audio, files and thoughts inside a message.
    OtherParts,
    /// Messages that the user never saw, or that were deleted.
    HiddenMessages,
    /// Answers beside the first where a request asked for several.
    OtherChoices,
    /// Branches of a tree beyond the cap, or that hang on no root.
    Branches,
    /// Records that hold no message: spans of a trace, failed requests.
    RecordsWithoutMessages,
    /// Chats that an earlier record holds from their first message to their last.
    RepeatedChats,
    /// Scores of something else than the answer's quality, such as a latency.
    OtherScores,
    /// Scores outside of the scale of their name.
    ScoresOutsideScale,
    /// Feedback that no answer was found for.
    FeedbackWithoutAnswer,
}

pub(crate) type Counts = BTreeMap<KeptOut, u64>;

pub(crate) fn keep_out(counts: &mut Counts, what: KeptOut, n: usize) {
    if n > 0 {
        *counts.entry(what).or_default() += n as u64;
    }
}

/// A chat as its record has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub id: Option<String>,
    /// Tells the branches of one conversation apart; `None` for the one that is shown.
    pub branch: Option<String>,
    pub messages: Vec<Message>,
    /// See `Chat::repeated`.
    pub repeated: usize,
    pub marks: Vec<Mark>,
    pub user: Option<String>,
    pub opted_out: bool,
    /// By what ids feedback elsewhere names a message.
    pub names: Vec<(String, usize)>,
    /// The record holds what was said before it too, so earlier records may have it already.
    pub grows: bool,
}

/// Explicit feedback before its scale is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub message: usize,
    /// What the log calls the score; scores of one name share a scale.
    pub name: String,
    pub score: Score,
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Score {
    Signal(Signal),
    Number(f64),
}

/// A message, or a request with its answer, of a conversation whose records follow each other.
#[derive(Debug)]
pub(crate) struct Row {
    pub place: Place,
    pub nodes: Vec<Node>,
    pub user: Option<String>,
    pub opted_out: bool,
}

/// Which conversation a row belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Next,
    In(String),
}

/// What one record gave, and what was kept out of it.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub chats: Vec<Draft>,
    pub row: Option<Row>,
    pub pairs: Vec<Pair>,
    /// Feedback by the id of what it judges; `Mark::message` is without meaning.
    pub feedback: Vec<(String, Mark)>,
    pub kept_out: Counts,
}

impl Parsed {
    fn chat(draft: Draft) -> Parsed {
        Parsed { chats: vec![draft], ..Parsed::default() }
    }
}

pub(crate) use tree::{Node, Told, branches};

/// The keys that tell the formats apart.
#[derive(Deserialize)]
struct Keys {
    conversations: Option<IgnoredAny>,
    conversation: Option<IgnoredAny>,
    messages: Option<IgnoredAny>,
    mapping: Option<IgnoredAny>,
    prompt: Option<IgnoredAny>,
    completion: Option<IgnoredAny>,
    label: Option<IgnoredAny>,
    chosen: Option<IgnoredAny>,
    rejected: Option<IgnoredAny>,
    user_preference: Option<IgnoredAny>,
    instruction: Option<IgnoredAny>,
    completions: Option<IgnoredAny>,
    message_tree_id: Option<IgnoredAny>,
    text: Option<IgnoredAny>,
    #[serde(rename = "UtteranceId", alias = "UtterranceId")]
    utterance_id: Option<IgnoredAny>,
    run_type: Option<IgnoredAny>,
    inputs: Option<IgnoredAny>,
    function_name: Option<IgnoredAny>,
    input: Option<IgnoredAny>,
    output: Option<IgnoredAny>,
    body: Option<IgnoredAny>,
    request: Option<IgnoredAny>,
    request_body: Option<IgnoredAny>,
    response: Option<IgnoredAny>,
    response_body: Option<IgnoredAny>,
    choices: Option<IgnoredAny>,
    observations: Option<IgnoredAny>,
    scores: Option<IgnoredAny>,
    // one field a name: a record with two names of one field would be none
    #[serde(rename = "projectId")]
    project: Option<IgnoredAny>,
    #[serde(rename = "sessionId", alias = "session_id")]
    session: Option<IgnoredAny>,
    #[serde(rename = "userId")]
    user: Option<IgnoredAny>,
    #[serde(rename = "traceId", alias = "trace_id")]
    trace_id: Option<IgnoredAny>,
    target_id: Option<IgnoredAny>,
    inference_id: Option<IgnoredAny>,
    run_id: Option<IgnoredAny>,
    value: Option<IgnoredAny>,
    score: Option<IgnoredAny>,
    rating: Option<IgnoredAny>,
    #[serde(rename = "stringValue", alias = "string_value")]
    string_value: Option<IgnoredAny>,
}

impl Format {
    /// The format of a record, from its keys.
    pub(crate) fn of(record: &[u8]) -> Option<Format> {
        let keys: Keys = serde_json::from_slice(record).ok()?;
        let all = |keys: &[&Option<IgnoredAny>]| keys.iter().all(|key| key.is_some());
        let any = |keys: &[&Option<IgnoredAny>]| keys.iter().any(|key| key.is_some());
        // the first that holds; the more particular come before the more general
        let told = [
            (all(&[&keys.utterance_id]), Format::WildFeedback),
            (all(&[&keys.mapping]), Format::ChatGpt),
            (all(&[&keys.message_tree_id, &keys.prompt]), Format::OasstTree),
            (all(&[&keys.message_tree_id, &keys.text]), Format::OasstMessages),
            (all(&[&keys.prompt, &keys.rejected, &keys.user_preference]), Format::DriftCases),
            (all(&[&keys.prompt, &keys.rejected, &keys.chosen]), Format::Pairs),
            (all(&[&keys.conversations, &keys.rejected, &keys.chosen]), Format::Pairs),
            (all(&[&keys.rejected, &keys.chosen]), Format::HhRlhf),
            (all(&[&keys.instruction, &keys.completions]), Format::UltraFeedback),
            (all(&[&keys.prompt, &keys.completion, &keys.label]), Format::Kto),
            (all(&[&keys.run_type, &keys.inputs]), Format::LangSmith),
            (all(&[&keys.function_name, &keys.input]), Format::TensorZero),
            (all(&[&keys.conversations]), Format::ShareGpt),
            (all(&[&keys.conversation]), Format::WildChat),
            (any(&[&keys.response, &keys.response_body, &keys.choices]) && request(&keys), Format::OpenAiLog),
            (
                any(&[&keys.input, &keys.output])
                    && any(&[
                        &keys.project,
                        &keys.session,
                        &keys.user,
                        &keys.trace_id,
                        &keys.observations,
                        &keys.scores,
                    ]),
                Format::Langfuse,
            ),
            (all(&[&keys.messages]), Format::OpenAiMessages),
            (
                any(&[&keys.target_id, &keys.inference_id, &keys.run_id, &keys.trace_id])
                    && any(&[&keys.value, &keys.score, &keys.rating, &keys.string_value]),
                Format::Feedback,
            ),
        ];
        told.into_iter().find_map(|(holds, format)| holds.then_some(format)).or_else(|| {
            // a page of an API's answer: the rows lie under `data`
            let page: langfuse::Page = serde_json::from_slice(record).ok()?;
            page.format()
        })
    }

    pub(crate) fn parse(self, record: &[u8], columns: Option<&Columns>) -> Result<Parsed, Reason> {
        match self {
            Format::ShareGpt => sharegpt::parse(record),
            Format::OpenAiMessages => openai::parse(record),
            Format::OpenAiLog => openai_log::parse(record),
            Format::ChatGpt => chatgpt::parse(record),
            Format::WildChat => wildchat::parse(record),
            Format::WildFeedback => wildfeedback::parse(record),
            Format::DriftCases => drift::parse(record),
            Format::Pairs => pairs::parse(record),
            Format::HhRlhf => hh_rlhf::parse(record),
            Format::UltraFeedback => ultrafeedback::parse(record),
            Format::OasstTree => oasst::parse_tree(record),
            Format::OasstMessages => oasst::parse_message(record),
            Format::Kto => kto::parse(record),
            Format::Langfuse => langfuse::parse(record),
            Format::LangSmith => langsmith::parse(record),
            Format::TensorZero => tensorzero::parse(record),
            Format::Feedback => feedback::parse(record),
            Format::Columns => columns.map_or(Err(Reason::WrongShape), |columns| columns.parse(record)),
        }
    }
}

/// True where the record holds what was asked, one way or the other.
fn request(keys: &Keys) -> bool {
    [&keys.request, &keys.request_body, &keys.body, &keys.messages, &keys.input].iter().any(|key| key.is_some())
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
    let known = |name: &str| match name {
        "human" | "user" | "prompter" | "humanmessage" | "customer" => Some(Role::User),
        "gpt" | "assistant" | "chatgpt" | "bing" | "bard" | "model" | "bot" | "ai" | "agent" | "aimessage"
        | "aimessagechunk" => Some(Role::Assistant),
        "system" | "developer" | "systemmessage" => Some(Role::System),
        "tool" | "function" | "toolmessage" | "functionmessage" => Some(Role::Tool),
        _ => None,
    };
    known(name).or_else(|| known(&name.to_lowercase())).ok_or(Reason::UnknownRole)
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
