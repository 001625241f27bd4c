//! Pairs as token ids: which ones fit, in which order they are trained on, which ones share a pass.

use crate::error::{Error, Result};
use crate::loss::Sides;
use blake3::Hash;
use drift_lm::Model;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// One preference pair. The prompt's ids are a prefix of both sequences; each answer ends with its end token. An answer
/// alone, for a loss that takes such, is a pair whose other side is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    pub id: String,
    pub prompt: Vec<u32>,
    pub chosen: Vec<u32>,
    pub rejected: Vec<u32>,
    /// How much its pair term counts, >= 0; 1 where all count alike.
    pub weight: f64,
}

impl Example {
    /// Of the three id lists, not of `id` and `weight`.
    pub fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        for ids in [&self.prompt, &self.chosen, &self.rejected] {
            hasher.update(&(ids.len() as u64).to_le_bytes());
            ids.iter().for_each(|id| _ = hasher.update(&id.to_le_bytes()));
        }
        hasher.finalize()
    }

    /// Tokens of the packed row: prompt, chosen, rejected.
    pub fn row_tokens(&self) -> usize {
        self.prompt.len() + self.chosen.len() + self.rejected.len()
    }

    /// Tokens of the longer of the two sequences, prompt + answer.
    pub fn longest(&self) -> usize {
        self.prompt.len() + self.chosen.len().max(self.rejected.len())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverLong {
    /// A pair over `max_length` is left out.
    Drop,
    /// Its prompt loses tokens at the start until both sequences fit. Answers are never cut, so no
    /// end token is lost; a pair whose answer alone leaves no room for the prompt is left out.
    CutPrompt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// Prompt + answer, tokens, for each of the two answers.
    pub max_length: usize,
    /// The prompt keeps its last tokens, whatever the answers' lengths.
    pub max_prompt_length: usize,
    pub over_long: OverLong,
}

/// What [`fit`] did, each pair under exactly one of the `dropped_*` or in `kept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FitCounts {
    pub given: usize,
    pub kept: usize,
    pub dropped_empty_prompt: usize,
    pub dropped_empty_chosen: usize,
    pub dropped_empty_rejected: usize,
    pub dropped_over_long: usize,
    /// Other answers than the loss takes: two where it takes one, or none.
    pub dropped_wrong_sides: usize,
    /// Kept, with a prompt cut to `max_prompt_length`.
    pub cut_to_max_prompt_length: usize,
    /// Kept, with a prompt cut (further) so that the longer sequence meets `max_length`.
    pub cut_to_max_length: usize,
    /// Kept, though both answers are equal: the pair term of such a pair has no gradient.
    pub equal_answers: usize,
}

impl std::fmt::Display for FitCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            f,
            "dropped: {} empty prompt, {} empty chosen, {} empty rejected, {} over long",
            self.dropped_empty_prompt, self.dropped_empty_chosen, self.dropped_empty_rejected, self.dropped_over_long
        )?;
        match self.dropped_wrong_sides {
            0 => Ok(()),
            n => write!(f, ", {n} with other answers than the loss takes"),
        }
    }
}

/// Keeps the examples that have the answers of `sides`, and applies the length rules; only prompts are ever shortened, at
/// their start.
pub fn fit(examples: Vec<Example>, sides: Sides, lengths: &Lengths) -> (Vec<Example>, FitCounts) {
    let mut counts = FitCounts { given: examples.len(), ..FitCounts::default() };
    let mut kept = Vec::with_capacity(examples.len());
    for mut example in examples {
        let (chosen, rejected) = (!example.chosen.is_empty(), !example.rejected.is_empty());
        let reason = if example.prompt.is_empty() {
            &mut counts.dropped_empty_prompt
        } else if sides == Sides::Both && !chosen {
            &mut counts.dropped_empty_chosen
        } else if sides == Sides::Both && !rejected {
            &mut counts.dropped_empty_rejected
        } else if (sides == Sides::Chosen && (!chosen || rejected)) || (sides == Sides::One && chosen == rejected) {
            &mut counts.dropped_wrong_sides
        } else {
            let full = example.prompt.len();
            let capped = full.min(lengths.max_prompt_length);
            let room = lengths.max_length.saturating_sub(example.chosen.len().max(example.rejected.len()));
            if capped <= room || (room > 0 && lengths.over_long == OverLong::CutPrompt) {
                counts.kept += 1;
                counts.cut_to_max_prompt_length += usize::from(capped < full);
                counts.cut_to_max_length += usize::from(room < capped);
                counts.equal_answers += usize::from(example.chosen == example.rejected);
                example.prompt.drain(..full - capped.min(room));
                kept.push(example);
                continue;
            }
            &mut counts.dropped_over_long
        };
        *reason += 1;
    }
    (kept, counts)
}

/// Every id must have an embedding and every position must lie in the model's context.
pub fn check(examples: &[Example], model: &Model) -> Result<()> {
    let (vocab, context) = (model.config().vocab_size, model.context());
    for example in examples {
        for (field, ids) in [("prompt", &example.prompt), ("chosen", &example.chosen), ("rejected", &example.rejected)]
        {
            if let Some(at) = ids.iter().position(|&id| id as usize >= vocab) {
                let id = ids[at];
                let place = format!("example {:?}, {field}, token {at}", example.id);
                return Err(Error::new(place, format!("id {id}, expected below the model's vocabulary of {vocab}"))
                    .hint("tokenize with the tokenizer of the model that is trained"));
            }
        }
        if example.longest() > context {
            let n = example.longest();
            let place = format!("example {:?}", example.id);
            return Err(Error::new(place, format!("{n} tokens, expected at most the model's context of {context}"))
                .hint("leave longer ones out (train.max_length), or take a model with a longer context"));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As given, the same in every epoch.
    Sequential,
    /// By the hash of (seed, epoch, example): it depends on what the examples are, not on the order
    /// in which they came.
    Shuffled { seed: u64 },
}

/// The indices of `hashes`, [`Example::hash`] of each, in the order of `epoch` (from 0).
pub fn order(hashes: &[Hash], order: Order, epoch: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..hashes.len()).collect();
    if let Order::Shuffled { seed } = order {
        let mut seen: HashMap<Hash, u64> = HashMap::new();
        let keys: Vec<[u8; 32]> = hashes
            .iter()
            .map(|hash| {
                // Equal examples are told apart by a count, or they would always meet in one batch.
                let copy = seen.entry(*hash).or_default();
                *copy += 1;
                let mut hasher = blake3::Hasher::new();
                hasher.update(&seed.to_le_bytes()).update(&(epoch as u64).to_le_bytes());
                hasher.update(hash.as_bytes()).update(&copy.to_le_bytes());
                *hasher.finalize().as_bytes()
            })
            .collect();
        indices.sort_by_key(|&i| keys[i]);
    }
    indices
}

/// Runs of consecutive rows whose tokens stay within `micro_tokens`; a longer row is alone.
pub fn micro_batches(row_tokens: impl IntoIterator<Item = usize>, micro_tokens: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (i, n) in row_tokens.into_iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if tokens + n <= micro_tokens => batch.end = i + 1,
            _ => {
                batches.push(i..i + 1);
                tokens = 0;
            }
        }
        tokens += n;
    }
    batches
}

/// Tokens of the largest of them.
pub fn most_at_once(row_tokens: &[usize], micro_tokens: usize) -> usize {
    let batches = micro_batches(row_tokens.iter().copied(), micro_tokens);
    batches.into_iter().map(|batch| row_tokens[batch].iter().sum()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_rows_are_together_and_a_long_one_is_alone() {
        assert_eq!(most_at_once(&[900, 900, 900], 2048), 1800);
        assert_eq!(most_at_once(&[300, 3000, 300], 2048), 3000);
        assert_eq!(most_at_once(&[], 2048), 0);
    }

    const END: u32 = 2;

    fn example(prompt: usize, chosen: usize, rejected: usize) -> Example {
        let answer = |n: usize, word| (0..n).map(|i| if i + 1 == n { END } else { word }).collect();
        let prompt = (100..).take(prompt).collect();
        Example { id: "a".into(), prompt, chosen: answer(chosen, 7), rejected: answer(rejected, 8), weight: 1.0 }
    }

    fn lengths(over_long: OverLong) -> Lengths {
        Lengths { max_length: 10, max_prompt_length: 6, over_long }
    }

    #[test]
    fn a_long_prompt_keeps_its_last_tokens() {
        let (kept, counts) = fit(vec![example(8, 2, 3)], Sides::Both, &lengths(OverLong::Drop));
        assert_eq!(kept[0].prompt, [102, 103, 104, 105, 106, 107]);
        assert_eq!((counts.kept, counts.cut_to_max_prompt_length, counts.cut_to_max_length), (1, 1, 0));
    }

    #[test]
    fn an_over_long_pair_is_dropped_or_loses_prompt_and_is_counted() {
        let rows = || vec![example(5, 2, 7), example(5, 10, 2)];
        let (kept, counts) = fit(rows(), Sides::Both, &lengths(OverLong::Drop));
        assert_eq!((kept.len(), counts.dropped_over_long), (0, 2));
        // The longer answer decides for both sides: 10 - 7 leaves 3 of the prompt. 10 - 10 leaves none.
        let (kept, counts) = fit(rows(), Sides::Both, &lengths(OverLong::CutPrompt));
        assert_eq!(kept[0].prompt, [102, 103, 104]);
        assert_eq!((counts.kept, counts.cut_to_max_length, counts.dropped_over_long), (1, 1, 1));
    }

    #[test]
    fn empty_sides_are_dropped_by_reason() {
        let (kept, counts) = fit(
            vec![example(0, 1, 1), example(1, 0, 1), example(1, 1, 0), example(1, 1, 1)],
            Sides::Both,
            &lengths(OverLong::Drop),
        );
        assert_eq!(kept.len(), 1);
        assert_eq!([counts.dropped_empty_prompt, counts.dropped_empty_chosen, counts.dropped_empty_rejected], [1; 3]);
        assert_eq!(counts.equal_answers, 1);
    }

    proptest! {
        #[test]
        fn truncation_loses_no_end_token_and_no_pair_uncounted(
            sizes in prop::collection::vec((0usize..14, 0usize..14, 0usize..14), 0..20), cut in any::<bool>()
        ) {
            let given: Vec<Example> = sizes.iter().map(|&(p, c, r)| example(p, c, r)).collect();
            let lengths = lengths(if cut { OverLong::CutPrompt } else { OverLong::Drop });
            let (kept, n) = fit(given.clone(), Sides::Both, &lengths);
            prop_assert_eq!(n.given, given.len());
            prop_assert_eq!(n.kept, kept.len());
            let dropped = n.dropped_empty_prompt + n.dropped_empty_chosen + n.dropped_empty_rejected + n.dropped_over_long;
            prop_assert_eq!(n.given, n.kept + dropped);
            for e in &kept {
                prop_assert!(e.longest() <= 10 && (1..=6).contains(&e.prompt.len()));
                prop_assert_eq!((e.chosen.last(), e.rejected.last()), (Some(&END), Some(&END)));
                prop_assert!(given.iter().any(|g| g.chosen == e.chosen && g.rejected == e.rejected && g.prompt.ends_with(&e.prompt)));
            }
        }

        #[test]
        fn micro_batches_cover_all_rows_within_the_budget(rows in prop::collection::vec(1usize..50, 0..30), budget in 0usize..100) {
            let batches = micro_batches(rows.iter().copied(), budget);
            prop_assert_eq!(batches.iter().cloned().flatten().collect::<Vec<_>>(), (0..rows.len()).collect::<Vec<_>>());
            for batch in batches {
                prop_assert!(batch.len() == 1 || rows[batch].iter().sum::<usize>() <= budget);
            }
        }
    }

    #[test]
    fn the_shuffle_depends_on_the_examples_and_not_on_where_they_stand() {
        let hashes: Vec<Hash> = (1..40).map(|n| example(n, 1, 1).hash()).collect();
        let reversed: Vec<Hash> = hashes.iter().rev().copied().collect();
        let named = |hashes: &[Hash], seed, epoch| -> Vec<Hash> {
            order(hashes, Order::Shuffled { seed }, epoch).into_iter().map(|i| hashes[i]).collect()
        };
        assert_eq!(named(&hashes, 42, 0), named(&reversed, 42, 0));
        assert_ne!(named(&hashes, 42, 0), hashes);
        assert_ne!(named(&hashes, 42, 0), named(&hashes, 43, 0));
        assert_ne!(named(&hashes, 42, 0), named(&hashes, 42, 1));
        assert_eq!(order(&hashes, Order::Sequential, 5), (0..39).collect::<Vec<_>>());
    }

    #[test]
    fn copies_of_an_example_are_spread() {
        let mut hashes = vec![example(1, 1, 1).hash(); 2];
        hashes.extend((2..60).map(|n| example(n, 1, 1).hash()));
        let at = order(&hashes, Order::Shuffled { seed: 1 }, 0);
        let place = |i| at.iter().position(|&x| x == i).unwrap();
        assert_eq!(at.iter().copied().collect::<std::collections::BTreeSet<_>>().len(), hashes.len());
        assert!(place(0).abs_diff(place(1)) > 1);
    }

    #[test]
    fn moving_a_token_between_prompt_and_answer_changes_the_hash() {
        let a = Example { id: "a".into(), prompt: vec![1, 2], chosen: vec![3], rejected: vec![4], weight: 1.0 };
        let b = Example { prompt: vec![1], chosen: vec![2, 3], ..a.clone() };
        assert_ne!(a.hash(), b.hash());
        assert_eq!(a.hash(), Example { id: "b".into(), ..a.clone() }.hash());
    }
}
