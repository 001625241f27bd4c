//! Many chats put to a model at once. Answers are kept on disk as they come, so that work which was stopped goes on.

use crate::interrupt;
use crate::policy::Policy;
use crate::talk::{Talk, Unit};
use anyhow::{Context, Result};
use drift_chat::Message;
use drift_lm::{Request, Sampling, generate};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A chat that ends with the user's turn.
pub struct Question {
    /// No two of one [`Kept`] have the same.
    pub name: String,
    pub messages: Vec<Message>,
    pub seed: u64,
}

/// How answers are drawn; nucleus 0.9.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Drawing {
    /// 0 is greedy.
    pub temperature: f64,
    /// Tokens of an answer at most.
    pub max_new: usize,
    /// Sequences at once; changes no answer.
    #[serde(skip)]
    pub concurrency: usize,
}

pub const TEMPERATURE: f64 = 0.7;
const TOP_P: f32 = 0.9;

/// Answers so far by the name of their question, on disk if there is a file.
pub struct Kept {
    file: Option<(PathBuf, fs_err::File)>,
    done: HashMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    answer: String,
}

impl Kept {
    /// Nothing is kept.
    pub fn nowhere() -> Kept {
        Kept { file: None, done: HashMap::new() }
    }

    /// In `<file>.unfinished`, for answers that go into `file` and depend on `settings`.
    pub fn beside(file: &Path, settings: &impl Serialize) -> Result<Kept> {
        let mut name = file.as_os_str().to_owned();
        name.push(".unfinished");
        let settings = serde_json::to_vec(&(env!("CARGO_PKG_VERSION"), settings))?;
        Kept::open(Path::new(&name), blake3::hash(&settings).to_hex().as_str())
    }

    /// What an earlier call left in the file under the same key (a hash of all that the answers depend on); under
    /// another key it is thrown away, and so is a last line cut in two.
    pub fn open(path: &Path, key: &str) -> Result<Kept> {
        let bytes = if path.exists() { fs_err::read(path)? } else { Vec::new() };
        let mut done = HashMap::new();
        let mut whole = 0;
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
        if lines.next().is_some_and(|first| first.strip_suffix(b"\n") == Some(key.as_bytes())) {
            whole = key.len() + 1;
            for line in lines {
                match serde_json::from_slice::<Line>(line) {
                    Ok(row) if line.ends_with(b"\n") => {
                        done.insert(row.name, row.answer);
                        whole += line.len();
                    }
                    _ => break,
                }
            }
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs_err::create_dir_all(folder)?;
        }
        let mut file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
        file.file().set_len(whole as u64).with_context(|| format!("{}: cannot be cut", path.display()))?;
        if whole == 0 {
            writeln!(file, "{key}").with_context(|| format!("{}: cannot write", path.display()))?;
        }
        Ok(Kept { file: Some((path.to_path_buf(), file)), done })
    }

    fn add(&mut self, name: String, answer: String) -> Result<()> {
        let line = Line { name, answer };
        if let Some((path, file)) = &mut self.file {
            let mut bytes = serde_json::to_vec(&line)?;
            bytes.push(b'\n');
            file.write_all(&bytes).with_context(|| format!("{}: cannot write", path.display()))?;
        }
        self.done.insert(line.name, line.answer);
        Ok(())
    }

    /// The results are written; what was kept for them goes.
    pub fn finish(self) -> Result<()> {
        match self.file {
            Some((path, _)) => Ok(fs_err::remove_file(path)?),
            None => Ok(()),
        }
    }
}

/// The model's answers in the order of the questions; `None` where chat and answer do not fit its context: an answer
/// has room for `max_new` tokens, or for what is left after the chat, 16 at least.
pub fn ask(
    policy: &Policy,
    questions: &[Question],
    drawing: &Drawing,
    kept: &mut Kept,
    verb: &str,
    talk: &Talk,
) -> Result<Vec<Option<String>>> {
    let context = policy.model.context();
    let mut asked = Vec::new();
    let mut requests = Vec::new();
    for question in questions.iter().filter(|question| !kept.done.contains_key(&question.name)) {
        let prompt = policy.format.prompt_ids(&question.messages)?;
        let room = context.saturating_sub(prompt.len());
        if room >= drawing.max_new.min(16) {
            asked.push(question);
            requests.push(Request { prompt, max_new: drawing.max_new.min(room), seed: question.seed });
        }
    }
    let sampling = Sampling { temperature: drawing.temperature as f32, top_p: TOP_P, top_k: 0 };
    let bar = talk.bar(verb, requests.len() as u64, Unit::Count);
    let mut failure = None;
    let on_done = &mut |at: usize, sample: drift_lm::Sample| {
        let text = policy.format.tokenizer().decode(&sample.ids, true).map_err(anyhow::Error::from);
        bar.inc(1);
        match text.and_then(|text| kept.add(asked[at].name.clone(), text)) {
            Ok(()) => interrupt::flow(),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    generate(&policy.model, &requests, &sampling, &policy.format.stop_ids(), drawing.concurrency, on_done);
    bar.finish_and_clear();
    match failure {
        Some(error) => return Err(error),
        None => interrupt::check()?,
    }
    Ok(questions.iter().map(|question| kept.done.get(&question.name).cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_again_under_their_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/kept");
        let mut kept = Kept::open(&path, "key one").unwrap();
        kept.add("a".into(), "first\nline".into()).unwrap();
        kept.add("b".into(), "second".into()).unwrap();
        drop(kept);
        let cut = fs_err::metadata(&path).unwrap().len() - 4;
        fs_err::OpenOptions::new().write(true).open(&path).unwrap().file().set_len(cut).unwrap();

        let mut again = Kept::open(&path, "key one").unwrap();
        assert_eq!(again.done, HashMap::from([("a".to_string(), "first\nline".to_string())]));
        again.add("b".into(), "anew".into()).unwrap();
        drop(again);
        assert_eq!(Kept::open(&path, "key one").unwrap().done["b"], "anew");
        assert!(Kept::open(&path, "key").unwrap().done.is_empty());
        let other = Kept::open(&path, "key one").unwrap();
        assert!(other.done.is_empty());
        other.finish().unwrap();
        assert!(!path.exists());
    }
}
