//! Brokers.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use rocketmq_core::ids::BrokerName;
use rocketmq_smol::Brokers;

use super::done_on;
use crate::args::BrokersArg;
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Table, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Broker {
    /// The figures of brokers
    #[command(after_help = "Examples:\n  rmq broker status -b broker-a\n  rmq broker status --like tps -o json")]
    Status(Look),
    /// The settings of brokers
    #[command(after_help = "Example:\n  rmq broker config -b broker-a --like delaylevel")]
    Config(Look),
    /// Change one setting of brokers while they run
    #[command(after_help = "Example:\n  rmq broker update-config fileReservedTime 48 -c DefaultCluster")]
    UpdateConfig(UpdateConfig),
}

#[derive(Debug, Args)]
pub(crate) struct Look {
    #[command(flatten)]
    brokers: BrokersArg,
    /// Only names with this text in them, in letters of either case
    #[arg(long, value_name = "TEXT")]
    like: Option<String>,
}

#[derive(Debug, Args)]
#[group(id = "where", required = true, multiple = false, args = ["cluster", "broker", "all"])]
pub(crate) struct UpdateConfig {
    /// The name of the setting
    #[arg(value_name = "KEY")]
    key: String,
    /// Its new value
    #[arg(value_name = "VALUE")]
    value: String,
    #[command(flatten)]
    brokers: BrokersArg,
    /// All brokers of all clusters
    #[arg(long)]
    all: bool,
}

type Values = Vec<(BrokerName, BTreeMap<String, String>)>;

impl Broker {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::Status(look) => {
                let brokers = look.brokers.resolve(cx, Brokers::All).await?;
                let found = cx.ask(cx.admin.broker_stats(&brokers)).await?;
                let found = cx.partial(found);
                look.show(cx, found)
            }
            Self::Config(look) => {
                let brokers = look.brokers.resolve(cx, Brokers::All).await?;
                let found = cx.ask(cx.admin.broker_config(&brokers)).await?;
                let found = cx.partial(found);
                look.show(cx, found)
            }
            Self::UpdateConfig(update) => update.run(cx).await,
        }
    }
}

impl Look {
    /// In JSON an object of objects, by the names of the brokers.
    fn show(&self, cx: &mut Cx<'_>, mut found: Values) -> Result<(), Failure> {
        if let Some(like) = self.like.as_deref().map(str::to_lowercase) {
            found.iter_mut().for_each(|(_, values)| values.retain(|key, _| key.to_lowercase().contains(&like)));
        }
        if cx.out.is_json() {
            let by_name: BTreeMap<_, _> = found.iter().map(|(broker, values)| (broker.as_str(), values)).collect();
            return Ok(cx.out.json(&by_name)?);
        }
        let mut table = Table::new(["broker", "name", "value"]);
        for (broker, values) in found {
            values.into_iter().for_each(|(key, value)| table.push(row![&broker, key, value.trim()]));
        }
        Ok(cx.out.table(&table)?)
    }
}

impl UpdateConfig {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let brokers = self.brokers.resolve(cx, Brokers::All).await?;
        let (key, value) = (self.key, self.value);
        if [&key, &value].iter().any(|text| text.contains(char::is_control)) || key.contains('=') {
            return Err(Failure::usage("a setting is one line, and its name has no '=' in it"));
        }
        let done = cx.ask_of(format_args!("setting {key}"), cx.admin.set_broker_config(&key, &value, &brokers)).await?;
        let done = cx.partial(done);
        let (text, record) = done_on("set", &format!("{key}={value}"), "key", &key, &done);
        Ok(cx.out.done(&text, &record.with("value", &value))?)
    }
}
