//! The states worth reaching: a sweep is only good if it reaches each of them.

/// The marks that a sweep must meet, in order.
pub const ALL: &[&str] = &[
    "a broker closes a silent session",
    "a broker tells its version",
    "a client answers a server",
    "a client leaves a group",
    "a consumer does not start at once",
    "a dead letter",
    "a failed message is republished",
    "a failed message of a broadcasting group is dropped",
    "a file of offsets cannot be used",
    "a group has one member",
    "a group has several members",
    "a heartbeat arrives",
    "a link is down",
    "a link is up",
    "a lock is lost",
    "a lock is lost while a handler runs",
    "a member died",
    "a member joined",
    "a member leaves before it has joined",
    "a member leaves while it joins",
    "a member left",
    "a member with a stopped queue is restarted",
    "a message can neither be handed back nor republished",
    "a message comes again",
    "a message comes for the fourth time or later",
    "a message is handed back",
    "a message is stored",
    "a message is stored weakly",
    "a process goes on after a pause",
    "a pull arrives",
    "a pull fails",
    "a queue is locked by another member",
    "a queue starts at its beginning",
    "a queue starts at its stored offset",
    "a queue starts where a file says",
    "a queue stops at an unreadable record",
    "a queue waits for minutes",
    "a request in the binary codec",
    "a retry is delayed",
    "a retry is due",
    "a route is asked for",
    "a send arrives",
    "a send fails otherwise",
    "a send finds no route",
    "a send gets no answer",
    "a send is given up",
    "a send is refused",
    "a send is refused after one that went unanswered",
    "a send meets the end of its client",
    "a server's request is done",
    "a server's request is not done",
    "a step of a start",
    "a topic got a queue",
    "a topic has no route",
    "an offset is asked for",
    "an offset is committed",
    "an offset is outside its queue",
    "an unreadable record",
    "bytes arrive at a closed link",
    "bytes vanish on a half-open link",
    "locks are asked for",
    "locks are given back",
    "no file of offsets can be used",
    "no name server in time",
    "no queue takes messages",
    "offsets cannot be saved",
    "queues are given up",
    "the members of a group are asked for",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_has_its_place_in_order() {
        assert!(ALL.is_sorted_by(|one, next| one < next));
        assert!(ALL.len() >= 50, "{}", ALL.len());
    }
}
