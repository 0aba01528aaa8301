//! Users of brokers, from 5.3 on.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rocketmq_core::wire::body;
use rocketmq_smol::Brokers;

use super::done_on;
use crate::args::{BrokersArg, CopyArg};
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Table, row};

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// All users; passwords are never shown
    #[command(after_help = "Examples:\n  rmq user list\n  rmq user list --like app -b broker-a")]
    List(List),
    /// One user
    #[command(after_help = "Example:\n  rmq user get billing")]
    Get(Named),
    /// Create a user
    #[command(after_help = "Example:\n  rmq user create billing --password-file billing.secret")]
    Create(Set),
    /// Change a user; what is not given stays as it is
    #[command(after_help = "Example:\n  rmq user update billing --status disable")]
    Update(Set),
    /// Delete a user
    #[command(after_help = "Example:\n  rmq user delete billing")]
    Delete(Named),
    /// Give users of one broker to another, with their passwords; one that is there already is changed
    #[command(
        after_help = "Examples:\n  rmq user copy billing,audit --from broker-a --to broker-b\n  rmq user copy --from broker-a --to broker-b"
    )]
    Copy(CopyArg),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only users with this text in their names
    #[arg(long, value_name = "TEXT")]
    like: Option<String>,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Args)]
pub(crate) struct Set {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
    /// A file with the password in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The password, for all to see who list processes
    #[arg(long, env = "RMQ_PASSWORD", hide_env_values = true, value_name = "TEXT", conflicts_with = "password_file")]
    password: Option<String>,
    /// Whether the user may do all (Super), or what is allowed to it (Normal)
    #[arg(long = "type", value_name = "TYPE", value_parser = ["Super", "Normal"])]
    kind: Option<String>,
    /// Whether the user is let in
    #[arg(long, value_name = "STATUS", value_parser = ["enable", "disable"])]
    status: Option<String>,
    #[command(flatten)]
    brokers: BrokersArg,
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("user", &self.user).finish_non_exhaustive()
    }
}

impl User {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let brokers = list.brokers.resolve(cx, Brokers::All).await?;
                let found = cx.ask(cx.admin.users(list.like.as_deref(), &brokers)).await?;
                let found = cx.partial(found);
                let mut table = Table::new(["broker", "user", "type", "status"]);
                for (broker, user) in
                    found.iter().flat_map(|(broker, users)| users.iter().map(move |user| (broker, user)))
                {
                    table.push(row![broker, &user.name, user.kind.as_ref(), user.status.as_ref()]);
                }
                Ok(cx.out.table(&table)?)
            }
            Self::Get(Named { user, brokers }) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let found = cx.ask_of(format_args!("user {user}"), cx.admin.user(&user, &brokers)).await?;
                let found: Vec<_> = cx.partial(found);
                let mut table = Table::new(["broker", "user", "type", "status"]);
                for (broker, known) in &found {
                    let Some(known) = known else { continue };
                    table.push(row![broker, &known.name, known.kind.as_ref(), known.status.as_ref()]);
                }
                if table.is_empty() {
                    return Err(Failure::refused(format!("no user {user}; 'rmq user list' shows those there are")));
                }
                Ok(cx.out.table(&table)?)
            }
            Self::Create(set) => set.run(cx, true).await,
            Self::Update(set) => set.run(cx, false).await,
            Self::Delete(Named { user, brokers }) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let done = cx.ask_of(format_args!("user {user}"), cx.admin.delete_user(&user, &brokers)).await?;
                let done = cx.partial(done);
                let (text, record) = done_on("deleted", &format!("user {user}"), "user", &user, &done);
                Ok(cx.out.done(&text, &record)?)
            }
            Self::Copy(between) => copy(between, cx).await,
        }
    }
}

async fn copy(between: CopyArg, cx: &mut Cx<'_>) -> Result<(), Failure> {
    let (from, to) = between.resolve(cx).await?;
    let found = if between.users.is_empty() {
        let found = cx.ask(cx.admin.users(None, &from)).await?;
        cx.partial(found).into_iter().flat_map(|(_, users)| users).collect()
    } else {
        let mut found = Vec::new();
        for user in &between.users {
            let known = cx.ask_of(format_args!("user {user}"), cx.admin.user(user, &from)).await?;
            let known = cx.partial(known).into_iter().find_map(|(_, known)| known);
            found.push(known.ok_or_else(|| Failure::refused(format!("no user {user}; nothing is copied")))?);
        }
        found
    };
    let mut table = Table::new(["user", "from", "to", "was"]);
    for user in found {
        let about = format!("user {}", user.name);
        let there = cx.ask_of(&about, cx.admin.user(&user.name, &to)).await?;
        let new = cx.partial(there).iter().all(|(_, known)| known.is_none());
        let done = match new {
            true => cx.ask_of(&about, cx.admin.create_user(&user, &to)).await?,
            false => cx.ask_of(&about, cx.admin.update_user(&user, &to)).await?,
        };
        cx.partial(done);
        table.push(row![&user.name, &between.from, &between.to, if new { "created" } else { "changed" }]);
    }
    Ok(cx.out.table(&table)?)
}

impl Set {
    async fn run(self, cx: &mut Cx<'_>, new: bool) -> Result<(), Failure> {
        let password = match &self.password_file {
            Some(file) => Some(secret(file)?),
            None => self.password,
        };
        if new && password.is_none() {
            return Err(Failure::usage("a user needs a password: --password-file FILE, or RMQ_PASSWORD"));
        }
        let brokers = self.brokers.resolve(cx, Brokers::All).await?;
        let user = body::User { name: self.user.clone(), password, kind: self.kind, status: self.status };
        let about = format!("user {}", self.user);
        let (verb, done) = match new {
            true => ("created", cx.ask_of(&about, cx.admin.create_user(&user, &brokers)).await?),
            false => ("changed", cx.ask_of(&about, cx.admin.update_user(&user, &brokers)).await?),
        };
        let done = cx.partial(done);
        let (text, record) = done_on(verb, &about, "user", &self.user, &done);
        Ok(cx.out.done(&text, &record)?)
    }
}

/// The first line of a file, which nobody is shown.
pub(crate) fn secret(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    match text.lines().next().map(str::trim).filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(Failure::usage(format!("{}: its first line is empty", file.display()))),
    }
}
