//! The official Java client as a child process which takes commands.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::process::RunDir;
use super::{RealError, cache, tools};

const POM: &str = include_str!("../../java/pom.xml");
const SOURCES: [(&str, &str); 17] = [
    ("Admin.java", include_str!("../../java/src/rocketmq/testkit/Admin.java")),
    ("AdminTools.java", include_str!("../../java/src/rocketmq/testkit/AdminTools.java")),
    ("AdminViews.java", include_str!("../../java/src/rocketmq/testkit/AdminViews.java")),
    ("AdminWhole.java", include_str!("../../java/src/rocketmq/testkit/AdminWhole.java")),
    ("Clients.java", include_str!("../../java/src/rocketmq/testkit/Clients.java")),
    ("Codec.java", include_str!("../../java/src/rocketmq/testkit/Codec.java")),
    ("Golden.java", include_str!("../../java/src/rocketmq/testkit/Golden.java")),
    ("GoldenAllocations.java", include_str!("../../java/src/rocketmq/testkit/GoldenAllocations.java")),
    ("GoldenBodies.java", include_str!("../../java/src/rocketmq/testkit/GoldenBodies.java")),
    ("GoldenFrames.java", include_str!("../../java/src/rocketmq/testkit/GoldenFrames.java")),
    ("GoldenOffsets.java", include_str!("../../java/src/rocketmq/testkit/GoldenOffsets.java")),
    ("GoldenSignatures.java", include_str!("../../java/src/rocketmq/testkit/GoldenSignatures.java")),
    ("GoldenTraces.java", include_str!("../../java/src/rocketmq/testkit/GoldenTraces.java")),
    ("Peer.java", include_str!("../../java/src/rocketmq/testkit/Peer.java")),
    ("Requests.java", include_str!("../../java/src/rocketmq/testkit/Requests.java")),
    ("Traces.java", include_str!("../../java/src/rocketmq/testkit/Traces.java")),
    ("Transactions.java", include_str!("../../java/src/rocketmq/testkit/Transactions.java")),
];
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

type Waiting = Arc<Mutex<BTreeMap<u64, Sender<Value>>>>;

/// One JVM with the official client; it dies with this value, with the test process, or by [`JavaPeer::kill`].
#[derive(Debug)]
pub struct JavaPeer {
    child: Mutex<Child>,
    input: Mutex<ChildStdin>,
    waiting: Waiting,
    next_id: AtomicU64,
    log: PathBuf,
    // Last: removed when the process is gone.
    dir: RunDir,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl JavaPeer {
    /// Starts a JVM; the first call ever also copies jars and compiles the Java sources into the cache.
    pub fn start() -> Result<Self, RealError> {
        let jars = cache::jars("java-peer", POM)?.join("*").display().to_string();
        let classes = compile(&jars)?;
        let dir = RunDir::new("java")?;
        let log = dir.path().join("java.log");
        let stderr = std::fs::File::create(&log).map_err(RealError::io("create the Java peer's log"))?;
        let mut child = Command::new(tools::find("java")?)
            .args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .arg(format!("-Duser.home={}", dir.path().display()))
            .arg(format!("-Djava.io.tmpdir={}", dir.path().display()))
            .arg("-Dfile.encoding=UTF-8")
            .arg("-cp")
            .arg(format!("{}:{jars}", classes.display()))
            .arg("rocketmq.testkit.Peer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(RealError::io("start the Java peer"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(RealError::Io { what: "pipes of the Java peer".into(), source: std::io::Error::other("none") });
        };
        let waiting = Waiting::default();
        let answers = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
                let id = answer.get("id").and_then(Value::as_u64).unwrap_or(0);
                if let Some(waiter) = lock(&answers).remove(&id) {
                    let _ = waiter.send(answer);
                }
            }
            lock(&answers).clear(); // the JVM is gone: nobody waits in vain
        });
        let peer =
            Self { child: Mutex::new(child), input: Mutex::new(input), waiting, next_id: AtomicU64::new(1), log, dir };
        peer.command("ping", Map::new())?;
        Ok(peer)
    }

    /// Runs any command of the Java program; `args` must not hold `id` or `cmd`.
    pub fn command(&self, cmd: &str, mut args: Map<String, Value>) -> Result<Value, RealError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        args.insert("id".into(), id.into());
        args.insert("cmd".into(), cmd.into());
        let (sender, receiver) = mpsc::channel();
        lock(&self.waiting).insert(id, sender);
        let line = format!("{}\n", Value::Object(args));
        let written = lock(&self.input).write_all(line.as_bytes());
        let gone = |why: &str| RealError::JavaGone {
            cmd: cmd.to_owned(),
            why: why.to_owned(),
            log: tools::tail_file(&self.log, 4000),
        };
        if written.is_err() {
            lock(&self.waiting).remove(&id);
            return Err(gone("its JVM is gone"));
        }
        let mut answer = match receiver.recv_timeout(ANSWER_TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => return Err(gone("its JVM ended")),
            Err(RecvTimeoutError::Timeout) => {
                lock(&self.waiting).remove(&id);
                return Err(gone("no answer in time"));
            }
        };
        if answer.get("ok").and_then(Value::as_bool) == Some(true) {
            Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
        } else {
            let message = answer.get("error").and_then(Value::as_str).unwrap_or("no text").to_owned();
            Err(RealError::Java { cmd: cmd.to_owned(), message })
        }
    }

    /// The home directory of the JVM's user.
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Process id of the JVM.
    pub fn pid(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Kills the JVM at once (SIGKILL): its clients leave without a word.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }

    /// The end of what the JVM wrote to standard error, for diagnostics.
    pub fn log_tail(&self) -> String {
        tools::tail_file(&self.log, 6000)
    }
}

impl Drop for JavaPeer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder with the compiled classes.
fn compile(classpath: &str) -> Result<PathBuf, RealError> {
    let mut parts = vec![POM];
    parts.extend(SOURCES.iter().flat_map(|(name, text)| [*name, *text]));
    let name = format!("java-classes-{}", tools::content_hash(&parts));
    cache::entry(&name, |staging| {
        let sources = staging.join("src");
        std::fs::create_dir_all(&sources).map_err(RealError::io("create the Java source folder"))?;
        let mut command = Command::new(tools::find("javac")?);
        command.args(["-nowarn", "-proc:none", "--release", "11", "-encoding", "UTF-8", "-cp", classpath, "-d"]);
        command.arg(staging);
        for (name, text) in SOURCES {
            let file = sources.join(name);
            std::fs::write(&file, text).map_err(RealError::io("write a Java source"))?;
            command.arg(file);
        }
        tools::run("javac: the Java peer", &mut command)?;
        std::fs::remove_dir_all(&sources).map_err(RealError::io("remove the Java source folder"))
    })
}
