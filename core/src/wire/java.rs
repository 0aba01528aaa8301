//! What Java computes and servers compare.

/// Java's `String.hashCode`: over UTF-16 units, wrapping at 32 bits.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("TagA"), 2_598_919);
        assert_eq!(java_hash("TagB"), 2_598_920);
        assert_eq!(java_hash("中文"), 646_394);
        // One character, two units: 31 * 0xD83D + 0xDE00.
        assert_eq!(java_hash("😀"), 1_772_899);
        // Wraps to the smallest integer.
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
    }
}
