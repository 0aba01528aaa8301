//! Disks of simulated machines: they outlive processes, and not all they were given comes back.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rocketmq_core::wire::body::OffsetFile;

use super::faults::Fault;
use super::history::{Queue, What};
use super::state::State;
use super::tape::Stream;

/// The files of a machine.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// An earlier version of some.
    old: BTreeMap<PathBuf, Vec<u8>>,
}

impl State {
    /// Reads a file for a process, after what became of it meanwhile.
    pub(crate) fn load(&mut self, host: usize, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let before = self.disk(host).files.get(path).cloned();
        // It happened while no process was there.
        if self.hosts[host].loaded.insert(path.to_owned()) {
            self.damage(host, path);
        }
        let now = self.disk(host).files.get(path).cloned();
        if let Some(group) = self.hosts[host].member.clone().filter(|_| now != before) {
            for (queue, _) in self.rows(&before.unwrap_or_default()) {
                self.note(What::Moved { group: group.clone(), queue, offset: 0 });
            }
        }
        self.fails(Fault::DiskError, ErrorKind::Other)?;
        Ok(now)
    }

    /// Replaces a file of a process, at once or not at all.
    pub(crate) fn save(&mut self, host: usize, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.fails(Fault::DiskError, ErrorKind::Other)?;
        self.fails(Fault::DiskFull, ErrorKind::StorageFull)?;
        let keep = self.tape.below(Stream::App, 4) == 0;
        let disk = self.disk(host);
        let before = disk.files.insert(path.to_owned(), bytes.clone());
        if let Some(before) = before.clone().filter(|_| keep) {
            disk.old.insert(path.to_owned(), before);
        }
        self.note_offsets(host, path, &bytes, &before.unwrap_or_default());
        Ok(())
    }

    fn fails(&mut self, fault: Fault, kind: ErrorKind) -> io::Result<()> {
        if self.roll(fault) {
            self.count(fault);
            return Err(io::Error::new(kind, "a simulated disk"));
        }
        Ok(())
    }

    /// What became of a file before it is read.
    fn damage(&mut self, host: usize, path: &Path) {
        let Some(mut bytes) = self.disk(host).files.get(path).cloned() else { return };
        if self.roll(Fault::OldFile)
            && let Some(old) = self.disk(host).old.get(path).filter(|old| **old != bytes).cloned()
        {
            self.count(Fault::OldFile);
            bytes = old;
        }
        if !bytes.is_empty() && self.roll(Fault::TornFile) {
            self.count(Fault::TornFile);
            let len = self.tape.below(Stream::App, bytes.len() as u64);
            bytes.truncate(usize::try_from(len).unwrap_or(0));
        }
        if !bytes.is_empty() && self.roll(Fault::ChangedFile) {
            self.count(Fault::ChangedFile);
            let at = self.tape.below(Stream::App, bytes.len() as u64);
            let change = u8::try_from(self.tape.range(Stream::App, 1, 255)).unwrap_or(1);
            bytes[usize::try_from(at).unwrap_or(0)] ^= change;
        }
        self.disk(host).files.insert(path.to_owned(), bytes);
    }

    /// Notes which offsets a broadcasting member has safe now.
    fn note_offsets(&mut self, host: usize, path: &Path, bytes: &[u8], before: &[u8]) {
        let is_backup = path.extension().is_some_and(|extension| extension == "bak");
        let Some(group) = self.hosts[host].member.clone().filter(|_| !is_backup) else { return };
        let before = self.rows(before);
        for (queue, offset) in self.rows(bytes) {
            if before.get(&queue) != Some(&offset) {
                let written = self.now;
                self.note(What::Committed { host, written, group: group.clone(), queue, offset });
            }
        }
    }

    fn rows(&self, file: &[u8]) -> BTreeMap<Queue, i64> {
        let rows = OffsetFile::decode(file).unwrap_or_default().0.into_iter();
        let row = |(queue, offset): (rocketmq_core::ids::MessageQueue, rocketmq_core::ids::QueueOffset)| {
            let broker = self.servers.broker_named(queue.broker.as_str()).unwrap_or(usize::MAX);
            (Queue { broker, topic: queue.topic.as_str().into(), id: queue.id }, offset.to_wire())
        };
        rows.map(row).collect()
    }

    fn disk(&mut self, host: usize) -> &mut Disk {
        let at = self.hosts[host].disk;
        &mut self.disks[at]
    }
}
