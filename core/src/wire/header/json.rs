//! The JSON header: one borrowed pass by a hand-written visitor.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::ext::{ExtWriter, push_int, push_json_text};
use super::{Codec, ExtFields, Header, HeaderError, HeaderLimits, Language, Preamble};
use crate::ids::Opaque;
use crate::mutants::mutant;

/// Writes the header up to the value of its last key, the opaque, and the closing brace.
pub(super) fn encode(preamble: &Preamble<'_>, fields: impl FnOnce(&mut ExtWriter<'_>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"code\":");
    push_int(out, i64::from(preamble.code));
    out.extend_from_slice(b",\"flag\":");
    push_int(out, i64::from(preamble.flags));
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(preamble.language.name().as_bytes());
    out.extend_from_slice(b"\",\"version\":");
    push_int(out, i64::from(preamble.version));
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\"");
    if let Some(remark) = preamble.remark {
        out.extend_from_slice(b",\"remark\":\"");
        push_json_text(out, remark);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"extFields\":{");
    fields(&mut ExtWriter { out, codec: Codec::Json, first: true });
    out.extend_from_slice(b"},\"opaque\":");
}

pub(super) fn decode(bytes: &[u8], limits: &HeaderLimits) -> Result<Header, HeaderError> {
    let text = core::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    let mut json = serde_json::Deserializer::from_str(&text);
    let parsed = json
        .deserialize_map(HeaderVisitor { limits, room: bytes.len().min(USUAL_HEADER) })
        .and_then(|header| json.end().map(|()| header));
    match parsed {
        Ok(header) => header,
        Err(error) => Err(HeaderError::Json(error.to_string())),
    }
}

struct HeaderVisitor<'l> {
    limits: &'l HeaderLimits,
    room: usize,
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = Result<Header, HeaderError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command header")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut code, mut opaque) = (None, None);
        let (mut language, mut version, mut flags) = (Language::OTHER, 0, 0);
        let (mut remark, mut ext) = (None, ExtFields::default());
        while let Some(key) = map.next_key_seed(Key)? {
            match &*key {
                "code" => code = map.next_value_seed(Integer)?,
                "opaque" => opaque = map.next_value_seed(Integer)?,
                "flag" => flags = map.next_value_seed(Integer)?.unwrap_or(0),
                "version" => version = map.next_value_seed(Integer)?.unwrap_or(0),
                "language" => {
                    let name = map.next_value_seed(Text)?;
                    language = name.map_or(Language::OTHER, |name| Language::from_name(&name));
                }
                "remark" => remark = map.next_value_seed(Text)?.map(Cow::into_owned),
                "extFields" => match map.next_value_seed(Ext { limits: self.limits, room: self.room })? {
                    Ok(fields) => ext = fields,
                    Err(error) => return drain(map, self.limits).map(|()| Err(error)),
                },
                _ => map.next_value_seed(Skip { depth: self.limits.max_depth.saturating_sub(1) })?,
            }
        }
        let header = || {
            let code = code.ok_or(HeaderError::Missing("code"))?;
            let opaque = Opaque(opaque.ok_or(HeaderError::Missing("opaque"))?);
            Ok(Header { code, language, version, opaque, flags, remark, ext, codec: Codec::Json })
        };
        Ok(header())
    }
}

fn drain<'de, A: MapAccess<'de>>(mut map: A, limits: &HeaderLimits) -> Result<(), A::Error> {
    while map.next_key_seed(Key)?.is_some() {
        map.next_value_seed(Skip { depth: limits.max_depth.saturating_sub(1) })?;
    }
    Ok(())
}

/// An object key, borrowed when it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_string()))
    }
}

macro_rules! scalar_seed {
    ($seed:ident) => {
        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = <Self as Visitor<'de>>::Value;

            fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
                json.deserialize_any(self)
            }
        }
    };
}

/// A 32-bit integer, or the text of one; null is absent.
struct Integer;
scalar_seed!(Integer);

impl<'de> Visitor<'de> for Integer {
    type Value = Option<i32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 32-bit integer")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        i32::try_from(value).map(Some).map_err(|_| E::custom("an integer over 32 bits"))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        i32::try_from(value).map(Some).map_err(|_| E::custom("an integer over 32 bits"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        text.parse().map(Some).map_err(|_| E::custom("a text that is not an integer"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A text, or a scalar as its text; null is absent.
struct Text;
scalar_seed!(Text);

impl<'de> Visitor<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_string())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// The object of fields, or null.
struct Ext<'l> {
    limits: &'l HeaderLimits,
    /// Bytes of the whole header, which bounds its fields.
    room: usize,
}

impl<'de> DeserializeSeed<'de> for Ext<'_> {
    type Value = Result<ExtFields, HeaderError>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Ext<'_> {
    type Value = Result<ExtFields, HeaderError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Ok(ExtFields::default()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut ext = ExtFields::with_capacity(self.room);
        while let Some(key) = map.next_key_seed(Key)? {
            let Some(value) = map.next_value_seed(Text)? else {
                ext.remove(&key);
                continue;
            };
            let verdict = match () {
                () if key.is_empty() || key.len() > self.limits.max_key => Err(HeaderError::Key),
                () if ext.len() >= self.limits.max_fields => Err(HeaderError::TooManyFields),
                () => Ok(()),
            };
            if let Err(error) = verdict {
                return drain(map, self.limits).map(|()| Err(error));
            }
            ext.push(&key, &value);
        }
        Ok(Ok(ext))
    }
}

/// Room for the fields of a usual header; a longer one grows as it is read.
const USUAL_HEADER: usize = 512;

/// Skips any value of at most `depth` further levels.
struct Skip {
    depth: usize,
}

impl Skip {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        match if mutant!(109) { Some(self.depth) } else { self.depth.checked_sub(1) } {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom("nested too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.inner()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Key)?.is_some() {
            map.next_value_seed(self.inner()?)?;
        }
        Ok(())
    }
}
