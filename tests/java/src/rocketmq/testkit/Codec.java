package rocketmq.testkit;

import com.alibaba.fastjson2.JSONObject;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarFile;
import org.apache.rocketmq.common.action.RocketMQAction;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.compression.Compressor;
import org.apache.rocketmq.common.compression.CompressorFactory;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.header.CheckTransactionStateRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.NotifyConsumerIdsChangedRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ReplyMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.SendMessageRequestHeaderV2;

/** Java's own decoders, applied to bytes from elsewhere. */
final class Codec {
    private static final String HEADERS = "org/apache/rocketmq/remoting/protocol/header/";
    private static final String PROTOCOL = "org.apache.rocketmq.remoting.protocol.";

    private Codec() {
    }

    static void register(Map<String, Peer.Command> commands) {
        commands.put("decode_frames", a -> {
            List<Object> list = new ArrayList<>();
            for (String frame : a.getJSONArray("frames").toList(String.class)) {
                list.add(frame(unhex(frame), a.getString("header")));
            }
            return list;
        });
        commands.put("decode_messages", a -> messages(unhex(Peer.text(a, "hex"))));
        commands.put("decode_body", a -> {
            // A body class by its name below org.apache.rocketmq.remoting.protocol, such as heartbeat.HeartbeatData.
            Class<?> type = Class.forName(PROTOCOL + Peer.text(a, "class"));
            Object body = RemotingSerializable.decode(unhex(Peer.text(a, "hex")), type);
            return RemotingSerializable.toJson(body, false);
        });
        commands.put("compress", a -> hex(compressor(a).compress(unhex(Peer.text(a, "hex")), a.getIntValue("level", 5))));
        commands.put("decompress", a -> hex(compressor(a).decompress(unhex(Peer.text(a, "hex")))));
    }

    private static Compressor compressor(JSONObject a) {
        return CompressorFactory.getCompressor(CompressionType.of(Peer.text(a, "type")));
    }

    /**
     * All that Java reads from one whole frame, its length word included. The header class is the one
     * given by its simple name or, for requests, the one which belongs to the code.
     */
    static Map<String, Object> frame(byte[] frame, String headerName) throws Exception {
        ByteBuffer buffer = ByteBuffer.wrap(frame);
        int length = buffer.getInt();
        if (length != buffer.remaining()) {
            throw new IllegalArgumentException("length word " + length + ", but " + buffer.remaining() + " bytes follow");
        }
        RemotingCommand command = RemotingCommand.decode(buffer);
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("codec", command.getSerializeTypeCurrentRPC().name());
        map.put("response", command.isResponseType());
        map.put("oneway", command.isOnewayRPC());
        map.put("code", command.getCode());
        map.put("language", command.getLanguage() == null ? null : command.getLanguage().name());
        map.put("version", command.getVersion());
        map.put("opaque", command.getOpaque());
        map.put("flag", command.getFlag());
        map.put("remark", command.getRemark());
        map.put("ext", command.getExtFields() == null ? null : new TreeMap<>(command.getExtFields()));
        Class<? extends CommandCustomHeader> type = headerName != null ? headerByName(headerName)
            : command.isResponseType() ? null : headerOf(command.getCode());
        map.put("header_class", type == null ? null : type.getSimpleName());
        map.put("header", type == null ? null : fields(command.decodeCommandCustomHeader(type)));
        map.put("body", command.getBody() == null ? null : hex(command.getBody()));
        return map;
    }

    /** The non-null fields of a header object, by their names on the wire. */
    static Map<String, Object> fields(Object header) throws IllegalAccessException {
        if (header == null) {
            return null;
        }
        Map<String, Object> map = new TreeMap<>();
        for (Class<?> type = header.getClass(); type != Object.class; type = type.getSuperclass()) {
            for (Field field : type.getDeclaredFields()) {
                if (Modifier.isStatic(field.getModifiers())) {
                    continue;
                }
                field.setAccessible(true);
                Object value = field.get(header);
                if (value != null) {
                    map.put(field.getName(), value instanceof Enum ? value.toString() : value);
                }
            }
        }
        return map;
    }

    /** What the Java client makes of a pulled body: decompressed, and with inner batches unwrapped beside. */
    static List<Map<String, Object>> messages(byte[] body) throws Exception {
        List<Map<String, Object>> list = new ArrayList<>();
        for (MessageExt message : MessageDecoder.decodes(ByteBuffer.wrap(body))) {
            Map<String, Object> map = message(message);
            if (MessageSysFlag.check(message.getSysFlag(), MessageSysFlag.INNER_BATCH_FLAG)
                && MessageSysFlag.check(message.getSysFlag(), MessageSysFlag.NEED_UNWRAP_FLAG)) {
                List<MessageExt> items = new ArrayList<>();
                MessageDecoder.decodeMessage(message, items);
                List<Object> unwrapped = new ArrayList<>();
                for (MessageExt item : items) {
                    unwrapped.add(message(item));
                }
                map.put("unwrapped", unwrapped);
            }
            list.add(map);
        }
        return list;
    }

    static Map<String, Object> message(MessageExt message) {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("topic", message.getTopic());
        map.put("msg_id", message.getMsgId());
        map.put("offset_msg_id", message instanceof MessageClientExt
            ? ((MessageClientExt) message).getOffsetMsgId() : message.getMsgId());
        map.put("broker", message.getBrokerName());
        map.put("queue_id", message.getQueueId());
        map.put("queue_offset", message.getQueueOffset());
        map.put("commit_log_offset", message.getCommitLogOffset());
        map.put("store_size", message.getStoreSize());
        map.put("body_crc", message.getBodyCRC());
        map.put("flag", message.getFlag());
        map.put("sys_flag", message.getSysFlag());
        map.put("born_timestamp", message.getBornTimestamp());
        map.put("born_host", host(message.getBornHost()));
        map.put("store_timestamp", message.getStoreTimestamp());
        map.put("store_host", host(message.getStoreHost()));
        map.put("reconsume_times", message.getReconsumeTimes());
        map.put("prepared_transaction_offset", message.getPreparedTransactionOffset());
        map.put("body_hex", message.getBody() == null ? null : hex(message.getBody()));
        map.put("properties", message.getProperties() == null ? null : new TreeMap<>(message.getProperties()));
        return map;
    }

    private static String host(java.net.SocketAddress address) {
        if (!(address instanceof InetSocketAddress)) {
            return null;
        }
        InetSocketAddress inet = (InetSocketAddress) address;
        String ip = inet.getAddress().getHostAddress();
        return (ip.indexOf(':') < 0 ? ip : "[" + ip + "]") + ":" + inet.getPort();
    }

    static Class<? extends CommandCustomHeader> headerByName(String name) throws IOException {
        return all().byName.get(name);
    }

    static Class<? extends CommandCustomHeader> headerOf(int code) throws IOException {
        return all().byCode.get(code);
    }

    private static final class Table {
        final Map<Integer, Class<? extends CommandCustomHeader>> byCode = new TreeMap<>();
        final Map<String, Class<? extends CommandCustomHeader>> byName = new TreeMap<>();
    }

    private static Table table;

    /** Header classes of the remoting jar; most name their request code in an annotation. */
    private static synchronized Table all() throws IOException {
        if (table != null) {
            return table;
        }
        Table found = new Table();
        String jar = RemotingCommand.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        try (JarFile file = new JarFile(new File(jar))) {
            file.stream().map(e -> e.getName()).filter(n -> n.startsWith(HEADERS) && n.endsWith(".class")).forEach(n -> {
                try {
                    Class<?> type = Class.forName(n.substring(0, n.length() - 6).replace('/', '.'));
                    if (CommandCustomHeader.class.isAssignableFrom(type)) {
                        found.byName.put(type.getSimpleName(), type.asSubclass(CommandCustomHeader.class));
                        RocketMQAction action = type.getAnnotation(RocketMQAction.class);
                        if (action != null) {
                            found.byCode.put(action.value(), type.asSubclass(CommandCustomHeader.class));
                        }
                    }
                } catch (ClassNotFoundException e) {
                    throw new IllegalStateException(e);
                }
            });
        }
        found.byCode.put(RequestCode.SEND_MESSAGE, SendMessageRequestHeader.class);
        found.byCode.put(RequestCode.SEND_REPLY_MESSAGE, SendMessageRequestHeader.class);
        found.byCode.put(RequestCode.SEND_MESSAGE_V2, SendMessageRequestHeaderV2.class);
        found.byCode.put(RequestCode.SEND_BATCH_MESSAGE, SendMessageRequestHeaderV2.class);
        found.byCode.put(RequestCode.SEND_REPLY_MESSAGE_V2, SendMessageRequestHeaderV2.class);
        found.byCode.put(RequestCode.LITE_PULL_MESSAGE, found.byCode.get(RequestCode.PULL_MESSAGE));
        found.byCode.put(RequestCode.CHECK_TRANSACTION_STATE, CheckTransactionStateRequestHeader.class);
        found.byCode.put(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, NotifyConsumerIdsChangedRequestHeader.class);
        found.byCode.put(RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, ReplyMessageRequestHeader.class);
        table = found;
        return table;
    }

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder(bytes.length * 2);
        for (byte b : bytes) {
            text.append(Character.forDigit((b >> 4) & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return text.toString();
    }

    static byte[] unhex(String text) {
        if (text.length() % 2 != 0) {
            throw new IllegalArgumentException("odd number of hexadecimal digits");
        }
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
        }
        return bytes;
    }
}
