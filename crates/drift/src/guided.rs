//! The guided prompt: what the sampler sees so that its answer heeds the user's feedback.
//!
//! Training uses the case's own prompt, never this one.

use crate::config::sections::Form;
use drift_chat::{Message, Role};

/// Follows the feedback where the config gives no instruction. Short on purpose: told at length to leave
/// the feedback out, a small model speaks of little else (half of SmolLM2-135M's answers, against a tenth).
const INSTRUCTION: &str = "Please answer again with this in mind. Write the new answer only.";

/// What the paper's generator says in its place.
const PUBLISHED_INSTRUCTION: &str =
    "Based on the user's latest feedback, please provide an improved response that addresses their concerns.";

/// A prompt for the sampler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guided {
    /// Turns for the chat template. The last `tail` of them must stay when old turns are left out.
    Turns { messages: Vec<Message>, tail: usize },
    /// Text to be continued as it is.
    Text(String),
}

/// An answer that a user disliked, and what they said of it.
#[derive(Clone, Copy, Debug)]
pub struct Complaint<'a> {
    pub prompt: &'a [Message],
    pub rejected: &'a str,
    pub feedback: &'a str,
}

pub fn guided(complaint: Complaint, form: Form, instruction: Option<&str>) -> Guided {
    let Complaint { prompt, rejected, feedback } = complaint;
    match form {
        Form::Chat => {
            let ask = format!("{feedback}\n\n{}", instruction.unwrap_or(INSTRUCTION));
            Guided::Turns { messages: with_turns(prompt, rejected, &ask), tail: 3 }
        }
        Form::Hidden => {
            let request = prompt.last().map_or("", |message| &message.content);
            let ask = format!("{feedback}\n\n{}\n\n{request}", instruction.unwrap_or(INSTRUCTION));
            Guided::Turns { messages: with_turns(prompt, "Here is a first draft.", &ask), tail: 3 }
        }
        Form::Published => Guided::Text(published(complaint, instruction)),
    }
}

fn with_turns(prompt: &[Message], answer: &str, ask: &str) -> Vec<Message> {
    let turn = |role, content: &str| Message { role, content: content.to_string() };
    let mut messages = prompt.to_vec();
    messages.extend([turn(Role::Assistant, answer), turn(Role::User, ask)]);
    messages
}

/// The form of the paper's code: the first system message, `User:` and `Assistant:` lines, the
/// feedback, the instruction as `System:`, and an open `Assistant: `.
fn published(Complaint { prompt, rejected, feedback }: Complaint, instruction: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(system) = prompt.iter().find(|message| message.role == Role::System) {
        text += &format!("{}\n\n", system.content);
    }
    for message in prompt {
        match message.role {
            Role::User => text += &format!("User: {}\n", message.content),
            Role::Assistant => text += &format!("Assistant: {}\n", message.content),
            Role::System | Role::Tool => {}
        }
    }
    let instruction = instruction.unwrap_or(PUBLISHED_INSTRUCTION);
    text + &format!("Assistant: {rejected}\nUser: {feedback}\nSystem: {instruction}\nAssistant: ")
}

/// `messages` without its oldest turn: a user message and what follows it up to the next one. System
/// messages at the start stay, and so do the last `tail` messages; `None` if there is nothing else.
pub fn without_oldest_turn(messages: &[Message], tail: usize) -> Option<Vec<Message>> {
    let first = messages.iter().position(|message| message.role != Role::System)?;
    let next = (first + 1..messages.len()).find(|&i| messages[i].role == Role::User)?;
    (next + tail <= messages.len()).then(|| [&messages[..first], &messages[next..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Vec<Message> {
        let say = |role, content: &str| Message { role, content: content.into() };
        vec![
            say(Role::System, "Be kind."),
            say(Role::User, "Hi"),
            say(Role::Assistant, "Hello"),
            say(Role::User, "A poem"),
        ]
    }

    fn guided(form: Form, instruction: Option<&str>) -> Guided {
        super::guided(Complaint { prompt: &prompt(), rejected: "Roses", feedback: "Longer!" }, form, instruction)
    }

    #[test]
    fn each_form_ends_with_the_feedback_and_the_instruction() {
        let Guided::Turns { messages, tail: 3 } = guided(Form::Chat, Some("Again.")) else { panic!() };
        assert_eq!(messages.len(), 6);
        assert_eq!((messages[4].role, &messages[4].content[..]), (Role::Assistant, "Roses"));
        assert_eq!((messages[5].role, &messages[5].content[..]), (Role::User, "Longer!\n\nAgain."));

        let Guided::Turns { messages, .. } = guided(Form::Hidden, Some("Again.")) else { panic!() };
        assert!(messages.iter().all(|message| message.content != "Roses"));
        assert_eq!(messages[5].content, "Longer!\n\nAgain.\n\nA poem");

        assert_eq!(
            guided(Form::Published, Some("Again.")),
            Guided::Text(
                "Be kind.\n\nUser: Hi\nAssistant: Hello\nUser: A poem\nAssistant: Roses\nUser: Longer!\nSystem: Again.\nAssistant: "
                    .into()
            )
        );
    }

    #[test]
    fn old_turns_go_whole_and_system_and_tail_stay() {
        let messages = prompt();
        let shorter = without_oldest_turn(&messages, 1).unwrap();
        let contents: Vec<&str> = shorter.iter().map(|message| &message.content[..]).collect();
        assert_eq!(contents, ["Be kind.", "A poem"]);
        assert_eq!(without_oldest_turn(&shorter, 1), None);
        let Guided::Turns { messages, tail } = guided(Form::Chat, None) else { panic!() };
        let shorter = without_oldest_turn(&messages, tail).unwrap();
        assert_eq!(shorter.len(), 4);
        assert_eq!(without_oldest_turn(&shorter, tail), None, "request, rejected answer and feedback stay");
    }
}
