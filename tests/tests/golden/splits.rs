//! Every frame through a connection, in pieces: the same events however it is cut.

use std::sync::Arc;

use bytes::Bytes;
use rocketmq_core::config::LinkConfig;
use rocketmq_core::conn::{ConnEvent, Connection, Lane, Outgoing, OutgoingKind};
use rocketmq_core::ids::Opaque;
use rocketmq_core::time::Instant;
use rocketmq_core::wire::Codec;
use rocketmq_core::wire::frame::EncodedFrame;
use rocketmq_core::wire::request::{GetRouteInfo, Request};
use rocketmq_testkit::real::RealError;
use rocketmq_testkit::real::golden;

use crate::support::decoded;

const NOW: Instant = Instant::ZERO;

/// Links with one request under way, all with the same opaque.
struct Links {
    cfg: Arc<LinkConfig>,
    request: EncodedFrame,
}

impl Links {
    fn new() -> Self {
        let request = GetRouteInfo { topic: "T".into(), standard_json: None }.encode(Codec::Json, Bytes::new());
        Self { cfg: Arc::default(), request }
    }

    fn opaque(&self) -> Opaque {
        decoded(&self.submitted().tx_slices().concat(), "request").header.opaque
    }

    fn link(&self) -> Connection<u8> {
        let mut link = self.submitted();
        link.tx_advance(NOW, link.tx_len());
        link
    }

    fn submitted(&self) -> Connection<u8> {
        let mut link = Connection::new(self.cfg.clone(), NOW);
        let kind = OutgoingKind::Request { token: 7, deadline: Instant::from_millis(1_000) };
        link.submit(NOW, Outgoing { frame: self.request.clone(), lane: Lane::Control, kind }).expect("an open link");
        link
    }
}

fn receive(link: &mut Connection<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = link.rx_space(rest.len());
        let n = space.len();
        assert!(n > 0, "no room to read into");
        space.copy_from_slice(&rest[..n]);
        link.rx_commit(n);
        link.handle_read(NOW);
        rest = &rest[n..];
    }
}

/// The frame with another opaque.
fn with_opaque(frame: &[u8], opaque: Opaque) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame[4] == Codec::Rocketmq.to_wire() {
        frame[13..17].copy_from_slice(&opaque.0.to_be_bytes());
        return frame;
    }
    let key = b"\"opaque\":";
    let at = frame.windows(key.len()).position(|window| window == key).expect("an opaque") + key.len();
    let digits = frame[at..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
    let new = opaque.0.to_string();
    frame.splice(at..at + digits, new.bytes());
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    let longer = |word: u32| {
        (word + u32::try_from(new.len()).expect("few digits") - u32::try_from(digits).expect("few digits"))
            .to_be_bytes()
    };
    let (length, header) = (longer(word(0)), longer(word(4)));
    frame[..4].copy_from_slice(&length);
    frame[4..8].copy_from_slice(&header);
    frame
}

fn frames() -> Result<Vec<(String, Vec<u8>)>, RealError> {
    let golden = golden::frames()?.into_iter().map(|frame| (frame.name, golden::bytes(&frame.hex)));
    let captured = golden::captures()?.into_iter().map(|frame| (frame.file, frame.bytes));
    Ok(golden.chain(captured).collect())
}

#[test]
fn every_frame_is_the_same_cut_at_every_offset() -> Result<(), RealError> {
    let links = Links::new();
    let opaque = links.opaque();
    let frames = frames()?;
    assert!(frames.len() >= 300, "{}", frames.len());
    for (name, bytes) in frames {
        let response = decoded(&bytes, &name).header.is_response();
        let bytes = if response { with_opaque(&bytes, opaque) } else { bytes };
        let whole = decoded(&bytes, &name);
        let expected = match response {
            true => ConnEvent::Response { token: 7, result: Ok(whole) },
            false => ConnEvent::BrokerRequest { opaque: whole.header.opaque, frame: whole },
        };
        for split in splits(bytes.len()) {
            let mut link = links.link();
            let (first, second) = bytes.split_at(split);
            receive(&mut link, first);
            assert!(split == bytes.len() || link.poll_event().is_none(), "{name} at {split}: too early");
            receive(&mut link, second);
            assert_eq!(link.poll_event().as_ref(), Some(&expected), "{name} at {split}");
            assert_eq!(link.poll_event(), None, "{name} at {split}");
        }
        let mut link = links.link();
        bytes.iter().for_each(|byte| receive(&mut link, &[*byte]));
        assert_eq!(link.poll_event().as_ref(), Some(&expected), "{name} byte by byte");
        assert_eq!(link.poll_event(), None, "{name} byte by byte");
    }
    Ok(())
}

/// Every offset, but of the inside of a long frame only some: to the splitter it is all the same.
fn splits(len: usize) -> impl Iterator<Item = usize> {
    (0..=len).filter(move |split| *split < EDGE || len - split < EDGE || split % STRIDE == 0)
}

/// Frames up to twice as long are cut everywhere; the header of each in any case is at its start.
const EDGE: usize = 2_048;
const STRIDE: usize = 997;
