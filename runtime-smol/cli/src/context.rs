//! What a command works with: the cluster, where it shows what, and who failed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use futures_lite::FutureExt;
use rocketmq_core::client::RouteError;
use rocketmq_core::ids::Group;
use rocketmq_smol::{Admin, AdminError, Client, ClientBuilder, Partial};
use smol::Timer;

use crate::failure::{Failure, one_line};
use crate::output::Output;

/// One command at work.
pub(crate) struct Cx<'a> {
    pub(crate) client: Client,
    pub(crate) admin: Admin,
    pub(crate) out: Output<'a>,
    timeout: Option<Duration>,
    failed: BTreeMap<String, String>,
}

impl<'a> Cx<'a> {
    /// Connects to a cluster.
    pub(crate) async fn connect(
        builder: ClientBuilder,
        timeout: Option<Duration>,
        out: Output<'a>,
    ) -> Result<Self, Failure> {
        let connect = async { rocketmq_smol::connect_with(builder).await.map_err(Failure::from) };
        let client = within(timeout, connect).await?;
        Ok(Self { admin: client.admin(), client, out, timeout, failed: BTreeMap::new() })
    }

    /// The longest wait for an answer, if one was chosen.
    pub(crate) const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Asks within the time that there is for an answer.
    pub(crate) async fn ask<T, E: Into<Failure>>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        within(self.timeout, async { question.await.map_err(Into::into) }).await
    }

    /// The same, of somebody who may fail without an end to the command.
    pub(crate) async fn attempt<T>(
        &self,
        question: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<Result<T, AdminError>, Failure> {
        self.ask(async { Ok::<_, Failure>(question.await) }).await
    }

    /// The same about something, which the failure names.
    pub(crate) async fn ask_of<T, E: Into<Failure>>(
        &self,
        what: impl Display,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        self.ask(question).await.map_err(|failure| failure.about(what))
    }

    /// The same about a consumer group, which brokers know by its retry topic.
    pub(crate) async fn ask_group<T>(
        &self,
        group: &Group,
        question: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<T, Failure> {
        let question = async {
            question.await.map_err(|error| {
                let unknown = matches!(error, AdminError::Route(RouteError::NoTopic));
                let told = || Failure::refused("it never had members; 'rmq group list' shows those that had");
                if unknown { told() } else { error.into() }
            })
        };
        self.ask_of(format_args!("group {group}"), question).await
    }

    /// What the servers say that answered; the others are named at the end.
    pub(crate) fn partial<T>(&mut self, partial: Partial<T>) -> T {
        for (server, error) in partial.failed {
            self.missed(server, &error);
        }
        partial.value
    }

    /// One server failed.
    pub(crate) fn missed(&mut self, server: impl Into<String>, error: &impl Display) {
        let (server, error) = in_lines(&server.into(), error);
        self.failed.insert(server, error);
    }

    /// Who failed, and how.
    pub(crate) fn into_failed(self) -> BTreeMap<String, String> {
        self.failed
    }
}

/// Who failed and how, each in one line: some are named by others than servers, as members of groups are.
fn in_lines(server: &str, error: &impl Display) -> (String, String) {
    (one_line(server), one_line(&error.to_string()))
}

async fn within<T>(timeout: Option<Duration>, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let Some(timeout) = timeout else { return work.await };
    let late = async {
        Timer::after(timeout).await;
        Err(Failure::unreachable(format!("no answer in {timeout:?}; is the server up? --timeout gives it longer")))
    };
    work.or(late).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_steers_no_terminal() {
        let (server, error) = in_lines("10.0.0.7@\u{1b}[2J\nme", &"no\n\tat Some.java");
        assert_eq!((server.as_str(), error.as_str()), ("10.0.0.7@\\u{1b}[2J me", "no at Some.java"));
    }
}
