//! What a server makes of frames whatever they ask.

use rocketmq_core::ids::Opaque;
use rocketmq_core::wire::header::{FLAG_RESPONSE, Language};

use super::{Cell, cell};
use crate::call::{Call, max_offset, message, pull};

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(UNKNOWN, "to a broker", |lab| drop(lab.ask(Call::new(UNKNOWN)))),
        cell(UNKNOWN, "to a name server", |lab| lab.ask_names_in_vain(Call::new(UNKNOWN))),
        cell(UNKNOWN, "with fields and a body", |lab| {
            lab.ask(Call::new(UNKNOWN).with("topic", "T").body("whatever"));
        }),
        cell(UNKNOWN, "binary header", |lab| drop(lab.ask(Call::new(UNKNOWN).binary()))),
        cell(UNKNOWN, "binary header to a name server", |lab| lab.ask_names_in_vain(Call::new(UNKNOWN).binary())),
        cell(UNKNOWN, "oneway", |lab| {
            let asked = lab.tell_as(0, Call::new(UNKNOWN).oneway());
            lab.silence(asked);
        }),
        cell(UNKNOWN, "oneway to a name server", |lab| {
            let asked = lab.tell_names(Call::new(UNKNOWN).oneway());
            lab.silence(asked);
        }),
        cell(-1, "to a broker", |lab| drop(lab.ask(Call::new(-1)))),
        cell(3442, "POP as the binary header truncates it", |lab| drop(lab.ask(Call::new(3442).binary()))),
        cell(310, "to a name server", |lab| lab.ask_names_in_vain(message("T", 0, &[]))),
        cell(11, "to a name server", |lab| lab.ask_names_in_vain(pull("G", "T", 0))),
        cell(30, "marked as a response", |lab| {
            let topic = lab.topic(1);
            let asked = lab.tell_as(0, max_offset(&topic, 0).flags(FLAG_RESPONSE));
            lab.silence(asked);
        }),
        cell(30, "flags that do not exist", |lab| {
            let topic = lab.topic(1);
            lab.ask(max_offset(&topic, 0).flags(0x70));
        }),
        cell(30, "language that does not exist", |lab| {
            let topic = lab.topic(1);
            lab.ask(max_offset(&topic, 0).language(Language(99)).binary());
        }),
        cell(30, "version of the future", |lab| {
            let topic = lab.topic(1);
            lab.ask(max_offset(&topic, 0).version(30_000));
        }),
        cell(30, "frame longer than any may be", |lab| lab.write_bytes(30, &[0x7f; 16])),
        cell(30, "frame of negative length", |lab| lab.write_bytes(30, &[0xff; 16])),
        cell(30, "header longer than its frame", |lab| {
            let mut bytes = max_offset("T", 0).bytes(Opaque(1)).to_vec();
            bytes[5] = 0x7f;
            lab.write_bytes(30, &bytes);
        }),
        cell(30, "header that is no JSON", |lab| {
            let mut bytes = max_offset("T", 0).bytes(Opaque(1)).to_vec();
            bytes[8] = b'!';
            lab.write_bytes(30, &bytes);
        }),
        cell(30, "codec that does not exist", |lab| {
            let mut bytes = max_offset("T", 0).bytes(Opaque(1)).to_vec();
            bytes[4] = 9;
            lab.write_bytes(30, &bytes);
        }),
    ]
}

const UNKNOWN: i32 = 9_999;
