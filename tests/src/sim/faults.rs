//! The kinds of faults, how often each really happened, and which of them a run has.

use serde::{Deserialize, Serialize};

use super::tape::{Stream, Tape};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)+) => {
        /// A kind of fault; its id is the one of the programme of tests.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum Fault {
            $($(#[$doc])* $name,)+
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }
        }
    };
}

faults! {
    /// A connect is refused.
    Refused = "net.1",
    /// A connect gets no answer.
    NoAnswer = "net.2",
    /// A name does not resolve.
    Unresolved = "net.3",
    /// A link ends between frames.
    Fin = "net.4",
    /// A link ends inside a frame.
    MidFrame = "net.5",
    /// A link carries nothing any more, and nobody says so.
    Blackhole = "net.6",
    /// The same in one direction.
    HalfOpen = "net.6b",
    /// Bytes take longer.
    Jitter = "net.7",
    /// A link takes only a part of a write, or none for a while.
    PartialWrite = "net.8",
    /// A link takes no bytes any more, and says so.
    WriteZero = "net.8z",
    /// A read gives fewer bytes than there are.
    SmallRead = "net.9",
    /// The peer stops reading.
    PeerStopsReading = "net.10",
    /// A reconnect lands on another process at the same address.
    OtherProcess = "net.11",
    /// A client and a server do not hear each other for a while.
    Partition = "net.12",
    /// An answer comes after its deadline.
    LateAnswer = "resp.1",
    /// Answers overtake each other.
    Reordered = "resp.2",
    /// An answer comes twice.
    Duplicated = "resp.3",
    /// An answer never comes.
    NoResponse = "resp.4",
    /// An answer to nothing.
    UnknownOpaque = "resp.5",
    /// A request is refused with a code.
    ErrorCode = "resp.9",
    /// A message is stored with a weak status.
    WeakStore = "resp.9w",
    /// An answer lacks its fields.
    Garbled = "resp.10",
    /// An answer to a pull has impossible offsets.
    OddOffsets = "resp.11",
    /// A broker is restarted in good order.
    Restart = "brk.1",
    /// A broker crashes and keeps its log.
    Crash = "brk.2",
    /// A broker crashes and loses the end of its log.
    LostTail = "brk.3",
    /// Committed offsets of a broker are older than its log.
    OldOffsets = "brk.4",
    /// A broker forgets who has locked what.
    LostLocks = "brk.5",
    /// A broker forgets its clients.
    LostClients = "brk.6",
    /// A broker is slow.
    SlowBroker = "brk.7",
    /// A topic is read-only.
    ReadOnly = "brk.8",
    /// A link is cut while a pull is held.
    HeldPullCut = "brk.11",
    /// A message is appended twice.
    DoubleAppend = "brk.12",
    /// Retention removes the head of a queue.
    Retention = "brk.14",
    /// A broker of another version answers.
    OtherVersion = "brk.15",
    /// A name server is down.
    NameServerDown = "ns.1",
    /// A route is an old one.
    StaleRoute = "ns.2",
    /// Name servers disagree.
    SplitViews = "ns.3",
    /// A topic that exists has no route.
    EmptyRoute = "ns.4",
    /// A topic gets more queues.
    MoreQueues = "ns.5",
    /// A topic has fewer queues.
    FewerQueues = "ns.6",
    /// A broker has another address.
    OtherAddress = "ns.8",
    /// A process stands still for a while.
    Pause = "time.1",
    /// A wall clock jumps.
    WallJump = "time.2",
    /// Timers are late.
    LateTimers = "time.3",
    /// Clocks of hosts differ.
    ClockSkew = "time.4",
    /// A member joins.
    Join = "mem.1",
    /// A member joins, and leaves soon: its queues go there and back.
    Visit = "mem.1b",
    /// A member leaves in good order.
    Leave = "mem.2",
    /// A member crashes, and its links are reset.
    MemberCrash = "mem.3",
    /// A member crashes, and nobody is told.
    SilentCrash = "mem.4",
    /// A member stands still for longer than its leases, then goes on.
    Zombie = "mem.5",
    /// All members are restarted in turn.
    RollingRestart = "mem.8",
    /// A listener is slow.
    SlowListener = "app.1",
    /// A listener fails.
    FailingListener = "app.2",
    /// A listener panics.
    PanickingListener = "app.3",
    /// A delivery is dropped unsettled.
    DroppedDelivery = "app.4",
    /// A send is dropped.
    CancelledSend = "app.5",
    /// Many sends at once.
    Burst = "app.6",
    /// A send while the client shuts down.
    SendInShutdown = "app.7",
    /// A shutdown with listeners running, or twice.
    BusyShutdown = "app.8",
    /// Large and odd bodies.
    OddBody = "app.9",
    /// Garbage on a link.
    Garbage = "hos.1",
    /// Flipped bits in a body.
    BitFlip = "hos.2",
    /// A length that lies.
    LengthLie = "hos.3",
    /// One byte at a time.
    SlowLoris = "hos.4",
    /// A body that inflates to very many bytes.
    Bomb = "hos.5",
    /// Many tiny frames.
    TinyFrames = "hos.6",
    /// JSON that is nested very deeply.
    DeepJson = "hos.7",
    /// A route with more queues than there can be.
    HugeRoute = "hos.8",
    /// Requests nobody asked for.
    Unsolicited = "hos.9",
    /// A record that cannot be read among others.
    CorruptRecord = "hos.10",
    /// A checksum that is not that of its body.
    WrongCrc = "hos.11",
    /// A file cannot be written or read.
    DiskError = "disk.1",
    /// A disk is full.
    DiskFull = "disk.2",
    /// A file lost its end while its process was down.
    TornFile = "disk.3",
    /// An old version of a file was restored while its process was down.
    OldFile = "disk.4",
    /// Bytes of a file changed while its process was down.
    ChangedFile = "disk.5",
    /// A member gives its topic up, or changes what it wants of it.
    Resubscribe = "app.10",
    /// Of several messages those from one on fail.
    PartialAck = "app.4b",
    /// A master is down, and its slave serves reads, of a log and of offsets that are behind.
    SlaveServes = "brk.9",
    /// A slave is down, or has lost the head of a queue.
    SlaveLoss = "brk.9s",
    /// An operator deletes a group.
    GroupDeleted = "brk.13",
    /// A name server dies in silence and never comes back; another one comes at another address, by its name.
    NameServerGone = "ns.11",
    /// A name server ends in good order, and goes on at another address.
    NameServerMoved = "ns.12",
    /// A name server tells an administrator the address of another broker.
    ForeignAddress = "ns.13",
    /// A name server tells an administrator of no broker at all.
    EmptyCluster = "ns.14",
    /// Whoever tells the name servers is away.
    DirectoryAway = "ns.15",
    /// It says what makes no sense, leaves name servers out, or makes one up.
    DirectoryLies = "ns.16",
}

impl Fault {
    /// The class that is switched on or off as a whole: what stands before the point.
    #[must_use]
    pub fn class(self) -> &'static str {
        self.id().split('.').next().unwrap_or_default()
    }

    /// Whether it is the application's own.
    #[must_use]
    pub fn is_of_application(self) -> bool {
        self.class() == "app"
    }
}

impl From<Fault> for &'static str {
    fn from(fault: Fault) -> Self {
        fault.id()
    }
}

impl TryFrom<String> for Fault {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|fault| fault.id() == id);
        known.copied().ok_or_else(|| format!("no fault has the id {id}"))
    }
}

/// How often each kind really happened.
#[derive(Clone, Debug)]
pub struct Counts([u64; Fault::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Counts {
    /// Counts one.
    pub fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often it happened.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.iter().map(|fault| (*fault, self.of(*fault)))
    }
}

/// Which kinds of faults a run has, and how often, in 100,000 of the occasions each has.
#[derive(Clone, Debug)]
pub struct Swarm {
    rates: [u32; Fault::ALL.len()],
}

impl Swarm {
    /// None at all.
    #[must_use]
    pub fn calm() -> Self {
        Self { rates: [0; Fault::ALL.len()] }
    }

    /// These kinds, each as often as is usual.
    #[must_use]
    pub fn these(faults: impl IntoIterator<Item = Fault>) -> Self {
        let mut swarm = Self::calm();
        faults.into_iter().for_each(|fault| swarm.with(fault, base_rate(fault)));
        swarm
    }

    /// What the tape says: each kind is off in half of the runs; one run in twenty has none, and in as many all are
    /// the application's own.
    #[must_use]
    pub fn of(tape: &mut Tape) -> Self {
        let mut swarm = Self::calm();
        let profile = tape.below(Stream::Swarm, 20);
        for fault in Fault::ALL {
            let on = tape.below(Stream::Swarm, 2) == 0;
            let strength = tape.range(Stream::Swarm, 1, 3);
            if on && profile > 0 && (profile > 1 || fault.is_of_application()) {
                swarm.rates[*fault as usize] = base_rate(*fault) * u32::try_from(strength).unwrap_or(1) / 2;
            }
        }
        swarm
    }

    /// The rate of a kind.
    #[must_use]
    pub fn rate(&self, fault: Fault) -> u32 {
        self.rates[fault as usize]
    }

    /// Whether a kind is on.
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.rate(fault) > 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.rates.iter().all(|rate| *rate == 0)
    }

    /// Whether all there are happen in the application itself.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        Fault::ALL.iter().all(|fault| fault.is_of_application() || !self.has(*fault))
    }

    /// Switches a kind off.
    pub fn without(&mut self, fault: Fault) {
        self.rates[fault as usize] = 0;
    }

    /// Sets the rate of a kind.
    pub fn with(&mut self, fault: Fault, rate: u32) {
        self.rates[fault as usize] = rate;
    }
}

/// How often in 100,000 occasions: those on the way of every frame are rare, those a plan asks for are weights.
const fn base_rate(fault: Fault) -> u32 {
    match fault {
        Fault::Refused | Fault::NoAnswer => 10_000,
        Fault::Unresolved => 3_000,
        Fault::Fin | Fault::MidFrame | Fault::Duplicated | Fault::UnknownOpaque => 200,
        Fault::Blackhole | Fault::HalfOpen | Fault::TinyFrames | Fault::Garbage | Fault::LengthLie => 60,
        Fault::SlowLoris => 100,
        Fault::Jitter => 10_000,
        Fault::PartialWrite | Fault::SmallRead => 3_000,
        Fault::WriteZero => 20,
        Fault::LateAnswer | Fault::Reordered | Fault::NoResponse | Fault::Garbled => 300,
        Fault::OddOffsets | Fault::DeepJson | Fault::HugeRoute => 1_000,
        Fault::Bomb => 300,
        Fault::ErrorCode => 1_500,
        Fault::WeakStore | Fault::DoubleAppend => 2_000,
        Fault::StaleRoute | Fault::EmptyRoute | Fault::SplitViews => 10_000,
        Fault::ForeignAddress | Fault::EmptyCluster => 10_000,
        Fault::DirectoryAway | Fault::DirectoryLies => 20_000,
        Fault::LateTimers => 5_000,
        Fault::BitFlip | Fault::CorruptRecord | Fault::WrongCrc => 1_500,
        Fault::SlowListener | Fault::FailingListener | Fault::PanickingListener | Fault::DroppedDelivery => 5_000,
        Fault::CancelledSend | Fault::OddBody => 5_000,
        Fault::PartialAck => 20_000,
        Fault::Burst => 2_000,
        Fault::DiskError | Fault::DiskFull => 10_000,
        _ => 50_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_id_of_its_own() {
        let ids: std::collections::BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.id()).collect();
        assert_eq!(ids.len(), Fault::ALL.len());
        assert_eq!(Fault::Garbage.class(), "hos");
    }

    #[test]
    fn each_kind_is_off_in_about_half_of_the_runs_and_some_have_none() {
        let swarms: Vec<_> = (0..1_000).map(|seed| Swarm::of(&mut Tape::new(seed))).collect();
        let calm = swarms.iter().filter(|swarm| swarm.is_calm()).count();
        assert!((20..100).contains(&calm), "{calm}");
        for fault in Fault::ALL {
            let off = swarms.iter().filter(|swarm| !swarm.has(*fault)).count();
            assert!((400..620).contains(&off), "{fault:?} {off}");
        }
    }
}
