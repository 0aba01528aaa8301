//! Servers that are not who they should be, or do not speak TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use rocketmq_core::error::{IoFailure, IoKind, RequestFailure, TlsFailure};
use rocketmq_smol::{ClientBuilder, ClientEvent, ConnectError, TlsConfig};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use super::front::{Front, Serve};
use super::pki::{Authority, Identity};
use super::{OnRuntime, RUNTIMES, provider, serving, serving_known, trusting};

/// A server that must not be talked to.
struct Case {
    name: &'static str,
    serve: Serve,
    tls: TlsConfig,
    /// The host of the address.
    host: &'static str,
    expected: TlsFailure,
}

const LOCAL: [&str; 2] = ["127.0.0.1", "localhost"];

fn cases() -> Vec<Case> {
    let root = Authority::root("root");
    let case = |name, serve, expected| Case { name, serve, tls: trusting(&root), host: "127.0.0.1", expected };
    let bad = |name, identity: &Identity, expected| case(name, Serve::Tls(serving(identity), None), expected);
    let say = |bytes: &[u8], hang_up| Serve::Say { bytes: bytes.to_vec(), hang_up };

    let expired = root.issue(&LOCAL, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let future = root.issue(&LOCAL, |params| params.not_before = date_time_ymd(2999, 1, 1));
    let foreign = Authority::root("root").server(&LOCAL);
    let client = root.issue(&LOCAL, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let authority = root.issue(&LOCAL, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let no_authority = root.authority("no authority", |params| params.is_ca = IsCa::ExplicitNoCa).server(&LOCAL);
    let old = root.authority("old", |params| params.not_after = date_time_ymd(2020, 1, 1)).server(&LOCAL);
    let deep = root.authority("between", |_| {}).server(&LOCAL);
    let alone = Identity::self_signed(&LOCAL);
    let good = root.server(&LOCAL);
    let mut gap = root.authority("between", |_| {}).server(&LOCAL);
    gap.chain.truncate(1);
    let mut forged = root.server(&LOCAL);
    let mut der = forged.chain[0].to_vec();
    *der.last_mut().unwrap() ^= 1;
    forged.chain[0] = der.into();
    let stolen = CertifiedKey::new(good.chain.clone(), provider().key_provider.load_private_key(deep.key()).unwrap());
    let stranger = Authority::root("another").client("a client");
    let shown = |tls: TlsConfig| tls.client_auth_pem(stranger.chain_pem(), stranger.key_pem()).unwrap();

    let mut all = vec![
        bad("expired", &expired, TlsFailure::Expired),
        bad("not yet valid", &future, TlsFailure::NotYetValid),
        bad("of another address", &root.server(&["127.0.0.2"]), TlsFailure::WrongName),
        bad("of a name, not of the address", &root.server(&["localhost"]), TlsFailure::WrongName),
        bad("by another root of the same name", &foreign, TlsFailure::BadSignature),
        bad("by an unknown root", &Authority::root("unknown").server(&LOCAL), TlsFailure::UnknownIssuer),
        bad("self-signed", &alone, TlsFailure::UnknownIssuer),
        bad("for clients", &client, TlsFailure::WrongPurpose),
        bad("an authority's own", &authority, TlsFailure::BadCertificate),
        bad("by who is no authority", &no_authority, TlsFailure::BadCertificate),
        bad("by an authority that expired", &old, TlsFailure::Expired),
        bad("with a gap to the root", &gap, TlsFailure::UnknownIssuer),
        bad("with a forged signature", &forged, TlsFailure::BadSignature),
        case("of whom the server has no key", Serve::Tls(fixed(stolen), None), TlsFailure::BadSignature),
        case("plain text", say(b"HTTP/1.1 400 Bad Request\r\n\r\n", true), TlsFailure::NotTls),
        case("a remoting frame", say(b"\0\0\0\x12\0\0\0\x0e{\"code\":0}....", false), TlsFailure::NotTls),
        case("closed at once", say(b"", true), TlsFailure::CutShort),
        case("closed in a record", say(&[0x16, 3, 3, 0, 90, 2, 0, 0], true), TlsFailure::CutShort),
        case("no common version", say(&[0x15, 3, 3, 0, 2, 2, 70], true), TlsFailure::NothingInCommon),
        case("TLS 1.1", say(&server_hello(2), false), TlsFailure::NothingInCommon),
        case("it said no", say(&[0x15, 3, 3, 0, 2, 2, 80], true), TlsFailure::Refused),
    ];
    all.push(Case {
        host: "localhost",
        ..bad("of another name", &root.server(&["other.example"]), TlsFailure::WrongName)
    });
    let pinned = TlsConfig::new().dangerous_pin_sha256([7; 32]);
    all.push(Case { tls: pinned, ..bad("not the pinned one", &good, TlsFailure::Pin) });
    for (version, missing, wrong) in
        [(&TLS12, "no certificate of ours, 1.2", "a wrong one, 1.2"), (&TLS13, "no certificate of ours", "a wrong one")]
    {
        let serve = Serve::Tls(serving_known(&good, &root, &[version]), None);
        all.push(case(missing, serve.clone(), TlsFailure::ClientCertificate));
        all.push(Case { tls: shown(trusting(&root)), ..case(wrong, serve, TlsFailure::ClientCertificate) });
    }
    all
}

#[test]
fn bad_certificates_are_refused_on_smol() {
    refused_on(RUNTIMES[0]);
}

#[test]
fn bad_certificates_are_refused_on_tokio() {
    refused_on(RUNTIMES[1]);
}

fn refused_on(runtime: OnRuntime) {
    let cases = cases();
    assert!(cases.len() >= 24);
    let running: Vec<_> = cases.into_iter().map(|case| std::thread::spawn(move || refused(runtime, case))).collect();
    let failed: Vec<_> = running.into_iter().filter_map(|case| case.join().unwrap()).collect();
    assert!(failed.is_empty(), "{}:\n{}", runtime.0, failed.join("\n"));
}

/// What is wrong about how a server is refused, if anything.
fn refused((_, connect): OnRuntime, case: Case) -> Option<String> {
    let front = Front::start(case.serve);
    let address = format!("{}:{}", case.host, front.address.port());
    let builder = ClientBuilder::new().name_servers(&address).tls(case.tls);
    let expected = IoKind::Tls(case.expected);
    let told = |why: &IoFailure| why.kind == expected && why.to_string().starts_with("TLS: ");

    let lazy = connect(builder.clone().lazy()).unwrap();
    let mut events = lazy.events();
    let route = smol::block_on(lazy.admin().queues("t"));
    let event = loop {
        match smol::block_on(events.next()) {
            Some(ClientEvent::ConnectFailed { endpoint, why }) => break (endpoint, why),
            Some(ClientEvent::LinkUp(_)) | None => return Some(format!("{}: a link is up", case.name)),
            Some(_) => {}
        }
    };
    if event.0.as_str() != address || !told(&event.1) {
        return Some(format!("{}: event {:?}", case.name, event.1));
    }
    if route.is_ok() {
        return Some(format!("{}: routes from who must not be asked", case.name));
    }
    drop(lazy);

    let Err(ConnectError::Unavailable(unavailable)) = connect(builder) else {
        return Some(format!("{}: connected", case.name));
    };
    let [(_, RequestFailure::Connect(why))] = &unavailable.tried[..] else {
        return Some(format!("{}: {unavailable}", case.name));
    };
    if !told(why) || !unavailable.to_string().contains("TLS: ") {
        return Some(format!("{}: connect: {why:?}", case.name));
    }
    for bytes in front.received() {
        if let Err(wrong) = only_tls(&bytes) {
            return Some(format!("{}: {wrong}: {bytes:?}", case.name));
        }
    }
    None
}

/// Whether a client has opened TLS, and said nothing in it but alerts.
fn only_tls(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut rest = bytes;
    let mut records = 0;
    while let [kind, 3, 1 | 3, high, low, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (record, more) = tail.split_at_checked(len).ok_or("a part of a record")?;
        match kind {
            0x16 if records > 0 || record[0] == 1 => {}
            0x14 | 0x15 if records > 0 => {}
            // What ends the handshake, the certificate included, and alerts are encrypted too in TLS 1.3.
            0x17 if records > 0 && len < 1_500 => {}
            _ => return Err(format!("record {records} of kind {kind}, {len} bytes")),
        }
        records += 1;
        rest = more;
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes that are no record", rest.len())) }
}

/// A server that keeps quiet costs the time of a connect, and is told of.
#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    for (runtime, connect) in RUNTIMES {
        let front = Front::start(Serve::Say { bytes: Vec::new(), hang_up: false });
        let root = Authority::root("root");
        let builder = ClientBuilder::new().name_servers(front.address.to_string()).tls(trusting(&root));
        let begun = Instant::now();
        let Err(ConnectError::Unavailable(unavailable)) = connect(builder) else {
            panic!("{runtime}: connected");
        };
        assert!(begun.elapsed() < Duration::from_secs(5), "{runtime}");
        assert_eq!(unavailable.tried.len(), 1);
        for bytes in front.received() {
            only_tls(&bytes).unwrap();
        }
    }
}

/// What cannot work does not start.
#[test]
fn nothing_is_sent_where_nobody_is_trusted() {
    for (_, connect) in RUNTIMES {
        let front = Front::start(Serve::Say { bytes: Vec::new(), hang_up: false });
        let builder = ClientBuilder::new().name_servers(front.address.to_string()).tls(TlsConfig::new());
        for builder in [builder.clone(), builder.lazy()] {
            assert!(matches!(connect(builder), Err(ConnectError::Config(_))));
        }
        assert_eq!(front.received().len(), 0);
    }
}

/// The server's first words in an older version.
fn server_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend([7; 32]); // random
    hello.extend([0, 0xc0, 0x13, 0]); // no session, ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression
    let mut message = vec![2, 0, 0, u8::try_from(hello.len()).unwrap()];
    message.extend(hello);
    let mut record = vec![0x16, 3, minor, 0, u8::try_from(message.len()).unwrap()];
    record.extend(message);
    record
}

/// A server that shows this, whatever it is asked for.
fn fixed(key: CertifiedKey) -> Arc<ServerConfig> {
    #[derive(Debug)]
    struct Fixed(Arc<CertifiedKey>);
    impl ResolvesServerCert for Fixed {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
    }
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_cert_resolver(Arc::new(Fixed(Arc::new(key)))))
}
