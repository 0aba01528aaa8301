//! The fields of a header: a flat map of texts.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::Codec;
use crate::ids::{BrokerName, ClientId, Group, QueueOffset, Topic};

/// Fields of a decoded header, in wire order; of a repeated key the last one counts.
#[derive(Clone, Default)]
pub struct ExtFields {
    text: String,
    spans: Vec<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    key: usize,
    value: usize,
    end: usize,
}

impl ExtFields {
    /// No fields yet, room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), spans: Vec::with_capacity(USUAL_FIELDS) }
    }

    /// Adds a field.
    pub fn push(&mut self, key: &str, value: &str) {
        let start = self.text.len();
        self.text.push_str(key);
        let middle = self.text.len();
        self.text.push_str(value);
        self.spans.push(Span { key: start, value: middle, end: self.text.len() });
    }

    /// Takes back every field `key`: the last word on it was that it is absent.
    pub(super) fn remove(&mut self, key: &str) {
        let Self { text, spans } = self;
        spans.retain(|span| text.get(span.key..span.value) != Some(key));
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let key = key.as_bytes();
        let text = self.text.as_bytes();
        let same = |span: &&Span| {
            span.value.saturating_sub(span.key) == key.len() && text.get(span.key..span.value) == Some(key)
        };
        let span = self.spans.iter().rev().find(same)?;
        self.text.get(span.value..span.end)
    }

    /// The field `key` as a typed value.
    ///
    /// # Errors
    /// The field is missing or not of that type.
    pub fn field<T: FieldValue>(&self, key: &'static str) -> Result<T, FieldError> {
        T::from_field(key, self.get(key))
    }

    /// All fields, in wire order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> + Clone {
        self.spans.iter().map(|span| {
            let key = self.text.get(span.key..span.value).unwrap_or_default();
            (key, self.text.get(span.value..span.end).unwrap_or_default())
        })
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

impl PartialEq for ExtFields {
    fn eq(&self, other: &Self) -> bool {
        let known = |ours: &Self, theirs: &Self| ours.iter().all(|(key, _)| ours.get(key) == theirs.get(key));
        known(self, other) && known(other, self)
    }
}

impl Eq for ExtFields {}

impl fmt::Debug for ExtFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(fields: I) -> Self {
        let mut ext = Self::default();
        fields.into_iter().for_each(|(key, value)| ext.push(key, value));
        ext
    }
}

/// Writes the fields of a header in its codec.
///
/// Keys are names of the protocol, written as they are: letters, digits and `_` only.
pub struct ExtWriter<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) codec: Codec,
    pub(super) first: bool,
}

impl ExtWriter<'_> {
    /// Writes a text field.
    pub fn text(&mut self, key: &str, value: &str) {
        match self.codec {
            Codec::Json => {
                self.json_key(key);
                self.out.push(b'"');
                push_json_text(self.out, value);
                self.out.push(b'"');
            }
            Codec::Rocketmq => {
                self.binary_key(key);
                self.out.extend_from_slice(&i32::try_from(value.len()).unwrap_or(i32::MAX).to_be_bytes());
                self.out.extend_from_slice(value.as_bytes());
            }
        }
    }

    /// Writes an integer field.
    pub fn int(&mut self, key: &str, value: i64) {
        match self.codec {
            Codec::Json => {
                self.json_key(key);
                self.out.push(b'"');
                push_int(self.out, value);
                self.out.push(b'"');
            }
            Codec::Rocketmq => {
                let mut buffer = itoa::Buffer::new();
                self.text(key, buffer.format(value));
            }
        }
    }

    /// Writes a boolean field.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.text(key, if value { "true" } else { "false" });
    }

    fn json_key(&mut self, key: &str) {
        if !core::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        push_json_text(self.out, key);
        self.out.extend_from_slice(b"\":");
    }

    fn binary_key(&mut self, key: &str) {
        self.out.extend_from_slice(&i16::try_from(key.len()).unwrap_or(i16::MAX).to_be_bytes());
        self.out.extend_from_slice(key.as_bytes());
    }
}

/// A type that a header field can hold: everything travels as text.
pub trait FieldValue: Sized {
    /// Writes the value, or nothing when it is absent.
    fn put(&self, key: &'static str, out: &mut ExtWriter<'_>);
    /// Reads the value from the field's text.
    ///
    /// # Errors
    /// The field is missing or not of this type.
    fn from_field(key: &'static str, text: Option<&str>) -> Result<Self, FieldError>;
}

/// A header field that a command needs and that is missing or of another type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {key}: {}", if *.missing { "missing" } else { "not of its type" })]
pub struct FieldError {
    /// The field.
    pub key: &'static str,
    /// Whether it is missing, else malformed.
    pub missing: bool,
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn put(&self, key: &'static str, out: &mut ExtWriter<'_>) {
        if let Some(value) = self {
            value.put(key, out);
        }
    }

    fn from_field(key: &'static str, text: Option<&str>) -> Result<Self, FieldError> {
        text.map(|text| T::from_field(key, Some(text))).transpose()
    }
}

macro_rules! integer_field {
    ($($type:ty),*) => {$(
        impl FieldValue for $type {
            fn put(&self, key: &'static str, out: &mut ExtWriter<'_>) {
                out.int(key, i64::from(*self));
            }

            fn from_field(key: &'static str, text: Option<&str>) -> Result<Self, FieldError> {
                parse(key, text)
            }
        }
    )*};
}
integer_field!(i32, i64);

impl FieldValue for bool {
    fn put(&self, key: &'static str, out: &mut ExtWriter<'_>) {
        out.bool(key, *self);
    }

    fn from_field(key: &'static str, text: Option<&str>) -> Result<Self, FieldError> {
        parse(key, text)
    }
}

impl FieldValue for QueueOffset {
    fn put(&self, key: &'static str, out: &mut ExtWriter<'_>) {
        out.int(key, self.to_wire());
    }

    fn from_field(key: &'static str, text: Option<&str>) -> Result<Self, FieldError> {
        Self::from_wire(parse(key, text)?).ok_or(FieldError { key, missing: false })
    }
}

macro_rules! text_field {
    ($($type:ty),*) => {$(
        impl FieldValue for $type {
            fn put(&self, key: &'static str, out: &mut ExtWriter<'_>) {
                out.text(key, self.as_ref());
            }

            fn from_field(key: &'static str, text: Option<&str>) -> Result<Self, FieldError> {
                text.map(Self::from).ok_or(FieldError { key, missing: true })
            }
        }
    )*};
}
text_field!(String, Topic, Group, BrokerName, ClientId);

fn parse<T: FromStr>(key: &'static str, text: Option<&str>) -> Result<T, FieldError> {
    text.ok_or(FieldError { key, missing: true })?.parse().map_err(|_| FieldError { key, missing: false })
}

/// Appends the text of a JSON string, without its quotes.
pub(super) fn push_json_text(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else {
            return;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Whether a byte stands for itself in a JSON string.
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Appends the decimal digits of an integer.
pub(crate) fn push_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The bytes that stand for themselves in a JSON string: a look-up costs less than three comparisons.
#[allow(clippy::indexing_slicing, reason = "computed by the compiler, which would see a bad index")]
static PLAIN: [bool; 256] = {
    let mut table = [true; 256];
    let (controls, _) = table.split_at_mut(0x20);
    controls.copy_from_slice(&[false; 0x20]);
    table[b'"' as usize] = false;
    table[b'\\' as usize] = false;
    table
};
/// Fields of a usual header.
const USUAL_FIELDS: usize = 8;
const HEX: &[u8; 16] = b"0123456789abcdef";
