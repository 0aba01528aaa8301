package rocketmq.testkit;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.header.EndTransactionRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2;

/** Requests as Java's hook signs them: the fields it leaves, the body, and the signature. */
final class GoldenSignatures {
    private final List<Map<String, Object>> lines = new ArrayList<>();

    List<Map<String, Object>> all() {
        byte[] hello = "hello".getBytes(StandardCharsets.UTF_8);
        add("heartbeat", "rocketmq_user", "12345678", null, 34, null, hello);
        add("empty", "rocketmq_user", "12345678", null, 106, null, null);
        add("session", "rocketmq_user", "12345678", "a token", 34, null, hello);
        add("odd_names", "\u7528\u6237 \"1\"", "\u5bc6\u7801\ud83d\ude00", "\t\\", 34, null, hello);
        add("long_secret", "rocketmq_user", "s".repeat(200), null, 34, null, hello);
        for (String properties : List.of("UNIQ_KEY\u0001K1\u0002TAGS\u0001A\u0002", "k\u0001\u00e4 \u20ac\u0002", "")) {
            SendMessageRequestHeaderV2 send = new SendMessageRequestHeaderV2();
            send.setA("group");
            send.setB("topic");
            send.setC("TBW102");
            send.setD(4);
            send.setE(0);
            send.setF(0);
            send.setG(1700000000000L);
            send.setH(-7);
            send.setI(properties);
            send.setJ(0);
            send.setK(false);
            send.setM(false);
            add("send_" + lines.size(), "rocketmq_user", "12345678", null, 310, send, new byte[] {0, 1, -1, -128, 127});
        }
        PullMessageRequestHeader pull = new PullMessageRequestHeader();
        pull.setConsumerGroup("group");
        pull.setTopic("topic");
        pull.setQueueId(3);
        pull.setQueueOffset(Long.MAX_VALUE);
        pull.setMaxMsgNums(32);
        pull.setSysFlag(6);
        pull.setCommitOffset(0L);
        pull.setSuspendTimeoutMillis(15000L);
        pull.setSubscription("a || b");
        pull.setSubVersion(1L);
        pull.setExpressionType("TAG");
        add("pull", "rocketmq_user", "12345678", null, 11, pull, null);
        EndTransactionRequestHeader end = new EndTransactionRequestHeader();
        end.setProducerGroup("group");
        end.setTranStateTableOffset(1L);
        end.setCommitLogOffset(2L);
        end.setCommitOrRollback(8);
        end.setFromTransactionCheck(false);
        end.setMsgId("K1");
        add("end_transaction", "rocketmq_user", "12345678", "t", 37, end, null);
        return lines;
    }

    private void add(String name, String user, String secret, String token, int code, CommandCustomHeader header,
        byte[] body) {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, header);
        request.setBody(body);
        SessionCredentials credentials = token == null ? new SessionCredentials(user, secret)
            : new SessionCredentials(user, secret, token);
        new AclClientRPCHook(credentials).doBeforeRequest("127.0.0.1:10911", request);
        Map<String, String> fields = new TreeMap<>(request.getExtFields());
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("name", name);
        line.put("access_key", user);
        line.put("secret_key", secret);
        line.put("security_token", token);
        line.put("code", code);
        line.put("signature", fields.remove("Signature"));
        line.put("fields", fields);
        line.put("body", Codec.hex(body == null ? new byte[0] : body));
        lines.add(line);
    }
}
