//! Parallel loops over disjoint pieces of output.

use rayon::prelude::*;
use std::cell::Cell;

/// Runs all of `work` on a thread of the pool. Loops that start there need no waking and waiting for each,
/// of which a decoding step has hundreds.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() { work() } else { rayon::scope(|_| work()) }
}

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

thread_local! {
    static BUFFER: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// Gives `work` zeros that belong to this thread, so that a task asks for no memory. Inside `work`, another
/// buffer would be a new one.
pub(crate) fn with_words<R>(len: usize, work: impl FnOnce(&mut [u32]) -> R) -> R {
    let mut buffer = BUFFER.take();
    buffer.clear();
    buffer.resize(len, 0);
    let result = work(&mut buffer);
    BUFFER.set(buffer);
    result
}

/// The same as f32.
pub(crate) fn with_floats<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // SAFETY: any word is an f32, and has its size and alignment.
    with_words(len, |words| work(unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), len) }))
}

/// A pointer that tasks may share because each writes its own elements.
#[derive(Clone, Copy, Debug)]
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
