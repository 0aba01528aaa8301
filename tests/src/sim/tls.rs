//! Servers that speak TLS: their certificate, and their end of each link.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SerialNumber};
use rocketmq_core::config::TlsConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

/// What all servers of a process show, and who vouches for it. Keys are made once in a process: nothing that a run does
/// depends on their bits, only on lengths, which are always the same.
pub(crate) struct Identity {
    root: CertificateDer<'static>,
    server: Arc<ServerConfig>,
}

/// A server's end of a link.
pub(crate) struct Session(ServerConnection);

/// What a client said is no TLS, or was changed on its way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl Identity {
    /// For servers of these addresses, `host:port` each.
    pub(crate) fn of(addresses: impl Iterator<Item = String>) -> Self {
        static KEYS: OnceLock<[KeyPair; 2]> = OnceLock::new();
        let keys = KEYS.get_or_init(|| [(); 2].map(|()| KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key")));
        let hosts: BTreeSet<String> =
            addresses.filter_map(|address| Some(address.rsplit_once(':')?.0.to_owned())).collect();
        let mut authority = params("the authority of the simulation", Vec::new());
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, &keys[0]).expect("a root");
        let leaf = params("a server of the simulation", hosts.into_iter().collect());
        let leaf = leaf.signed_by(&keys[1], &authority).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let server = server.expect("versions that are known").with_no_client_auth();
        let key = PrivatePkcs8KeyDer::from(keys[1].serialize_der());
        let server = server.with_single_cert(vec![leaf.der().clone()], key.into()).expect("a key that belongs to it");
        Self { root: authority.as_ref().der().clone(), server: Arc::new(server) }
    }

    /// What clients need to know to trust these servers.
    pub(crate) fn trusted(&self) -> TlsConfig {
        TlsConfig::new().root_der(self.root.to_vec()).expect("a root")
    }

    /// The end of a link that begins.
    pub(crate) fn session(&self) -> Session {
        let mut tls = ServerConnection::new(self.server.clone()).expect("a session");
        // What is said before a client has greeted waits.
        tls.set_buffer_limit(None);
        Session(tls)
    }
}

impl Session {
    /// Takes what arrived: what the client said in it, and bytes to be sent at once.
    pub(crate) fn hear(&mut self, mut bytes: &[u8]) -> Result<(Vec<u8>, Bytes), Unreadable> {
        let mut said = Vec::new();
        while !bytes.is_empty() {
            let taken = self.0.read_tls(&mut bytes).map_err(|_| Unreadable)?;
            let state = self.0.process_new_packets().map_err(|_| Unreadable)?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.0.reader().read_exact(&mut plain).map_err(|_| Unreadable)?;
            said.append(&mut plain);
            if taken == 0 {
                break;
            }
        }
        Ok((said, self.flushed()))
    }

    /// The bytes that carry what is said.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Bytes {
        self.0.writer().write_all(bytes).expect("memory takes everything");
        self.flushed()
    }

    fn flushed(&mut self) -> Bytes {
        let mut out = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut out).expect("memory takes everything");
        }
        out.into()
    }
}

fn params(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).expect("names and addresses");
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(1_u64));
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tls_cannot_be_read() {
        let identity = Identity::of([String::from("10.0.0.1:1"), String::from("names-0:9876")].into_iter());
        assert_eq!(identity.session().hear(b"GET / HTTP/1.1\r\n\r\n"), Err(Unreadable));
        let (said, answer) = identity.session().hear(&[0x16, 3, 1]).expect("the beginning of a greeting");
        assert_eq!((said.len(), answer.len()), (0, 0));
        assert!(identity.session().say(b"too early").is_empty(), "it waits for a greeting");
    }
}
