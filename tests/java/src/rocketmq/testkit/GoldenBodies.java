package rocketmq.testkit;

import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.compression.CompressorFactory;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.common.message.MessageVersion;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.store.MessageExtEncoder;
import org.apache.rocketmq.store.config.MessageStoreConfig;

/** Bodies of pull replies: concatenations of stored messages, made by the broker's and the client's encoders. */
final class GoldenBodies {
    private static final String UNIQ = "7F00000100010000000000000000000";
    // Position of the physical offset in a record; the broker fills it in after encoding.
    private static final int PHYSICAL_OFFSET_AT = 28;

    private final List<Map<String, Object>> out = new ArrayList<>();
    private final MessageExtEncoder encoder = new MessageExtEncoder(new MessageStoreConfig());

    List<Map<String, Object>> all() throws Exception {
        plain();
        hosts();
        properties();
        compressed();
        kinds();
        return out;
    }

    /** Three small records, for a pull reply. */
    byte[] small() throws Exception {
        return concat(store(message(0, "m0")), store(message(1, "m1")), store(message(2, "\u4e2d\u6587")));
    }

    /** A half message as a transaction check carries it. */
    byte[] half() throws Exception {
        MessageExtBrokerInner half = message(9, "half");
        half.setTopic("TopicTest");
        half.setSysFlag(MessageSysFlag.TRANSACTION_PREPARED_TYPE);
        half.setPropertiesString("PGROUP\u0001producer_group\u0002TRAN_MSG\u0001true\u0002__transactionId__\u0001" + UNIQ
            + "9\u0002UNIQ_KEY\u0001" + UNIQ + "9\u0002REAL_TOPIC\u0001TopicTest\u0002REAL_QID\u00012\u0002");
        return store(half);
    }

    private void plain() throws Exception {
        add("one", store(message(0, "hello")));
        add("three", small());
        byte[][] many = new byte[32][];
        for (int i = 0; i < many.length; i++) {
            many[i] = store(message(i, "message number " + i));
        }
        add("thirty_two", concat(many));
        add("none");
        add("empty_body", store(message(0, "")), store(message(1, "after")));
        add("client_encoder", MessageDecoder.encode(client(message(3, "by MessageDecoder.encode")), false));
        MessageExtBrokerInner extreme = message(0, "extreme numbers");
        extreme.setQueueId(Integer.MAX_VALUE);
        extreme.setQueueOffset(Long.MAX_VALUE);
        extreme.setFlag(-1);
        extreme.setBornTimestamp(-1);
        extreme.setStoreTimestamp(Long.MIN_VALUE);
        extreme.setReconsumeTimes(Integer.MAX_VALUE);
        extreme.setPreparedTransactionOffset(-5);
        extreme.setBodyCRC(0);
        add("extreme_numbers", store(extreme));
        MessageExtBrokerInner topic = message(0, "127 bytes of topic");
        topic.setTopic("T".repeat(127));
        add("v1_topic_127", store(topic));
    }

    private void hosts() throws Exception {
        for (boolean second : new boolean[] {false, true}) {
            for (boolean bornSix : new boolean[] {false, true}) {
                for (boolean storeSix : new boolean[] {false, true}) {
                    MessageExtBrokerInner message = hosted(message(4, "hosts"), bornSix, storeSix);
                    message.setVersion(second ? MessageVersion.MESSAGE_VERSION_V2 : MessageVersion.MESSAGE_VERSION_V1);
                    add((second ? "v2" : "v1") + "_born" + (bornSix ? 6 : 4) + "_store" + (storeSix ? 6 : 4),
                        store(message), store(message(5, "next")));
                }
            }
        }
        for (int length : new int[] {128, 200, 255, 256, 1000}) {
            MessageExtBrokerInner message = message(0, "long topic");
            message.setVersion(MessageVersion.MESSAGE_VERSION_V2);
            message.setTopic("%RETRY%" + "g".repeat(length - 7));
            add("v2_topic_" + length, store(message), store(message(1, "next")));
        }
        MessageExtBrokerInner second = message(1, "second version, short topic");
        second.setVersion(MessageVersion.MESSAGE_VERSION_V2);
        add("v1_v2_v1", store(message(0, "first")), store(second), store(message(2, "first again")));
    }

    private void properties() throws Exception {
        Map<String, String> texts = new LinkedHashMap<>();
        texts.put("absent", null);
        texts.put("empty", "");
        texts.put("without_last_separator", "UNIQ_KEY\u0001" + UNIQ + "0\u0002TAGS\u0001TagA");
        texts.put("single", "TAGS\u0001TagA\u0002");
        texts.put("empty_value", "A\u0001\u0002BB\u0001\u0002C\u00011\u0002");
        texts.put("empty_key", "\u0001xx\u0002C\u00011\u0002");
        texts.put("no_pair", "abcdef\u0002C\u00011\u0002");
        texts.put("short_segments", "a\u0002\u0002ab\u0002a\u0001\u0002C\u00011\u0002");
        texts.put("value_with_separator", "K\u0001a\u0001b\u0001\u0002C\u00011\u0002");
        texts.put("duplicate_key", "K\u00011\u0002K\u00012\u0002");
        texts.put("unicode", "\u952e\u0001\u503c \ud83d\ude00\u0002TAGS\u0001\u4e2d\u6587\u0002");
        texts.put("broker_like", "CLUSTER\u0001DefaultCluster\u0002MSG_REGION\u0001DefaultRegion\u0002TRACE_ON\u0001true\u0002"
            + "UNIQ_KEY\u0001" + UNIQ + "0\u0002KEYS\u0001k1 k2\u0002TAGS\u0001TagA\u0002WAIT\u0001true\u0002DELAY\u00013\u0002");
        StringBuilder many = new StringBuilder();
        for (int i = 0; i < 300; i++) {
            many.append("key").append(i).append('\u0001').append("value").append(i * i).append('\u0002');
        }
        texts.put("many", many.toString());
        for (Map.Entry<String, String> text : texts.entrySet()) {
            MessageExtBrokerInner message = message(0, "properties");
            message.setPropertiesString(text.getValue());
            add("properties_" + text.getKey(), store(message), store(message(1, "next")));
        }
        MessageExtBrokerInner longest = message(0, "");
        longest.setPropertiesString("K\u0001" + "v".repeat(Short.MAX_VALUE - 3) + "\u0002");
        add("properties_32767_bytes", store(longest));
        MessageExtBrokerInner crc = message(0, "crc property");
        ByteBuffer property = ByteBuffer.allocate(64);
        MessageDecoder.createCrc32(property, 907060870);
        property.flip();
        crc.setPropertiesString("TAGS\u0001TagA\u0002" + StandardCharsets.UTF_8.decode(property));
        add("properties_crc32", store(crc));
    }

    private void compressed() throws Exception {
        byte[] same = new byte[5000];
        java.util.Arrays.fill(same, (byte) 'z');
        byte[] noise = new byte[1500];
        new java.util.Random(7).nextBytes(noise);
        StringBuilder words = new StringBuilder();
        for (int i = 0; words.length() < 6000; i++) {
            words.append("order ").append(i * 7919 % 1000).append(" \u4e2d\u6587 created; ");
        }
        byte[] text = words.toString().getBytes(StandardCharsets.UTF_8);
        for (CompressionType type : List.of(CompressionType.ZLIB, CompressionType.LZ4, CompressionType.ZSTD)) {
            add("compressed_" + type + "_same", store(compressed(type, 5, same, type.getCompressionFlag())));
            add("compressed_" + type + "_noise", store(compressed(type, 5, noise, type.getCompressionFlag())),
                store(message(1, "next")));
            add("compressed_" + type + "_tiny", store(compressed(type, 5, new byte[] {'x'}, type.getCompressionFlag())));
            for (int level : new int[] {1, 5, 9}) {
                add("compressed_" + type + "_text_level_" + level,
                    store(compressed(type, level, text, type.getCompressionFlag())));
            }
        }
        // Clients before 5.0 name no type: it is ZLIB.
        add("compressed_without_type", store(compressed(CompressionType.ZLIB, 5, same, 0)));
        add("mixed_compression", store(compressed(CompressionType.LZ4, 5, text, CompressionType.LZ4.getCompressionFlag())),
            store(message(1, "plain")),
            store(compressed(CompressionType.ZSTD, 5, text, CompressionType.ZSTD.getCompressionFlag())));
        MessageExt byClient = client(message(6, "z".repeat(4096)));
        byClient.setSysFlag(MessageSysFlag.COMPRESSED_FLAG | CompressionType.ZSTD.getCompressionFlag());
        add("compressed_by_client_encoder", MessageDecoder.encode(byClient, true));
        // Type bits without the compressed bit mean nothing.
        MessageExtBrokerInner typeOnly = message(0, "not compressed");
        typeOnly.setSysFlag(CompressionType.LZ4.getCompressionFlag());
        add("type_bits_only", store(typeOnly));
    }

    private MessageExtBrokerInner compressed(CompressionType type, int level, byte[] body, int typeFlag) throws Exception {
        MessageExtBrokerInner message = message(0, "");
        byte[] packed = CompressorFactory.getCompressor(type).compress(body, level);
        message.setBody(packed);
        message.setBodyCRC(UtilAll.crc32(packed));
        message.setSysFlag(MessageSysFlag.COMPRESSED_FLAG | typeFlag);
        return message;
    }

    private void kinds() throws Exception {
        add("half", half());
        int[] types = {MessageSysFlag.TRANSACTION_COMMIT_TYPE, MessageSysFlag.TRANSACTION_ROLLBACK_TYPE};
        for (int type : types) {
            MessageExtBrokerInner message = message(2, "transaction");
            message.setSysFlag(type);
            message.setPreparedTransactionOffset(4660);
            add("transaction_" + type, store(message));
        }
        MessageExtBrokerInner multi = message(0, "multi tags");
        multi.setSysFlag(MessageSysFlag.MULTI_TAGS_FLAG);
        add("multi_tags_flag", store(multi));
        MessageExtBrokerInner retried = message(8, "again");
        retried.setTopic("%RETRY%group_a");
        retried.setReconsumeTimes(3);
        retried.setPropertiesString("RETRY_TOPIC\u0001TopicTest\u0002ORIGIN_MESSAGE_ID\u0001" + UNIQ
            + "8\u0002MAX_RECONSUME_TIMES\u000116\u0002REAL_TOPIC\u0001%RETRY%group_a\u0002REAL_QID\u00010\u0002DELAY\u00015\u0002");
        add("retry", store(retried));
        add("inner_batch", store(batch(10, 3, false)), store(message(13, "after the batch")));
        add("inner_batch_of_one", store(batch(0, 1, false)));
        add("inner_batch_ipv6_v2", store(batch(20, 4, true)));
        MessageExtBrokerInner wrapped = batch(0, 2, false);
        wrapped.setSysFlag(MessageSysFlag.INNER_BATCH_FLAG); // without NEED_UNWRAP it stays one message
        add("inner_batch_not_unwrapped", store(wrapped));
    }

    private MessageExtBrokerInner batch(long queueOffset, int count, boolean wide) throws Exception {
        List<Message> items = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Message item = new Message("TopicTest", i % 2 == 0 ? "TagA" : "TagB", "k" + i,
                ("item " + i).getBytes(StandardCharsets.UTF_8));
            item.setFlag(i);
            item.putUserProperty("n", "\u4e2d" + i);
            if (i < 3) { // the fourth has none
                MessageAccessor.putProperty(item, MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, UNIQ + i);
            }
            items.add(item);
        }
        MessageExtBrokerInner outer = message(queueOffset, "");
        byte[] body = MessageDecoder.encodeMessages(items);
        outer.setBody(body);
        outer.setBodyCRC(UtilAll.crc32(body));
        outer.setPropertiesString("INNER_NUM\u0001" + count + "\u0002INNER_BASE\u0001" + queueOffset + "\u0002UNIQ_KEY\u0001" + UNIQ + "0\u0002");
        outer.setSysFlag(MessageSysFlag.INNER_BATCH_FLAG | MessageSysFlag.NEED_UNWRAP_FLAG);
        if (wide) {
            hosted(outer, true, true);
            outer.setVersion(MessageVersion.MESSAGE_VERSION_V2);
        }
        return outer;
    }

    private static MessageExtBrokerInner message(long queueOffset, String body) throws Exception {
        MessageExtBrokerInner message = new MessageExtBrokerInner();
        message.setTopic("TopicTest");
        message.setBody(body.getBytes(StandardCharsets.UTF_8));
        message.setBodyCRC(UtilAll.crc32(message.getBody()));
        message.setQueueId(2);
        message.setQueueOffset(queueOffset);
        message.setCommitLogOffset(4660 + queueOffset * 256);
        message.setBornTimestamp(1700000000000L + queueOffset);
        message.setStoreTimestamp(1700000000100L + queueOffset);
        message.setPropertiesString("UNIQ_KEY\u0001" + UNIQ + Long.toHexString(queueOffset & 15).toUpperCase(java.util.Locale.ROOT)
            + "\u0002TAGS\u0001TagA\u0002");
        return hosted(message, false, false);
    }

    private static MessageExtBrokerInner hosted(MessageExtBrokerInner message, boolean bornSix, boolean storeSix)
        throws Exception {
        byte[] six = {0x20, 0x01, 0x0d, (byte) 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
        message.setBornHost(new InetSocketAddress(
            InetAddress.getByAddress(bornSix ? six : new byte[] {10, 0, 0, 1}), 54321));
        message.setStoreHost(new InetSocketAddress(
            InetAddress.getByAddress(storeSix ? six : new byte[] {(byte) 192, (byte) 168, 1, 2}), 10911));
        if (bornSix) {
            message.setBornHostV6Flag();
        }
        if (storeSix) {
            message.setStoreHostAddressV6Flag();
        }
        return message;
    }

    /** The same message in the form which the client's encoder wants. */
    private static MessageExt client(MessageExtBrokerInner inner) {
        MessageExt message = new MessageExt();
        message.setTopic(inner.getTopic());
        message.setBody(inner.getBody());
        message.setBodyCRC(inner.getBodyCRC());
        message.setQueueId(inner.getQueueId());
        message.setQueueOffset(inner.getQueueOffset());
        message.setCommitLogOffset(inner.getCommitLogOffset());
        message.setBornTimestamp(inner.getBornTimestamp());
        message.setStoreTimestamp(inner.getStoreTimestamp());
        message.setBornHost(inner.getBornHost());
        message.setStoreHost(inner.getStoreHost());
        message.setKeys("k1");
        message.setTags("TagA");
        return message;
    }

    private byte[] store(MessageExtBrokerInner message) {
        if (encoder.encode(message) != null) {
            throw new IllegalStateException("the store's encoder refuses this message");
        }
        ByteBuffer buffer = encoder.getEncoderBuffer();
        byte[] bytes = new byte[buffer.getInt(0)];
        buffer.get(bytes);
        ByteBuffer.wrap(bytes).putLong(PHYSICAL_OFFSET_AT, message.getCommitLogOffset());
        return bytes;
    }

    private static byte[] concat(byte[]... records) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] record : records) {
            all.write(record, 0, record.length);
        }
        return all.toByteArray();
    }

    private void add(String name, byte[]... records) throws Exception {
        byte[] body = concat(records);
        List<Map<String, Object>> messages = Codec.messages(body);
        if (name.indexOf("32767") < 0 && records.length > 0 && messages.size() < records.length) {
            throw new IllegalStateException(name + ": Java reads only " + messages.size() + " messages back");
        }
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("name", name);
        map.put("hex", Codec.hex(body));
        map.put("messages", messages);
        out.add(map);
    }
}
