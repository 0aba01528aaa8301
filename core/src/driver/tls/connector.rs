//! From a configuration to connections.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    SupportedCipherSuite,
};

use super::session::{Session, failed};
use crate::config::{TlsConfig, TlsConfigError, Trust};
use crate::driver::runtime::Clock;
use crate::error::{IoFailure, TlsFailure};
use crate::ids::Endpoint;

/// What all connections of a client have in common.
#[derive(Clone)]
pub(crate) struct TlsConnector {
    config: Arc<ClientConfig>,
    identity: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
}

/// Whether the peer of a connection asked who this client is.
pub(super) type Asked = Arc<AskedFor>;

impl TlsConnector {
    /// Certificates hold or not as of the time of `clock`.
    pub(crate) fn new(tls: &TlsConfig, clock: Arc<dyn Clock>) -> Result<Self, TlsConfigError> {
        tls.check()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match tls.trust() {
            Trust::Chain => {
                let roots = Arc::new(tls.roots().clone());
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
                verifier.map_err(|_| TlsConfigError::NoRoot)?
            }
            Trust::Pin(digest) => Arc::new(Lenient { provider: provider.clone(), pin: Some(digest) }),
            Trust::Anybody => Arc::new(Lenient { provider: provider.clone(), pin: None }),
        };
        let builder = ClientConfig::builder_with_details(provider, Arc::new(TimeOf(clock)));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| TlsConfigError::Key(alloc::format!("{error}")))?;
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        // Links live long; a certificate is looked at whenever one is opened.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), identity: tls.identity().cloned(), server_name: tls.name().cloned() })
    }

    /// A connection to a server that is not begun.
    pub(super) fn session(&self, to: &Endpoint) -> Result<(Session, Asked), IoFailure> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => name_of(to).ok_or_else(|| failed(TlsFailure::NoName, "the address has no host to be certified"))?,
        };
        let asked = Arc::new(AskedFor { identity: self.identity.clone(), asked: AtomicBool::new(false) });
        let mut config = (*self.config).clone();
        config.client_auth_cert_resolver = asked.clone();
        let tls = ClientConnection::new(Arc::new(config), name);
        let tls = tls.map_err(|error| failed(TlsFailure::Protocol, &alloc::format!("{error}")))?;
        Ok((Session::new(tls), asked))
    }
}

/// The host of `host:port` or `[ipv6]:port`.
fn name_of(endpoint: &Endpoint) -> Option<ServerName<'static>> {
    let (host, _) = endpoint.as_str().rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(ip) => ip.parse::<IpAddr>().ok().map(|ip| ServerName::IpAddress(ip.into())),
        None => ServerName::try_from(alloc::string::String::from(host)).ok(),
    }
}

/// This client's certificate, for one connection.
#[derive(Debug)]
pub(super) struct AskedFor {
    identity: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl AskedFor {
    pub(super) fn was(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for AskedFor {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}

/// The wall clock of the runtime.
struct TimeOf(Arc<dyn Clock>);

impl TimeProvider for TimeOf {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.wall().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

impl fmt::Debug for TimeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimeOf")
    }
}

/// Looks at neither chain nor name. That the peer has the key of its certificate is still shown.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    pin: Option<[u8; 32]>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.pin {
            Some(pin) if sha256(certificate).as_deref() != Some(pin.as_slice()) => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            Some(_) | None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> alloc::vec::Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// By the hash that a suite of the provider has.
fn sha256(bytes: &[u8]) -> Option<Vec<u8>> {
    match rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => Some(suite.common.hash_provider.hash(bytes).as_ref().to_vec()),
        SupportedCipherSuite::Tls12(_) => None,
    }
}
