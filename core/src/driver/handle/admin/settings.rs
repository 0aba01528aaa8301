//! Settings as text: lines of `key=value`, which servers read as Java reads properties.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::AdminError;

/// Lines of `key=value`; the value may hold more of them.
pub(super) fn lines(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let rows: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    rows.into_iter().map(|(key, value)| (String::from(key), String::from(value))).collect()
}

/// The line that sets this key to this value and nothing else.
///
/// A server keeps what it was told in a file, as it is: a line break in a value would be another setting once it is
/// started again.
pub(super) fn line(key: &str, value: &str) -> Result<String, AdminError> {
    let breaks = |text: &str| text.chars().any(char::is_control);
    let is_key = |unit: char| unit.is_ascii_alphanumeric() || "._-%|".contains(unit);
    if key.is_empty() || !key.chars().all(is_key) {
        return Err(AdminError::Setting(String::from(key)));
    }
    if breaks(value) {
        return Err(AdminError::Setting(String::from(value)));
    }
    let mut line = String::from(key);
    line.push('=');
    for (at, unit) in value.chars().enumerate() {
        match unit {
            '\\' => line.push_str("\\\\"),
            ' ' if at == 0 => line.push_str("\\ "),
            unit if unit.is_ascii() => line.push(unit),
            // Bytes are taken for Latin-1.
            unit => {
                let mut units = [0; 2];
                for half in unit.encode_utf16(&mut units) {
                    write!(line, "\\u{half:04x}").map_err(|_| AdminError::Setting(String::from(value)))?;
                }
            }
        }
    }
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_sets_one_value() {
        assert_eq!(line("fileReservedTime", "48").as_deref(), Ok("fileReservedTime=48\n"));
        assert_eq!(line("a", "").as_deref(), Ok("a=\n"));
        assert_eq!(line("a", " x = #y:z ").as_deref(), Ok("a=\\ x = #y:z \n"));
        assert_eq!(line("a", "C:\\logs").as_deref(), Ok("a=C:\\\\logs\n"));
        assert_eq!(line("a", "é漢😀").as_deref(), Ok("a=\\u00e9\\u6f22\\ud83d\\ude00\n"));
    }

    #[test]
    fn what_would_be_another_setting_is_refused() {
        for (key, value) in
            [("a", "1\nb=2"), ("a", "1\rb=2"), ("a\nb", "1"), ("", "1"), ("a=b", "1"), ("#a", "1"), ("a b", "1")]
        {
            assert!(matches!(line(key, value), Err(AdminError::Setting(_))), "{key:?} {value:?}");
        }
    }

    #[test]
    fn lines_are_read_as_they_are_written() {
        let read = lines(b"a=1\nb=x=y\n\nnothing\nc=\n");
        let read: Vec<_> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(read, [("a", "1"), ("b", "x=y"), ("c", "")]);
    }
}
