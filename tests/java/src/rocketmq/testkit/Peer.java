package rocketmq.testkit;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONObject;
import com.alibaba.fastjson2.JSONWriter;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * The official Java client as a servant: one JSON command per input line, one JSON answer per output line.
 *
 * <p>Command: {@code {"id":7,"cmd":"send",...}}. Answer: {@code {"id":7,"ok":true,"result":...}} or
 * {@code {"id":7,"ok":false,"error":"..."}}. Commands run concurrently, so answers may change order.
 * The end of the input ends the process at once, without any orderly shutdown of clients.
 */
public final class Peer {
    interface Command {
        Object run(JSONObject args) throws Exception;
    }

    private static final Map<String, Command> COMMANDS = new TreeMap<>();

    private Peer() {
    }

    public static void main(String[] argv) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err); // whatever libraries print must not mix with answers
        COMMANDS.put("ping", a -> "pong");
        COMMANDS.put("commands", a -> COMMANDS.keySet());
        new Clients().register(COMMANDS);
        new Transactions().register(COMMANDS);
        new Requests().register(COMMANDS);
        Admin admin = new Admin();
        admin.register(COMMANDS);
        new AdminViews(admin).register(COMMANDS);
        new AdminTools(admin).register(COMMANDS);
        new AdminWhole(admin).register(COMMANDS);
        Codec.register(COMMANDS);
        Traces.register(COMMANDS);
        COMMANDS.put("read_offset_file", a -> {
            List<MessageQueue> queues = new ArrayList<>();
            for (Object each : a.getJSONArray("queues")) {
                JSONObject q = (JSONObject) each;
                queues.add(new MessageQueue(text(q, "topic"), text(q, "broker"), q.getIntValue("queue_id")));
            }
            return GoldenOffsets.read(text(a, "text"), queues);
        });
        COMMANDS.put("golden", a -> Golden.write(a.getString("dir")));

        ExecutorService pool = Executors.newCachedThreadPool(r -> {
            Thread thread = new Thread(r, "command");
            thread.setDaemon(true);
            return thread;
        });
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String text = line;
            pool.execute(() -> {
                byte[] answer = (answer(text) + "\n").getBytes(StandardCharsets.UTF_8);
                synchronized (answers) {
                    answers.write(answer, 0, answer.length);
                    answers.flush();
                }
            });
        }
        Runtime.getRuntime().halt(0);
    }

    private static String answer(String line) {
        Map<String, Object> answer = new LinkedHashMap<>();
        try {
            JSONObject args = JSON.parseObject(line);
            answer.put("id", args.get("id"));
            Command command = COMMANDS.get(args.getString("cmd"));
            if (command == null) {
                throw new IllegalArgumentException("unknown command " + args.getString("cmd"));
            }
            Object result = command.run(args);
            answer.put("ok", true);
            answer.put("result", result);
        } catch (Throwable e) {
            e.printStackTrace();
            answer.put("ok", false);
            answer.put("error", e.toString());
        }
        return json(answer);
    }

    /** JSON text of maps, lists and scalars, nulls included. */
    static String json(Object value) {
        return JSON.toJSONString(value, JSONWriter.Feature.WriteMapNullValue);
    }

    static String text(JSONObject args, String key) {
        String value = args.getString(key);
        if (value == null) {
            throw new IllegalArgumentException("missing argument " + key);
        }
        return value;
    }
}
