//! DSAT cases on disk: rows of the paper's file, `{prompt, rejected, user_preference}`.

use std::path::Path;

use crate::error::Error;
use crate::ids::case_id;
use crate::rows::{self, Row, check_answer, check_prompt};
use crate::types::Case;

/// All cases of a file of JSON lines or a JSON array. Unknown keys are ignored, missing ids made
/// from the content.
///
/// # Errors
/// The first bad row, by line: no prompt, not exactly one assistant message in `rejected`, an
/// empty answer or feedback, or no such shape at all.
pub fn read_cases(path: &Path) -> Result<Vec<Case>, Error> {
    rows::read(path)
}

impl Row for Case {
    const SHAPE: &'static str = "rows {prompt, rejected, user_preference}";

    fn check(&self) -> Result<(), String> {
        check_prompt(&self.prompt)?;
        check_answer("rejected", &self.rejected)?;
        // a thumb or a regenerated answer comes without words
        let by_deed = self.evidence.as_ref().is_some_and(|evidence| evidence.detector == "explicit");
        if self.user_preference.content.trim().is_empty() && !by_deed {
            return Err("`user_preference` is empty, expected the user's feedback".to_string());
        }
        match self.evidence.as_ref().map(|evidence| evidence.confidence) {
            Some(sure) if !(0.0..=1.0).contains(&sure) => Err(format!("confidence is {sure}, expected 0 to 1")),
            _ => Ok(()),
        }
    }

    fn complete(&mut self) {
        if self.id.is_empty() {
            self.id = case_id(&self.prompt, &self.rejected);
        }
        if self.conversation.is_empty() {
            self.conversation.clone_from(&self.id);
        }
    }
}
