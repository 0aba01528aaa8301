//! What members do, and what is left of a client.

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

/// What a member did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in its group.
    Started,
    /// Its consumer did not start.
    Refused,
    /// It left.
    Left,
    /// Its process ended without a word.
    Crashed,
    /// Its process stands still.
    Paused,
    /// Its process goes on.
    Resumed,
}
