//! The executor: one thread, tasks in the order they were woken, time that jumps to the next event.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use rocketmq_core::time::Instant;

use super::state::State;

/// What tasks, streams and timers share.
pub(crate) struct Shared {
    state: Mutex<State>,
    ready: Arc<Ready>,
    spawned: Mutex<Vec<Spawned>>,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Spawned {
    host: usize,
    task: Task,
}

#[derive(Default)]
struct Ready(Mutex<VecDeque<u64>>);

struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready.0).push_back(self.id);
        }
    }
}

impl Shared {
    pub(crate) fn new(state: State) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), ready: Arc::default(), spawned: Mutex::default() })
    }

    /// The state of the world, locked for a moment.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn spawn(&self, host: usize, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.spawned).push(Spawned { host, task: Box::pin(task) });
    }
}

/// Why a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A task panicked.
    Panic(String),
    /// Tasks wake each other for ever and time does not go on.
    Livelock,
    /// Nobody will ever wake the main task.
    Deadlock,
    /// The time is over.
    Horizon,
    /// More has happened than may.
    Events,
}

/// When a run has gone on for long enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) horizon: Instant,
    pub(crate) events: u64,
}

struct Slot {
    host: usize,
    task: Task,
    waker: Arc<TaskWaker>,
}

/// Runs `main` to its end.
pub(crate) fn run(
    shared: &Arc<Shared>,
    limits: Limits,
    main: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Stop> {
    let done = Arc::new(AtomicBool::new(false));
    let flag = done.clone();
    shared.spawn(0, async move {
        main.await;
        flag.store(true, Ordering::Relaxed);
    });
    let mut tasks = Tasks { shared: shared.clone(), slots: BTreeMap::new(), next: 0 };
    let result = tasks.run(limits, &done);
    tasks.end();
    result
}

struct Tasks {
    shared: Arc<Shared>,
    slots: BTreeMap<u64, Slot>,
    next: u64,
}

impl Tasks {
    fn run(&mut self, limits: Limits, done: &AtomicBool) -> Result<(), Stop> {
        let mut polls = 0;
        loop {
            self.adopt();
            if done.load(Ordering::Relaxed) {
                return Ok(());
            }
            let next = lock(&self.shared.ready.0).pop_front();
            if let Some(id) = next {
                polls += 1;
                if polls > MAX_POLLS_AN_INSTANT {
                    return Err(Stop::Livelock);
                }
                self.poll(id)?;
                continue;
            }
            let mut state = self.shared.state();
            let before = state.now;
            if !state.step() {
                return Err(Stop::Deadlock);
            }
            if state.now > before {
                polls = 0;
            }
            if state.now > limits.horizon {
                return Err(Stop::Horizon);
            }
            if state.trace.events > limits.events {
                return Err(Stop::Events);
            }
            let killed = std::mem::take(&mut state.killed);
            drop(state);
            for host in killed {
                self.kill(host);
            }
        }
    }

    fn poll(&mut self, id: u64) -> Result<(), Stop> {
        let Some(slot) = self.slots.get_mut(&id) else { return Ok(()) };
        slot.waker.queued.store(false, Ordering::Relaxed);
        {
            let mut state = self.shared.state();
            if state.is_dead(slot.host) {
                return Ok(());
            }
            if state.is_paused(slot.host) {
                let waker = Waker::from(slot.waker.clone());
                state.park(slot.host, waker);
                return Ok(());
            }
            state.polls += 1;
            let now = state.now;
            state.trace.event(now, 1, id, &[]);
        }
        let waker = Waker::from(slot.waker.clone());
        let polled = catch_unwind(AssertUnwindSafe(|| slot.task.as_mut().poll(&mut Context::from_waker(&waker))));
        let polled = polled.map_err(|panic| Stop::Panic(panic_text(panic.as_ref())));
        let over = !matches!(polled, Ok(Poll::Pending));
        if over && let Some(slot) = self.slots.remove(&id) {
            self.shared.state().hosts[slot.host].tasks -= 1;
            drop(slot);
        }
        polled.map(drop)
    }

    fn adopt(&mut self) {
        let spawned = std::mem::take(&mut *lock(&self.shared.spawned));
        for Spawned { host, task } in spawned {
            if self.shared.state().is_dead(host) {
                drop(task);
                continue;
            }
            self.shared.state().hosts[host].tasks += 1;
            let id = self.next;
            self.next += 1;
            let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready: self.shared.ready.clone() });
            waker.wake_by_ref();
            self.slots.insert(id, Slot { host, task, waker });
        }
    }

    /// The process is gone: its tasks are dropped where they stand.
    fn kill(&mut self, host: usize) {
        let gone: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.host == host).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| drop(self.slots.remove(&id)));
    }

    fn end(&mut self) {
        self.slots.clear();
        while {
            let spawned = std::mem::take(&mut *lock(&self.shared.spawned));
            !spawned.is_empty()
        } {}
        self.shared.state().forget();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text").to_owned()
}

/// More polls at one virtual instant than any honest burst needs.
const MAX_POLLS_AN_INSTANT: u64 = 200_000;
