//! The remoting protocol: bytes to values and back, without state.
//!
//! Nothing in here can panic on bytes from the network: every decoder returns a typed error, checks its
//! arithmetic, and allocates for bytes it has received, never for a length it was only told.

pub mod body;
pub mod codes;
pub mod compress;
pub mod dialect;
pub mod frame;
pub mod header;
pub mod http;
pub mod java;
pub mod message;
pub mod pop;
pub mod request;
pub mod socks;
pub mod subscription;
#[cfg(test)]
mod testdata;

pub use frame::{Frame, FrameError, Peer};
pub use header::{Codec, ExtFields, ExtWriter, Header, HeaderError, Language, Remark};
