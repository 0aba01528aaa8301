//! fastjson to JSON.
//!
//! Servers write integer map keys without quotes (`{0:"x"}`) and objects as map keys (`{{"queueId":0}:5}`).
//! [`normalise`] turns the first into text keys and the second into text keys that hold the object's JSON;
//! everything else stays as it is, `{"$ref":".."}` included. It finds keys and checks nesting; whether the rest is
//! JSON is for the parser behind it to say.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Bounds on a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialectLimits {
    /// Bytes of a body.
    pub max_len: usize,
    /// Nesting, at most 32.
    pub max_depth: u32,
}

impl Default for DialectLimits {
    fn default() -> Self {
        Self { max_len: 4 * 1024 * 1024, max_depth: MAX_DEPTH }
    }
}

/// The body with its keys as JSON wants them, borrowed when they already are.
///
/// # Errors
/// The body is over a limit, or its keys and brackets make no sense.
pub fn normalise<'a>(body: &'a [u8], limits: &DialectLimits) -> Result<Cow<'a, [u8]>, DialectError> {
    if body.len() > limits.max_len {
        return Err(DialectError::TooLong { len: body.len(), limit: limits.max_len });
    }
    let mut scan = Scan { body, at: 0, copied: 0, out: Vec::new() };
    let mut nesting = Nesting { objects: 0, depth: 0, limit: limits.max_depth.min(MAX_DEPTH) };
    let mut key_next = false;
    while let Some(byte) = scan.peek() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => scan.step(),
            b'}' | b']' => {
                nesting.pop(byte == b'}').ok_or(DialectError::Syntax { at: scan.at })?;
                key_next = false;
                scan.step();
            }
            b'"' => {
                scan.skip_text()?;
                key_next = false;
            }
            b'{' if key_next => {
                scan.object_key(nesting.left())?;
                key_next = false;
            }
            b'{' | b'[' if !key_next => {
                nesting.push(byte == b'{')?;
                key_next = byte == b'{';
                scan.step();
            }
            b',' if !key_next => {
                key_next = nesting.in_object();
                scan.step();
            }
            _ if key_next => {
                scan.bare_key()?;
                key_next = false;
            }
            _ => scan.step(),
        }
    }
    if nesting.depth > 0 {
        return Err(DialectError::Syntax { at: body.len() });
    }
    Ok(scan.finish())
}

/// Takes the quotes off the integer keys of compact JSON, as fastjson writes them.
pub(super) fn bare_integer_keys(json: &[u8]) -> Vec<u8> {
    let mut scan = Scan { body: json, at: 0, copied: 0, out: Vec::with_capacity(json.len()) };
    while let Some(byte) = scan.peek() {
        let start = scan.at;
        if byte != b'"' || scan.skip_text().is_err() {
            scan.at = start.saturating_add(1);
            continue;
        }
        let text = json.get(start.saturating_add(1)..scan.at.saturating_sub(1)).unwrap_or_default();
        let integer = core::str::from_utf8(text).is_ok_and(|text| text.parse::<i64>().is_ok());
        if integer && scan.peek() == Some(b':') {
            scan.copy_up_to(start);
            scan.out.extend_from_slice(text);
            scan.copied = scan.at;
        }
    }
    scan.copy_up_to(json.len());
    scan.out
}

/// A body that is no dialect of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// Over the byte limit.
    #[error("body of {len} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes of the body.
        len: usize,
        /// The limit in force.
        limit: usize,
    },
    /// Nested over the limit.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// The limit in force.
        limit: u32,
    },
    /// Keys or brackets that make no sense.
    #[error("not JSON at byte {at}")]
    Syntax {
        /// Where.
        at: usize,
    },
}

/// The open brackets: one bit each, set for an object, the innermost lowest.
struct Nesting {
    objects: u32,
    depth: u32,
    limit: u32,
}

impl Nesting {
    fn push(&mut self, object: bool) -> Result<(), DialectError> {
        if self.depth >= self.limit {
            return Err(DialectError::TooDeep { limit: self.limit });
        }
        self.depth = self.depth.saturating_add(1);
        self.objects = (self.objects << 1) | u32::from(object);
        Ok(())
    }

    fn pop(&mut self, object: bool) -> Option<()> {
        if self.in_object() != object {
            return None;
        }
        self.depth = self.depth.checked_sub(1)?;
        self.objects >>= 1;
        Some(())
    }

    const fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// How much deeper it may go.
    const fn left(&self) -> Nesting {
        Nesting { objects: 0, depth: 0, limit: self.limit.saturating_sub(self.depth) }
    }
}

/// A position in the body, and the output once it differs.
struct Scan<'a> {
    body: &'a [u8],
    at: usize,
    /// Up to here the body is in `out`.
    copied: usize,
    out: Vec<u8>,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    const fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Goes past a text in quotes.
    fn skip_text(&mut self) -> Result<(), DialectError> {
        let start = self.at;
        self.step();
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'"' => return Ok(()),
                b'\\' => self.step(),
                _ => {}
            }
        }
        Err(DialectError::Syntax { at: start })
    }

    /// Puts quotes around a key that has none.
    fn bare_key(&mut self) -> Result<(), DialectError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-+._$".contains(&byte)) {
            self.step();
        }
        if self.at == start {
            return Err(DialectError::Syntax { at: start });
        }
        self.copy_up_to(start);
        self.out.push(b'"');
        self.copy_up_to(self.at);
        self.out.push(b'"');
        Ok(())
    }

    /// Makes a text of an object in the place of a key.
    fn object_key(&mut self, mut nesting: Nesting) -> Result<(), DialectError> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_text()?,
                b'{' | b'[' => {
                    nesting.push(byte == b'{')?;
                    self.step();
                }
                b'}' | b']' => {
                    nesting.pop(byte == b'}').ok_or(DialectError::Syntax { at: self.at })?;
                    self.step();
                }
                _ => self.step(),
            }
            if nesting.depth == 0 {
                self.copy_up_to(start);
                self.out.push(b'"');
                let text = self.body.get(start..self.at).unwrap_or_default();
                text.iter().for_each(|byte| push_escaped(*byte, &mut self.out));
                self.copied = self.at;
                self.out.push(b'"');
                return Ok(());
            }
        }
        Err(DialectError::Syntax { at: start })
    }

    fn copy_up_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.body.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.copied == 0 && self.out.is_empty() {
            return Cow::Borrowed(self.body);
        }
        self.copy_up_to(self.body.len());
        Cow::Owned(self.out)
    }
}

fn push_escaped(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        // White space between tokens; inside a text it would not be JSON anyway.
        0..0x20 => out.push(b' '),
        _ => out.push(byte),
    }
}

/// One bit per level in [`Nesting`].
const MAX_DEPTH: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    fn json(text: &str) -> Result<String, DialectError> {
        let out = normalise(text.as_bytes(), &DialectLimits::default())?;
        Ok(String::from_utf8(out.into_owned()).unwrap())
    }

    #[test]
    fn json_is_borrowed() {
        let body = br#" {"a":[1,{"b":"}{:,","c":null},"\"{0:1}"],"$ref":"..","d":{"e":-1.5e3}} "#;
        assert!(matches!(normalise(body, &DialectLimits::default()), Ok(Cow::Borrowed(_))));
        assert!(matches!(normalise(b"", &DialectLimits::default()), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn bare_keys_get_quotes() {
        assert_eq!(json(r#"{0:"x",-1 : {2:[3,4]}}"#).unwrap(), r#"{"0":"x","-1" : {"2":[3,4]}}"#);
        assert_eq!(json(r"[{a:1},{b:2}]").unwrap(), r#"[{"a":1},{"b":2}]"#);
    }

    #[test]
    fn object_keys_become_texts() {
        let table = r#"{"offsetTable":{{"brokerName":"b}\"","queueId":0,"x":{"y":[1]}}:5,{"queueId":1}:{"z":2}}}"#;
        let value: serde_json::Value = serde_json::from_str(&json(table).unwrap()).unwrap();
        let object = value["offsetTable"].as_object().unwrap();
        let keys: alloc::vec::Vec<_> = object.keys().map(String::as_str).collect();
        assert_eq!(keys, [r#"{"brokerName":"b}\"","queueId":0,"x":{"y":[1]}}"#, r#"{"queueId":1}"#]);
        assert_eq!(object[r#"{"queueId":1}"#]["z"], 2);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["{", "}", "[}", "{]", "{:1}", "{,}", "{[0]:1}", "{\"a", "{{\"a\":1", "{{]:1}", "{\"a\":1}}", "{#:1}"]
        {
            assert!(matches!(json(text), Err(DialectError::Syntax { .. })), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_in_values_and_keys() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(json(&nested(32)).is_ok());
        assert_eq!(json(&nested(33)), Err(DialectError::TooDeep { limit: 32 }));
        assert_eq!(json(&nested(20_000)), Err(DialectError::TooDeep { limit: 32 }));
        let key = |depth: usize| alloc::format!(r#"{{{{"k":{}}}:1}}"#, nested(depth));
        assert!(json(&key(30)).is_ok());
        assert_eq!(json(&key(31)), Err(DialectError::TooDeep { limit: 31 }));
    }

    #[test]
    fn size_is_bounded() {
        let limits = DialectLimits { max_len: 4, ..DialectLimits::default() };
        assert!(normalise(b"{  }", &limits).is_ok());
        assert_eq!(normalise(b"{   }", &limits), Err(DialectError::TooLong { len: 5, limit: 4 }));
    }

    /// The same document in both forms: fastjson's and JSON's.
    fn documents() -> impl Strategy<Value = (String, String)> {
        let same = |text: String| (text.clone(), text);
        let text = || any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
        let leaf = prop_oneof![text().prop_map(same), any::<i64>().prop_map(move |n| same(n.to_string()))];
        let object = ("[a-z]{1,5}", text(), any::<i32>()).prop_map(|(key, text, n)| {
            let object = alloc::format!(r#"{{"{key}":{text},"n":[{n},{{}}]}}"#);
            let quoted = serde_json::to_string(&object).unwrap();
            (object, quoted)
        });
        let bare = any::<i64>().prop_map(|n| (n.to_string(), alloc::format!("\"{n}\"")));
        let key = prop_oneof![text().prop_map(same), bare, object];
        leaf.prop_recursive(5, 40, 4, move |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|items| {
                let (raw, json): (Vec<_>, Vec<_>) = items.into_iter().unzip();
                (alloc::format!("[{}]", raw.join(" , ")), alloc::format!("[{}]", json.join(" , ")))
            });
            let table = prop::collection::vec((key.clone(), inner), 0..4).prop_map(|entries| {
                let entries = entries.into_iter().map(|((raw_key, key), (raw, json))| {
                    (alloc::format!("{raw_key} : {raw}"), alloc::format!("{key} : {json}"))
                });
                let (raw, json): (Vec<_>, Vec<_>) = entries.unzip();
                (alloc::format!("{{ {}}}", raw.join(",")), alloc::format!("{{ {}}}", json.join(",")))
            });
            prop_oneof![list, table]
        })
    }

    proptest! {
        #[test]
        fn documents_become_json((raw, expected) in documents()) {
            prop_assert_eq!(json(&raw), Ok(expected.clone()));
            prop_assert!(serde_json::from_str::<serde_json::Value>(&expected).is_ok());
        }

        #[test]
        fn twice_is_once(text in r#"[\[\]{}:,"\\ 0a-]{0,40}"#) {
            if let Ok(once) = json(&text) {
                prop_assert_eq!(json(&once), Ok(once.clone()));
            }
        }

        #[test]
        fn any_bytes_have_a_verdict(body: alloc::vec::Vec<u8>) {
            let _ = normalise(&body, &DialectLimits::default());
        }
    }
}
