//! Client events as `tracing` events.

use crate::client::{ClientEvent, ServerVerdict};

/// Reports one event: what users asked for at info, what is unusual at warn, the rest at debug.
pub(super) fn event(event: &ClientEvent) {
    match event {
        ClientEvent::Start { group, step } => tracing::info!(%group, step = step.number(), "consumer start"),
        ClientEvent::Rebalanced { group, topic, added, revoked, members } => {
            tracing::info!(%group, %topic, added = added.len(), revoked = revoked.len(), members, "rebalanced");
        }
        ClientEvent::Subscribed { group, topic, expression } => {
            tracing::info!(%group, %topic, expression = ?clip(expression), "subscribed");
        }
        ClientEvent::Unsubscribed { group, topic, revoked } => {
            tracing::info!(%group, %topic, revoked = revoked.len(), "unsubscribed");
        }
        ClientEvent::FilterRefused { group, topic, broker, why } => {
            tracing::warn!(%group, %topic, %broker, why = ?clip(&alloc::format!("{why}")), "filter refused");
        }
        ClientEvent::AllocateFailed { group, topic, why } => {
            tracing::warn!(%group, %topic, why = ?clip(&alloc::format!("{why}")), "queues not shared out");
        }
        ClientEvent::ClientIdCollision { group, id, listed } => {
            tracing::error!(%group, %id, listed, "another client has the id of this one");
        }
        ClientEvent::StartPosition { group, queue, offset, reason } => {
            tracing::info!(%group, %queue, %offset, ?reason, "start position");
        }
        ClientEvent::OffsetIllegal { group, queue, asked, next, .. } => {
            tracing::warn!(%group, %queue, %asked, %next, "the broker moved the offset");
        }
        ClientEvent::ReadFrom { group, queue, replica } => tracing::info!(%group, %queue, replica, "read from"),
        ClientEvent::PullFailed { group, queue, why } => {
            tracing::warn!(%group, %queue, why = ?clip(why), "pull failed")
        }
        ClientEvent::SendBackFailed { group, queue, why } => {
            tracing::warn!(%group, %queue, why = ?clip(why), "message not handed back");
        }
        ClientEvent::Poison { group, event } => tracing::warn!(%group, ?event, "poison record"),
        ClientEvent::LockLost { group, queue, handling } => {
            tracing::warn!(%group, %queue, handling, "the lock of a queue is lost");
        }
        ClientEvent::QueueStopped { group, queue, offset } => {
            tracing::error!(%group, %queue, %offset, "queue stopped at a record that cannot be passed");
        }
        ClientEvent::ConsumeTimeout { group, queue, offset, goes_back } => {
            tracing::warn!(%group, %queue, %offset, goes_back, "a handler takes too long");
        }
        ClientEvent::Suspended { group } => tracing::info!(%group, "suspended"),
        ClientEvent::Resumed { group } => tracing::info!(%group, "resumed"),
        ClientEvent::Dropped { group, queue, offset } => tracing::warn!(%group, %queue, %offset, "failed, dropped"),
        ClientEvent::PopUnsupported { group, topic } => {
            tracing::warn!(%group, %topic, "the broker knows nothing of popping");
        }
        ClientEvent::PopExpired { group, queue, offset } => {
            tracing::warn!(%group, %queue, %offset, "hidden no longer, comes again");
        }
        ClientEvent::PopNotSettled { group, queue, offset, why } => {
            tracing::warn!(%group, %queue, %offset, why = ?clip(why), "popped message not settled");
        }
        ClientEvent::OffsetsUnreadable { group, path, why } => {
            tracing::warn!(%group, path, why = ?clip(&alloc::format!("{why}")), "offsets cannot be read");
        }
        ClientEvent::OffsetsLost { group, path } => tracing::error!(%group, path, "offsets are lost"),
        ClientEvent::OffsetsShared { group, path } => {
            tracing::error!(%group, path, "offsets are written by others too")
        }
        ClientEvent::OffsetsNotSaved { group, path, why } => {
            tracing::warn!(%group, path, why = ?clip(&alloc::format!("{why}")), "offsets not saved");
        }
        ClientEvent::ServerRequest { from, code, group, verdict: ServerVerdict::Done, .. } => {
            tracing::debug!(%from, code, group = ?group, "a server's request was done");
        }
        ClientEvent::ServerRequest { from, code, group, verdict, times } => {
            tracing::warn!(%from, code, group = ?group, ?verdict, times, "a server's request was not done");
        }
        ClientEvent::TraceLost { group, records } => tracing::warn!(%group, records, "trace records are lost"),
        ClientEvent::LateReply { correlation, times } => tracing::warn!(correlation, times, "a reply came too late"),
        ClientEvent::BrokerVersion { endpoint, version } => tracing::debug!(%endpoint, version, "broker version"),
        ClientEvent::Denied { endpoint, why, remark } => {
            tracing::warn!(%endpoint, %why, remark = ?clip(remark), "a broker does not let this client in");
        }
        ClientEvent::TopicMissing(topic) => tracing::warn!(%topic, "topic has no route"),
        ClientEvent::NameServers(servers) => tracing::info!(?servers, "other name servers"),
        ClientEvent::DiscoveryFailed { from, why } => {
            tracing::warn!(%from, why = ?clip(&alloc::format!("{why}")), "nobody tells the name servers");
        }
        ClientEvent::AddressRefused(endpoint) => {
            tracing::warn!(endpoint = ?clip(endpoint.as_str()), "an address that may not be connected");
        }
        ClientEvent::ConnectFailed { endpoint, why } => {
            tracing::warn!(%endpoint, why = ?clip(&alloc::format!("{why}")), "a link could not be opened");
        }
        ClientEvent::LinkUp(endpoint) => tracing::debug!(%endpoint, "link up"),
        ClientEvent::LinkDown(endpoint) => tracing::debug!(%endpoint, "link down"),
    }
}

/// Words of a peer, cut to what a log line can bear; the debug form escapes the rest.
fn clip(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_TEXT).last().unwrap_or(0);
    if text.len() <= MAX_TEXT { text } else { text.get(..end).unwrap_or_default() }
}

/// Bytes of a peer's words in a log.
const MAX_TEXT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_say_is_cut_and_escaped() {
        let said = alloc::format!("no\u{1b}[2J\r\nINFO all is well {}", "ä".repeat(1_000));
        let shown = alloc::format!("{:?}", clip(&said));
        assert!(shown.len() < MAX_TEXT + 32, "{} bytes", shown.len());
        assert!(shown.starts_with(r#""no\u{1b}[2J\r\nINFO"#) && !shown.contains(['\u{1b}', '\r', '\n']), "{shown}");
        assert_eq!(clip("short"), "short");
    }
}
