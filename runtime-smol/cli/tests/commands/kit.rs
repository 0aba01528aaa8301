//! A cluster, and the program that is run against it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rocketmq_testkit::cluster::tcp::{Builder, EmbeddedCluster};
use serde_json::Value;

/// How long anything may take that should happen soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Lab {
    pub(crate) cluster: EmbeddedCluster,
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Lab {
    /// Two brokers and the topic `orders` with two queues on each.
    pub(crate) fn new() -> Self {
        Self::of(EmbeddedCluster::builder().brokers(2).topic("orders", 2))
    }

    pub(crate) fn of(builder: Builder) -> Self {
        Self { cluster: builder.start().unwrap() }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = program(words);
        command.env("NAMESRV_ADDR", self.cluster.namesrv());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        run(&mut self.command(words))
    }

    /// What it shows when all is well.
    #[track_caller]
    pub(crate) fn shown(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert!(ran.code == 0 && ran.err.is_empty(), "{words:?}: {ran:?}");
        ran.out
    }

    /// The same as one document of JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let out = self.shown(&[words, &["-o", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words:?}: {error}: {out}"))
    }

    /// The same as objects in lines.
    #[track_caller]
    pub(crate) fn lines(&self, words: &[&str]) -> Vec<Value> {
        let out = self.shown(&[words, &["-o", "json"]].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The exit code of a failure, and its line.
    #[track_caller]
    pub(crate) fn failure(&self, words: &[&str]) -> (i32, String) {
        let ran = self.run(words);
        assert!(
            ran.out.is_empty() && ran.err.starts_with("rmq: ") && ran.err.lines().count() == 1,
            "{words:?}: {ran:?}"
        );
        (ran.code, ran.err)
    }

    /// Sends messages with these bodies, one after the other.
    pub(crate) fn send(&self, topic: &str, bodies: impl IntoIterator<Item = impl AsRef<str>>) {
        for body in bodies {
            self.shown(&["message", "send", topic, body.as_ref()]);
        }
    }

    /// A member of a group that stays: it has shown one message of `topic`.
    pub(crate) fn member(&self, topic: &str, group: &str) -> Member {
        Member::start(self.command(&["message", "consume", topic, "--group", group, "--from", "first"]))
    }
}

pub(crate) fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
    command.args(words).env_remove("NAMESRV_ADDR").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// A program that runs on.
pub(crate) struct Member {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Member {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Writes to its standard input, which stays open.
    pub(crate) fn tell(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next line that it shows.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    /// Ends it as Ctrl-C does; gives its exit code, and what it showed since.
    pub(crate) fn interrupt(mut self) -> Ran {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Ran { code: self.child.wait().unwrap().code().unwrap_or(-1), out, err }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Tries until it holds.
#[track_caller]
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it should have happened long ago");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The columns of a table, line by line.
pub(crate) fn table(out: &str) -> Vec<Vec<&str>> {
    out.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect()
}
