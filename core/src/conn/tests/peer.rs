//! What the peer asks for.

use super::*;

#[test]
fn broker_requests_are_bounded_and_answered_once() {
    let mut link = link(|cfg| cfg.max_broker_requests = 3);
    for opaque in 0..5 {
        receive(&mut link, at(0), &peer_request(opaque, opaque == 0));
    }
    assert_eq!(link.stats().dropped_broker_requests, 1);
    assert_eq!(events(&mut link).len(), 4);
    receive(&mut link, at(0), &peer_request(6, false));
    assert_eq!((events(&mut link).len(), link.stats().dropped_broker_requests), (0, 2));
    let answer = Preamble::response(0, Codec::Json).encode(|_| {}, Bytes::new());
    assert!(link.answer(at(0), Opaque(2), &answer));
    assert!(!link.answer(at(0), Opaque(2), &answer));
    assert!(!link.answer(at(0), Opaque(0), &answer), "a oneway is not answered");
    assert!(!link.answer(at(0), Opaque(4), &answer), "a dropped request is not answered");
    let sent = frames(&written(&mut link, at(0), usize::MAX));
    assert!(sent.len() == 1 && sent[0].header.is_response() && sent[0].header.opaque == Opaque(2));
}

#[test]
fn oneways_that_wait_to_be_handled_hold_the_reading_back_and_none_is_lost() {
    let mut link = link(|cfg| cfg.max_broker_requests = 2);
    let stream: Vec<u8> = (0..5).flat_map(|opaque| peer_request(opaque, true)).collect();
    receive(&mut link, at(0), &stream);
    assert_eq!((events(&mut link).len(), link.wants_read()), (2, false), "handed out is not handled");
    // A frame that waits for us is not one that stopped in the middle.
    link.handle_timeout(at(31_000));
    assert!(!link.is_closed());
    link.handled(at(31_000), 1);
    assert_eq!((events(&mut link).len(), link.wants_read()), (1, false));
    link.handled(at(31_000), 2);
    assert_eq!((events(&mut link).len(), link.wants_read()), (2, false));
    link.handled(at(31_000), 2);
    assert_eq!((events(&mut link).len(), link.wants_read(), link.stats().dropped_broker_requests), (0, true, 0));
}

#[test]
fn requests_of_the_peer_are_bounded_in_bytes() {
    let one = peer_request(0, false).len();
    let mut link = link(|cfg| cfg.max_broker_request_bytes = one + 1);
    for opaque in 0..4 {
        receive(&mut link, at(0), &peer_request(opaque, false));
    }
    assert_eq!((events(&mut link).len(), link.stats().dropped_broker_requests), (2, 2));
    for opaque in 0..2 {
        assert!(link.wants_read());
        receive(&mut link, at(0), &peer_request(opaque, true));
    }
    assert_eq!((events(&mut link).len(), link.wants_read()), (2, false));
}

#[test]
fn answers_that_the_peer_does_not_read_are_bounded() {
    let answer = Preamble::response(0, Codec::Json).encode(|_| {}, Bytes::from(vec![0; 100]));
    let mut link = link(|cfg| cfg.max_queued_bytes = 2 * answer.len_bound());
    let ask = |link: &mut Link, opaque| {
        receive(link, at(0), &peer_request(opaque, false));
        link.answer(at(0), Opaque(opaque), &answer)
    };
    assert_eq!([0, 1, 2].map(|opaque| ask(&mut link, opaque)), [true, true, false]);
    written(&mut link, at(0), usize::MAX);
    assert!(ask(&mut link, 3), "there is room again");
}
