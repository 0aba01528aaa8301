//! Name servers.

use clap::{Args, Subcommand};
use rocketmq_smol::Partial;

use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Record, Table, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Namesrv {
    /// Have every name server tell that a broker takes no messages any more, before it is stopped
    #[command(after_help = "Example:\n  rmq namesrv wipe-perm broker-a")]
    WipePerm(BrokerArg),
    /// Take wipe-perm back
    #[command(after_help = "Example:\n  rmq namesrv add-perm broker-a")]
    AddPerm(BrokerArg),
    /// The settings of name servers
    #[command(after_help = "Example:\n  rmq namesrv config --like order")]
    Config(Config),
    /// Change one setting of every name server while it runs
    #[command(after_help = "Example:\n  rmq namesrv update-config orderMessageEnable true")]
    UpdateConfig(UpdateConfig),
    /// What name servers keep: one value, or all of a namespace
    #[command(
        after_help = "Examples:\n  rmq namesrv kv ORDER_TOPIC_CONFIG\n  rmq namesrv kv ORDER_TOPIC_CONFIG orders"
    )]
    Kv(Kv),
    /// Have every name server keep a value
    #[command(after_help = "Example:\n  rmq namesrv set-kv MINE colour blue")]
    SetKv(SetKv),
    /// Have every name server forget a value
    #[command(after_help = "Example:\n  rmq namesrv delete-kv MINE colour")]
    DeleteKv(Key),
}

#[derive(Debug, Args)]
pub(crate) struct BrokerArg {
    /// The name of the broker
    #[arg(value_name = "BROKER")]
    broker: String,
}

#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Only names with this text in them, in letters of either case
    #[arg(long, value_name = "TEXT")]
    like: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateConfig {
    /// The name of the setting
    #[arg(value_name = "KEY")]
    key: String,
    /// Its new value
    #[arg(value_name = "VALUE")]
    value: String,
}

#[derive(Debug, Args)]
pub(crate) struct Kv {
    /// The kind of values
    #[arg(value_name = "NAMESPACE")]
    namespace: String,
    /// Only this value
    #[arg(value_name = "KEY")]
    key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Key {
    /// The kind of values
    #[arg(value_name = "NAMESPACE")]
    namespace: String,
    /// Its name
    #[arg(value_name = "KEY")]
    key: String,
}

#[derive(Debug, Args)]
pub(crate) struct SetKv {
    #[command(flatten)]
    key: Key,
    /// The value
    #[arg(value_name = "VALUE")]
    value: String,
}

impl Namesrv {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::WipePerm(arg) => arg.run(cx, false).await,
            Self::AddPerm(arg) => arg.run(cx, true).await,
            Self::Config(config) => config.run(cx).await,
            Self::UpdateConfig(UpdateConfig { key, value }) => {
                let set = cx.admin.set_name_server_config(&key, &value);
                let done = cx.ask_of(format_args!("setting {key}"), set).await?;
                let record = Record::default().with("key", &key).with("value", &value);
                said(cx, done, &format!("set {key}={value}"), record)
            }
            Self::Kv(kv) => kv.run(cx).await,
            Self::SetKv(SetKv { key: Key { namespace, key }, value }) => {
                let done = cx.ask(cx.admin.set_kv(&namespace, &key, &value)).await?;
                let record = Record::default().with("namespace", &namespace).with("key", &key).with("value", &value);
                said(cx, done, &format!("{namespace} {key} is {value}"), record)
            }
            Self::DeleteKv(Key { namespace, key }) => {
                let done = cx.ask(cx.admin.delete_kv(&namespace, &key)).await?;
                let record = Record::default().with("namespace", &namespace).with("key", &key);
                said(cx, done, &format!("forgot {namespace} {key}"), record)
            }
        }
    }
}

impl BrokerArg {
    async fn run(self, cx: &mut Cx<'_>, add: bool) -> Result<(), Failure> {
        let broker = self.broker;
        // Name servers have nothing against brokers that do not exist.
        let info = cx.ask(cx.admin.cluster()).await?;
        if !info.broker_addr_table.keys().any(|known| known.as_str() == broker) {
            return Err(Failure::refused(format!("no broker {broker}; 'rmq cluster list' shows those there are")));
        }
        let done = match add {
            true => cx.ask(cx.admin.add_write_perm(broker.as_str())).await?,
            false => cx.ask(cx.admin.wipe_write_perm(broker.as_str())).await?,
        };
        cx.partial(done);
        let text = format!("{broker} takes messages{}", if add { " again" } else { " no more" });
        Ok(cx.out.done(&text, &Record::default().with("broker", &broker).with("writable", add))?)
    }
}

impl Config {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let found = cx.ask(cx.admin.name_server_config()).await?;
        let found = cx.partial(found);
        let like = self.like.unwrap_or_default().to_lowercase();
        let mut table = Table::new(["nameServer", "name", "value"]);
        for (server, values) in found {
            let wanted = values.into_iter().filter(|(key, _)| key.to_lowercase().contains(&like));
            wanted.for_each(|(key, value)| table.push(row![&server, key, value.trim()]));
        }
        Ok(cx.out.table(&table)?)
    }
}

impl Kv {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let mut table = Table::new(["key", "value"]);
        match self.key {
            Some(key) => {
                let value = cx.ask(cx.admin.kv(&self.namespace, &key)).await?;
                let none = || Failure::refused(format!("{} has no {key}; without it all are shown", self.namespace));
                table.push(row![&key, value.ok_or_else(none)?]);
            }
            None => {
                let all = cx.ask(cx.admin.kv_list(&self.namespace)).await?;
                all.into_iter().for_each(|(key, value)| table.push(row![key, value]));
            }
        }
        Ok(cx.out.table(&table)?)
    }
}

/// What name servers did, and which.
pub(super) fn said(cx: &mut Cx<'_>, done: Partial<Vec<String>>, text: &str, record: Record) -> Result<(), Failure> {
    let servers = cx.partial(done);
    let text = format!("{text} on {}", servers.join(", "));
    Ok(cx.out.done(&text, &record.with("nameServers", servers))?)
}
