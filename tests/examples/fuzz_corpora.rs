//! Writes the seeds of the fuzz corpora from the golden vectors and the captures. Inputs that a fuzzer found are
//! files of their own and stay.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "vectors are as the tests say")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use rocketmq_core::wire::body::OffsetFile;
use rocketmq_testkit::real::golden;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut corpora = BTreeMap::<&str, Vec<Vec<u8>>>::new();
    let mut put = |target, input: Vec<u8>| corpora.entry(target).or_default().push(input);
    let with = |prefix: &[u8], rest: &[u8]| [prefix, rest].concat();
    let golden = golden::frames()?.into_iter().map(|frame| golden::bytes(&frame.hex));
    let captured = golden::captures()?.into_iter().map(|frame| frame.bytes);
    for (index, frame) in golden.chain(captured).enumerate() {
        let header_len = usize::from(frame[6]) << 8 | usize::from(frame[7]);
        let (header, body) = frame[8..].split_at(header_len);
        let cut = u16::try_from(index)?.to_be_bytes();
        put("frame_split", with(&[1, cut[0], cut[1]], &frame));
        put(if frame[4] == 0 { "header_json" } else { "header_rmq" }, header.to_vec());
        put("command_structured", header.iter().rev().copied().collect());
        if body.starts_with(b"{") {
            put("route_json", body.to_vec());
            for selector in 0..6 {
                put("bodies", with(&[selector], body));
            }
        }
        if body.starts_with(&[0, 0]) && body.get(4..8) == Some(&[0; 4]) {
            put("inner_batch", body.to_vec());
        }
    }
    for body in golden::bodies()? {
        let bytes = golden::bytes(&body.hex);
        for message in &body.messages {
            let end = usize::try_from(message.store_size)?.min(bytes.len());
            put("message_structured", bytes[..end].iter().rev().copied().collect());
            if let Some(inner) = message.unwrapped.first() {
                // The items of an inner batch are the body of its record.
                let text = message.body_hex.as_deref().unwrap_or_default();
                assert!(!text.is_empty() && inner.body_hex.is_some());
                put("inner_batch", golden::bytes(text));
            }
            for (key, value) in message.properties.iter().flatten() {
                put("text", value.clone().into_bytes());
                put("text", key.clone().into_bytes());
            }
            put("text", message.offset_msg_id.clone().into_bytes());
        }
        for kind in 0..3 {
            if body.name.contains(["ZLIB", "LZ4", "ZSTD"][usize::from(kind)]) {
                // The body follows the fixed part of a record with IPv4 hosts.
                let len = u32::from_be_bytes(bytes[84..88].try_into()?) as usize;
                put("inflate", with(&[kind, 0x40, 0], &bytes[88..88 + len]));
                put("inflate", with(&[kind, 0, 1], &bytes[88..88 + len]));
            }
        }
        put("pull_body", bytes);
    }
    let odd: [&[u8]; 9] = [
        b"",
        b"A\x011",
        b"a\x01\x02b\x01c\x02\x01d\x02\x02e\x02f\x01g",
        b"a\x01b\x01c\x02",
        b"a\x01\xff\x02b\x01c\x02",
        b"TAGS\x01a\x02TAG\x01x\x02TAGS\x01b\x02TAGS\x01\x02",
        b"\x01\x01\x02\x02",
        "键\u{1}值 😀\u{2}".as_bytes(),
        b"TAGS\x01TagA\x02UNIQ_KEY\x0101234567\x02WAIT\x01true\x02",
    ];
    odd.into_iter().for_each(|raw| put("properties", raw.to_vec()));
    for frame in golden::captures()? {
        let marks = frame.bytes.iter().filter(|byte| **byte == 1 || **byte == 2).count();
        if marks > 6 {
            put("properties", frame.bytes);
        }
    }
    for text in [
        "127.0.0.1:9876;[::1]:9876",
        " a:9876, http://b:1 ;;",
        "TagA || TagB||| TagC",
        "||",
        "*",
        "%RETRY%group_a",
        "0000000000000000000000000000000100002A9FFFFFFFFFFFFFFFFF",
        "polygenelubricants",
    ] {
        put("text", text.into());
    }
    let table = "{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"t\"}";
    for offsets in ["-1", "7.5", "\"7\"", "null", "9223372036854775807", "9223372036854775808", "{}", "[]", "07"] {
        corpora
            .entry("offset_file")
            .or_default()
            .push(offset_file(0, &format!("{{\"offsetTable\":{{{table}:{offsets}}}}}")));
    }
    for text in [
        "",
        "{}",
        "{\"offsetTable\":{}}",
        "{\"offsetTable\":null}",
        "{offsetTable:{{topic:\"t\"}:1}}",
        "{\"offsetTable\":{{\"topic\":\"t\"}:1,{\"topic\":\"t\"}:2}}",
        "{\"offsetTable\":{{}:1}}",
        "{\"offsetTable\":{{\"$ref\":\"$\"}:1},\"crc32\":null}",
        "{\"offsetTable\":{},\"crc32\":2745614147}  ",
        "{\"offsetTable\":{},\"crc32\":2745614148}",
    ] {
        corpora.entry("offset_file").or_default().push(offset_file(9, text));
    }
    for (damage, file) in (0..).zip(golden::offset_files()?) {
        let ours = OffsetFile::decode(file.text.as_bytes())?.encode();
        let inputs = corpora.entry("offset_file").or_default();
        inputs.push(offset_file(damage, &file.text));
        inputs.push(offset_file(damage * 37, &String::from_utf8(ours)?));
    }
    let batches = corpora.entry("inner_batch").or_default();
    for batch in batches.clone() {
        batches.push(batch.repeat(2));
        batches.push(batch[..batch.len() - 1].to_vec());
        let first = usize::from(batch[2]) << 8 | usize::from(batch[3]);
        batches.push(batch[..first].to_vec());
    }
    for (target, mut inputs) in corpora {
        inputs.sort_by_key(|input| (input.len(), input.clone()));
        inputs.dedup();
        let dir = root.join(target);
        std::fs::create_dir_all(&dir)?;
        remove_seeds(&dir)?;
        // Evenly over all lengths, so that the corpus stays small.
        let step = inputs.len().div_ceil(MOST);
        let chosen = inputs.iter().rev().step_by(step).filter(|input| input.len() <= MAX_LEN);
        for (index, input) in chosen.enumerate() {
            std::fs::write(dir.join(format!("seed-{index:03}")), input)?;
        }
    }
    Ok(())
}

/// The input of the target of offset files: where to damage the file, how, and the file.
fn offset_file(damage: u8, text: &str) -> Vec<u8> {
    [&[0, damage, damage ^ 1], text.as_bytes()].concat()
}

fn remove_seeds(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("seed-") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Seeds of one target.
const MOST: usize = 100;
/// Bytes of one seed: longer ones only slow a fuzzer down.
const MAX_LEN: usize = 4_500;
