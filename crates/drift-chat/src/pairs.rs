//! Preference pairs on disk, in TRL's conversational format: `{prompt, chosen, rejected}`.

use std::path::Path;

use crate::error::Error;
use crate::ids::pair_id;
use crate::rows::{self, Row, check_answer, check_prompt};
use crate::types::Pair;

/// All pairs of a file of JSON lines or a JSON array. Unknown keys are ignored, missing ids made
/// from the content.
///
/// # Errors
/// The first bad row, by line: no prompt, not exactly one assistant message in `chosen` or
/// `rejected`, an empty answer, a weight out of range, or no such shape at all.
pub fn read_pairs(path: &Path) -> Result<Vec<Pair>, Error> {
    rows::read(path)
}

impl Row for Pair {
    const SHAPE: &'static str = "rows {prompt, chosen, rejected}";

    fn check(&self) -> Result<(), String> {
        check_prompt(&self.prompt)?;
        check_answer("chosen", &self.chosen)?;
        check_answer("rejected", &self.rejected)?;
        match self.weight {
            Some(weight) if !(0.0..=1e6).contains(&weight) => Err(format!("weight is {weight:?}, expected 0 to 1e6")),
            _ => Ok(()),
        }
    }

    fn complete(&mut self) {
        if self.id.is_empty() {
            self.id = pair_id(&self.prompt, &self.chosen, &self.rejected);
        }
        if self.conversation.is_empty() {
            self.conversation.clone_from(&self.id);
        }
    }
}
