package rocketmq.testkit;

import com.alibaba.fastjson2.JSONObject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.body.BrokerStatsData;
import org.apache.rocketmq.remoting.protocol.body.ConsumeStatsList;
import org.apache.rocketmq.remoting.protocol.body.HARuntimeInfo;
import org.apache.rocketmq.remoting.protocol.body.ProducerInfo;
import org.apache.rocketmq.remoting.protocol.body.QueryConsumeQueueResponseBody;
import org.apache.rocketmq.remoting.protocol.body.QueueTimeSpan;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.admin.api.MessageTrack;

/** What the official admin client shows of configurations, figures, name servers and tracks. */
final class AdminTools {
    private static final long TIMEOUT_MS = 5000;

    private final Admin admins;

    AdminTools(Admin admins) {
        this.admins = admins;
    }

    void register(Map<String, Peer.Command> commands) {
        commands.put("kv", a -> {
            try {
                return api(a).getKVConfigValue(Peer.text(a, "namespace"), Peer.text(a, "key"), TIMEOUT_MS);
            } catch (MQClientException e) {
                return null;
            }
        });
        commands.put("kv_put", a -> {
            admins.admin(a).createAndUpdateKvConfig(Peer.text(a, "namespace"), Peer.text(a, "key"), Peer.text(a, "value"));
            return null;
        });
        commands.put("kv_list", a ->
            new TreeMap<>(admins.admin(a).getKVListByNamespace(Peer.text(a, "namespace")).getTable()));
        commands.put("order_put", a -> {
            admins.admin(a).createOrUpdateOrderConf(Peer.text(a, "topic"), Peer.text(a, "value"), true);
            return null;
        });
        commands.put("names_config", a -> {
            Map<String, Properties> all = admins.admin(a).getNameServerConfig(Arrays.asList(Peer.text(a, "namesrv")));
            return new TreeMap<Object, Object>(all.values().iterator().next());
        });
        commands.put("topic_configs", a -> new TreeSet<>(
            admins.admin(a).getAllTopicConfig(Peer.text(a, "broker"), TIMEOUT_MS).getTopicConfigTable().keySet()));
        commands.put("user_topics", a -> new TreeSet<>(admins.admin(a)
            .getUserTopicConfig(Peer.text(a, "broker"), a.getBooleanValue("special"), TIMEOUT_MS).getTopicConfigTable().keySet()));
        commands.put("groups", a -> new TreeSet<>(
            admins.admin(a).getAllSubscriptionGroup(Peer.text(a, "broker"), TIMEOUT_MS).getSubscriptionGroupTable().keySet()));
        commands.put("user_groups", a -> new TreeSet<>(
            admins.admin(a).getUserSubscriptionGroup(Peer.text(a, "broker"), TIMEOUT_MS).getSubscriptionGroupTable().keySet()));
        commands.put("group_whole", this::group);
        commands.put("may_read", a -> admins.admin(a).updateAndGetGroupReadForbidden(Peer.text(a, "broker"),
            Peer.text(a, "group"), Peer.text(a, "topic"), (Boolean) a.get("set")).getReadable());
        commands.put("system_topics", a -> new TreeSet<>(api(a).getSystemTopicList(TIMEOUT_MS).getTopicList()));
        commands.put("broker_topics", a ->
            new TreeSet<>(api(a).getSystemTopicListFromBroker(Peer.text(a, "broker"), TIMEOUT_MS).getTopicList()));
        commands.put("unit_topics", a -> {
            switch (Peer.text(a, "of")) {
                case "own":
                    return new TreeSet<>(api(a).getUnitTopicList(true, TIMEOUT_MS).getTopicList());
                case "subscribed":
                    return new TreeSet<>(api(a).getHasUnitSubTopicList(true, TIMEOUT_MS).getTopicList());
                default:
                    return new TreeSet<>(api(a).getHasUnitSubUnUnitTopicList(true, TIMEOUT_MS).getTopicList());
            }
        });
        commands.put("all_producers", this::producers);
        commands.put("figure", this::figure);
        commands.put("queue_entries", this::entries);
        commands.put("subscription", a -> {
            SubscriptionData known = admins.admin(a).querySubscription(Peer.text(a, "group"), Peer.text(a, "topic"));
            return known == null ? null : known.getSubString();
        });
        commands.put("time_spans", this::spans);
        commands.put("all_stats", this::allStats);
        commands.put("correction", a -> {
            Map<String, Object> result = new TreeMap<>();
            api(a).queryCorrectionOffset(Peer.text(a, "broker"), Peer.text(a, "topic"), Peer.text(a, "group"),
                Set.of(), TIMEOUT_MS).forEach((queue, offset) -> result.put(String.valueOf(queue), offset));
            return result;
        });
        commands.put("track", a -> {
            MessageExt message = admins.admin(a).viewMessage(Peer.text(a, "topic"), Peer.text(a, "msg_id"));
            Map<String, Object> result = new TreeMap<>();
            for (MessageTrack track : admins.admin(a).messageTrackDetail(message)) {
                result.put(track.getConsumerGroup(), track.getTrackType().name());
            }
            return result;
        });
        commands.put("ha_status", a -> {
            HARuntimeInfo info = admins.admin(a).getBrokerHAStatus(Peer.text(a, "broker"));
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("master", info.isMaster());
            map.put("slaves", info.getInSyncSlaveNums());
            map.put("links", info.getHaConnectionInfo().size());
            return map;
        });
        commands.put("clean", a -> {
            DefaultMQAdminExt admin = admins.admin(a);
            String broker = Peer.text(a, "broker");
            return List.of(admin.cleanExpiredConsumerQueueByAddr(broker), admin.cleanUnusedTopicByAddr(broker),
                admin.deleteExpiredCommitLogByAddr(broker));
        });
        commands.put("cold_reads", a -> admins.admin(a).getColdDataFlowCtrInfo(Peer.text(a, "broker")));
    }

    private MQClientAPIImpl api(JSONObject a) throws MQClientException {
        return admins.admin(a).getDefaultMQAdminExtImpl().getMqClientInstance().getMQClientAPIImpl();
    }

    private Object group(JSONObject a) throws Exception {
        SubscriptionGroupConfig config = admins.admin(a).getAllSubscriptionGroup(Peer.text(a, "broker"), TIMEOUT_MS)
            .getSubscriptionGroupTable().get(Peer.text(a, "group"));
        if (config == null) {
            return null;
        }
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("enable", config.isConsumeEnable());
        map.put("from_min", config.isConsumeFromMinEnable());
        map.put("broadcast", config.isConsumeBroadcastEnable());
        map.put("orderly", config.isConsumeMessageOrderly());
        map.put("retry_queues", config.getRetryQueueNums());
        map.put("retry_max", config.getRetryMaxTimes());
        map.put("broker_id", config.getBrokerId());
        map.put("slow_reader", config.getWhichBrokerWhenConsumeSlowly());
        map.put("notify", config.isNotifyConsumerIdsChangedEnable());
        return map;
    }

    private Object producers(JSONObject a) throws Exception {
        Map<String, Object> result = new TreeMap<>();
        admins.admin(a).getAllProducerInfo(Peer.text(a, "broker")).getData().forEach((group, known) -> {
            TreeSet<String> ids = new TreeSet<>();
            for (ProducerInfo info : known) {
                ids.add(info.getClientId() + " " + info.getLanguage() + " " + info.getVersion());
            }
            result.put(group, ids);
        });
        return result;
    }

    private Object figure(JSONObject a) throws Exception {
        BrokerStatsData data =
            admins.admin(a).viewBrokerStatsData(Peer.text(a, "broker"), Peer.text(a, "name"), Peer.text(a, "key"));
        return List.of(data.getStatsMinute().getSum(), data.getStatsHour().getSum(), data.getStatsDay().getSum());
    }

    private Object entries(JSONObject a) throws Exception {
        QueryConsumeQueueResponseBody body = admins.admin(a).queryConsumeQueue(Peer.text(a, "broker"),
            Peer.text(a, "topic"), a.getIntValue("queue_id"), a.getLongValue("from"), a.getIntValue("count"), a.getString("group"));
        List<Object> rows = new ArrayList<>();
        body.getQueueData().forEach(one -> rows.add(List.of(one.getPhysicOffset(), one.getPhysicSize(), one.getTagsCode())));
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("min", body.getMinQueueIndex());
        map.put("max", body.getMaxQueueIndex());
        map.put("rows", rows);
        map.put("wants", body.getSubscriptionData() == null ? null : body.getSubscriptionData().getSubString());
        map.put("filter", body.getFilterData());
        return map;
    }

    private Object spans(JSONObject a) throws Exception {
        Map<Integer, Object> result = new TreeMap<>();
        for (QueueTimeSpan span : admins.admin(a).queryConsumeTimeSpan(Peer.text(a, "topic"), Peer.text(a, "group"))) {
            result.put(span.getMessageQueue().getQueueId(),
                List.of(span.getMinTimeStamp(), span.getMaxTimeStamp(), span.getConsumeTimeStamp()));
        }
        return new ArrayList<>(result.values());
    }

    private Object allStats(JSONObject a) throws Exception {
        ConsumeStatsList all = admins.admin(a).fetchConsumeStatsInBroker(Peer.text(a, "broker"), false, TIMEOUT_MS);
        List<Object> result = new ArrayList<>();
        for (Map<String, List<ConsumeStats>> groups : all.getConsumeStatsList()) {
            List<ConsumeStats> topics = groups.get(Peer.text(a, "group"));
            if (topics != null) {
                for (ConsumeStats stats : topics) {
                    TreeMap<String, Object> rows = new TreeMap<>();
                    stats.getOffsetTable().forEach((queue, row) -> rows.put(queue.getTopic() + "#" + queue.getQueueId(),
                        List.of(row.getBrokerOffset(), row.getConsumerOffset())));
                    result.add(rows);
                }
            }
        }
        return result;
    }
}
