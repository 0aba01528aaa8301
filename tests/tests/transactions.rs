//! Transactions in the simulator: what becomes of half messages, who is asked, and what is told of which place.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rocketmq_core::config::ConfigError;
use rocketmq_core::driver::{Client, EndError, TransactionProducer};
use rocketmq_core::message::Message;
use rocketmq_core::transaction::Resolution;
use rocketmq_testkit::cluster::{Node, StoredView};
use rocketmq_testkit::sim::{Host, Sim, World};

/// What a checker was asked, in order, and what it answers.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<String>>>);

impl Book {
    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn client(host: &Host) -> Client {
    Client::builder().connect_on(host).await.unwrap()
}

/// A producer of transactions whose checker answers what the message's body says.
async fn producer(client: &Client, book: &Book) -> TransactionProducer {
    let book = book.clone();
    let checker = move |message: rocketmq_core::driver::ReceivedMessage| {
        let book = book.clone();
        async move {
            let body = String::from_utf8_lossy(message.body()).into_owned();
            assert_eq!((message.topic().as_str(), message.property("PGROUP")), ("t", Some("bank")));
            book.0.lock().unwrap().push(body.clone());
            match body.as_str() {
                "commit" => Resolution::Commit,
                "rollback" => Resolution::Rollback,
                "panic" => panic!("on purpose"),
                _ => Resolution::Unknown,
            }
        }
    };
    client.transaction_producer("bank").checker(checker).topic("t").start().await.unwrap()
}

fn visible(world: &World) -> Vec<String> {
    let mut all: Vec<_> =
        world.stored("t").iter().map(|stored| String::from_utf8_lossy(&stored.body).into_owned()).collect();
    all.sort();
    all
}

fn halves(world: &World) -> Vec<StoredView> {
    world.stored("RMQ_SYS_TRANS_HALF_TOPIC")
}

fn calm<F: Future<Output = ()> + Send + 'static>(code: impl FnOnce(World) -> F) {
    Sim::new(7).brokers(1).topic("t", 2).calm().run(code);
}

/// A broker looks for half messages every 30 s, and asks about those that are 6 s old.
const ASKED: Duration = Duration::from_secs(37);

#[test]
fn a_half_message_is_seen_once_it_is_committed_and_never_when_it_is_rolled_back() {
    calm(|world| async move {
        let (client, book) = (client(&world.host("10.0.2.1")).await, Book::default());
        let producer = producer(&client, &book).await;
        let message = Message::new("t", "a").with_tag("x").with_delay_level(3);
        let half = producer.begin(message).await.unwrap();
        assert!(visible(&world).is_empty());
        assert_eq!(halves(&world)[0].queue_offset, half.receipt().queue_offset.to_wire());
        half.commit().await.unwrap();
        producer.begin(Message::new("t", "b")).await.unwrap().rollback().await.unwrap();
        world.sleep(ASKED).await;
        assert_eq!(visible(&world), ["a"]);
        let stored = &world.stored("t")[0];
        assert_eq!((stored.properties.get("TAGS"), stored.sys_flag & 0xc), (Some("x"), 8));
        assert_eq!(stored.properties.get("DELAY"), None);
        assert!(book.asked().is_empty(), "what was said need not be asked");
        assert_eq!(world.cluster(|cluster| cluster.broker(0).open_halves()), 0);
        client.shutdown().await;
    });
}

#[test]
fn of_what_was_dropped_the_checker_is_asked_until_it_knows() {
    calm(|world| async move {
        let (client, book) = (client(&world.host("10.0.2.1")).await, Book::default());
        let producer = producer(&client, &book).await;
        for body in ["commit", "rollback", "panic"] {
            drop(producer.begin(Message::new("t", body)).await.unwrap());
        }
        world.sleep(ASKED).await;
        assert_eq!(book.asked(), ["commit", "rollback", "panic"]);
        assert_eq!(visible(&world), ["commit"], "who panics knows nothing");
        world.sleep(Duration::from_secs(30)).await;
        assert_eq!(book.asked()[3..], ["panic"], "asked again of nothing but what is undecided");
        world.sleep(Duration::from_secs(30 * 15)).await;
        let times = book.asked().len() - 2;
        assert_eq!(times, 15, "and then given up");
        assert_eq!(world.stored("TRANS_CHECK_MAX_TIME_TOPIC").len(), 1);
        assert_eq!(visible(&world), ["commit"]);
        client.shutdown().await;
    });
}

#[test]
fn what_is_in_hand_is_not_checked_and_ends_where_the_broker_keeps_it_then() {
    calm(|world| async move {
        let (client, book) = (client(&world.host("10.0.2.1")).await, Book::default());
        let producer = producer(&client, &book).await;
        let half = producer.begin(Message::new("t", "rollback")).await.unwrap();
        world.sleep(ASKED + Duration::from_secs(60)).await;
        assert!(halves(&world).len() >= 3, "the broker asked, and stored it anew each time");
        assert!(book.asked().is_empty());
        half.commit().await.unwrap();
        world.sleep(ASKED).await;
        assert_eq!(visible(&world), ["rollback"], "once, and as it was said");
        assert!(book.asked().is_empty());
        assert_eq!(world.cluster(|cluster| cluster.broker(0).open_halves()), 0);
        client.shutdown().await;
    });
}

#[test]
fn another_process_of_the_group_answers_for_one_that_is_gone() {
    calm(|world| async move {
        let (first, book) = (world.host("10.0.2.1"), Book::default());
        let client_1 = client(&first).await;
        let producer_1 = producer(&client_1, &book).await;
        std::mem::forget(producer_1.begin(Message::new("t", "commit")).await.unwrap());
        world.kill(&first);
        std::mem::forget((client_1, producer_1));
        // It has sent nothing: brokers hear of it all the same.
        let client_2 = client(&world.host("10.0.2.2")).await;
        let producer_2 = producer(&client_2, &book).await;
        world.sleep(ASKED + Duration::from_secs(30)).await;
        assert_eq!((book.asked(), visible(&world)), (vec!["commit".to_owned()], vec!["commit".to_owned()]));
        drop(producer_2);
        client_2.shutdown().await;
    });
}

#[test]
fn a_transaction_around_something_ends_as_that_ends() {
    calm(|world| async move {
        let (client, book) = (client(&world.host("10.0.2.1")).await, Book::default());
        let producer = producer(&client, &book).await;
        for (body, resolution) in
            [("1", Resolution::Commit), ("2", Resolution::Rollback), ("commit", Resolution::Unknown)]
        {
            let looked = world.clone();
            let done = producer
                .send_in_transaction(Message::new("t", body), |receipt| async move {
                    assert_eq!(halves(&looked).last().unwrap().queue_offset, receipt.queue_offset.to_wire());
                    resolution
                })
                .await
                .unwrap();
            assert_eq!((done.resolution, done.told), (resolution, Ok(())));
        }
        world.sleep(Duration::from_secs(1)).await;
        assert_eq!(visible(&world), ["1"]);
        world.sleep(ASKED).await;
        assert_eq!(visible(&world), ["1", "commit"]);
        client.shutdown().await;
    });
}

#[test]
fn a_word_that_does_not_get_on_its_way_is_asked_for() {
    calm(|world| async move {
        let (client, book) = (client(&world.host("10.0.2.1")).await, Book::default());
        let producer = producer(&client, &book).await;
        let half = producer.begin(Message::new("t", "commit")).await.unwrap();
        world.crash(Node::Broker(0));
        world.sleep(Duration::from_millis(100)).await;
        let error = half.commit().await.unwrap_err();
        assert!(matches!(error, EndError::Link(_)), "{error:?}");
        world.start(Node::Broker(0));
        world.sleep(Duration::from_secs(90)).await;
        assert_eq!((book.asked(), visible(&world)), (vec!["commit".to_owned()], vec!["commit".to_owned()]));
        let half = producer.begin(Message::new("t", "rollback")).await.unwrap();
        client.shutdown().await;
        assert_eq!(half.commit().await, Err(EndError::Closed));
        assert_eq!(visible(&world), ["commit"]);
    });
}

#[test]
fn a_producer_of_transactions_has_a_checker() {
    calm(|world| async move {
        let client = client(&world.host("10.0.2.1")).await;
        let error = client.transaction_producer("bank").start().await.unwrap_err();
        assert_eq!(error, ConfigError::NoChecker);
        client.shutdown().await;
    });
}
