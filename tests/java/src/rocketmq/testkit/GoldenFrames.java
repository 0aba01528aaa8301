package rocketmq.testkit;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.apache.rocketmq.common.BoundaryType;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.filter.ExpressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.FastCodesHeader;
import org.apache.rocketmq.remoting.protocol.LanguageCode;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.SerializeType;
import org.apache.rocketmq.remoting.protocol.body.LockBatchRequestBody;
import org.apache.rocketmq.remoting.protocol.body.LockBatchResponseBody;
import org.apache.rocketmq.remoting.protocol.body.UnlockBatchRequestBody;
import org.apache.rocketmq.remoting.protocol.filter.FilterAPI;
import org.apache.rocketmq.remoting.protocol.header.*;
import org.apache.rocketmq.remoting.protocol.header.namesrv.GetRouteInfoRequestHeader;
import org.apache.rocketmq.remoting.protocol.heartbeat.ConsumeType;
import org.apache.rocketmq.remoting.protocol.heartbeat.ConsumerData;
import org.apache.rocketmq.remoting.protocol.heartbeat.HeartbeatData;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.remoting.protocol.heartbeat.ProducerData;
import org.apache.rocketmq.remoting.protocol.heartbeat.SubscriptionData;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;

/** Whole frames of the codes which a client meets first, in both header codecs. */
final class GoldenFrames {
    private static final String TOPIC = "TopicTest";
    private static final String GROUP = "group_a";
    private static final String UNIQ = "7F000001000100000000000000000001";
    private static final String OFFSET_ID = "7F00000100002A9F0000000000001234";

    private final List<Map<String, Object>> out = new ArrayList<>();
    private int opaque = 1;

    List<Map<String, Object>> all() throws Exception {
        routes();
        heartbeats();
        sends();
        pulls();
        offsets();
        groups();
        fromServer();
        envelopes();
        return out;
    }

    private void routes() throws Exception {
        request("route", RequestCode.GET_ROUTEINFO_BY_TOPIC, with(new GetRouteInfoRequestHeader(), h -> h.setTopic(TOPIC)));
        request("route_standard_json", RequestCode.GET_ROUTEINFO_BY_TOPIC, with(new GetRouteInfoRequestHeader(), h -> {
            h.setTopic("%RETRY%" + GROUP);
            h.setAcceptStandardJsonOnly(true);
            h.setNamespace("");
        }));
        TopicRouteData route = new TopicRouteData();
        QueueData queue = new QueueData();
        queue.setBrokerName("broker-a");
        queue.setPerm(6);
        queue.setReadQueueNums(8);
        queue.setWriteQueueNums(4);
        route.getQueueDatas().add(queue);
        BrokerData broker = new BrokerData("DefaultCluster", "broker-a", new java.util.HashMap<>());
        broker.getBrokerAddrs().put(0L, "10.0.0.1:10911");
        broker.getBrokerAddrs().put(1L, "[2001:db8::1]:10911");
        route.getBrokerDatas().add(broker);
        response("route_reply", ResponseCode.SUCCESS, null, null, route.encode());
        response("route_unknown_topic", ResponseCode.TOPIC_NOT_EXIST, "No topic route info in name server for the topic: X",
            null, null);
    }

    private void heartbeats() throws Exception {
        HeartbeatData producer = new HeartbeatData();
        producer.setClientID("10.0.0.1@4711#1");
        ProducerData data = new ProducerData();
        data.setGroupName("producer_group");
        producer.getProducerDataSet().add(data);
        request("heartbeat_producer", RequestCode.HEART_BEAT, null, producer.encode());
        HeartbeatData consumer = new HeartbeatData();
        consumer.setClientID("10.0.0.1@DEFAULT");
        consumer.setHeartbeatFingerprint(-1234567890);
        ConsumerData member = new ConsumerData();
        member.setGroupName(GROUP);
        member.setConsumeType(ConsumeType.CONSUME_PASSIVELY);
        member.setMessageModel(MessageModel.CLUSTERING);
        member.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        for (SubscriptionData subscription : List.of(FilterAPI.buildSubscriptionData(TOPIC, "TagA || \u4e2d\u6587"),
            FilterAPI.buildSubscriptionData("%RETRY%" + GROUP, "*"),
            FilterAPI.build("TopicSql", "a > 5 AND b = 'x'", ExpressionType.SQL92))) {
            subscription.setSubVersion(1700000000000L);
            member.getSubscriptionDataSet().add(subscription);
        }
        consumer.getConsumerDataSet().add(member);
        request("heartbeat_consumer", RequestCode.HEART_BEAT, new HeartbeatRequestHeader(), consumer.encode());
        consumer.getConsumerDataSet().clear();
        consumer.setWithoutSub(true);
        request("heartbeat_light", RequestCode.HEART_BEAT, new HeartbeatRequestHeader(), consumer.encode());
        for (String changed : List.of("true", "false")) {
            add("heartbeat_reply_sub_change_" + changed, () -> {
                RemotingCommand reply = RemotingCommand.createResponseCommand(ResponseCode.SUCCESS, null);
                reply.addExtField("IS_SUPPORT_HEART_BEAT_V2", "true");
                reply.addExtField("IS_SUB_CHANGE", changed);
                return reply;
            }, null, null);
        }
        response("heartbeat_reply_plain", ResponseCode.SUCCESS, null, null, null);
        request("unregister_producer", RequestCode.UNREGISTER_CLIENT, with(new UnregisterClientRequestHeader(), h -> {
            h.setClientID("10.0.0.1@4711#1");
            h.setProducerGroup("producer_group");
        }));
        request("unregister_consumer", RequestCode.UNREGISTER_CLIENT, with(new UnregisterClientRequestHeader(), h -> {
            h.setClientID("10.0.0.1@4711#1");
            h.setConsumerGroup(GROUP);
            h.setBname("broker-a");
        }));
    }

    private static SendMessageRequestHeaderV2 send(String topic, String properties) {
        SendMessageRequestHeaderV2 h = new SendMessageRequestHeaderV2();
        h.setA("producer_group");
        h.setB(topic);
        h.setC("TBW102");
        h.setD(4);
        h.setE(3);
        h.setF(0);
        h.setG(1700000000123L);
        h.setH(0);
        h.setI(properties);
        h.setJ(0);
        h.setK(false);
        h.setM(false);
        return h;
    }

    private void sends() throws Exception {
        String properties = "UNIQ_KEY\u0001" + UNIQ + "\u0002WAIT\u0001true\u0002";
        byte[] body = utf8("hello \u4e2d\u6587 \ud83d\ude00");
        request("send_v2", RequestCode.SEND_MESSAGE_V2, send(TOPIC, properties), body);
        request("send_v2_without_properties", RequestCode.SEND_MESSAGE_V2, with(send(TOPIC, null), h -> {
            h.setJ(null);
            h.setK(null);
            h.setM(null);
        }), utf8("x"));
        request("send_v2_empty_body", RequestCode.SEND_MESSAGE_V2, send(TOPIC, properties), new byte[0]);
        request("send_v2_half", RequestCode.SEND_MESSAGE_V2, with(send(TOPIC, properties
            + "TRAN_MSG\u0001true\u0002PGROUP\u0001producer_group\u0002"), h -> h.setF(4)), body);
        request("send_v2_compressed_flags", RequestCode.SEND_MESSAGE_V2, with(send(TOPIC, properties), h -> h.setF(0x301)), body);
        request("send_v2_retry_topic", RequestCode.SEND_MESSAGE_V2, with(send("%RETRY%" + GROUP, properties
            + "RETRY_TOPIC\u0001TopicTest\u0002DELAY\u00013\u0002"), h -> {
                h.setJ(7);
                h.setL(16);
            }), body);
        request("send_v2_negative_numbers", RequestCode.SEND_MESSAGE_V2, with(send(TOPIC, properties), h -> {
            h.setE(-1);
            h.setF(Integer.MIN_VALUE);
            h.setG(Long.MIN_VALUE);
            h.setH(-7);
            h.setBname("broker-\u4e2d");
        }), body);
        request("send_v2_long_properties", RequestCode.SEND_MESSAGE_V2,
            send(TOPIC, properties + "LONG\u0001" + "0123456789".repeat(800) + "\u0002"), body);
        request("send_v2_quotes_and_controls", RequestCode.SEND_MESSAGE_V2,
            send(TOPIC, "K\u0001\"\\/\b\f\n\r\t\u007f\u0002Q\u0001'<>&\u2028\u2029\u0002"), body);
        request("send_v1", RequestCode.SEND_MESSAGE,
            SendMessageRequestHeaderV2.createSendMessageRequestHeaderV1(send(TOPIC, properties)), body);
        request("send_reply_v2", RequestCode.SEND_REPLY_MESSAGE_V2, send("DefaultCluster_REPLY_TOPIC", properties
            + "CORRELATION_ID\u0001c-1\u0002REPLY_TO_CLIENT\u000110.0.0.1@1\u0002MSG_TYPE\u0001reply\u0002"), body);
        List<Message> batch = new ArrayList<>();
        for (String text : List.of("b1", "b2", "\u4e2d\u6587")) {
            Message message = new Message(TOPIC, "TagA", text, utf8(text));
            message.putUserProperty("n", text);
            batch.add(message);
        }
        request("send_batch", RequestCode.SEND_BATCH_MESSAGE, with(send(TOPIC, properties), h -> h.setM(true)),
            MessageDecoder.encodeMessages(batch));
        reply("send_reply", ResponseCode.SUCCESS, null, with(new SendMessageResponseHeader(), h -> {
            h.setMsgId(OFFSET_ID);
            h.setQueueId(3);
            h.setQueueOffset(42L);
            h.setTransactionId(UNIQ);
        }), null);
        reply("send_reply_minimal", ResponseCode.SUCCESS, null, with(new SendMessageResponseHeader(), h -> {
            h.setMsgId(OFFSET_ID);
            h.setQueueId(0);
            h.setQueueOffset(0L);
        }), null);
        reply("send_reply_flush_slave_timeout", ResponseCode.FLUSH_SLAVE_TIMEOUT, "", with(new SendMessageResponseHeader(), h -> {
            h.setMsgId(OFFSET_ID + "," + OFFSET_ID);
            h.setQueueId(-1);
            h.setQueueOffset(Long.MAX_VALUE);
            h.setBatchUniqId(UNIQ + "," + UNIQ);
            h.setRecallHandle("djEgVG9waWNUZXN0IGJyb2tlci1hIDE3MDAwMDAwMDAwMDEgMA==");
        }), null);
        response("send_reply_busy", ResponseCode.SYSTEM_BUSY,
            "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while", null, null);
        request("end_transaction", RequestCode.END_TRANSACTION, with(new EndTransactionRequestHeader(), h -> {
            h.setTopic(TOPIC);
            h.setProducerGroup("producer_group");
            h.setTranStateTableOffset(5L);
            h.setCommitLogOffset(4660L);
            h.setCommitOrRollback(8);
            h.setFromTransactionCheck(true);
            h.setMsgId(UNIQ);
            h.setTransactionId(UNIQ);
        }));
    }

    private void pulls() throws Exception {
        Supplier<PullMessageRequestHeader> full = () -> with(new PullMessageRequestHeader(), h -> {
            h.setConsumerGroup(GROUP);
            h.setTopic(TOPIC);
            h.setQueueId(7);
            h.setQueueOffset(1234567890123L);
            h.setMaxMsgNums(32);
            h.setSysFlag(7);
            h.setCommitOffset(1234567890100L);
            h.setSuspendTimeoutMillis(15000L);
            h.setSubscription("TagA || \u4e2d\u6587");
            h.setSubVersion(1700000000000L);
            h.setExpressionType("TAG");
            h.setMaxMsgBytes(Integer.MAX_VALUE);
            h.setRequestSource(0);
            h.setBname("broker-a");
        });
        request("pull_full", RequestCode.PULL_MESSAGE, full.get());
        request("pull_without_subscription", RequestCode.PULL_MESSAGE, with(full.get(), h -> {
            h.setSubscription(null);
            h.setExpressionType(null);
            h.setMaxMsgBytes(null);
            h.setRequestSource(null);
            h.setBname(null);
        }));
        request("pull_negative", RequestCode.PULL_MESSAGE, with(full.get(), h -> {
            h.setQueueId(-1);
            h.setQueueOffset(-1L);
            h.setCommitOffset(Long.MIN_VALUE);
            h.setMaxMsgNums(Integer.MIN_VALUE);
        }));
        request("pull_sql", RequestCode.PULL_MESSAGE, with(full.get(), h -> {
            h.setExpressionType("SQL92");
            h.setSubscription("a BETWEEN 0 AND 3 AND s = 'it''s \"quoted\"'");
            h.setProxyFrowardClientId("10.0.0.1@x");
        }));
        request("lite_pull", RequestCode.LITE_PULL_MESSAGE, full.get());
        GoldenBodies bodies = new GoldenBodies();
        Consumer<PullMessageResponseHeader> four = h -> {
            h.setSuggestWhichBrokerId(0L);
            h.setNextBeginOffset(3L);
            h.setMinOffset(0L);
            h.setMaxOffset(3L);
        };
        reply("pull_found", ResponseCode.SUCCESS, "FOUND", with(new PullMessageResponseHeader(), h -> {
            four.accept(h);
            h.setTopicSysFlag(0);
            h.setGroupSysFlag(0);
        }), bodies.small());
        reply("pull_found_all_fields", ResponseCode.SUCCESS, "FOUND", with(new PullMessageResponseHeader(), h -> {
            four.accept(h);
            h.setSuggestWhichBrokerId(1L);
            h.setOffsetDelta(-5L);
            h.setTopicSysFlag(3);
            h.setGroupSysFlag(1);
            h.setForbiddenType(2);
        }), bodies.small());
        reply("pull_not_found", ResponseCode.PULL_NOT_FOUND, "NO_MESSAGE_IN_QUEUE",
            with(new PullMessageResponseHeader(), four), null);
        reply("pull_retry", ResponseCode.PULL_RETRY_IMMEDIATELY, null, with(new PullMessageResponseHeader(), four), null);
        reply("pull_offset_moved", ResponseCode.PULL_OFFSET_MOVED, "OFFSET_TOO_SMALL",
            with(new PullMessageResponseHeader(), h -> {
                h.setSuggestWhichBrokerId(0L);
                h.setNextBeginOffset(Long.MAX_VALUE);
                h.setMinOffset(-1L);
                h.setMaxOffset(Long.MIN_VALUE);
            }), null);
        response("pull_subscription_not_latest", ResponseCode.SUBSCRIPTION_NOT_LATEST,
            "the consumer's subscription not latest", null, null);
    }

    private void offsets() throws Exception {
        for (Boolean zero : new Boolean[] {null, false, true}) {
            request("query_offset_zero_" + zero, RequestCode.QUERY_CONSUMER_OFFSET,
                with(new QueryConsumerOffsetRequestHeader(), h -> {
                    h.setConsumerGroup(GROUP);
                    h.setTopic(TOPIC);
                    h.setQueueId(2);
                    h.setSetZeroIfNotFound(zero);
                }));
        }
        reply("query_offset_reply", ResponseCode.SUCCESS, null,
            with(new QueryConsumerOffsetResponseHeader(), h -> h.setOffset(9007199254740993L)), null);
        response("query_offset_not_found", ResponseCode.QUERY_NOT_FOUND,
            "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first", null, null);
        add("update_offset", () -> {
            RemotingCommand command = RemotingCommand.createRequestCommand(RequestCode.UPDATE_CONSUMER_OFFSET,
                with(new UpdateConsumerOffsetRequestHeader(), h -> {
                    h.setConsumerGroup(GROUP);
                    h.setTopic(TOPIC);
                    h.setQueueId(2);
                    h.setCommitOffset(77L);
                }));
            command.markOnewayRPC();
            return command;
        }, null, null);
        request("max_offset", RequestCode.GET_MAX_OFFSET, with(new GetMaxOffsetRequestHeader(), h -> {
            h.setTopic(TOPIC);
            h.setQueueId(1);
        }));
        request("max_offset_uncommitted", RequestCode.GET_MAX_OFFSET, with(new GetMaxOffsetRequestHeader(), h -> {
            h.setTopic(TOPIC);
            h.setQueueId(1);
            h.setCommitted(false);
        }));
        reply("max_offset_reply", ResponseCode.SUCCESS, null,
            with(new GetMaxOffsetResponseHeader(), h -> h.setOffset(0L)), null);
        request("min_offset", RequestCode.GET_MIN_OFFSET, with(new GetMinOffsetRequestHeader(), h -> {
            h.setTopic(TOPIC);
            h.setQueueId(0);
        }));
        reply("min_offset_reply", ResponseCode.SUCCESS, "",
            with(new GetMinOffsetResponseHeader(), h -> h.setOffset(-1L)), null);
        for (BoundaryType boundary : BoundaryType.values()) {
            request("search_offset_" + boundary.name(), RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
                with(new SearchOffsetRequestHeader(), h -> {
                    h.setTopic(TOPIC);
                    h.setQueueId(5);
                    h.setTimestamp(1700000000999L);
                    h.setBoundaryType(boundary);
                }));
        }
        reply("search_offset_reply", ResponseCode.SUCCESS, null,
            with(new SearchOffsetResponseHeader(), h -> h.setOffset(123L)), null);
    }

    private void groups() throws Exception {
        request("consumer_list", RequestCode.GET_CONSUMER_LIST_BY_GROUP,
            with(new GetConsumerListByGroupRequestHeader(), h -> h.setConsumerGroup(GROUP)));
        GetConsumerListByGroupResponseBody list = new GetConsumerListByGroupResponseBody();
        list.setConsumerIdList(List.of("10.0.0.2@7#1", "10.0.0.1@\u4e2d\u6587"));
        response("consumer_list_reply", ResponseCode.SUCCESS, null, null, list.encode());
        response("consumer_list_none", ResponseCode.SYSTEM_ERROR, "no consumer for this group, group_a", null, null);
        request("send_back", RequestCode.CONSUMER_SEND_MSG_BACK, with(new ConsumerSendMsgBackRequestHeader(), h -> {
            h.setOffset(4660L);
            h.setGroup(GROUP);
            h.setDelayLevel(0);
            h.setOriginMsgId(UNIQ);
            h.setOriginTopic(TOPIC);
            h.setMaxReconsumeTimes(16);
            h.setBname("broker-a");
        }));
        request("send_back_minimal", RequestCode.CONSUMER_SEND_MSG_BACK, with(new ConsumerSendMsgBackRequestHeader(), h -> {
            h.setOffset(Long.MAX_VALUE);
            h.setGroup(GROUP);
            h.setDelayLevel(-1);
        }));
        request("create_topic", RequestCode.UPDATE_AND_CREATE_TOPIC, with(new CreateTopicRequestHeader(), h -> {
            h.setTopic(TOPIC);
            h.setDefaultTopic("TBW102");
            h.setReadQueueNums(8);
            h.setWriteQueueNums(8);
            h.setPerm(6);
            h.setTopicFilterType("SINGLE_TAG");
            h.setTopicSysFlag(0);
            h.setOrder(false);
            h.setAttributes("+message.type=NORMAL,-cleanup.policy");
        }));
        Set<MessageQueue> queues = new HashSet<>();
        queues.add(new MessageQueue(TOPIC, "broker-a", 0));
        queues.add(new MessageQueue(TOPIC, "broker-a", 1));
        LockBatchRequestBody lock = new LockBatchRequestBody();
        lock.setClientId("10.0.0.1@4711#1");
        lock.setConsumerGroup(GROUP);
        lock.setMqSet(queues);
        request("lock", RequestCode.LOCK_BATCH_MQ, new LockBatchMqRequestHeader(), lock.encode());
        LockBatchResponseBody locked = new LockBatchResponseBody();
        locked.setLockOKMQSet(queues);
        response("lock_reply", ResponseCode.SUCCESS, null, null, locked.encode());
        response("lock_reply_denied", ResponseCode.SUCCESS, null, null, new LockBatchResponseBody().encode());
        UnlockBatchRequestBody unlock = new UnlockBatchRequestBody();
        unlock.setClientId("10.0.0.1@4711#1");
        unlock.setConsumerGroup(GROUP);
        unlock.setMqSet(queues);
        add("unlock_oneway", () -> {
            RemotingCommand command =
                RemotingCommand.createRequestCommand(RequestCode.UNLOCK_BATCH_MQ, new UnlockBatchMqRequestHeader());
            command.markOnewayRPC();
            return command;
        }, null, unlock.encode());
        request("query_message", RequestCode.QUERY_MESSAGE, with(new QueryMessageRequestHeader(), h -> {
            h.setTopic(TOPIC);
            h.setKey("a key with spaces");
            h.setMaxNum(32);
            h.setBeginTimestamp(0L);
            h.setEndTimestamp(Long.MAX_VALUE);
            h.setIndexType("K");
        }));
    }

    private void fromServer() throws Exception {
        add("notify_consumer_ids_changed", () -> {
            RemotingCommand command = RemotingCommand.createRequestCommand(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED,
                with(new NotifyConsumerIdsChangedRequestHeader(), h -> h.setConsumerGroup(GROUP)));
            command.markOnewayRPC();
            return command;
        }, null, null);
        byte[] half = new GoldenBodies().half();
        add("check_transaction", () -> {
            RemotingCommand command = RemotingCommand.createRequestCommand(RequestCode.CHECK_TRANSACTION_STATE,
                with(new CheckTransactionStateRequestHeader(), h -> {
                    h.setTopic(TOPIC);
                    h.setTranStateTableOffset(9L);
                    h.setCommitLogOffset(4660L);
                    h.setMsgId(UNIQ);
                    h.setTransactionId(UNIQ);
                    h.setOffsetMsgId(OFFSET_ID);
                }));
            command.markOnewayRPC();
            return command;
        }, null, half);
        request("reset_offset", RequestCode.RESET_CONSUMER_CLIENT_OFFSET, with(new ResetOffsetRequestHeader(), h -> {
            h.setTopic(TOPIC);
            h.setGroup(GROUP);
            h.setTimestamp(-1);
            h.setForce(true);
        }), utf8("{\"offsetTable\":{{\"brokerName\":\"broker-a\",\"queueId\":0,\"topic\":\"TopicTest\"}:5}}"));
        request("running_info", RequestCode.GET_CONSUMER_RUNNING_INFO, with(new GetConsumerRunningInfoRequestHeader(), h -> {
            h.setConsumerGroup(GROUP);
            h.setClientId("10.0.0.1@4711#1");
            h.setJstackEnable(true);
        }));
    }

    /** What does not depend on the kind of call: remarks, codes, languages, extremes. */
    private void envelopes() throws Exception {
        response("go_away", ResponseCode.GO_AWAY, "please go away", null, null);
        response("negative_code", -1006, "rpc error", null, null);
        response("largest_16_bit_code", Short.MAX_VALUE, "", null, null);
        response("unicode_remark", ResponseCode.SYSTEM_ERROR, "\u9519\u8bef \u00e9t\u00e9 \ud83d\ude80 \"quoted\" \\ \t\n\u0000\u2028", null, null);
        response("long_remark", ResponseCode.SYSTEM_ERROR, "java.lang.RuntimeException: \u4e2d\n\tat x.y.Z\n".repeat(100), null, null);
        response("not_set_remark", ResponseCode.SUCCESS, "not set any response code", null, null);
        for (LanguageCode language : LanguageCode.values()) {
            add("language_" + language.name(), () -> {
                RemotingCommand command = RemotingCommand.createRequestCommand(RequestCode.GET_BROKER_CLUSTER_INFO, null);
                command.setLanguage(language);
                return command;
            }, null, null);
        }
        int[] opaques = {0, -1, Integer.MAX_VALUE, Integer.MIN_VALUE};
        for (int value : opaques) {
            opaque = value;
            add("opaque_" + value, () -> RemotingCommand.createResponseCommand(ResponseCode.SUCCESS, null), null, utf8("b"));
        }
        opaque = 1000;
        add("empty_ext_value", () -> {
            RemotingCommand command = RemotingCommand.createRequestCommand(RequestCode.GET_ROUTEINFO_BY_TOPIC, null);
            command.addExtField("topic", TOPIC);
            command.addExtField("empty", "");
            command.addExtField("\u952e", "\u503c\ud83d\ude00");
            command.addExtField("Signature", "3QTWLH5XTZFVSKjZVdDe6k26s5s=");
            command.setFlag(Integer.MIN_VALUE);
            command.setVersion(0);
            return command;
        }, null, null);
        byte[] body = new byte[4096];
        for (int i = 0; i < body.length; i++) {
            body[i] = (byte) (i * 31 + (i >> 8));
        }
        response("binary_body", ResponseCode.SUCCESS, null, null, body);
    }

    private static <T> T with(T value, Consumer<T> change) {
        change.accept(value);
        return value;
    }

    private void request(String name, int code, CommandCustomHeader header) throws Exception {
        request(name, code, header, null);
    }

    private void request(String name, int code, CommandCustomHeader header, byte[] body) throws Exception {
        add(name, () -> RemotingCommand.createRequestCommand(code, header), null, body);
    }

    private void reply(String name, int code, String remark, CommandCustomHeader header, byte[] body) throws Exception {
        response(name, code, remark, header, body);
    }

    private void response(String name, int code, String remark, CommandCustomHeader header, byte[] body) throws Exception {
        add(name, () -> {
            RemotingCommand command = RemotingCommand.createResponseCommandWithHeader(code, header);
            command.setRemark(remark);
            return command;
        }, header == null ? null : header.getClass().getSimpleName(), body);
    }

    /** The same command in each codec, and in the hand-written binary form where Java has one. */
    private void add(String name, Supplier<RemotingCommand> make, String headerName, byte[] body) throws Exception {
        int id = opaque++;
        for (SerializeType type : SerializeType.values()) {
            RemotingCommand command = ready(make, id, type, body);
            line(name + "/" + type.name().toLowerCase(java.util.Locale.ROOT), command.encode(), headerName);
            if (type == SerializeType.ROCKETMQ && command.readCustomHeader() instanceof FastCodesHeader) {
                ByteBuf buffer = Unpooled.buffer();
                ready(make, id, type, body).fastEncodeHeader(buffer);
                if (body != null) {
                    buffer.writeBytes(body);
                }
                line(name + "/rocketmq_fast", buffer.nioBuffer(), headerName);
            }
        }
    }

    private static RemotingCommand ready(Supplier<RemotingCommand> make, int opaque, SerializeType type, byte[] body) {
        RemotingCommand command = make.get();
        command.setOpaque(opaque);
        if (command.getVersion() == 0 && command.getFlag() != Integer.MIN_VALUE) {
            command.setVersion(493);
        }
        command.setSerializeTypeCurrentRPC(type);
        command.setBody(body);
        return command;
    }

    private void line(String name, ByteBuffer buffer, String headerName) throws Exception {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("name", name);
        map.put("hex", Codec.hex(bytes));
        map.put("fields", Codec.frame(bytes, headerName));
        out.add(map);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
