//! Where the time goes: each operation counts its calls, its time, and the least arithmetic and memory
//! traffic that its result needs, so that it can be held against the machine's bounds.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The counters of one operation, a `static` beside its code.
#[derive(Debug)]
pub struct Meter {
    pub name: &'static str,
    calls: AtomicU64,
    nanos: AtomicU64,
    flops: AtomicU64,
    bytes: AtomicU64,
}

/// What a meter counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub calls: u64,
    pub time: Duration,
    /// Multiplications and additions of matrix products.
    pub flops: u64,
    /// Read once and written once.
    pub bytes: u64,
}

thread_local! {
    /// A metered operation runs on this thread: those that it calls belong to it.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Meter {
    pub const fn new(name: &'static str) -> Meter {
        Meter {
            name,
            calls: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            flops: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Counts until the span is dropped.
    pub fn start(&'static self, flops: usize, bytes: usize) -> Span {
        let outermost = !INSIDE.replace(true);
        Span { meter: outermost.then_some(self), start: Instant::now(), flops: flops as u64, bytes: bytes as u64 }
    }

    /// What was counted since the last `take`.
    pub fn take(&self) -> Tally {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Tally {
            calls: take(&self.calls),
            time: Duration::from_nanos(take(&self.nanos)),
            flops: take(&self.flops),
            bytes: take(&self.bytes),
        }
    }
}

/// An operation under way.
#[derive(Debug)]
#[must_use]
pub struct Span {
    meter: Option<&'static Meter>,
    start: Instant,
    flops: u64,
    bytes: u64,
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(meter) = self.meter else { return };
        INSIDE.set(false);
        meter.calls.fetch_add(1, Ordering::Relaxed);
        meter.nanos.fetch_add(self.start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        meter.flops.fetch_add(self.flops, Ordering::Relaxed);
        meter.bytes.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static OUTER: Meter = Meter::new("outer");
    static INNER: Meter = Meter::new("inner");

    #[test]
    fn an_operation_inside_another_belongs_to_it() {
        {
            let _outer = OUTER.start(10, 4);
            let _inner = INNER.start(7, 7);
        }
        drop(INNER.start(1, 2));
        let (outer, inner) = (OUTER.take(), INNER.take());
        assert_eq!((outer.calls, outer.flops, outer.bytes), (1, 10, 4));
        assert_eq!((inner.calls, inner.flops, inner.bytes), (1, 1, 2));
        assert_eq!(OUTER.take(), Tally::default());
    }
}
