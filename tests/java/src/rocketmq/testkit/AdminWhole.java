package rocketmq.testkit;

import com.alibaba.fastjson2.JSONObject;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.impl.MQAdminImpl;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.ResponseCode;

/** What the official admin client does and shows of clusters with several brokers. */
final class AdminWhole {
    private final Admin admins;

    AdminWhole(Admin admins) {
        this.admins = admins;
    }

    void register(Map<String, Peer.Command> commands) {
        commands.put("topic_by_key", a -> {
            admins.admin(a).createTopic("TBW102", Peer.text(a, "topic"), a.getIntValue("queues"), new HashMap<>());
            return null;
        });
        commands.put("topic_on", a -> {
            TopicConfig config = new TopicConfig(Peer.text(a, "topic"), a.getIntValue("read"), a.getIntValue("write"), 6);
            admins.admin(a).createAndUpdateTopicConfig(Peer.text(a, "broker"), config);
            return null;
        });
        commands.put("queues_of", a -> {
            MQAdminImpl admin = admin(a);
            String topic = Peer.text(a, "topic");
            return Map.of("publish", queues(admin.fetchPublishMessageQueues(topic)),
                "subscribe", queues(admin.fetchSubscribeMessageQueues(topic)));
        });
        commands.put("by_unique_key", a -> {
            List<Object> list = new ArrayList<>();
            try {
                for (MessageExt found : admin(a).queryMessageByUniqKey(Peer.text(a, "topic"), Peer.text(a, "key"), 32,
                    a.getLongValue("begin"), a.getLongValue("end")).getMessageList()) {
                    list.add(Codec.message(found));
                }
            } catch (MQClientException e) {
                if (e.getResponseCode() != ResponseCode.NO_MESSAGE) {
                    throw e;
                }
            }
            return list;
        });
        commands.put("whole_stats", a -> {
            Map<MessageQueue, Map<String, Object>> table = new TreeMap<>();
            admins.admin(a).examineTopicStats(Peer.text(a, "topic")).getOffsetTable().forEach((queue, offset) ->
                table.put(queue, Map.of("min", offset.getMinOffset(), "max", offset.getMaxOffset(),
                    "updated", offset.getLastUpdateTimestamp())));
            return AdminViews.rows(table);
        });
        commands.put("resume_half", a ->
            admins.admin(a).resumeCheckHalfMessage(Peer.text(a, "topic"), Peer.text(a, "msg_id")));
        commands.put("log_reads", a ->
            admins.admin(a).setCommitLogReadAheadMode(Peer.text(a, "broker"), Peer.text(a, "mode")));
        commands.put("member_offsets", a -> {
            Map<String, Object> result = new TreeMap<>();
            admins.admin(a).getConsumeStatus(Peer.text(a, "topic"), Peer.text(a, "group"), a.getString("client_id"))
                .forEach((member, offsets) -> {
                    Map<String, Object> rows = new TreeMap<>();
                    offsets.forEach((queue, offset) -> rows.put(queue.getBrokerName() + "#" + queue.getQueueId(), offset));
                    result.put(member, rows);
                });
            return result;
        });
    }

    private MQAdminImpl admin(JSONObject a) throws MQClientException {
        return admins.admin(a).getDefaultMQAdminExtImpl().getMqClientInstance().getMQAdminImpl();
    }

    private static Object queues(Collection<MessageQueue> queues) {
        List<Object> rows = new ArrayList<>();
        for (MessageQueue queue : new TreeSet<>(queues)) {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("broker", queue.getBrokerName());
            row.put("queue_id", queue.getQueueId());
            rows.add(row);
        }
        return rows;
    }
}
