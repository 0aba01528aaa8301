//! Blocks of free ports that two harnesses on one machine never share.
//!
//! A block is twelve neighbouring ports below the range from which the kernel gives ports to outgoing
//! connections. The first is bound by the test process for as long as the block is used: that is a
//! lock which the kernel releases even if the process is killed. The others go to the Java processes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

use super::RealError;

const FIRST: u16 = 12_000;
const SIZE: u16 = 12;
const BLOCKS: u16 = 1_600; // up to 31 200; Linux hands out 32 768 and above

/// A reserved block of ports.
#[derive(Debug)]
pub(super) struct PortBlock {
    _guard: TcpListener,
    base: u16,
}

impl PortBlock {
    /// Reserves a block of which every port is free now.
    pub(super) fn reserve() -> Result<Self, RealError> {
        for _ in 0..200 {
            let random = RandomState::new().build_hasher().finish();
            let base = FIRST + SIZE * (random % u64::from(BLOCKS)) as u16;
            let Ok(guard) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, base)) else { continue };
            if (1..SIZE).all(|i| TcpListener::bind((Ipv4Addr::UNSPECIFIED, base + i)).is_ok()) {
                return Ok(Self { _guard: guard, base });
            }
        }
        Err(RealError::NoPorts)
    }

    /// The port of the name server.
    pub(super) fn namesrv(&self) -> u16 {
        self.base + 1
    }

    /// The main port of the slave, which also takes the port two below and the one above.
    pub(super) fn slave(&self) -> u16 {
        self.base + 9
    }

    /// The main port of the broker, which also takes the port two below and the one above.
    pub(super) fn broker(&self) -> u16 {
        self.base + 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap_while_they_are_held() {
        let blocks: Vec<_> = (0..20).map(|_| PortBlock::reserve().expect("a block")).collect();
        let mut bases: Vec<_> = blocks.iter().map(|b| b.base).collect();
        bases.sort_unstable();
        bases.dedup();
        assert_eq!(bases.len(), 20);
        assert!(bases.windows(2).all(|w| w[1] - w[0] >= SIZE));
    }
}
