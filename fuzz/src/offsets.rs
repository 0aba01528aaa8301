//! The file in which a broadcasting member keeps its offsets.

use rocketmq_core::wire::body::OffsetFile;

/// After three bytes of damage, a file: what is read comes back, a part of a file is none, and a changed byte in one of
/// ours moves no queue.
pub fn offset_file(data: &[u8]) {
    let Some(([high, low, change], file)) = data.split_first_chunk() else { return };
    let Ok(read) = OffsetFile::decode(file) else { return };
    let at = usize::from(*high) << 8 | usize::from(*low);
    let written = read.encode();
    assert_eq!(OffsetFile::decode(&written).as_ref(), Ok(&read));
    for whole in [file.trim_ascii_end(), &written] {
        let part = &whole[..at % whole.len()];
        assert!(OffsetFile::decode(part).is_err(), "a part is taken for a whole");
    }
    let mut damaged = written;
    let at = at % damaged.len();
    damaged[at] ^= change;
    if let Ok(other) = OffsetFile::decode(&damaged) {
        assert_eq!(other, read, "byte {at} is changed and nobody sees it");
    }
}
