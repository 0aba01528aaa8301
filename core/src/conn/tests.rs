#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec;

use bytes::Bytes;
use proptest::prelude::*;

mod peer;

use super::*;
use crate::error::{IoFailure, IoKind};
use crate::wire::Codec;
use crate::wire::frame::FrameError;
use crate::wire::header::{FLAG_ONEWAY, Preamble};

type Link = Connection<u32>;

fn link(change: impl FnOnce(&mut LinkConfig)) -> Link {
    let mut cfg = LinkConfig::default();
    change(&mut cfg);
    Connection::new(Arc::new(cfg), Instant::ZERO)
}

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn request_frame(token: u32, size: usize) -> EncodedFrame {
    let mut body = vec![b'.'; size.max(4)];
    body[..4].copy_from_slice(&token.to_be_bytes());
    Preamble::request(10, if token.is_multiple_of(2) { Codec::Json } else { Codec::Rocketmq })
        .encode(|out| out.int("token", token.into()), Bytes::from(body))
}

fn request(token: u32, lane: Lane, size: usize, deadline: Instant) -> Outgoing<u32> {
    Outgoing { frame: request_frame(token, size), lane, kind: OutgoingKind::Request { token, deadline } }
}

fn submit(link: &mut Link, token: u32) {
    link.submit(Instant::ZERO, request(token, Lane::Data, 4, at(1_000))).unwrap();
}

fn busy(link: &mut Link, outgoing: Outgoing<u32>) -> RequestFailure {
    let size = outgoing.frame.len_bound();
    let rejected = link.submit(Instant::ZERO, outgoing).unwrap_err();
    assert_eq!(rejected.outgoing.frame.len_bound(), size);
    rejected.why
}

fn response(opaque: Opaque, body: &[u8]) -> Vec<u8> {
    Preamble::response(0, Codec::Json).encode(|_| {}, Bytes::copy_from_slice(body)).to_bytes(opaque).to_vec()
}

fn peer_request(opaque: i32, oneway: bool) -> Vec<u8> {
    let preamble = Preamble { flags: if oneway { FLAG_ONEWAY } else { 0 }, ..Preamble::request(40, Codec::Json) };
    preamble.encode(|out| out.text("group", "g"), Bytes::new()).to_bytes(Opaque(opaque)).to_vec()
}

fn receive(link: &mut Link, now: Instant, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() && link.wants_read() {
        let space = link.rx_space(rest.len());
        let n = space.len();
        assert!(n > 0, "no space");
        space.copy_from_slice(&rest[..n]);
        link.rx_commit(n);
        link.handle_read(now);
        rest = &rest[n..];
    }
}

fn written(link: &mut Link, now: Instant, max: usize) -> Vec<u8> {
    let mut bytes = link.tx_slices().concat();
    bytes.truncate(max);
    link.tx_advance(now, bytes.len());
    bytes
}

/// Bytes of the whole frames at the start of a stream.
fn whole_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = frame::frame_len(&bytes[at..], usize::MAX).unwrap().filter(|len| *len <= bytes.len() - at) {
        at += len;
    }
    at
}

fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(len) = frame::frame_len(bytes, usize::MAX).unwrap().filter(|len| *len <= bytes.len()) {
        frames.push(frame::decode(&bytes[..len], &crate::wire::header::HeaderLimits::default()).unwrap());
        bytes = &bytes[len..];
    }
    frames
}

fn events(link: &mut Link) -> Vec<ConnEvent<u32>> {
    core::iter::from_fn(|| link.poll_event()).collect()
}

fn failed(token: u32, why: RequestFailure, sent: Sent) -> ConnEvent<u32> {
    ConnEvent::Response { token, result: Err(RequestError { why, sent }) }
}

fn opaques(link: &mut Link, now: Instant) -> Vec<Opaque> {
    frames(&written(link, now, usize::MAX)).iter().map(|frame| frame.header.opaque).collect()
}

#[test]
fn every_request_carries_what_the_link_is_told_and_no_answer_does() {
    let mut link =
        link(|cfg| cfg.request_fields = vec![("ns".into(), "space".into()), ("token".into(), "ours".into())]);
    submit(&mut link, 1);
    submit(&mut link, 2);
    let oneway = Preamble::oneway(10, Codec::Json).encode(|out| out.text("k", "v"), Bytes::new());
    let outgoing = Outgoing { frame: oneway, lane: Lane::Control, kind: OutgoingKind::Oneway };
    link.submit(Instant::ZERO, outgoing).unwrap();
    receive(&mut link, Instant::ZERO, &peer_request(77, false));
    let answer = Preamble::response(0, Codec::Json).encode(|out| out.text("k", "v"), Bytes::new());
    link.answer(Instant::ZERO, Opaque(77), &answer);
    let mut sent = frames(&written(&mut link, Instant::ZERO, usize::MAX));
    sent.sort_by_key(|frame| {
        (frame.header.is_response(), frame.header.is_oneway(), frame.body.len(), frame.header.opaque)
    });
    let said: Vec<Vec<_>> = sent.iter().map(|frame| frame.header.ext.iter().collect()).collect();
    let own = vec![("ns", "space"), ("token", "ours")];
    assert_eq!(said, [own.clone(), own, vec![("k", "v"), ("ns", "space"), ("token", "ours")], vec![("k", "v")]]);
}

#[test]
fn every_split_of_a_stream_gives_the_same_events() {
    let prepared = || {
        let mut link = link(|_| {});
        (0..3).for_each(|token| submit(&mut link, token));
        let opaques = opaques(&mut link, Instant::ZERO);
        let mut stream = response(opaques[2], b"two");
        stream.extend(peer_request(5, false));
        stream.extend(response(opaques[0], &[b'x'; 300]));
        stream.extend(peer_request(6, true));
        stream.extend(response(opaques[1], b""));
        (link, stream)
    };
    let (mut whole, stream) = prepared();
    receive(&mut whole, at(1), &stream);
    let expected = events(&mut whole);
    assert_eq!(expected.len(), 5);
    for split in 0..=stream.len() {
        let (mut link, stream) = prepared();
        receive(&mut link, at(1), &stream[..split]);
        receive(&mut link, at(1), &stream[split..]);
        assert_eq!(events(&mut link), expected, "split at {split}");
    }
    for step in [1, 2, 3, 7] {
        let (mut link, stream) = prepared();
        stream.chunks(step).for_each(|chunk| receive(&mut link, at(1), chunk));
        assert_eq!(events(&mut link), expected, "steps of {step}");
    }
}

#[test]
fn impossible_lengths_close_the_link() {
    for announced in [-1, 0, 3, 16_777_213, i32::MAX, i32::MIN] {
        let mut link = link(|_| {});
        submit(&mut link, 1);
        receive(&mut link, at(1), &announced.to_be_bytes());
        let events = events(&mut link);
        let Some(CloseReason::Protocol(FrameError::Length { .. } | FrameError::TooLong { .. })) = link.close_reason()
        else {
            panic!("{announced}: {:?}", link.close_reason());
        };
        assert_eq!(events.len(), 2, "{announced}");
        assert!(matches!(&events[1], ConnEvent::Closed(CloseReason::Protocol(_))));
        assert!(link.rx_space(100).is_empty());
    }
}

#[test]
fn memory_follows_the_bytes_received() {
    let mut link = link(|_| {});
    receive(&mut link, at(1), &16_777_212_i32.to_be_bytes());
    let mut received = 4;
    while received < 3_000_000 {
        let n = link.rx_space(usize::MAX).len();
        assert!(link.rx_memory() <= (2 * received).max(16 * 1024), "{} for {received}", link.rx_memory());
        link.rx_commit(n);
        link.handle_read(at(1));
        received += n;
    }
    assert!(link.is_open());
}

#[test]
fn a_large_frame_arrives_and_its_memory_is_given_back() {
    let mut link = link(|_| {});
    submit(&mut link, 1);
    let opaque = opaques(&mut link, at(1))[0];
    let body = vec![b'b'; 5_000_000];
    receive(&mut link, at(1), &response(opaque, &body));
    let events = events(&mut link);
    assert!(matches!(&events[..], [ConnEvent::Response { token: 1, result: Ok(frame) }] if frame.body == body));
    assert!(link.rx_memory() <= 64 * 1024);
}

#[test]
fn a_partial_write_goes_on_in_mid_frame() {
    let mut link = link(|_| {});
    let expected: Vec<Frame> =
        (0..4_u32).flat_map(|token| frames(&request_frame(token, 5_000).to_bytes(Opaque(0)))).collect();
    (0..4).for_each(|token| link.submit(at(0), request(token, Lane::Data, 5_000, at(1_000))).unwrap());
    let mut stream = Vec::new();
    while link.tx_len() > 0 {
        stream.extend(written(&mut link, at(1), 37));
    }
    let sent = frames(&stream);
    assert_eq!(
        sent.iter().map(|frame| &frame.body).collect::<Vec<_>>(),
        expected.iter().map(|frame| &frame.body).collect::<Vec<_>>()
    );
    assert_eq!((link.stats().frames_out, link.stats().bytes_out), (4, stream.len() as u64));
}

#[test]
fn control_overtakes_data_at_a_frame_boundary() {
    let mut link = link(|_| {});
    submit(&mut link, 0);
    submit(&mut link, 1);
    let mut stream = written(&mut link, at(0), 10);
    link.submit(at(0), request(2, Lane::Control, 4, at(1_000))).unwrap();
    stream.extend(written(&mut link, at(0), usize::MAX));
    let order: Vec<u8> = frames(&stream).iter().map(|frame| frame.body[3]).collect();
    assert_eq!(order, [0, 2, 1]);
}

#[test]
fn each_lane_has_its_own_bounds() {
    let mut link = link(|cfg| (cfg.max_pending, cfg.control_pending, cfg.max_queued_bytes) = (2, 1, 10_000));
    submit(&mut link, 0);
    submit(&mut link, 1);
    assert_eq!(busy(&mut link, request(2, Lane::Data, 4, at(1))), RequestFailure::Busy);
    link.submit(at(0), request(3, Lane::Control, 4, at(1_000))).unwrap();
    assert_eq!(busy(&mut link, request(4, Lane::Control, 4, at(1))), RequestFailure::Busy);
    let oneway = |size| Outgoing { frame: request_frame(9, size), lane: Lane::Data, kind: OutgoingKind::Oneway };
    link.submit(at(0), oneway(100)).unwrap();
    assert_eq!(busy(&mut link, oneway(10_000)), RequestFailure::Busy);
    let opaques = opaques(&mut link, at(0));
    link.submit(at(0), oneway(20_000)).unwrap();
    assert_eq!(busy(&mut link, oneway(4)), RequestFailure::Busy);
    receive(&mut link, at(1), &response(opaques[0], b""));
    assert_eq!((link.pending(Lane::Data), link.pending(Lane::Control)), (2, 0));
}

#[test]
fn a_frame_over_the_limit_is_refused() {
    let mut link = link(|cfg| cfg.max_frame = 1_000);
    let RequestFailure::TooLong { len } = busy(&mut link, request(0, Lane::Data, 1_000, at(1))) else { panic!() };
    assert!(len > 1_000);
    assert!(link.is_open() && link.tx_len() == 0);
}

#[test]
fn a_timeout_says_whether_the_request_was_sent() {
    let mut link = link(|_| {});
    (0..3).for_each(|token| submit(&mut link, token));
    let first = written(&mut link, at(0), 1);
    assert_eq!(link.poll_timeout(), Wakeup::At(at(1_000)));
    link.handle_timeout(at(999));
    assert_eq!(events(&mut link), []);
    link.handle_timeout(at(1_000));
    let timeout = |token, sent| failed(token, RequestFailure::Timeout, sent);
    assert_eq!(events(&mut link), [timeout(0, Sent::Maybe), timeout(1, Sent::Never), timeout(2, Sent::Never)]);
    let stream = [first, written(&mut link, at(1_000), usize::MAX)].concat();
    let sent = frames(&stream);
    assert_eq!((sent.len(), sent[0].body[3], link.tx_len()), (1, 0, 0), "the begun frame is finished, no other sent");

    assert_eq!(link.pending.orphans(), 1, "the slot is kept for the answer");
    receive(&mut link, at(1_001), &response(sent[0].header.opaque, b"late"));
    assert_eq!(link.pending.orphans(), 0);
    assert_eq!((events(&mut link).len(), link.stats().late, link.stats().unmatched), (0, 1, 0));
}

#[test]
fn an_answer_that_is_read_first_wins_the_tie() {
    let mut link = link(|_| {});
    submit(&mut link, 0);
    let opaque = opaques(&mut link, at(0))[0];
    receive(&mut link, at(2_000), &response(opaque, b""));
    link.handle_timeout(at(2_000));
    assert!(matches!(&events(&mut link)[..], [ConnEvent::Response { result: Ok(_), .. }]));
}

#[test]
fn answers_to_nothing_close_the_link_when_there_are_too_many() {
    let mut link = link(|cfg| cfg.max_unmatched = 2);
    let unknown = response(Opaque(77), b"");
    receive(&mut link, at(0), &unknown);
    receive(&mut link, at(10), &unknown);
    receive(&mut link, at(60_000), &[unknown.clone(), unknown.clone()].concat());
    assert!(link.is_open());
    receive(&mut link, at(60_001), &unknown);
    assert_eq!(events(&mut link), [ConnEvent::Closed(CloseReason::Unmatched)]);
    assert_eq!(link.stats().unmatched, 5);
}

#[test]
fn the_answer_to_a_request_that_was_not_sent_is_an_answer_to_nothing() {
    let mut link = link(|_| {});
    submit(&mut link, 0);
    let guessed = frames(&link.tx_slices().concat())[0].header.opaque;
    receive(&mut link, at(0), &response(guessed, b""));
    assert_eq!((events(&mut link).len(), link.stats().unmatched, link.pending(Lane::Data)), (0, 1, 1));
}

#[test]
fn a_peer_that_says_nothing_any_more_is_given_up_and_a_slow_one_is_not() {
    for slow in [false, true] {
        let mut link = link(|cfg| cfg.silence_timeout = Duration::from_secs(30));
        submit(&mut link, 0);
        let opaque = opaques(&mut link, at(0))[0];
        link.handle_timeout(at(1_000));
        assert_eq!(events(&mut link).len(), 1, "it was not answered in time");
        if slow {
            receive(&mut link, at(30_999), &response(opaque, b""));
        }
        // What is written meanwhile is taken by the system, and says nothing of the peer.
        link.submit(at(20_000), request(1, Lane::Data, 4, at(90_000))).unwrap();
        written(&mut link, at(20_000), usize::MAX);
        link.handle_timeout(at(30_999));
        assert!(!link.is_closed());
        link.handle_timeout(at(31_000));
        assert_eq!(link.close_reason(), (!slow).then_some(&CloseReason::Silent));
    }
}

#[test]
fn closing_lets_what_is_under_way_finish() {
    let mut link = link(|_| {});
    submit(&mut link, 0);
    link.close(at(0), Duration::from_secs(1));
    assert_eq!(busy(&mut link, request(1, Lane::Data, 4, at(1))), RequestFailure::Closed(CloseReason::Local));
    let opaque = opaques(&mut link, at(0))[0];
    assert!(!link.is_closed());
    receive(&mut link, at(1), &response(opaque, b""));
    let events = events(&mut link);
    assert!(matches!(&events[..], [ConnEvent::Response { result: Ok(_), .. }, ConnEvent::Closed(CloseReason::Local)]));
    assert_eq!((link.poll_timeout(), link.is_closed()), (Wakeup::Never, true));
}

#[test]
fn closing_ends_at_its_deadline() {
    let mut link = link(|_| {});
    (0..2).for_each(|token| submit(&mut link, token));
    written(&mut link, at(0), 1);
    link.close(at(0), Duration::from_millis(500));
    link.close(at(0), Duration::from_millis(900));
    assert_eq!(link.poll_timeout(), Wakeup::At(at(500)));
    link.handle_timeout(at(500));
    let closed = |token, sent| failed(token, RequestFailure::Closed(CloseReason::Local), sent);
    let expected = [closed(0, Sent::Maybe), closed(1, Sent::Never), ConnEvent::Closed(CloseReason::Local)];
    assert_eq!(events(&mut link), expected);
}

#[test]
fn a_closed_link_resolves_everything_once_and_keeps_its_reason() {
    let reset = CloseReason::Io(IoFailure::new(IoKind::Reset, "reset".to_string()));
    let mut link = link(|_| {});
    submit(&mut link, 0);
    link.handle_closed(at(0), reset.clone());
    let expected = [failed(0, RequestFailure::Closed(reset.clone()), Sent::Never), ConnEvent::Closed(reset.clone())];
    assert_eq!(events(&mut link), expected);
    link.handle_closed(at(1), CloseReason::PeerClosed);
    link.close(at(1), Duration::ZERO);
    link.handle_timeout(Instant::FAR);
    link.rx_commit(10);
    link.handle_read(at(2));
    link.tx_advance(at(2), 5);
    assert_eq!(events(&mut link), []);
    assert_eq!(busy(&mut link, request(1, Lane::Data, 4, at(1))), RequestFailure::Closed(reset));
    assert_eq!((link.pending(Lane::Data), link.tx_len(), link.rx_memory()), (0, 0, 0));
}

#[test]
fn the_peer_closes_between_frames_or_within_one() {
    for (bytes, reason) in [(0, CloseReason::PeerClosed), (5, CloseReason::Truncated)] {
        let mut link = link(|_| {});
        receive(&mut link, at(0), &peer_request(1, true)[..bytes]);
        link.handle_closed(at(0), CloseReason::PeerClosed);
        assert_eq!(link.close_reason(), Some(&reason));
    }
}

#[test]
fn a_frame_that_stops_growing_closes_the_link() {
    let mut link = link(|_| {});
    let frame = peer_request(1, true);
    receive(&mut link, at(1_000), &frame[..10]);
    link.handle_read(at(20_000));
    assert_eq!(link.poll_timeout(), Wakeup::At(at(31_000)), "reading nothing is no progress");
    receive(&mut link, at(25_000), &frame[10..12]);
    assert_eq!(link.poll_timeout(), Wakeup::At(at(55_000)));
    link.handle_timeout(at(54_999));
    assert!(link.is_open());
    link.handle_timeout(at(55_000));
    assert_eq!(events(&mut link), [ConnEvent::Closed(CloseReason::StalledRead)]);
}

#[test]
fn a_peer_that_stops_reading_closes_the_link() {
    let mut link = link(|_| {});
    link.submit(at(5_000), request(0, Lane::Data, 4, Instant::FAR)).unwrap();
    link.submit(at(9_000), request(1, Lane::Control, 4, Instant::FAR)).unwrap();
    assert_eq!(link.poll_timeout(), Wakeup::At(at(35_000)), "more to write is no progress");
    written(&mut link, at(20_000), 3);
    assert_eq!(link.poll_timeout(), Wakeup::At(at(50_000)));
    link.handle_timeout(at(50_000));
    assert_eq!(link.close_reason(), Some(&CloseReason::StalledWrite));
}

#[test]
fn a_silent_link_is_idle() {
    let mut link = link(|_| {});
    receive(&mut link, at(1_000), &peer_request(1, true));
    assert_eq!(events(&mut link).len(), 1);
    assert_eq!(link.poll_timeout(), Wakeup::At(at(121_000)));
    link.handle_timeout(at(121_000));
    assert_eq!(events(&mut link), [ConnEvent::Closed(CloseReason::Idle)]);
}

#[derive(Clone, Debug)]
enum Op {
    Submit {
        control: bool,
        size: usize,
        deadline: u64,
    },
    Write(usize),
    /// Answers one of the frames ever sent, perhaps again.
    Answer(usize),
    AnswerAny(i32),
    Wait(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (any::<bool>(), prop_oneof![4..100_usize, 4_000..9_000_usize], 0..50_u64)
            .prop_map(|(control, size, deadline)| Op::Submit { control, size, deadline }),
        4 => (0..12_000_usize).prop_map(Op::Write),
        4 => prop_oneof![any::<usize>(), 0..100_usize].prop_map(Op::Answer),
        1 => any::<i32>().prop_map(Op::AnswerAny),
        2 => (0..30_u64).prop_map(Op::Wait),
    ];
    prop::collection::vec(op, 0..300)
}

/// What the peer has seen and what the link has reported, for one run.
#[derive(Default)]
struct Model {
    accepted: BTreeMap<u32, Instant>,
    resolved: BTreeMap<u32, Result<Bytes, RequestError>>,
    /// Opaque and first body bytes of each frame that was wholly written.
    sent: Vec<(Opaque, Bytes)>,
    /// What was written of the next frame.
    part: Vec<u8>,
    closed: usize,
}

impl Model {
    fn write(&mut self, link: &mut Link, now: Instant, max: usize) {
        self.part.extend(written(link, now, max));
        let whole = frames(&self.part);
        let len: usize = whole_len(&self.part);
        self.sent.extend(whole.into_iter().map(|frame| (frame.header.opaque, frame.body.slice(..4))));
        self.part.drain(..len);
    }

    fn has_seen(&self, token: u32) -> bool {
        self.sent.iter().any(|(_, body)| body[..] == token.to_be_bytes())
    }

    fn drain(&mut self, link: &mut Link, now: Instant) {
        while let Some(event) = link.poll_event() {
            assert_eq!(self.closed, 0, "an event after the last");
            match event {
                ConnEvent::Response { token, result } => {
                    if let Err(RequestError { why: RequestFailure::Timeout, .. }) = &result {
                        assert!(self.accepted[&token] <= now);
                    }
                    let result = result.map(|frame| frame.body);
                    assert!(self.resolved.insert(token, result).is_none(), "{token} resolved twice");
                }
                ConnEvent::BrokerRequest { .. } => panic!("there was none"),
                ConnEvent::Closed(_) => self.closed += 1,
            }
        }
    }
}

proptest! {
    #[test]
    fn a_result_is_always_that_of_its_request(ops in ops()) {
        let mut link = link(|cfg| (cfg.max_pending, cfg.control_pending, cfg.max_unmatched) = (6, 2, u32::MAX));
        let mut model = Model::default();
        let mut now = Instant::ZERO;
        // From here on, slots are used again, and the answers to their earlier requests may still come.
        for token in 1_000..1_256 {
            link.submit(now, request(token, Lane::Data, 4, at(1))).unwrap();
            model.accepted.insert(token, at(1));
            model.write(&mut link, now, usize::MAX);
            let (opaque, body) = model.sent[model.sent.len() - 1].clone();
            receive(&mut link, now, &response(opaque, &body));
        }
        for (token, op) in ops.into_iter().enumerate() {
            let token = u32::try_from(token).unwrap();
            match op {
                Op::Submit { control, size, deadline } => {
                    let lane = if control { Lane::Control } else { Lane::Data };
                    let deadline = now.after(Duration::from_millis(deadline));
                    if link.submit(now, request(token, lane, size, deadline)).is_ok() {
                        model.accepted.insert(token, deadline);
                    }
                }
                Op::Write(n) => model.write(&mut link, now, n),
                Op::Answer(at) => {
                    let (opaque, body) = model.sent[at % model.sent.len()].clone();
                    receive(&mut link, now, &response(opaque, &body));
                }
                Op::AnswerAny(opaque) => {
                    if model.sent.iter().all(|(known, _)| known.0 != opaque) {
                        receive(&mut link, now, &response(Opaque(opaque), b"none"));
                    }
                }
                Op::Wait(millis) => {
                    now = now.after(Duration::from_millis(millis));
                    link.handle_timeout(now);
                    assert!(link.poll_timeout() > Wakeup::At(now));
                }
            }
            model.drain(&mut link, now);
            let open = model.accepted.len() - model.resolved.len();
            prop_assert_eq!(link.pending(Lane::Data) + link.pending(Lane::Control), open);
        }
        link.handle_closed(now, CloseReason::PeerClosed);
        model.drain(&mut link, now);
        prop_assert_eq!(model.closed, 1);
        prop_assert!(model.resolved.keys().eq(model.accepted.keys()));
        for (token, result) in &model.resolved {
            match result {
                Ok(body) => prop_assert_eq!(&body[..], &token.to_be_bytes()),
                Err(error) if error.sent == Sent::Never => {
                    prop_assert!(!model.has_seen(*token), "{} was sent", token);
                }
                Err(_) => {}
            }
        }
    }
}
