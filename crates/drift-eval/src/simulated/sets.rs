//! Named sets of kinds of requirement.

/// Every kind.
pub const ALL: &str = "all";

pub const SETS: [(&str, &[&str]); 1] = [("sometimes", &SOMETIMES)];

/// The kinds that a small model meets now and then. From what is always met or never, a method that
/// learns from the model's own answers learns nothing: all its samples are of one kind.
pub const SOMETIMES: [&str; 3] = ["bullets", "title", "max-words"];
