//! Messages that were popped and are not settled: each is hidden from others until a time that is renewed while its
//! handler runs.
//!
//! A change of that time gives a message another handle, and the broker knows it by no other from then on. So whatever
//! becomes of a message while a change is under way waits for the answer.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{GIVE_BACK, Phase, Ticket, millis};
use crate::client::consumer::send_back::times_of;
use crate::client::consumer::{Consumer, Siblings, State};
use crate::client::signal::ReplyTo;
use crate::client::{ClientEvent, Output};
use crate::dispatch::{Batch, Failure, PopNews, PopOutcome, Taken};
use crate::effects::Effects;
use crate::error::RequestError;
use crate::ids::{BrokerName, MessageQueue, QueueOffset, Topic};
use crate::mutants::mutant;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::wire::Frame;
use crate::wire::codes::response;
use crate::wire::pop::PopHandle;
use crate::wire::request::{ChangeInvisibleTime, ChangeInvisibleTimeResponse, Fields, Request};

/// The messages of one pop.
#[derive(Debug)]
pub(super) struct Held {
    /// The queue that was popped: its number may be −1.
    queue: MessageQueue,
    batch: Arc<Batch>,
    /// Those of the batch, then those that nobody wants.
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    handle: PopHandle,
    until: Instant,
    renew_at: Instant,
    stage: Stage,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits for its handler, or is in it.
    Held,
    /// It is being hidden for another time.
    Changing(Then),
    /// It is settled, and waits for others of its record.
    Settled,
    /// It is being acknowledged.
    Acknowledging,
    /// It is no longer ours.
    Done,
}

/// What follows when a message has its new handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It is held on.
    Hold,
    /// It is acknowledged.
    Acknowledge,
    /// It is hidden once more, for so long.
    Extend(Duration),
    /// It is hidden once more, for so long, and is no longer ours.
    Part(Duration),
    /// It is no longer ours.
    LetGo,
}

impl Held {
    pub(super) fn new(queue: &MessageQueue, batch: Arc<Batch>, popped: Instant, until: Instant) -> Self {
        let message = |handle: &PopHandle| Message {
            handle: handle.clone(),
            until,
            renew_at: renew_at(popped, until),
            stage: Stage::Held,
        };
        let pop = batch.pop.as_ref();
        let items = pop.map(|pop| pop.items.as_slice()).unwrap_or_default().iter().map(|item| &item.handle);
        let filtered = pop.map(|pop| pop.filtered.as_slice()).unwrap_or_default();
        let messages = items.chain(filtered).map(message).collect();
        Self { queue: queue.clone(), batch, messages }
    }

    pub(super) fn on_acknowledging(&mut self, index: usize) {
        if let Some(message) = self.messages.get_mut(index) {
            message.stage = Stage::Acknowledging;
        }
    }

    pub(super) fn is_changing(&self) -> bool {
        self.messages.iter().any(|message| matches!(message.stage, Stage::Changing(_)))
    }

    /// The places of those of which the broker was told something that it has not answered.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = usize> + '_ {
        let is_open = |message: &Message| matches!(message.stage, Stage::Changing(_) | Stage::Acknowledging);
        self.messages.iter().enumerate().filter(move |(_, message)| is_open(message)).map(|(at, _)| at)
    }

    pub(super) fn open(&self) -> usize {
        self.messages.iter().filter(|message| message.stage != Stage::Done).count()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.batch.bytes()
    }

    /// The places of those that are to be handed out.
    pub(super) fn wanted(&self) -> core::ops::Range<usize> {
        0..self.batch.items.len()
    }

    /// The places of those that nobody wants.
    pub(super) fn filtered(&self) -> core::ops::Range<usize> {
        self.batch.items.len()..self.messages.len()
    }

    pub(super) fn broker(&self) -> &BrokerName {
        &self.queue.broker
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.queue.topic
    }

    pub(super) fn handle(&self, index: usize) -> Option<&PopHandle> {
        self.messages.get(index).map(|message| &message.handle)
    }

    pub(super) fn until(&self, index: usize) -> Instant {
        self.messages.get(index).map_or(Instant::ZERO, |message| message.until)
    }

    /// Where a message lies.
    pub(super) fn place(&self, index: usize) -> Option<(MessageQueue, QueueOffset)> {
        let handle = self.handle(index)?;
        let item = self.batch.pop.as_ref().and_then(|pop| pop.items.get(index));
        Some((item.map_or_else(|| self.queue.clone(), |item| (*item.queue).clone()), handle.offset))
    }

    /// Whether others of its record are not settled: they have one handle between them.
    fn waits_for_others(&self, index: usize) -> bool {
        let Some(one) = self.messages.get(index) else { return false };
        let same = |other: &PopHandle| {
            (other.topic, other.queue_id, other.offset) == (one.handle.topic, one.handle.queue_id, one.handle.offset)
        };
        let others = self.messages.iter().enumerate().filter(|(other, _)| *other != index);
        others
            .into_iter()
            .any(|(_, other)| same(&other.handle) && matches!(other.stage, Stage::Held | Stage::Changing(_)))
    }

    /// When the next of its messages is to be hidden for longer.
    fn next_renewal(&self) -> Option<Instant> {
        let held = self.messages.iter().filter(|message| message.stage == Stage::Held);
        held.map(|message| message.renew_at).min()
    }
}

impl Consumer {
    /// What became of messages, but for those that failed.
    pub(crate) fn on_popped_news(&mut self, news: &[PopNews], at: Siblings<'_>, fx: &mut Effects) {
        for PopNews { id, index, what } in news.iter().copied() {
            let ticket = (id, index);
            let Some(message) = self.message(ticket) else { continue };
            let (stage, late) = (message.stage, message.until <= fx.now);
            match (what, stage) {
                (PopOutcome::Settled, Stage::Held) => {
                    if late {
                        self.told_late(ticket, fx);
                    }
                    self.settled(ticket, at, fx);
                }
                (PopOutcome::Settled, Stage::Changing(Then::Hold | Then::Extend(_))) => {
                    self.then(ticket, Then::Acknowledge);
                }
                (PopOutcome::Extended(time), Stage::Held) => {
                    self.hide(ticket, time.clamp(LEAST_EXTENSION, MOST_EXTENSION), false, at, fx);
                }
                (PopOutcome::Extended(time), Stage::Changing(Then::Hold | Then::Extend(_))) => {
                    let time = time.clamp(LEAST_EXTENSION, MOST_EXTENSION);
                    self.then(ticket, Then::Extend(time));
                }
                (PopOutcome::Over, _) => drop(self.forget(ticket, fx)),
                (PopOutcome::GivenBack, Stage::Held) => self.hide(ticket, GIVE_BACK, true, at, fx),
                (PopOutcome::GivenBack, Stage::Changing(_)) => self.then(ticket, Then::Part(GIVE_BACK)),
                // The control plane settled it itself, or nothing can be done about it any more.
                (PopOutcome::Settled | PopOutcome::Extended(_), Stage::Changing(_))
                | (
                    PopOutcome::Settled | PopOutcome::Extended(_) | PopOutcome::GivenBack,
                    Stage::Settled | Stage::Acknowledging | Stage::Done,
                ) => {}
            }
        }
    }

    /// A message failed: it waits at the broker, hidden. Gives it back when it was pulled, or is to become a dead letter.
    pub(in crate::client::consumer) fn hide_failed(
        &mut self,
        failure: Failure,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) -> Option<Failure> {
        let Some(pop) = &failure.taken.batch.pop else {
            return Some(failure);
        };
        let times = times_of(&failure);
        let dead = failure.level < 0 || times >= self.config.max_reconsume_times() || failure.poison.is_some();
        if dead && !mutant!(74) {
            return Some(failure);
        }
        let ticket = (pop.id, failure.taken.index);
        let time = failure.pause.map_or_else(|| delay(failure.level, times), |pause| pause.min(MOST_EXTENSION));
        if mutant!(74) && dead {
            fx.output(Output::Settle { group: self.config.group.clone(), taken: failure.taken });
            return None;
        }
        match self.message(ticket).map(|message| message.stage) {
            Some(Stage::Held) => self.hide(ticket, time, true, at, fx),
            Some(Stage::Changing(_)) => self.then(ticket, Then::Part(time)),
            Some(Stage::Settled | Stage::Acknowledging | Stage::Done) | None => {}
        }
        fx.output(Output::Settle { group: self.config.group.clone(), taken: failure.taken });
        None
    }

    /// A message could become no dead letter: it comes again when its time is over.
    pub(in crate::client::consumer) fn let_expire(&mut self, taken: &Taken, fx: &mut Effects) {
        if let Some(pop) = &taken.batch.pop {
            self.forget((pop.id, taken.index), fx);
        }
        fx.output(Output::Settle { group: self.config.group.clone(), taken: taken.clone() });
    }

    /// Messages that are held are hidden for longer when most of their time has passed.
    pub(crate) fn on_renew_due(&mut self, at: Siblings<'_>, fx: &mut Effects) {
        let Some(invisible) = self.config.pop.map(|pop| pop.invisible) else {
            return;
        };
        let mut due: Vec<Ticket> = Vec::new();
        for (id, held) in &self.pops.held {
            let messages = held.messages.iter().enumerate();
            let is_due = |message: &Message| message.stage == Stage::Held && message.renew_at <= fx.now;
            due.extend(messages.filter(|(_, message)| is_due(message)).map(|(index, _)| (*id, index)));
        }
        for ticket in due {
            let over = self.message(ticket).is_none_or(|message| message.until <= fx.now);
            if over || mutant!(70) {
                self.put_off_renewal(ticket, Instant::FAR);
            } else {
                self.hide(ticket, invisible, false, at, fx);
            }
        }
        self.arm_renew(fx);
    }

    /// Hides a message for so long from now on; `part` when it is no longer ours then.
    pub(super) fn hide(&mut self, ticket: Ticket, time: Duration, part: bool, at: Siblings<'_>, fx: &mut Effects) {
        let Some((topic, handle)) =
            self.pops.held.get(&ticket.0).and_then(|held| Some((held.topic().clone(), held.handle(ticket.1)?.clone())))
        else {
            return;
        };
        let then = if part { Then::LetGo } else { Then::Hold };
        if let Some(message) = self.message(ticket) {
            message.stage = Stage::Changing(then);
        }
        let group = self.config.group.clone();
        let Some(to) = self.master_of(&handle.broker, at) else {
            return self.not_hidden(ticket, then, "no address of the broker is known", at, fx);
        };
        let request = ChangeInvisibleTime {
            topic: handle.topic.name(&group, &topic),
            queue_id: handle.queue_id,
            handle: handle.to_string(),
            offset: handle.offset,
            invisible_millis: millis(time),
            broker: Some(handle.broker.clone()),
            group: group.clone(),
        };
        let reply_to = ReplyTo::Hidden { group, id: ticket.0, index: ticket.1, sent: fx.now, time };
        fx.request(to, request.encode(self.client.codec, Bytes::new()), CHANGE_TIMEOUT, reply_to);
    }

    /// The answer to a change: the message has another handle.
    pub(crate) fn on_hidden(
        &mut self,
        ticket: Ticket,
        (sent, time): (Instant, Duration),
        result: Result<Frame, RequestError>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        let Some(message) = self.message(ticket) else {
            return;
        };
        let Stage::Changing(then) = message.stage else {
            return;
        };
        let why = match result {
            Ok(frame) if frame.header.code == response::SUCCESS => {
                match ChangeInvisibleTimeResponse::read(&frame.header.ext) {
                    Ok(fields) => {
                        // Brokers hide again what they hide no longer, and then there are two of it.
                        let is_late = message.handle.is_over(fields.pop_millis);
                        // The broker took it up after we had sent it: it is hidden for at least so long.
                        let until = sent.after(time);
                        if !mutant!(71) {
                            message.handle =
                                message.handle.changed(fields.pop_millis, fields.invisible_millis, fields.revive_queue);
                        }
                        message.until = until;
                        message.renew_at = renew_at(sent, until);
                        if is_late {
                            self.told_late(ticket, fx);
                        }
                        return self.hidden(ticket, then, until, at, fx);
                    }
                    Err(error) => error.to_string(),
                }
            }
            Ok(frame) => {
                let remark = frame.header.remark.unwrap_or_default();
                alloc::format!("broker answered {}: {remark}", frame.header.code)
            }
            Err(error) => error.to_string(),
        };
        self.not_hidden(ticket, then, &why, at, fx);
    }

    /// A message has its new handle: goes on with it.
    fn hidden(&mut self, ticket: Ticket, then: Then, until: Instant, at: Siblings<'_>, fx: &mut Effects) {
        if let Some(message) = self.message(ticket) {
            message.stage = Stage::Held;
        }
        match then {
            Then::Hold => {
                let group = self.config.group.clone();
                if let Some(epoch) = self.pops.held.get(&ticket.0).map(|held| held.batch.epoch) {
                    fx.output(Output::Hidden { group, epoch, id: ticket.0, index: Some(ticket.1), until });
                }
                self.arm_renew(fx);
            }
            Then::Acknowledge => self.settled(ticket, at, fx),
            Then::Extend(time) => self.hide(ticket, time, false, at, fx),
            Then::Part(time) => self.hide(ticket, time, true, at, fx),
            Then::LetGo => {
                if let Some(queue) = self.forget(ticket, fx) {
                    self.on_room(&queue, at, fx);
                }
            }
        }
        self.after_commit(at, fx);
    }

    /// A message could not be hidden, or nobody knows: it is tried again while there is time.
    fn not_hidden(&mut self, ticket: Ticket, then: Then, why: &str, at: Siblings<'_>, fx: &mut Effects) {
        self.not_settled(ticket, why, fx);
        let now = fx.now;
        let running = matches!(self.state, State::Running);
        let Some(message) = self.message(ticket) else {
            return;
        };
        let left = now.until(message.until);
        message.stage = Stage::Held;
        match then {
            Then::Acknowledge => self.settled(ticket, at, fx),
            Then::Hold | Then::Extend(_) => {
                let again = left.checked_div(RENEWALS_LEFT).unwrap_or_default().max(LEAST_PAUSE);
                let at = if now.after(again) < message.until { now.after(again) } else { Instant::FAR };
                message.renew_at = at;
                self.arm_renew(fx);
            }
            // It comes again when its time is over: sooner or later than it was to.
            Then::Part(_) | Then::LetGo => {
                if let Some(queue) = self.forget(ticket, fx).filter(|_| running) {
                    self.on_room(&queue, at, fx);
                }
            }
        }
        self.after_commit(at, fx);
    }

    /// A message is consumed: it is acknowledged once all of its record are.
    fn settled(&mut self, ticket: Ticket, at: Siblings<'_>, fx: &mut Effects) {
        let Some(held) = self.pops.held.get_mut(&ticket.0) else {
            return;
        };
        if held.waits_for_others(ticket.1) {
            if let Some(message) = held.messages.get_mut(ticket.1) {
                message.stage = Stage::Settled;
            }
            return;
        }
        self.acknowledge(ticket, at, fx);
        // Those that waited for it go with it.
        let waiting: Vec<_> = match self.pops.held.get(&ticket.0) {
            Some(held) => {
                let same = |message: &Message| {
                    let mine = held.handle(ticket.1).map(|handle| (handle.topic, handle.queue_id, handle.offset));
                    let its = (message.handle.topic, message.handle.queue_id, message.handle.offset);
                    message.stage == Stage::Settled && mine == Some(its)
                };
                held.messages.iter().enumerate().filter(|(_, message)| same(message)).map(|(at, _)| at).collect()
            }
            None => Vec::new(),
        };
        for index in waiting {
            self.forget((ticket.0, index), fx);
        }
    }

    /// A message is no longer ours; gives the queue it was popped from.
    pub(super) fn forget(&mut self, ticket: Ticket, fx: &mut Effects) -> Option<MessageQueue> {
        let held = self.pops.held.get_mut(&ticket.0)?;
        let message = held.messages.get_mut(ticket.1)?;
        if core::mem::replace(&mut message.stage, Stage::Done) == Stage::Done {
            return None;
        }
        let (queue, epoch, left) = (held.queue.clone(), held.batch.epoch, held.open());
        if left == 0
            && let Some(held) = self.pops.held.remove(&ticket.0)
        {
            fx.pinned = fx.pinned.saturating_sub(held.bytes());
        }
        if let Some(popping) = self.pops.queues.get_mut(&queue)
            && popping.epoch == epoch
        {
            popping.open = popping.open.saturating_sub(1);
        }
        self.let_go_of_queue(&queue, fx);
        Some(queue)
    }

    /// Fewer messages of a queue are not acknowledged.
    pub(super) fn on_room(&mut self, queue: &MessageQueue, at: Siblings<'_>, fx: &mut Effects) {
        if self.pops.queues.get(queue).is_some_and(|popping| popping.phase == Phase::Throttled) {
            self.pop_on(queue, at, fx);
        }
    }

    /// Sets the timer of the next renewal.
    pub(super) fn arm_renew(&self, fx: &mut Effects) {
        let next = self.pops.held.values().filter_map(Held::next_renewal).min();
        let key = TimerKey::Renew(self.config.group.clone());
        match next.filter(|at| *at < Instant::FAR) {
            Some(at) => fx.timers.arm(key, at.max(fx.now)),
            None => fx.disarm(&key),
        }
    }

    fn put_off_renewal(&mut self, ticket: Ticket, until: Instant) {
        if let Some(message) = self.message(ticket) {
            message.renew_at = until;
        }
    }

    /// What is to follow the change that is under way.
    fn then(&mut self, ticket: Ticket, then: Then) {
        if let Some(message) = self.message(ticket) {
            message.stage = Stage::Changing(then);
        }
    }

    fn told_late(&mut self, ticket: Ticket, fx: &mut Effects) {
        if let Some((queue, offset)) = self.pops.held.get(&ticket.0).and_then(|held| held.place(ticket.1)) {
            fx.event(ClientEvent::PopExpired { group: self.config.group.clone(), queue, offset });
        }
    }

    fn message(&mut self, ticket: Ticket) -> Option<&mut Message> {
        self.pops.held.get_mut(&ticket.0)?.messages.get_mut(ticket.1)
    }
}

/// A third of the time is left for renewals that fail.
fn renew_at(from: Instant, until: Instant) -> Instant {
    let time = from.until(until);
    until.before(time.checked_div(RENEWALS_LEFT).unwrap_or_default())
}

/// How long a message that failed waits: what its handler asked for, else more each time.
fn delay(level: i32, times: i32) -> Duration {
    let (table, at): (&[u64], i32) = if level > 0 { (&LEVELS, level.saturating_sub(1)) } else { (&POP_DELAYS, times) };
    let last = table.last().copied().unwrap_or(0);
    let seconds = usize::try_from(at).ok().and_then(|at| table.get(at)).copied().unwrap_or(last);
    Duration::from_secs(seconds)
}

/// Seconds that a message waits that failed for the first time, the second, and so on. Source: Java
/// `DefaultMQPushConsumerImpl.popDelayLevel`.
const POP_DELAYS: [u64; 16] = [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200];
/// Seconds of the delay levels of brokers, from level 1.
const LEVELS: [u64; 18] = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200];
/// Java: 3 s.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// One part in so many of the invisible time is for renewals.
const RENEWALS_LEFT: u32 = 3;
/// Between two tries to renew.
const LEAST_PAUSE: Duration = Duration::from_millis(500);
/// The least and the most that a handler may ask for: the range from the least invisible time to the longest delay.
const LEAST_EXTENSION: Duration = Duration::from_secs(5);
const MOST_EXTENSION: Duration = Duration::from_secs(7_200);
