//! Bodies of the fuzz targets: each takes any bytes and checks what must hold of them, whatever they are.
//!
//! They are functions so that plain `cargo test` replays the corpora; the binaries of `fuzz_targets` hand them to
//! libFuzzer.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic in a target is what is looked for"
)]

mod bodies;
mod headers;
mod messages;
mod offsets;
mod split;
mod text;

pub use bodies::{bodies, route_json};
pub use headers::{command_structured, header_json, header_rmq};
pub use messages::{inflate, inner_batch, message_structured, properties, pull_body};
pub use offsets::offset_file;
pub use split::frame_split;
pub use text::text;

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 13] = [
    ("frame_split", frame_split),
    ("header_rmq", header_rmq),
    ("header_json", header_json),
    ("command_structured", command_structured),
    ("pull_body", pull_body),
    ("message_structured", message_structured),
    ("inner_batch", inner_batch),
    ("inflate", inflate),
    ("properties", properties),
    ("route_json", route_json),
    ("bodies", bodies),
    ("text", text),
    ("offset_file", offset_file),
];
