package rocketmq.testkit;

import com.alibaba.fastjson2.JSONObject;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.common.BoundaryType;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.TopicStatsTable;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What the official admin client shows, one operation a command. */
final class AdminViews {
    private final Admin admins;

    AdminViews(Admin admins) {
        this.admins = admins;
    }

    void register(Map<String, Peer.Command> commands) {
        commands.put("cluster_info", a -> {
            ClusterInfo info = admins.admin(a).examineBrokerClusterInfo();
            Map<String, Object> result = new TreeMap<>();
            info.getBrokerAddrTable().forEach((name, broker) -> {
                Map<String, Object> addrs = new TreeMap<>();
                broker.getBrokerAddrs().forEach((id, addr) -> addrs.put(String.valueOf(id), addr));
                result.put(name, Map.of("cluster", broker.getCluster(), "addrs", addrs));
            });
            return result;
        });
        commands.put("topic_list", a -> new TreeSet<>(admins.admin(a).fetchAllTopicList().getTopicList()));
        commands.put("topics_of_cluster", a ->
            new TreeSet<>(admins.admin(a).fetchTopicsByCLuster(Peer.text(a, "cluster")).getTopicList()));
        commands.put("topic_stats", this::topicStats);
        commands.put("topic_config", this::topicConfig);
        commands.put("group_config", this::groupConfig);
        commands.put("groups_of_topic", a ->
            new TreeSet<>(admins.admin(a).queryTopicConsumeByWho(Peer.text(a, "topic")).getGroupList()));
        commands.put("topics_of_group", a ->
            new TreeSet<>(admins.admin(a).queryTopicsByConsumer(Peer.text(a, "group")).getTopicList()));
        commands.put("group_progress", this::progress);
        commands.put("queue_view", this::queue);
        commands.put("view_at", a -> Codec.message(admins.admin(a).viewMessage(Peer.text(a, "topic"), Peer.text(a, "msg_id"))));
        commands.put("query_messages", this::query);
        commands.put("broker_view", a -> {
            Properties config = admins.admin(a).getBrokerConfig(Peer.text(a, "broker"));
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("config", new TreeMap<Object, Object>(config));
            result.put("stats", new TreeSet<>(admins.admin(a).fetchBrokerRuntimeStats(Peer.text(a, "broker")).getTable().keySet()));
            return result;
        });
    }

    static Object rows(Map<MessageQueue, Map<String, Object>> table) {
        List<Object> rows = new ArrayList<>();
        new TreeMap<>(table).forEach((queue, values) -> {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("topic", queue.getTopic());
            row.put("broker", queue.getBrokerName());
            row.put("queue_id", queue.getQueueId());
            row.putAll(values);
            rows.add(row);
        });
        return rows;
    }

    private Object topicStats(JSONObject a) throws Exception {
        // The admin's own method asks brokers of 4.9 what they do not know.
        TopicStatsTable stats = admins.admin(a).getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl()
            .getTopicStatsInfo(Peer.text(a, "broker"), Peer.text(a, "topic"), 5000);
        Map<MessageQueue, Map<String, Object>> table = new TreeMap<>();
        stats.getOffsetTable().forEach((queue, offset) -> table.put(queue, Map.of("min", offset.getMinOffset(),
            "max", offset.getMaxOffset(), "updated", offset.getLastUpdateTimestamp())));
        return rows(table);
    }

    private Object progress(JSONObject a) throws Exception {
        ConsumeStats stats = admins.admin(a).getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl()
            .getConsumeStats(Peer.text(a, "broker"), Peer.text(a, "group"), Peer.text(a, "topic"), 5000);
        Map<MessageQueue, Map<String, Object>> table = new TreeMap<>();
        stats.getOffsetTable().forEach((queue, offset) -> table.put(queue, Map.of("end", offset.getBrokerOffset(),
            "committed", offset.getConsumerOffset(), "stored", offset.getLastTimestamp())));
        return rows(table);
    }

    private Object topicConfig(JSONObject a) throws Exception {
        DefaultMQAdminExt admin = admins.admin(a);
        TopicConfig config = admin.getAllTopicConfig(Peer.text(a, "broker"), 5000).getTopicConfigTable().get(Peer.text(a, "topic"));
        if (config == null) {
            return null;
        }
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("read_queues", config.getReadQueueNums());
        map.put("write_queues", config.getWriteQueueNums());
        map.put("perm", config.getPerm());
        map.put("order", config.isOrder());
        map.put("filter_type", config.getTopicFilterType().name());
        map.put("attributes", new TreeMap<>(config.getAttributes()));
        return map;
    }

    private Object groupConfig(JSONObject a) throws Exception {
        SubscriptionGroupConfig config = admins.admin(a).getAllSubscriptionGroup(Peer.text(a, "broker"), 5000)
            .getSubscriptionGroupTable().get(Peer.text(a, "group"));
        if (config == null) {
            return null;
        }
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("consume_enable", config.isConsumeEnable());
        map.put("broadcast", config.isConsumeBroadcastEnable());
        map.put("retry_queues", config.getRetryQueueNums());
        map.put("retry_max", config.getRetryMaxTimes());
        map.put("notify", config.isNotifyConsumerIdsChangedEnable());
        map.put("slow_reader", config.getWhichBrokerWhenConsumeSlowly());
        return map;
    }

    private Object queue(JSONObject a) throws Exception {
        DefaultMQAdminExt admin = admins.admin(a);
        MessageQueue queue = new MessageQueue(Peer.text(a, "topic"), Peer.text(a, "broker"), a.getIntValue("queue_id"));
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("min", admin.minOffset(queue));
        map.put("max", admin.maxOffset(queue));
        map.put("earliest", admin.earliestMsgStoreTime(queue));
        long time = a.getLongValue("time");
        map.put("lower", admin.getDefaultMQAdminExtImpl().getMqClientInstance().getMQAdminImpl().searchOffset(queue, time, BoundaryType.LOWER));
        map.put("upper", admin.getDefaultMQAdminExtImpl().getMqClientInstance().getMQAdminImpl().searchOffset(queue, time, BoundaryType.UPPER));
        return map;
    }

    private Object query(JSONObject a) throws Exception {
        List<Object> list = new ArrayList<>();
        try {
            QueryResult found = admins.admin(a).queryMessage(Peer.text(a, "topic"), Peer.text(a, "key"),
                a.getIntValue("max", 32), a.getLongValue("begin"), a.getLongValue("end"));
            List<MessageExt> sorted = new ArrayList<>(found.getMessageList());
            sorted.sort((x, y) -> Long.compare(x.getCommitLogOffset(), y.getCommitLogOffset()));
            for (MessageExt message : sorted) {
                list.add(Codec.message(message));
            }
        } catch (MQClientException e) {
            if (e.getResponseCode() != 208) { // no message
                throw e;
            }
        }
        return list;
    }
}
