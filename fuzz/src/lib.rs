//! Bodies of the fuzz targets: each takes any bytes and checks what must hold of them, whatever they are.
//!
//! They are functions so that plain `cargo test` replays the corpora; the binaries of `fuzz_targets` hand them to
//! libFuzzer, and without it run them on the files they are given.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic in a target is what is looked for"
)]

mod answers;
mod bodies;
mod client_ops;
mod headers;
mod memory;
mod messages;
mod offsets;
pub mod planted;
pub mod server_request;
mod sign;
mod sim_tape;
mod split;
mod text;
mod world;

use std::path::{Path, PathBuf};

pub use answers::{http, socks};
pub use bodies::{bodies, route_json};
pub use client_ops::client_ops;
pub use headers::{command_structured, header_json, header_rmq};
pub use messages::{inflate, inner_batch, message_structured, properties, pull_body};
pub use offsets::offset_file;
pub use server_request::server_request;
pub use sign::acl_sign;
pub use sim_tape::sim_tape;
pub use split::frame_split;
pub use text::text;

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 19] = [
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
    ("server_request", server_request),
    ("client_ops", client_ops),
    ("sim_tape", sim_tape),
    ("text", text),
    ("offset_file", offset_file),
    ("http", http),
    ("socks", socks),
    ("acl_sign", acl_sign),
];

/// Makes a program of a target: libFuzzer's under `cargo fuzz`, else one that runs it on the files of its arguments.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        ::libfuzzer_sys::fuzz_target!(init: $crate::planted::plant(), |data: &[u8]| $crate::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|file| std::fs::read(file).map(|data| $crate::$name(&data)))
        }
    };
}

/// The committed inputs of a target, in order.
///
/// # Errors
/// They cannot be read.
pub fn corpus(target: &str) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(Path::new(CORPORA).join(target))?;
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// Where the corpora lie, a folder for each target.
pub const CORPORA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
