//! What must hold, one file each. To add one: a file with `check` and its tests, and a line in [`ALL`].

mod a1;
mod a2;
mod a3;
mod c1;
mod c2;
mod c3;
mod c4;
mod c5;
mod c6;
mod c7;
mod c8;
mod d6;
mod f1;
mod f2;
mod f3;
mod f4;
mod f5;
mod hands;
mod k1;
mod l1;
mod l2;
mod l3;
mod l4;
pub(crate) mod ledger;
mod n1;
mod o1;
mod o2;
mod o3;
mod o4;
mod owners;
mod p1;
mod p2;
mod p3;
mod p4;
mod p5;
mod p6;
mod p7;
mod p8;
mod p9;
mod q1;
mod q2;
mod q3;
mod r1;
mod r2;
mod r4;
mod s1;
mod s2;
mod s3;
mod s4;
mod s5;
mod t1;
mod w1;
mod x2;
mod x3;
mod x4;

use rocketmq_core::time::Instant;

use super::Failure;
use super::history::History;

/// One invariant.
pub struct Invariant {
    /// Its id in the programme of tests.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Finds where a history breaks it.
    pub check: fn(&History) -> Result<(), Broken>,
}

/// Where an invariant is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// When.
    pub at: Instant,
    /// How.
    pub text: String,
}

impl Broken {
    pub(crate) fn new(at: Instant, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

/// All invariants that are checked after a run.
pub const ALL: &[Invariant] = &[
    Invariant { id: "P1", says: "what is reported as stored is stored, where it was reported", check: p1::check },
    Invariant { id: "P2", says: "nothing is stored that was not sent, and as it was sent", check: p2::check },
    Invariant { id: "P3", says: "no more copies than frames, all with one key", check: p3::check },
    Invariant { id: "P4", says: "what failed for certain is not stored", check: p4::check },
    Invariant { id: "P5", says: "every send ends once and in time", check: p5::check },
    Invariant { id: "P6", says: "a weak status is told, and is no error", check: p6::check },
    Invariant { id: "P7", says: "no more attempts than allowed, none after the deadline", check: p7::check },
    Invariant { id: "P8", says: "messages of a key are in its queue, in order", check: p8::check },
    Invariant { id: "P9", says: "what is delayed comes at its time, or is taken back", check: p9::check },
    Invariant { id: "T1", says: "a transaction is seen if and only if it is committed", check: t1::check },
    Invariant { id: "K1", says: "a request gets the reply to it, or none when its time is up", check: k1::check },
    Invariant { id: "C1", says: "every message is consumed or a dead letter", check: c1::check },
    Invariant {
        id: "C2",
        says: "nothing is delivered that is not stored and wanted, and as it was sent",
        check: c2::check,
    },
    Invariant { id: "C3", says: "no offset is committed beyond what is handled", check: c3::check },
    Invariant { id: "C4", says: "committed offsets do not go back", check: c4::check },
    Invariant { id: "C5", says: "every redelivery has a cause", check: c5::check },
    Invariant { id: "C6", says: "no message is skipped within an assignment", check: c6::check },
    Invariant { id: "O1", says: "in order: messages first come in the order of their offsets", check: o1::check },
    Invariant { id: "O2", says: "in order: one handler per queue, under a lock that lasts", check: o2::check },
    Invariant { id: "O3", says: "in order: a message that failed comes again, and next", check: o3::check },
    Invariant { id: "O4", says: "in order: a message that failed bars those after it", check: o4::check },
    Invariant { id: "C7", says: "an unreadable record costs nothing but itself", check: c7::check },
    Invariant { id: "C8", says: "a broadcasting member sees all, and goes on from its file", check: c8::check },
    Invariant { id: "R1", says: "in the end members share the queues, each has one owner", check: r1::check },
    Invariant { id: "R2", says: "queues are shared out again in a bounded time", check: r2::check },
    Invariant { id: "R4", says: "what is handed out is of a queue that is owned", check: r4::check },
    Invariant { id: "S1", says: "of a topic that was given up nothing is handed out", check: s1::check },
    Invariant { id: "S2", says: "what is wanted all the time is consumed, whatever else changes", check: s2::check },
    Invariant { id: "S3", says: "nothing is pulled by SQL from a broker that was not asked", check: s3::check },
    Invariant { id: "S4", says: "a slave is not asked in a loop for what it does not have", check: s4::check },
    Invariant { id: "S5", says: "nothing is committed at a slave", check: s5::check },
    Invariant { id: "F1", says: "a full queue is not pulled", check: f1::check },
    Invariant { id: "F2", says: "what was under way on a link fails with it", check: f2::check },
    Invariant { id: "F3", says: "what is under way on a link is bounded", check: f3::check },
    Invariant { id: "F4", says: "a full cache is not filled up but for queues that have nothing", check: f4::check },
    Invariant { id: "F5", says: "a suspended consumer pulls nothing", check: f5::check },
    Invariant { id: "L1", says: "when faults end, everything drains", check: l1::check },
    Invariant { id: "L2", says: "no busy loop: reconnects and rebalances keep their pauses", check: l2::check },
    Invariant { id: "L3", says: "listeners delay neither heartbeats nor pulls", check: l3::check },
    Invariant { id: "L4", says: "whoever pulls sends heartbeats, once nothing goes wrong", check: l4::check },
    Invariant { id: "Q1", says: "a shutdown leaves nothing behind and nothing uncommitted", check: q1::check },
    Invariant { id: "Q2", says: "a second shutdown is over at once", check: q2::check },
    Invariant { id: "Q3", says: "a failed start leaves nothing behind", check: q3::check },
    Invariant { id: "A1", says: "what operators are told is so, and what they move stays moved", check: a1::check },
    Invariant { id: "A2", says: "what an administrator asks for ends by its deadline", check: a2::check },
    Invariant { id: "A3", says: "an administrator is told exactly what servers said", check: a3::check },
    Invariant { id: "N1", says: "traces tell of what happened, without faults of each thing once", check: n1::check },
    Invariant { id: "W1", says: "what a client shows of itself is so", check: w1::check },
    Invariant { id: "X2", says: "what cannot be read ends its own link and no other", check: x2::check },
    Invariant { id: "X3", says: "what comes over the wire costs bounded memory", check: x3::check },
    Invariant { id: "X4", says: "requests nobody asked for start nothing and are told nothing", check: x4::check },
    Invariant { id: "D6", says: "without faults everything goes well the first time", check: d6::check },
];

/// All invariants that a history breaks, the first one first.
#[must_use]
pub fn broken(history: &History) -> Vec<Failure> {
    let broken = |invariant: &Invariant| {
        let Broken { at, text } = (invariant.check)(history).err()?;
        Some(Failure { invariant: invariant.id, at, text })
    };
    let mut all: Vec<Failure> = ALL.iter().filter_map(broken).collect();
    all.sort_by_key(|failure| failure.at);
    all
}

#[cfg(test)]
pub(crate) mod synthetic {
    //! Short histories for the tests of invariants.

    use super::super::history::*;
    use rocketmq_core::time::Instant;

    pub(crate) fn history(rows: Vec<(u64, What)>) -> History {
        let rows = rows.into_iter().map(|(at, what)| Row { at: Instant::from_millis(at), what }).collect();
        let group = GroupSetup {
            name: "g0".into(),
            topic: "t0".into(),
            tags: vec!["new"],
            sql: None,
            changing: false,
            queue_messages: 2,
            pull_batch: 2,
            max_reconsume: 2,
            ..GroupSetup::default()
        };
        History { rows, setup: Setup { groups: vec![group], ..Setup::default() } }
    }

    /// The same of a group that consumes in order.
    pub(crate) fn orderly(rows: Vec<(u64, What)>) -> History {
        let mut history = history(rows);
        history.setup.groups[0].orderly = true;
        history
    }

    /// The same of a member of a broadcasting group.
    pub(crate) fn broadcast(rows: Vec<(u64, What)>) -> History {
        let mut history = history(rows);
        history.setup.groups[0].broadcast = true;
        history
    }

    pub(crate) fn queue(id: i32) -> Queue {
        Queue { broker: 0, topic: "t0".into(), id }
    }

    pub(crate) fn attempt(id: u64) -> What {
        What::Attempt { id, deadline: Instant::from_millis(3_000), attempts: 3 }
    }

    pub(crate) fn wire(id: u64) -> What {
        What::Wire { id, broker: 0, unique: "u".into() }
    }

    pub(crate) fn copy(id: u64, offset: i64) -> Copy {
        Copy {
            queue: queue(0),
            offset,
            physical: offset * 100,
            id: Some(id),
            tx: None,
            answers: None,
            unique: "u".into(),
            tag: "new".into(),
            bytes: 100,
            intact: true,
            reconsume: 0,
            real_topic: None,
        }
    }

    pub(crate) fn stored(id: u64, offset: i64) -> What {
        What::Stored(copy(id, offset))
    }

    pub(crate) fn resolved(id: u64, outcome: Outcome) -> What {
        What::Resolved { id, outcome }
    }

    pub(crate) fn ok(offset: i64) -> Outcome {
        Outcome::Stored { plain: true, queue: queue(0), offset }
    }

    pub(crate) fn delivered(delivery: u64, id: u64, offset: i64) -> What {
        What::Delivered {
            delivery,
            batch: delivery,
            member: 0,
            group: "g0".into(),
            queue: queue(0),
            offset,
            id: Some(id),
            intact: true,
            tag: "new".into(),
            reconsume: 0,
        }
    }

    /// The same, for the member and the time after so many failures.
    pub(crate) fn delivered_to(member: u32, delivery: u64, offset: i64, reconsume: i32) -> What {
        let mut row = delivered(delivery, u64::try_from(offset).unwrap_or(0), offset);
        if let What::Delivered { member: of, reconsume: times, .. } = &mut row {
            (*of, *times) = (member, reconsume);
        }
        row
    }

    /// The same, handed out together with these before it.
    pub(crate) fn delivered_with(batch: u64, delivery: u64, offset: i64, reconsume: i32) -> What {
        let mut row = delivered_to(0, delivery, offset, reconsume);
        if let What::Delivered { batch: first, .. } = &mut row {
            *first = batch;
        }
        row
    }

    /// A copy of the message with this offset and number became a dead letter.
    pub(crate) fn buried(id: u64) -> What {
        let place = Queue { broker: 0, topic: "%DLQ%g0".into(), id: 0 };
        What::Stored(Copy { queue: place, physical: 100_000, ..copy(id, 0) })
    }

    pub(crate) fn settled(delivery: u64, how: Settled) -> What {
        What::Settled { delivery, how }
    }

    pub(crate) fn committed(offset: i64) -> What {
        What::Committed { host: 0, written: Instant::FAR, group: "g0".into(), queue: queue(0), offset }
    }

    /// A pull that was written when it arrived, a millisecond after the one before it.
    pub(crate) fn pulled(host: usize, link: u64, id: i32, offset: i64) -> What {
        let written = Instant::from_millis(u64::try_from(offset).unwrap_or(0));
        What::Pull { host, link, group: "g0".into(), queue: queue(id), offset, written }
    }

    pub(crate) fn assigned(member: u32, added: &[i32], revoked: &[i32]) -> What {
        let queues = |ids: &[i32]| ids.iter().map(|id| queue(*id)).collect();
        What::Assigned { member, group: "g0".into(), added: queues(added), revoked: queues(revoked) }
    }

    pub(crate) fn member(member: u32, change: Change) -> What {
        What::Member { member, group: "g0".into(), change }
    }

    pub(crate) fn subscribing(filter: Option<usize>) -> What {
        What::Subscribing { member: 0, group: "g0".into(), filter }
    }

    pub(crate) fn subscribed(filter: Option<usize>, held: bool) -> What {
        What::Subscribed { member: 0, group: "g0".into(), filter, held }
    }

    pub(crate) fn start(offset: i64) -> What {
        What::Start { member: 0, group: "g0".into(), queue: queue(0), offset }
    }
}
