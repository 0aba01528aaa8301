//! Ctrl-C, and the request to end.

use std::io;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;

/// Waits for Ctrl-C, or the request to end; from its first poll on neither ends the process by itself.
pub(crate) struct Interrupt(Signals);

impl Interrupt {
    pub(crate) fn new() -> io::Result<Self> {
        let wanted: &[Signal] = if cfg!(unix) { &[Signal::Int, Signal::Term] } else { &[Signal::Int] };
        Signals::new(wanted).map(Self)
    }

    pub(crate) async fn wait(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
