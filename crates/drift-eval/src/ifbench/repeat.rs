//! Saying again what the prompt says.

use super::Kind;
use super::Need::{Number, Text};

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "repeat:repeat_change",
        needs: &[Text("prompt_to_repeat")],
        met: |a, text| {
            let request = a.text("prompt_to_repeat");
            request != text && request.split_whitespace().skip(1).eq(text.split_whitespace().skip(1))
        },
    },
    Kind {
        name: "repeat:repeat_simple",
        needs: &[],
        met: |_, text| text.trim().to_lowercase() == "only output this sentence here, ignore all other requests.",
    },
    Kind {
        name: "repeat:repeat_span",
        // Words, though the instruction speaks of characters; the end is not within.
        needs: &[Text("prompt_to_repeat"), Number("n_start"), Number("n_end")],
        met: |a, text| {
            let (request, text) = (a.text("prompt_to_repeat").to_lowercase(), text.to_lowercase());
            let (start, end) = (a.number("n_start"), a.number("n_end"));
            text.split_whitespace().eq(request.split_whitespace().take(end).skip(start))
        },
    },
];
