//! A batch without padding: rows of segments, and the tokens to be predicted.

pub use drift_kernels::attention::Segment;
use std::ops::Range;

/// A token whose log-probability is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The token of the batch whose hidden state predicts it.
    pub at: usize,
    pub token: u32,
}

/// T tokens in segments. A DPO pair is one row of three: prompt, chosen, rejected; the prompt is
/// computed once, both answers continue its positions and see it, neither sees the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    pub tokens: Vec<u32>,
    pub positions: Vec<u32>,
    pub segments: Vec<Segment>,
    pub targets: Vec<Target>,
}

impl Packed {
    /// One row of a preference pair; returns the ranges of `targets` of the chosen and the rejected
    /// answer. Every answer token is a target. An answer's last token predicts nothing, so it is not
    /// computed.
    pub fn push_pair(&mut self, prompt: &[u32], chosen: &[u32], rejected: &[u32]) -> [Range<usize>; 2] {
        let parent = self.push_prompt(prompt);
        [self.push_answer(parent, chosen), self.push_answer(parent, rejected)]
    }

    /// A row of one sequence; returns the range of its targets.
    pub fn push_sequence(&mut self, prompt: &[u32], completion: &[u32]) -> Range<usize> {
        let parent = self.push_prompt(prompt);
        self.push_answer(parent, completion)
    }

    /// A segment that starts a row; returns its index.
    pub fn push_prompt(&mut self, prompt: &[u32]) -> usize {
        assert!(!prompt.is_empty(), "a row starts with at least one token");
        self.push_segment(prompt, 0, None);
        self.segments.len() - 1
    }

    /// A segment that continues `parent` and sees it, but none of its siblings; returns its tokens' range.
    pub fn push_branch(&mut self, parent: usize, tokens: &[u32]) -> Range<usize> {
        let Segment { len, position, .. } = self.segments[parent];
        let from = self.tokens.len();
        if !tokens.is_empty() {
            self.push_segment(tokens, position + len, Some(parent));
        }
        from..self.tokens.len()
    }

    fn push_answer(&mut self, parent: usize, answer: &[u32]) -> Range<usize> {
        let first = self.targets.len();
        let Segment { start, len, position, .. } = self.segments[parent];
        let from = self.tokens.len();
        self.targets.extend(
            answer
                .iter()
                .enumerate()
                .map(|(i, &token)| Target { at: if i == 0 { start + len - 1 } else { from + i - 1 }, token }),
        );
        if answer.len() > 1 {
            self.push_segment(&answer[..answer.len() - 1], position + len, Some(parent));
        }
        first..self.targets.len()
    }

    fn push_segment(&mut self, tokens: &[u32], position: usize, parent: Option<usize>) {
        self.segments.push(Segment { start: self.tokens.len(), len: tokens.len(), position, parent });
        self.tokens.extend_from_slice(tokens);
        self.positions.extend((position..position + tokens.len()).map(|p| p as u32));
    }
}
