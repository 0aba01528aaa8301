//! Brokers ask what became of half messages: each check is handed to the checker of its group, and answered.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use super::broker_request::Refusal;
use super::single::batch_of;
use super::snapshot::ProducerSnapshot;
use super::{ClientMachine, Output};
use crate::dispatch::Taken;
use crate::effects::Effects;
use crate::ids::{Endpoint, Group};
use crate::timers::TimerKey;
use crate::transaction::{Check, HalfPlace, Resolution};
use crate::wire::message::properties::{self, name};
use crate::wire::request::{CheckTransaction, Fields, Request};
use crate::wire::{Codec, Frame};

/// The groups that have a checker, and the checks that are not answered.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    checkers: BTreeMap<Group, u32>,
    open: BTreeMap<u64, Open>,
    /// Which check is about the message of a group that has this key.
    by_key: BTreeMap<(Group, String), u64>,
    waiting: VecDeque<u64>,
    running: usize,
    /// Bytes of the messages of all open checks.
    bytes: u64,
}

/// A check that is not answered.
#[derive(Debug)]
struct Open {
    group: Group,
    key: String,
    /// The broker that asked last.
    to: Endpoint,
    place: HalfPlace,
    /// Bytes of the message.
    bytes: u64,
    /// The message, as long as no checker has it.
    message: Option<Taken>,
}

impl Transactions {
    pub(super) fn on_start(&mut self, group: Group) {
        let checkers = self.checkers.entry(group).or_insert(0);
        *checkers = checkers.saturating_add(1);
    }

    /// A checker is gone; with the last one of its group goes what waits for it.
    pub(super) fn on_stop(&mut self, group: &Group, fx: &mut Effects) {
        let Some(checkers) = self.checkers.get_mut(group) else { return };
        *checkers = checkers.saturating_sub(1);
        if *checkers > 0 {
            return;
        }
        self.checkers.remove(group);
        let of_group = |(id, open): (&u64, &Open)| (open.group == *group && open.message.is_some()).then_some(*id);
        let gone: alloc::vec::Vec<u64> = self.open.iter().filter_map(of_group).collect();
        for id in gone {
            self.forget(id, fx);
        }
    }

    /// A broker asks. A message that is asked about already is not checked beside that: the answer goes where the broker
    /// keeps the message now.
    pub(super) fn on_check(&mut self, from: &Endpoint, frame: &Frame, fx: &mut Effects) -> Result<Group, Refusal> {
        let header = CheckTransaction::read(&frame.header.ext)?;
        let batch = batch_of(header.broker.clone().unwrap_or_else(|| "".into()), &frame.body)?;
        let message = Taken::alone(Arc::new(batch), fx.now);
        let property = |key| property_of(&message, key).map(String::from);
        let group = property(name::PGROUP).map(Group::from).ok_or(Refusal::Malformed("no producer group".into()))?;
        let key = property(name::UNIQ_KEY).or_else(|| header.msg_id.clone());
        let key = key.ok_or(Refusal::Malformed("no unique key".into()))?;
        if !self.checkers.contains_key(&group) {
            return Err(Refusal::NoGroup(group));
        }
        let place = HalfPlace {
            broker: header.broker,
            topic: header.topic,
            table_offset: header.table_offset,
            log_offset: header.log_offset,
            msg_id: key.clone(),
            transaction_id: header.transaction_id,
        };
        let known = self.by_key.get(&(group.clone(), key.clone()));
        if let Some(open) = known.and_then(|id| self.open.get_mut(id)) {
            (open.to, open.place) = (from.clone(), place);
            return Ok(group);
        }
        let bytes = message.batch.bytes();
        let total = self.bytes.saturating_add(bytes);
        if self.open.len() >= MOST_OPEN || total > MOST_BYTES {
            return Err(Refusal::Busy(group));
        }
        self.bytes = total;
        let id = fx.fresh_id();
        self.by_key.insert((group.clone(), key.clone()), id);
        let open = Open { group: group.clone(), key, to: from.clone(), place, bytes, message: Some(message) };
        self.open.insert(id, open);
        self.waiting.push_back(id);
        self.start_next(fx);
        Ok(group)
    }

    /// What a checker says. Of a check that is over it counts for nothing.
    pub(super) fn on_resolution(&mut self, id: u64, resolution: Resolution, codec: Codec, fx: &mut Effects) {
        let Some(open) = self.forget(id, fx) else { return };
        let end = open.place.end(&open.group, resolution, true);
        fx.oneway(open.to, end.encode_oneway(codec, bytes::Bytes::new()));
        self.start_next(fx);
    }

    /// A checker took so long that the broker asks no more.
    pub(super) fn on_deadline(&mut self, id: u64, fx: &mut Effects) {
        self.forget(id, fx);
        self.start_next(fx);
    }

    /// Says of each group what its checkers have to do.
    pub(super) fn fill(&self, producers: &mut BTreeMap<Group, ProducerSnapshot>) {
        fn of<'p>(group: &Group, producers: &'p mut BTreeMap<Group, ProducerSnapshot>) -> &'p mut ProducerSnapshot {
            producers.entry(group.clone()).or_insert_with(|| ProducerSnapshot::of(group.clone()))
        }
        for (group, checkers) in &self.checkers {
            of(group, producers).checkers = *checkers;
        }
        for open in self.open.values() {
            let producer = of(&open.group, producers);
            let count = match open.message {
                Some(_) => &mut producer.checks_waiting,
                None => &mut producer.checks_running,
            };
            *count = count.saturating_add(1);
        }
    }

    fn start_next(&mut self, fx: &mut Effects) {
        while self.running < MOST_RUNNING
            && let Some(id) = self.waiting.pop_front()
        {
            let Some(open) = self.open.get_mut(&id) else { continue };
            let Some(message) = open.message.take() else { continue };
            self.running = self.running.saturating_add(1);
            fx.arm(TimerKey::Check(id), CHECK_TIMEOUT);
            let (group, from, place) = (open.group.clone(), open.to.clone(), open.place.clone());
            fx.output(Output::CheckTransaction(Check { id, group, from, place, message }));
        }
    }

    fn forget(&mut self, id: u64, fx: &mut Effects) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(open.bytes);
        self.by_key.remove(&(open.group.clone(), open.key.clone()));
        if open.message.is_none() {
            self.running = self.running.saturating_sub(1);
            fx.disarm(&TimerKey::Check(id));
        } else {
            self.waiting.retain(|waiting| *waiting != id);
        }
        Some(open)
    }
}

impl ClientMachine {
    /// A broker asks what became of a half message.
    pub(super) fn on_check_transaction(&mut self, from: &Endpoint, frame: &Frame) -> Result<Group, Refusal> {
        self.transactions.on_check(from, frame, &mut self.fx)
    }
}

fn property_of<'a>(message: &'a Taken, key: &str) -> Option<&'a str> {
    match &message.item()?.content {
        crate::dispatch::Content::Record(record) => properties::get(record.properties(&message.batch.frame), key),
        crate::dispatch::Content::Poison(_) => None,
    }
}

/// Checkers that run at once.
const MOST_RUNNING: usize = 16;
/// Checks that are not answered. Source: Java `DefaultMQProducerImpl.initTransactionEnv`, a queue of 2,000.
const MOST_OPEN: usize = 2_000 + MOST_RUNNING;
/// Bytes of their messages, which are as long as a broker likes: 16 of 4 MiB, which is what brokers take by default
/// (Java `MessageStoreConfig.maxMessageSize`), or many shorter ones.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// By then the broker has asked for the last time: 15 times, every 30 s.
const CHECK_TIMEOUT: Duration = Duration::from_secs(600);
