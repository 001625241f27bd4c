//! Ctrl-C: the first one asks the stages to stop at the next safe point, the second one ends the
//! process at once.
//!
//! A stage that stops keeps what it has finished on disk, so the next call goes on from there.

use crate::talk::say;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static ANYTIME: AtomicUsize = AtomicUsize::new(0);
static TOGETHER: AtomicBool = AtomicBool::new(false);

/// The exit status of a shell command that Ctrl-C ended: 128 + SIGINT.
pub const EXIT_CODE: u8 = 130;

/// Returned by a stage that stopped because it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; hint: what is finished is kept, the same command goes on from there")]
pub struct Interrupted;

/// Catches SIGINT and SIGTERM. To be called once, before any work.
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE.into());
        }
        if ANYTIME.load(Ordering::SeqCst) > 0 && !TOGETHER.load(Ordering::SeqCst) {
            say(format_args!("\n{Interrupted}"));
            std::process::exit(EXIT_CODE.into());
        }
        say("\nstopping at the next safe point; a second Ctrl-C ends at once");
    })?;
    Ok(())
}

/// From now on several works go on at once, or no longer: what one may lose nothing by, another may.
pub fn together(several: bool) {
    TOGETHER.store(several, Ordering::SeqCst);
}

/// While it lives, the first Ctrl-C ends the process at once, unless other work goes on: for long work that loses
/// nothing by it.
#[derive(Debug)]
pub struct Anytime(());

pub fn anytime() -> Anytime {
    ANYTIME.fetch_add(1, Ordering::SeqCst);
    Anytime(())
}

impl Drop for Anytime {
    fn drop(&mut self) {
        ANYTIME.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Asks all work to stop, as the first Ctrl-C does: some of it has failed.
pub fn request() {
    REQUESTED.store(true, Ordering::SeqCst);
}

pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// An error if a stop was asked for, to be called with `?` between two units of work.
pub fn check() -> Result<(), Interrupted> {
    if requested() { Err(Interrupted) } else { Ok(()) }
}

/// The same for callbacks.
pub fn flow() -> ControlFlow<()> {
    if requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
