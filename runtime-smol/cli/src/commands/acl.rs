//! What users may do, from 5.3 on.

use clap::{Args, Subcommand};
use rocketmq_core::ids::BrokerName;
use rocketmq_core::wire::body;
use rocketmq_smol::Brokers;

use super::done_on;
use crate::args::{BrokersArg, CopyArg};
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Table, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Acl {
    /// What all users may do
    #[command(after_help = "Examples:\n  rmq acl list\n  rmq acl list --subject billing --resource orders")]
    List(List),
    /// What one user may do
    #[command(after_help = "Example:\n  rmq acl get billing")]
    Get(Of),
    /// Say what a user may do, of whom nothing was said yet
    #[command(after_help = "Example:\n  rmq acl create billing --resource Topic:orders,Group:billing --actions Sub")]
    Create(Set),
    /// Say what a user may do with some resources, and leave the others as they are
    #[command(after_help = "Example:\n  rmq acl update billing --resource Topic:invoices --actions Pub,Sub")]
    Update(Set),
    /// Forget what a user may do, with one resource or all of it
    #[command(after_help = "Example:\n  rmq acl delete billing --resource Topic:orders")]
    Delete(Delete),
    /// Let users do at one broker what they may do at another; of what is said there already nothing is taken back
    #[command(
        after_help = "Examples:\n  rmq acl copy billing,audit --from broker-a --to broker-b\n  rmq acl copy --from broker-a --to broker-b"
    )]
    Copy(CopyArg),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only users with this text in their names
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Only resources with this text in them
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The user
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    of: Of,
    /// With what, as Topic:orders, Topic:order*, Group:*, Cluster:main
    #[arg(long, value_name = "RESOURCES", value_delimiter = ',', required = true)]
    resource: Vec<String>,
    /// What: All, Pub, Sub, Create, Update, Delete, Get, List
    #[arg(long, value_name = "ACTIONS", value_delimiter = ',', required = true)]
    actions: Vec<String>,
    /// Whether that is allowed
    #[arg(long, value_name = "DECISION", value_parser = ["Allow", "Deny"], default_value = "Allow")]
    decision: String,
    /// Only from these addresses
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    from: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    of: Of,
    /// Only with this resource
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
}

impl Of {
    /// As brokers name it.
    fn subject(&self) -> String {
        subject(&self.user)
    }
}

fn subject(user: &str) -> String {
    if user.contains(':') { user.to_owned() } else { format!("User:{user}") }
}

impl Acl {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::List(List { subject, resource, brokers }) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let found = cx.ask(cx.admin.acls(subject.as_deref(), resource.as_deref(), &brokers)).await?;
                let found = cx.partial(found);
                let rows = found.iter().flat_map(|(broker, acls)| acls.iter().map(move |acl| (broker, acl)));
                Ok(cx.out.table(&table(rows))?)
            }
            Self::Get(of) => {
                let (subject, brokers) = (of.subject(), of.brokers.resolve(cx, Brokers::All).await?);
                let found = cx.ask_of(&subject, cx.admin.acl(&subject, &brokers)).await?;
                let found = cx.partial(found);
                Ok(cx.out.table(&table(found.iter().filter_map(|(broker, acl)| Some((broker, acl.as_ref()?)))))?)
            }
            Self::Create(set) => set.run(cx, true).await,
            Self::Update(set) => set.run(cx, false).await,
            Self::Delete(Delete { of, resource }) => {
                let (subject, brokers) = (of.subject(), of.brokers.resolve(cx, Brokers::All).await?);
                let deleted = cx.admin.delete_acl(&subject, resource.as_deref(), &brokers);
                let done = cx.ask_of(&subject, deleted).await?;
                let done = cx.partial(done);
                let what = resource.unwrap_or_else(|| "all".to_owned());
                let (text, record) = done_on("forgot", &format!("{what} of {subject}"), "subject", &subject, &done);
                Ok(cx.out.done(&text, &record)?)
            }
            Self::Copy(between) => copy(between, cx).await,
        }
    }
}

async fn copy(between: CopyArg, cx: &mut Cx<'_>) -> Result<(), Failure> {
    let (from, to) = between.resolve(cx).await?;
    let found = if between.users.is_empty() {
        let found = cx.ask(cx.admin.acls(None, None, &from)).await?;
        cx.partial(found).into_iter().flat_map(|(_, acls)| acls).collect()
    } else {
        let mut found = Vec::new();
        for subject in between.users.iter().map(|user| subject(user)) {
            let known = cx.ask_of(&subject, cx.admin.acl(&subject, &from)).await?;
            let known = cx.partial(known).into_iter().find_map(|(_, known)| known);
            let none = || Failure::refused(format!("nothing is said of {subject}; nothing is copied"));
            found.push(known.ok_or_else(none)?);
        }
        found
    };
    let mut table = Table::new(["subject", "from", "to", "was"]);
    for acl in found {
        let there = cx.ask_of(&acl.subject, cx.admin.acl(&acl.subject, &to)).await?;
        let new = cx.partial(there).iter().all(|(_, known)| known.is_none());
        let done = match new {
            true => cx.ask_of(&acl.subject, cx.admin.create_acl(&acl, &to)).await?,
            false => cx.ask_of(&acl.subject, cx.admin.update_acl(&acl, &to)).await?,
        };
        cx.partial(done);
        let was = if new { "created" } else { "changed" };
        table.push(row![&acl.subject, &between.from, &between.to, was]);
    }
    Ok(cx.out.table(&table)?)
}

impl Set {
    async fn run(self, cx: &mut Cx<'_>, new: bool) -> Result<(), Failure> {
        let (subject, brokers) = (self.of.subject(), self.of.brokers.resolve(cx, Brokers::All).await?);
        let entry = |resource: &String| body::AclEntry {
            actions: self.actions.clone(),
            decision: self.decision.clone(),
            resource: resource.clone(),
            source_ips: self.from.clone(),
        };
        let entries = self.resource.iter().map(entry).collect();
        let policies = vec![body::AclPolicy { entries, kind: "Custom".to_owned() }];
        let acl = body::Acl { policies, subject: subject.clone() };
        let (verb, done) = match new {
            true => ("created", cx.ask_of(&subject, cx.admin.create_acl(&acl, &brokers)).await?),
            false => ("changed", cx.ask_of(&subject, cx.admin.update_acl(&acl, &brokers)).await?),
        };
        let done = cx.partial(done);
        let what = format!("what {subject} may do");
        let (text, record) = done_on(verb, &what, "subject", &subject, &done);
        Ok(cx.out.done(&text, &record)?)
    }
}

/// One line for each resource.
fn table<'a>(rows: impl Iterator<Item = (&'a BrokerName, &'a body::Acl)>) -> Table {
    let mut table = Table::new(["broker", "subject", "policy", "resource", "actions", "decision", "sourceIps"]);
    for (broker, acl) in rows {
        for (policy, entry) in acl.policies.iter().flat_map(|of| of.entries.iter().map(move |entry| (of, entry))) {
            table.push(row![
                broker,
                &acl.subject,
                &policy.kind,
                &entry.resource,
                entry.actions.join(","),
                &entry.decision,
                entry.source_ips.join(","),
            ]);
        }
    }
    table
}
