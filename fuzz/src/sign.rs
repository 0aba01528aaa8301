//! Signatures of requests.

use arbitrary::Unstructured;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rocketmq_core::acl::Credentials;
use sha1::{Digest, Sha1};

/// A secret, fields and a body: their signature is that of a slow reckoning by the definition of HMAC, whatever the order
/// of the fields, and a signature among them does not count.
pub fn acl_sign(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let Ok((secret, fields)) = choices.arbitrary::<(String, Vec<(String, String)>)>() else { return };
    let body = choices.take_rest();
    let user = Credentials::new("user", secret.as_str());
    let pairs = || fields.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let signature = user.sign(pairs(), body);
    assert_eq!(signature, slowly(&secret, &fields, body));
    let with_another = pairs().chain([("Signature", "of somebody else")]);
    assert_eq!(user.sign(with_another, body), signature);
    let mut names: Vec<_> = pairs().map(|(key, _)| key).collect();
    names.sort_unstable();
    if names.windows(2).all(|pair| pair[0] != pair[1]) {
        assert_eq!(user.sign(fields.iter().rev().map(|(key, value)| (&**key, &**value)), body), signature);
    }
}

fn slowly(secret: &str, fields: &[(String, String)], body: &[u8]) -> String {
    let mut fields: Vec<_> = fields.iter().filter(|(key, _)| key != "Signature").collect();
    // Stable: of equal names the last stays the last.
    fields.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    let mut text = Vec::new();
    for (at, (key, value)) in fields.iter().enumerate() {
        if fields.get(at + 1).is_none_or(|(next, _)| next != key) {
            text.extend_from_slice(value.as_bytes());
        }
    }
    text.extend_from_slice(body);
    let mut key = match secret.as_bytes() {
        long if long.len() > BLOCK => Sha1::digest(long).to_vec(),
        short => short.to_vec(),
    };
    key.resize(BLOCK, 0);
    let keyed = |pad: u8, text: &[u8]| {
        let key: Vec<u8> = key.iter().map(|byte| byte ^ pad).collect();
        Sha1::digest([&key, text].concat())
    };
    STANDARD.encode(keyed(0x5c, &keyed(0x36, &text)))
}

/// Bytes that SHA-1 takes at a time.
const BLOCK: usize = 64;
