package rocketmq.testkit;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.store.LocalFileOffsetStore;
import org.apache.rocketmq.client.consumer.store.ReadOffsetType;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.common.message.MessageQueue;

/** The offset files of broadcasting members, written and read by Java's own store. */
final class GoldenOffsets {
    private static final AtomicInteger NEXT = new AtomicInteger();

    private final List<Map<String, Object>> lines = new ArrayList<>();

    List<Map<String, Object>> all() throws Exception {
        add("one", queue("TopicTest", "broker-a", 0), 0L);
        add("large", queue("TopicTest", "broker-a", 2147483647), Long.MAX_VALUE);
        add("several", queue("TopicTest", "broker-a", 0), 17L, queue("TopicTest", "broker-b", 1), 4L,
            queue("orders", "broker-a", 0), 1234567890123L, queue("orders", "broker-a", 1), 0L);
        add("odd_names", queue("%RETRY%g", "\u0431\u0440\u043e\u043a\u0435\u0440", 0), 1L,
            queue("T", "\ud83d\ude00", 0), 2L, queue("T", "a b\"c\\d{}:,", 3), 3L, queue("T", "\u0001\t\n", 3), 4L);
        Object[] many = new Object[400];
        for (int i = 0; i < many.length; i += 2) {
            many[i] = queue("TopicTest", "broker-" + i % 14, i / 14);
            many[i + 1] = i * 1001L;
        }
        add("many", many);
        return lines;
    }

    /** What Java's store reads from a file with this text: {@code [{topic, broker, queue_id, offset}]} of the queues. */
    static List<Map<String, Object>> read(String text, List<MessageQueue> queues) throws Exception {
        String id = "golden@" + NEXT.incrementAndGet();
        File file = file(id);
        file.getParentFile().mkdirs();
        Files.write(file.toPath(), text.getBytes(StandardCharsets.UTF_8));
        LocalFileOffsetStore store = store(id);
        store.load();
        List<Map<String, Object>> rows = new ArrayList<>();
        for (MessageQueue queue : queues) {
            rows.add(row(queue, store.readOffset(queue, ReadOffsetType.READ_FROM_MEMORY)));
        }
        return rows;
    }

    private void add(String name, Object... offsets) throws Exception {
        String id = "golden@" + NEXT.incrementAndGet();
        LocalFileOffsetStore store = store(id);
        List<Map<String, Object>> rows = new ArrayList<>();
        java.util.Set<MessageQueue> queues = new java.util.HashSet<>();
        for (int i = 0; i < offsets.length; i += 2) {
            MessageQueue queue = (MessageQueue) offsets[i];
            queues.add(queue);
            store.updateOffset(queue, (Long) offsets[i + 1], false);
            rows.add(row(queue, (Long) offsets[i + 1]));
        }
        store.persistAll(queues);
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("name", name);
        line.put("text", new String(Files.readAllBytes(file(id).toPath()), StandardCharsets.UTF_8));
        line.put("offsets", rows);
        lines.add(line);
    }

    private static LocalFileOffsetStore store(String id) {
        return new LocalFileOffsetStore(new MQClientInstance(new ClientConfig(), 0, id), "group_a");
    }

    private static File file(String id) {
        return new File(LocalFileOffsetStore.LOCAL_OFFSET_STORE_DIR, id + "/group_a/offsets.json");
    }

    private static MessageQueue queue(String topic, String broker, int id) {
        return new MessageQueue(topic, broker, id);
    }

    private static Map<String, Object> row(MessageQueue queue, long offset) {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("topic", queue.getTopic());
        row.put("broker", queue.getBrokerName());
        row.put("queue_id", queue.getQueueId());
        row.put("offset", offset);
        return row;
    }
}
