//! What is left of a client when it is over.

/// What is left of a client in its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// Links still open.
    pub links: usize,
    /// Timers still set.
    pub timers: usize,
    /// Tasks still there.
    pub tasks: usize,
    /// Locks that brokers still keep for it.
    pub locks: usize,
}
