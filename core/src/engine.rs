//! The whole client in one thread and without a runtime: for embedders, simulations and fuzzing.
//!
//! [`Engine`] owns the control plane, every link, what consumers have pulled, and the sends under way. Its embedder
//! owns the sockets and the clock: it opens what [`EngineEvent::Connect`] asks for, moves bytes, and calls
//! [`Engine::handle_timeout`] when [`Engine::poll_timeout`] says so. Same seed and calls, same events and bytes.
//!
//! ```
//! # use std::sync::Arc;
//! # use rocketmq_core::config::{ClientConfig, HostInfo, ProducerConfig, parse_name_servers};
//! # use rocketmq_core::engine::{Engine, EngineEvent};
//! # use rocketmq_core::error::{IoFailure, IoKind};
//! # use rocketmq_core::{message::Message, time::{Instant, UnixMillis, Wakeup}};
//! let config = Arc::new(ClientConfig::new(parse_name_servers("localhost:9876"), "10.0.0.1@example".into()));
//! let mut now = Instant::ZERO;
//! let mut engine = Engine::new(config, &HostInfo::default(), 7, now, UnixMillis(1_700_000_000_000));
//! engine.start_producer(now, ProducerConfig::new("order-service".into())).unwrap();
//! let send = engine.send(now, &Message::new("orders", "hello"));
//! let result = loop {
//!     match engine.poll_event() {
//!         // Here a socket is opened; then come `connected`, `rx_space`, `rx_commit`, `tx_slices`, `tx_advance`.
//!         Some(EngineEvent::Connect { conn, .. }) => {
//!             engine.connect_failed(now, conn, IoFailure::new(IoKind::Refused, "no network here"));
//!         }
//!         Some(EngineEvent::SendDone { op, result }) if op == send => break result,
//!         Some(_) => {}
//!         None => {
//!             let Wakeup::At(at) = engine.poll_timeout() else { panic!("a send has a deadline") };
//!             now = at;
//!             engine.handle_timeout(now);
//!         }
//!     }
//! };
//! assert!(!result.unwrap_err().may_be_stored());
//! ```

mod deliveries;
mod event;
mod links;
mod sends;
mod transactions;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::client::{ClientMachine, Command, CommandResult, FileOp, Input, LinkRequest, Output, RouteView};
use crate::config::{ClientConfig, ConfigError, ConsumerConfig, HostInfo, ProducerConfig};
use crate::conn::{Connection, Lane, Outgoing, OutgoingKind};
use crate::dispatch::{Dispatch, DispatchConfig};
use crate::error::{IoFailure, IoKind, RequestError};
use crate::ids::{ConnId, Group, OpId};
use crate::message::{Message, MessageError};
use crate::send::{Parcel, SendError, SendOp, SendPolicy};
use crate::time::{Instant, UnixMillis, Wakeup};
use crate::wire::message::UniqueKeys;
pub use event::EngineEvent;
use links::Token;
use sends::Sends;

/// A client driven by hand.
pub struct Engine {
    config: Arc<ClientConfig>,
    machine: ClientMachine,
    /// Links that are being opened.
    opening: BTreeSet<ConnId>,
    links: BTreeMap<ConnId, Connection<Token>>,
    intakes: BTreeMap<Group, Intake>,
    producer: Option<ProducerConfig>,
    sends: Sends,
    /// Commands of the embedder.
    commands: BTreeSet<OpId>,
    /// Ends of commands, to be looked at when the view is up to date.
    done: VecDeque<(OpId, CommandResult)>,
    view: Arc<RouteView>,
    keys: UniqueKeys,
    wall: UnixMillis,
    next_op: u64,
    events: VecDeque<EngineEvent>,
    closed: bool,
}

#[derive(Debug)]
struct Intake {
    dispatch: Dispatch,
    drained_told: bool,
}

impl Engine {
    /// A client for this configuration.
    #[must_use]
    pub fn new(config: Arc<ClientConfig>, host: &HostInfo, seed: u64, now: Instant, wall: UnixMillis) -> Self {
        let nonce = u32::try_from(seed >> 32).unwrap_or_default();
        Self {
            machine: ClientMachine::new(config.clone(), seed, now, wall),
            config,
            opening: BTreeSet::new(),
            links: BTreeMap::new(),
            intakes: BTreeMap::new(),
            producer: None,
            sends: Sends::new(nonce & 0xffff),
            commands: BTreeSet::new(),
            done: VecDeque::new(),
            view: Arc::default(),
            keys: UniqueKeys::new(host.ip, host.pid, nonce),
            wall,
            next_op: 0,
            events: VecDeque::new(),
            closed: false,
        }
    }

    /// Registers the producer group that [`Engine::send`] sends for; call it once.
    ///
    /// # Errors
    /// The configuration breaks a rule.
    pub fn start_producer(&mut self, now: Instant, config: ProducerConfig) -> Result<(), ConfigError> {
        config.check()?;
        self.command(now, Command::StartProducer(config.group.clone()));
        self.producer = Some(config);
        Ok(())
    }

    /// Starts a consumer: [`EngineEvent::Done`] tells how that went.
    pub fn start_consumer(&mut self, now: Instant, config: ConsumerConfig) -> OpId {
        self.command(now, Command::StartConsumer(Arc::new(config)))
    }

    /// Sends a message: [`EngineEvent::SendDone`] tells how that went. Without a producer it fails as closed.
    pub fn send(&mut self, now: Instant, message: &Message) -> OpId {
        self.send_parcel(now, |engine, producer| {
            Parcel::new(&engine.config, producer, message, &engine.keys, engine.wall)
        })
    }

    fn send_parcel(
        &mut self,
        now: Instant,
        parcel: impl FnOnce(&Self, &ProducerConfig) -> Result<Parcel, MessageError>,
    ) -> OpId {
        let op = self.next_op();
        let Some(producer) = self.producer.as_ref().filter(|_| !self.closed) else {
            self.events.push_back(EngineEvent::SendDone { op, result: Err(SendError::Closed) });
            return op;
        };
        match parcel(self, producer) {
            Err(error) => self.events.push_back(EngineEvent::SendDone { op, result: Err(error.into()) }),
            Ok(parcel) => {
                let deadline = now.after(producer.send_timeout);
                self.begin(now, op, SendOp::new(parcel, self.config.codec, SendPolicy::of(producer), deadline));
                self.run(now);
            }
        }
        op
    }

    /// Asks for anything else; [`EngineEvent::Done`] follows, unless it is cancelled.
    pub fn command(&mut self, now: Instant, command: Command) -> OpId {
        let op = self.next_op();
        self.commands.insert(op);
        self.machine.handle(now, Input::Command { op, command });
        self.run(now);
        op
    }

    /// Nobody waits for this send or command any more. A message that is on its way may be stored all the same.
    pub fn cancel(&mut self, now: Instant, op: OpId) {
        if !self.forget(now, op) && self.commands.remove(&op) {
            self.machine.handle(now, Input::Cancel(op));
        }
        self.run(now);
    }

    /// The bytes of a file that was to be read, `None` when there is none.
    pub fn loaded(&mut self, now: Instant, op: FileOp, result: Result<Option<Vec<u8>>, IoFailure>) {
        self.machine.handle(now, Input::Loaded { op, result });
        self.run(now);
    }

    /// How it went with a file that was to be replaced.
    pub fn saved(&mut self, now: Instant, op: FileOp, result: Result<(), IoFailure>) {
        self.machine.handle(now, Input::Saved { op, result });
        self.run(now);
    }

    /// Runs what is due; a call too early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |link: &Connection<Token>| link.poll_timeout().instant(now).is_some_and(|at| at <= now);
        let due: Vec<_> = self.links.iter().filter(|(_, link)| due(link)).map(|(conn, _)| *conn).collect();
        for conn in due {
            self.with_link(now, conn, |link| link.handle_timeout(now));
        }
        self.wake_sends(now);
        self.look(now);
        self.machine.handle_timeout(now);
        self.run(now);
    }

    /// The wall clock, which only fills fields on the wire.
    pub fn wall_clock(&mut self, now: Instant, wall: UnixMillis) {
        self.wall = wall;
        self.machine.handle(now, Input::WallClock(wall));
    }

    /// Ends the client in good order, by `deadline`; [`EngineEvent::Closed`] is the last event.
    pub fn shutdown(&mut self, now: Instant, deadline: Instant) {
        self.look(now);
        self.machine.handle(now, Input::Shutdown { deadline });
        self.run(now);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    /// When [`Engine::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Wakeup {
        let links = self.links.values().map(Connection::poll_timeout).fold(self.sends.next_wake(), Wakeup::min);
        self.machine.poll_timeout().min(links)
    }

    /// Carries out what the machine wants until it wants nothing more.
    fn run(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.machine.poll_output() {
                self.on_output(now, output);
            } else if let Some((op, result)) = self.done.pop_front() {
                self.on_done(now, op, result);
            } else {
                return;
            }
        }
    }

    fn on_output(&mut self, now: Instant, output: Output) {
        match output {
            Output::Connect { conn, to } => {
                self.opening.insert(conn);
                self.events.push_back(EngineEvent::Connect { conn, to });
            }
            Output::Close { conn, grace } => self.close_link(now, conn, grace),
            Output::Request(conn, LinkRequest { id, frame, deadline, pull, .. }) => {
                let lane = if pull.is_some() { Lane::Data } else { Lane::Control };
                if let Err(why) = self.submit(now, conn, frame, lane, deadline, Token::Machine { id, pull }) {
                    self.machine.handle(now, Input::Response { id, result: Err(RequestError::never(why)) });
                }
            }
            Output::Oneway(conn, frame) => self.with_link(now, conn, |link| {
                // What the bounds of a link do not let through is lost, as any oneway may be.
                let _ = link.submit(now, Outgoing { frame, lane: Lane::Data, kind: OutgoingKind::Oneway });
            }),
            Output::PushedReply(reply) => self.events.push_back(EngineEvent::Reply(reply)),
            Output::CheckTransaction(check) => self.events.push_back(EngineEvent::Check(check)),
            Output::Answer { conn, opaque, frame } => self.with_link(now, conn, |link| {
                link.answer(now, opaque, &frame);
            }),
            Output::Complete { op, result } => self.done.push_back((op, result)),
            Output::OpenDispatch(config) => {
                let dispatch = Dispatch::new(DispatchConfig::of(&config));
                self.intakes.insert(config.group.clone(), Intake { dispatch, drained_told: false });
            }
            Output::Deliver { group, batch } => self.hand_out(group, |dispatch| dispatch.deliver(batch) > 0),
            Output::TellLow { group, epoch, messages, bytes } => {
                self.change(&group, |dispatch| dispatch.tell_low(epoch, messages, bytes));
            }
            Output::Hidden { group, epoch, id, index, until } => {
                self.change(&group, |dispatch| dispatch.hide(epoch, id, index, until));
            }
            Output::GiveBack { group, epoch } => self.change(&group, |dispatch| dispatch.give_back(epoch)),
            Output::DeliverDirect { group, id, batch } => {
                self.hand_out(group, |dispatch| dispatch.deliver_direct(id, batch));
            }
            Output::CancelDirect { group, id } => self.change(&group, |dispatch| dispatch.cancel_direct(id)),
            Output::Redeliver { group, taken } => self.hand_out(group, |dispatch| dispatch.redeliver(&taken)),
            Output::LookForOverdue { group } => self.change(&group, Dispatch::look_for_overdue),
            Output::Settle { group, taken } => self.hand_out(group, |dispatch| {
                dispatch.returned(&taken);
                dispatch.is_orderly() && dispatch.has_ready()
            }),
            Output::Lease { group, epoch, until } => self.hand_out(group, |dispatch| dispatch.lease(epoch, until)),
            Output::StopQueue { group, taken } => self.change(&group, |dispatch| dispatch.stop_queue(&taken)),
            Output::Revoke { group, queue, epoch } => {
                let last = self.intakes.get_mut(&group).and_then(|intake| intake.dispatch.revoke(epoch));
                self.machine.handle(now, Input::Revoked { group, queue, epoch, last });
            }
            Output::StopIntake { group } => self.change(&group, Dispatch::close),
            Output::CloseDispatch(group) => drop(self.intakes.remove(&group)),
            Output::Fetch { .. } => {
                let why = IoFailure::new(IoKind::Other, "name servers are given by whoever drives the engine");
                self.machine.handle(now, Input::Fetched(Err(why)));
            }
            Output::NameServers(_) => {}
            Output::Load { op, path } => self.events.push_back(EngineEvent::Load { op, path }),
            Output::Save { op, path, bytes } => self.events.push_back(EngineEvent::Save { op, path, bytes }),
            // Nobody traces here.
            Output::FlushTraces { .. } => {}
            Output::Routes(view) => self.view = view,
            Output::Event(event) => self.events.push_back(EngineEvent::Client(event)),
            Output::Closed => self.end(now),
        }
        self.look_if_urgent(now);
    }

    fn on_done(&mut self, now: Instant, op: OpId, result: CommandResult) {
        if self.commands.remove(&op) {
            self.events.push_back(EngineEvent::Done { op, result });
        } else {
            self.on_asked(now, op, result);
        }
    }

    fn end(&mut self, now: Instant) {
        self.closed = true;
        for (op, result) in core::mem::take(&mut self.done) {
            self.on_done(now, op, result);
        }
        self.end_sends(now);
        for op in core::mem::take(&mut self.commands) {
            self.events.push_back(EngineEvent::Done { op, result: CommandResult::Closed });
        }
        self.intakes.clear();
        self.events.push_back(EngineEvent::Closed);
    }

    fn next_op(&mut self) -> OpId {
        let op = OpId(self.next_op);
        self.next_op = self.next_op.saturating_add(1);
        op
    }
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine").field("machine", &self.machine).field("sends", &self.sends).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
