package rocketmq.testkit;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.common.message.MessageQueue;

/** Writes golden vectors: files with one JSON object per line, all made and read back by the official classes. */
final class Golden {
    private Golden() {
    }

    static Object write(String dir) throws Exception {
        Map<String, Object> counts = new LinkedHashMap<>();
        counts.put("frames.jsonl", file(dir, "frames.jsonl", new GoldenFrames().all()));
        counts.put("bodies.jsonl", file(dir, "bodies.jsonl", new GoldenBodies().all()));
        counts.put("allocations.jsonl", file(dir, "allocations.jsonl", allocations()));
        counts.put("hashes.jsonl", file(dir, "hashes.jsonl", hashes()));
        return counts;
    }

    private static int file(String dir, String name, List<Map<String, Object>> lines) throws IOException {
        StringBuilder text = new StringBuilder();
        for (Map<String, Object> line : lines) {
            text.append(Peer.json(line)).append('\n');
        }
        Files.write(new File(dir, name).toPath(), text.toString().getBytes(StandardCharsets.UTF_8));
        return lines.size();
    }

    /** Which queues each member gets; queues are written as {@code broker:id}, in the order Java returns them. */
    private static List<Map<String, Object>> allocations() {
        List<Map<String, Object>> list = new ArrayList<>();
        for (String strategy : List.of("AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH")) {
            for (int queues : new int[] {1, 3, 8, 17}) {
                for (int members : new int[] {1, 2, 3, 5, 8, 9}) {
                    list.add(allocation(strategy, queues, members));
                }
            }
        }
        return list;
    }

    private static Map<String, Object> allocation(String name, int queues, int members) {
        List<MessageQueue> all = new ArrayList<>();
        for (int i = 0; i < queues; i++) {
            all.add(new MessageQueue("TopicTest", i < (queues + 1) / 2 ? "broker-a" : "broker-b", i / 2));
        }
        all = new ArrayList<>(new java.util.TreeSet<>(all));
        List<String> ids = new ArrayList<>();
        for (int i = 0; i < members; i++) {
            ids.add("10.0.0." + (i * 37 % 200 + 1) + "@" + (100 + i));
        }
        ids.sort(null);
        List<String> inputs = new ArrayList<>();
        all.forEach(q -> inputs.add(q.getBrokerName() + ":" + q.getQueueId()));
        AllocateMessageQueueStrategy strategy = Clients.strategy(name);
        Map<String, Object> owned = new LinkedHashMap<>();
        for (String id : ids) {
            List<String> mine = new ArrayList<>();
            strategy.allocate("group_a", id, all, ids).forEach(q -> mine.add(q.getBrokerName() + ":" + q.getQueueId()));
            owned.put(id, mine);
        }
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("name", name + "_" + queues + "_queues_" + members + "_members");
        map.put("strategy", name);
        map.put("topic", "TopicTest");
        map.put("queues", inputs);
        map.put("members", owned);
        return map;
    }

    /** Java's string hashes, which are tag codes. */
    private static List<Map<String, Object>> hashes() {
        List<Map<String, Object>> list = new ArrayList<>();
        for (String text : List.of("", "a", "TagA", "TagB", "Aa", "BB", "*", "\u4e2d\u6587", "\u00e9t\u00e9",
            "\ud83d\ude00", "x\ud83d\ude80y", "order-created", "polygenelubricants", "%RETRY%group_a",
            "a-rather-long-tag-whose-hash-overflows-thirty-two-bits-many-times-over")) {
            Map<String, Object> map = new LinkedHashMap<>();
            map.put("text", text);
            map.put("hash", text.hashCode());
            list.add(map);
        }
        return list;
    }
}
