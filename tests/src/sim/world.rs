//! The world as simulated code sees it.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rocketmq_core::driver::cell::{Completion, cell};
use rocketmq_core::driver::{Client, ClientBuilder, ConnectError, Runtime};
use rocketmq_core::time::Instant;

use super::chaos;
use super::exec::Shared;
use super::faults::{Fault, Swarm};
use super::history::What;
use super::host::Host;
use super::net::End;
use super::state::State;
use super::tape::Stream;
use super::tls::Identity;
use crate::cluster::{Cluster, Node, StoredView, TopicConfig};

/// A simulated world; clones are the same one.
///
/// What runs in it may use the handles of this client, the methods of the world, and channels or locks that wake
/// tasks: no sockets, threads or timers of a real reactor, no clock but the world's, and no hash order.
#[derive(Clone)]
pub struct World {
    pub(crate) shared: Arc<Shared>,
    /// The host that the code of the main task counts as.
    me: Host,
}

/// A task of the world: awaited, it gives its output.
#[must_use = "detach it to let it run without being awaited"]
pub struct Task<T>(Completion<T>);

/// A client to be connected from one host.
pub struct SimClient {
    host: Host,
    builder: ClientBuilder,
}

impl World {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let index = shared.state().add_host(IpAddr::from([10, 0, 0, 1]));
        let me = Host { shared: shared.clone(), index };
        Self { shared, me }
    }

    /// A new process on the host with this address.
    ///
    /// # Panics
    /// The text is not an IP address.
    #[must_use]
    pub fn host(&self, ip: &str) -> Host {
        let ip = ip.parse().expect("an IP address");
        let index = self.shared.state().add_host(ip);
        Host { shared: self.shared.clone(), index }
    }

    /// A new process on the machine of an earlier one, which has ended: with its address and its files.
    #[must_use]
    pub fn restart(&self, host: &Host) -> Host {
        let index = self.shared.state().restart_host(host.index);
        Host { shared: self.shared.clone(), index }
    }

    /// A client of its own process on the host with this address.
    #[must_use]
    pub fn client(&self, ip: &str) -> SimClient {
        SimClient { host: self.host(ip), builder: self.builder() }
    }

    /// A client to be configured, which trusts the servers of this world where they speak TLS.
    #[must_use]
    pub fn builder(&self) -> ClientBuilder {
        let trusted = self.shared.state().servers.identity.as_ref().map(Identity::trusted);
        match trusted {
            Some(tls) => Client::builder().tls(tls),
            None => Client::builder(),
        }
    }

    /// Runs a task beside the main one.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        self.spawn_on(&self.me, task)
    }

    /// Runs a task in the process of a host: it stops when that is killed or paused.
    pub fn spawn_on<T: Send + 'static>(&self, host: &Host, task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let (completer, completion) = cell();
        host.spawn(async move {
            if let Ok(Some(waker)) = completer.complete(task.await) {
                waker.wake();
            }
        });
        Task(completion)
    }

    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.now().after(time)).await;
    }

    /// Waits until then.
    pub async fn sleep_until(&self, at: Instant) {
        self.me.sleep_until(at).await;
    }

    /// The time since the beginning of the world.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.state().now
    }

    /// A number below `bound` from the tape, for the choices of simulated code.
    #[must_use]
    pub fn choose(&self, bound: u64) -> u64 {
        self.shared.state().tape.below(Stream::App, bound)
    }

    /// Counts that a state worth reaching was reached.
    pub fn reach(&self, mark: &'static str) {
        self.shared.state().reach(mark);
    }

    /// Works on the models.
    pub fn cluster<R>(&self, work: impl FnOnce(&mut Cluster) -> R) -> R {
        let mut state = self.shared.state();
        let result = work(&mut state.servers.cluster);
        state.serve();
        result
    }

    /// Creates a topic with so many queues on every broker, or changes it.
    pub fn topic(&self, name: &str, queues: i32) {
        self.with(|state| {
            state.topics.retain(|(known, _)| **known != *name);
            state.topics.push((name.into(), queues));
        });
        self.cluster(|cluster| cluster.put_topic(name, queues));
    }

    /// The messages of a topic.
    #[must_use]
    pub fn stored(&self, topic: &str) -> Vec<StoredView> {
        self.cluster(|cluster| cluster.stored(topic).collect())
    }

    /// Ends a server: its links end in good order, what it had only in memory is lost.
    pub fn stop(&self, node: Node) {
        self.shared.state().stop_server(node, End::Fin);
    }

    /// A server's process crashes: its links are reset.
    pub fn crash(&self, node: Node) {
        self.shared.state().stop_server(node, End::Reset);
    }

    /// Starts a stopped server again.
    pub fn start(&self, node: Node) {
        self.shared.state().start_server(node);
    }

    /// A host and a server do not hear each other for a while.
    pub fn partition(&self, host: &Host, node: Node, time: Duration) {
        let mut state = self.shared.state();
        let until = state.now.after(time);
        state.net.partitions.insert((host.index, node), until);
        state.count(Fault::Partition);
    }

    /// Each link of a host carries so many bytes a second to its server from now on.
    pub fn bandwidth(&self, host: &Host, bytes: u64) {
        self.shared.state().hosts[host.index].rate = Some(bytes.max(1));
    }

    /// A process ends without a word.
    pub fn kill(&self, host: &Host) {
        self.shared.state().kill(host.index, false);
    }

    /// A process stands still for a while, then goes on.
    pub fn pause(&self, host: &Host, time: Duration) {
        let mut state = self.shared.state();
        let until = state.now.after(time);
        state.count(Fault::Pause);
        state.pause(host.index, until);
    }

    /// From now on, and until [`World::heal`], planned faults of the seed happen too: brokers and name servers that
    /// are restarted, crash, are slow or cut off, topics that change, processes that stand still, clocks that jump.
    pub fn chaos(&self) {
        let world = self.clone();
        let happen = move |fault, dice| chaos::happen(world.clone(), fault, dice);
        // These worlds have no slaves.
        let slaves = [Fault::SlaveServes, Fault::SlaveLoss];
        let kinds = chaos::KINDS.into_iter().filter(|kind| !slaves.contains(kind)).collect();
        chaos::start(self, 1, kinds, happen).into_iter().for_each(Task::detach);
    }

    /// Notes for the timeline what a process does.
    pub fn tell(&self, host: &Host, text: impl Into<String>) {
        self.note(What::Said { host: host.index, text: text.into() });
    }

    /// Sets which faults happen from now on.
    pub fn faults(&self, swarm: Swarm) {
        self.shared.state().swarm = swarm;
    }

    /// From now on nothing goes wrong any more: all servers run, all links are whole, topics are as they should be.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.swarm = Swarm::calm();
        state.healed = true;
        state.heal_links();
        for node in state.servers.nodes() {
            state.slow_down(node, Duration::ZERO);
            state.freeze(node, false);
            state.start_server(node);
        }
        for host in 0..state.hosts.len() {
            if state.is_paused(host) {
                state.resume(host);
            }
        }
        state.note(What::Healed);
        let changed: Vec<_> = state.targets.keys().cloned().collect();
        drop(state);
        changed.iter().for_each(|(broker, topic)| self.restore(*broker, topic));
    }

    /// Whether nothing goes wrong any more.
    #[must_use]
    pub fn is_healed(&self) -> bool {
        self.shared.state().healed
    }

    /// Changes a topic on one broker.
    pub(crate) fn change_topic(&self, broker: usize, topic: &str, change: impl FnOnce(&mut TopicConfig)) {
        self.note(What::Routes);
        let mut state = self.shared.state();
        let model = state.servers.cluster.broker_mut(broker);
        if let Some(mut config) = model.topic(topic).cloned() {
            change(&mut config);
            model.put_topic(topic, config);
        }
        let now = state.now;
        let wall = state.server_wall();
        state.servers.cluster.handle_timeout(now, wall);
        state.serve();
    }

    /// A topic is as it should be again on a broker.
    pub(crate) fn restore(&self, broker: usize, topic: &Arc<str>) {
        let target = self.with(|state| state.target(broker, topic, false));
        self.change_topic(broker, topic, |config| {
            (config.read_queues, config.write_queues, config.perm) = (target, target, 6);
        });
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.shared.state())
    }

    pub(crate) fn note(&self, what: What) {
        self.shared.state().note(what);
    }

    /// Whether a fault of the application happens now; then it is counted.
    pub(crate) fn roll(&self, fault: Fault) -> bool {
        let mut state = self.shared.state();
        let happens = state.roll(fault);
        if happens {
            state.count(fault);
        }
        happens
    }
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    /// `None` when the task's process was killed.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

impl<T> Task<T> {
    /// Lets it run without waiting for it.
    pub fn detach(self) {}
}

impl SimClient {
    /// Changes the configuration of the client.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// The process that the client is to live in.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Connects to the name servers of the world.
    ///
    /// # Errors
    /// As that of any client: with faults, no name server may be reached in time.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        self.builder.connect_on(&self.host).await
    }
}
