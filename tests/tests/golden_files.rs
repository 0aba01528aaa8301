//! The golden files are complete, well formed, and what the Java program writes today.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rocketmq_testkit::real::{self, JavaPeer, RealError, StoredMessage, golden};

#[test]
fn frames_are_complete() -> Result<(), RealError> {
    let frames = golden::frames()?;
    let names: BTreeSet<_> = frames.iter().map(|f| &f.name).collect();
    assert_eq!(names.len(), frames.len(), "names are unique");
    for codec in ["JSON", "ROCKETMQ"] {
        let of_codec: Vec<_> = frames.iter().filter(|f| f.fields.codec == codec).collect();
        assert!(of_codec.len() >= 60, "{codec}: {}", of_codec.len());
        let requests: BTreeSet<_> = of_codec.iter().filter(|f| !f.fields.response).map(|f| f.fields.code).collect();
        for code in [11, 14, 15, 17, 29, 30, 31, 34, 35, 36, 38, 39, 40, 41, 42, 105, 310, 320] {
            assert!(requests.contains(&code), "{codec}: no request {code}");
        }
        let headers: BTreeSet<_> = of_codec.iter().filter_map(|f| f.fields.header_class.as_deref()).collect();
        for header in ["PullMessageResponseHeader", "SendMessageResponseHeader", "QueryConsumerOffsetResponseHeader"] {
            assert!(headers.contains(header), "{codec}: no {header}");
        }
    }
    for frame in &frames {
        let length = u32::from_str_radix(&frame.hex[..8], 16).expect("a length word") as usize;
        assert_eq!(length + 4, frame.hex.len() / 2, "{}", frame.name);
    }
    Ok(())
}

#[test]
fn bodies_are_complete() -> Result<(), RealError> {
    let bodies = golden::bodies()?;
    assert!(bodies.len() >= 20);
    let flags: BTreeSet<_> = bodies.iter().flat_map(|b| &b.messages).map(|m| m.sys_flag).collect();
    for flag in [0x4, 0x8, 0xc, 0x10, 0x20, 0x30, 0xc0, 0x100, 0x200, 0x300] {
        assert!(flags.contains(&flag), "no record with flag {flag:#x}");
    }
    for magic in ["daa320a7", "daa320ab"] {
        assert!(bodies.iter().any(|b| b.hex.get(8..16) == Some(magic)), "no record with magic {magic}");
    }
    for body in &bodies {
        let records: i32 = body.messages.iter().map(|m| m.store_size).sum();
        assert_eq!(records as usize, body.hex.len() / 2, "{}", body.name);
    }
    Ok(())
}

#[test]
fn java_still_writes_and_reads_the_same() -> Result<(), RealError> {
    if !real::available()? {
        return Ok(());
    }
    let java = JavaPeer::start()?;
    let dir = std::env::temp_dir().join(format!("rocketmq-testkit-{}-golden", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder for new vectors");
    let written = java.write_golden(&dir);
    let compared = written.map(|_| compare(&dir));
    let _ = std::fs::remove_dir_all(&dir);
    compared?;

    // Compressors may change what they write, never what Java reads.
    for body in golden::bodies()? {
        let bytes: Vec<u8> = (0..body.hex.len() / 2)
            .map(|i| u8::from_str_radix(&body.hex[2 * i..2 * i + 2], 16).expect("hexadecimal"))
            .collect();
        assert_eq!(java.decode_messages(&bytes)?, body.messages, "{}", body.name);
    }
    Ok(())
}

fn compare(new: &Path) {
    for name in golden::FILES {
        let old = std::fs::read_to_string(golden::dir().join(name)).expect("a golden file");
        let new = std::fs::read_to_string(new.join(name)).expect("a new file");
        if name == "bodies.jsonl" {
            assert_eq!(summary(&old), summary(&new));
        } else {
            assert!(old == new, "{name} differs: run the example `golden` and look at the difference");
        }
    }
}

/// Bodies without what depends on the compressor's version.
fn summary(text: &str) -> BTreeMap<String, Vec<StoredMessage>> {
    text.lines()
        .map(|line| {
            let mut body: golden::GoldenBody = serde_json::from_str(line).expect("a golden body");
            for message in &mut body.messages {
                message.store_size = 0;
                message.body_crc = 0;
            }
            (body.name, body.messages)
        })
        .collect()
}
