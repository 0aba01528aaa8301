//! What implementations of [`Runtime`] on an operating system have in common.
//!
//! The machines, the drivers and the handles call none of this.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the place where a runtime for an operating system asks it; nothing else in this crate uses it"
)]

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, fs, process, time};

use super::runtime::{Runtime, RuntimeExt};
use crate::config::{HostInfo, is_link_local, parts};
use crate::ids::Endpoint;
use crate::time::{Instant, UnixMillis};

/// Maps the system's monotonic clock to [`Instant`]s since the moment this was made.
#[derive(Clone, Copy, Debug)]
pub struct Origin(time::Instant);

impl Origin {
    /// An origin at the present.
    #[must_use]
    pub fn now() -> Self {
        Self(time::Instant::now())
    }

    /// An origin at a point of the system's clock.
    #[must_use]
    pub const fn at(origin: time::Instant) -> Self {
        Self(origin)
    }

    /// The [`Instant`] at a point of the system's clock.
    #[must_use]
    pub fn instant(&self, at: time::Instant) -> Instant {
        Instant::ZERO.after(at.saturating_duration_since(self.0))
    }

    /// The point of the system's clock at an [`Instant`], `None` when it is beyond that clock.
    #[must_use]
    pub fn system(&self, at: Instant) -> Option<time::Instant> {
        let since = Duration::from_micros(at.as_micros());
        (at < Instant::FAR).then(|| self.0.checked_add(since)).flatten()
    }
}

/// The wall clock.
#[must_use]
pub fn wall() -> UnixMillis {
    let since = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis::default().after(since)
}

/// 64 bits from the system's random source, which seeds the standard library's hashers, other ones at each call.
#[must_use]
pub fn entropy() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(CALLS.fetch_add(1, Ordering::Relaxed))
}

/// Process, address, home and the environment variables we honour.
#[must_use]
pub fn host() -> HostInfo {
    let set = HostInfo::HONOURED.iter().filter_map(|name| Some((String::from(*name), env::var(name).ok()?)));
    HostInfo {
        pid: process::id(),
        ip: local_ip(),
        home: env::home_dir().map(|home| home.to_string_lossy().into_owned()),
        env: set.collect::<BTreeMap<_, _>>(),
    }
}

/// Connects to the first of a host's addresses that answers, each but the last having [`PATIENCE`] to do so. A name that
/// leads to where only the host itself or its cloud answers ([`is_link_local`]) is not followed there.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when the host did not resolve, else the error of the last address.
pub async fn connect_each<R: Runtime, S: Send, F>(
    runtime: &R,
    to: &Endpoint,
    resolved: io::Result<impl IntoIterator<Item = SocketAddr>>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<S>
where
    F: Future<Output = io::Result<S>> + Send,
{
    let addresses = resolved.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
    let mut addresses = addresses.into_iter().peekable();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let is_name = parts(to).is_none_or(|(host, _)| host.parse::<IpAddr>().is_err());
    while let Some(address) = addresses.next() {
        if is_name && is_link_local(address.ip()) {
            let why = format!("{address}: the name leads to an address that is not allowed");
            failure = io::Error::new(io::ErrorKind::PermissionDenied, why);
            continue;
        }
        let is_last = addresses.peek().is_none();
        let deadline = if is_last { Instant::FAR } else { runtime.now().after(PATIENCE) };
        failure = match runtime.before(deadline, connect(address)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => io::Error::new(error.kind(), format!("{address}: {error}")),
            None => io::Error::new(io::ErrorKind::TimedOut, format!("{address}: no answer")),
        };
    }
    Err(failure)
}

/// The contents of a file, `None` when there is none. Blocks.
///
/// # Errors
/// As the system says.
pub fn load(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file at once or not at all, durably, with mode 0600 where there are modes. Blocks.
///
/// # Errors
/// As the system says; the file is then as it was.
pub fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let temporary = temporary(path)?;
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one that tells.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(folder)
}

/// Beside `path`, so that the rename stays within one file system; unique, so that two writers do not mix.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"));
    };
    let mut name = name.to_os_string();
    name.push(format!(".{:016x}.tmp", entropy()));
    Ok(path.with_file_name(name))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened to be synced.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The address that the system would send from. Connecting a UDP socket looks up the route; it sends nothing.
fn local_ip() -> IpAddr {
    let address = || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(ELSEWHERE)?;
        socket.local_addr()
    };
    match address() {
        Ok(address) if !address.ip().is_unspecified() => address.ip(),
        Ok(_) | Err(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// How long an address may take before the next one is tried: SYN is repeated after 1 s (RFC 6298), and a connect may
/// take 3 s in all.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// TEST-NET-1 of RFC 5737, which nobody has.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_the_clock_of_the_system_agree() {
        let origin = Origin::now();
        let later = Instant::from_millis(5_000);
        assert_eq!(origin.system(later).map(|at| origin.instant(at)), Some(later));
        assert_eq!(origin.system(Instant::FAR), None);
        assert_eq!(origin.instant(time::Instant::now() - Duration::from_secs(1)), Instant::ZERO);
    }

    #[test]
    fn a_host_knows_itself() {
        let host = host();
        assert_eq!(host.pid, process::id());
        assert!(!host.ip.is_unspecified());
        assert!(host.env.keys().all(|name| HostInfo::HONOURED.contains(&name.as_str())));
        assert!(wall() > UnixMillis(1_700_000_000_000));
    }
}
