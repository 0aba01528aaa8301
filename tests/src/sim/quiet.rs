//! Panics inside a simulation are results, not noise.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// While it lives, panics of this thread are kept instead of printed.
pub(super) struct Quiet(());

impl Quiet {
    pub(super) fn new() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if DEPTH.get() == 0 {
                    return before(info);
                }
                let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
                LAST.with(|last| *last.borrow_mut() = place);
            }));
        });
        DEPTH.set(DEPTH.get() + 1);
        Self(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Where the last panic was.
pub(super) fn last_panic() -> String {
    LAST.with(|last| last.borrow().clone())
}
