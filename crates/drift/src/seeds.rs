//! Randomness from content: a seed names what is drawn, so neither order, nor batch size, nor what
//! was drawn before can change it.

/// A seed of the run's seed and of names (a case's id, an iteration, a sample's number …).
pub fn seed(run: u64, names: &[&str]) -> u64 {
    let mut first = [0; 8];
    stream(run, names).fill(&mut first);
    u64::from_le_bytes(first)
}

/// An endless stream of random bytes of the same names.
pub fn stream(run: u64, names: &[&str]) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&run.to_le_bytes());
    for name in names {
        // The length first, so that ["ab", "c"] and ["a", "bc"] differ.
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.finalize_xof()
}

/// At most `max` of `items` (all where `max` is 0), in their order: those whose ids draw the lowest
/// seeds, so that a larger subset contains a smaller one.
pub fn subset<T>(items: Vec<T>, max: usize, run: u64, purpose: &str, id: impl Fn(&T) -> &str) -> Vec<T> {
    if max == 0 || items.len() <= max {
        return items;
    }
    let mut drawn: Vec<(u64, usize)> =
        items.iter().enumerate().map(|(i, item)| (seed(run, &[purpose, id(item)]), i)).collect();
    drawn.sort_unstable();
    let mut keep = vec![false; items.len()];
    for &(_, i) in &drawn[..max] {
        keep[i] = true;
    }
    items.into_iter().zip(keep).filter_map(|(item, keep)| keep.then_some(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_run_into_each_other() {
        assert_ne!(seed(1, &["ab", "c"]), seed(1, &["a", "bc"]));
        assert_ne!(seed(1, &["a"]), seed(2, &["a"]));
        assert_eq!(seed(1, &["a"]), seed(1, &["a"]));
    }

    #[test]
    fn a_larger_subset_contains_the_smaller_and_order_is_kept() {
        let ids: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        let draw = |max| subset(ids.clone(), max, 7, "cases", |id| id);
        let (small, large) = (draw(10), draw(20));
        assert_eq!((small.len(), large.len(), draw(0).len(), draw(200).len()), (10, 20, 100, 100));
        assert!(small.iter().all(|id| large.contains(id)));
        let numbers: Vec<u32> = large.iter().map(|id| id.parse().unwrap()).collect();
        assert!(numbers.is_sorted());
        let mut reversed = ids.clone();
        reversed.reverse();
        let mut again = subset(reversed, 10, 7, "cases", |id| id);
        again.reverse();
        assert_eq!(again, small);
    }
}
