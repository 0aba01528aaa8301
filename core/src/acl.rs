//! Who this client is, to servers that ask: each request is signed with a secret that both know.
//!
//! A signature covers the values of all fields of a request, in the order of their names, and the body: neither the
//! names nor the code, and no time. Whoever reads a request can send it again, or make another one of the same values:
//! without TLS this tells friends apart and keeps nobody out.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::wire::frame::EncodedFrame;

/// The name and the secret of a user, as servers know them. The secret is wiped from memory when the last copy goes, and
/// shows in no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: String,
    secret_key: Zeroizing<String>,
    security_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// A user and its secret.
    #[must_use]
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        let secret_key = Zeroizing::new(secret_key.into());
        Self { access_key: access_key.into(), secret_key, security_token: None }
    }

    /// The same for a session, of which this is the token.
    #[must_use]
    pub fn with_security_token(mut self, token: impl Into<String>) -> Self {
        self.security_token = Some(Zeroizing::new(token.into()));
        self
    }

    /// The name of the user.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The signature of a request with these fields and this body. A signature among the fields does not count.
    #[must_use]
    pub fn sign<'f>(&self, fields: impl Iterator<Item = (&'f str, &'f str)>, body: &[u8]) -> String {
        // Of a name that comes twice the last value counts, as for who reads it. All names are ASCII: Java's order.
        let sorted: BTreeMap<&str, &str> = fields.filter(|(key, _)| *key != SIGNATURE).collect();
        // A key may have any length.
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(self.secret_key.as_bytes()) else { return String::new() };
        sorted.values().for_each(|value| mac.update(value.as_bytes()));
        mac.update(body);
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// The same request with these credentials; `None` for what is no request.
    pub(crate) fn signed(&self, frame: &EncodedFrame) -> Option<EncodedFrame> {
        let (preamble, ext) = frame.request_parts()?;
        let token = self.security_token.as_ref().map(|token| (SECURITY_TOKEN, token.as_str()));
        let ours = [Some((ACCESS_KEY, self.access_key.as_str())), token];
        let others = ext.iter().filter(|(key, _)| ![ACCESS_KEY, SECURITY_TOKEN, SIGNATURE].contains(key));
        let fields = others.chain(ours.into_iter().flatten());
        let signature = self.sign(fields.clone(), frame.body());
        let write = |out: &mut crate::wire::ExtWriter<'_>| {
            fields.for_each(|(key, value)| out.text(key, value));
            out.text(SIGNATURE, &signature);
        };
        Some(preamble.encode(write, frame.body().clone()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Where the credentials of the moment come from: each request is signed with what this says then.
pub trait CredentialsProvider: Send + Sync {
    /// The credentials of now; `None` when requests are not to be signed. It is asked once a request, and must not block.
    fn credentials(&self) -> Option<Arc<Credentials>>;
}

impl CredentialsProvider for Arc<Credentials> {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        Some(self.clone())
    }
}

/// A provider that configurations hold.
#[derive(Clone)]
pub struct SharedProvider(Arc<dyn CredentialsProvider>);

impl SharedProvider {
    /// Shares a provider.
    pub fn new(provider: impl CredentialsProvider + 'static) -> Self {
        Self(Arc::new(provider))
    }

    /// The request signed with the credentials of now, if there are any.
    pub(crate) fn signed(&self, frame: &EncodedFrame) -> Option<EncodedFrame> {
        self.credentials()?.signed(frame)
    }
}

impl CredentialsProvider for SharedProvider {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        self.0.credentials()
    }
}

impl fmt::Debug for SharedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedProvider")
    }
}

/// Fields of a signed request.
const ACCESS_KEY: &str = "AccessKey";
const SECURITY_TOKEN: &str = "SecurityToken";
const SIGNATURE: &str = "Signature";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Opaque;
    use crate::wire::codes::request;
    use crate::wire::header::{HeaderLimits, Preamble};
    use crate::wire::{Codec, ExtFields, Frame, frame};
    use alloc::format;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn sent(frame: &EncodedFrame) -> Frame {
        frame::decode(&frame.to_bytes(Opaque(7)), &HeaderLimits::default()).unwrap()
    }

    fn request(codec: Codec, code: i32, fields: &[(&str, &str)], body: &'static [u8]) -> EncodedFrame {
        let write = |out: &mut crate::wire::ExtWriter<'_>| fields.iter().for_each(|(key, value)| out.text(key, value));
        Preamble::request(code, codec).encode(write, Bytes::from_static(body))
    }

    #[test]
    fn a_request_says_who_it_is_from_and_proves_it() {
        let me = Credentials::new("ak", "sk");
        for codec in [Codec::Json, Codec::Rocketmq] {
            let plain = request(codec, 34, &[("topic", "TopicTest"), ("queueId", "0")], b"hello");
            let frame = sent(&me.signed(&plain).unwrap());
            assert_eq!(frame.header.ext.get("AccessKey"), Some("ak"));
            assert_eq!(frame.header.ext.get("Signature"), Some("3QTWLH5XTZFVSKjZVdDe6k26s5s="));
            assert_eq!(frame.header.ext.get("SecurityToken"), None);
            let before = sent(&plain);
            assert_eq!((frame.header.codec, frame.header.code, frame.header.flags), (codec, 34, 0));
            assert_eq!((frame.header.language, frame.header.version), (before.header.language, before.header.version));
            assert_eq!((frame.header.ext.get("topic"), &frame.body), (Some("TopicTest"), &before.body));
            let again = me.signed(&me.signed(&plain).unwrap()).unwrap();
            assert_eq!(sent(&again).header.ext, frame.header.ext, "signed again it is the same");
        }
    }

    #[test]
    fn a_session_has_a_token_and_other_credentials_take_the_place_of_those_before() {
        let plain = request(Codec::Json, 34, &[], b"");
        let first = Credentials::new("a", "s").with_security_token("t").signed(&plain).unwrap();
        assert_eq!(sent(&first).header.ext.get("SecurityToken"), Some("t"));
        let second = Credentials::new("b", "s").signed(&first).unwrap();
        let ext = sent(&second).header.ext;
        assert_eq!((ext.get("AccessKey"), ext.get("SecurityToken"), ext.len()), (Some("b"), None, 2));
        assert_eq!(sent(&second), sent(&Credentials::new("b", "s").signed(&plain).unwrap()));
    }

    #[test]
    fn oneways_are_signed_and_answers_are_not() {
        let me = Credentials::new("ak", "sk");
        let oneway = Preamble::oneway(request::END_TRANSACTION, Codec::Json).encode(|_| (), Bytes::new());
        assert!(sent(&me.signed(&oneway).unwrap()).header.is_oneway());
        let answer = Preamble::response(0, Codec::Json).encode(|_| (), Bytes::new());
        assert!(me.signed(&answer).is_none());
    }

    #[test]
    fn a_code_that_is_too_large_for_the_binary_header_is_signed_in_json() {
        let pop = request(Codec::Rocketmq, request::POP_MESSAGE, &[("topic", "T")], b"");
        let frame = sent(&Credentials::new("ak", "sk").signed(&pop).unwrap());
        assert_eq!((frame.header.code, frame.header.codec), (request::POP_MESSAGE, Codec::Json));
    }

    #[test]
    fn secrets_show_in_no_text() {
        let me = Credentials::new("ak", "hush").with_security_token("hush too");
        let config = crate::config::LinkConfig {
            credentials: Some(SharedProvider::new(Arc::new(me.clone()))),
            ..crate::config::LinkConfig::default()
        };
        for text in [format!("{me:?}"), format!("{config:?}")] {
            assert!(!text.contains("hush"), "{text}");
        }
        assert!(format!("{me:?}").contains("ak"));
    }

    proptest! {
        /// What is signed is what who reads the frame sees, whatever it is.
        #[test]
        fn who_reads_it_comes_to_the_same_signature(
            fields in prop::collection::vec(("[a-zA-Z_]{1,8}", "\\PC{0,12}|[\u{0}-\u{1f}\"\\\\]{0,4}"), 0..12),
            body in prop::collection::vec(any::<u8>(), 0..40),
            binary in any::<bool>(),
        ) {
            let codec = if binary { Codec::Rocketmq } else { Codec::Json };
            let write = |out: &mut crate::wire::ExtWriter<'_>| {
                fields.iter().for_each(|(key, value)| out.text(key, value));
            };
            let plain = Preamble::request(10, codec).encode(write, Bytes::from(body.clone()));
            let me = Credentials::new("somebody", "something");
            let read = sent(&me.signed(&plain).unwrap()).header.ext;
            // The slow way: sort, put together, compute.
            let mut names: alloc::vec::Vec<&str> = read.iter().map(|(key, _)| key).collect();
            names.sort_unstable();
            names.dedup();
            let mut content = alloc::vec::Vec::new();
            for name in names.into_iter().filter(|name| *name != "Signature") {
                content.extend_from_slice(read.get(name).unwrap_or_default().as_bytes());
            }
            content.extend_from_slice(&body);
            let mut mac = Hmac::<Sha1>::new_from_slice(b"something").unwrap();
            mac.update(&content);
            let expected = STANDARD.encode(mac.finalize().into_bytes());
            prop_assert_eq!(read.get("Signature"), Some(expected.as_str()));
            let plain: ExtFields = sent(&plain).header.ext;
            let same = |(key, _): &(&str, &str)| ["AccessKey", "Signature"].contains(key) || plain.get(key) == read.get(key);
            prop_assert!(read.iter().all(|field| same(&field)));
            // No field is there without a value: servers read that as text, or as nothing.
            prop_assert!(codec == Codec::Json || read.iter().all(|(_, value)| !value.is_empty()));
        }
    }
}
