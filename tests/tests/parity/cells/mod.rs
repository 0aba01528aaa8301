//! The scripts: one for each request in each situation.

mod filters;
mod frames;
mod inspect;
mod locks;
mod manage;
mod members;
mod offsets;
mod operators;
mod pops;
mod pulls;
mod replies;
mod routes;
mod send_backs;
mod sends;
mod timers;
mod topics;
mod transactions;

use std::fmt;

use crate::lab::Lab;

/// A request in a situation, and the script that compares the answers.
pub(crate) struct Cell {
    pub(crate) code: i32,
    pub(crate) situation: &'static str,
    pub(crate) script: fn(&mut Lab),
}

impl Cell {
    /// With what all names of the script begin: its own, and the same on both sides.
    pub(crate) fn prefix(&self) -> String {
        let hash = rocketmq_core::wire::java::java_hash(self.situation).unsigned_abs();
        format!("P{}-{hash:08x}", self.code)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.code, self.situation)
    }
}

/// Those that run alone: of two topics that a broker announces at the same time a name server may overlook one.
pub(crate) fn alone() -> Vec<Cell> {
    routes::cells().into_iter().chain(inspect::at_name_servers()).chain(manage::at_name_servers()).collect()
}

/// Those that run side by side; what waits long comes first.
pub(crate) fn together() -> Vec<Cell> {
    let parts = [
        pulls::held(),
        send_backs::cells(),
        transactions::asked(),
        members::told(),
        sends::delayed(),
        members::cells(),
        sends::accepted(),
        sends::refused(),
        sends::batches(),
        pulls::read(),
        pulls::refused(),
        offsets::cells(),
        operators::cells(),
        inspect::cells(),
        topics::cells(),
        manage::cells(),
        locks::cells(),
        transactions::cells(),
        replies::cells(),
        frames::cells(),
    ];
    parts.into_iter().flatten().collect()
}

/// Those about popping and timers, and others for which a broker needs its timer wheel.
pub(crate) fn popping() -> Vec<Cell> {
    let parts = [pops::hidden(), timers::cells(), pops::cells(), inspect::of_timers()];
    parts.into_iter().flatten().collect()
}

/// Those that run on brokers that filter by properties.
pub(crate) fn filtering() -> Vec<Cell> {
    filters::cells()
}

fn cell(code: i32, situation: &'static str, script: fn(&mut Lab)) -> Cell {
    Cell { code, situation, script }
}
