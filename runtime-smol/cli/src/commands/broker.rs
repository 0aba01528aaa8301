//! Brokers.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use rocketmq_core::ids::BrokerName;
use rocketmq_smol::{Brokers, Partial};

use super::done_on;
use crate::args::{BrokersArg, GroupArg};
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Cell, Table, row};

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
    /// The producers that brokers know
    #[command(after_help = "Example:\n  rmq broker producers -b broker-a")]
    Producers(BrokersArg),
    /// How far all groups of brokers are
    #[command(after_help = "Example:\n  rmq broker groups --behind 1000")]
    Groups(Groups),
    /// A figure that brokers keep over time, of a topic or group
    #[command(after_help = "Example:\n  rmq broker figure TOPIC_PUT_NUMS orders")]
    Figure(Figure),
    /// How far the slaves of brokers are, from 5.0 on
    #[command(after_help = "Example:\n  rmq broker slaves")]
    Slaves(BrokersArg),
    /// Delete files of queues whose messages are gone
    #[command(after_help = "Example:\n  rmq broker clean-queues -b broker-a")]
    CleanQueues(BrokersArg),
    /// Delete the queues of topics that are gone
    #[command(after_help = "Example:\n  rmq broker clean-topics -c DefaultCluster")]
    CleanTopics(BrokersArg),
    /// Delete files of logs that are old enough, with the messages in them, whatever the hour is
    #[command(after_help = "Example:\n  rmq broker clean-logs -b broker-a")]
    CleanLogs(BrokersArg),
    /// What groups have read of old messages, as JSON, from 5.1 on
    #[command(after_help = "Example:\n  rmq broker cold-reads -b broker-a")]
    ColdReads(BrokersArg),
    /// Bound what a group reads of old messages, from 5.1 on
    #[command(after_help = "Example:\n  rmq broker bound-cold-reads audit 1048576 -b broker-a")]
    BoundColdReads(BoundColdReads),
    /// Take bound-cold-reads back
    #[command(after_help = "Example:\n  rmq broker free-cold-reads audit -b broker-a")]
    FreeColdReads(OfGroup),
    /// Set how brokers read the files of their logs, from 5.1 on
    #[command(after_help = "Example:\n  rmq broker log-reads random -b broker-a")]
    LogReads(LogReads),
}

#[derive(Debug, Args)]
pub(crate) struct LogReads {
    /// Ahead of what is asked for, or no more than that
    #[arg(value_enum, value_name = "HOW")]
    how: How,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum How {
    // As `mqadmin` names them.
    #[value(alias = "0")]
    Ahead,
    #[value(alias = "1")]
    Random,
}

#[derive(Debug, Args)]
pub(crate) struct Groups {
    /// Only topics that are ordered
    #[arg(long)]
    ordered: bool,
    /// Only groups that are so many messages behind in a topic
    #[arg(long, value_name = "MESSAGES", default_value_t = 0)]
    behind: i64,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Figure {
    /// Which figure, as TOPIC_PUT_NUMS, TOPIC_PUT_SIZE, GROUP_GET_NUMS
    #[arg(value_name = "FIGURE")]
    name: String,
    /// Of what: a topic, or TOPIC@GROUP
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct OfGroup {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct BoundColdReads {
    #[command(flatten)]
    group: GroupArg,
    /// Bytes in an interval of the broker's
    #[arg(value_name = "BYTES")]
    bytes: u64,
    #[command(flatten)]
    brokers: BrokersArg,
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
            Self::Producers(brokers) => producers(cx, &brokers).await,
            Self::Groups(groups) => groups.run(cx).await,
            Self::Figure(figure) => figure.run(cx).await,
            Self::Slaves(brokers) => slaves(cx, &brokers).await,
            Self::CleanQueues(brokers) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let done = cx.ask(cx.admin.clean_queues(&brokers)).await?;
                worked(cx, "deleted", "files of queues", done)
            }
            Self::CleanTopics(brokers) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let done = cx.ask(cx.admin.clean_topics(&brokers)).await?;
                worked(cx, "deleted", "queues of topics that are gone", done)
            }
            Self::CleanLogs(brokers) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let done = cx.ask(cx.admin.clean_logs(&brokers)).await?;
                worked(cx, "deleted", "old files of logs", done)
            }
            Self::ColdReads(brokers) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let found = cx.ask(cx.admin.cold_reads(&brokers)).await?;
                let mut table = Table::new(["broker", "reads"]);
                cx.partial(found).iter().for_each(|(broker, reads)| table.push(row![broker, reads]));
                Ok(cx.out.table(&table)?)
            }
            Self::BoundColdReads(BoundColdReads { group, bytes, brokers }) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let done = cx.ask(cx.admin.set_cold_read(group.name(), bytes, &brokers)).await?;
                worked(cx, "bound", &format!("cold reads of group {} to {bytes} bytes", group.name()), done)
            }
            Self::FreeColdReads(OfGroup { group, brokers }) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let done = cx.ask(cx.admin.remove_cold_read(group.name(), &brokers)).await?;
                worked(cx, "freed", &format!("cold reads of group {}", group.name()), done)
            }
            Self::LogReads(LogReads { how, brokers }) => {
                let brokers = brokers.resolve(cx, Brokers::All).await?;
                let told = cx.ask(cx.admin.set_log_reads(how == How::Random, &brokers)).await?;
                let mut table = Table::new(["broker", "told"]);
                cx.partial(told).iter().for_each(|(broker, words)| table.push(row![broker, words]));
                Ok(cx.out.table(&table)?)
            }
        }
    }
}

/// Something that brokers did.
fn worked(cx: &mut Cx<'_>, verb: &str, what: &str, done: Partial<Vec<BrokerName>>) -> Result<(), Failure> {
    let done = cx.partial(done);
    let (text, record) = done_on(verb, what, "done", what, &done);
    Ok(cx.out.done(&text, &record)?)
}

async fn producers(cx: &mut Cx<'_>, brokers: &BrokersArg) -> Result<(), Failure> {
    let brokers = brokers.resolve(cx, Brokers::All).await?;
    let found = cx.ask(cx.admin.all_producers(&brokers)).await?;
    let mut table = Table::new(["broker", "group", "clientId", "address", "language", "version", "lastSeen"]);
    for (broker, known) in cx.partial(found) {
        for (group, info) in known.data.iter().flat_map(|(group, all)| all.iter().map(move |info| (group, info))) {
            let seen = Cell::time(info.last_update_timestamp);
            table.push(row![&broker, group, &info.client_id, &info.remote_ip, &info.language, info.version, seen]);
        }
    }
    Ok(cx.out.table(&table)?)
}

async fn slaves(cx: &mut Cx<'_>, brokers: &BrokersArg) -> Result<(), Failure> {
    let brokers = brokers.resolve(cx, Brokers::All).await?;
    let found = cx.ask(cx.admin.ha_status(&brokers)).await?;
    let mut table = Table::new(["broker", "slave", "behind", "inSync", "acknowledged", "end"]);
    for (broker, status) in cx.partial(found) {
        let end = status.master_commit_log_max_offset;
        if status.ha_connection_info.is_empty() {
            table.push(row![&broker, Cell::Nothing, Cell::Nothing, Cell::Nothing, Cell::Nothing, end]);
        }
        for slave in &status.ha_connection_info {
            table.push(row![&broker, &slave.addr, slave.diff, slave.in_sync, slave.slave_ack_offset, end]);
        }
    }
    Ok(cx.out.table(&table)?)
}

impl Groups {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let brokers = self.brokers.resolve(cx, Brokers::All).await?;
        let found = cx.ask(cx.admin.all_consume_stats(self.ordered, &brokers)).await?;
        let mut table = Table::new(["broker", "group", "topic", "queues", "backlog", "tps"]);
        for (broker, all) in cx.partial(found) {
            let groups = all.consume_stats_list.iter().flatten();
            for (group, stats) in groups.flat_map(|(group, topics)| topics.iter().map(move |stats| (group, stats))) {
                let Some(topic) = stats.offset_table.0.keys().next().map(|queue| &queue.topic) else { continue };
                let backlog = stats.offset_table.0.values().map(|row| row.backlog()).fold(0, i64::saturating_add);
                if backlog >= self.behind {
                    let queues = stats.offset_table.0.len();
                    table.push(row![&broker, group, topic, queues, backlog, stats.consume_tps]);
                }
            }
        }
        Ok(cx.out.table(&table)?)
    }
}

impl Figure {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let brokers = self.brokers.resolve(cx, Brokers::All).await?;
        let found = cx.ask(cx.admin.broker_figure(&self.name, &self.key, &brokers)).await?;
        let mut table = Table::new(["broker", "of", "sum", "tps", "mean"]);
        for (broker, figure) in cx.partial(found) {
            let spans = [("minute", figure.stats_minute), ("hour", figure.stats_hour), ("day", figure.stats_day)];
            spans.iter().for_each(|(of, one)| table.push(row![&broker, *of, one.sum, one.tps, one.avgpt]));
        }
        Ok(cx.out.table(&table)?)
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
