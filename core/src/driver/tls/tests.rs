//! The encrypted stream over a pipe in memory, with a server that is rustls too, and with one that is not.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io::{self, Read, Write};

use proptest::prelude::*;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::{TlsConnector, TlsStream};
use crate::config::TlsConfig;
use crate::driver::runtime::{AsyncRead, AsyncWrite, Clock};
use crate::error::{IoFailure, IoKind, TlsFailure};
use crate::time::{Instant, UnixMillis};

/// A clock that stands still.
struct At(i64);

impl Clock for At {
    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn wall(&self) -> UnixMillis {
        UnixMillis(self.0)
    }

    fn sleep_until(&self, _: Instant) -> Pin<alloc::boxed::Box<dyn Future<Output = ()> + Send>> {
        alloc::boxed::Box::pin(core::future::pending())
    }
}

const NOW: At = At(1_700_000_000_000);

/// The client's end of a pipe.
#[derive(Default)]
struct Pipe {
    /// From the server, from `read` on.
    to_client: Vec<u8>,
    read: usize,
    to_server: Vec<u8>,
    /// Bytes that one read or write moves.
    at_once: usize,
    /// Every other attempt has to wait.
    waits: bool,
    turn: bool,
    ended: bool,
}

impl Pipe {
    fn has_to_wait(&mut self, cx: &Context<'_>) -> bool {
        self.turn = !self.turn;
        if self.waits && self.turn {
            cx.waker().wake_by_ref();
            return true;
        }
        false
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.has_to_wait(cx) {
            return Poll::Pending;
        }
        let rest = &self.to_client[self.read..];
        if rest.is_empty() {
            return if self.ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        let n = rest.len().min(buf.len()).min(self.at_once);
        buf[..n].copy_from_slice(&rest[..n]);
        self.read += n;
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.has_to_wait(cx) {
            return Poll::Pending;
        }
        let n = buf.len().min(self.at_once);
        self.to_server.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ended = true;
        Poll::Ready(Ok(()))
    }
}

/// A certificate for `broker`, and a server that has it.
fn server() -> (TlsConfig, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["broker".into()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    (TlsConfig::new().root_der(made.cert.der().to_vec()).unwrap(), Arc::new(config))
}

fn stream(tls: &TlsConfig, to: &str, at_once: usize, waits: bool) -> TlsStream<Pipe> {
    let connector = TlsConnector::new(tls, Arc::new(NOW)).unwrap();
    let (session, _) = connector.session(&to.into()).unwrap();
    TlsStream::new(Pipe { at_once, waits, ..Pipe::default() }, session)
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Both ends, with whatever `tamper` makes of what the server sends.
struct Pair<'a> {
    client: TlsStream<Pipe>,
    server: ServerConnection,
    received: Vec<u8>,
    tamper: &'a dyn Fn(Vec<u8>) -> Vec<u8>,
}

impl Pair<'_> {
    /// The server takes what it was sent, and answers.
    fn serve(&mut self) {
        let sent = core::mem::take(&mut self.client.stream.to_server);
        let mut rest = &sent[..];
        while !rest.is_empty() && self.server.read_tls(&mut rest).is_ok() {
            if self.server.process_new_packets().is_err() {
                break;
            }
            let mut buf = [0; 20_000];
            while let Ok(read @ 1..) = self.server.reader().read(&mut buf) {
                self.received.extend_from_slice(&buf[..read]);
            }
        }
        self.send();
    }

    fn send(&mut self) {
        let mut out = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut out).unwrap();
        }
        self.client.stream.to_client.extend((self.tamper)(out));
    }

    fn shake_hands(&mut self) -> Result<(), IoFailure> {
        for _ in 0..100_000 {
            match self.client.poll_handshake(&mut cx()) {
                Poll::Ready(result) => return result,
                Poll::Pending => self.serve(),
            }
        }
        Err(IoFailure::new(IoKind::TimedOut, "no end"))
    }

    /// What the client reads until it is to wait, or fails.
    fn read(&mut self) -> (Vec<u8>, Option<IoFailure>) {
        let (mut all, mut buf) = (Vec::new(), vec![0; 70_000]);
        let mut idle = 0;
        while idle < 4 {
            match Pin::new(&mut self.client).poll_read(&mut cx(), &mut buf) {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(Ok(n)) => all.extend_from_slice(&buf[..n]),
                Poll::Ready(Err(error)) => return (all, Some(error.into())),
                Poll::Pending => idle += 1,
            }
            assert!(self.held() < 200_000, "{} bytes held", self.held());
        }
        (all, None)
    }

    /// Bytes that the client holds of what it was sent and is to send.
    fn held(&self) -> usize {
        self.client.received.capacity() + self.client.sending.capacity()
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn what_is_written_is_read_whatever_the_socket_takes_at_once() {
    let (tls, server) = server();
    for (at_once, waits, len) in [(1, true, 3_000), (7, true, 40_000), (100_000, true, 300_000), (100_000, false, 0)] {
        let client = stream(&tls, "broker:10911", at_once, waits);
        let server = ServerConnection::new(server.clone()).unwrap();
        let mut pair = Pair { client, server, received: Vec::new(), tamper: &|bytes| bytes };
        pair.shake_hands().unwrap();

        let data = pattern(len);
        let (mut written, mut most) = (0, 0);
        while written < len {
            let parts = data[written..].chunks(5_000).take(10).map(io::IoSlice::new).collect::<Vec<_>>();
            if let Poll::Ready(n) = Pin::new(&mut pair.client).poll_write_vectored(&mut cx(), &parts) {
                written += n.unwrap();
            }
            most = most.max(pair.client.sending.len());
            pair.serve();
        }
        while Pin::new(&mut pair.client).poll_flush(&mut cx()).is_pending() {}
        pair.serve();
        assert!(pair.received == data, "{at_once} at once");
        assert!(most < 70_000, "{most} bytes wait to be sent");

        pair.server.set_buffer_limit(None);
        pair.server.writer().write_all(&data).unwrap();
        pair.send();
        let mut read = Vec::new();
        while read.len() < len {
            let (more, failure) = pair.read();
            assert_eq!(failure, None);
            read.extend(more);
        }
        assert!(read == data, "{at_once} at once");
        pair.server.send_close_notify();
        pair.send();
        assert_eq!(pair.read(), (Vec::new(), None), "the end, in good order");

        let waits = |polled: Poll<io::Result<()>>| polled.is_pending();
        while waits(Pin::new(&mut pair.client).poll_close(&mut cx())) {}
        let mut last = &core::mem::take(&mut pair.client.stream.to_server)[..];
        pair.server.read_tls(&mut last).unwrap();
        assert!(pair.server.process_new_packets().unwrap().peer_has_closed(), "and ours");
    }
}

#[test]
fn a_name_that_is_not_certified_ends_the_handshake_and_an_alert_is_all_that_is_said() {
    let (tls, server) = server();
    for (to, failure) in [("other:1", TlsFailure::WrongName), ("[::1]:1", TlsFailure::WrongName)] {
        let client = stream(&tls, to, 100_000, false);
        let mut pair = Pair {
            client,
            server: ServerConnection::new(server.clone()).unwrap(),
            received: Vec::new(),
            tamper: &|bytes| bytes,
        };
        let why = pair.shake_hands().unwrap_err();
        assert_eq!(why.kind, IoKind::Tls(failure), "{why}");
        let last = &pair.client.stream.to_server;
        assert!(last.len() < 64 && !last.is_empty(), "an alert: {last:?}");
    }
    let connector = TlsConnector::new(&tls, Arc::new(NOW)).unwrap();
    let why = connector.session(&"no port".into()).err().unwrap();
    assert_eq!(why.kind, IoKind::Tls(TlsFailure::NoName));
}

#[test]
fn the_clock_is_that_of_the_runtime() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["broker".into()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 12, 31);
    let made = params.self_signed(&key).unwrap();
    let tls = TlsConfig::new().root_der(made.der().to_vec()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.der().clone()], key).unwrap());
    let day = 86_400_000;
    for (millis, expected) in [
        (1_577_836_800_000 - day, Some(TlsFailure::NotYetValid)),
        (1_577_836_800_000 + day, None),
        (1_609_459_200_000 + day, Some(TlsFailure::Expired)),
    ] {
        let connector = TlsConnector::new(&tls, Arc::new(At(millis))).unwrap();
        let (session, _) = connector.session(&"broker:1".into()).unwrap();
        let client = TlsStream::new(Pipe { at_once: 100_000, ..Pipe::default() }, session);
        let server = ServerConnection::new(config.clone()).unwrap();
        let mut pair = Pair { client, server, received: Vec::new(), tamper: &|bytes| bytes };
        let failure = pair.shake_hands().err().map(|why| why.kind);
        assert_eq!(failure, expected.map(IoKind::Tls));
    }
}

#[test]
fn configurations_that_cannot_work_say_why() {
    use crate::config::TlsConfigError as E;
    let (tls, _) = server();
    assert!(tls.check().is_ok());
    assert_eq!(TlsConfig::new().check(), Err(E::NoRoot), "nobody is trusted by default");
    assert!(TlsConfig::new().dangerous_accept_any_certificate().check().is_ok());
    assert_eq!(TlsConfig::new().roots_pem("hello").unwrap_err(), E::NoCertificate);
    assert!(matches!(TlsConfig::new().root_der(*b"hello"), Err(E::Root(_))));
    assert!(matches!(TlsConfig::new().server_name("not a name"), Err(E::Name(_))));
    let (one, other) = (rcgen::generate_simple_self_signed(["a".into()]), rcgen::KeyPair::generate());
    let (one, other) = (one.unwrap(), other.unwrap());
    let certify = |key: &str| TlsConfig::new().client_auth_pem(one.cert.pem(), key);
    assert!(matches!(certify("no key"), Err(E::Pem(_))));
    assert_eq!(certify(&other.serialize_pem()).unwrap_err(), E::OtherKey);
    let good = certify(&one.signing_key.serialize_pem()).unwrap();
    assert_eq!(
        alloc::format!("{good:?}"),
        "TlsConfig { roots: 0, client_auth: true, server_name: None, trust: Chain }",
        "no key in it"
    );
    let der = |key| TlsConfig::new().client_auth_der([one.cert.der().to_vec()], key);
    assert!(der(one.signing_key.serialize_der()).is_ok());
    assert_eq!(der(other.serialize_der()).unwrap_err(), E::OtherKey);
    assert!(matches!(der(vec![1, 2, 3]), Err(E::Key(_))));
    assert_eq!(TlsConfig::new().client_auth_der([], other.serialize_der()).unwrap_err(), E::NoCertificate);
}

/// What somebody does to a byte stream.
#[derive(Clone, Debug)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

impl Harm {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let at = |index: usize| index % bytes.len();
        match self {
            Self::Flip(index, by) => {
                let at = at(*index);
                bytes[at] ^= by;
            }
            Self::Cut(index) => bytes.truncate(at(*index)),
            Self::Insert(index, more) => {
                let at = at(*index);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Repeat(from, len) => {
                let from = at(*from);
                let again = bytes[from..].iter().copied().take(*len).collect::<Vec<_>>();
                bytes.extend(again);
            }
        }
        bytes
    }
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), 1..=255_u8).prop_map(|(at, by)| Harm::Flip(at, by)),
        any::<usize>().prop_map(Harm::Cut),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, more)| Harm::Insert(at, more)),
        (any::<usize>(), 1..600_usize).prop_map(|(from, len)| Harm::Repeat(from, len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to the bytes on their way: the client reads what the server wrote, a beginning of it, or nothing.
    #[test]
    fn harmed_bytes_are_never_taken_for_the_servers(
        harm in harm(),
        in_handshake in any::<bool>(),
        at_once in 1..5_000_usize,
        len in 0..50_000_usize,
    ) {
        let (tls, server) = server();
        let harmed = |bytes: Vec<u8>| harm.apply(bytes);
        let client = stream(&tls, "broker:1", at_once, false);
        let server = ServerConnection::new(server).unwrap();
        let mut pair = Pair { client, server, received: Vec::new(), tamper: &|bytes| bytes };
        if in_handshake {
            pair.tamper = &harmed;
        }
        for _ in 0..200 {
            match pair.client.poll_handshake(&mut cx()) {
                Poll::Ready(Err(why)) => {
                    prop_assert!(matches!(why.kind, IoKind::Tls(_)), "{:?}", why);
                    return Ok(());
                }
                Poll::Ready(Ok(())) => break,
                Poll::Pending => pair.serve(),
            }
        }
        if pair.client.session.is_handshaking() {
            // The rest is missing, as it would be for ever.
            pair.client.stream.ended = true;
            let Poll::Ready(Err(why)) = pair.client.poll_handshake(&mut cx()) else {
                return Err(TestCaseError::fail("no end of the handshake"));
            };
            prop_assert!(matches!(why.kind, IoKind::Tls(_)), "{:?}", why);
            return Ok(());
        }
        pair.serve();
        pair.tamper = &harmed;
        pair.server.set_buffer_limit(None);
        let data = pattern(len);
        pair.server.writer().write_all(&data).unwrap();
        pair.send();
        let (read, failure) = pair.read();
        prop_assert!(data.starts_with(&read), "{} bytes", read.len());
        if let Some(why) = failure {
            prop_assert!(matches!(why.kind, IoKind::Tls(_)), "{:?}", why);
        }
    }

    /// A peer that does not speak TLS, or only at first.
    #[test]
    fn hostile_bytes_cost_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 1..20_000),
        record in any::<bool>(),
        at_once in 1..9_000_usize,
    ) {
        let (tls, _) = server();
        let mut client = stream(&tls, "broker:1", at_once, false);
        if record {
            // In records of the handshake.
            for chunk in bytes.chunks(0x4000) {
                let len = u16::try_from(chunk.len()).unwrap().to_be_bytes();
                client.stream.to_client.extend([0x16, 3, 3, len[0], len[1]]);
                client.stream.to_client.extend_from_slice(chunk);
            }
        } else {
            client.stream.to_client = bytes;
        }
        client.stream.ended = true;
        let Poll::Ready(Err(why)) = client.poll_handshake(&mut cx()) else {
            return Err(TestCaseError::fail("no end"));
        };
        prop_assert!(matches!(why.kind, IoKind::Tls(_)), "{:?}", why);
        prop_assert!(client.received.capacity() + client.sending.capacity() < 200_000);
    }
}
