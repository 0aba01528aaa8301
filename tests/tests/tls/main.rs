//! Links over TLS on both runtimes: right certificates lead to the models, wrong ones to an error that tells why, and
//! nothing is ever said that is not encrypted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::wildcard_enum_match_arm, clippy::disallowed_methods)]

mod front;
mod pki;
mod refused;
#[path = "../common/runtimes.rs"]
mod runtimes;
mod trusted;

use std::sync::Arc;

use rocketmq_smol::TlsConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use pki::{Authority, Identity};
use runtimes::{OnRuntime, RUNTIMES};

/// A client that trusts an authority.
fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig::new().roots_pem(authority.pem()).unwrap()
}

fn serving(identity: &Identity) -> Arc<ServerConfig> {
    serving_versions(identity, rustls::ALL_VERSIONS)
}

fn serving_versions(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(identity.chain.clone(), identity.key()).unwrap())
}

/// Takes clients whom an authority has certified, and nobody else.
fn serving_known(
    identity: &Identity,
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let verifier: Arc<dyn ClientCertVerifier> =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let config = config.with_client_cert_verifier(verifier);
    Arc::new(config.with_single_cert(identity.chain.clone(), identity.key()).unwrap())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
