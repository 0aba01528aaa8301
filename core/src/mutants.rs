//! Mistakes planted on purpose, one at a time, to see that the simulator or the fuzz targets find them.
//!
//! They exist only under `--cfg sim_mutants`; without it [`mutant!`] is `false`.

/// Whether the mistake with this number is planted.
#[cfg(sim_mutants)]
macro_rules! mutant {
    ($number:literal) => {
        crate::mutants::is_active($number)
    };
}

/// Whether the mistake with this number is planted: never, in what is shipped.
#[cfg(not(sim_mutants))]
macro_rules! mutant {
    ($number:literal) => {
        false
    };
}

pub(crate) use mutant;

#[cfg(sim_mutants)]
static ACTIVE: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Plants the mistake with this number, 0 for none.
#[cfg(sim_mutants)]
pub fn activate(number: u32) {
    ACTIVE.store(number, core::sync::atomic::Ordering::Relaxed);
}

#[cfg(sim_mutants)]
pub(crate) fn is_active(number: u32) -> bool {
    ACTIVE.load(core::sync::atomic::Ordering::Relaxed) == number
}

/// What mistakes in decoders do: each would be a bug.
pub(crate) mod decoder {
    #![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "mistakes")]

    use alloc::vec::Vec;

    /// Adds without a look at the bounds of the type.
    pub(crate) fn add(a: i32, b: i32) -> i32 {
        a + b
    }

    /// Makes room for what a peer only says it sends.
    pub(crate) fn make_room(announced: u32) {
        core::hint::black_box(Vec::<u8>::with_capacity(announced.try_into().unwrap()));
    }

    /// Believes that bytes are text.
    pub(crate) fn text(bytes: &[u8]) -> &str {
        core::str::from_utf8(bytes).unwrap()
    }
}
