//! Java child processes that never outlive the test process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{RealError, tools};

/// A shell forks a watcher and then becomes the program, so both are known by one process id.
/// The watcher waits for a line on the pipe from the test process: a line means "do nothing",
/// the pipe's end without one means that the test process died, so it kills the program.
const WATCHED: &str = "exec 3<&0; { read -r _ <&3 || kill -9 $$; } >/dev/null 2>&1 & exec \"$@\" </dev/null 3<&-";

/// A running Java process that writes to a log file.
#[derive(Debug)]
pub(super) struct Watched {
    child: Child,
    watch: Option<ChildStdin>,
    log: PathBuf,
}

impl Watched {
    /// Starts a program; `args[0]` is its path.
    pub(super) fn start(args: &[std::ffi::OsString], log: &Path) -> Result<Self, RealError> {
        let what = || format!("write {}", log.display());
        let out = std::fs::File::create(log).map_err(RealError::io(what()))?;
        let err = out.try_clone().map_err(RealError::io(what()))?;
        let mut child = Command::new("sh")
            .args(["-c", WATCHED, "sh"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(RealError::io("start a Java process"))?;
        let watch = child.stdin.take();
        Ok(Self { child, watch, log: log.to_owned() })
    }

    /// The process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if the process has ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        if status.is_some() {
            self.release_watcher();
        }
        status
    }

    /// A test whether the log contains a text by now.
    pub(super) fn log_watch(&self, text: &'static str) -> impl Fn() -> bool + use<> {
        let log = self.log.clone();
        move || std::fs::read(&log).is_ok_and(|b| b.windows(text.len()).any(|w| w == text.as_bytes()))
    }

    /// The end of the log, without what the logging library tells of its own set-up.
    pub(super) fn log_tail(&self) -> String {
        let text = tools::tail_file(&self.log, 1 << 20);
        let lines: Vec<_> = text.lines().filter(|l| !l.contains(" |-INFO in ")).collect();
        tools::tail(&lines.join("\n"), 6000)
    }

    /// Asks the process to end (SIGTERM) and waits; kills it after `patience`. True if it ended by itself.
    pub(super) fn terminate(&mut self, patience: Duration) -> bool {
        if self.signal("TERM") {
            let started = Instant::now();
            while started.elapsed() < patience {
                if self.ended().is_some() {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.kill();
        false
    }

    /// Sends it a signal, such as `TERM`. True if it got it.
    pub(super) fn signal(&self, name: &str) -> bool {
        let pid = self.pid().to_string();
        // The shell's own `kill`: no other package is needed. The child is not reaped yet, so the id is ours.
        let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &pid]).status();
        sent.is_ok_and(|status| status.success())
    }

    /// Stops it where it stands, until it gets `CONT`; returns when none of its threads runs any more.
    pub(super) fn suspend(&self) {
        self.signal("STOP");
        let threads = PathBuf::from(format!("/proc/{}/task", self.pid()));
        let stands = |thread: std::fs::DirEntry| {
            let told = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            told.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('T') || rest.is_empty())
        };
        let started = Instant::now();
        while started.elapsed() < STOPPED_IN && !std::fs::read_dir(&threads).into_iter().flatten().flatten().all(stands)
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process at once (SIGKILL) and waits for its end.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.release_watcher();
    }

    fn release_watcher(&mut self) {
        if let Some(mut pipe) = self.watch.take() {
            let _ = pipe.write_all(b"done\n");
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A busy machine takes a while to stop all threads.
const STOPPED_IN: Duration = Duration::from_secs(10);

/// An own folder below the system's temporary folder, removed on drop.
#[derive(Debug)]
pub(super) struct RunDir(PathBuf);

impl RunDir {
    const PREFIX: &'static str = "rocketmq-testkit-";

    /// Creates a new folder, and removes those left behind by dead test processes.
    pub(super) fn new(kind: &str) -> Result<Self, RealError> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::temp_dir();
        if !keep() {
            Self::sweep(&base);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = base.join(format!("{}{}-{number}-{kind}", Self::PREFIX, std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).map_err(RealError::io(format!("create {}", dir.display())))?;
        Ok(Self(dir))
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn sweep(base: &Path) {
        for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(|n| n.strip_prefix(Self::PREFIX)).and_then(|n| n.split('-').next());
            if let Some(pid) = owner.and_then(|p| p.parse::<u32>().ok())
                && !Path::new(&format!("/proc/{pid}")).exists()
            {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

fn keep() -> bool {
    std::env::var("ROCKETMQ_TEST_KEEP").is_ok_and(|v| v == "1")
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if keep() {
            eprintln!("kept: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(pid: u32) -> bool {
        // A killed process stays as a zombie until its parent reaps it.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|s| !s.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
    }

    fn sleeper(dir: &RunDir) -> Watched {
        let args = ["sleep", "60"].map(std::ffi::OsString::from);
        Watched::start(&args, &dir.path().join("log")).expect("start")
    }

    fn until(what: impl Fn() -> bool) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            what()
        })
    }

    #[test]
    fn a_closed_pipe_kills_the_child() {
        let dir = RunDir::new("unit").expect("dir");
        let mut child = sleeper(&dir);
        assert!(alive(child.pid()));
        drop(child.watch.take()); // what the kernel does when the test process dies
        assert!(until(|| !alive(child.pid())));
        assert!(child.ended().is_some());
    }

    #[test]
    fn a_suspended_child_stands_until_it_is_woken() {
        let dir = RunDir::new("unit").expect("dir");
        let child = sleeper(&dir);
        let state = || {
            let told = std::fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap_or_default();
            told.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next())
        };
        child.suspend();
        assert_eq!(state(), Some('T'));
        child.signal("CONT");
        assert!(until(|| state() == Some('S')));
    }

    #[test]
    fn terminate_and_drop_end_the_child() {
        let dir = RunDir::new("unit").expect("dir");
        let mut child = sleeper(&dir);
        std::thread::sleep(Duration::from_millis(50));
        assert!(child.terminate(Duration::from_secs(5)));
        let child = sleeper(&dir);
        let pid = child.pid();
        drop(child);
        assert!(!alive(pid));
    }
}
