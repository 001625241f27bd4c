//! Steps ask for no memory: buffers are made by the first step and used by all others.

mod tiny;

use drift_lm::{Packed, Precision, Request, Sampling, Tape, generate};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator, counted for each thread.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
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

/// Runs `work` on the only thread of a pool, which it gives the count of this thread's allocations.
fn alone<R: Send>(work: impl FnOnce(&dyn Fn() -> usize) -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| work(&|| COUNT.get()))
}

#[test]
fn a_training_pass_allocates_nothing() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int16] {
        // Everything kept, everything computed again.
        for budget in [usize::MAX, 0] {
            let count = alone(|count| {
                let mut model = tiny::model(precision);
                let mut batch = Packed::default();
                for (i, (p, c, r)) in [(90, 70, 33), (5, 3, 8), (300, 1, 20)].into_iter().enumerate() {
                    let of = |part: u64, n| tiny::ids(10 * i as u64 + part, n);
                    batch.push_pair(&of(1, p), &of(2, c), &of(3, r));
                }
                let weights = vec![0.01; batch.targets.len()];
                let (mut tape, mut grads) = (Tape::new(&model, budget), vec![0.0; model.layout().len]);
                let mut pass = || {
                    tape.forward(&model, &batch);
                    tape.backward(&model, &batch, &weights, &mut grads);
                    model.update(|params| params.iter_mut().zip(&grads).for_each(|(p, g)| *p -= 1e-3 * g));
                };
                // With nothing kept, layers pass their inputs' buffers on: the last is made by the second pass.
                (0..2).for_each(|_| pass());
                let before = count();
                pass();
                count() - before
            });
            assert_eq!(count, 0, "{precision:?}, budget {budget}");
        }
    }
}

#[test]
fn a_decoding_step_allocates_nothing() {
    for precision in [Precision::F32, Precision::Bf16, Precision::Int16] {
        let model = tiny::model(precision);
        let sampling = Sampling { temperature: 0.8, top_p: 0.95, top_k: 0 };
        // Prompts of the same page as the answers: only the number of steps differs.
        let run = |max_new| {
            let requests: Vec<Request> =
                (0..6).map(|i| Request { prompt: tiny::ids(i / 2, 4), max_new, seed: i }).collect();
            alone(|count| {
                let before = count();
                generate(&model, &requests, &sampling, &[], 6, &mut |_, _| ControlFlow::Continue(()));
                count() - before
            })
        };
        run(60);
        assert_eq!(run(40), run(60), "{precision:?}");
    }
}
