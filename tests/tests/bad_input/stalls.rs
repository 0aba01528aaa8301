//! Peers that are slow on purpose.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rocketmq_core::config::LinkConfig;
use rocketmq_core::error::{CloseReason, RequestFailure};
use rocketmq_core::wire::codes::request;
use rocketmq_smol::{Client, ClientBuilder, SendError};

use crate::hostile::{
    Reply, Server, SharedLog, broker, broker_answer, client_of, close_reason, impatient, name_server, send_to,
};

/// A client of two brokers, `bad` and `good`, whose first answers each send like this.
fn with_bad(link: LinkConfig, reply: impl Fn() -> Reply + Send + Sync + 'static, work: impl FnOnce(&Client, &Server)) {
    let log = SharedLog::default();
    let bad = Server::answering(move |frame| match frame.header.code {
        request::SEND_MESSAGE_V2 => reply(),
        _ => broker_answer(&log, frame),
    });
    let (good, log) = broker();
    let names = name_server(vec![("T", vec![("bad", bad.address), ("good", good.address)])]);
    let client = client_of(&names, ClientBuilder::new().link(link));
    work(&client, &bad);
    assert!(send_to(&client, "good", b"x").is_ok());
    assert_eq!(log.lock().unwrap().sent, 1);
    for server in [&good, &names] {
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "other links were left alone");
    }
}

#[test]
fn a_frame_that_stops_in_the_middle() {
    with_bad(
        impatient(),
        // Long enough for the answers to other requests to be part of it.
        || Reply::Bytes(vec![0, 1, 0, 0, 0, 0, 0, 50, b'{']),
        |client, _| {
            let begun = Instant::now();
            let error = send_to(client, "bad", b"x").expect_err("no answer");
            assert_eq!(*close_reason(&error), CloseReason::StalledRead);
            assert!(begun.elapsed() < Duration::from_millis(1_500), "before the send itself timed out");
        },
    );
}

#[test]
fn a_frame_that_drips() {
    // Bytes go on coming, so the link is kept; the send does not wait for them longer than it may.
    with_bad(
        LinkConfig { partial_frame_timeout: Duration::from_secs(1), ..LinkConfig::default() },
        || Reply::Drip([&[0, 0, 1, 0][..], &[0; 250]].concat(), Duration::from_millis(50)),
        |client, bad| {
            let error = send_to(client, "bad", b"x").expect_err("no answer");
            let SendError::Request(error) = error else { panic!("{error:?}") };
            assert_eq!(error.why, RequestFailure::Timeout);
            assert_eq!(bad.connections.load(Ordering::SeqCst), 1);
        },
    );
}

#[test]
fn a_peer_that_stops_reading() {
    with_bad(
        impatient(),
        || Reply::Deaf,
        |client, _| {
            assert!(send_to(client, "bad", b"x").is_err(), "from here on it reads nothing");
            let large = vec![b'x'; 4 * 1024 * 1024];
            let mut incompressible = large.clone();
            let mut seed = 1_u32;
            for byte in &mut incompressible {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = seed.to_be_bytes()[0];
            }
            // The sockets' own buffers take some first, how much is the system's choice.
            let errors = (0..64).map(|_| send_to(client, "bad", &incompressible).expect_err("nothing is read"));
            let stalled = errors.into_iter().any(|error| {
                matches!(&error, SendError::Request(error)
                    if error.why == RequestFailure::Closed(CloseReason::StalledWrite))
            });
            assert!(stalled);
        },
    );
}
