//! What Java computes and servers compare.

use core::cmp::Ordering;

use crate::ids::MessageQueue;

/// Java's `String.hashCode`: over UTF-16 units, wrapping at 32 bits.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The order of Java's `String.compareTo`: by UTF-16 units, so that U+FF5E comes after an emoji.
#[must_use]
pub fn java_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// The order of Java's `MessageQueue.compareTo`: by topic, broker and number.
#[must_use]
pub fn java_queue_order(a: &MessageQueue, b: &MessageQueue) -> Ordering {
    let topics = java_order(a.topic.as_str(), b.topic.as_str());
    topics.then_with(|| java_order(a.broker.as_str(), b.broker.as_str())).then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_in_the_order_of_java() {
        let mut texts = ["~", "\u{ff5e}", "😀", "b", "B", "a", "", "aa"];
        texts.sort_by(|a, b| java_order(a, b));
        assert_eq!(texts, ["", "B", "a", "aa", "b", "~", "😀", "\u{ff5e}"]);
    }

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
