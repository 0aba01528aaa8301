//! Whole frames: `length i32 | codec u8, header length u24 | header | body`.

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u24};

use super::ExtFields;
use super::header::{self, Codec, Header, HeaderError, HeaderLimits, Preamble};
use crate::ids::Opaque;
use crate::mutants::{self, mutant};

/// A decoded frame. The body is its own allocation, so keeping it pins nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The header.
    pub header: Header,
    /// The body, often empty.
    pub body: Bytes,
}

/// The whole size of the frame at the start of `received`, length word included; `None` until that is known.
///
/// # Errors
/// The announced length cannot be that of a frame, or exceeds `max_frame` bytes.
pub fn frame_len(received: &[u8], max_frame: usize) -> Result<Option<usize>, FrameError> {
    let Some(word) = received.first_chunk::<4>() else {
        return Ok(None);
    };
    let announced = i32::from_be_bytes(*word);
    let body = usize::try_from(announced).map_err(|_| FrameError::Length { announced })?;
    if body < PREFIX {
        return Err(FrameError::Length { announced });
    }
    let total = match mutant!(104) {
        true => usize::try_from(mutants::decoder::add(announced, 4)).ok(),
        false => body.checked_add(LENGTH_WORD),
    };
    match total {
        Some(total) if total <= max_frame => {
            if Peer::is_http2_server(received) {
                Err(FrameError::NotRemoting(Peer::Http2))
            } else {
                Ok(Some(total))
            }
        }
        _ => Err(match Peer::recognise(*word) {
            Some(peer) => FrameError::NotRemoting(peer),
            None => FrameError::TooLong { announced, limit: max_frame },
        }),
    }
}

/// Decodes one whole frame, as measured by [`frame_len`].
///
/// # Errors
/// The bytes are not exactly one well-formed frame.
pub fn decode(frame: &[u8], limits: &header::HeaderLimits) -> Result<Frame, FrameError> {
    let truncated = |_: nom::Err<nom::error::Error<&[u8]>>| FrameError::Truncated;
    let (rest, (_, codec, header_len)) = (take(LENGTH_WORD), be_u8, be_u24).parse(frame).map_err(truncated)?;
    let codec = Codec::from_wire(codec).ok_or(FrameError::UnknownCodec(codec))?;
    let announced = usize::try_from(header_len).unwrap_or(usize::MAX);
    let (body, header) = take(header_len).parse(rest).map_err(|_: nom::Err<nom::error::Error<&[u8]>>| {
        FrameError::HeaderLength { announced, available: rest.len() }
    })?;
    let header = header::decode(codec, header, limits).map_err(FrameError::Header)?;
    Ok(Frame { header, body: Bytes::copy_from_slice(body) })
}

/// A frame encoded but for its opaque, which the link that sends it assigns.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    codec: Codec,
    /// The header up to the opaque (JSON), or with a zero in its place (binary).
    header: Vec<u8>,
    body: Bytes,
}

impl EncodedFrame {
    pub(super) fn new(codec: Codec, header: Vec<u8>, body: Bytes) -> Self {
        Self { codec, header, body }
    }

    /// An upper bound of the bytes that [`EncodedFrame::write`] and the body take together.
    #[must_use]
    pub fn len_bound(&self) -> usize {
        self.header.len().saturating_add(self.body.len()).saturating_add(OVERHEAD)
    }

    /// The body; it follows what [`EncodedFrame::write`] writes.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What a request is made of, to be written anew with more fields; `None` for what is no request.
    pub(crate) fn request_parts(&self) -> Option<(Preamble<'static>, ExtFields)> {
        let header = match self.codec {
            Codec::Json => header::decode(self.codec, &[&self.header[..], b"0}"].concat(), &OURS),
            Codec::Rocketmq => header::decode(self.codec, &self.header, &OURS),
        };
        let Header { code, language, version, flags, ext, codec, .. } = header.ok()?;
        let preamble = Preamble { code, flags, language, version, remark: None, codec };
        (flags & header::FLAG_RESPONSE == 0).then_some((preamble, ext))
    }

    /// The same request with these fields, which take the place of those of the same names; `None` for what is no request.
    pub(crate) fn with_fields(&self, fields: &[(String, String)]) -> Option<Self> {
        let (preamble, ext) = self.request_parts()?;
        let kept = ext.iter().filter(|(key, _)| !fields.iter().any(|(name, _)| name == key));
        let all = kept.chain(fields.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        Some(preamble.encode(|out| all.for_each(|(key, value)| out.text(key, value)), self.body.clone()))
    }

    /// Appends everything before the body.
    pub fn write(&self, opaque: Opaque, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 8]);
        match self.codec {
            Codec::Json => {
                out.extend_from_slice(&self.header);
                header::push_int(out, i64::from(opaque.0));
                out.push(b'}');
            }
            Codec::Rocketmq => {
                let (before, rest) = self.header.split_at(header::binary::OPAQUE_AT.min(self.header.len()));
                out.extend_from_slice(before);
                out.extend_from_slice(&opaque.0.to_be_bytes());
                out.extend_from_slice(rest.get(4..).unwrap_or_default());
            }
        }
        let header_len = out.len().saturating_sub(start).saturating_sub(8);
        let total = header_len.saturating_add(self.body.len()).saturating_add(PREFIX);
        let word = (u32::from(self.codec.to_wire()) << 24) | (to_u32(header_len) & 0x00ff_ffff);
        let mut prefix = [0; 8];
        let (length, codec_word) = prefix.split_at_mut(4);
        length.copy_from_slice(&to_u32(total).to_be_bytes());
        codec_word.copy_from_slice(&word.to_be_bytes());
        if let Some(slot) = out.get_mut(start..start.saturating_add(8)) {
            slot.copy_from_slice(&prefix);
        }
    }

    /// The whole frame in one piece, for tests and models.
    #[must_use]
    pub fn to_bytes(&self, opaque: Opaque) -> Bytes {
        let mut out = Vec::with_capacity(self.len_bound());
        self.write(opaque, &mut out);
        out.extend_from_slice(&self.body);
        Bytes::from(out)
    }
}

impl core::fmt::Debug for EncodedFrame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "EncodedFrame({:?}, header {} B, body {} B)", self.codec, self.header.len(), self.body.len())
    }
}

/// A peer that speaks another protocol, recognised by the bytes it sent where a length should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An HTTP/2 client or gRPC proxy.
    Http2,
    /// An HTTP/1 server.
    Http,
    /// A TLS endpoint.
    Tls,
}

impl Peer {
    fn recognise(word: [u8; 4]) -> Option<Self> {
        match &word {
            b"PRI " => Some(Self::Http2),
            b"HTTP" => Some(Self::Http),
            [0x16 | 0x15, 0x03, ..] => Some(Self::Tls),
            _ => None,
        }
    }

    /// An HTTP/2 server opens with a SETTINGS frame: length u24, type 4, flags 0, stream 0. Read as ours, that is a
    /// length below every limit and a header of no bytes, which no command has.
    const fn is_http2_server(received: &[u8]) -> bool {
        matches!(received, [_, _, _, 4, 0, 0, 0, 0, ..])
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Http2 => "this is an HTTP/2 (gRPC) peer: use the remoting port of the broker or name server",
            Self::Http => "this is an HTTP server: use the remoting port (name server 9876, broker 10911 by default)",
            Self::Tls => "this peer speaks TLS: switch TLS on, or use the plain port",
        }
    }
}

/// Bytes that are not a frame. The link they came from is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer speaks another protocol.
    #[error("not a RocketMQ peer: {}", .0.advice())]
    NotRemoting(Peer),
    /// A length no frame can have.
    #[error("frame length {announced}")]
    Length {
        /// The length word.
        announced: i32,
    },
    /// A length over the limit.
    #[error("frame length {announced} is over the limit of {limit} bytes")]
    TooLong {
        /// The length word.
        announced: i32,
        /// The limit in force, length word included.
        limit: usize,
    },
    /// Fewer bytes than the fixed part of a frame.
    #[error("truncated frame")]
    Truncated,
    /// The header would reach past the frame.
    #[error("header length {announced} with {available} bytes left")]
    HeaderLength {
        /// The announced header length.
        announced: usize,
        /// The bytes there are.
        available: usize,
    },
    /// A header codec other than JSON (0) and ROCKETMQ (1).
    #[error("unknown header codec {0}")]
    UnknownCodec(u8),
    /// The header itself is malformed.
    #[error("header: {0}")]
    Header(#[source] HeaderError),
}

/// The largest frame by default, length word included (Java `com.rocketmq.remoting.frameMaxLength`).
pub const MAX_FRAME: usize = 16 * 1024 * 1024;
/// Bytes of the length word.
pub const LENGTH_WORD: usize = 4;
/// Bytes between the length word and the header.
const PREFIX: usize = 4;
/// Length word, codec word, the longest opaque and the closing brace.
const OVERHEAD: usize = 8 + 11 + 1;
/// What this client wrote itself is within any bounds.
const OURS: HeaderLimits =
    HeaderLimits { max_len: usize::MAX, max_fields: usize::MAX, max_key: usize::MAX, max_depth: 8 };

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::HeaderLimits;

    #[test]
    fn lengths_are_checked_before_anything_is_kept() {
        for announced in [-1, 0, 1, 3, i32::MIN] {
            let bytes = i32::to_be_bytes(announced);
            assert_eq!(frame_len(&bytes, MAX_FRAME), Err(FrameError::Length { announced }), "{announced}");
        }
        for announced in [16_777_213, i32::MAX] {
            let bytes = i32::to_be_bytes(announced);
            assert_eq!(frame_len(&bytes, MAX_FRAME), Err(FrameError::TooLong { announced, limit: MAX_FRAME }));
        }
        assert_eq!(frame_len(&16_777_212_i32.to_be_bytes(), MAX_FRAME), Ok(Some(MAX_FRAME)));
        assert_eq!(frame_len(&[0, 0, 0], MAX_FRAME), Ok(None));
    }

    #[test]
    fn other_protocols_are_recognised() {
        let verdict = |bytes: &[u8]| frame_len(bytes, MAX_FRAME);
        assert_eq!(verdict(b"PRI * HTTP/2.0"), Err(FrameError::NotRemoting(Peer::Http2)));
        let settings = [0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 128];
        assert_eq!(verdict(&settings), Err(FrameError::NotRemoting(Peer::Http2)));
        assert_eq!(verdict(&settings[..7]), Ok(Some(18 * 256 + 8)), "it may still be a frame");
        assert_eq!(verdict(b"HTTP/1.1 400"), Err(FrameError::NotRemoting(Peer::Http)));
        assert_eq!(verdict(&[0x16, 0x03, 0x01, 0x02]), Err(FrameError::NotRemoting(Peer::Tls)));
        assert_eq!(verdict(&[0x15, 0x03, 0x03, 0x00]), Err(FrameError::NotRemoting(Peer::Tls)));
    }

    #[test]
    fn a_header_never_reaches_past_its_frame() {
        let limits = HeaderLimits::default();
        let frame = [0, 0, 0, 6, 0, 0, 0, 9, b'{', b'}'];
        assert_eq!(decode(&frame, &limits), Err(FrameError::HeaderLength { announced: 9, available: 2 }));
        assert_eq!(decode(&[0, 0, 0, 4, 2, 0, 0, 0], &limits), Err(FrameError::UnknownCodec(2)));
        assert_eq!(decode(&[0, 0, 0, 4], &limits), Err(FrameError::Truncated));
    }
}
