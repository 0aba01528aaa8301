//! Compressed bodies.
//!
//! Inflating never keeps more than the cap and a codec's window: the output grows with what comes out of the codec,
//! never by a size that the data announces. LZ4 frames do announce the size of their blocks, and room is made for three
//! of them and 64 KiB: that is 12 MiB and a bit at most, and not many frames may follow one another.

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
/// further frames, and anything else is an error. Both are what Java does, but of LZ4 no more than 16 frames are read.
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
    /// More frames than a body has. Source: Java `Lz4Compressor`, which writes one.
    #[error("more than {limit} frames")]
    TooManyFrames {
        /// The limit.
        limit: usize,
    },
    /// Larger than allowed, or than there is memory for.
    #[error("inflates to more than {cap} bytes")]
    OverCap {
        /// The cap in force.
        cap: usize,
    },
    /// Compressed, but in no way this client knows.
    #[error("compressed in an unknown way")]
    UnknownKind,
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
    use crate::mutants::mutant;

    pub(super) fn inflate(data: &[u8], cap: usize) -> Result<Vec<u8>, InflateError> {
        let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let cap = if mutant!(106) { usize::MAX } else { cap };
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
            let needed = out.len().saturating_add(read);
            if needed > cap {
                return Err(InflateError::OverCap { cap });
            }
            if needed > out.capacity() {
                // Doubling, but never past the cap.
                let room = out.capacity().saturating_mul(2).clamp(needed, cap);
                let more = room.saturating_sub(out.len());
                out.try_reserve_exact(more).map_err(|_| InflateError::OverCap { cap })?;
            }
            out.extend_from_slice(bytes);
        }
    }

    const CHUNK: usize = 16 * 1024;
}

#[cfg(feature = "lz4")]
mod lz4 {
    use alloc::vec::Vec;
    use std::io::{Read, Result, Write};

    use lz4_flex::frame::{FrameDecoder, FrameEncoder};

    use super::CompressionKind::Lz4;
    use super::{InflateError, stream};

    pub(super) fn inflate(data: &[u8], cap: usize) -> core::result::Result<Vec<u8>, InflateError> {
        const CORRUPT: InflateError = InflateError::Corrupt(Lz4);
        let mut out = Vec::new();
        let mut input = Input { rest: data, ended: false };
        let mut frames = 0_usize;
        loop {
            match input.rest.split_first_chunk::<4>().map(|(magic, rest)| (u32::from_le_bytes(*magic), rest)) {
                Some((MAGIC, _)) if frames >= MAX_FRAMES => {
                    return Err(InflateError::TooManyFrames { limit: MAX_FRAMES });
                }
                // The decoder reads one frame and takes no byte beyond it.
                Some((MAGIC, _)) => {
                    frames = frames.saturating_add(1);
                    stream::drain(Lz4, &mut FrameDecoder::new(&mut input), cap, &mut out)?;
                }
                Some((SKIPPABLE_FIRST..=SKIPPABLE_LAST, rest)) => {
                    let (len, rest) = rest.split_first_chunk::<4>().ok_or(CORRUPT)?;
                    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| CORRUPT)?;
                    input.rest = rest.get(len..).ok_or(CORRUPT)?;
                }
                Some(_) | None => return Err(CORRUPT),
            }
            // The decoder takes the end of its input for the end of the frame, which has a mark of its own.
            if input.ended {
                return Err(CORRUPT);
            }
            if input.rest.is_empty() {
                return Ok(out);
            }
        }
    }

    /// Bytes that remember whether more was asked for than there is.
    struct Input<'a> {
        rest: &'a [u8],
        ended: bool,
    }

    impl Read for Input<'_> {
        fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
            self.ended |= self.rest.len() < buf.len();
            self.rest.read(buf)
        }
    }

    /// Frames in a body at most: one of a few bytes has a decoder fill megabytes.
    const MAX_FRAMES: usize = 16;
    const MAGIC: u32 = 0x184D_2204;
    const SKIPPABLE_FIRST: u32 = 0x184D_2A50;
    const SKIPPABLE_LAST: u32 = 0x184D_2A5F;

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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const KINDS: [CompressionKind; 3] = [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd];
    const CAP: usize = 16 * 1024 * 1024;

    /// The kinds this build has.
    fn supported() -> impl Iterator<Item = CompressionKind> {
        KINDS.into_iter().filter(|kind| kind.supported())
    }

    fn packed(kind: CompressionKind, data: &[u8]) -> Vec<u8> {
        deflate(kind, DEFAULT_LEVEL, data).unwrap()
    }

    #[test]
    fn kinds_are_bits_of_the_flags() {
        for kind in KINDS {
            assert_eq!(CompressionKind::from_sys_flag(kind.to_sys_flag() | 0x8FF), Some(kind));
        }
        assert_eq!(CompressionKind::from_sys_flag(0x1), Some(CompressionKind::Zlib), "old clients");
        assert_eq!(CompressionKind::from_sys_flag(0x400), None);
    }

    #[test]
    fn a_kind_without_its_feature_is_told() {
        for kind in KINDS.into_iter().filter(|kind| !kind.supported()) {
            assert_eq!(inflate(kind, b"x", CAP), Err(InflateError::Unsupported(kind)));
            assert_eq!(deflate(kind, DEFAULT_LEVEL, b"x"), None);
        }
    }

    #[cfg(feature = "zlib")]
    #[test]
    fn a_body_that_java_compressed_is_inflated() {
        let body = crate::wire::testdata::captured!("java540_310_compressed", 0);
        assert_eq!(inflate(CompressionKind::Zlib, &body, CAP).unwrap(), vec![b'z'; 5_000]);
        assert_eq!(inflate(CompressionKind::Zlib, &body, 4_999), Err(InflateError::OverCap { cap: 4_999 }));
        assert_eq!(inflate(CompressionKind::Zlib, &body, 5_000).map(|body| body.len()), Ok(5_000));
    }

    #[cfg(feature = "lz4")]
    #[test]
    fn a_frame_of_the_lz4_tool_is_inflated() {
        // `printf hello | lz4`.
        let frame = [
            0x04, 0x22, 0x4D, 0x18, 0x64, 0x40, 0xA7, 0x05, 0x00, 0x00, 0x80, b'h', b'e', b'l', b'l', b'o', 0, 0, 0, 0,
            0xF9, 0x77, 0x00, 0xFB,
        ];
        assert_eq!(inflate(CompressionKind::Lz4, &frame, CAP).unwrap(), b"hello");
        let skippable = [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9];
        let joined = [&skippable[..], &frame, &skippable].concat();
        assert_eq!(inflate(CompressionKind::Lz4, &joined, CAP).unwrap(), b"hello");
        let mut changed = frame;
        changed[11] = b'j';
        assert_eq!(inflate(CompressionKind::Lz4, &changed, CAP), Err(InflateError::Corrupt(CompressionKind::Lz4)));
    }

    #[cfg(feature = "lz4")]
    #[test]
    fn many_small_frames_do_not_cost_much_work() {
        let frame = packed(CompressionKind::Lz4, b"x");
        let skippable = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0];
        let frames = [frame.as_slice(), &skippable].concat();
        assert_eq!(inflate(CompressionKind::Lz4, &frames.repeat(16), CAP).unwrap(), [b'x'; 16]);
        let error = InflateError::TooManyFrames { limit: 16 };
        assert_eq!(inflate(CompressionKind::Lz4, &frames.repeat(17), CAP), Err(error));
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn a_frame_of_the_zstd_tool_is_inflated() {
        // `printf hello | zstd --no-check`: one raw block in a window of 2 MiB.
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, 0x29, 0x00, 0x00, b'h', b'e', b'l', b'l', b'o'];
        assert_eq!(inflate(CompressionKind::Zstd, &frame, CAP).unwrap(), b"hello");
        // Skippable frames may stand before and after.
        let skippable = [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9];
        let joined = [&skippable[..], &frame, &skippable].concat();
        assert_eq!(inflate(CompressionKind::Zstd, &joined, CAP).unwrap(), b"hello");
        let cut = &joined[..joined.len() - 1];
        assert_eq!(inflate(CompressionKind::Zstd, cut, CAP), Err(InflateError::Corrupt(CompressionKind::Zstd)));
        // Exponent 13 is a window of 8 MiB, 14 one of 16 MiB; 31 would be 2 TiB.
        let window = |exponent: u8| {
            let mut frame = frame;
            frame[5] = exponent << 3;
            inflate(CompressionKind::Zstd, &frame, CAP)
        };
        assert_eq!(window(13).unwrap(), b"hello");
        assert_eq!(window(14), Err(InflateError::Corrupt(CompressionKind::Zstd)));
        assert_eq!(window(31), Err(InflateError::Corrupt(CompressionKind::Zstd)));
    }

    #[test]
    fn a_bomb_is_stopped_at_the_cap() {
        let zeros = vec![0; 64 * 1024 * 1024];
        for kind in supported() {
            let bomb = packed(kind, &zeros);
            assert!(bomb.len() < 1024 * 1024, "{kind:?}: {}", bomb.len());
            assert_eq!(inflate(kind, &bomb, CAP), Err(InflateError::OverCap { cap: CAP }), "{kind:?}");
        }
    }

    #[test]
    fn exactly_the_cap_is_allowed() {
        for kind in supported() {
            for len in [0, 1, 1_023, 1_024, 1_025, 100_000] {
                let data = vec![7; len];
                let packed = packed(kind, &data);
                assert_eq!(inflate(kind, &packed, len).as_ref(), Ok(&data), "{kind:?} {len}");
                if let Some(cap) = len.checked_sub(1) {
                    assert_eq!(inflate(kind, &packed, cap), Err(InflateError::OverCap { cap }), "{kind:?} {len}");
                }
            }
        }
    }

    #[test]
    fn truncated_data_is_corrupt() {
        let data: Vec<u8> = (0..2_000_u32).flat_map(u32::to_be_bytes).collect();
        for kind in supported() {
            let packed = packed(kind, &data);
            for len in (0..packed.len()).step_by(7).chain([packed.len() - 1]) {
                assert_eq!(inflate(kind, &packed[..len], CAP), Err(InflateError::Corrupt(kind)), "{kind:?} {len}");
            }
        }
    }

    #[test]
    fn what_follows_is_treated_as_java_does() {
        for kind in supported() {
            let one = packed(kind, b"hello");
            let garbage = [one.as_slice(), b"garbage, and more than a header of it"].concat();
            let twice = one.repeat(2);
            if kind == CompressionKind::Zlib {
                assert_eq!(inflate(kind, &garbage, CAP).unwrap(), b"hello");
                assert_eq!(inflate(kind, &twice, CAP).unwrap(), b"hello");
            } else {
                assert_eq!(inflate(kind, &garbage, CAP), Err(InflateError::Corrupt(kind)), "{kind:?}");
                assert_eq!(inflate(kind, &twice, CAP).unwrap(), b"hellohello", "{kind:?}");
                assert_eq!(inflate(kind, &twice, 9), Err(InflateError::OverCap { cap: 9 }), "{kind:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn bodies_come_back(data: Vec<u8>, times in 1_usize..400, level in 0_u8..12) {
            let data = data.repeat(times);
            for kind in supported() {
                let packed = deflate(kind, level, &data).unwrap();
                let back = inflate(kind, &packed, data.len());
                prop_assert_eq!(back.as_ref(), Ok(&data), "{:?}", kind);
            }
        }

        #[test]
        fn damaged_data_has_a_verdict(data: Vec<u8>, at: prop::sample::Index, value: u8) {
            for kind in supported() {
                let _ = inflate(kind, &data, 10_000);
                let mut packed = packed(kind, &data.repeat(50));
                let at = at.index(packed.len());
                packed[at] = value;
                let verdict = inflate(kind, &packed, 10_000);
                prop_assert!(verdict.map_or(true, |out| out.len() <= 10_000));
            }
        }
    }
}
