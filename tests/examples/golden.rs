//! Writes the golden vectors anew with the official Java classes: `cargo run -p rocketmq-testkit --example golden [DIR]`.

use std::path::PathBuf;

use rocketmq_testkit::real::{JavaPeer, RealError, golden};

fn main() -> Result<(), RealError> {
    let dir = std::env::args_os().nth(1).map_or_else(golden::dir, PathBuf::from);
    let counts = JavaPeer::start()?.write_golden(&dir)?;
    println!("{}: {counts}", dir.display());
    Ok(())
}
