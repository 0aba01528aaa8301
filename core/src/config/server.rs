//! What servers may ask of this client.

use crate::wire::codes::request;

/// What servers may ask of this client. A request that is not allowed is refused; of each request, whatever is said to
/// it, [`ClientEvent::ServerRequest`](crate::client::ClientEvent::ServerRequest) tells.
///
/// Java's client does whatever any connected peer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerPolicy {
    /// To take note that the members of a group changed (40). Default: allowed.
    pub notify_members: Permission,
    /// To say what became of a transaction (39). Default: allowed.
    pub check_transactions: Permission,
    /// To take the reply to a request message (326). Default: allowed.
    pub push_replies: Permission,
    /// To go on at other offsets (220), as operators have it. Default: allowed, to the master of a queue, and for
    /// queues that are ours.
    pub reset_offsets: Permission,
    /// To tell how far queues are consumed (221). Default: allowed.
    pub tell_offsets: Permission,
    /// To tell configuration, subscriptions, queues and figures of a consumer (307): never stacks of threads, and no
    /// secrets. Default: allowed.
    pub tell_state: Permission,
    /// To have a consumer handle a message that comes with the request (309). Whoever is, or is taken for, a broker can
    /// make up such a message. Default: refused.
    pub consume_directly: Permission,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// It is.
    Allow,
    /// It is refused.
    Deny,
}

impl ServerPolicy {
    /// Nothing is allowed but what membership in a group needs: to hear that it changed.
    pub const STRICT: Self = Self {
        notify_members: Permission::Allow,
        check_transactions: Permission::Deny,
        push_replies: Permission::Deny,
        reset_offsets: Permission::Deny,
        tell_offsets: Permission::Deny,
        tell_state: Permission::Deny,
        consume_directly: Permission::Deny,
    };

    /// What holds for requests of this code; `None` when no server has such a request.
    #[must_use]
    pub const fn of(&self, code: i32) -> Option<Permission> {
        Some(match code {
            request::NOTIFY_CONSUMER_IDS_CHANGED => self.notify_members,
            request::CHECK_TRANSACTION_STATE => self.check_transactions,
            request::PUSH_REPLY_MESSAGE_TO_CLIENT => self.push_replies,
            request::RESET_CONSUMER_CLIENT_OFFSET => self.reset_offsets,
            request::GET_CONSUMER_STATUS_FROM_CLIENT => self.tell_offsets,
            request::GET_CONSUMER_RUNNING_INFO => self.tell_state,
            request::CONSUME_MESSAGE_DIRECTLY => self.consume_directly,
            _ => return None,
        })
    }
}

impl Default for ServerPolicy {
    fn default() -> Self {
        Self {
            notify_members: Permission::Allow,
            check_transactions: Permission::Allow,
            push_replies: Permission::Allow,
            reset_offsets: Permission::Allow,
            tell_offsets: Permission::Allow,
            tell_state: Permission::Allow,
            consume_directly: Permission::Deny,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_own_permission() {
        let codes = [39, 40, 220, 221, 307, 309, 326];
        let allowed = |policy: ServerPolicy| codes.map(|code| policy.of(code) == Some(Permission::Allow));
        assert_eq!(allowed(ServerPolicy::default()), [true, true, true, true, true, false, true]);
        assert_eq!(allowed(ServerPolicy::STRICT), [false, true, false, false, false, false, false]);
        let open = ServerPolicy { consume_directly: Permission::Allow, ..ServerPolicy::STRICT };
        assert_eq!(allowed(open), [false, true, false, false, false, true, false]);
        assert_eq!(ServerPolicy::default().of(11), None);
    }
}
