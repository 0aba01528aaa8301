//! The end of a client, in stages.

use super::signal::Leaving;
use super::*;

impl ClientMachine {
    /// Consumers first, then producers, then links; each stage gives way to the next by the deadline at the latest.
    pub(super) fn on_shutdown(&mut self, deadline: Instant) {
        if self.stage != Stage::Running {
            return;
        }
        self.stage = Stage::Stopping { deadline };
        self.fx.timers.arm(TimerKey::Shutdown, deadline);
        let inner = deadline.before(self.fx.now.until(deadline).checked_div(SHUTDOWN_SHARE).unwrap_or_default());
        for consumer in self.consumers.values_mut() {
            consumer.on_stop(NOBODY, inner, &mut self.fx);
        }
        self.on_maybe_closed();
    }

    /// What is still done after the end has begun: consumers stop, and the last trace records find their way.
    pub(super) fn is_part_of_the_end(&self, command: &Command) -> bool {
        let flushes = matches!(self.stage, Stage::Stopping { .. } | Stage::Flushing { .. });
        match command {
            Command::StopConsumer { .. } | Command::Snapshot => true,
            Command::WantRoute { .. } | Command::WantLink(_) => flushes && !self.tracers.is_empty(),
            Command::StopProducer(group) => flushes && self.tracers.contains(group),
            Command::Open
            | Command::NameServers(_)
            | Command::StartProducer(_)
            | Command::StartTracer(_)
            | Command::StartChecker { .. }
            | Command::StopChecker(_)
            | Command::Oneway { .. }
            | Command::StartConsumer(_)
            | Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::Stats(_)
            | Command::Suspend { .. }
            | Command::Call { .. } => false,
        }
    }

    /// Goes on with shutdown when a stage is over.
    pub(super) fn on_maybe_closed(&mut self) {
        match self.stage {
            Stage::Stopping { deadline } if self.consumers.is_empty() => {
                self.stage = Stage::Flushing { deadline };
                if !self.tracers.is_empty() {
                    let half = self.fx.now.until(deadline).checked_div(FLUSH_SHARE).unwrap_or_default();
                    let deadline = self.fx.now.after(half.min(FLUSH_TIMEOUT));
                    self.fx.timers.arm(TimerKey::FlushTraces, deadline);
                    self.fx.output(Output::FlushTraces { deadline });
                }
                self.on_maybe_closed();
            }
            Stage::Flushing { deadline } if self.tracers.is_empty() => {
                self.stage = Stage::Leaving { deadline };
                self.fx.disarm(&TimerKey::FlushTraces);
                for group in core::mem::take(&mut self.producers).into_keys() {
                    self.leave.on_leave(Leaving::Producer(group), &self.routes, &self.links, &mut self.fx);
                }
                self.on_maybe_closed();
            }
            Stage::Leaving { deadline } if self.leave.is_idle() => {
                self.close_links(self.fx.now.until(deadline).min(LINK_GRACE));
            }
            Stage::Closing if self.links.is_empty() => {
                self.stage = Stage::Closed;
                self.fx.timers.clear();
                self.fx.output(Output::Closed);
            }
            Stage::Running
            | Stage::Stopping { .. }
            | Stage::Flushing { .. }
            | Stage::Leaving { .. }
            | Stage::Closing
            | Stage::Closed => {}
        }
    }

    pub(super) fn close_links(&mut self, grace: Duration) {
        for (group, mut consumer) in core::mem::take(&mut self.consumers) {
            consumer.on_abandon(&mut self.fx);
            self.fx.output(Output::CloseDispatch(group));
        }
        self.names.on_close(&mut self.fx);
        self.stage = Stage::Closing;
        self.fx.timers.clear();
        self.links.close_all(grace, &mut self.fx);
        self.on_maybe_closed();
    }
}

/// How long the last trace records may take. Source: Java `AsyncTraceDispatcher.WAIT_FOR_SHUTDOWN`.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Of the time that is left they may take this share.
const FLUSH_SHARE: u32 = 2;
