//! The stages, one file each. A stage reads plain files, writes plain files into its folder, and its
//! manifest last.

pub mod detect;
pub mod evaluate;
pub mod gate;
pub mod pair;
pub mod rank;
pub mod sample;
pub mod satisfaction;
pub mod theory;
pub mod train;
