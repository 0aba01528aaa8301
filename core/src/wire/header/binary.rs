//! The ROCKETMQ binary header.

use alloc::string::String;
use alloc::vec::Vec;

use nom::bytes::complete::take;
use nom::number::complete::{be_i16, be_i32, be_u8};
use nom::{IResult, Parser};

use super::ext::ExtWriter;
use super::{Codec, ExtFields, Header, HeaderError, HeaderLimits, Language, Preamble};
use crate::ids::Opaque;
use crate::mutants::{self, mutant};

/// Where the opaque stands: after code (2), language (1) and version (2).
pub(crate) const OPAQUE_AT: usize = 5;

/// Writes the header with a zero for its opaque.
pub(super) fn encode(preamble: &Preamble<'_>, fields: impl FnOnce(&mut ExtWriter<'_>), out: &mut Vec<u8>) {
    let short = |value: i32| i16::try_from(value).unwrap_or_default().to_be_bytes();
    let len = |value: usize| i32::try_from(value).unwrap_or(i32::MAX).to_be_bytes();
    out.extend_from_slice(&short(preamble.code));
    out.push(preamble.language.0);
    out.extend_from_slice(&short(preamble.version));
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&preamble.flags.to_be_bytes());
    let remark = preamble.remark.unwrap_or_default();
    out.extend_from_slice(&len(remark.len()));
    out.extend_from_slice(remark.as_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let start = out.len();
    fields(&mut ExtWriter { out, codec: Codec::Rocketmq, first: true });
    let ext_len = len(out.len().saturating_sub(start));
    if let Some(slot) = out.get_mut(at..start) {
        slot.copy_from_slice(&ext_len);
    }
}

pub(super) fn decode(bytes: &[u8], limits: &HeaderLimits) -> Result<Header, HeaderError> {
    let (rest, fixed) = (be_i16, be_u8, be_i16, be_i32, be_i32)
        .parse(bytes)
        .map_err(|_: nom::Err<nom::error::Error<_>>| HeaderError::Binary("fixed part is truncated"))?;
    let (code, language, version, opaque, flags) = fixed;
    let (rest, remark) = sized(rest).map_err(|_| HeaderError::Binary("remark runs past the header"))?;
    let (rest, mut pairs) = match mutant!(108) {
        true => rest.split_at_checked(4).map(|(_, fields)| (&[][..], fields)).unwrap_or_default(),
        false => sized(rest).map_err(|_| HeaderError::Binary("fields run past the header"))?,
    };
    if !rest.is_empty() {
        return Err(HeaderError::Binary("bytes after the fields"));
    }
    let mut ext = ExtFields::default();
    while !pairs.is_empty() {
        if ext.len() >= limits.max_fields {
            return Err(HeaderError::TooManyFields);
        }
        let (rest, (key, value)) = pair(pairs).map_err(|_| HeaderError::Binary("a field runs past the fields"))?;
        if key.is_empty() && mutant!(110) {
            continue;
        }
        let key = core::str::from_utf8(key).map_err(|_| HeaderError::Key)?;
        if key.is_empty() || key.len() > limits.max_key {
            return Err(HeaderError::Key);
        }
        // An empty value is how Java writes and reads "absent".
        if value.is_empty() {
            ext.remove(key);
        } else {
            ext.push(key, &String::from_utf8_lossy(value));
        }
        pairs = rest;
    }
    let remark = (!remark.is_empty()).then(|| String::from_utf8_lossy(remark).into_owned());
    Ok(Header {
        code: i32::from(code),
        language: Language(language),
        version: i32::from(version),
        opaque: Opaque(opaque),
        flags,
        remark,
        ext,
        codec: Codec::Rocketmq,
    })
}

/// Bytes behind a non-negative 32-bit length.
fn sized(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let (rest, len) = be_i32(input)?;
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    if mutant!(105) {
        mutants::decoder::make_room(len);
    }
    take(len).parse(rest)
}

/// A key behind a 16-bit length, a value behind a 32-bit one.
fn pair(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let (rest, len) = be_i16(input)?;
    let (rest, key) = take(u16::try_from(len).unwrap_or(u16::MAX)).parse(rest)?;
    let (rest, value) = sized(rest)?;
    Ok((rest, (key, value)))
}
