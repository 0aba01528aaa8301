//! The offsets of a broadcasting member: in a file of its own, as every member is elsewhere.
//!
//! The file is written anew as a whole, and before that the one it replaces is kept beside it: one that cannot be read is
//! then made up for by an older one, from which messages come again, rather than by none, from which they may be missed.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Consumer, Siblings, State};
use crate::client::{ClientEvent, FileOp, Output, StartError};
use crate::config::{ClientConfig, ConsumerConfig};
use crate::dispatch::Progress;
use crate::effects::Effects;
use crate::error::IoFailure;
use crate::ids::{Epoch, Group, MessageQueue, QueueOffset};
use crate::mutants::mutant;
use crate::timers::TimerKey;
use crate::wire::body::{MessageModel, OffsetFile};

/// The offsets of one member, and the file they are kept in.
#[derive(Debug)]
pub(super) struct LocalOffsets {
    path: String,
    /// Of all queues it ever had: one that is gone may come back.
    offsets: OffsetFile,
    /// The file as it is, once it was read or written, if nobody else writes it.
    file: Option<Vec<u8>>,
    /// Whether it can be used, and may take the place of the one before it.
    sound: bool,
    state: Disk,
    /// Offsets are to be saved when what is under way is done.
    again: bool,
}

/// What is under way.
#[derive(Debug)]
enum Disk {
    Idle,
    Reading {
        op: FileOp,
        which: Which,
        /// A file was there and could not be read.
        trouble: bool,
    },
    /// Before these bytes are written, the file is looked at.
    Checking {
        op: FileOp,
        bytes: Vec<u8>,
    },
    Writing {
        op: FileOp,
        which: Which,
        bytes: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Main,
    Backup,
}

impl LocalOffsets {
    /// Starts to read the file of a broadcasting group; `None` in clustering.
    pub(super) fn open(client: &ClientConfig, config: &ConsumerConfig, fx: &mut Effects) -> Option<Self> {
        let path = match config.model {
            MessageModel::Clustering => return None,
            MessageModel::Broadcasting => offset_file(client, config)?,
        };
        let mut local =
            Self { path, offsets: OffsetFile::default(), file: None, sound: false, state: Disk::Idle, again: false };
        local.read(&config.group, Which::Main, false, fx);
        Some(local)
    }

    pub(super) fn is_loaded(&self) -> bool {
        !matches!(self.state, Disk::Reading { .. })
    }

    /// The file.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn is_saving(&self) -> bool {
        matches!(self.state, Disk::Checking { .. } | Disk::Writing { .. })
    }

    pub(super) fn of(&self, queue: &MessageQueue) -> Option<QueueOffset> {
        self.offsets.0.get(queue).copied()
    }

    fn read(&mut self, group: &Group, which: Which, trouble: bool, fx: &mut Effects) {
        let op = FileOp { group: group.clone(), id: fx.fresh_id() };
        fx.output(Output::Load { op: op.clone(), path: self.path_of(which) });
        self.state = Disk::Reading { op, which, trouble };
    }

    /// # Errors
    /// There may be a file, but the system does not give it: to start without it would be to forget what it says.
    fn on_loaded(
        &mut self,
        op: &FileOp,
        result: Result<Option<Vec<u8>>, IoFailure>,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let (known, which, mut trouble) = match core::mem::replace(&mut self.state, Disk::Idle) {
            Disk::Reading { op: known, which, trouble } if known == *op => (known, which, trouble),
            Disk::Checking { op: known, bytes } if known == *op => {
                self.on_checked(op, result, bytes, fx);
                return Ok(());
            }
            other @ (Disk::Idle | Disk::Reading { .. } | Disk::Checking { .. } | Disk::Writing { .. }) => {
                self.state = other;
                return Ok(());
            }
        };
        match result.map(|bytes| bytes.map(|bytes| (OffsetFile::decode(&bytes), bytes))) {
            Ok(Some((Ok(offsets), bytes))) => {
                self.offsets = offsets;
                if which == Which::Main {
                    (self.file, self.sound) = (Some(bytes), true);
                }
                return Ok(());
            }
            Ok(Some((Err(why), bytes))) => {
                trouble = true;
                if which == Which::Main {
                    self.file = Some(bytes);
                }
                let path = self.path_of(which);
                fx.event(ClientEvent::OffsetsUnreadable { group: op.group.clone(), path, why });
            }
            Ok(None) => {}
            Err(error) => {
                self.state = Disk::Reading { op: known, which, trouble };
                return Err(alloc::format!("offsets in {}: {error}", self.path_of(which)));
            }
        }
        match which {
            Which::Main => self.read(&op.group, Which::Backup, trouble, fx),
            Which::Backup if trouble => {
                fx.event(ClientEvent::OffsetsLost { group: op.group.clone(), path: self.path.clone() });
            }
            Which::Backup => {}
        }
        Ok(())
    }

    /// Writes the offsets, unless the file has them already.
    fn save(&mut self, group: &Group, fx: &mut Effects) {
        // Before it was read there is nothing to be saved.
        if !matches!(self.state, Disk::Idle) {
            self.again = self.is_saving();
            return;
        }
        let bytes = self.offsets.encode();
        let saved = match &self.file {
            Some(known) => *known == bytes,
            None => self.offsets.0.is_empty(),
        };
        if !saved {
            let op = FileOp { group: group.clone(), id: fx.fresh_id() };
            fx.output(Output::Load { op: op.clone(), path: self.path_of(Which::Main) });
            self.state = Disk::Checking { op, bytes };
        }
    }

    /// Two members with one file overwrite what the other has saved: that is told at least.
    fn on_checked(&mut self, op: &FileOp, now: Result<Option<Vec<u8>>, IoFailure>, bytes: Vec<u8>, fx: &mut Effects) {
        if now.is_ok_and(|now| now != self.file) {
            fx.event(ClientEvent::OffsetsShared { group: op.group.clone(), path: self.path.clone() });
        }
        let first = if self.sound { Which::Backup } else { Which::Main };
        self.write(&op.group, first, bytes, fx);
    }

    fn write(&mut self, group: &Group, which: Which, bytes: Vec<u8>, fx: &mut Effects) {
        let op = FileOp { group: group.clone(), id: fx.fresh_id() };
        let written = match which {
            Which::Main => bytes.clone(),
            Which::Backup => self.file.clone().unwrap_or_default(),
        };
        fx.output(Output::Save { op: op.clone(), path: self.path_of(which), bytes: written });
        self.state = Disk::Writing { op, which, bytes };
    }

    fn on_saved(&mut self, op: &FileOp, result: Result<(), IoFailure>, fx: &mut Effects) {
        let Disk::Writing { op: known, which, bytes } = core::mem::replace(&mut self.state, Disk::Idle) else {
            return;
        };
        if known != *op {
            self.state = Disk::Writing { op: known, which, bytes };
            return;
        }
        let saved = result.is_ok();
        if let Err(why) = result {
            let path = self.path_of(which);
            fx.event(ClientEvent::OffsetsNotSaved { group: op.group.clone(), path, why });
        }
        match which {
            Which::Backup => self.write(&op.group, Which::Main, bytes, fx),
            Which::Main if saved => {
                (self.file, self.sound) = (Some(bytes), true);
                if core::mem::take(&mut self.again) {
                    self.save(&op.group, fx);
                }
            }
            // What could not be written is tried again with the next commit.
            Which::Main => self.again = false,
        }
    }

    fn path_of(&self, which: Which) -> String {
        match which {
            Which::Main => self.path.clone(),
            Which::Backup => alloc::format!("{}.bak", self.path),
        }
    }
}

impl Consumer {
    /// The file of offsets, or why there is none.
    pub(crate) fn on_loaded(
        &mut self,
        op: &FileOp,
        result: Result<Option<Vec<u8>>, IoFailure>,
        at: Siblings<'_>,
        fx: &mut Effects,
    ) {
        if let Some(local) = &mut self.local {
            match local.on_loaded(op, result, fx) {
                Ok(()) => self.announce(at, fx),
                Err(why) => {
                    self.on_trouble(StartError::Unavailable(why));
                    fx.arm(TimerKey::StartDeadline(self.config.group.clone()), Duration::ZERO);
                }
            }
        }
    }

    /// The file of offsets was written, or was not.
    pub(crate) fn on_saved(&mut self, op: &FileOp, result: Result<(), IoFailure>, at: Siblings<'_>, fx: &mut Effects) {
        let saved = result.is_ok();
        if let Some(local) = &mut self.local {
            local.on_saved(op, result, fx);
            if saved && matches!(self.state, State::Committing { .. }) {
                // More may have been settled since.
                self.commit(false, at, fx);
            }
            self.after_commit(at, fx);
        }
    }

    /// Saves how far each queue is settled.
    pub(super) fn save(&mut self, fx: &mut Effects) {
        if let Some(local) = &mut self.local {
            for (queue, assigned) in &self.queues {
                if let Some(settled) = assigned.settled_to() {
                    local.offsets.0.insert(queue.clone(), settled);
                }
            }
            local.save(&self.config.group, fx);
        }
    }

    /// A queue is gone: how far it was settled is kept, as it may come back.
    pub(super) fn keep_last(&mut self, queue: &MessageQueue, epoch: Epoch, last: Option<&Progress>) {
        let Some(known) = self.leaving.remove(&(queue.clone(), epoch)) else {
            return;
        };
        let settled = known.settled_to.max(last.map(|progress| progress.settled_to));
        if let (Some(local), Some(settled)) = (&mut self.local, settled) {
            if mutant!(8) {
                local.offsets.0.remove(queue);
                return;
            }
            local.offsets.0.insert(queue.clone(), settled);
        }
    }
}

/// Where a broadcasting group keeps its offsets; `None` when no folder is known.
pub(crate) fn offset_file(client: &ClientConfig, config: &ConsumerConfig) -> Option<String> {
    let default = || Some(alloc::format!("{}/{}/offsets.json", client.offset_dir.as_ref()?, config.group));
    config.offset_file.clone().or_else(default)
}
