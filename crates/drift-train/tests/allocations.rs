//! A step asks for memory for its records alone, not for its numbers.

mod common;

use drift_train::{Event, Example, Job, train};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

struct Counting;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator, its bytes counted for each thread.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of a step of three short pairs: their packed ids and records, and a line of metrics. Its activations
/// take several times as much.
const RECORDS: usize = 8 << 10;

#[test]
fn a_step_allocates_for_its_records_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = common::recipe();
    // Nine pairs of one shape: every step needs what the first one needed.
    let first = common::examples(1).remove(0);
    let examples = (0..9).map(|i| {
        let other = |ids: &[u32]| ids.iter().map(|id| 3 + (id + i) % (common::VOCAB - 3)).collect();
        let [prompt, chosen, rejected] = [&first.prompt, &first.chosen, &first.rejected].map(|ids| other(ids));
        Example { id: format!("e{i}"), prompt, chosen, rejected, weight: 1.0 }
    });
    let examples: Vec<Example> = examples.collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let steps: Vec<usize> = pool.install(|| {
        let (mut model, mut at) = (common::model(), Vec::with_capacity(6));
        let job = Job { save_every: 0, ..common::job(&config, dir.path()) };
        let mut observe = |event: Event| {
            if let Event::Step(_) = event {
                at.push(BYTES.get());
            }
            ControlFlow::Continue(())
        };
        train(&mut model, examples, &job, &mut observe).unwrap();
        at.windows(2).map(|two| two[1] - two[0]).collect()
    });
    assert_eq!(steps.len(), 5, "two epochs of three steps");
    assert!(steps.iter().all(|&bytes| bytes < RECORDS), "{steps:?} bytes");
}
