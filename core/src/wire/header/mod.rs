//! Command headers in both codecs, JSON and ROCKETMQ binary.

pub(crate) mod binary;
mod ext;
mod json;

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

pub(crate) use ext::push_int;
pub use ext::{ExtFields, ExtWriter, FieldError, FieldValue};

use super::frame::EncodedFrame;
use crate::ids::Opaque;

/// The header of a command: a request, or the response to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Request code, or response code when [`Header::is_response`].
    pub code: i32,
    /// The language of the peer that wrote it.
    pub language: Language,
    /// The wire version of the peer that wrote it.
    pub version: i32,
    /// Correlates request and response.
    pub opaque: Opaque,
    /// Bit 0: response; bit 1: oneway.
    pub flags: i32,
    /// Free text, usually the reason of an error; its presence says nothing.
    pub remark: Option<Remark>,
    /// The fields of the command.
    pub ext: ExtFields,
    /// The codec it came in.
    pub codec: Codec,
}

/// Free text of a peer.
pub type Remark = String;

impl Header {
    /// Whether this is the answer to a request.
    #[must_use]
    pub const fn is_response(&self) -> bool {
        self.flags & FLAG_RESPONSE != 0
    }

    /// Whether nobody waits for an answer.
    #[must_use]
    pub const fn is_oneway(&self) -> bool {
        self.flags & FLAG_ONEWAY != 0
    }
}

/// How a header is written. Each frame says its own; a reply need not use the codec of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// A JSON object.
    #[default]
    Json,
    /// The ROCKETMQ binary layout; codes over 16 bits cannot travel in it.
    Rocketmq,
}

impl Codec {
    /// The codec with this byte on the wire.
    #[must_use]
    pub const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Json),
            1 => Some(Self::Rocketmq),
            _ => None,
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Json => 0,
            Self::Rocketmq => 1,
        }
    }
}

/// The implementation language of a peer, by its ordinal; `OTHER` stands for names we do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language(pub u8);

impl Language {
    /// Java.
    pub const JAVA: Self = Self(0);
    /// Unknown or unspecified.
    pub const OTHER: Self = Self(7);
    /// Rust: what this client announces.
    pub const RUST: Self = Self(12);

    /// The language with this name, [`Language::OTHER`] when unknown.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let ordinal = NAMES.iter().position(|known| *known == name);
        ordinal.and_then(|ordinal| u8::try_from(ordinal).ok()).map_or(Self::OTHER, Self)
    }

    /// The name, `OTHER` when unknown.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("OTHER")
    }
}

/// What an outgoing command says besides its fields and body.
#[derive(Clone, Copy, Debug)]
pub struct Preamble<'a> {
    /// Request or response code.
    pub code: i32,
    /// Bit 0: response; bit 1: oneway.
    pub flags: i32,
    /// The language announced.
    pub language: Language,
    /// The wire version announced.
    pub version: i32,
    /// Free text.
    pub remark: Option<&'a str>,
    /// The header codec wanted; JSON is used when the code does not fit the binary one.
    pub codec: Codec,
}

impl Preamble<'_> {
    /// A request of this client.
    #[must_use]
    pub const fn request(code: i32, codec: Codec) -> Self {
        Self { code, flags: 0, language: Language::RUST, version: VERSION, remark: None, codec }
    }

    /// A request nobody answers.
    #[must_use]
    pub const fn oneway(code: i32, codec: Codec) -> Self {
        Self { flags: FLAG_ONEWAY, ..Self::request(code, codec) }
    }

    /// A response of this client.
    #[must_use]
    pub const fn response(code: i32, codec: Codec) -> Self {
        Self { flags: FLAG_RESPONSE, ..Self::request(code, codec) }
    }

    /// Encodes the command; `fields` writes its fields.
    #[must_use]
    pub fn encode(&self, fields: impl FnOnce(&mut ExtWriter<'_>), body: Bytes) -> EncodedFrame {
        let binary_fits = i16::try_from(self.code).is_ok();
        let codec = if binary_fits { self.codec } else { Codec::Json };
        let mut header = Vec::with_capacity(HEADER_GUESS);
        match codec {
            Codec::Json => json::encode(self, fields, &mut header),
            Codec::Rocketmq => binary::encode(self, fields, &mut header),
        }
        EncodedFrame::new(codec, header, body)
    }
}

/// Bounds on a header, so that a peer cannot make us keep much.
#[derive(Clone, Copy, Debug)]
pub struct HeaderLimits {
    /// Bytes of a header: 2 MiB, as the reply to a stored batch of 20,000 carries 660 KB of ids.
    pub max_len: usize,
    /// Number of fields.
    pub max_fields: usize,
    /// Bytes of a field's key.
    pub max_key: usize,
    /// Nesting of JSON, unknown fields included.
    pub max_depth: usize,
}

impl Default for HeaderLimits {
    fn default() -> Self {
        Self { max_len: 2 * 1024 * 1024, max_fields: 256, max_key: 255, max_depth: 32 }
    }
}

/// Decodes a header.
///
/// # Errors
/// The bytes are not exactly one header within the limits.
pub fn decode(codec: Codec, bytes: &[u8], limits: &HeaderLimits) -> Result<Header, HeaderError> {
    if bytes.len() > limits.max_len {
        return Err(HeaderError::TooLong);
    }
    match codec {
        Codec::Json => json::decode(bytes, limits),
        Codec::Rocketmq => binary::decode(bytes, limits),
    }
}

/// A header that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Over the byte limit.
    #[error("longer than the limit")]
    TooLong,
    /// Not the JSON of a header.
    #[error("JSON: {0}")]
    Json(String),
    /// A required key is missing.
    #[error("no {0}")]
    Missing(&'static str),
    /// A binary field runs past the header, or the header past its fields.
    #[error("binary layout: {0}")]
    Binary(&'static str),
    /// More fields than the limit.
    #[error("too many fields")]
    TooManyFields,
    /// A field key is empty, too long or not UTF-8.
    #[error("bad field key")]
    Key,
}

/// Flag bit of a response.
pub const FLAG_RESPONSE: i32 = 1;
/// Flag bit of a oneway request.
pub const FLAG_ONEWAY: i32 = 2;
/// The wire version this client announces, 5.3.1: servers send GO_AWAY only to versions above it.
pub const VERSION: i32 = 475;
/// What Java calls this version.
pub const VERSION_NAME: &str = "V5_3_1";
/// Room for a usual header.
const HEADER_GUESS: usize = 512;
const NAMES: [&str; 14] = [
    "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS", "RUST",
    "NODE_JS",
];

#[cfg(test)]
mod tests;
