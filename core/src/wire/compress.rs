//! Compressed bodies.
//!
//! Inflating never keeps more than the cap and a codec's window: the output grows with what comes out of the codec,
//! never by a size that the data announces.

use alloc::vec::Vec;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionKind {
    /// A zlib stream (RFC 1950).
    Zlib,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl CompressionKind {
    /// The kind that the compression bits of a sysFlag say; none of them means zlib, as old clients write it.
    #[must_use]
    pub const fn from_sys_flag(sys_flag: i32) -> Option<Self> {
        match sys_flag & super::message::SysFlags::COMPRESSION_MASK {
            0 | 0x300 => Some(Self::Zlib),
            0x100 => Some(Self::Lz4),
            0x200 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The compression bits of a sysFlag.
    #[must_use]
    pub const fn to_sys_flag(self) -> i32 {
        match self {
            Self::Zlib => 0x300,
            Self::Lz4 => 0x100,
            Self::Zstd => 0x200,
        }
    }

    /// Whether this build can read and write it.
    #[must_use]
    pub const fn supported(self) -> bool {
        match self {
            Self::Zlib => cfg!(feature = "zlib"),
            Self::Lz4 => cfg!(feature = "lz4"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }
}

/// The original of a compressed body, at most `cap` bytes.
///
/// After the end of a zlib stream further bytes are ignored; after the end of an LZ4 or Zstandard frame there may be
/// further frames, and anything else is an error. Both are what Java does.
///
/// # Errors
/// The data is corrupt, or its original is over the cap, or this build cannot read the kind.
pub fn inflate(kind: CompressionKind, data: &[u8], cap: usize) -> Result<Vec<u8>, InflateError> {
    match kind {
        CompressionKind::Zlib => zlib::inflate(data, cap),
        CompressionKind::Lz4 => lz4::inflate(data, cap),
        CompressionKind::Zstd => zstd::inflate(data, cap),
    }
}

/// Compresses a body; `None` when this build cannot write the kind: send it as it is then.
///
/// The level, 0 to 9, counts for zlib only.
#[must_use]
pub fn deflate(kind: CompressionKind, level: u8, data: &[u8]) -> Option<Vec<u8>> {
    match kind {
        CompressionKind::Zlib => zlib::deflate(level, data),
        CompressionKind::Lz4 => lz4::deflate(data),
        CompressionKind::Zstd => zstd::deflate(data),
    }
}

/// A body that cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// Not data of this kind, or truncated.
    #[error("corrupt {0:?} data")]
    Corrupt(CompressionKind),
    /// Larger than allowed, or than there is memory for.
    #[error("inflates to more than {cap} bytes")]
    OverCap {
        /// The cap in force.
        cap: usize,
    },
    /// A kind this build cannot read.
    #[error("this build cannot read {0:?}: switch on the feature")]
    Unsupported(CompressionKind),
}

/// The level Java compresses with by default.
pub const DEFAULT_LEVEL: u8 = 5;

#[cfg(feature = "zlib")]
mod zlib {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::inflate_flags::{
        TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
    };
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

    use super::CompressionKind::Zlib;
    use super::InflateError;

    pub(super) fn inflate(data: &[u8], cap: usize) -> Result<Vec<u8>, InflateError> {
        let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        // One byte of room over the cap tells an original of exactly the cap from a longer one.
        let room = cap.saturating_add(1);
        let mut state = Box::<DecompressorOxide>::default();
        let mut out = Vec::new();
        let (mut input, mut written) = (data, 0_usize);
        let mut len = data.len().saturating_mul(2).clamp(FIRST, MAX_FIRST).min(room);
        loop {
            out.try_reserve_exact(len.saturating_sub(out.len())).map_err(|_| InflateError::OverCap { cap })?;
            out.resize(len, 0);
            let (status, used, made) = decompress(&mut state, input, &mut out, written, flags);
            input = input.get(used..).unwrap_or_default();
            written = written.saturating_add(made);
            if written > cap {
                return Err(InflateError::OverCap { cap });
            }
            match status {
                TINFLStatus::Done => {
                    out.truncate(written);
                    return Ok(out);
                }
                TINFLStatus::HasMoreOutput if len < room => len = len.saturating_mul(2).min(room),
                TINFLStatus::HasMoreOutput => return Err(InflateError::OverCap { cap }),
                TINFLStatus::FailedCannotMakeProgress
                | TINFLStatus::BadParam
                | TINFLStatus::Adler32Mismatch
                | TINFLStatus::Failed
                | TINFLStatus::NeedsMoreInput => return Err(InflateError::Corrupt(Zlib)),
            }
        }
    }

    pub(super) fn deflate(level: u8, data: &[u8]) -> Option<Vec<u8>> {
        Some(miniz_oxide::deflate::compress_to_vec_zlib(data, level.min(9)))
    }

    /// The first room for output.
    const FIRST: usize = 1_024;
    /// The same at most.
    const MAX_FIRST: usize = 64 * 1024;
}

#[cfg(any(feature = "lz4", feature = "zstd"))]
mod stream {
    use alloc::vec::Vec;
    use std::io::Read;

    use super::{CompressionKind, InflateError};

    /// Appends what `from` gives until it gives no more.
    pub(super) fn drain(
        kind: CompressionKind,
        from: &mut impl Read,
        cap: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        let mut chunk = [0; CHUNK];
        loop {
            let read = from.read(&mut chunk).map_err(|_| InflateError::Corrupt(kind))?;
            let bytes = chunk.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            if cap.saturating_sub(out.len()) < read {
                return Err(InflateError::OverCap { cap });
            }
            out.try_reserve(read).map_err(|_| InflateError::OverCap { cap })?;
            out.extend_from_slice(bytes);
        }
    }

    const CHUNK: usize = 16 * 1024;
}

#[cfg(feature = "lz4")]
mod lz4 {
    use alloc::vec::Vec;
    use std::io::Write;

    use lz4_flex::frame::{FrameDecoder, FrameEncoder};

    use super::CompressionKind::Lz4;
    use super::{InflateError, stream};

    pub(super) fn inflate(data: &[u8], cap: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        let mut input = data;
        loop {
            let before = input.len();
            // A decoder reads one frame, and takes no byte beyond it.
            stream::drain(Lz4, &mut FrameDecoder::new(&mut input), cap, &mut out)?;
            if input.len() == before {
                return Err(InflateError::Corrupt(Lz4));
            }
            if input.is_empty() {
                return Ok(out);
            }
        }
    }

    pub(super) fn deflate(data: &[u8]) -> Option<Vec<u8>> {
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(data).ok()?;
        encoder.finish().ok()
    }
}

#[cfg(feature = "zstd")]
mod zstd {
    use alloc::vec::Vec;

    use ruzstd::decoding::StreamingDecoder;
    use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::CompressionKind::Zstd;
    use super::{InflateError, stream};

    pub(super) fn inflate(data: &[u8], cap: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        let mut input = data;
        loop {
            match StreamingDecoder::new_with_max_window_size(&mut input, MAX_WINDOW) {
                Ok(mut decoder) => stream::drain(Zstd, &mut decoder, cap, &mut out)?,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = usize::try_from(length).map_err(|_| InflateError::Corrupt(Zstd))?;
                    input = input.get(length..).ok_or(InflateError::Corrupt(Zstd))?;
                }
                Err(_) => return Err(InflateError::Corrupt(Zstd)),
            }
            if input.is_empty() {
                return Ok(out);
            }
        }
    }

    pub(super) fn deflate(data: &[u8]) -> Option<Vec<u8>> {
        // The encoder knows no other level.
        Some(compress_to_vec(data, CompressionLevel::Fastest))
    }

    /// The largest window accepted: Java's writers use 2 MiB, a frame may ask for gigabytes.
    const MAX_WINDOW: u64 = 8 * 1024 * 1024;
}

macro_rules! unsupported {
    ($feature:literal, $module:ident, $kind:ident, ($($level:ident: $level_type:ty)?)) => {
        #[cfg(not(feature = $feature))]
        mod $module {
            use alloc::vec::Vec;

            use super::{CompressionKind, InflateError};

            pub(super) const fn inflate(_: &[u8], _: usize) -> Result<Vec<u8>, InflateError> {
                Err(InflateError::Unsupported(CompressionKind::$kind))
            }

            pub(super) const fn deflate($(_: $level_type,)? _: &[u8]) -> Option<Vec<u8>> {
                None
            }
        }
    };
}
unsupported!("zlib", zlib, Zlib, (level: u8));
unsupported!("lz4", lz4, Lz4, ());
unsupported!("zstd", zstd, Zstd, ());
