//! What is asked in requests, and replied.

/// What happened to a request, which has the number of its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// It is about to be sent.
    Begun {
        /// The number of the request.
        id: u64,
        /// The index of the host that waits for the reply.
        host: usize,
        /// When that must be over.
        deadline: rocketmq_core::time::Instant,
    },
    /// A reply is about to be sent.
    Said {
        /// The number of the request.
        id: u64,
        /// The number of the reply.
        reply: u64,
    },
    /// Nobody waits for the reply any more.
    Ended {
        /// The number of the request.
        id: u64,
        /// Why.
        how: AskEnd,
    },
    /// So many requests of a client wait.
    Waiting {
        /// The index of its host.
        host: usize,
        /// How many, as the client says.
        count: usize,
    },
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskEnd {
    /// With a reply that says it is this one to that request, and is as it was sent.
    Reply {
        /// The number of the request, if it can be read.
        to: Option<u64>,
        /// The number of the reply.
        reply: Option<u64>,
    },
    /// Without a reply in time.
    Late,
    /// With another error.
    Failed,
    /// The caller dropped the future, or its process is gone.
    GivenUp,
}
