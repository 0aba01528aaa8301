package rocketmq.testkit;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.AccessChannel;
import org.apache.rocketmq.client.trace.TraceBean;
import org.apache.rocketmq.client.trace.TraceContext;
import org.apache.rocketmq.client.trace.TraceDataEncoder;
import org.apache.rocketmq.client.trace.TraceTransferBean;

/** Trace records as Java reads and writes them. */
final class Traces {
    private Traces() {
    }

    static void register(Map<String, Peer.Command> commands) {
        commands.put("trace_decode", a -> read(Peer.text(a, "text")));
    }

    /** The records of a text, their keys, and the text that Java makes of them. */
    private static Object read(String text) {
        StringBuilder again = new StringBuilder();
        TreeSet<String> keys = new TreeSet<>();
        for (TraceContext context : TraceDataEncoder.decoderFromTraceDataString(text)) {
            context.setAccessChannel(AccessChannel.LOCAL);
            for (TraceBean bean : context.getTraceBeans()) {
                if ("null".equals(bean.getKeys())) {
                    bean.setKeys(null); // as it was before it was written
                }
            }
            TraceTransferBean transfer = TraceDataEncoder.encoderFromContextBean(context);
            again.append(transfer.getTransData());
            keys.addAll(transfer.getTransKey());
        }
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("records", records(text));
        result.put("again", again.toString());
        result.put("keys", keys);
        return result;
    }

    static List<Map<String, Object>> records(String text) {
        List<Map<String, Object>> records = new ArrayList<>();
        for (TraceContext context : TraceDataEncoder.decoderFromTraceDataString(text)) {
            records.add(record(context));
        }
        return records;
    }

    private static Map<String, Object> record(TraceContext context) {
        TraceBean bean = context.getTraceBeans().get(0);
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("type", context.getTraceType().name());
        map.put("msg_id", bean.getMsgId());
        switch (context.getTraceType()) {
            case Pub:
                who(map, context);
                map.put("topic", bean.getTopic());
                map.put("tags", bean.getTags());
                map.put("keys", bean.getKeys());
                map.put("store_host", bean.getStoreHost());
                map.put("body_len", bean.getBodyLength());
                map.put("cost", context.getCostTime());
                map.put("kind", bean.getMsgType().ordinal());
                map.put("offset_msg_id", bean.getOffsetMsgId());
                map.put("success", context.isSuccess());
                break;
            case SubBefore:
                who(map, context);
                map.put("request_id", context.getRequestId());
                map.put("retry_times", bean.getRetryTimes());
                map.put("keys", bean.getKeys());
                break;
            case SubAfter:
                map.put("request_id", context.getRequestId());
                map.put("cost", context.getCostTime());
                map.put("success", context.isSuccess());
                map.put("keys", bean.getKeys());
                map.put("context_code", context.getContextCode());
                // Without a group there is no time either, and Java takes the present one.
                map.put("time", context.getGroupName().isEmpty() ? null : context.getTimeStamp());
                map.put("group", context.getGroupName());
                break;
            case EndTransaction:
                who(map, context);
                map.put("topic", bean.getTopic());
                map.put("tags", bean.getTags());
                map.put("keys", bean.getKeys());
                map.put("store_host", bean.getStoreHost());
                map.put("transaction_id", bean.getTransactionId());
                map.put("state", bean.getTransactionState().name());
                map.put("from_check", bean.isFromTransactionCheck());
                break;
            case Recall:
                who(map, context);
                map.put("topic", bean.getTopic());
                map.put("success", context.isSuccess());
                break;
            default:
                throw new IllegalArgumentException(context.getTraceType().name());
        }
        return map;
    }

    private static void who(Map<String, Object> map, TraceContext context) {
        map.put("time", context.getTimeStamp());
        map.put("region", context.getRegionId());
        map.put("group", context.getGroupName());
    }
}
