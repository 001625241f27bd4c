//! What simulated users say beside their task. `{fault}` names what is wrong and `{ask}` asks again; in the middle of a
//! sentence, `{fault_on}` and `{ask_on}` begin small.

/// A task and one requirement, `{task}` and `{a}`.
pub(super) const WITH_ONE: &[&str] = &[
    "{task} {a}",
    "{task} {a}",
    "{task}\n\n{a}",
    "{task} One condition: {a_on}",
    "{task} Important: {a_on}",
    "Hi! {task} {a}",
    "{task} {a} Thanks!",
    "Please help me with this: {task_on} {a}",
];

pub(super) const WITH_TWO: &[&str] = &[
    "{task} {a} {b}",
    "{task}\n\n{a} {b}",
    "{task} {a} Also: {b_on}",
    "{task}\n\n- {a}\n- {b}",
    "{task} Two conditions: {a_on} {b}",
    "Hello, I need your help. {task} {a} And one more thing: {b_on}",
    "{task} {a} Besides, {b_on}",
];

/// The next task, with the rules of the last.
pub(super) const FOLLOW_UPS: &[&str] = &[
    "Good. Next one, same rules as before: {task}",
    "Great, thanks! Now this, with the same rules: {task}",
    "Perfect. Please do another: {task} Same format as before.",
    "{task} (Same rules as above.)",
    "Now: {task} Keep to what I said about the form.",
    "Nice one. {task} The same conditions apply.",
];

pub(super) const THANKS: &[&str] = &[
    "Thanks!",
    "Thank you, that's perfect.",
    "Great, exactly what I needed.",
    "thx",
    "Perfect, thank you so much!",
    "Cool, thanks a lot.",
    "That works, thank you.",
    "awesome",
    "Lovely, I'll use that.",
    "Very good, thanks for your help.",
];

/// Complaints: terse, polite, annoyed, naming the fault or asking again.
pub(super) const COMPLAINTS: &[&str] = &[
    "{fault}",
    "{fault}",
    "No. {fault}",
    "{fault} {ask}",
    "Thanks, but {fault_on}",
    "Sorry, but {fault_on} Could you try again?",
    "Hmm, not quite. {fault}",
    "Nice text, only {fault_on}",
    "Did you read what I wrote? {fault}",
    "That's not what I asked for. {fault}",
    "Come on. {fault}",
    "Wrong. {ask}",
    "You missed something. {ask}",
    "One thing is wrong: {fault_on}",
    "Almost! But {fault_on} Could you correct it?",
    "Can you do it again? {ask}",
    "This is useless to me like that. {fault}",
    "I think you overlooked one thing: {fault_on}",
];

/// Complaints that name nothing.
pub(super) const VAGUE: &[&str] = &[
    "That's not what I asked for.",
    "Please read my request again.",
    "You ignored half of my message.",
    "no, try again",
    "This isn't right.",
    "You didn't follow my instructions.",
    "Not like that. Look at what I wrote.",
];

/// When it was missed before.
pub(super) const STILL: &[&str] = &[
    "Still not right. {fault}",
    "Again: {fault_on}",
    "How often do I have to say it? {fault}",
    "You made the same mistake again. {ask}",
    "That didn't change anything. {fault}",
    "I already told you. {ask}",
    "Closer, but no. {fault}",
];

pub(super) const ASKING_AGAIN: &[&str] = &[
    "{request}",
    "Again: {request}",
    "Let me repeat: {request}",
    "{request}\n\nPlease follow it this time.",
    "I'll ask once more. {request}",
    "Try again please. {request}",
];

pub(super) const GIVING_UP: &[&str] = &[
    "Never mind, I'll do it myself.",
    "Forget it.",
    "OK, this is not working. Bye.",
    "I give up, this is a waste of time.",
    "never mind",
    "Leave it, I'll ask somebody else.",
    "You just don't get it. I'm done.",
];

/// Without a cause: what a user who got what was asked for says all the same.
pub(super) const GRUMBLING: &[&str] = &[
    "I don't like it.",
    "That's not good enough.",
    "Meh. Can you do better?",
    "This is wrong.",
    "Sounds boring, try again.",
    "Not what I had in mind.",
    "You can do better than that.",
    "Hmm, no. Another try please.",
];
