//! How a link is opened: its stream, and what the configuration puts around it.

#[cfg(feature = "tls")]
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};

use super::runtime::{AsyncRead, AsyncWrite, Runtime, RuntimeExt};
use super::socks::tunnel;
#[cfg(feature = "tls")]
use super::tls::{TlsConnector, TlsStream, encrypt};
use crate::config::{ConfigError, LinkConfig};
use crate::error::{IoFailure, IoKind};
use crate::ids::Endpoint;
use crate::wire::http::{HttpError, Response};

/// Opens the links of one client.
#[derive(Clone)]
pub(super) struct Dialer<R> {
    pub(super) rt: R,
    pub(super) link: Arc<LinkConfig>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConnector>,
}

impl<R: Runtime> Dialer<R> {
    /// # Errors
    /// What the configuration asks for cannot be had: then no link is ever opened without it.
    pub(super) fn new(rt: &R, link: Arc<LinkConfig>) -> Result<Self, ConfigError> {
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: match &link.tls {
                Some(tls) => Some(TlsConnector::new(tls, Arc::new(super::ClockOf(rt.clone())))?),
                None => None,
            },
            rt: rt.clone(),
            link,
        })
    }

    /// Connects, through a proxy where there is one for it: nothing goes beside it then.
    async fn reach(&self, to: &Endpoint) -> Result<R::Stream, IoFailure> {
        let Some(proxy) = self.link.proxies.of(to) else {
            return Ok(self.rt.connect(to).await?);
        };
        let mut stream = self.rt.connect(&proxy.address).await?;
        tunnel(&mut stream, proxy, to).await?;
        Ok(stream)
    }

    pub(super) async fn dial(&self, to: &Endpoint) -> Result<Wire<R::Stream>, IoFailure> {
        let stream = self.reach(to).await?;
        #[cfg(feature = "tls")]
        if let Some(connector) = &self.tls {
            return Ok(Wire::Tls(Box::new(encrypt(&self.rt, connector, to, stream).await?)));
        }
        Ok(Wire::Plain(stream))
    }
}

impl<R: Runtime> Dialer<R> {
    /// Asks a server of HTTP, in plain text, over a connection of its own; the body of the answer.
    pub(super) async fn fetch(&self, from: &Endpoint, request: &[u8], timeout: Duration) -> Result<Vec<u8>, IoFailure> {
        let fetch = async {
            let mut stream = self.reach(from).await?;
            stream.write_all(request).await?;
            stream.flush().await?;
            let mut response = Response::default();
            let mut buf = [0; FETCH_SIZE];
            let unusable = |error: HttpError| IoFailure::new(IoKind::Other, error.to_string());
            loop {
                let read = stream.read(&mut buf).await?;
                let body = match buf.get(..read) {
                    Some([]) | None => Some(response.end().map_err(unusable)?),
                    Some(bytes) => response.feed(bytes).map_err(unusable)?,
                };
                if let Some(body) = body {
                    return Ok(body);
                }
            }
        };
        let late = || Err(IoFailure::new(IoKind::TimedOut, "no answer in time"));
        self.rt.before(self.rt.now().after(timeout), fetch).await.unwrap_or_else(late)
    }
}

/// What a link writes to and reads from.
pub(super) enum Wire<S> {
    Plain(S),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<S>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Whether it can have taken bytes that are not with the socket yet.
    pub(super) const fn holds_back(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_close(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

/// Bytes of one read of an answer.
const FETCH_SIZE: usize = 4 * 1024;
