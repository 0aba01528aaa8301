//! `rmq`, a native command line for Apache RocketMQ clusters, as a library: the program calls [`run`], and so do tests.
//!
//! `rmq <group> <command>`; the commands of `mqadmin` work by their names too. `rmq --help` tells the rest.

mod access;
mod alias;
mod app;
mod args;
mod commands;
mod context;
mod failure;
mod output;
mod signal;
mod time;

use std::ffi::OsString;
use std::io::Write;

pub use app::command;

/// Where `rmq` writes, and whether somebody watches.
pub struct Streams<'a> {
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// What failed, and progress.
    pub err: &'a mut dyn Write,
    /// Whether `out` is a terminal.
    pub out_is_terminal: bool,
    /// Whether `err` is a terminal; progress is drawn on that of the process.
    pub err_is_terminal: bool,
}

impl std::fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (out, err) = (self.out_is_terminal, self.err_is_terminal);
        f.debug_struct("Streams").field("out_is_terminal", &out).field("err_is_terminal", &err).finish_non_exhaustive()
    }
}

/// Runs `rmq` with these arguments, of which the first is its own name; gives its exit code.
///
/// 0 it is done; 1 the cluster refused, or there is no such thing; 2 the arguments are wrong; 3 nobody could be reached,
/// or answered in time; 4 some servers failed, and what the others say is shown.
pub fn run(args: impl IntoIterator<Item = OsString>, streams: Streams<'_>) -> u8 {
    app::run(alias::expand(args.into_iter().collect()), streams)
}

/// The commands of `mqadmin` that `rmq` takes by their names, and its own commands that they stand for.
pub fn aliases() -> impl Iterator<Item = (&'static str, String)> {
    alias::ALIASES.iter().map(|alias| (alias.name, alias.words.join(" ")))
}
