use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use proptest::prelude::*;

use super::*;
use crate::wire::frame;

fn roundtrip(preamble: Preamble<'_>, fields: &[(&str, &str)]) -> Header {
    let write = |out: &mut ExtWriter<'_>| fields.iter().for_each(|(key, value)| out.text(key, value));
    let bytes = preamble.encode(write, Bytes::from_static(b"body")).to_bytes(Opaque(77));
    assert_eq!(frame::frame_len(&bytes, frame::MAX_FRAME), Ok(Some(bytes.len())));
    let frame = frame::decode(&bytes, &HeaderLimits::default()).unwrap();
    assert_eq!(frame.body, &b"body"[..]);
    frame.header
}

#[test]
fn request_105_in_binary_is_the_documented_vector() {
    let preamble = Preamble { version: 479, language: Language::JAVA, ..Preamble::request(105, Codec::Rocketmq) };
    let bytes = preamble.encode(|out| out.text("topic", "TopicTest"), Bytes::new()).to_bytes(Opaque(7));
    let hex: alloc::string::String = bytes.iter().skip(8).map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(hex, "00690001DF000000070000000000000000000000140005746F70696300000009546F70696354657374");
}

/// Java's `NettyRemotingAbstract` answers GO_AWAY to versions above `V5_3_1`, whose number is 475.
#[test]
fn requests_say_who_speaks_and_which_version() {
    for codec in [Codec::Json, Codec::Rocketmq] {
        let header = roundtrip(Preamble::request(105, codec), &[]);
        assert_eq!((header.codec, header.language, header.version), (codec, Language::RUST, 475));
    }
}

#[test]
fn codes_over_16_bits_travel_in_json() {
    let header = roundtrip(Preamble::request(200_050, Codec::Rocketmq), &[]);
    assert_eq!((header.code, header.codec), (200_050, Codec::Json));
}

#[test]
fn json_is_read_leniently_where_java_is() {
    let decode = |text: &str| decode(Codec::Json, text.as_bytes(), &HeaderLimits::default());
    let header = decode(r#"{"opaque":"5","code":0,"code":3,"language":"KLINGON","extFields":{"a":1,"b":null,"c":true,"a":"2"},"x":[{"y":1}]}"#).unwrap();
    assert_eq!((header.code, header.opaque, header.language), (3, Opaque(5), Language::OTHER));
    assert_eq!(header.ext.get("a"), Some("2"));
    assert_eq!(header.ext.get("b"), None);
    assert_eq!(header.ext.get("c"), Some("true"));
    assert_eq!(decode("{\"code\":1}"), Err(HeaderError::Missing("opaque")));
    assert!(decode("").is_err() && decode("null").is_err() && decode("{\"code\":1.5,\"opaque\":1}").is_err());
    assert!(decode("{\"code\":1,\"opaque\":1}x").is_err());
}

#[test]
fn absent_is_the_last_word_too() {
    let json = br#"{"code":1,"opaque":1,"extFields":{"a":"1","b":"2","a":null}}"#;
    let header = decode(Codec::Json, json, &HeaderLimits::default()).unwrap();
    assert_eq!(header.ext, [("b", "2")].into_iter().collect());
    let header = roundtrip(Preamble::request(1, Codec::Rocketmq), &[("a", "1"), ("b", "2"), ("a", "")]);
    assert_eq!(header.ext, [("b", "2")].into_iter().collect());
}

#[test]
fn deep_json_is_an_error() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let text = format!("{{\"x\":{open}{close},\"code\":1,\"opaque\":1}}");
        decode(Codec::Json, text.as_bytes(), &HeaderLimits::default())
    };
    assert!(nested(31).is_ok());
    assert!(matches!(nested(33), Err(HeaderError::Json(_))));
    assert!(matches!(nested(20_000), Err(HeaderError::Json(_))));
}

#[test]
fn fields_are_bounded_in_both_codecs() {
    let many: Vec<_> = (0..257).map(|i| (format!("k{i}"), "v".to_string())).collect();
    for codec in [Codec::Json, Codec::Rocketmq] {
        let write = |out: &mut ExtWriter<'_>| many.iter().for_each(|(key, value)| out.text(key, value));
        let bytes = Preamble::request(1, codec).encode(write, Bytes::new()).to_bytes(Opaque(1));
        let verdict = frame::decode(&bytes, &HeaderLimits::default());
        assert_eq!(verdict, Err(frame::FrameError::Header(HeaderError::TooManyFields)));
        let long = "k".repeat(256);
        let bytes = Preamble::request(1, codec).encode(|out| out.text(&long, "v"), Bytes::new()).to_bytes(Opaque(1));
        let verdict = frame::decode(&bytes, &HeaderLimits::default());
        assert_eq!(verdict, Err(frame::FrameError::Header(HeaderError::Key)));
    }
}

#[test]
fn binary_lengths_are_checked_at_the_header() {
    let decode = |bytes: &[u8]| decode(Codec::Rocketmq, bytes, &HeaderLimits::default());
    let fixed = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let with = |tail: &[u8]| [&fixed[..], tail].concat();
    assert!(decode(&with(&[0, 0, 0, 0, 0, 0, 0, 0])).is_ok());
    for bad in [
        &[0, 0][..],
        &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[0, 0, 0, 1, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 0, 9],
        &[0, 0, 0, 0, 0, 0, 0, 7, 0, 1, b'k', 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff],
    ] {
        assert!(matches!(decode(&with(bad)), Err(HeaderError::Binary(_))), "{bad:?}");
    }
    let empty_key = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 1, b'v'];
    assert_eq!(decode(&with(&empty_key)), Err(HeaderError::Key));
}

#[test]
fn integers_print_as_decimal() {
    for value in [0, 7, -1, 10, 1234567890, i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        push_int(&mut out, value);
        assert_eq!(out, value.to_string().into_bytes());
    }
}

proptest! {
    #[test]
    fn headers_round_trip(
        code in any::<i16>(), flags in 0..4_i32, version in 0..600_i32, remark in proptest::option::of(".{1,40}"),
        fields in proptest::collection::btree_map("[a-zA-Z_]{1,20}|(?s).{1,20}", "\\PC{0,30}|.{0,30}", 0..12),
        binary in any::<bool>(),
    ) {
        let codec = if binary { Codec::Rocketmq } else { Codec::Json };
        let preamble = Preamble { flags, version, remark: remark.as_deref(), ..Preamble::request(i32::from(code), codec) };
        let pairs: Vec<_> = fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let header = roundtrip(preamble, &pairs);
        prop_assert_eq!(header.code, i32::from(code));
        prop_assert_eq!((header.flags, header.version, header.opaque), (flags, version, Opaque(77)));
        prop_assert_eq!(header.remark, remark);
        prop_assert_eq!(header.language, Language::RUST);
        for (key, value) in &fields {
            let expected = if value.is_empty() && binary { None } else { Some(value.as_str()) };
            prop_assert_eq!(header.ext.get(key), expected);
        }
    }

    #[test]
    fn decoders_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), json in "\\PC{0,100}") {
        let limits = HeaderLimits::default();
        let _ = decode(Codec::Rocketmq, &bytes, &limits);
        let _ = decode(Codec::Json, &bytes, &limits);
        let _ = decode(Codec::Json, json.as_bytes(), &limits);
        let _ = frame::decode(&bytes, &limits);
    }
}
