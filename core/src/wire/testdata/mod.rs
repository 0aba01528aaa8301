//! Frames exchanged with real servers: each file is lines of one frame in hexadecimal, after `#` and its direction.

use alloc::vec::Vec;

use bytes::Bytes;

use super::frame;
use super::header::HeaderLimits;

/// The body of frame number `index`.
pub(crate) fn body(file: &str, index: usize) -> Bytes {
    let line = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).nth(index).unwrap();
    let bytes = line.as_bytes().chunks(2).map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().unwrap();
    frame::decode(&bytes, &HeaderLimits::default()).unwrap().body
}

macro_rules! captured {
    ($name:literal, $index:literal) => {
        $crate::wire::testdata::body(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/testdata/", $name, ".hex")),
            $index,
        )
    };
}
pub(crate) use captured;
