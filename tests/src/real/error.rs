//! What can go wrong while real brokers and Java peers are prepared and run.

use std::path::PathBuf;

/// A failure of the real-broker harness.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RealError {
    /// A program the harness needs is not on `PATH`.
    #[error(
        "`{program}` is not on PATH: real-broker suites need Java 17 and Maven \
         (Debian: apt-get install openjdk-17-jdk-headless maven; \
         openjdk-17-jre-headless is enough for brokers without the Java peer). \
         Set ROCKETMQ_TEST_SKIP_BROKER=1 to skip these suites on purpose"
    )]
    MissingProgram {
        /// Name of the program.
        program: &'static str,
    },
    /// Neither `ROCKETMQ_TEST_CACHE` nor `HOME` is set.
    #[error("no place for downloaded jars: set ROCKETMQ_TEST_CACHE or HOME")]
    NoCacheDir,
    /// Another process holds the lock of a cache entry for too long.
    #[error("cache entry is locked by another process for too long: {lock}")]
    CacheLocked {
        /// The lock file.
        lock: PathBuf,
    },
    /// A helper program (Maven, javac) ended with an error.
    #[error("{what} failed: {output}")]
    Tool {
        /// What was being done.
        what: String,
        /// The end of the program's output.
        output: String,
    },
    /// An operating-system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
    /// No block of free ports could be reserved.
    #[error("no free block of ports found")]
    NoPorts,
    /// A Java process ended or stayed silent instead of becoming ready.
    #[error("{who} did not become ready: {why}\n--- end of its log ---\n{log}")]
    NotReady {
        /// Which process.
        who: String,
        /// What was waited for.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The Java peer answered a command with an error.
    #[error("Java peer: {cmd}: {message}")]
    Java {
        /// The command.
        cmd: String,
        /// The exception as text.
        message: String,
    },
    /// The Java peer is gone or did not answer in time.
    #[error("Java peer: {cmd}: {why}\n--- end of its log ---\n{log}")]
    JavaGone {
        /// The command.
        cmd: String,
        /// What happened.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The Java peer's answer has not the expected shape.
    #[error("Java peer: {cmd}: unexpected answer: {source}")]
    JavaAnswer {
        /// The command.
        cmd: String,
        /// The cause.
        source: serde_json::Error,
    },
}

/// The same text as `Display`: a test that returns this error shows what to do.
impl std::fmt::Debug for RealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl RealError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_tells_what_to_install() {
        let text = format!("{:?}", RealError::MissingProgram { program: "mvn" });
        for part in ["`mvn`", "openjdk-17-jdk-headless maven", "openjdk-17-jre-headless", "ROCKETMQ_TEST_SKIP_BROKER=1"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
