package rocketmq.testkit;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes golden vectors: files with one JSON object per line, all made and read back by the official classes. */
final class Golden {
    private Golden() {
    }

    static Object write(String dir) throws Exception {
        Map<String, Object> counts = new LinkedHashMap<>();
        counts.put("frames.jsonl", file(dir, "frames.jsonl", new GoldenFrames().all()));
        counts.put("bodies.jsonl", file(dir, "bodies.jsonl", new GoldenBodies().all()));
        counts.put("allocations.jsonl", file(dir, "allocations.jsonl", new GoldenAllocations().all()));
        counts.put("hashes.jsonl", file(dir, "hashes.jsonl", hashes()));
        counts.put("offsets.jsonl", file(dir, "offsets.jsonl", new GoldenOffsets().all()));
        counts.put("traces.jsonl", file(dir, "traces.jsonl", new GoldenTraces().all()));
        counts.put("signatures.jsonl", file(dir, "signatures.jsonl", new GoldenSignatures().all()));
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
