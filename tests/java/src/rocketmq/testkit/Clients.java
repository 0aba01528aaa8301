package rocketmq.testkit;

import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueConsistentHash;
import org.apache.rocketmq.client.impl.consumer.ProcessQueue;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;

/** Producers and push consumers, each known by the name its start command gave. */
final class Clients {
    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();
    private final Map<String, Consumer> consumers = new ConcurrentHashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("producer_start", this::producerStart);
        commands.put("producer_stop", a -> {
            remove(producers, a).shutdown();
            return null;
        });
        commands.put("send", this::send);
        commands.put("consumer_start", this::consumerStart);
        commands.put("consumer_stop", a -> {
            remove(consumers, a).client.shutdown();
            return null;
        });
        commands.put("consumer_behaviour", a -> {
            get(consumers, a).behave(a);
            return null;
        });
        commands.put("consumed", a -> get(consumers, a).drain());
        commands.put("consumer_queues", a -> queues(get(consumers, a).client));
    }

    private static <T> T get(Map<String, T> table, JSONObject args) {
        T value = table.get(Peer.text(args, "name"));
        if (value == null) {
            throw new IllegalArgumentException("nothing is named " + args.getString("name"));
        }
        return value;
    }

    private static <T> T remove(Map<String, T> table, JSONObject args) {
        T value = get(table, args);
        table.remove(args.getString("name"));
        return value;
    }

    private Object producerStart(JSONObject a) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Peer.text(a, "group"));
        producer.setNamesrvAddr(Peer.text(a, "namesrv"));
        if (a.getString("instance") != null) {
            producer.setInstanceName(a.getString("instance"));
        }
        producer.setEnableTrace(a.getBooleanValue("trace"));
        if (a.getInteger("timeout_ms") != null) {
            producer.setSendMsgTimeout(a.getInteger("timeout_ms"));
        }
        if (a.getInteger("retries") != null) {
            producer.setRetryTimesWhenSendFailed(a.getInteger("retries"));
        }
        if (a.getInteger("compress_over") != null) {
            producer.setCompressMsgBodyOverHowmuch(a.getInteger("compress_over"));
        }
        if (a.getString("compress_type") != null) {
            producer.setCompressType(CompressionType.of(a.getString("compress_type")));
        }
        producer.start();
        producers.put(Peer.text(a, "name"), producer);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("client_id", producer.getDefaultMQProducerImpl().getMqClientFactory().getClientId());
        return result;
    }

    private Object send(JSONObject a) throws Exception {
        DefaultMQProducer producer = get(producers, a);
        int count = a.getIntValue("count", 1);
        int first = a.getIntValue("first", 0);
        List<Message> messages = new ArrayList<>();
        for (int i = first; i < first + count; i++) {
            messages.add(message(a, i));
        }
        List<Object> results = new ArrayList<>();
        MessageQueue queue = a.getInteger("queue_id") == null ? null
            : new MessageQueue(Peer.text(a, "topic"), Peer.text(a, "broker"), a.getInteger("queue_id"));
        if (a.getBooleanValue("batch")) {
            results.add(result(queue == null ? producer.send(messages) : producer.send(messages, queue)));
        } else if (a.getString("hash_key") != null) {
            for (Message message : messages) {
                results.add(result(producer.send(message, new SelectMessageQueueByHash(), a.getString("hash_key"))));
            }
        } else {
            for (Message message : messages) {
                results.add(result(queue == null ? producer.send(message) : producer.send(message, queue)));
            }
        }
        return results;
    }

    private static Message message(JSONObject a, int index) {
        StringBuilder body = new StringBuilder(a.getString("body_prefix") == null ? "" : a.getString("body_prefix"));
        body.append(index);
        char[] padding = new char[Math.max(0, a.getIntValue("body_size", 0) - body.length())];
        Arrays.fill(padding, '.');
        body.append(padding);
        Message message = new Message(Peer.text(a, "topic"), body.toString().getBytes(StandardCharsets.UTF_8));
        if (a.getString("tags") != null) {
            message.setTags(a.getString("tags"));
        }
        if (a.getString("keys") != null) {
            message.setKeys(a.getString("keys"));
        }
        if (a.getInteger("delay_level") != null) {
            message.setDelayTimeLevel(a.getInteger("delay_level"));
        }
        JSONObject properties = a.getJSONObject("properties");
        if (properties != null) {
            properties.forEach((k, v) -> message.putUserProperty(k, String.valueOf(v)));
        }
        return message;
    }

    private static Object result(SendResult sent) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("status", sent.getSendStatus().name());
        map.put("msg_id", sent.getMsgId());
        map.put("offset_msg_id", sent.getOffsetMsgId());
        map.put("broker", sent.getMessageQueue().getBrokerName());
        map.put("queue_id", sent.getMessageQueue().getQueueId());
        map.put("queue_offset", sent.getQueueOffset());
        return map;
    }

    private Object consumerStart(JSONObject a) throws Exception {
        DefaultMQPushConsumer client = new DefaultMQPushConsumer(Peer.text(a, "group"));
        Consumer consumer = new Consumer(client);
        client.setNamesrvAddr(Peer.text(a, "namesrv"));
        if (a.getString("instance") != null) {
            client.setInstanceName(a.getString("instance"));
        }
        if (a.getInteger("heartbeat_ms") != null) {
            client.setHeartbeatBrokerInterval(a.getInteger("heartbeat_ms"));
        }
        client.setEnableTrace(a.getBooleanValue("trace"));
        client.setConsumeFromWhere("FIRST".equals(a.getString("from"))
            ? ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET : ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        if (a.getBoolean("client_rebalance") != null) {
            client.setClientRebalance(a.getBoolean("client_rebalance"));
        }
        if (a.getInteger("max_reconsume") != null) {
            client.setMaxReconsumeTimes(a.getInteger("max_reconsume"));
        }
        if (a.getString("strategy") != null) {
            client.setAllocateMessageQueueStrategy(strategy(a.getString("strategy")));
        }
        if (a.getBooleanValue("broadcast")) {
            client.setMessageModel(MessageModel.BROADCASTING);
        }
        if (a.getInteger("threads") != null) {
            client.setConsumeThreadMin(a.getInteger("threads"));
            client.setConsumeThreadMax(a.getInteger("threads"));
        }
        if (a.getInteger("batch") != null) {
            client.setConsumeMessageBatchMaxSize(a.getInteger("batch"));
        }
        String topic = Peer.text(a, "topic");
        String expression = a.getString("expression") == null ? "*" : a.getString("expression");
        if (a.getBooleanValue("sql")) {
            client.subscribe(topic, MessageSelector.bySql(expression));
        } else {
            client.subscribe(topic, expression);
        }
        consumer.behave(a);
        if (a.getBooleanValue("orderly")) {
            client.registerMessageListener((MessageListenerOrderly) (batch, context) -> consumer.take(batch)
                ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        } else {
            Integer ackFirst = a.getInteger("ack_first");
            client.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
                if (ackFirst != null && batch.get(0).getReconsumeTimes() == 0) {
                    context.setAckIndex(Math.min(ackFirst, batch.size()) - 1);
                }
                return consumer.take(batch)
                    ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
        }
        client.start();
        consumers.put(Peer.text(a, "name"), consumer);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("client_id", client.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId());
        return result;
    }

    static AllocateMessageQueueStrategy strategy(String name) {
        switch (name) {
            case "AVG":
                return new AllocateMessageQueueAveragely();
            case "AVG_BY_CIRCLE":
                return new AllocateMessageQueueAveragelyByCircle();
            case "CONSISTENT_HASH":
                return new AllocateMessageQueueConsistentHash();
            default:
                throw new IllegalArgumentException("unknown strategy " + name);
        }
    }

    private static Object queues(DefaultMQPushConsumer client) {
        List<Object> list = new ArrayList<>();
        Map<MessageQueue, ProcessQueue> table =
            client.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable();
        table.entrySet().stream().sorted(Map.Entry.comparingByKey()).forEach(e -> {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("topic", e.getKey().getTopic());
            map.put("broker", e.getKey().getBrokerName());
            map.put("queue_id", e.getKey().getQueueId());
            map.put("dropped", e.getValue().isDropped());
            map.put("locked", e.getValue().isLocked());
            map.put("cached", e.getValue().getMsgCount().get());
            list.add(map);
        });
        return list;
    }

    /** A push consumer, how its listener behaves, and what it has consumed since the last poll. */
    private static final class Consumer {
        final DefaultMQPushConsumer client;
        private final List<Object> consumed = new ArrayList<>();
        private volatile List<String> failPrefixes = List.of();
        private volatile long delayMs;

        Consumer(DefaultMQPushConsumer client) {
            this.client = client;
        }

        void behave(JSONObject a) {
            JSONArray prefixes = a.getJSONArray("fail_prefixes");
            failPrefixes = prefixes == null ? List.of() : prefixes.toList(String.class);
            delayMs = a.getLongValue("delay_ms", 0);
        }

        /** Records a batch; false if a body asks for failure. */
        boolean take(List<MessageExt> batch) {
            boolean ok = true;
            for (MessageExt message : batch) {
                String body = message.getBody() == null ? "" : new String(message.getBody(), StandardCharsets.UTF_8);
                boolean fails = failPrefixes.stream().anyMatch(body::startsWith);
                ok &= !fails;
                Map<String, Object> map = Codec.message(message);
                map.put("body", body);
                map.put("failed", fails);
                map.put("at_ms", System.currentTimeMillis());
                synchronized (consumed) {
                    consumed.add(map);
                }
            }
            if (delayMs > 0) {
                try {
                    Thread.sleep(delayMs);
                } catch (InterruptedException e) {
                    return false;
                }
            }
            return ok;
        }

        List<Object> drain() {
            synchronized (consumed) {
                List<Object> list = new ArrayList<>(consumed);
                consumed.clear();
                return list;
            }
        }
    }
}
