//! The operations of the engine on slices: forward beside backward, one file an operation.
//!
//! Shape letters: T tokens of a packed batch, H hidden size, F intermediate size, V vocabulary,
//! N attention heads, G key/value heads, D head size, A answer positions.
//! Matrices are row-major. A product is `C[m, n] = A[m, k] · B[k, n]`.
//!
//! Two properties hold for every function here:
//! * each output element is summed in an order that depends on neither the thread count nor on the
//!   other rows of the batch, so the same input gives the same bits in any company;
//! * in f32, every path with fused multiply-add gives the same bits.

#[cfg(any(all(target_arch = "x86_64", target_os = "linux"), test))]
mod amx;
pub mod attention;
mod bytes;
pub mod elementwise;
mod integer;
pub mod isa;
mod kept;
pub mod matmul;
pub mod meter;
pub mod naive;
mod narrow;
pub mod norm;
pub mod operand;
pub mod par;
pub mod rope;
pub mod softmax;
mod tile;

pub use isa::Isa;
pub use matmul::matmul;
pub use operand::{Panels, Precision, Rows};
