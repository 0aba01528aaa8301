//! The way through a proxy.

use super::runtime::{AsyncRead, AsyncWrite};
use crate::config::SocksProxy;
use crate::error::{IoFailure, ProxyFailure};
use crate::ids::Endpoint;
use crate::wire::socks::{MAX_ANSWER, Next, Talk, failed};
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};

/// Has a proxy connect its side to a server: afterwards the stream leads there.
pub(super) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &SocksProxy,
    to: &Endpoint,
) -> Result<(), IoFailure> {
    let mut talk = Talk::new(proxy, to)?;
    let mut say = talk.greeting();
    let mut buf = [0; MAX_ANSWER];
    loop {
        stream.write_all(&say).await?;
        stream.flush().await?;
        say = loop {
            let read = stream.read(&mut buf).await?;
            let Some(bytes @ [_, ..]) = buf.get(..read) else {
                return Err(failed(ProxyFailure::CutShort, "it closed the connection"));
            };
            match talk.feed(bytes)? {
                Next::Wait => {}
                Next::Say(bytes) => break bytes,
                Next::Through => return Ok(()),
            }
        };
    }
}
