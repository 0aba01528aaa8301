//! What the embedder of an [`Engine`](super::Engine) is told.

use alloc::string::String;
use alloc::vec::Vec;

#[cfg(doc)]
use super::Engine;
use crate::client::{ClientEvent, CommandResult, FileOp};
use crate::error::CloseReason;
use crate::ids::{ConnId, Endpoint, Group, OpId};
use crate::request::PushedReply;
use crate::send::{Receipt, SendError};
use crate::transaction::Check;

/// What the embedder is told.
#[derive(Debug)]
pub enum EngineEvent {
    /// Open a link: answer with [`Engine::connected`] or [`Engine::connect_failed`].
    Connect {
        /// Its id from now on.
        conn: ConnId,
        /// Where to.
        to: Endpoint,
    },
    /// A link, or an attempt to open one, is over: close its socket and forget it.
    Disconnect {
        /// The link.
        conn: ConnId,
        /// Why; `None` when it was never up.
        why: Option<CloseReason>,
    },
    /// A send is over.
    SendDone {
        /// Which.
        op: OpId,
        /// How.
        result: Result<Receipt, SendError>,
    },
    /// A command is over.
    Done {
        /// Which.
        op: OpId,
        /// How.
        result: CommandResult,
    },
    /// Messages came in for a consumer: [`Engine::take`] gives them.
    Ready(Group),
    /// A broker asks what became of a half message: answer with [`Engine::resolve`].
    Check(Check),
    /// The reply to a message that was sent with [`Message::asking`](crate::message::Message::asking).
    Reply(PushedReply),
    /// Read a file: answer with [`Engine::loaded`].
    Load {
        /// Correlates the answer.
        op: FileOp,
        /// Its path.
        path: String,
    },
    /// Replace a file at once or not at all, durably: answer with [`Engine::saved`].
    Save {
        /// Correlates the answer.
        op: FileOp,
        /// Its path.
        path: String,
        /// What is to be in it.
        bytes: Vec<u8>,
    },
    /// Something worth knowing.
    Client(ClientEvent),
    /// The client has ended; nothing follows.
    Closed,
}
