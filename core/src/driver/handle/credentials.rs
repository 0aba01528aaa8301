//! Credentials that are changed while a client runs.

use alloc::sync::Arc;
use std::sync::Mutex;

use super::{Client, ClientBuilder};
use crate::acl::{Credentials, CredentialsProvider, SharedProvider};
use crate::driver::lock::Lock;

/// What a client signs with now.
#[derive(Default)]
pub(super) struct CredentialCell(Mutex<Option<SharedProvider>>);

impl CredentialCell {
    pub(super) fn new(provider: Option<SharedProvider>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(provider)))
    }
}

impl CredentialsProvider for Arc<CredentialCell> {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        let provider = self.0.with(|provider| provider.clone());
        provider?.credentials()
    }
}

impl ClientBuilder {
    /// Signs every request with these: the broker's or name server's ACL knows this client by them. Default: requests are
    /// not signed. Without TLS, who reads a request can send it again: see [`acl`](crate::acl).
    #[must_use]
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.credentials_provider(Arc::new(credentials))
    }

    /// The same with what this provider says at the time of each request.
    #[must_use]
    pub fn credentials_provider(mut self, provider: impl CredentialsProvider + 'static) -> Self {
        self.config.link.credentials = Some(SharedProvider::new(provider));
        self
    }
}

impl Client {
    /// Signs with these from now on, in place of what was given before, or of a provider. What is not on its way yet is
    /// signed with them already.
    pub fn set_credentials(&self, credentials: Credentials) {
        let provider = SharedProvider::new(Arc::new(credentials));
        let old = self.inner.credentials.0.with(|known| known.replace(provider));
        drop(old);
    }
}
