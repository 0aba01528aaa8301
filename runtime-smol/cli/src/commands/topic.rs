//! Topics.

use std::collections::BTreeSet;

use clap::{ArgAction, Args, Subcommand};
use rocketmq_core::client::RouteError;
use rocketmq_core::namespace::SYSTEM_TOPICS;
use rocketmq_core::wire::body::{Perm, TopicConfig};
use rocketmq_core::{ids, wire::body::TopicRoute};
use rocketmq_smol::{AdminError, Brokers};

use super::namesrv::said;
use super::{RETRY_PREFIX, done_on};
use crate::args::{BrokersArg, QueueArg, TopicArg, pair, perm};
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Cell, Record, Table, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// All topics that the name server knows
    #[command(after_help = "Examples:\n  rmq topic list --user\n  rmq topic list -c DefaultCluster -o json")]
    List(List),
    /// Create a topic
    #[command(
        after_help = "Examples:\n  rmq topic create orders\n  rmq topic create orders -r 16 -w 16 --type FIFO -c DefaultCluster"
    )]
    Create(Create),
    /// Change settings of a topic; those that are not named stay as they are
    #[command(after_help = "Examples:\n  rmq topic update orders -r 16 -w 16\n  rmq topic update orders -p r")]
    Update(Update),
    /// Delete a topic and its messages
    #[command(after_help = "Example:\n  rmq topic delete orders -c DefaultCluster")]
    Delete(Delete),
    /// The brokers of a topic, their addresses and queues
    #[command(after_help = "Example:\n  rmq topic route orders -o json")]
    Route(TopicArg),
    /// Start, end and last time of each queue
    #[command(after_help = "Example:\n  rmq topic status orders")]
    Status(Status),
    /// The clusters that have a topic
    #[command(after_help = "Example:\n  rmq topic clusters orders")]
    Clusters(TopicArg),
    /// The settings of a topic on each of its brokers, from 5.0 on
    #[command(after_help = "Example:\n  rmq topic config orders")]
    Config(TopicArg),
    /// The groups that consume a topic, or did
    #[command(after_help = "Example:\n  rmq topic groups orders")]
    Groups(TopicArg),
    /// The queues of an ordered topic on each broker, as producers are told of them
    #[command(
        after_help = "Examples:\n  rmq topic order orders\n  rmq topic order orders --do put --queues 'broker-a:4;broker-b:4'\n  rmq topic order orders --do delete"
    )]
    Order(Order),
    /// Where the messages of a queue are in the log, and for a group whether it wants them
    #[command(after_help = "Example:\n  rmq topic entries orders --queue broker-a#0 --from 100 --count 10")]
    Entries(Entries),
}

#[derive(Debug, Args)]
pub(crate) struct Order {
    #[command(flatten)]
    topic: TopicArg,
    /// What to do
    #[arg(long = "do", value_name = "WHAT", value_parser = ["get", "put", "delete"], default_value = "get")]
    what: String,
    /// The queues to put, as broker-a:4;broker-b:4
    #[arg(long, value_name = "QUEUES", required_if_eq("what", "put"))]
    queues: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Entries {
    #[command(flatten)]
    topic: TopicArg,
    #[command(flatten)]
    queue: QueueArg,
    /// From this offset on
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// So many at most
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    count: u32,
    /// Tell what this group wants, too
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

impl Order {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let record = Record::default().with("topic", &topic);
        match (self.what.as_str(), self.queues) {
            ("delete", _) => {
                let done = cx.ask(cx.admin.delete_order_config(topic.clone())).await?;
                said(cx, done, &format!("forgot the order of topic {topic}"), record)
            }
            ("put", Some(text)) => {
                let row = |row: &str| {
                    let (broker, queues) = row.split_once(':')?;
                    Some((ids::BrokerName::from(broker), queues.parse::<u32>().ok()?))
                };
                let queues = text.split(';').filter(|row| !row.is_empty()).map(row).collect::<Option<_>>();
                let queues = queues.ok_or_else(|| Failure::usage("queues are BROKER:COUNT;BROKER:COUNT"))?;
                let done = cx.ask(cx.admin.set_order_config(topic.clone(), &queues)).await?;
                said(cx, done, &format!("set the order of topic {topic} to {text}"), record.with("queues", &text))
            }
            _ => {
                let found = cx.ask(cx.admin.order_config(topic.clone())).await?;
                let none = || Failure::refused(format!("topic {topic} has no order; --do put sets it"));
                let mut table = Table::new(["broker", "queues"]);
                found
                    .ok_or_else(none)?
                    .iter()
                    .for_each(|(broker, queues)| table.push(row![broker, u64::from(*queues)]));
                Ok(cx.out.table(&table)?)
            }
        }
    }
}

impl Entries {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let queue = self.queue.queue(cx, &topic).await?;
        let queue = queue.ok_or_else(|| Failure::usage("name the queue: --queue BROKER#ID"))?;
        let from = ids::QueueOffset::new(self.from);
        let found = cx.admin.queue_entries(&queue, from, self.count, self.group.map(ids::Group::from));
        let found = cx.ask_of(format_args!("topic {topic}"), found).await?;
        let mut table = Table::new(["offset", "physicalOffset", "size", "tagsCode"]);
        for (offset, entry) in (self.from..).zip(&found.queue_data) {
            table.push(row![offset, entry.physic_offset, entry.physic_size, entry.tags_code]);
        }
        let record = Record::default().with("min", found.min_queue_index).with("max", found.max_queue_index);
        let wants = found.subscription_data.map(|data| data.sub_string);
        Ok(cx.out.record(&record.with("wants", wants).with("filter", found.filter_data).table("entries", table))?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only topics of this cluster
    #[arg(short, long, value_name = "CLUSTER")]
    cluster: Option<String>,
    /// Without those of brokers and groups
    #[arg(short, long)]
    user: bool,
}

#[derive(Debug, Args)]
struct Settings {
    /// Queues to read on each broker [default: 8]
    #[arg(short, long = "read-queues", alias = "readQueueNums", value_name = "QUEUES", value_parser = clap::value_parser!(i32).range(1..=MAX_QUEUES))]
    read_queues: Option<i32>,
    /// Queues to write on each broker [default: 8]
    #[arg(short, long = "write-queues", alias = "writeQueueNums", value_name = "QUEUES", value_parser = clap::value_parser!(i32).range(1..=MAX_QUEUES))]
    write_queues: Option<i32>,
    /// What may be done: rw (6), r (4), w (2) [default: rw]
    #[arg(short, long, value_parser = perm)]
    perm: Option<i32>,
    /// Whether messages are in order all over the topic
    #[arg(long, value_name = "YES", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    order: Option<bool>,
    /// The type of its messages, for brokers from 5.0 on: NORMAL, FIFO, DELAY, TRANSACTION, MIXED
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// An attribute, for brokers from 5.0 on
    #[arg(long = "attribute", alias = "attributes", value_name = "KEY=VALUE", value_parser = attribute, value_delimiter = ',')]
    attributes: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    topic: TopicArg,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    topic: TopicArg,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    brokers: BrokersArg,
    /// Create it when it does not exist
    #[arg(long)]
    or_create: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    topic: TopicArg,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    topic: TopicArg,
    /// Also ask when the oldest message of each queue was stored
    #[arg(long)]
    earliest: bool,
}

impl Topic {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(cx).await,
            Self::Create(create) => create.run(cx).await,
            Self::Update(update) => update.run(cx).await,
            Self::Delete(delete) => delete.run(cx).await,
            Self::Route(topic) => route(cx, topic.name()).await,
            Self::Status(status) => status.run(cx).await,
            Self::Clusters(topic) => clusters(cx, topic.name()).await,
            Self::Config(topic) => config(cx, topic.name()).await,
            Self::Groups(topic) => groups(cx, topic.name()).await,
            Self::Order(order) => order.run(cx).await,
            Self::Entries(entries) => entries.run(cx).await,
        }
    }
}

impl List {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topics = match &self.cluster {
            Some(cluster) => cx.ask(cx.admin.topics_of(cluster.as_str())).await?,
            None => cx.ask(cx.admin.topics()).await?,
        };
        let kinds = Kinds::of(cx).await?;
        let mut table = Table::new(["topic", "kind"]);
        for topic in topics {
            let kind = kinds.kind(topic.as_str());
            if !self.user || kind == USER {
                table.push(row![&topic, kind]);
            }
        }
        Ok(cx.out.table(&table)?)
    }
}

impl Settings {
    /// What is named is set.
    fn apply(&self, config: &mut TopicConfig) {
        config.read_queue_nums = self.read_queues.unwrap_or(config.read_queue_nums);
        config.write_queue_nums = self.write_queues.unwrap_or(config.write_queue_nums);
        config.perm = self.perm.map_or(config.perm, Perm);
        config.order = self.order.unwrap_or(config.order);
        if let Some(kind) = &self.kind {
            config.attributes.insert(String::from("message.type"), kind.to_uppercase());
        }
        config.attributes.extend(self.attributes.iter().cloned());
    }
}

impl Create {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let brokers = self.brokers.resolve(cx, Brokers::All).await?;
        if let Some(route) = known_route(cx, &topic).await? {
            let exists = match &brokers {
                Brokers::Named(broker) => route.broker_datas.iter().any(|known| known.broker_name == *broker),
                Brokers::Cluster(cluster) => route.broker_datas.iter().any(|known| known.cluster == *cluster),
                Brokers::All | Brokers::OfTopic(_) => true,
            };
            if exists {
                return Err(Failure::refused(format!("topic {topic} exists; 'rmq topic update' changes it")));
            }
        }
        let mut config = TopicConfig::new(topic.clone(), DEFAULT_QUEUES);
        self.settings.apply(&mut config);
        set(cx, "created", &config, &brokers).await
    }
}

impl Update {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let mut config = TopicConfig::new(topic.clone(), DEFAULT_QUEUES);
        let known = known_route(cx, &topic).await?;
        match &known {
            None if !self.or_create => {
                return Err(Failure::refused(format!("topic {topic} does not exist; 'rmq topic create' creates it")));
            }
            None => {}
            Some(route) => as_it_is(cx, route, &mut config).await?,
        }
        let (verb, otherwise) =
            if known.is_some() { ("changed", Brokers::OfTopic(topic)) } else { ("created", Brokers::All) };
        let brokers = self.brokers.resolve(cx, otherwise).await?;
        self.settings.apply(&mut config);
        set(cx, verb, &config, &brokers).await
    }
}

/// The settings that a topic has: all of them from brokers of 5.x, from older ones what the route says.
async fn as_it_is(cx: &mut Cx<'_>, route: &TopicRoute, config: &mut TopicConfig) -> Result<(), Failure> {
    if let Ok(known) = cx.attempt(cx.admin.topic_config(config.topic_name.clone())).await?
        && let Some((_, known)) = cx.partial(known).into_iter().next()
    {
        *config = known;
        return Ok(());
    }
    if let Some(queues) = route.queue_datas.first() {
        config.read_queue_nums = queues.read_queue_nums;
        config.write_queue_nums = queues.write_queue_nums;
        config.perm = queues.perm;
        config.topic_sys_flag = queues.topic_sys_flag;
    }
    Ok(())
}

async fn set(cx: &mut Cx<'_>, verb: &str, config: &TopicConfig, brokers: &Brokers) -> Result<(), Failure> {
    let topic = &config.topic_name;
    let done = cx.ask_of(format_args!("topic {topic}"), cx.admin.set_topic(config, brokers)).await?;
    let done = cx.partial(done);
    let (text, record) = done_on(verb, &format!("topic {topic}"), "topic", topic.as_str(), &done);
    let record = record
        .with("readQueues", config.read_queue_nums)
        .with("writeQueues", config.write_queue_nums)
        .with("perm", config.perm.0)
        .with("order", config.order)
        .with("attributes", config.attributes.clone());
    let (read, write) = (config.read_queue_nums, config.write_queue_nums);
    let text = format!("{text}: {read} queues to read, {write} to write, {}", perm_name(config.perm));
    Ok(cx.out.done(&text, &record)?)
}

impl Delete {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let brokers = self.brokers.resolve(cx, Brokers::OfTopic(topic.clone())).await?;
        let about = format!("topic {topic}");
        if known_route(cx, &topic).await?.is_none() {
            return Err(Failure::from(AdminError::Route(RouteError::NoTopic)).about(about));
        }
        let done = cx.ask_of(&about, cx.admin.delete_topic(topic.clone(), &brokers)).await?;
        let done = cx.partial(done);
        let (text, record) = done_on("deleted", &about, "topic", topic.as_str(), &done);
        Ok(cx.out.done(&text, &record)?)
    }
}

impl Status {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let topic = self.topic.name();
        let stats = cx.ask_of(format_args!("topic {topic}"), cx.admin.topic_stats(topic.clone())).await?;
        let stats = cx.partial(stats);
        let mut table = match self.earliest {
            true => Table::new(["broker", "queueId", "minOffset", "maxOffset", "lastUpdated", "earliest"]),
            false => Table::new(["broker", "queueId", "minOffset", "maxOffset", "lastUpdated"]),
        };
        for (queue, row) in &stats.offset_table.0 {
            let updated = Cell::time(row.last_update_timestamp);
            let mut cells = row![&queue.broker, queue.id, row.min_offset, row.max_offset, updated];
            if self.earliest {
                cells.push(cx.ask(cx.admin.earliest_store_time(queue)).await?.into());
            }
            table.push(cells);
        }
        Ok(cx.out.table(&table)?)
    }
}

async fn route(cx: &mut Cx<'_>, topic: ids::Topic) -> Result<(), Failure> {
    let route = cx.ask_of(format_args!("topic {topic}"), cx.admin.topic_route(topic.clone())).await?;
    let mut table = Table::new(["broker", "cluster", "perm", "readQueues", "writeQueues", "addresses"]);
    for queues in &route.queue_datas {
        let broker = route.broker_datas.iter().find(|broker| broker.broker_name == queues.broker_name);
        let addresses = broker.map(|broker| broker.broker_addrs.iter());
        let addresses = addresses.map(|all| all.map(|(id, address)| (id.to_string(), address.to_string())).collect());
        table.push(row![
            &queues.broker_name,
            broker.map(|broker| &broker.cluster),
            perm_name(queues.perm),
            queues.read_queue_nums,
            queues.write_queue_nums,
            addresses.map_or(Cell::Nothing, Cell::Map),
        ]);
    }
    Ok(cx.out.table(&table)?)
}

async fn clusters(cx: &mut Cx<'_>, topic: ids::Topic) -> Result<(), Failure> {
    let route = cx.ask_of(format_args!("topic {topic}"), cx.admin.topic_route(topic.clone())).await?;
    let names: BTreeSet<_> = route.broker_datas.into_iter().map(|broker| broker.cluster).collect();
    let mut table = Table::new(["cluster"]);
    names.into_iter().for_each(|name| table.push(row![name]));
    Ok(cx.out.table(&table)?)
}

async fn config(cx: &mut Cx<'_>, topic: ids::Topic) -> Result<(), Failure> {
    let configs = cx.ask_of(format_args!("topic {topic}"), cx.admin.topic_config(topic.clone())).await?;
    let mut table = Table::new(["broker", "readQueues", "writeQueues", "perm", "order", "filterType", "attributes"]);
    for (broker, config) in cx.partial(configs) {
        let (read, write) = (config.read_queue_nums, config.write_queue_nums);
        let perm = perm_name(config.perm);
        table.push(row![&broker, read, write, perm, config.order, config.topic_filter_type, config.attributes]);
    }
    Ok(cx.out.table(&table)?)
}

async fn groups(cx: &mut Cx<'_>, topic: ids::Topic) -> Result<(), Failure> {
    let groups = cx.ask_of(format_args!("topic {topic}"), cx.admin.groups_of(topic.clone())).await?;
    let mut table = Table::new(["group"]);
    cx.partial(groups).iter().for_each(|group| table.push(row![group]));
    Ok(cx.out.table(&table)?)
}

/// The route of a topic that may not exist.
async fn known_route(cx: &Cx<'_>, topic: &ids::Topic) -> Result<Option<TopicRoute>, Failure> {
    let route = async {
        match cx.admin.topic_route(topic.clone()).await {
            Ok(route) => Ok(Some(route)),
            Err(AdminError::Route(RouteError::NoTopic)) => Ok(None),
            Err(error) => Err(error),
        }
    };
    cx.ask_of(format_args!("topic {topic}"), route).await
}

/// Which topics are whose.
pub(crate) struct Kinds(BTreeSet<String>);

impl Kinds {
    pub(crate) async fn of(cx: &Cx<'_>) -> Result<Self, Failure> {
        // Brokers and clusters have topics of their names.
        let info = cx.ask(cx.admin.cluster()).await?;
        let brokers = info.broker_addr_table.keys().map(ToString::to_string);
        Ok(Self(brokers.chain(info.cluster_addr_table.keys().cloned()).collect()))
    }

    pub(crate) fn kind(&self, topic: &str) -> &'static str {
        let system = self.0.contains(topic)
            || SYSTEM_TOPICS.contains(&topic)
            || topic == HEARTBEATS
            || SYSTEM_PREFIXES.iter().any(|prefix| topic.starts_with(prefix))
            || topic.strip_suffix("_REPLY_TOPIC").is_some_and(|cluster| self.0.contains(cluster));
        match topic {
            _ if topic.starts_with(RETRY_PREFIX) => "retry",
            _ if topic.starts_with("%DLQ%") => "dead-letter",
            _ if system => "system",
            _ => USER,
        }
    }

    pub(crate) fn is_user(&self, topic: &str) -> bool {
        self.kind(topic) == USER
    }
}

const fn perm_name(perm: Perm) -> &'static str {
    match (perm.is_readable(), perm.is_writable()) {
        (true, true) => "rw",
        (true, false) => "r",
        (false, true) => "w",
        (false, false) => "none",
    }
}

/// `mqadmin` writes `+key=value`.
fn attribute(text: &str) -> Result<(String, String), String> {
    pair(text.trim_start_matches('+'))
}

const USER: &str = "user";
/// What brokers create at their start beside [`SYSTEM_TOPICS`].
const HEARTBEATS: &str = "DefaultHeartBeatSyncerTopic";
const SYSTEM_PREFIXES: [&str; 2] = ["rmq_sys_", "RMQ_SYS_"];
/// `mqadmin`'s number of queues.
const DEFAULT_QUEUES: u32 = 8;
/// Queues of a topic on one broker at most: clients refuse routes with more.
const MAX_QUEUES: i64 = 4_096;
