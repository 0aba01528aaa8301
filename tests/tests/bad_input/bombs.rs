//! A few bytes that inflate to very many: poison, at no more than the cap.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rocketmq_core::dispatch::PoisonCause;
use rocketmq_core::wire::compress::{CompressionKind, InflateError, deflate};
use rocketmq_core::wire::message::SysFlags;
use rocketmq_smol::PoisonPolicy;

use crate::hostile::record;
use crate::records::consume;

/// The largest body that is inflated.
const CAP: usize = 16 * 1024 * 1024;
/// What a bomb inflates to at least.
const SIZE: usize = 8 * CAP;
/// What handing out a bomb may cost: the cap, the same again while the output grows, and the codec's window.
const ALLOWED_KIB: u64 = (2 * CAP as u64 + 12 * 1024 * 1024) / 1024;
/// Set in the process that is measured.
const CHILD: &str = "ROCKETMQ_TEST_BOMB";

fn bomb(kind: CompressionKind) -> Vec<u8> {
    match kind {
        CompressionKind::Zlib => deflate(kind, 9, &vec![0; SIZE]).unwrap(),
        // Frames of these can stand in a row.
        CompressionKind::Lz4 | CompressionKind::Zstd => {
            const PART: usize = 4 * 1024 * 1024;
            deflate(kind, 9, &vec![0; PART]).unwrap().repeat(SIZE / PART)
        }
    }
}

fn explodes(kind: CompressionKind, test: &str) {
    if std::env::var_os(CHILD).is_some() {
        return measured(kind);
    }
    let bomb = bomb(kind);
    assert!(bomb.len() < SIZE / 100, "{} bytes", bomb.len());
    // The memory of this process has been used by the other tests: a new one shows what a bomb costs.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bomb).unwrap();
    assert!(child.wait().unwrap().success());
}

fn measured(kind: CompressionKind) {
    let mut bomb = Vec::new();
    std::io::stdin().read_to_end(&mut bomb).unwrap();
    let flags = SysFlags::default().with_compression(kind);
    let records = vec![record(0, b"before", SysFlags(0)), record(1, &bomb, flags), record(2, b"after", SysFlags(0))];
    let before = peak_kib();
    let seen = consume(records, PoisonPolicy::SendBack);
    let used = peak_kib() - before;
    let bodies: Vec<_> = seen.delivered.into_iter().collect();
    assert_eq!(bodies, [(0, Ok(b"before".to_vec())), (2, Ok(b"after".to_vec()))]);
    assert_eq!(seen.events, [(1, PoisonCause::Inflate(InflateError::OverCap { cap: CAP }))]);
    assert_eq!((seen.sent_back.as_slice(), seen.committed), (&[1_000][..], Some(3)));
    println!("{kind:?}: {} bytes of bomb, {used} KiB used", bomb.len());
    assert!(used < ALLOWED_KIB, "{used} KiB of {ALLOWED_KIB}");
}

/// The most memory that this process has had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_zlib_bomb() {
    explodes(CompressionKind::Zlib, "bombs::a_zlib_bomb");
}

#[test]
fn an_lz4_bomb() {
    explodes(CompressionKind::Lz4, "bombs::an_lz4_bomb");
}

#[test]
fn a_zstd_bomb() {
    explodes(CompressionKind::Zstd, "bombs::a_zstd_bomb");
}
