package rocketmq.testkit;

import com.alibaba.fastjson2.JSONObject;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Producers of transactions, each known by the name its start command gave. */
final class Transactions {
    private final Map<String, Producer> producers = new ConcurrentHashMap<>();

    void register(Map<String, Peer.Command> commands) {
        commands.put("transactions_start", a -> {
            String name = Peer.text(a, "name");
            Producer producer = new Producer(Peer.text(a, "group"), name, Peer.text(a, "namesrv"));
            producer.client.setEnableTrace(a.getBooleanValue("trace"));
            producer.client.start();
            producers.put(name, producer);
            return null;
        });
        commands.put("transactions_stop", a -> {
            producers.remove(Peer.text(a, "name")).client.shutdown();
            return null;
        });
        commands.put("transactions_send", this::send);
        commands.put("transactions_checked", a -> producers.get(Peer.text(a, "name")).checked());
    }

    private Object send(JSONObject a) throws Exception {
        Message message = new Message(Peer.text(a, "topic"), Peer.text(a, "body").getBytes(StandardCharsets.UTF_8));
        LocalTransactionState state = LocalTransactionState.valueOf(Peer.text(a, "state"));
        return producers.get(Peer.text(a, "name")).client.sendMessageInTransaction(message, state).getMsgId();
    }

    /** A producer that ends transactions as its sender says, and answers checks by what the body begins with. */
    private static final class Producer implements TransactionListener {
        final TransactionMQProducer client;
        private final List<String> checked = new ArrayList<>();

        Producer(String group, String instance, String namesrv) {
            client = new TransactionMQProducer(group);
            client.setNamesrvAddr(namesrv);
            client.setInstanceName(instance);
            client.setSendMsgTimeout(30_000);
            client.setTransactionListener(this);
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object state) {
            return (LocalTransactionState) state;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            String body = new String(message.getBody(), StandardCharsets.UTF_8);
            synchronized (checked) {
                checked.add(body);
            }
            if (body.startsWith("commit")) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }
            return body.startsWith("rollback") ? LocalTransactionState.ROLLBACK_MESSAGE : LocalTransactionState.UNKNOW;
        }

        List<String> checked() {
            synchronized (checked) {
                return new ArrayList<>(checked);
            }
        }
    }
}
