//! Bytes that are no frame, from a broker in the place of an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocketmq_core::config::LinkConfig;
use rocketmq_core::conn::Connection;
use rocketmq_core::error::CloseReason;
use rocketmq_core::time::Instant;
use rocketmq_core::wire::FrameError;
use rocketmq_core::wire::codes::request;
use rocketmq_core::wire::frame::MAX_FRAME;
use rocketmq_core::wire::header::HeaderError;

use crate::hostile::{Reply, Server, SharedLog, broker, broker_answer, client, close_reason, name_server, send_to};

/// A broker that answers sends with these bytes; the reason its link is closed for.
fn guilty(bytes: &[u8], hang_up: bool) -> CloseReason {
    let (log, answer) = (SharedLog::default(), bytes.to_vec());
    let bad = Server::answering(move |frame| match frame.header.code {
        request::SEND_MESSAGE_V2 if hang_up => Reply::Last(answer.clone()),
        request::SEND_MESSAGE_V2 => Reply::Bytes(answer.clone()),
        _ => broker_answer(&log, frame),
    });
    let (good, log) = broker();
    let names = name_server(vec![("T", vec![("bad", bad.address), ("good", good.address)])]);
    let client = client(&names);
    assert!(send_to(&client, "good", b"x").is_ok());
    let error = send_to(&client, "bad", b"x").expect_err("no answer");
    assert!(error.may_be_stored(), "it was written: {error:?}");
    assert!(send_to(&client, "good", b"x").is_ok());
    assert_eq!(log.lock().unwrap().sent, 2);
    for server in [&good, &names] {
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "other links were left alone");
    }
    close_reason(&error).clone()
}

fn protocol(bytes: &[u8]) -> FrameError {
    match guilty(bytes, false) {
        CloseReason::Protocol(error) => error,
        other => panic!("{other:?}"),
    }
}

fn frame(codec: u8, header: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len() + 4).unwrap().to_be_bytes();
    let word = (u32::from(codec) << 24 | u32::try_from(header.len()).unwrap()).to_be_bytes();
    [&length[..], &word, header].concat()
}

#[test]
fn lengths_that_no_frame_has() {
    for announced in [-1, 0, 3, i32::MIN] {
        assert_eq!(protocol(&announced.to_be_bytes()), FrameError::Length { announced });
    }
}

#[test]
fn lengths_over_the_limit() {
    for announced in [16_777_213, i32::MAX] {
        assert_eq!(protocol(&announced.to_be_bytes()), FrameError::TooLong { announced, limit: MAX_FRAME });
    }
}

#[test]
fn an_announced_length_costs_nothing() {
    let mut link = Connection::<()>::new(Arc::new(LinkConfig::default()), Instant::ZERO);
    let mut receive = |mut rest: &[u8]| {
        while !rest.is_empty() {
            let space = link.rx_space(rest.len());
            let n = space.len();
            space.copy_from_slice(&rest[..n]);
            link.rx_commit(n);
            link.handle_read(Instant::ZERO);
            rest = &rest[n..];
        }
        assert!(!link.is_closed());
        link.rx_memory()
    };
    assert!(receive(&16_777_212_i32.to_be_bytes()) <= 64 * 1024);
    let mut received = 4;
    for _ in 0..200 {
        received += 10_000;
        let memory = receive(&[b'x'; 10_000]);
        assert!(memory <= (2 * received).max(64 * 1024), "{memory} for {received}");
    }
}

#[test]
fn a_frame_that_ends_in_the_middle() {
    assert_eq!(guilty(&frame(0, b"{\"code\":0")[..12], true), CloseReason::Truncated);
    assert_eq!(guilty(&[0, 0], true), CloseReason::Truncated);
}

#[test]
fn a_header_longer_than_its_frame() {
    let bytes = [0, 0, 0, 6, 0, 0, 0, 9, b'{', b'}'];
    assert_eq!(protocol(&bytes), FrameError::HeaderLength { announced: 9, available: 2 });
}

#[test]
fn an_unknown_codec() {
    assert_eq!(protocol(&frame(7, b"{}")), FrameError::UnknownCodec(7));
}

#[test]
fn garbage_in_the_place_of_a_header() {
    assert!(matches!(protocol(&frame(0, b"garbage")), FrameError::Header(HeaderError::Json(_))));
    assert!(matches!(protocol(&frame(0, b"null")), FrameError::Header(HeaderError::Json(_))));
    assert!(matches!(protocol(&frame(1, &[0xFF; 40])), FrameError::Header(HeaderError::Binary(_))));
    assert_eq!(protocol(&frame(0, b"{}")), FrameError::Header(HeaderError::Missing("code")));
}

#[test]
fn garbage_from_a_fixed_seed() {
    let mut seed = 7_u32;
    for _ in 0..5 {
        // Each begins with a length that a frame may have, so that the rest counts.
        let noise = (0..200).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        });
        let noise: Vec<u8> = [0, 0, 0, 100].into_iter().chain(noise).collect();
        assert!(matches!(guilty(&noise, false), CloseReason::Protocol(_)), "{noise:?}");
    }
}

#[test]
fn a_deep_header() {
    for depth in [33, 20_000] {
        let header = format!("{{\"x\":{}{},\"code\":0,\"opaque\":1}}", "[".repeat(depth), "]".repeat(depth));
        let error = protocol(&frame(0, header.as_bytes()));
        assert!(matches!(error, FrameError::Header(HeaderError::Json(_))), "{error}");
    }
}

#[test]
fn a_flood_of_answers_to_nothing() {
    let one = frame(0, b"{\"code\":0,\"flag\":1,\"opaque\":-5}");
    assert_eq!(guilty(&one.repeat(20_000), false), CloseReason::Unmatched);
}
