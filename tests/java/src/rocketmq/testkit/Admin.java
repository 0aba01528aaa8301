package rocketmq.testkit;

import com.alibaba.fastjson2.JSONObject;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.exception.RemotingException;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.body.Connection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What an operator would do or look at, by the official admin client. */
final class Admin {
    private static final long TIMEOUT_MS = 30_000;

    private final Map<String, DefaultMQAdminExt> admins = new ConcurrentHashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("create_topic", this::createTopic);
        commands.put("create_group", this::createGroup);
        commands.put("offsets", this::offsets);
        commands.put("consume_stats", this::consumeStats);
        commands.put("consumer_connections", a -> {
            try {
                ConsumerConnection found = admin(a).examineConsumerConnectionInfo(Peer.text(a, "group"));
                return connections(found.getConnectionSet());
            } catch (MQBrokerException e) {
                if (e.getResponseCode() == ResponseCode.CONSUMER_NOT_ONLINE) {
                    return List.of();
                }
                throw e;
            }
        });
        commands.put("consumer_subscriptions", a -> {
            List<Object> list = new ArrayList<>();
            new TreeMap<>(admin(a).examineConsumerConnectionInfo(Peer.text(a, "group")).getSubscriptionTable())
                .forEach((topic, data) -> list.add(Map.of("topic", topic, "expression", data.getSubString(),
                    "kind", data.getExpressionType())));
            return list;
        });
        commands.put("producer_connections", a -> connections(admin(a)
            .examineProducerConnectionInfo(Peer.text(a, "group"), Peer.text(a, "topic")).getConnectionSet()));
        commands.put("running_info", this::runningInfo);
        commands.put("topic_route", this::topicRoute);
        commands.put("reset_offset", a -> {
            Map<String, Object> result = new TreeMap<>();
            admin(a).resetOffsetByTimestamp(Peer.text(a, "topic"), Peer.text(a, "group"),
                a.getLongValue("timestamp"), true).forEach((q, offset) ->
                result.put(q.getBrokerName() + ":" + q.getQueueId(), offset));
            return result;
        });
        commands.put("view_message", a -> {
            MessageExt found = admin(a).viewMessage(Peer.text(a, "topic"), Peer.text(a, "msg_id"));
            return found == null ? null : Codec.message(found);
        });
        commands.put("query_key", a -> {
            List<Object> list = new ArrayList<>();
            for (MessageExt found : admin(a).queryMessage(Peer.text(a, "topic"), Peer.text(a, "key"),
                a.getIntValue("max", 32), 0, Long.MAX_VALUE).getMessageList()) {
                list.add(Codec.message(found));
            }
            return list;
        });
    }

    DefaultMQAdminExt admin(JSONObject a) throws MQClientException {
        String namesrv = Peer.text(a, "namesrv");
        synchronized (admins) {
            DefaultMQAdminExt known = admins.get(namesrv);
            if (known != null) {
                return known;
            }
            DefaultMQAdminExt admin = new DefaultMQAdminExt(TIMEOUT_MS);
            admin.setNamesrvAddr(namesrv);
            admin.setInstanceName("admin-" + namesrv.replace(':', '-') + "-" + System.nanoTime());
            admin.start();
            admins.put(namesrv, admin);
            return admin;
        }
    }

    private List<String> masters(DefaultMQAdminExt admin) throws Exception {
        ClusterInfo cluster = admin.examineBrokerClusterInfo();
        List<String> list = new ArrayList<>();
        cluster.getBrokerAddrTable().values().forEach(b -> {
            if (b.getBrokerAddrs().get(0L) != null) {
                list.add(b.getBrokerAddrs().get(0L));
            }
        });
        return list;
    }

    private Object createTopic(JSONObject a) throws Exception {
        DefaultMQAdminExt admin = admin(a);
        String topic = Peer.text(a, "topic");
        int queues = a.getIntValue("queues", 4);
        TopicConfig config = new TopicConfig(topic, queues, queues, a.getIntValue("perm", 6));
        JSONObject attributes = a.getJSONObject("attributes");
        if (attributes != null) {
            attributes.forEach((k, v) -> config.getAttributes().put("+" + k, String.valueOf(v)));
        }
        List<String> brokers = masters(admin);
        long deadline = System.currentTimeMillis() + 60_000;
        long again = 0;
        while (true) {
            // A name server drops what it is told of a topic when two topics change at once and it has their common
            // version already. Changing the topic again makes another version.
            boolean make = System.currentTimeMillis() > again;
            try {
                if (make) {
                    for (String broker : brokers) {
                        admin.createAndUpdateTopicConfig(broker, config);
                    }
                    again = System.currentTimeMillis() + 5_000;
                }
                TopicRouteData route = admin.examineTopicRouteInfo(topic);
                long ready = route.getQueueDatas().stream().filter(q -> q.getWriteQueueNums() == queues).count();
                if (ready >= brokers.size()) {
                    return null;
                }
            } catch (MQClientException e) {
                if (e.getResponseCode() != ResponseCode.TOPIC_NOT_EXIST) {
                    throw e;
                }
            } catch (RemotingException e) {
                // A machine that is busy: once more.
                if (System.currentTimeMillis() > deadline) {
                    throw e;
                }
            }
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException("no route of " + topic + " with " + queues + " queues after 60 s");
            }
            Thread.sleep(50);
        }
    }

    private Object createGroup(JSONObject a) throws Exception {
        DefaultMQAdminExt admin = admin(a);
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(Peer.text(a, "group"));
        if (a.getInteger("retry_max") != null) {
            config.setRetryMaxTimes(a.getInteger("retry_max"));
        }
        if (a.getInteger("retry_queues") != null) {
            config.setRetryQueueNums(a.getInteger("retry_queues"));
        }
        for (String broker : masters(admin)) {
            admin.createAndUpdateSubscriptionGroupConfig(broker, config);
        }
        return null;
    }

    /** Minimum, maximum and the group's committed offset of every queue; committed -1 means none is stored. */
    private Object offsets(JSONObject a) throws Exception {
        DefaultMQAdminExt admin = admin(a);
        String topic = Peer.text(a, "topic");
        MQClientAPIImpl api = admin.getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl();
        TopicRouteData route = admin.examineTopicRouteInfo(topic);
        List<Object> list = new ArrayList<>();
        route.getQueueDatas().sort(null);
        for (QueueData data : route.getQueueDatas()) {
            String addr = master(route, data.getBrokerName());
            for (int id = 0; id < data.getReadQueueNums(); id++) {
                MessageQueue queue = new MessageQueue(topic, data.getBrokerName(), id);
                Map<String, Object> map = new LinkedHashMap<>();
                map.put("broker", data.getBrokerName());
                map.put("queue_id", id);
                map.put("min", api.getMinOffset(addr, queue, TIMEOUT_MS));
                map.put("max", api.getMaxOffset(addr, queue, TIMEOUT_MS));
                map.put("committed", committed(api, addr, Peer.text(a, "group"), queue));
                list.add(map);
            }
        }
        return list;
    }

    private static long committed(MQClientAPIImpl api, String addr, String group, MessageQueue queue) throws Exception {
        QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(queue.getTopic());
        header.setQueueId(queue.getQueueId());
        header.setSetZeroIfNotFound(false);
        try {
            return api.queryConsumerOffset(addr, header, TIMEOUT_MS);
        } catch (MQBrokerException e) { // OffsetNotFoundException among them
            if (e.getResponseCode() == ResponseCode.QUERY_NOT_FOUND) {
                return -1;
            }
            throw e;
        }
    }

    private static String master(TopicRouteData route, String brokerName) {
        for (BrokerData broker : route.getBrokerDatas()) {
            if (broker.getBrokerName().equals(brokerName) && broker.getBrokerAddrs().get(0L) != null) {
                return broker.getBrokerAddrs().get(0L);
            }
        }
        throw new IllegalStateException("no master of " + brokerName);
    }

    private Object consumeStats(JSONObject a) throws Exception {
        ConsumeStats stats = admin(a).examineConsumeStats(Peer.text(a, "group"), a.getString("topic"));
        List<Object> list = new ArrayList<>();
        new TreeMap<>(stats.getOffsetTable()).forEach((queue, offset) -> {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("topic", queue.getTopic());
            map.put("broker", queue.getBrokerName());
            map.put("queue_id", queue.getQueueId());
            map.put("broker_offset", offset.getBrokerOffset());
            map.put("consumer_offset", offset.getConsumerOffset());
            map.put("pull_offset", offset.getPullOffset());
            map.put("last_timestamp", offset.getLastTimestamp());
            list.add(map);
        });
        return list;
    }

    private static Object connections(Iterable<Connection> connections) {
        Map<String, Object> sorted = new TreeMap<>();
        for (Connection connection : connections) {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("client_id", connection.getClientId());
            map.put("addr", connection.getClientAddr());
            map.put("language", connection.getLanguage() == null ? null : connection.getLanguage().name());
            map.put("version", connection.getVersion());
            sorted.put(connection.getClientId() + " " + connection.getClientAddr(), map);
        }
        return new ArrayList<>(sorted.values());
    }

    private Object runningInfo(JSONObject a) throws Exception {
        ConsumerRunningInfo info =
            admin(a).getConsumerRunningInfo(Peer.text(a, "group"), Peer.text(a, "client_id"), false);
        List<Object> queues = new ArrayList<>();
        info.getMqTable().forEach((queue, state) -> {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("topic", queue.getTopic());
            map.put("broker", queue.getBrokerName());
            map.put("queue_id", queue.getQueueId());
            map.put("dropped", state.isDroped());
            map.put("locked", state.isLocked());
            map.put("cached", state.getCachedMsgCount());
            queues.add(map);
        });
        List<Object> subscriptions = new ArrayList<>();
        info.getSubscriptionSet().forEach(s -> subscriptions.add(Map.of("topic", s.getTopic(), "sub", s.getSubString())));
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("queues", queues);
        result.put("subscriptions", subscriptions);
        result.put("properties", new TreeMap<Object, Object>(info.getProperties()));
        return result;
    }

    private Object topicRoute(JSONObject a) throws Exception {
        TopicRouteData route = admin(a).examineTopicRouteInfo(Peer.text(a, "topic"));
        List<Object> list = new ArrayList<>();
        for (QueueData data : route.getQueueDatas()) {
            Map<String, Object> addrs = new TreeMap<>();
            route.getBrokerDatas().stream().filter(b -> b.getBrokerName().equals(data.getBrokerName()))
                .forEach(b -> b.getBrokerAddrs().forEach((id, addr) -> addrs.put(String.valueOf(id), addr)));
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("broker", data.getBrokerName());
            map.put("read_queues", data.getReadQueueNums());
            map.put("write_queues", data.getWriteQueueNums());
            map.put("perm", data.getPerm());
            map.put("addrs", addrs);
            list.add(map);
        }
        return list;
    }
}
