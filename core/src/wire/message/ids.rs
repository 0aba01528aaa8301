//! Ids that say where a message is stored.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use nom::Parser;
use nom::number::complete::{be_i32, be_i64};

use super::address;

/// The broker's address and the position in its commit log, as `msgId` of a send and in view requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OffsetMsgId {
    /// The broker.
    pub host: SocketAddr,
    /// The position, bytes.
    pub physical_offset: i64,
}

impl FromStr for OffsetMsgId {
    type Err = MsgIdError;

    fn from_str(text: &str) -> Result<Self, MsgIdError> {
        let v6 = match text.len() {
            V4_LEN => false,
            V6_LEN => true,
            len => return Err(MsgIdError::Length(len)),
        };
        let mut bytes = [0; V6_LEN / 2];
        let used = bytes.get_mut(..text.len() / 2).unwrap_or_default();
        for (byte, pair) in used.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte =
                pair.iter().try_fold(0, |byte, digit| Some((byte << 4) | nibble(*digit)?)).ok_or(MsgIdError::Hex)?;
        }
        let (rest, ip) = address(used, v6).map_err(|_| MsgIdError::Length(text.len()))?;
        let (_, (port, physical_offset)) =
            (be_i32::<_, ()>, be_i64).parse(rest).map_err(|_| MsgIdError::Length(text.len()))?;
        let port = u16::try_from(port).map_err(|_| MsgIdError::Port(port))?;
        Ok(Self { host: SocketAddr::new(ip, port), physical_offset })
    }
}

impl fmt::Display for OffsetMsgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.ip() {
            IpAddr::V4(ip) => write!(f, "{:08X}", ip.to_bits())?,
            IpAddr::V6(ip) => write!(f, "{:032X}", ip.to_bits())?,
        }
        write!(f, "{:08X}{:016X}", self.host.port(), self.physical_offset)
    }
}

/// A text that is not an offset message id; it may be a unique key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MsgIdError {
    /// Neither 32 nor 56 characters.
    #[error("{0} characters, not 32 or 56")]
    Length(usize),
    /// Not hexadecimal.
    #[error("not hexadecimal")]
    Hex,
    /// A port no host can have.
    #[error("host port {0}")]
    Port(i32),
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit & 0xf),
        b'a'..=b'f' | b'A'..=b'F' => Some((digit & 0xf).wrapping_add(9)),
        _ => None,
    }
}

/// Characters with an IPv4 address.
const V4_LEN: usize = 32;
/// Characters with an IPv6 address.
const V6_LEN: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn ids_are_those_of_java() {
        let id = OffsetMsgId { host: "127.0.0.1:10911".parse().unwrap(), physical_offset: 0x1234 };
        assert_eq!(id.to_string(), "7F00000100002A9F0000000000001234");
        assert_eq!("7f00000100002a9f0000000000001234".parse(), Ok(id));
        let id = OffsetMsgId { host: "[::1]:10911".parse().unwrap(), physical_offset: -1 };
        assert_eq!(id.to_string(), "0000000000000000000000000000000100002A9FFFFFFFFFFFFFFFFF");
    }

    #[test]
    fn other_texts_are_refused() {
        let parse = str::parse::<OffsetMsgId>;
        assert_eq!(parse(""), Err(MsgIdError::Length(0)));
        assert_eq!(parse("7F00000100002A9F000000000000123"), Err(MsgIdError::Length(31)));
        assert_eq!(parse("7F00000100002A9F000000000000123G"), Err(MsgIdError::Hex));
        assert_eq!(parse("7F000001FFFFFFFF0000000000001234"), Err(MsgIdError::Port(-1)));
        // As long as an id, and not on character boundaries.
        assert_eq!(parse("中文中文中文中文中文中A"), Err(MsgIdError::Length(34)));
        assert_eq!(parse("中文中文中文中文中文AA"), Err(MsgIdError::Hex));
    }

    proptest! {
        #[test]
        fn ids_come_back(ip: IpAddr, port: u16, physical_offset: i64) {
            let id = OffsetMsgId { host: SocketAddr::new(ip, port), physical_offset };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn any_text_has_a_verdict(text in "(?s).{0,60}", hex in "[0-9A-Fa-f]{56}") {
            let _ = text.parse::<OffsetMsgId>();
            let _ = hex.parse::<OffsetMsgId>();
        }
    }
}
