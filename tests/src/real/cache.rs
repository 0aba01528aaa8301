//! The cache of jars and compiled classes, shared by all test processes of a user.
//!
//! An entry is built in a staging folder and renamed into place, so a reader never sees half of it,
//! whatever else happens. A lock file beside it (owner's process id inside) only saves double work.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{RealError, tools};

static IN_PROCESS: Mutex<()> = Mutex::new(());

/// The cache directory, created if missing.
pub(super) fn root() -> Result<PathBuf, RealError> {
    let dir = match (std::env::var_os("ROCKETMQ_TEST_CACHE"), std::env::var_os("HOME")) {
        (Some(dir), _) if !dir.is_empty() => PathBuf::from(dir),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".cache/rocketmq-testkit"),
        _ => return Err(RealError::NoCacheDir),
    };
    fs::create_dir_all(&dir).map_err(RealError::io(format!("create {}", dir.display())))?;
    Ok(dir)
}

/// The folder `name` of the cache; `build` fills a staging folder if the entry does not exist yet.
pub(super) fn entry(name: &str, build: impl FnOnce(&Path) -> Result<(), RealError>) -> Result<PathBuf, RealError> {
    let root = root()?;
    let done = root.join(name);
    if done.is_dir() {
        return Ok(done);
    }
    let _one_thread = IN_PROCESS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // One lock for all entries: concurrent Maven runs would share one local repository.
    let _one_process = Lock::take(root.join("lock"))?;
    if done.is_dir() {
        return Ok(done);
    }
    let staging = root.join(format!("staging-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging).map_err(RealError::io(format!("create {}", staging.display())))?;
    let built = build(&staging).and_then(|()| match fs::rename(&staging, &done) {
        Ok(()) => Ok(()),
        Err(_) if done.is_dir() => Ok(()), // somebody else was faster
        Err(source) => Err(RealError::Io { what: format!("rename to {}", done.display()), source }),
    });
    let _ = fs::remove_dir_all(&staging);
    built.map(|()| done)
}

/// The folder with all runtime jars of a Maven project, given as the text of its `pom.xml`.
pub(super) fn jars(name: &str, pom: &str) -> Result<PathBuf, RealError> {
    let entry_name = format!("{name}-{}", tools::content_hash(&[pom]));
    entry(&entry_name, |staging| {
        let mvn = tools::find("mvn")?;
        let project = staging.join("project");
        fs::create_dir_all(&project).map_err(RealError::io("create the Maven project folder"))?;
        let pom_file = project.join("pom.xml");
        fs::write(&pom_file, pom).map_err(RealError::io("write pom.xml"))?;
        let mut out = std::ffi::OsString::from("-DoutputDirectory=");
        out.push(staging);
        tools::run(
            &format!("maven: copy the jars of {name}"),
            Command::new(mvn)
                .args(["-q", "-B", "-f"])
                .arg(&pom_file)
                .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
                .arg(out),
        )?;
        fs::remove_dir_all(&project).map_err(RealError::io("remove the Maven project folder"))
    })
}

struct Lock(PathBuf);

impl Lock {
    const PATIENCE: Duration = Duration::from_secs(600);

    fn take(path: PathBuf) -> Result<Self, RealError> {
        let started = Instant::now();
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => {
                    let _ = write!(file, "{}", std::process::id());
                    return Ok(Self(path));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(RealError::Io { what: format!("create {}", path.display()), source }),
            }
            if Self::is_stale(&path) {
                let _ = fs::remove_file(&path);
                continue;
            }
            if started.elapsed() > Self::PATIENCE {
                return Err(RealError::CacheLocked { lock: path });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// True if the owner is dead, or if the file is old and names no owner.
    fn is_stale(path: &Path) -> bool {
        match fs::read_to_string(path) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(pid) => !Path::new(&format!("/proc/{pid}")).exists(),
                Err(_) => fs::metadata(path)
                    .and_then(|m| m.modified())
                    .ok()
                    .and_then(|t| t.elapsed().ok())
                    .is_some_and(|age| age > Duration::from_secs(10)),
            },
            Err(_) => false,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
