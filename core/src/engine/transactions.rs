//! Half messages of an [`Engine`], and what becomes of them.

use bytes::Bytes;

use super::Engine;
use crate::client::{Command, Input};
use crate::ids::OpId;
use crate::message::Message;
use crate::send::{Parcel, Receipt};
use crate::time::Instant;
use crate::transaction::{HalfPlace, Resolution};
use crate::wire::request::Request;

impl Engine {
    /// Sends a half message: [`EngineEvent::SendDone`] tells how that went. [`Engine::end_transaction`] follows, or the broker
    /// asks with [`EngineEvent::Check`] once [`Command::StartChecker`] is done.
    ///
    /// [`EngineEvent::SendDone`]: super::EngineEvent::SendDone
    /// [`EngineEvent::Check`]: super::EngineEvent::Check
    pub fn send_half(&mut self, now: Instant, message: &Message) -> OpId {
        self.send_parcel(now, |engine, producer| {
            Parcel::half(&engine.config, producer, message, &engine.keys, engine.wall)
        })
    }

    /// Says what is to become of a half message; [`EngineEvent::Done`](super::EngineEvent::Done) tells whether that is on
    /// its way. `None` when there is no producer, or no telling where the message is.
    pub fn end_transaction(&mut self, now: Instant, half: &Receipt, resolution: Resolution) -> Option<OpId> {
        let group = self.producer.as_ref()?.group.clone();
        let to = self.view.master(&half.queue.broker)?.clone();
        let frame = HalfPlace::of(half)?.end(&group, resolution, false).encode_oneway(self.config.codec, Bytes::new());
        Some(self.command(now, Command::Oneway { to, frame }))
    }

    /// Answers an [`EngineEvent::Check`](super::EngineEvent::Check).
    pub fn resolve(&mut self, now: Instant, check: u64, resolution: Resolution) {
        self.machine.handle(now, Input::Transaction { check, resolution });
        self.run(now);
    }
}
