package rocketmq.testkit;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMachineRoomNearby;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueByConfig;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueByMachineRoom;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueConsistentHash;
import org.apache.rocketmq.common.message.MessageQueue;

/** Which queues each member gets from each of Java's strategies. */
final class GoldenAllocations {
    private static final String TOPIC = "TopicTest";
    private static final String STRANGER = "10.9.9.9@stranger";
    private static final List<String> STRATEGIES = List.of("AVG", "AVG_BY_CIRCLE", "CONSISTENT_HASH",
        "CONSISTENT_HASH_1", "CONFIG", "MACHINE_ROOM", "MACHINE_ROOM_NEARBY-AVG", "MACHINE_ROOM_NEARBY-AVG_BY_CIRCLE",
        "MACHINE_ROOM_NEARBY-CONSISTENT_HASH");

    private final Map<String, List<MessageQueue>> queues = new LinkedHashMap<>();
    private final Map<String, List<String>> members = new LinkedHashMap<>();

    GoldenAllocations() {
        queues("one", "broker-a", 1);
        queues("three", "broker-a", 3);
        queues("eight", "broker-a", 4, "broker-b", 4);
        queues("seventeen", "broker-b", 8, "broker-a", 9);
        queues("sixty", "d", 15, "b", 15, "c", 15, "a", 15);
        queues("unicode", "\u0431\u0440\u043e\u043a\u0435\u0440", 3, "\ud83d\ude00", 2, "\uff5e", 3, "a b\"c\\d", 2);
        queues("at", "idc1@a", 3, "idc1@b", 2, "idc2@a", 4, "idc3@a", 1, "idc1@a@b", 2, "idc2@b@", 1, "@x", 1, "x@", 1,
            "idc1", 2);
        queues("rooms", "r1-a", 5, "r2-a", 3, "r2-b", 2, "r9-z", 4, "\ud83d\ude00-x", 2, "\uff5e-x", 2);
        queues("roomless", "?-a", 1, "r1-a", 2);

        for (int count : new int[] {1, 2, 3, 5, 9, 16}) {
            List<String> ids = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                ids.add("10.0." + i % 3 + "." + (i * 37 % 200 + 1) + "@" + (100 + i) + "#" + (i * 7919L + 1));
            }
            members("m" + count, ids);
        }
        members("ipv6", List.of("[2001:db8:0:0:0:0:0:1]@DEFAULT", "[fe80:0:0:0:0:0:0:1]@12#9", "10.0.0.1@DEFAULT"));
        members("unicode", List.of("10.0.0.1@\u8ba2\u5355", "10.0.0.1@\ud83d\ude00", "10.0.0.1@\uff5e",
            "10.0.0.1@\u00e9", "10.0.0.1@"));
        members("twice", List.of("a@1", "b@1", "b@1", "c@1", "c@1", "c@1"));
        members("prefixes", List.of("c", "c-1", "c-10", "c-1-0"));
        members("rooms", List.of("r1-10.0.0.1@1", "r1-10.0.0.2@1", "r2-10.0.0.3@1", "r3-x@1"));
        members("rooms_twice", List.of("r1-a@1", "r1-a@1", "r2-b@1", "\ud83d\ude00-c@1"));
        members("roomless", List.of("?-a@1", "r1-b@1"));
    }

    List<Map<String, Object>> all() {
        List<Map<String, Object>> lines = new ArrayList<>();
        queues.forEach((name, list) -> lines.add(line("queues", "name", name, "topic", TOPIC, "list", runs(list))));
        members.forEach((name, list) -> lines.add(line("members", "name", name, "list", list)));
        for (String strategy : STRATEGIES) {
            queues.forEach((q, all) -> members.forEach((m, ids) -> {
                List<String> own = new ArrayList<>();
                ids.forEach(id -> own.add(share(strategy, id, all, ids)));
                own.add(share(strategy, STRANGER, all, ids));
                lines.add(line("share", "strategy", strategy, "queues", q, "members", m, "own", own));
            }));
        }
        return lines;
    }

    /** The queues as positions in the sorted list, {@code 0-2,5}; those not in it are counted on; {@code !} if refused. */
    private static String share(String strategy, String id, List<MessageQueue> all, List<String> ids) {
        List<MessageQueue> known = new ArrayList<>(all);
        known.add(ghost());
        try {
            List<Integer> positions = new ArrayList<>();
            strategy(strategy, all).allocate("group_a", id, all, ids).forEach(q -> positions.add(known.indexOf(q)));
            return positions(positions);
        } catch (IllegalArgumentException e) {
            return "!";
        }
    }

    private static AllocateMessageQueueStrategy strategy(String name, List<MessageQueue> all) {
        switch (name) {
            case "AVG":
                return new AllocateMessageQueueAveragely();
            case "AVG_BY_CIRCLE":
                return new AllocateMessageQueueAveragelyByCircle();
            case "CONSISTENT_HASH":
                return new AllocateMessageQueueConsistentHash();
            case "CONSISTENT_HASH_1":
                return new AllocateMessageQueueConsistentHash(1);
            case "CONFIG":
                AllocateMessageQueueByConfig config = new AllocateMessageQueueByConfig();
                config.setMessageQueueList(List.of(all.get(all.size() - 1), all.get(0), ghost()));
                return config;
            case "MACHINE_ROOM":
                AllocateMessageQueueByMachineRoom room = new AllocateMessageQueueByMachineRoom();
                room.setConsumeridcs(new TreeSet<>(List.of("idc1", "idc2", "")));
                return room;
            default:
                return new AllocateMachineRoomNearby(strategy(name.substring(name.indexOf('-') + 1), all), new Rooms());
        }
    }

    /** A queue that no broker has. */
    private static MessageQueue ghost() {
        return new MessageQueue(TOPIC, "ghost", 7);
    }

    private void queues(String name, Object... brokers) {
        TreeSet<MessageQueue> sorted = new TreeSet<>();
        for (int i = 0; i < brokers.length; i += 2) {
            for (int id = 0; id < (Integer) brokers[i + 1]; id++) {
                sorted.add(new MessageQueue(TOPIC, (String) brokers[i], id));
            }
        }
        queues.put(name, new ArrayList<>(sorted));
    }

    private void members(String name, List<String> ids) {
        List<String> sorted = new ArrayList<>(ids);
        sorted.sort(null);
        members.put(name, sorted);
    }

    /** Each broker with how many queues it has. */
    private static Map<String, Integer> runs(List<MessageQueue> queues) {
        Map<String, Integer> counts = new LinkedHashMap<>();
        queues.forEach(q -> counts.merge(q.getBrokerName(), 1, Integer::sum));
        return counts;
    }

    private static String positions(List<Integer> positions) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < positions.size();) {
            int end = i + 1;
            while (end < positions.size() && positions.get(end) == positions.get(end - 1) + 1) {
                end++;
            }
            text.append(text.length() == 0 ? "" : ",").append(positions.get(i));
            if (end > i + 1) {
                text.append('-').append(positions.get(end - 1));
            }
            i = end;
        }
        return text.toString();
    }

    private static Map<String, Object> line(String kind, Object... entries) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("kind", kind);
        for (int i = 0; i < entries.length; i += 2) {
            map.put((String) entries[i], entries[i + 1]);
        }
        return map;
    }

    /** The room is what stands before the first hyphen, and none if that is a question mark. */
    private static final class Rooms implements AllocateMachineRoomNearby.MachineRoomResolver {
        @Override
        public String brokerDeployIn(MessageQueue queue) {
            return room(queue.getBrokerName());
        }

        @Override
        public String consumerDeployIn(String clientId) {
            return room(clientId);
        }

        private static String room(String name) {
            String room = name.split("-")[0];
            return room.equals("?") ? null : room;
        }
    }
}
