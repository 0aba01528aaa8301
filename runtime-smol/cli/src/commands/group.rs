//! Consumer groups.

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use rocketmq_core::ids;
use rocketmq_core::wire::body::{
    ConsumeFromWhere, ConsumeType, ConsumerConnection, ConsumerRunningInfo, GroupConfig, MessageMode, MessageModel,
};
use rocketmq_smol::{AdminError, Brokers};

use super::{brokers, connections, done_on, is_retry_topic};
use crate::args::{BrokersArg, GroupArg, TopicArg};
use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Cell, Record, Table, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// The groups that have members, or had
    #[command(after_help = "Example:\n  rmq group list")]
    List,
    /// Create a group, or set it anew: settings that are not named get their defaults
    #[command(after_help = "Example:\n  rmq group create billing --retry-max 3")]
    Create(Create),
    /// Delete a group; its retry topic stays
    #[command(after_help = "Example:\n  rmq group delete billing --offsets")]
    Delete(Delete),
    /// How far a group is in each queue, or all groups are
    #[command(
        after_help = "Examples:\n  rmq group progress billing\n  rmq group progress billing --topic orders -o json\n  rmq group progress"
    )]
    Progress(Progress),
    /// What the members of a group tell of themselves: queues, rates, settings
    #[command(
        after_help = "Examples:\n  rmq group status billing\n  rmq group status billing --member 10.0.0.7@4711#1a2b3c4d"
    )]
    Status(Status),
    /// The members of a group, and what they subscribe to
    #[command(after_help = "Example:\n  rmq group connections billing")]
    Connections(GroupArg),
    /// The topics that a group consumes, or did
    #[command(after_help = "Example:\n  rmq group topics billing")]
    Topics(GroupArg),
    /// Set how a group gets the messages of a topic: by pulling or by popping, from 5.0 on
    #[command(after_help = "Example:\n  rmq group mode billing orders --mode pop")]
    Mode(SetMode),
    /// The settings of a group on each broker
    #[command(after_help = "Example:\n  rmq group config billing")]
    Config(GroupArg),
    /// Whether a group may read a topic, from 5.0 on
    #[command(after_help = "Examples:\n  rmq group read billing orders\n  rmq group read billing orders --allow false")]
    Read(Read),
    /// The times between which a group has its messages, queue by queue
    #[command(after_help = "Example:\n  rmq group times billing orders")]
    Times(Times),
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: TopicArg,
    /// Set it first
    #[arg(long, value_name = "YES")]
    allow: Option<bool>,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Times {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: TopicArg,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    group: GroupArg,
    /// How often a message comes again before it is a dead letter
    #[arg(long, value_name = "TIMES", default_value_t = 16, allow_negative_numbers = true)]
    retry_max: i32,
    /// Queues of its retry topic on each broker
    #[arg(long, value_name = "QUEUES", default_value_t = 1)]
    retry_queues: i32,
    /// Whether it may consume
    #[arg(long, value_name = "YES", default_value_t = true, action = ArgAction::Set)]
    consume: bool,
    /// Whether it may start at the first message
    #[arg(long, value_name = "YES", default_value_t = true, action = ArgAction::Set)]
    from_first: bool,
    /// Whether its members may be broadcasting
    #[arg(long, value_name = "YES", default_value_t = true, action = ArgAction::Set)]
    broadcast: bool,
    /// Whether it is said to consume in order, for popping
    #[arg(long, value_name = "YES", default_value_t = false, action = ArgAction::Set)]
    orderly: bool,
    /// Whether members are told of others that come and go
    #[arg(long, value_name = "YES", default_value_t = true, action = ArgAction::Set)]
    notify: bool,
    /// The id of the replica to pull from
    #[arg(long, value_name = "ID", default_value_t = 0)]
    read_from: i64,
    /// The same when consumption is slow
    #[arg(long, value_name = "ID", default_value_t = 1)]
    read_from_when_slow: i64,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    group: GroupArg,
    /// Its offsets too
    #[arg(long, value_name = "YES", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    offsets: bool,
    #[command(flatten)]
    brokers: BrokersArg,
}

#[derive(Debug, Args)]
pub(crate) struct Progress {
    /// The group; all when it is left out
    #[arg(value_name = "GROUP")]
    group: Option<String>,
    /// Only this topic
    #[arg(short, long)]
    topic: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    group: GroupArg,
    /// Only this member, in full
    #[arg(short, long, value_name = "CLIENT-ID")]
    member: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SetMode {
    #[command(flatten)]
    group: GroupArg,
    #[command(flatten)]
    topic: TopicArg,
    /// By pulling or by popping
    #[arg(short, long, value_enum, ignore_case = true)]
    mode: Mode,
    /// Popping: how many other members may pop from the queues of a member, 0 for all
    #[arg(long, value_name = "MEMBERS", default_value_t = 0)]
    share: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Pull,
    Pop,
}

impl Group {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::List => {
                let mut table = Table::new(["group"]);
                all(cx).await?.iter().for_each(|group| table.push(row![group]));
                Ok(cx.out.table(&table)?)
            }
            Self::Create(create) => create.run(cx).await,
            Self::Delete(delete) => delete.run(cx).await,
            Self::Progress(progress) => match progress.group.as_deref().map(ids::Group::from) {
                Some(group) => progress.of(cx, &group).await,
                None => overview(cx).await,
            },
            Self::Status(status) => status.run(cx).await,
            Self::Connections(group) => members(cx, &group.name()).await,
            Self::Topics(group) => {
                let group = group.name();
                let topics = cx.ask_group(&group, cx.admin.topics_of_group(group.clone())).await?;
                let mut table = Table::new(["topic"]);
                cx.partial(topics).iter().for_each(|topic| table.push(row![topic]));
                Ok(cx.out.table(&table)?)
            }
            Self::Mode(mode) => mode.run(cx).await,
            Self::Config(group) => config(cx, &group.name()).await,
            Self::Read(read) => read.run(cx).await,
            Self::Times(times) => times.run(cx).await,
        }
    }
}

/// The groups that have a retry topic.
pub(crate) async fn all(cx: &Cx<'_>) -> Result<Vec<ids::Group>, Failure> {
    let topics = cx.ask(cx.admin.topics()).await?;
    Ok(topics.iter().filter_map(|topic| is_retry_topic(topic.as_str())).collect())
}

impl Create {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let group = self.group.name();
        let config = GroupConfig {
            broker_id: self.read_from,
            consume_broadcast_enable: self.broadcast,
            consume_enable: self.consume,
            consume_from_min_enable: self.from_first,
            consume_message_orderly: self.orderly,
            notify_consumer_ids_changed_enable: self.notify,
            retry_max_times: self.retry_max,
            retry_queue_nums: self.retry_queues,
            which_broker_when_consume_slowly: self.read_from_when_slow,
            ..GroupConfig::new(group.clone())
        };
        let brokers = self.brokers.resolve(cx, Brokers::All).await?;
        let about = format!("group {group}");
        let done = cx.ask_of(&about, cx.admin.set_group(&config, &brokers)).await?;
        let done = cx.partial(done);
        let (text, record) = done_on("set", &about, "group", group.as_str(), &done);
        Ok(cx.out.done(&text, &record.with("retryMax", self.retry_max).with("retryQueues", self.retry_queues))?)
    }
}

impl Delete {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let group = self.group.name();
        let brokers = self.brokers.resolve(cx, Brokers::All).await?;
        let about = format!("group {group}");
        let done = cx.ask_of(&about, cx.admin.delete_group(group.clone(), self.offsets, &brokers)).await?;
        let done = cx.partial(done);
        let about = if self.offsets { format!("{about} and its offsets") } else { about };
        let (text, record) = done_on("deleted", &about, "group", group.as_str(), &done);
        Ok(cx.out.done(&text, &record.with("offsets", self.offsets))?)
    }
}

impl Progress {
    async fn of(&self, cx: &mut Cx<'_>, group: &ids::Group) -> Result<(), Failure> {
        let topic = self.topic.as_deref().map(ids::Topic::from);
        let stats = cx.ask_group(group, cx.admin.consume_stats(group.clone(), topic)).await?;
        let stats = cx.partial(stats);
        let keys =
            ["topic", "broker", "queueId", "brokerOffset", "consumerOffset", "backlog", "inflight", "lastConsumed"];
        let mut table = Table::new(keys);
        let (mut backlog, mut inflight) = (0_i64, 0_i64);
        for (queue, row) in &stats.offset_table.0 {
            let pulled = row.pull_offset.saturating_sub(row.consumer_offset).max(0);
            (backlog, inflight) = (backlog.saturating_add(row.backlog()), inflight.saturating_add(pulled));
            table.push(row![
                &queue.topic,
                &queue.broker,
                queue.id,
                row.broker_offset,
                row.consumer_offset,
                row.backlog(),
                pulled,
                Cell::time(row.last_timestamp),
            ]);
        }
        let record = Record::default().with("group", group).with("tps", stats.consume_tps);
        let record = record.with("backlog", backlog).with("inflight", inflight);
        Ok(cx.out.record(&record.table("queues", table))?)
    }
}

/// All groups, one line each.
async fn overview(cx: &mut Cx<'_>) -> Result<(), Failure> {
    let groups = all(cx).await?;
    let bar = cx.out.bar(u64::try_from(groups.len()).unwrap_or(u64::MAX), "groups");
    let mut table = Table::new(["group", "members", "type", "model", "version", "tps", "backlog"]);
    for group in groups {
        let members = cx.attempt(cx.admin.consumers(group.clone())).await?;
        let members = match members {
            Ok(members) => cx.partial(members),
            Err(error) => {
                cx.missed(format!("group {group}"), &error);
                None
            }
        };
        let stats = cx.attempt(cx.admin.consume_stats(group.clone(), None)).await?;
        let (tps, backlog) = match stats {
            Ok(stats) => {
                let stats = cx.partial(stats);
                let backlog = stats.offset_table.0.values().map(|row| row.backlog());
                (Cell::from(stats.consume_tps), Cell::from(backlog.fold(0_i64, i64::saturating_add)))
            }
            // A group without members may have no offsets either.
            Err(AdminError::Broker { .. }) => (Cell::Nothing, Cell::Nothing),
            Err(error) => {
                cx.missed(format!("group {group}"), &error);
                (Cell::Nothing, Cell::Nothing)
            }
        };
        let known = members.as_ref();
        table.push(row![
            &group,
            known.map_or(0, |known| known.connection_set.len()),
            known.map(|known| consume_type(known.consume_type)),
            known.map(|known| model(known.message_model)),
            known.and_then(|known| known.connection_set.iter().map(|member| member.version).min()),
            tps,
            backlog,
        ]);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(cx.out.table(&table)?)
}

/// The members of a group; it has some.
pub(crate) async fn online(cx: &mut Cx<'_>, group: &ids::Group) -> Result<ConsumerConnection, Failure> {
    let members = cx.ask_group(group, cx.admin.consumers(group.clone())).await?;
    cx.partial(members)
        .ok_or_else(|| Failure::refused(format!("group {group} has no members now; start a consumer of it")))
}

async fn members(cx: &mut Cx<'_>, group: &ids::Group) -> Result<(), Failure> {
    let known = online(cx, group).await?;
    let mut subscriptions = Table::new(["topic", "expression", "type"]);
    for data in known.subscription_table.values() {
        subscriptions.push(row![&data.topic, &data.sub_string, data.expression_type.name()]);
    }
    let record = Record::default()
        .with("group", group)
        .with("consumeType", consume_type(known.consume_type))
        .with("messageModel", model(known.message_model))
        .with("consumeFromWhere", from_where(known.consume_from_where));
    let record = record.table("members", connections(&known.connection_set)).table("subscriptions", subscriptions);
    Ok(cx.out.record(&record)?)
}

impl Status {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let group = self.group.name();
        if let Some(member) = &self.member {
            let info = cx.admin.running_info(group.clone(), ids::ClientId::from(member));
            let info = cx.ask_group(&group, info).await?;
            return Ok(cx.out.record(&in_full(&group, member, &info))?);
        }
        let known = online(cx, &group).await?;
        let bar = cx.out.bar(u64::try_from(known.connection_set.len()).unwrap_or(u64::MAX), "members");
        let keys = ["clientId", "version", "orderly", "queues", "cached", "consumeTps", "failedTps", "consumeMs"];
        let mut table = Table::new(keys);
        for member in &known.connection_set {
            let info = cx.admin.running_info(group.clone(), member.client_id.clone());
            match cx.attempt(info).await? {
                Ok(info) => table.push(in_short(member.client_id.as_str(), &info)),
                Err(error) => {
                    cx.missed(member.client_id.as_str(), &error);
                    let mut row = row![&member.client_id];
                    row.resize(keys.len(), Cell::Nothing);
                    table.push(row);
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(cx.out.table(&table)?)
    }
}

fn in_short(member: &str, info: &ConsumerRunningInfo) -> Vec<Cell> {
    let property = |key: &str| info.properties.get(key);
    let cached = info.queues.0.values().map(|queue| i64::from(queue.cached_msg_count));
    let sum = |of: fn(&rocketmq_core::wire::body::ConsumeStatus) -> f64| info.status.values().map(of).sum::<f64>();
    let slowest = info.status.values().map(|status| status.consume_rt).fold(0.0, f64::max);
    row![
        member,
        property(ConsumerRunningInfo::VERSION),
        property(ConsumerRunningInfo::ORDERLY).map(|flag| flag == "true"),
        info.queues.0.len().saturating_add(info.pop_queues.0.len()),
        cached.fold(0_i64, i64::saturating_add),
        sum(|status| status.consume_ok_tps),
        sum(|status| status.consume_failed_tps),
        slowest,
    ]
}

fn in_full(group: &ids::Group, member: &str, info: &ConsumerRunningInfo) -> Record {
    let mut queues =
        Table::new(["topic", "broker", "queueId", "commitOffset", "cached", "locked", "lastPulled", "lastConsumed"]);
    for (queue, state) in &info.queues.0 {
        queues.push(row![
            &queue.topic,
            &queue.broker,
            queue.id,
            state.commit_offset,
            state.cached_msg_count,
            state.locked,
            Cell::time(state.last_pull_timestamp),
            Cell::time(state.last_consume_timestamp),
        ]);
    }
    let mut popped = Table::new(["topic", "broker", "queueId", "waitAck", "lastPopped"]);
    for (queue, state) in &info.pop_queues.0 {
        let last = Cell::time(state.last_pop_timestamp);
        popped.push(row![&queue.topic, &queue.broker, queue.id, state.wait_ack_count, last]);
    }
    let mut rates =
        Table::new(["topic", "pullMs", "pullTps", "consumeMs", "consumeTps", "failedTps", "failedLastHour"]);
    for (topic, status) in &info.status {
        rates.push(row![
            topic,
            status.pull_rt,
            status.pull_tps,
            status.consume_rt,
            status.consume_ok_tps,
            status.consume_failed_tps,
            status.consume_failed_msgs,
        ]);
    }
    let mut subscriptions = Table::new(["topic", "expression", "type"]);
    for data in &info.subscriptions {
        subscriptions.push(row![&data.topic, &data.sub_string, data.expression_type.name()]);
    }
    let mut properties = Table::new(["name", "value"]);
    for (key, value) in info.properties.iter().chain(&info.user_info) {
        properties.push(row![key, value]);
    }
    let record = Record::default().with("group", group).with("clientId", member);
    let record = record.table("properties", properties).table("subscriptions", subscriptions).table("queues", queues);
    let record = if popped.is_empty() { record } else { record.table("popped", popped) };
    record.table("rates", rates)
}

impl SetMode {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (group, topic) = (self.group.name(), self.topic.name());
        let (mode, name) = match self.mode {
            Mode::Pull => (MessageMode::Pull, "PULL"),
            Mode::Pop => (MessageMode::Pop, "POP"),
        };
        let set = cx.admin.set_request_mode(group.clone(), topic.clone(), mode, self.share);
        let set = cx.ask_of(format_args!("group {group}"), set).await?;
        let done = cx.partial(set);
        let record = Record::default().with("group", &group).with("topic", &topic).with("mode", name);
        let record = record.with("brokers", brokers(&done));
        Ok(cx.out.done(&format!("group {group} gets topic {topic} by {name}"), &record)?)
    }
}

async fn config(cx: &mut Cx<'_>, group: &ids::Group) -> Result<(), Failure> {
    let about = format!("group {group}");
    let found = cx.ask_of(about, cx.admin.group_config(group.clone(), &Brokers::All)).await?;
    let mut table = Table::new(["broker", "name", "value"]);
    for (broker, config) in cx.partial(found) {
        let row = |name: &'static str, value: Cell| row![&broker, name, value];
        table.push(row("consume", config.consume_enable.into()));
        table.push(row("from-first", config.consume_from_min_enable.into()));
        table.push(row("broadcast", config.consume_broadcast_enable.into()));
        table.push(row("orderly", config.consume_message_orderly.into()));
        table.push(row("retry-queues", config.retry_queue_nums.into()));
        table.push(row("retry-max", config.retry_max_times.into()));
        table.push(row("read-from", config.broker_id.into()));
        table.push(row("read-from-when-slow", config.which_broker_when_consume_slowly.into()));
        table.push(row("notify", config.notify_consumer_ids_changed_enable.into()));
    }
    Ok(cx.out.table(&table)?)
}

impl Read {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let brokers = self.brokers.resolve(cx, Brokers::OfTopic(self.topic.name())).await?;
        let told = cx.admin.group_may_read(self.group.name(), self.topic.name(), self.allow, &brokers);
        let told = cx.ask_of(format_args!("topic {}", self.topic.name()), told).await?;
        let mut table = Table::new(["broker", "group", "topic", "readable"]);
        for (broker, readable) in cx.partial(told) {
            table.push(row![&broker, &self.group.name(), &self.topic.name(), readable]);
        }
        Ok(cx.out.table(&table)?)
    }
}

impl Times {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let spans = cx.admin.time_spans(self.group.name(), self.topic.name());
        let spans = cx.ask_of(format_args!("topic {}", self.topic.name()), spans).await?;
        let mut table = Table::new(["broker", "queueId", "first", "last", "consumed", "delayMs"]);
        for span in cx.partial(spans) {
            let [first, last, consumed] =
                [span.min_time_stamp, span.max_time_stamp, span.consume_time_stamp].map(Cell::time);
            // A group without an offset has consumed nothing.
            let delay = span.delay();
            let consumed = delay.map_or(Cell::Nothing, |_| consumed);
            table.push(row![&span.message_queue.broker, span.message_queue.id, first, last, consumed, delay]);
        }
        Ok(cx.out.table(&table)?)
    }
}

pub(crate) const fn consume_type(kind: ConsumeType) -> &'static str {
    match kind {
        ConsumeType::Actively => "CONSUME_ACTIVELY",
        ConsumeType::Passively => "CONSUME_PASSIVELY",
        ConsumeType::Pop => "CONSUME_POP",
    }
}

pub(crate) const fn model(model: MessageModel) -> &'static str {
    match model {
        MessageModel::Clustering => "CLUSTERING",
        MessageModel::Broadcasting => "BROADCASTING",
    }
}

const fn from_where(from: ConsumeFromWhere) -> &'static str {
    match from {
        ConsumeFromWhere::LastOffset => "CONSUME_FROM_LAST_OFFSET",
        ConsumeFromWhere::FirstOffset => "CONSUME_FROM_FIRST_OFFSET",
        ConsumeFromWhere::Timestamp => "CONSUME_FROM_TIMESTAMP",
    }
}
