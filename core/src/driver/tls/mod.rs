//! TLS over any stream: rustls, which does no IO itself, between the machine of a link and the runtime's socket.

mod connector;
mod session;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{self, IoSlice};

pub(crate) use connector::TlsConnector;
use session::{Session, failed};

use super::runtime::{AsyncRead, AsyncWrite, Runtime, RuntimeExt};
use crate::error::{IoFailure, IoKind, TlsFailure};
use crate::ids::Endpoint;

/// An encrypted stream.
pub(super) struct TlsStream<S> {
    stream: S,
    session: Session,
    /// Received, and not fed from `fed` on.
    received: Vec<u8>,
    fed: usize,
    /// To be sent, from `sent` on.
    sending: Vec<u8>,
    sent: usize,
    /// Why nothing more can be read, once it is known.
    failed: Option<IoFailure>,
    closing: bool,
}

/// Encrypts a new connection, or fails: nothing has gone out then but what opens such a connection, and why it failed.
pub(super) async fn encrypt<R: Runtime>(
    rt: &R,
    connector: &TlsConnector,
    to: &Endpoint,
    stream: R::Stream,
) -> Result<TlsStream<R::Stream>, IoFailure> {
    let (session, asked) = connector.session(to)?;
    let mut stream = TlsStream::new(stream, session);
    let began = rt.now();
    poll_fn(|cx| stream.poll_handshake(cx)).await?;
    if asked.was() && stream.session.decides_late() {
        let now = rt.now();
        let patience = now.since(began).clamp(LEAST_PATIENCE, MOST_PATIENCE);
        // It may still refuse after that: then the link is closed, and says why.
        if let Some(verdict) = rt.before(now.after(patience), poll_fn(|cx| stream.poll_more(cx))).await {
            verdict?;
        }
    }
    Ok(stream)
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    const fn new(stream: S, session: Session) -> Self {
        Self {
            stream,
            session,
            received: Vec::new(),
            fed: 0,
            sending: Vec::new(),
            sent: 0,
            failed: None,
            closing: false,
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), IoFailure>> {
        loop {
            ready!(self.poll_send(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_more(cx))?;
        }
    }

    /// Receives if need be, and feeds once. The end of the stream is an error here.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), IoFailure>> {
        if self.is_fed() && ready!(self.poll_receive(cx))? == 0 {
            return Poll::Ready(Err(failed(TlsFailure::CutShort, "the server closed the connection in the handshake")));
        }
        if let Err(why) = self.feed() {
            // The server is told why, if that can be done at once.
            let _ = self.poll_send(cx);
            return Poll::Ready(Err(why));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, IoFailure>> {
        self.received.resize(RECEIVE, 0);
        self.fed = 0;
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut self.received);
        let read = match &polled {
            Poll::Ready(Ok(read)) => *read,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.received.truncate(read);
        polled.map(|result| result.map_err(IoFailure::from))
    }

    fn feed(&mut self) -> Result<(), IoFailure> {
        let rest = self.received.get(self.fed..).unwrap_or_default();
        let taken = self.session.feed(rest)?;
        self.fed = self.fed.saturating_add(taken);
        Ok(())
    }

    fn is_fed(&self) -> bool {
        self.fed >= self.received.len()
    }

    /// Sends what the session has to send, all of it when it is ready.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), IoFailure>> {
        loop {
            let rest = self.sending.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                self.sent = 0;
                self.sending.clear();
                self.sending.shrink_to(KEPT);
                self.session.take(&mut self.sending)?;
                if self.sending.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => {
                    let why = IoFailure::new(IoKind::WriteZero, "the socket takes no bytes");
                    return Poll::Ready(Err(why));
                }
                Ok(sent) => self.sent = self.sent.saturating_add(sent),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Reads as much as is there; `None` when more has to be received first.
    fn read_fed(&mut self, buf: &mut [u8]) -> Result<Option<usize>, IoFailure> {
        let mut filled = 0_usize;
        for _ in 0..FEEDS_A_READ {
            while let Some(room) = buf.get_mut(filled..).filter(|room| !room.is_empty()) {
                match self.session.read(room)? {
                    Some(0) => return Ok(Some(filled)),
                    Some(read) => filled = filled.saturating_add(read),
                    None => break,
                }
            }
            if filled == buf.len() || self.is_fed() {
                break;
            }
            if let Err(why) = self.feed() {
                self.failed = Some(why.clone());
                if filled == 0 {
                    return Err(why);
                }
                break;
            }
        }
        Ok((filled > 0).then_some(filled))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if let Some(why) = &this.failed {
            return Poll::Ready(Err(io::Error::other(why.clone())));
        }
        for _ in 0..RECEIVES_A_READ {
            let read = this.read_fed(buf);
            // What the session answers to what it was fed; the writer waits for it, not the reader.
            let _ = this.poll_send(cx);
            match read {
                Ok(Some(read)) => return Poll::Ready(Ok(read)),
                Err(why) => return Poll::Ready(Err(io::Error::other(why))),
                Ok(None) => {}
            }
            // A frame tells its length, so that an end without a word of the peer's is noticed above.
            if this.is_fed() && ready!(this.poll_receive(cx)).map_err(io::Error::other)? == 0 {
                return Poll::Ready(Ok(0));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// Takes bytes once those before them are with the socket: what is taken and not yet there is bounded, and
    /// [`AsyncWrite::poll_flush`] waits for it.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.poll_send(cx)).map_err(io::Error::other)?;
        let mut written = 0_usize;
        for buf in bufs {
            let taken = this.session.write(buf).map_err(io::Error::other)?;
            written = written.saturating_add(taken);
            if taken < buf.len() {
                break;
            }
        }
        match this.poll_send(cx) {
            Poll::Ready(Err(why)) => Poll::Ready(Err(io::Error::other(why))),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(written)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx)).map_err(io::Error::other)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !core::mem::replace(&mut self.closing, true) {
            self.session.close();
        }
        ready!(self.poll_send(cx)).map_err(io::Error::other)?;
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// In TLS 1.3 a client has ended the handshake before the server has seen its certificate. A refusal takes as long as the
/// handshake took: so long is waited for it, where the server asked for a certificate, within these bounds.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);
const MOST_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes received at once: a record has 16 KiB and a little more.
const RECEIVE: usize = 32 * 1024;
/// Bytes of the buffer of what is to be sent that are kept when it is empty.
const KEPT: usize = 16 * 1024;
/// Rounds of feeding in one read: rustls takes 4 KiB at a time.
const FEEDS_A_READ: usize = 64;
/// Receives in one read: a peer whose records hold nothing does not keep others from their turn.
const RECEIVES_A_READ: usize = 8;
