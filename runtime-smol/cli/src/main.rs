//! The program `rmq`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use rocketmq_rmq::Streams;

fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let (out_is_terminal, err_is_terminal) = (out.is_terminal(), err.is_terminal());
    let streams = Streams { out: &mut out, err: &mut err, out_is_terminal, err_is_terminal };
    ExitCode::from(rocketmq_rmq::run(std::env::args_os(), streams))
}
