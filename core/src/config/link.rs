//! One TCP link.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Proxies;
use crate::wire::frame::MAX_FRAME;
use crate::wire::header::HeaderLimits;

/// Bounds and times of one link.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// How long a connect may take. Java: 3 s.
    pub connect_timeout: Duration,
    /// Close after so long without a byte either way. Java and the servers: 120 s.
    pub idle_timeout: Duration,
    /// Close when a begun frame did not grow for so long.
    pub partial_frame_timeout: Duration,
    /// Close when the peer did not take a byte of a non-empty write queue for so long.
    pub write_stall_timeout: Duration,
    /// The largest frame, length word included.
    pub max_frame: usize,
    /// Bounds on headers.
    pub header: HeaderLimits,
    /// Sends under way on the link; more wait in their callers, in order.
    pub max_sends: usize,
    /// Requests under way on the data lane, sends and pulls.
    pub max_pending: usize,
    /// Bytes queued for writing on the data lane; on the control lane, of answers to the peer's requests.
    pub max_queued_bytes: usize,
    /// Requests under way on the control lane, beside the data lane.
    pub control_pending: usize,
    /// Bytes queued for writing on the control lane, beside the data lane.
    pub control_queued_bytes: usize,
    /// Close when a request was not answered in time, and nothing at all came for so long after that: the peer is out of
    /// reach, and nobody says so.
    pub silence_timeout: Duration,
    /// Broker requests waiting to be handled. More that want an answer are dropped and counted; more that want none are not
    /// read before.
    pub max_broker_requests: usize,
    /// Bytes of such requests, of those that want an answer and of the others; a longer one is taken when there is no other.
    pub max_broker_request_bytes: usize,
    /// Answers to requests never made on this link, in a minute, before it is closed.
    pub max_unmatched: u32,
    /// Fields that every request carries beside its own: what servers or their proxies route and account by.
    pub request_fields: Vec<(String, String)>,
    /// Through which proxies servers are reached.
    pub proxies: Proxies,
    /// What requests are signed with, if they are.
    #[cfg(feature = "acl")]
    pub credentials: Option<crate::acl::SharedProvider>,
    /// How links are encrypted, if they are: all of them or none.
    #[cfg(feature = "tls")]
    pub tls: Option<super::TlsConfig>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(120),
            partial_frame_timeout: Duration::from_secs(30),
            write_stall_timeout: Duration::from_secs(30),
            max_frame: MAX_FRAME,
            header: HeaderLimits::default(),
            max_sends: 2_048,
            max_pending: 4_096,
            max_queued_bytes: 8 * 1024 * 1024,
            control_pending: 256,
            control_queued_bytes: 64 * 1024,
            silence_timeout: Duration::from_secs(30),
            max_broker_requests: 64,
            max_broker_request_bytes: 8 * 1024 * 1024,
            max_unmatched: 1_000,
            request_fields: Vec::new(),
            proxies: Proxies::none(),
            #[cfg(feature = "acl")]
            credentials: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
