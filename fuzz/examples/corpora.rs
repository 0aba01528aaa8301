//! Writes the seeds of the fuzz corpora: golden vectors, captures, bad input that is known, and tapes. Inputs that a
//! fuzzer found are files of their own and stay.
#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "vectors are as the tests say")]

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

use rocketmq_core::ids::QueueOffset;
use rocketmq_core::rng::Rng;
use rocketmq_core::wire::body::OffsetFile;
use rocketmq_core::wire::compress::{CompressionKind, deflate};
use rocketmq_core::wire::frame;
use rocketmq_core::wire::header::HeaderLimits;
use rocketmq_core::wire::message::{RecordVersion, StoredMessage, SysFlags, encode_record};
use rocketmq_fuzz::{CORPORA, server_request};
use rocketmq_testkit::real::golden;

/// The inputs of each target.
#[derive(Default)]
struct Corpora {
    /// Many of a kind: some of them will do.
    many: BTreeMap<&'static str, Vec<Vec<u8>>>,
    /// Each for a reason of its own.
    each: BTreeMap<&'static str, Vec<Vec<u8>>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut corpora = Corpora::default();
    corpora.frames()?;
    corpora.records()?;
    corpora.texts();
    corpora.bad_frames();
    corpora.bad_headers();
    corpora.bad_records()?;
    corpora.bad_bodies();
    corpora.bombs();
    corpora.offset_files()?;
    corpora.answers();
    corpora.signed();
    corpora.tapes();
    corpora.save()
}

impl Corpora {
    fn put(&mut self, target: &'static str, input: impl Into<Vec<u8>>) {
        self.many.entry(target).or_default().push(input.into());
    }

    fn keep(&mut self, target: &'static str, input: impl Into<Vec<u8>>) {
        self.each.entry(target).or_default().push(input.into());
    }

    fn offset_files(&mut self) -> Result<(), Box<dyn Error>> {
        // Where to damage the file, how, and the file.
        let input = |damage: u8, text: &str| [&[0, damage, damage ^ 1], text.as_bytes()].concat();
        let table = r#"{"brokerName":"b","queueId":0,"topic":"t"}"#;
        for offset in ["-1", "7.5", "\"7\"", "null", "9223372036854775807", "9223372036854775808", "{}", "[]", "07"] {
            self.keep("offset_file", input(0, &format!(r#"{{"offsetTable":{{{table}:{offset}}}}}"#)));
        }
        for text in [
            "",
            "{}",
            r#"{"offsetTable":{}}"#,
            r#"{"offsetTable":null}"#,
            r#"{offsetTable:{{topic:"t"}:1}}"#,
            r#"{"offsetTable":{{"topic":"t"}:1,{"topic":"t"}:2}}"#,
            r#"{"offsetTable":{{}:1}}"#,
            r#"{"offsetTable":{{"$ref":"$"}:1},"crc32":null}"#,
            "{\"offsetTable\":{},\"crc32\":2745614147}  ",
            r#"{"offsetTable":{},"crc32":2745614148}"#,
        ] {
            self.keep("offset_file", input(9, text));
        }
        for (damage, file) in (0..).zip(golden::offset_files()?) {
            let ours = String::from_utf8(OffsetFile::decode(file.text.as_bytes())?.encode())?;
            self.keep("offset_file", input(damage, &file.text));
            self.keep("offset_file", input(damage * 37, &ours));
        }
        Ok(())
    }

    /// What is said by those who tell the name servers, and by proxies.
    fn answers(&mut self) {
        let http = |corpora: &mut Self, text: &[u8]| corpora.keep("http", [&[2, 0, 9, 0, 40], text].concat());
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 14",
            "HTTP/1.0 200 OK",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nContent-Length: 14",
            "HTTP/1.1 200 OK\r\nContent-Length: 15",
            "HTTP/1.1 200 OK\r\nContent-Length: 65537",
            "HTTP/1.1 200 OK\r\nContent-Length: -1",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0",
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/",
            "HTTP/1.1 999",
            "HTTP/2 200",
            "ICY 200 OK",
        ] {
            http(self, format!("{head}\r\n\r\n127.0.0.1:9876").as_bytes());
        }
        for chunks in [
            "e\r\n127.0.0.1:9876\r\n0\r\n\r\n",
            "E;a=b\r\n127.0.0.1:9876\r\n0\r\n",
            "1\r\na\r\n1\r\nbX",
            "ffffffffffffffff\r\na",
        ] {
            http(self, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes());
        }
        http(self, b"SSH-2.0-OpenSSH_9.6\r\n");
        http(self, &[0x16, 3, 3, 0, 40]);
        http(self, format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(65)).as_bytes());
        http(self, format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(65_536)).as_bytes());

        let through = [5, 0, 0, 1, 10, 0, 0, 1, 0x2a, 0x9f];
        let by_name = [&[5, 0, 0, 3, 6][..], b"broker", &[0x2a, 0x9f]].concat();
        let long_name = [&[5, 0, 0, 3, 255][..], &[b'x'; 255], &[0, 1]].concat();
        let six = [&[5, 0, 0, 4][..], &[0; 18]].concat();
        for last in [&through[..], &by_name, &long_name, &six, &through[..9], &[5, 0, 0, 9], &[4, 0], &[6, 0]] {
            self.keep("socks", [&[0, 5, 0], last].concat());
            self.keep("socks", [&[1, 5, 2, 1, 0], last].concat());
        }
        (1..10).for_each(|code| self.keep("socks", [0, 5, 0, 5, code]));
        for said in
            [&[0, 5, 0xff][..], &[1, 5, 0xff], &[0, 5, 2], &[1, 5, 2, 1, 1], &[1, 5, 1], &[0, 4, 90], b"\0HTTP/1.1 400"]
        {
            self.keep("socks", said);
        }
        self.keep("socks", [&[1, 5, 2, 1, 0][..], &through, b"a server that speaks first"].concat());
    }

    /// Bytes of which secrets, fields and bodies are made.
    fn signed(&mut self) {
        for len in 0..24_u8 {
            let bytes = (0..len.saturating_mul(11))
                .map(|at| b'a'.wrapping_add(at % 7).wrapping_mul(at | 1))
                .collect::<Vec<_>>();
            self.keep("acl_sign", bytes);
        }
    }

    fn frames(&mut self) -> Result<(), Box<dyn Error>> {
        let golden = golden::frames()?.into_iter().map(|frame| golden::bytes(&frame.hex));
        let captures = golden::captures()?.into_iter().map(|frame| frame.bytes);
        for (index, bytes) in golden.chain(captures).enumerate() {
            let header_len = usize::from(bytes[6]) << 8 | usize::from(bytes[7]);
            let (header, body) = bytes[8..].split_at(header_len);
            let cut = u16::try_from(index)?.to_be_bytes();
            self.put("frame_split", [&[1, cut[0], cut[1]], &bytes[..]].concat());
            self.put(if bytes[4] == 0 { "header_json" } else { "header_rmq" }, header);
            self.put("command_structured", header.iter().rev().copied().collect::<Vec<_>>());
            if body.starts_with(b"{") {
                self.put("route_json", body);
                (0..12).for_each(|selector| self.put("bodies", [&[selector], body].concat()));
            }
            if body.starts_with(&[0, 0]) && body.get(4..8) == Some(&[0; 4]) {
                self.batch(body);
            }
            if bytes.iter().filter(|byte| **byte == 1 || **byte == 2).count() > 6 {
                self.put("properties", bytes.clone());
            }
            let decoded = frame::decode(&bytes, &HeaderLimits::default())?;
            if !decoded.header.is_response() {
                let mut input = Vec::new();
                server_request::write(u8::try_from(index % 8)?, &decoded, &mut input);
                self.put("server_request", input);
            }
        }
        Ok(())
    }

    fn records(&mut self) -> Result<(), Box<dyn Error>> {
        for body in golden::bodies()? {
            let bytes = golden::bytes(&body.hex);
            for message in &body.messages {
                let end = usize::try_from(message.store_size)?.min(bytes.len());
                self.put("message_structured", bytes[..end].iter().rev().copied().collect::<Vec<_>>());
                if !message.unwrapped.is_empty() {
                    // The items of an inner batch are the body of its record.
                    let text = message.body_hex.as_deref().unwrap_or_default();
                    assert!(!text.is_empty());
                    self.batch(&golden::bytes(text));
                }
                for (key, value) in message.properties.iter().flatten() {
                    self.put("text", value.as_str());
                    self.put("text", key.as_str());
                }
                self.put("text", message.offset_msg_id.as_str());
            }
            for kind in 0..3 {
                if body.name.contains(["ZLIB", "LZ4", "ZSTD"][usize::from(kind)]) {
                    // The body follows the fixed part of a record with IPv4 hosts.
                    let len = u32::from_be_bytes(bytes[84..88].try_into()?) as usize;
                    self.put("inflate", [&[kind, 0x40, 0], &bytes[88..88 + len]].concat());
                    self.put("inflate", [&[kind, 0, 1], &bytes[88..88 + len]].concat());
                }
            }
            // A topic that is no text, a record of another layout, and one that is cut short.
            let body_len = bytes.get(87).copied().map_or(0, usize::from);
            for (at, bits) in [(88 + body_len + 1, 0x80), (7, 0x0C), (3, 0x01), (84, 0x80), (20, 0x80)] {
                let mut bad = bytes.clone();
                if let Some(byte) = bad.get_mut(at) {
                    *byte ^= bits;
                    self.put("pull_body", bad);
                }
            }
            self.put("pull_body", [&bytes[..], &[0, 0, 0, 12, 0xCB, 0xD4, 0x31, 0x94, 0, 0, 0, 0], &bytes].concat());
            self.put("pull_body", &bytes[..bytes.len().saturating_sub(1)]);
            self.put("pull_body", bytes);
        }
        Ok(())
    }

    fn batch(&mut self, batch: &[u8]) {
        self.put("inner_batch", batch);
        self.put("inner_batch", batch.repeat(2));
        self.put("inner_batch", &batch[..batch.len() - 1]);
        self.put("inner_batch", &batch[..usize::from(batch[2]) << 8 | usize::from(batch[3])]);
    }

    fn texts(&mut self) {
        for text in [
            "127.0.0.1:9876;[::1]:9876",
            " a:9876, http://b:1 ;;",
            "TagA || TagB||| TagC",
            "||",
            "*",
            "%RETRY%group_a",
            "0000000000000000000000000000000100002A9FFFFFFFFFFFFFFFFF",
            "7F00000100002A9F0000000000001234",
            "7F000001FFFFFFFF0000000000001234",
            "7f00000100002a9f000000000000abcd",
            "7F00000100002A9F000000000000123G",
            "polygenelubricants",
        ] {
            self.keep("text", text);
        }
        self.keep("text", "g".repeat(120));
        self.keep("text", "t".repeat(128));
        for raw in [
            &b""[..],
            b"A\x011",
            b"a\x01\x02b\x01c\x02\x01d\x02\x02e\x02f\x01g",
            b"a\x01b\x01c\x02",
            b"a\x01\xff\x02b\x01c\x02",
            b"\xff\x01a\x02",
            b"TAGS\x01a\x02TAG\x01x\x02TAGS\x01b\x02TAGS\x01\x02",
            b"\x01\x01\x02\x02",
            "键\u{1}值 😀\u{2}".as_bytes(),
            b"TAGS\x01TagA\x02UNIQ_KEY\x0101234567\x02WAIT\x01true\x02",
        ] {
            self.keep("properties", raw);
        }
        self.keep("properties", [b"k\x01", &b"v".repeat(32_765)[..]].concat());
    }

    /// Lengths that lie, and peers that speak something else.
    fn bad_frames(&mut self) {
        for length in [-1, 0, 3, 4, 8, 262_140, 262_141, 16_777_212, 16_777_213, i32::MAX, i32::MIN] {
            let word = length.to_be_bytes();
            self.keep("frame_split", [&[0], &word[..], &[0, 0, 0, 2], b"{}"].concat());
        }
        let frame = |codec: u8, header_len: u8, rest: &[u8]| {
            let len = u8::try_from(rest.len() + 4).unwrap_or(u8::MAX);
            [&[2, 0, 9, 0, 20, 0, 0, 0, len, codec, 0, 0, header_len], rest].concat()
        };
        let header = br#"{"code":0,"flag":1,"opaque":7}"#;
        self.keep("frame_split", frame(0, 30, header));
        self.keep("frame_split", frame(0, 31, header));
        self.keep("frame_split", frame(2, 30, header));
        self.keep("frame_split", frame(0, 4, b"null"));
        self.keep("frame_split", frame(0, 0, b""));
        self.keep("frame_split", [&[0][..], &frame(0, 30, header)[5..].repeat(20)].concat());
        let request = br#"{"code":40,"flag":2,"opaque":7}"#;
        self.keep("frame_split", [&[0][..], &frame(0, 31, request)[5..].repeat(20)].concat());
        let request = br#"{"code":40,"flag":0,"opaque":7}"#;
        self.keep("frame_split", [&[0][..], &frame(0, 31, request)[5..].repeat(20)].concat());
        let large = [&[0, 0, 1, 0x11, 0x74, 0, 0, 0, 30][..], header, &[b'x'; 70_000]].concat();
        self.keep("frame_split", [&large[..], &large[1..]].concat());
        for other in [&b"PRI * HTTP/2.0\r\n"[..], b"HTTP/1.1 400", &[0x16, 3, 1, 2], &[0, 0, 18, 4, 0, 0, 0, 0, 0]] {
            self.keep("frame_split", [&[0], other].concat());
        }
    }

    fn bad_headers(&mut self) {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}0{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        for unknown in [nested(31), nested(32), nested(100), nested(2_000), objects(31), objects(32)] {
            self.keep("header_json", format!(r#"{{"code":0,"opaque":1,"unknown":{unknown}}}"#));
        }
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"code":0}"#,
            r#"{"code":0,"opaque":1,"extFields":null,"remark":null,"language":null,"version":null,"flag":null}"#,
            r#"{"code":"0","opaque":"1","flag":"x"}"#,
            r#"{"code":0,"code":"5","opaque":1,"opaque":2,"remark":"a","remark":"b\n"}"#,
            r#"{"code":2147483648,"opaque":1}"#,
            r#"{"code":18446744073709551615,"opaque":1}"#,
            r#"{"code":-1.5,"opaque":1e3}"#,
            r#"{"code":0,"opaque":1,"@type":"java.lang.Class","x":[true,null,-1,1.5,"\u00e9",{"a":18446744073709551615}]}"#,
            r#"{"code":0,"opaque":1,"remark":true,"extFields":{"a":1,"b":-2,"c":true,"d":null,"e":1.5,"a":"2","f":"\t"}}"#,
            r#"{"code":0,"opaque":1,"extFields":{"":"x"},"y":[{}]}"#,
            r#"{"code":0,"opaque":1,"extFields":{"a":[1]}}"#,
            r#"{"code":[],"opaque":{},"remark":[],"extFields":3}"#,
            r#"{"code":0,"opaque":1,"extFields":[1]} "#,
            r#"{"code":0,"opaque":1} x"#,
            r#"{"code":0,"opaque":1,"language":"NODE_JS"}"#,
            r#"{"code":0,"opaque":1,"language":7}"#,
            r#"{1:2}"#,
        ] {
            self.keep("header_json", text);
        }
        self.keep("header_json", b"{\"code\":0,\"opaque\":1,\"remark\":\"\xff\"}".as_slice());
        let many: Vec<_> = (0..33).map(|index| format!(r#""k{index}":"""#)).collect();
        self.keep("header_json", format!(r#"{{"code":0,"opaque":1,"extFields":{{{}}},"z":0}}"#, many.join(",")));
        self.keep("header_json", format!(r#"{{"code":0,"opaque":1,"extFields":{{"{}":1}}}}"#, "k".repeat(256)));

        let full = concat!(
            r#"{"code":1,"flag":1,"language":"JAVA","opaque":7,"version":475,"remark":"\n\u00e9","\u0061":[{"b":{}},false],"#,
            r#""extFields":{"\u006b":"\"","n":-1,"u":18446744073709551615,"f":1.5,"t":true,"x":false,"z":null}}"#
        );
        self.keep("header_json", full);
        (1..full.len()).step_by(3).for_each(|end| self.keep("header_json", &full.as_bytes()[..end]));

        let fixed = [0, 10, 12, 1, 219, 0, 0, 0, 5, 0, 0, 0, 1];
        let header = |remark: &[u8], ext_len: i32, ext: &[u8]| {
            let remark_len = u32::try_from(remark.len()).unwrap_or_default().to_be_bytes();
            [&fixed, &remark_len[..], remark, &ext_len.to_be_bytes(), ext].concat()
        };
        let pair = |key: &[u8], value: &[u8]| {
            let key_len = u16::try_from(key.len()).unwrap_or_default().to_be_bytes();
            let value_len = u32::try_from(value.len()).unwrap_or_default().to_be_bytes();
            [&key_len[..], key, &value_len, value].concat()
        };
        let whole = |ext: &[u8]| header(b"", i32::try_from(ext.len()).unwrap_or_default(), ext);
        self.keep("header_rmq", &fixed[..]);
        self.keep("header_rmq", header(b"why", 0, b""));
        self.keep("header_rmq", header(b"\xff", 0, b""));
        let good = pair(b"topic", b"T");
        for ext_len in [-1, 0, 11, 13, i32::MAX, i32::MIN] {
            self.keep("header_rmq", header(b"", ext_len, &good));
        }
        for remark_len in [-1, 1, i32::MAX] {
            self.keep("header_rmq", [&fixed, &remark_len.to_be_bytes()[..], &[0; 4]].concat());
        }
        self.keep("header_rmq", whole(&[&good[..], &pair(b"", b"")].concat()));
        self.keep("header_rmq", whole(&[&pair(b"", b"x"), &good[..]].concat()));
        self.keep(
            "header_rmq",
            whole(&[pair(b"a", b"1"), pair(b"b", b""), pair(b"a", b""), pair(b"a", b"2")].concat()),
        );
        self.keep("header_rmq", whole(&pair(b"\xff\xfe", b"x")));
        self.keep("header_rmq", whole(&pair(b"k", b"\xff\xfe")));
        self.keep("header_rmq", whole(&pair(&[b'k'; 256], b"x")));
        self.keep("header_rmq", whole(&[0xff, 0xff, b'k']));
        self.keep("header_rmq", whole(&[0, 1, b'k', 0xff, 0xff, 0xff, 0xff]));
        let many: Vec<_> = (0..33_u16).flat_map(|index| pair(format!("k{index}").as_bytes(), b"v")).collect();
        self.keep("header_rmq", whole(&many));
    }

    /// Records of both layouts and both families of addresses, whole and with each of their fields wrong.
    fn bad_records(&mut self) -> Result<(), Box<dyn Error>> {
        for (version, family) in [(RecordVersion::V1, 0), (RecordVersion::V2, 0), (RecordVersion::V1, 0x30)] {
            let host: SocketAddr = if family == 0 { "10.0.0.1:9".parse()? } else { "[fe80::1]:9".parse()? };
            let mut record = Vec::new();
            let message = StoredMessage {
                queue_id: 1,
                flag: 0,
                queue_offset: QueueOffset::new(7),
                physical_offset: 700,
                sys_flag: SysFlags(family),
                born_timestamp: 1,
                born_host: host,
                store_timestamp: 2,
                store_host: host,
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: "b".into(),
                topic: "t".into(),
                properties: "k\u{1}v".into(),
            };
            encode_record(&message, version, &mut record)?;
            self.keep("pull_body", record.repeat(66));
            self.keep("pull_body", &record[..7]);
            // Size, magic, CRC, offset, flags of families, kind and batch, ports, lengths of the parts.
            let wrong =
                [0, 3, 4, 7, 8, 20, 28, 36, 38, 39, 52, 53, 64, 68, 69, 77, 80, 84, 87, 89, 90, 92, 93, 108, 112];
            for at in wrong.into_iter().filter(|at| *at < record.len()) {
                for bits in [0x80, 0x41, 0x10, 0x20] {
                    let mut bad = record.clone();
                    bad[at] ^= bits;
                    self.keep("pull_body", [&bad[..], &record].concat());
                }
            }
        }
        Ok(())
    }

    fn bad_bodies(&mut self) {
        // No body, no topic, no properties; then topics of a length with the top bit set.
        self.keep("message_structured", [0; 64]);
        self.keep("message_structured", [1; 200]);
        let mut rng = Rng::new(1);
        for len in [80, 150, 300, 600, 1_200, 2_400] {
            for _ in 0..6 {
                self.keep("message_structured", random(&mut rng, len));
                self.keep("command_structured", random(&mut rng, len));
            }
        }
        let item = [0, 0, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for count in [1, 64, 65] {
            self.keep("inner_batch", item.repeat(count));
        }
        for size in [-1, 0, 4, 21, 23, i32::MAX] {
            self.keep("inner_batch", [&i32::to_be_bytes(size)[..], &item[4..]].concat());
        }
        for text in [
            r"{}",
            r"null",
            r#"{"brokerDatas":[{"brokerAddrs":{0:"a:1",-1:"b:2"},"brokerName":"b","cluster":"c","enableActingMaster":true,"zoneName":"z"}],"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":4,"writeQueueNums":4,"topicSysFlag":0}],"orderTopicConf":"b:4"}"#,
            r#"{"queueDatas":[{"brokerName":"b","readQueueNums":2147483647}]}"#,
            r#"{"queueDatas":[{"brokerName":"b","readQueueNums":4097}]}"#,
            r#"{"queueDatas":[{"brokerName":"b","readQueueNums":-1}]}"#,
            r#"{"brokerDatas":null,"queueDatas":null}"#,
            r#"{"brokerAddrTable":{"b":{"brokerAddrs":{0:"a:1"}}},"clusterAddrTable":{"c":["b"]}}"#,
            r#"{"a":{"b":[{0:1},{"c":"\"}"}]}}"#,
            r#"{{"a":1}:2,{"b":["\n"]}:{"c":3}}"#,
            r#"{{"a":1"#,
            r#"{"a"#,
            "{[0]:1}",
            "{#:1}",
            "{,}",
            "{]",
            "}",
        ] {
            self.keep("route_json", text);
            (0..8).for_each(|selector| self.keep("bodies", [&[selector], text.as_bytes()].concat()));
        }
        let queues: Vec<_> = (0..17).map(|_| r#"{"brokerName":"b","readQueueNums":4096}"#).collect();
        self.keep("route_json", format!(r#"{{"queueDatas":[{}]}}"#, queues.join(",")));
        let brokers = ["{}"; 1_025].join(",");
        self.keep("route_json", format!(r#"{{"brokerDatas":[{brokers}]}}"#));
        self.keep("route_json", format!(r#"{{"queueDatas":[{brokers}]}}"#));
        for depth in [32, 33, 2_000] {
            let nested = "[".repeat(depth) + &"]".repeat(depth);
            self.keep("route_json", &*nested);
            self.keep("route_json", format!("{{{{\"k\":{nested}}}:1}}"));
        }
    }

    /// A little that becomes much, and compressed data with a flaw.
    fn bombs(&mut self) {
        let kinds = [CompressionKind::Zlib, CompressionKind::Lz4, CompressionKind::Zstd];
        for (selector, kind) in (0..).zip(kinds) {
            let packed = |data: &[u8]| deflate(kind, 9, data).unwrap_or_default();
            let bomb = packed(&vec![0; 1 << 20]);
            for cap in [[0, 1], [0xff, 0xff]] {
                self.keep("inflate", [&[selector, cap[0], cap[1]], &bomb[..]].concat());
            }
            let small = packed(b"hello hello hello hello");
            for at in [0, 4, small.len() / 2, small.len() - 1] {
                let mut bad = small.clone();
                bad[at] ^= 0x21;
                self.keep("inflate", [&[selector, 1, 0], &bad[..]].concat());
            }
            self.keep("inflate", [&[selector, 1, 0], &small[..small.len() - 1]].concat());
            self.keep("inflate", [&[selector, 1, 0], &small[..], b"x"].concat());
            self.keep("inflate", [&[selector, 1, 0], &small[..], &small].concat());
            let skipped = [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 7, 7];
            self.keep("inflate", [&[selector, 1, 0], &skipped[..], &small].concat());
            self.keep("inflate", [&[selector, 1, 0], &skipped[..9]].concat());
            self.keep("inflate", [&[selector, 1, 0], &skipped[..6]].concat());
            self.keep("inflate", [selector, 1, 0]);
        }
        // A Zstandard frame that asks for a window of gigabytes.
        self.keep("inflate", [2, 1, 0, 0x28, 0xB5, 0x2F, 0xFD, 0, 0xF8, 1, 0, 0]);
    }

    /// What targets that read choices read.
    fn tapes(&mut self) {
        let mut rng = Rng::new(2);
        for len in [60, 120, 250, 500, 1_000, 2_000] {
            for _ in 0..12 {
                self.keep("client_ops", random(&mut rng, len));
            }
            for _ in 0..4 {
                self.keep("server_request", random(&mut rng, len));
            }
        }
        // Operations that get on: a consumer starts and everything is served, then come random ones.
        for index in 0..40_u8 {
            let begin = [15, 0, 0, index, 0, index % 4, 0, 13, 0, 3, 0, 0, 13, 0, 200, 0, 0, 16, 0, 3, 12, 9, 0];
            self.keep("client_ops", [&begin[..], &random(&mut rng, 400)].concat());
        }
        self.keep("sim_tape", b"");
        for len in [8, 16, 40, 100, 200, 400] {
            for _ in 0..4 {
                self.keep("sim_tape", random(&mut rng, len));
            }
        }
    }

    fn save(mut self) -> Result<(), Box<dyn Error>> {
        for (target, inputs) in self.many {
            let mut inputs: Vec<_> = inputs.into_iter().filter(|input| input.len() <= MAX_LEN).collect();
            inputs.sort_by_key(|input| (input.len(), input.clone()));
            inputs.dedup();
            // Evenly over all lengths, so that the corpus stays small.
            let step = inputs.len().div_ceil(MOST).max(1);
            self.each.entry(target).or_default().extend(inputs.into_iter().rev().step_by(step));
        }
        for (target, mut inputs) in self.each {
            inputs.sort_by_key(|input| (input.len(), input.clone()));
            inputs.dedup();
            let dir = Path::new(CORPORA).join(target);
            std::fs::create_dir_all(&dir)?;
            remove_seeds(&dir)?;
            for (index, input) in inputs.iter().enumerate() {
                std::fs::write(dir.join(format!("seed-{index:03}")), input)?;
            }
        }
        Ok(())
    }
}

fn random(rng: &mut Rng, len: usize) -> Vec<u8> {
    (0..len).map(|_| u8::try_from(rng.below(256)).unwrap_or_default()).collect()
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

/// Inputs of many of one target.
const MOST: usize = 200;
/// Bytes of such an input: longer ones only slow a fuzzer down.
const MAX_LEN: usize = 4_500;
