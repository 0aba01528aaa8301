//! The states worth reaching: a sweep is only good if it reaches each of them.

/// All marks, in order.
pub const ALL: &[&str] = &[];
