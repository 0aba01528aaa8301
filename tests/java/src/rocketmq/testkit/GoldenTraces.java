package rocketmq.testkit;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.AccessChannel;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.trace.TraceBean;
import org.apache.rocketmq.client.trace.TraceContext;
import org.apache.rocketmq.client.trace.TraceDataEncoder;
import org.apache.rocketmq.client.trace.TraceTransferBean;
import org.apache.rocketmq.client.trace.TraceType;
import org.apache.rocketmq.common.message.MessageType;

/** Trace records of every type, written and read by Java's own encoder. */
final class GoldenTraces {
    private final List<Map<String, Object>> lines = new ArrayList<>();

    List<Map<String, Object>> all() {
        for (MessageType type : List.of(MessageType.Normal_Msg, MessageType.Trans_Msg_Half, MessageType.Trans_msg_Commit,
            MessageType.Delay_Msg, MessageType.Order_Msg)) {
            TraceBean bean = bean("new", "k1 k2");
            bean.setMsgType(type);
            add("pub_" + type.ordinal(), context(TraceType.Pub, bean));
        }
        TraceBean bare = bean(null, null);
        bare.setMsgType(MessageType.Normal_Msg);
        TraceContext failed = context(TraceType.Pub, bare);
        failed.setSuccess(false);
        add("pub_bare_and_failed", failed);
        add("sub_before", context(TraceType.SubBefore, bean("t", "k1")));
        add("sub_before_bare", context(TraceType.SubBefore, bean(null, null)));
        add("sub_before_batch", context(TraceType.SubBefore, bean("t", "k1"), bean(null, "a b c"), bean("u", null)));
        for (int code = 0; code < 5; code++) {
            TraceContext after = context(TraceType.SubAfter, bean("t", code == 0 ? null : "k1"));
            after.setContextCode(code);
            after.setSuccess(code == 0);
            add("sub_after_" + code, after);
        }
        TraceContext cloud = context(TraceType.SubAfter, bean("t", "k1"));
        cloud.setAccessChannel(AccessChannel.CLOUD);
        add("sub_after_cloud", cloud);
        for (LocalTransactionState state : LocalTransactionState.values()) {
            TraceBean bean = bean("t", state == LocalTransactionState.UNKNOW ? null : "k1");
            bean.setMsgType(MessageType.Trans_msg_Commit);
            bean.setTransactionState(state);
            bean.setTransactionId("7F000001");
            bean.setFromTransactionCheck(state == LocalTransactionState.ROLLBACK_MESSAGE);
            add("end_transaction_" + state.name().toLowerCase(), context(TraceType.EndTransaction, bean));
        }
        add("recall", context(TraceType.Recall, bean(null, "")));
        return lines;
    }

    private static TraceBean bean(String tags, String keys) {
        TraceBean bean = new TraceBean();
        bean.setTopic("TopicTest");
        bean.setMsgId("7F0000010001");
        bean.setOffsetMsgId("7F00000100002A9F0000000000000000");
        bean.setTags(tags);
        bean.setKeys(keys);
        bean.setStoreHost("10.0.0.1:10911");
        bean.setBodyLength(26);
        bean.setRetryTimes(3);
        return bean;
    }

    private static TraceContext context(TraceType type, TraceBean... beans) {
        TraceContext context = new TraceContext();
        context.setTraceType(type);
        context.setTimeStamp(1700000000123L);
        context.setRegionId("DefaultRegion");
        context.setGroupName("group_a");
        context.setCostTime(15);
        context.setRequestId("7F0000010002");
        context.setAccessChannel(AccessChannel.LOCAL);
        context.setTraceBeans(List.of(beans));
        return context;
    }

    private void add(String name, TraceContext context) {
        TraceTransferBean transfer = TraceDataEncoder.encoderFromContextBean(context);
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("name", name);
        line.put("text", transfer.getTransData());
        line.put("keys", new TreeSet<>(transfer.getTransKey()));
        line.put("records", Traces.records(transfer.getTransData()));
        lines.add(line);
    }
}
