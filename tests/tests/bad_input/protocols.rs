//! Peers that speak something else: the user is told what they are, and what to do.

use rocketmq_core::client::RouteError;
use rocketmq_core::error::{CloseReason, RequestFailure};
use rocketmq_core::wire::{FrameError, Peer};
use rocketmq_smol::{AdminError, Message, SendError};
use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::hostile::{Server, broker, client, close_reason, name_server, send_to};

/// What an HTTP server says to a request that it cannot read.
const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
/// SETTINGS and GOAWAY of an HTTP/2 server.
const HTTP2: &[u8] = &[
    0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 128, 0, 4, 0, 1, 0, 0, 0, 5, 0, 255, 255, 255, 0, 0, 8, 7, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 1,
];
/// A fatal alert `protocol_version`.
const TLS: &[u8] = &[0x15, 0x03, 0x03, 0, 2, 2, 70];

/// A server that answers the first bytes it gets with these.
fn after_a_request(answer: &'static [u8]) -> Server {
    Server::serving(move |stream, _| {
        let mut buffer = [0; 4096];
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        if stream.read(&mut buffer).is_ok_and(|count| count > 0) {
            drop(stream.write_all(answer));
            // Closing at once would reset the connection under its answer.
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        }
    })
}

/// A server that says this as soon as it is connected to.
fn at_once(greeting: &'static [u8]) -> Server {
    Server::greeting(greeting.to_vec(), |_| crate::hostile::Reply::Nothing)
}

fn is_peer(failure: &RequestFailure, peer: Peer) -> bool {
    *failure == RequestFailure::Closed(CloseReason::Protocol(FrameError::NotRemoting(peer)))
}

/// The first operations over a name server of another kind, and those after them while it is left alone.
fn name_server_is(server: &Server, peer: Peer) {
    let client = client(server);
    smol::block_on(async {
        for _ in 0..2 {
            let producer = client.producer("P").send_timeout(Duration::from_millis(700)).start().await.unwrap();
            match producer.send(Message::new("T", "x")).await {
                Err(error @ SendError::Route(RouteError::Unavailable(_))) => {
                    let SendError::Route(RouteError::Unavailable(why)) = &error else { unreachable!() };
                    assert!(is_peer(&why.why, peer), "{error:?}");
                    assert!(error.to_string().contains(peer.advice()), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
        match client.admin().queues("T").await {
            Err(AdminError::Route(RouteError::Unavailable(why))) => {
                assert!(is_peer(&why.why, peer), "{why:?}");
                assert!(why.to_string().contains(peer.advice()), "{why}");
            }
            other => panic!("{other:?}"),
        }
    });
    // It is not asked over and over: the pauses between connects grow.
    assert!(server.connections.load(Ordering::SeqCst) <= 25, "{}", server.connections.load(Ordering::SeqCst));
}

#[test]
fn a_name_server_that_is_http() {
    name_server_is(&after_a_request(HTTP), Peer::Http);
}

#[test]
fn a_consumer_is_told_too() {
    let server = after_a_request(HTTP);
    let client = client(&server);
    let started = smol::block_on(client.push_consumer("G").subscribe("T", "*").start());
    let error = started.expect_err("no route can be had").to_string();
    assert!(error.contains(Peer::Http.advice()), "{error}");
}

#[test]
fn a_name_server_that_is_http2() {
    name_server_is(&at_once(HTTP2), Peer::Http2);
    name_server_is(&after_a_request(HTTP2), Peer::Http2);
}

#[test]
fn a_name_server_that_is_tls() {
    name_server_is(&after_a_request(TLS), Peer::Tls);
}

#[test]
fn a_broker_that_is_something_else_costs_nobody_else_anything() {
    for (server, peer) in
        [(after_a_request(HTTP), Peer::Http), (at_once(HTTP2), Peer::Http2), (after_a_request(TLS), Peer::Tls)]
    {
        let (good, log) = broker();
        let names = name_server(vec![("T", vec![("bad", server.address), ("good", good.address)])]);
        let client = client(&names);
        for _ in 0..2 {
            assert!(send_to(&client, "good", b"x").is_ok());
            let error = send_to(&client, "bad", b"x").expect_err("it stores nothing");
            assert_eq!(*close_reason(&error), CloseReason::Protocol(FrameError::NotRemoting(peer)));
            assert!(error.to_string().contains(peer.advice()), "{error}");
        }
        assert!(send_to(&client, "good", b"x").is_ok());
        assert_eq!(log.lock().unwrap().sent, 3);
        assert_eq!(good.connections.load(Ordering::SeqCst), 1, "its link was left alone");
    }
}
