//! The client at one moment, with what only handles know.

use super::Client;
use crate::client::snapshot::{LinkSnapshot, ProducerSnapshot, Snapshot};
use crate::client::{Command, CommandResult};

impl Client {
    /// The whole client at this moment: name servers, links, routes, and each consumer and producer, down to the queue.
    /// `None` once it has ended. See [`Snapshot`] for what the fields mean; as JSON it is for programs.
    ///
    /// It costs a walk over all of that in the task that does the client's errands: fine every few seconds, not for each
    /// message.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let shared = &self.inner.shared;
        let CommandResult::Snapshot(mut snapshot) = shared.call(Command::Snapshot).await else {
            return None;
        };
        snapshot.replies_awaited = Some(shared.requests.waiting());
        let view = shared.view();
        let load_of = |link: &LinkSnapshot| {
            let conn = view.routes.links.get(&link.endpoint)?;
            Some(view.submitters.get(conn)?.load())
        };
        for link in &mut snapshot.links {
            if let Some(load) = load_of(link) {
                (link.sends, link.send_bytes) = (Some(load.requests), Some(load.bytes));
            }
        }
        for (group, load) in shared.producer_loads(shared.clock.now()) {
            let known = |producer: &&mut ProducerSnapshot| producer.group == group;
            if let Some(producer) = snapshot.producers.iter_mut().find(known) {
                producer.instances.push(load);
            }
        }
        Some(*snapshot)
    }
}
