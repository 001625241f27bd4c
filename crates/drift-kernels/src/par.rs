//! Parallel loops over disjoint pieces of output.

use rayon::prelude::*;

/// Runs `task(0..n)` on the thread pool. Which thread runs a task must not matter to its result.
pub fn tasks(n: usize, task: impl Fn(usize) + Sync + Send) {
    if n == 1 {
        task(0);
    } else {
        (0..n).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Runs `task(first_row, rows)` over pieces of `rows_per_task` rows of a `[rows, width]` matrix.
pub fn rows<T: Send>(data: &mut [T], width: usize, rows_per_task: usize, task: impl Fn(usize, &mut [T]) + Sync + Send) {
    data.par_chunks_mut((width * rows_per_task).max(1))
        .with_max_len(1)
        .enumerate()
        .for_each(|(i, rows)| task(i * rows_per_task, rows));
}

/// A pointer that tasks may share because each writes its own elements.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(*mut T);

// SAFETY: the users below hand each task a disjoint set of elements.
unsafe impl<T> Send for Shared<T> {}
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(data: &mut [T]) -> Self {
        Shared(data.as_mut_ptr())
    }

    /// SAFETY: `offset` lies in the slice that `new` got, and no other task touches the elements
    /// that the caller reads or writes through the pointer.
    pub unsafe fn at(&self, offset: usize) -> *mut T {
        self.0.add(offset)
    }

    /// SAFETY: as for `at`, for `len` elements from `offset`.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, offset: usize, len: usize) -> &mut [T] {
        std::slice::from_raw_parts_mut(self.0.add(offset), len)
    }
}
