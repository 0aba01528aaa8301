package rocketmq.testkit;

import com.alibaba.fastjson2.JSONObject;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Those who ask by messages, and those who reply to them. */
final class Requests {
    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();
    private final Map<String, DefaultMQPushConsumer> consumers = new ConcurrentHashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("requests_start", a -> {
            start(a);
            return null;
        });
        commands.put("responder_start", this::respond);
        commands.put("request", this::request);
        commands.put("requests_stop", a -> {
            String name = Peer.text(a, "name");
            DefaultMQPushConsumer consumer = consumers.remove(name);
            if (consumer != null) {
                consumer.shutdown();
            }
            producers.remove(name).shutdown();
            return null;
        });
    }

    private DefaultMQProducer start(JSONObject a) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Peer.text(a, "name"));
        producer.setNamesrvAddr(Peer.text(a, "namesrv"));
        producer.setInstanceName(Peer.text(a, "name"));
        producer.setSendMsgTimeout(30_000);
        producer.start();
        producers.put(Peer.text(a, "name"), producer);
        return producer;
    }

    /** Replies to each message of a topic by its body with an exclamation mark. */
    private Object respond(JSONObject a) throws Exception {
        DefaultMQProducer producer = start(a);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(Peer.text(a, "name"));
        consumer.setNamesrvAddr(Peer.text(a, "namesrv"));
        consumer.setInstanceName(Peer.text(a, "name") + "-consumer");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(Peer.text(a, "topic"), "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, context) -> {
            for (MessageExt message : batch) {
                try {
                    String body = new String(message.getBody(), StandardCharsets.UTF_8) + "!";
                    producer.send(MessageUtil.createReplyMessage(message, body.getBytes(StandardCharsets.UTF_8)));
                } catch (Exception e) {
                    e.printStackTrace();
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        consumers.put(Peer.text(a, "name"), consumer);
        return null;
    }

    private Object request(JSONObject a) throws Exception {
        Message message = new Message(Peer.text(a, "topic"), Peer.text(a, "body").getBytes(StandardCharsets.UTF_8));
        Message reply = producers.get(Peer.text(a, "name")).request(message, a.getLongValue("timeout_ms"));
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("body", new String(reply.getBody(), StandardCharsets.UTF_8));
        result.put("topic", reply.getTopic());
        result.put("type", reply.getProperty("MSG_TYPE"));
        return result;
    }
}
