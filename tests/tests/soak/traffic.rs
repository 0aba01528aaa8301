//! Messages that keep coming, whatever happens.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rocketmq_core::driver::ClientBuilder;
use rocketmq_core::ids::{BrokerName, MessageQueue, Topic};
use rocketmq_core::message::Message;

use super::member::Group;

/// A producer in a thread of its own.
pub(crate) struct Traffic {
    stored: Arc<Mutex<Vec<String>>>,
    queues: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Traffic {
    pub(crate) fn start(namesrv: &str, broker: &str, group: &Group, queues: i32) -> Self {
        let (stored, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let queues = Arc::new(AtomicI32::new(queues));
        let (sink, until, width) = (stored.clone(), stop.clone(), queues.clone());
        let builder = ClientBuilder::new().name_servers(namesrv);
        let (topic, broker) = (group.topic.clone(), BrokerName::from(broker));
        let thread = std::thread::spawn(move || {
            smol::block_on(async {
                let client = rocketmq_smol::connect_with(builder).await.expect("a client");
                let producer = client.producer(format!("{topic}_producer")).start().await.expect("a producer");
                for n in 0_i32.. {
                    if until.load(Ordering::SeqCst) {
                        break;
                    }
                    let text = format!("{topic} {n}");
                    let id = n % width.load(Ordering::SeqCst);
                    let queue = MessageQueue { topic: Topic::from(topic.as_str()), broker: broker.clone(), id };
                    // What nobody acknowledged may be lost.
                    if producer.send_to(Message::new(topic.as_str(), text.clone()), queue).await.is_ok() {
                        sink.lock().unwrap().push(text);
                    }
                    smol::Timer::after(PACE).await;
                }
                client.shutdown().await;
            });
        });
        Self { stored, queues, stop, thread }
    }

    /// The topic has so many queues now.
    pub(crate) fn grow(&self, queues: i32) {
        self.queues.store(queues, Ordering::SeqCst);
    }

    /// What was stored.
    pub(crate) fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("traffic ends");
        let stored = self.stored.lock().unwrap();
        stored.clone()
    }
}

const PACE: Duration = Duration::from_millis(10);
