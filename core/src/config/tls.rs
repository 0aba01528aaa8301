//! How links are encrypted.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;

/// Links over TLS, to name servers and brokers alike. With it, no byte goes out that is not encrypted, and nobody is
/// talked to whose certificate does not hold.
///
/// A certificate holds when a chain leads from it to one of the roots given here and it is for the host of the address.
/// There are no other roots: certificates of brokers are issued by their owners, and none of the public authorities need
/// be able to vouch for them. Those of a host can be added one by one.
#[derive(Clone)]
pub struct TlsConfig {
    roots: RootCertStore,
    identity: Option<Arc<CertifiedKey>>,
    server_name: Option<ServerName<'static>>,
    trust: Trust,
}

/// What makes a server's certificate hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A chain to one of the roots, and the name.
    Chain,
    /// Its SHA-256.
    Pin([u8; 32]),
    /// Nothing.
    Anybody,
}

impl TlsConfig {
    /// Trusts nobody yet: roots have to be given.
    #[must_use]
    pub fn new() -> Self {
        Self { roots: RootCertStore::empty(), identity: None, server_name: None, trust: Trust::Chain }
    }

    /// Trusts who is certified by one of these roots, in PEM. Calls add up.
    ///
    /// # Errors
    /// It is not PEM, has no certificate in it, or one that cannot be a root.
    pub fn roots_pem(self, pem: impl AsRef<[u8]>) -> Result<Self, TlsConfigError> {
        certificates(pem.as_ref())?.into_iter().try_fold(self, Self::root)
    }

    /// Trusts who is certified by this root, in DER.
    ///
    /// # Errors
    /// It cannot be a root.
    pub fn root_der(self, der: impl Into<Vec<u8>>) -> Result<Self, TlsConfigError> {
        self.root(CertificateDer::from(der.into()))
    }

    /// What this client shows to servers that want to know who it is: its certificate, those it rests on, and the private
    /// key, in PEM.
    ///
    /// # Errors
    /// It is not PEM, something is missing, the key is of an unknown kind, or it is another certificate's.
    pub fn client_auth_pem(self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsConfigError> {
        let chain = certificates(chain.as_ref())?;
        let key =
            PrivateKeyDer::from_pem_slice(key.as_ref()).map_err(|error| TlsConfigError::Pem(error.to_string()))?;
        self.client_auth(chain, key)
    }

    /// The same, in DER; the key in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// The key is of an unknown kind, or another certificate's.
    pub fn client_auth_der(
        self,
        chain: impl IntoIterator<Item = Vec<u8>>,
        key: Vec<u8>,
    ) -> Result<Self, TlsConfigError> {
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key).map_err(|error| TlsConfigError::Key(error.into()))?;
        if chain.is_empty() {
            return Err(TlsConfigError::NoCertificate);
        }
        self.client_auth(chain, key)
    }

    /// The name or address that the certificates of all servers have to be for, instead of the host of each address.
    ///
    /// # Errors
    /// It is neither a host name nor an address.
    pub fn server_name(mut self, name: impl Into<String>) -> Result<Self, TlsConfigError> {
        let name = name.into();
        let parsed = ServerName::try_from(name.clone()).map_err(|_| TlsConfigError::Name(name))?;
        self.server_name = Some(parsed);
        Ok(self)
    }

    /// Trusts the one certificate with this SHA-256, of its DER, whoever issued it, whatever it is for, and however old it
    /// is. Dangerous as it cannot be replaced without a change here.
    #[must_use]
    pub const fn dangerous_pin_sha256(mut self, digest: [u8; 32]) -> Self {
        self.trust = Trust::Pin(digest);
        self
    }

    /// Trusts any certificate. Dangerous: whoever can reach into the network can read and change everything.
    #[must_use]
    pub const fn dangerous_accept_any_certificate(mut self) -> Self {
        self.trust = Trust::Anybody;
        self
    }

    pub(crate) const fn roots(&self) -> &RootCertStore {
        &self.roots
    }

    pub(crate) const fn identity(&self) -> Option<&Arc<CertifiedKey>> {
        self.identity.as_ref()
    }

    pub(crate) const fn name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    pub(crate) const fn trust(&self) -> Trust {
        self.trust
    }

    /// Checks that somebody is trusted.
    pub(crate) fn check(&self) -> Result<(), TlsConfigError> {
        let nobody = self.trust == Trust::Chain && self.roots.is_empty();
        if nobody { Err(TlsConfigError::NoRoot) } else { Ok(()) }
    }

    fn root(mut self, root: CertificateDer<'static>) -> Result<Self, TlsConfigError> {
        self.roots.add(root).map_err(|error| TlsConfigError::Root(error.to_string()))?;
        Ok(self)
    }

    fn client_auth(
        mut self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsConfigError> {
        let provider = rustls::crypto::ring::default_provider();
        let identity = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            let another = matches!(error, rustls::Error::InconsistentKeys(_));
            if another { TlsConfigError::OtherKey } else { TlsConfigError::Key(error.to_string()) }
        })?;
        self.identity = Some(Arc::new(identity));
        Ok(self)
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Nothing of the key.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("roots", &self.roots.len())
            .field("client_auth", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .field("trust", &self.trust)
            .finish()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| TlsConfigError::Pem(error.to_string()))?;
    if found.is_empty() { Err(TlsConfigError::NoCertificate) } else { Ok(found) }
}

/// A configuration of TLS that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsConfigError {
    /// It is not PEM, or lacks what was looked for.
    #[error("this is not the PEM that was expected: {0}")]
    Pem(String),
    /// There is no certificate in it.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// A certificate cannot be a root.
    #[error("a certificate cannot be a root: {0}")]
    Root(String),
    /// The private key cannot be used.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The private key is not that of the certificate.
    #[error("the private key is not that of the certificate")]
    OtherKey,
    /// A name is none.
    #[error("'{0}' is neither a host name nor an address")]
    Name(String),
    /// Nobody is trusted.
    #[error("no roots: say whose certificates are to be trusted")]
    NoRoot,
}
