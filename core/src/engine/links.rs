//! The links of an [`Engine`]: bytes in and out, and who waits for what.

use alloc::sync::Arc;
use core::time::Duration;

use super::{Engine, EngineEvent};
use crate::client::{Input, PullContext, Reply};
use crate::conn::{ConnEvent, Connection, Lane, Outgoing, OutgoingKind, SliceList};
use crate::error::{CloseReason, IoFailure, IoKind, RequestFailure};
use crate::ids::{ConnId, OpId, RequestId};
use crate::time::Instant;
use crate::wire::frame::EncodedFrame;

/// Who waits for a request.
#[derive(Debug)]
pub(super) enum Token {
    Machine { id: RequestId, pull: Option<Arc<PullContext>> },
    Send(OpId),
}

impl Engine {
    /// A link is up.
    pub fn connected(&mut self, now: Instant, conn: ConnId) {
        if !self.opening.remove(&conn) {
            return;
        }
        self.links.insert(conn, Connection::new(Arc::new(self.config.link.clone()), now));
        self.machine.handle(now, Input::Connected(conn));
        self.run(now);
    }

    /// A link could not be opened.
    pub fn connect_failed(&mut self, now: Instant, conn: ConnId, why: IoFailure) {
        self.opening.remove(&conn);
        self.machine.handle(now, Input::ConnectFailed(conn, why));
        self.run(now);
    }

    /// Space to read bytes of a link into, at most `max`; empty when the link is gone.
    pub fn rx_space(&mut self, conn: ConnId, max: usize) -> &mut [u8] {
        self.links.get_mut(&conn).map(|link| link.rx_space(max)).unwrap_or_default()
    }

    /// So many bytes were read into [`Engine::rx_space`].
    pub fn rx_commit(&mut self, now: Instant, conn: ConnId, n: usize) {
        self.with_link(now, conn, |link| {
            link.rx_commit(n);
            link.handle_read(now);
        });
        self.look(now);
        self.run(now);
    }

    /// So many of the bytes of [`Engine::tx_slices`] were written.
    pub fn tx_advance(&mut self, now: Instant, conn: ConnId, n: usize) {
        self.with_link(now, conn, |link| link.tx_advance(now, n));
        self.run(now);
    }

    /// A socket is closed, or failed.
    pub fn closed(&mut self, now: Instant, conn: ConnId, why: CloseReason) {
        self.with_link(now, conn, |link| link.handle_closed(now, why));
        self.run(now);
    }

    /// The bytes to write to a link next; none when it is gone.
    #[must_use]
    pub fn tx_slices(&self, conn: ConnId) -> Option<SliceList<'_>> {
        self.links.get(&conn).map(Connection::tx_slices)
    }

    /// Requests under way on a link, of one lane.
    #[must_use]
    pub fn pending(&self, conn: ConnId, lane: Lane) -> usize {
        self.links.get(&conn).map_or(0, |link| link.pending(lane))
    }

    /// The links that are up.
    pub fn links(&self) -> impl Iterator<Item = ConnId> {
        self.links.keys().copied()
    }

    pub(super) fn with_link(&mut self, now: Instant, conn: ConnId, act: impl FnOnce(&mut Connection<Token>)) {
        if let Some(link) = self.links.get_mut(&conn) {
            act(link);
        }
        while let Some(event) = self.links.get_mut(&conn).and_then(Connection::poll_event) {
            match event {
                ConnEvent::Response { token: Token::Send(op), result } => self.on_reply(now, op, result),
                ConnEvent::Response { token: Token::Machine { id, pull }, result } => {
                    let result = result.map(|frame| Reply::read(pull.as_deref(), frame));
                    self.machine.handle(now, Input::Response { id, result });
                }
                ConnEvent::BrokerRequest { frame, .. } => {
                    let oneway = frame.header.is_oneway();
                    self.machine.handle(now, Input::BrokerRequest(conn, frame));
                    if oneway && let Some(link) = self.links.get_mut(&conn) {
                        link.handled(now, 1);
                    }
                }
                ConnEvent::Closed(reason) => {
                    self.links.remove(&conn);
                    self.events.push_back(EngineEvent::Disconnect { conn, why: Some(reason.clone()) });
                    self.machine.handle(now, Input::Closed(conn, reason));
                }
            }
        }
    }

    pub(super) fn close_link(&mut self, now: Instant, conn: ConnId, grace: Duration) {
        if self.opening.remove(&conn) {
            self.events.push_back(EngineEvent::Disconnect { conn, why: None });
            let why = IoFailure::new(IoKind::Other, "closed by this client");
            return self.machine.handle(now, Input::ConnectFailed(conn, why));
        }
        self.with_link(now, conn, |link| link.close(now, grace));
    }

    pub(super) fn submit(
        &mut self,
        now: Instant,
        conn: ConnId,
        frame: EncodedFrame,
        lane: Lane,
        deadline: Instant,
        token: Token,
    ) -> Result<(), RequestFailure> {
        let link = self.links.get_mut(&conn).ok_or(RequestFailure::Closed(CloseReason::Local))?;
        let outgoing = Outgoing { frame, lane, kind: OutgoingKind::Request { token, deadline } };
        link.submit(now, outgoing).map_err(|rejected| rejected.why)
    }
}
