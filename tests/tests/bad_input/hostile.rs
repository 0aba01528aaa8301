//! A server of scripted answers, a thread for each connection.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use rocketmq_core::config::LinkConfig;
use rocketmq_core::error::{CloseReason, RequestFailure};
use rocketmq_core::ids::QueueOffset;
use rocketmq_core::wire::body::{BrokerData, ConsumerList, HeartbeatData, JsonForm, Perm, QueueData, TopicRoute};
use rocketmq_core::wire::codes::{request, response};
use rocketmq_core::wire::header::{ExtWriter, Preamble};
use rocketmq_core::wire::message::{RecordVersion, StoredMessage, SysFlags, encode_record, properties};
use rocketmq_core::wire::request::{
    Fields, GetRouteInfo, PullMessage, PullMessageResponse, SendMessageBack, SendMessageResponse, UpdateConsumerOffset,
};
use rocketmq_core::wire::{Codec, Frame};
use rocketmq_smol::{Client, ClientBuilder, Message, Receipt, SendError};
use rocketmq_testkit::cluster::Deframer;

/// What a server does about a request.
pub(crate) enum Reply {
    /// Writes these bytes.
    Bytes(Vec<u8>),
    /// Writes these bytes and hangs up.
    Last(Vec<u8>),
    /// Writes these bytes one by one, so often.
    Drip(Vec<u8>, Duration),
    /// Says nothing.
    Nothing,
    /// Says nothing, and reads nothing any more.
    Deaf,
}

/// A server on the loopback interface.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections it has had.
    pub(crate) connections: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server that answers each request.
    pub(crate) fn answering(answer: impl Fn(&Frame) -> Reply + Send + Sync + 'static) -> Self {
        Self::greeting(Vec::new(), answer)
    }

    /// The same, after a greeting.
    pub(crate) fn greeting(greeting: Vec<u8>, answer: impl Fn(&Frame) -> Reply + Send + Sync + 'static) -> Self {
        Self::serving(move |stream, ended| {
            drop(stream.write_all(&greeting));
            converse(stream, ended, &answer);
        })
    }

    /// A server that does as it likes with each connection.
    pub(crate) fn serving(serve: impl Fn(&mut TcpStream, &AtomicBool) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop, serve) = (connections.clone(), ended.clone(), Arc::new(serve));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever gave up before it was accepted is no reason to stop listening.
                let Ok(mut stream) = stream else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                let (stop, serve) = (stop.clone(), serve.clone());
                stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || serve(&mut stream, &stop));
            }
        });
        Self { address, connections, ended, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn converse(stream: &mut TcpStream, ended: &AtomicBool, answer: &impl Fn(&Frame) -> Reply) {
    let mut inbox = Deframer::default();
    let mut buffer = vec![0; 64 * 1024];
    while !ended.load(Ordering::SeqCst) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => inbox.push(&buffer[..count]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
        while let Ok(Some(frame)) = inbox.next_frame() {
            let written = match answer(&frame) {
                Reply::Bytes(bytes) => stream.write_all(&bytes),
                Reply::Last(bytes) => {
                    drop(stream.write_all(&bytes));
                    drop(stream.shutdown(std::net::Shutdown::Write));
                    // Closing with something unread would reset the connection under the last bytes.
                    while !ended.load(Ordering::SeqCst) && !matches!(stream.read(&mut buffer), Ok(0)) {}
                    return;
                }
                Reply::Drip(bytes, pause) => bytes.iter().try_for_each(|byte| {
                    std::thread::sleep(pause);
                    stream.write_all(&[*byte])
                }),
                Reply::Nothing => Ok(()),
                Reply::Deaf => {
                    while !ended.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    return;
                }
            };
            if written.is_err() {
                return;
            }
        }
    }
}

/// A response with these fields.
pub(crate) fn respond(to: &Frame, code: i32, fields: impl FnOnce(&mut ExtWriter<'_>), body: Bytes) -> Reply {
    Reply::Bytes(Preamble::response(code, Codec::Json).encode(fields, body).to_bytes(to.header.opaque).to_vec())
}

/// A response without fields.
pub(crate) fn done(to: &Frame) -> Reply {
    respond(to, response::SUCCESS, |_| (), Bytes::new())
}

/// A name server: each topic has two queues on each of its brokers.
pub(crate) fn name_server(topics: Vec<(&'static str, Vec<(&'static str, SocketAddr)>)>) -> Server {
    let topics: BTreeMap<_, _> = topics.into_iter().collect();
    Server::answering(move |frame| {
        let asked = GetRouteInfo::read(&frame.header.ext).unwrap();
        match topics.get(asked.topic.as_str()) {
            Some(brokers) => respond(frame, response::SUCCESS, |_| (), route(brokers).into()),
            None => respond(frame, response::TOPIC_NOT_EXIST, |_| (), Bytes::new()),
        }
    })
}

fn route(brokers: &[(&str, SocketAddr)]) -> Vec<u8> {
    let broker_datas = brokers.iter().map(|(name, address)| BrokerData {
        broker_addrs: BTreeMap::from([(0, address.to_string().into())]),
        broker_name: (*name).into(),
        cluster: "C".into(),
        ..BrokerData::default()
    });
    let queue_datas = brokers.iter().map(|(name, _)| QueueData {
        broker_name: (*name).into(),
        perm: Perm::READ_WRITE,
        read_queue_nums: 1,
        topic_sys_flag: 0,
        write_queue_nums: 1,
    });
    let route =
        TopicRoute { broker_datas: broker_datas.collect(), order_topic_conf: None, queue_datas: queue_datas.collect() };
    route.encode(JsonForm::Standard)
}

/// A broker with one queue a topic: its log, and what it was told.
#[derive(Default)]
pub(crate) struct Log {
    /// What a pull of the topic from the start is answered with: the records, and how many offsets they pass.
    pub(crate) pulled: Vec<u8>,
    pub(crate) end: u64,
    pub(crate) members: Vec<String>,
    pub(crate) sent: usize,
    pub(crate) sent_back: Vec<i64>,
    pub(crate) committed: BTreeMap<String, u64>,
}

pub(crate) type SharedLog = Arc<Mutex<Log>>;

/// The answer of a broker that behaves.
pub(crate) fn broker_answer(log: &SharedLog, frame: &Frame) -> Reply {
    let mut log = log.lock().unwrap();
    let ext = &frame.header.ext;
    match frame.header.code {
        request::HEART_BEAT => {
            let data = HeartbeatData::decode(&frame.body).unwrap();
            log.members = vec![data.client_id.as_str().to_owned()];
            done(frame)
        }
        request::GET_CONSUMER_LIST_BY_GROUP => {
            let list = ConsumerList { ids: log.members.iter().map(|id| id.as_str().into()).collect() };
            respond(frame, response::SUCCESS, |_| (), list.encode().into())
        }
        request::QUERY_CONSUMER_OFFSET => respond(frame, response::QUERY_NOT_FOUND, |_| (), Bytes::new()),
        request::UPDATE_CONSUMER_OFFSET => {
            let update = UpdateConsumerOffset::read(ext).unwrap();
            log.committed.insert(update.topic.as_str().to_owned(), update.commit_offset.get());
            done(frame)
        }
        request::CONSUMER_SEND_MSG_BACK => {
            log.sent_back.push(SendMessageBack::read(ext).unwrap().offset);
            done(frame)
        }
        request::SEND_MESSAGE_V2 => {
            log.sent += 1;
            let fields = SendMessageResponse {
                msg_id: "7F00000100002A9F0000000000000000".into(),
                queue_id: 0,
                queue_offset: 0,
                transaction_id: None,
                batch_uniq_id: None,
                recall_handle: None,
                region: None,
                trace_on: None,
            };
            respond(frame, response::SUCCESS, |out| fields.write(out), Bytes::new())
        }
        request::PULL_MESSAGE => {
            let pull = PullMessage::read(ext).unwrap();
            let offset = pull.queue_offset;
            let retry = pull.topic.as_str().starts_with("%RETRY%");
            let (code, next, body) = match () {
                () if !retry && offset == QueueOffset::ZERO && log.end > 0 => {
                    (response::SUCCESS, log.end, log.pulled.clone())
                }
                () => (response::PULL_NOT_FOUND, offset.get(), Vec::new()),
            };
            let fields = PullMessageResponse {
                suggested_broker: 0,
                next_begin_offset: i64::try_from(next).unwrap(),
                min_offset: 0,
                max_offset: i64::try_from(log.end).unwrap(),
                offset_delta: None,
            };
            respond(frame, code, |out| fields.write(out), body.into())
        }
        _ => done(frame),
    }
}

/// A broker that behaves.
pub(crate) fn broker() -> (Server, SharedLog) {
    let log = SharedLog::default();
    let own = log.clone();
    (Server::answering(move |frame| broker_answer(&own, frame)), log)
}

/// A stored record whose physical offset is 1,000 times its queue offset.
pub(crate) fn record(offset: u64, body: &[u8], flags: SysFlags) -> Vec<u8> {
    let message = StoredMessage {
        queue_id: 0,
        flag: 0,
        queue_offset: QueueOffset::new(offset),
        physical_offset: i64::try_from(offset).unwrap() * 1_000,
        sys_flag: flags,
        born_timestamp: 1,
        born_host: "127.0.0.1:1".parse().unwrap(),
        store_timestamp: 2,
        store_host: "127.0.0.1:2".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::copy_from_slice(body),
        topic: "T".into(),
        properties: properties::encode([("UNIQ_KEY", "K")]).unwrap().into(),
    };
    let mut out = Vec::new();
    encode_record(&message, RecordVersion::V1, &mut out).unwrap();
    out
}

/// Times short enough for a test.
pub(crate) fn impatient() -> LinkConfig {
    LinkConfig {
        partial_frame_timeout: Duration::from_millis(200),
        write_stall_timeout: Duration::from_millis(300),
        ..LinkConfig::default()
    }
}

/// A client of these name servers.
pub(crate) fn client(names: &Server) -> Client {
    client_of(names, ClientBuilder::new().link(impatient()))
}

pub(crate) fn client_of(names: &Server, builder: ClientBuilder) -> Client {
    let builder = builder.name_servers(names.address.to_string());
    smol::block_on(rocketmq_smol::connect_with(builder)).expect("the port is open")
}

/// Sends one message to the queue of a broker.
pub(crate) fn send_to(client: &Client, broker: &str, body: &[u8]) -> Result<Receipt, SendError> {
    smol::block_on(async {
        let producer = client.producer("P").send_timeout(Duration::from_secs(2)).start().await.unwrap();
        let queue = rocketmq_core::ids::MessageQueue { topic: "T".into(), broker: broker.into(), id: 0 };
        producer.send_to(Message::new("T", body.to_vec()), queue).await
    })
}

/// Why the link was closed, as the user is told.
pub(crate) fn close_reason(error: &SendError) -> &CloseReason {
    match error {
        SendError::Request(error) => match &error.why {
            RequestFailure::Closed(reason) => reason,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}
