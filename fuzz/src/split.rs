//! A stream of bytes, received in pieces.

use std::sync::Arc;

use rocketmq_core::config::LinkConfig;
use rocketmq_core::conn::{ConnEvent, Connection, LinkStats};
use rocketmq_core::error::CloseReason;
use rocketmq_core::time::Instant;

/// A stream and where it is cut: how often, the places, then the stream. Whole, cut there or byte by byte,
/// it makes the same events, and memory grows with what was received only.
pub fn frame_split(data: &[u8]) {
    let Some((stream, chunks)) = pieces(data) else { return };
    let whole = receive([stream]);
    assert_eq!(receive(chunks), whole, "in chunks");
    assert_eq!(receive(stream.chunks(1)), whole, "byte by byte");
}

/// The first byte says how many cuts follow, two bytes each; the rest, and that in pieces.
pub(crate) fn pieces(data: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let (count, rest) = data.split_first()?;
    let count = usize::from(count % 16).min(rest.len() / 2);
    let (cuts, stream) = rest.split_at(2 * count);
    let cuts = cuts.chunks_exact(2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut cuts: Vec<_> = cuts.map(|cut| cut % (stream.len() + 1)).collect();
    cuts.push(stream.len());
    cuts.sort_unstable();
    let mut chunks = Vec::new();
    let mut at = 0;
    for cut in cuts {
        chunks.push(&stream[at..cut]);
        at = cut;
    }
    Some((stream, chunks))
}

type Seen = (Vec<ConnEvent<()>>, Option<CloseReason>, LinkStats);

fn receive<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let config = LinkConfig { max_frame: MAX_FRAME, max_unmatched: 8, max_broker_requests: 8, ..LinkConfig::default() };
    let mut link = Connection::new(Arc::new(config), Instant::ZERO);
    let (mut received, mut events) = (0, Vec::new());
    for mut rest in chunks {
        while !rest.is_empty() && link.wants_read() {
            let space = link.rx_space(rest.len());
            let n = space.len();
            assert!(n > 0 && n <= rest.len(), "room for {n} of {}", rest.len());
            space.copy_from_slice(&rest[..n]);
            link.rx_commit(n);
            link.handle_read(Instant::ZERO);
            rest = &rest[n..];
            received += n;
            assert!(link.rx_memory() <= KEEP.max(2 * received), "{} for {received}", link.rx_memory());
            while let Some(event) = link.poll_event() {
                let oneway = matches!(&event, ConnEvent::BrokerRequest { frame, .. } if frame.header.is_oneway());
                events.push(event);
                link.handled(Instant::ZERO, usize::from(oneway));
            }
        }
    }
    // What comes after the end of a link is not read: how much of it was is a matter of the pieces.
    let stats = LinkStats { bytes_in: 0, ..*link.stats() };
    assert!(link.close_reason().is_none_or(|reason| !reason.to_string().is_empty()));
    (events, link.close_reason().cloned(), stats)
}

/// Small enough for a fuzzer to reach.
const MAX_FRAME: usize = 256 * 1024;
/// What a link keeps for reading at any time.
const KEEP: usize = 64 * 1024;
