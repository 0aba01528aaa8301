//! Transactions, with the Java consumer as their witness and the Java producer as another member of the group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rocketmq_core::client::{ClientEvent, ServerVerdict};
use rocketmq_core::driver::{Client, ReceivedMessage, TransactionProducer};
use rocketmq_core::message::Message;
use rocketmq_core::transaction::Resolution;
use rocketmq_core::wire::codes::request;
use rocketmq_testkit::real::{ConsumedMessage, ConsumerSpec, V4};
use serde_json::{Value, json};

use super::checks::Scope;
use super::kit::{Got, PATIENCE, QUIET, World, before, drain, eventually, sleep, sorted};
use super::runtimes::Live;

/// Brokers look every 3 s for half messages that are 2 s old.
const ASKED: Duration = Duration::from_secs(8);

pub(crate) async fn scenario<L: Live>(world: &World) {
    let mut it = Stage::<L>::start(world).await;
    it.ends().await;
    it.around_something().await;
    it.checks().await;
    it.resumed().await;
    it.in_hand().await;
    it.restart().await;
    it.java_answers_for_us().await;
    it.we_answer_for_java().await;
    it.last_look().await;
}

/// What a checker was asked.
type Asked = Arc<Mutex<Vec<Got>>>;

struct Stage<'w, L> {
    world: &'w World,
    check: Scope,
    topic: String,
    group: String,
    witness: String,
    /// The group and the name of a Java producer.
    java: String,
    asked: Asked,
    client: Client,
    producer: TransactionProducer,
    seen: Vec<ConsumedMessage>,
    runtime: std::marker::PhantomData<L>,
}

/// A producer whose checker answers what the body begins with; `panic` knows nothing the first time.
async fn producer(client: &Client, group: &str, topic: &str, asked: &Asked) -> TransactionProducer {
    let asked = asked.clone();
    let checker = move |message: ReceivedMessage| {
        let asked = asked.clone();
        async move {
            let got = Got::of(&message);
            let text = got.text();
            let times = {
                let mut asked = asked.lock().expect("no poison");
                asked.push(got);
                asked.iter().filter(|known| known.text() == text).count()
            };
            assert!(!text.starts_with("panic") || times > 1, "on purpose");
            match text.split([' ', '.']).next() {
                Some("commit" | "panic") => Resolution::Commit,
                Some("rollback") => Resolution::Rollback,
                _ => Resolution::Unknown,
            }
        }
    };
    let patient = |builder: rocketmq_core::driver::ProducerBuilder| builder.send_timeout(Duration::from_secs(45));
    client.transaction_producer(group).checker(checker).topic(topic).configure(patient).start().await.expect("valid")
}

impl<'w, L: Live> Stage<'w, L> {
    async fn start(world: &'w World) -> Self {
        let topic = format!("transactions_{}", L::NAME);
        world.topic(&topic, 4);
        let (group, witness) = (format!("bank_{}", L::NAME), format!("witness_{}", L::NAME));
        let spec = ConsumerSpec {
            instance: Some(witness.clone()),
            ..ConsumerSpec::new(&witness, &world.namesrv, &witness, &topic)
        };
        world.java.start_consumer(&spec).expect("a Java consumer");
        // Brokers hear of it with the next heartbeat after it has sent something.
        let java = format!("java_{group}");
        world.java.start_transactions(&java, &world.namesrv, &java).expect("a Java producer");
        world.java.send_transaction(&java, &topic, "the first of Java", "COMMIT_MESSAGE").expect("stored");
        let client = world.client::<L>().await;
        let asked = Asked::default();
        let producer = producer(&client, &group, &topic, &asked).await;
        let check = world.scope::<L>("transactions");
        Self {
            world,
            check,
            topic,
            group,
            witness,
            java,
            asked,
            client,
            producer,
            seen: Vec::new(),
            runtime: std::marker::PhantomData,
        }
    }

    fn message(&self, body: &str) -> Message {
        Message::new(self.topic.as_str(), body.to_owned())
    }

    fn look(&mut self) {
        self.seen.extend(self.world.java.consumed(&self.witness).expect("consumed"));
    }

    /// Waits until the witness has seen a message with this body.
    async fn sees(&mut self, body: &str) -> Option<ConsumedMessage> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.look();
            let found = self.seen.iter().find(|seen| seen.body == body).cloned();
            if found.is_some() || Instant::now() > end {
                return found;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn asked_of(&self, body: &str) -> Vec<Got> {
        self.asked.lock().expect("no poison").iter().filter(|got| got.text() == body).cloned().collect()
    }

    /// A half message becomes what its producer says, and nothing before.
    async fn ends(&mut self) {
        let check = self.check.step("ends");
        let large = format!("large {}", "x".repeat(10_000));
        let message = self.message(&large).with_tag("new").with_key("k1").with_property("a", "b").with_flag(7);
        let half = self.producer.begin(message.with_delay_level(3)).await.expect("stored");
        let rolled_back = self.producer.begin(self.message("ends in rollback")).await.expect("stored");
        sleep(QUIET).await;
        self.look();
        check.that("java-is-seen", self.sees("the first of Java").await.is_some(), ());
        check.eq("not-seen-before-its-end", self.seen.len(), 1);
        let receipt = half.receipt().clone();
        check.eq("commit", half.commit().await, Ok(()));
        check.eq("rollback", rolled_back.rollback().await, Ok(()));
        let seen = self.sees(&large).await;
        check.that("seen-once-committed", seen.is_some(), &receipt);
        let seen = seen.expect("seen").message;
        check.eq("id", &seen.msg_id, &receipt.msg_id);
        check.eq(
            "queue",
            (seen.broker.as_deref(), seen.queue_id),
            (Some(self.world.broker_name.as_str()), receipt.queue.id),
        );
        check.that("another-place-than-the-half-message", seen.offset_msg_id != receipt.offset_msg_id, &seen);
        let property = |key: &str| seen.properties.as_ref()?.get(key).map(String::as_str);
        check.eq("tag", property("TAGS"), Some("new"));
        check.eq("key", property("KEYS"), Some("k1"));
        check.eq("property", property("a"), Some("b"));
        check.eq("group", property("PGROUP"), Some(self.group.as_str()));
        check.eq("no-delay", property("DELAY"), None);
        check.eq("flag-of-a-committed-message", seen.sys_flag & 0xc, 8);
    }

    async fn around_something(&mut self) {
        let check = self.check.step("around-something");
        let outcomes =
            [("1", Resolution::Commit), ("2", Resolution::Rollback), ("commit what was unknown", Resolution::Unknown)];
        for (body, resolution) in outcomes {
            let sent = self.producer.send_in_transaction(self.message(body), |_| async move { resolution }).await;
            let sent = sent.expect("stored");
            check.eq(format!("says-so-{resolution:?}"), (sent.resolution, sent.told), (resolution, Ok(())));
        }
        for body in ["1", "commit what was unknown"] {
            check.that(format!("seen-{body}"), self.sees(body).await.is_some(), &self.seen);
        }
        check.at_least("asked-about-the-unknown", self.asked_of("commit what was unknown").len(), 1);
    }

    /// What is dropped is asked about.
    async fn checks(&mut self) {
        let check = self.check.step("checks");
        let mut events = self.client.events();
        let half = self.producer.begin(self.message("commit later").with_key("k2")).await.expect("stored");
        let receipt = half.receipt().clone();
        drop(half);
        let large = format!("commit. {}", "y".repeat(10_000));
        for body in ["rollback later", "panic", &large] {
            drop(self.producer.begin(self.message(body)).await.expect("stored"));
        }
        for body in ["commit later", &large, "panic"] {
            let name = body.get(..6).unwrap_or(body);
            check.that(format!("seen-{name}"), self.sees(body).await.is_some(), &self.asked);
        }
        let asked = self.asked_of("commit later");
        check.at_least("asked-once", asked.len(), 1);
        check.eq("topic", &asked[0].topic, &self.topic);
        check.eq("queue", asked[0].queue_id, receipt.queue.id);
        check.eq("id", &asked[0].msg_id, &receipt.msg_id);
        check.eq("keys", asked[0].keys.clone(), ["k2"]);
        check.eq("group", asked[0].properties.get("PGROUP"), Some(&self.group));
        check.eq("first-time", asked[0].properties.get("TRANSACTION_CHECK_TIMES").map(String::as_str), Some("1"));
        check.at_least("inflated", self.asked_of(&large).len(), 1);
        check.at_least("asked-again-after-a-panic", self.asked_of("panic").len(), 2);
        check.at_least("asked-once-for-a-rollback", self.asked_of("rollback later").len(), 1);
        let done = drain(&mut events).into_iter().filter(|event| {
            matches!(event, ClientEvent::ServerRequest { code: request::CHECK_TRANSACTION_STATE, verdict, group, .. }
                if *verdict == ServerVerdict::Done && group.as_ref().is_some_and(|group| group.as_str() == self.group))
        });
        check.at_least("told", done.count(), 5);
    }

    /// A half message that is over is asked about once more when an operator wants that, by our admin or by Java's.
    async fn resumed(&mut self) {
        let check = self.check.step("resumed");
        let bodies = ["commit when we resume it", "commit when Java resumes it"];
        let mut ids = Vec::new();
        for body in bodies {
            let half = self.producer.begin(self.message(body)).await.expect("stored");
            ids.push(half.receipt().offset_msg_id.clone());
            check.eq("rolled-back", half.rollback().await, Ok(()));
        }
        sleep(ASKED).await;
        check.eq("nobody-asked", bodies.map(|body| self.asked_of(body).len()), [0, 0]);
        let at = ids[0].parse().expect("an id");
        let topic = Some(self.topic.as_str().into());
        check.eq("by-us", self.client.admin().resume_half_message(topic, at).await, Ok(()));
        let args = json!({ "namesrv": self.world.namesrv, "topic": self.topic, "msg_id": ids[1] });
        let Value::Object(args) = args else { panic!("arguments") };
        check.eq("by-java", self.world.java.command("resume_half", args).map_err(drop), Ok(json!(true)));
        for (name, body) in [("ours", bodies[0]), ("javas", bodies[1])] {
            check.that(format!("{name}-is-seen"), self.sees(body).await.is_some(), ());
            check.eq(format!("{name}-was-asked-about"), self.asked_of(body).len(), 1);
        }
    }

    /// What is in hand is not asked about, and ends where the broker has it then.
    async fn in_hand(&mut self) {
        let check = self.check.step("in-hand");
        let half = self.producer.begin(self.message("rollback if asked")).await.expect("stored");
        sleep(ASKED).await;
        check.eq("not-asked", self.asked_of("rollback if asked").len(), 0);
        check.eq("commit", half.commit().await, Ok(()));
        check.that("seen", self.sees("rollback if asked").await.is_some(), ());
    }

    /// The process is another one, and has sent nothing yet.
    async fn restart(&mut self) {
        let check = self.check.step("restart");
        let bodies = ["commit after restart", "rollback after restart"];
        for body in bodies {
            drop(self.producer.begin(self.message(body)).await.expect("stored"));
        }
        self.client.shutdown().await;
        check.eq("nobody-asked-before", bodies.map(|body| self.asked_of(body).len()), [0, 0]);
        self.client = self.world.client::<L>().await;
        self.producer = producer(&self.client, &self.group, &self.topic, &self.asked).await;
        check.that("seen", self.sees(bodies[0]).await.is_some(), ());
        let both = eventually(|| bodies.iter().all(|body| self.asked_of(body).len() == 1).then_some(())).await;
        check.that("asked-about-both", both.is_some(), ());
    }

    async fn java_answers_for_us(&mut self) {
        let check = self.check.step("java-answers");
        let (client, producer) = self.with_java().await;
        let bodies = ["commit by Java", "rollback by Java"];
        for body in bodies {
            drop(producer.begin(self.message(body)).await.expect("stored"));
        }
        drop(producer);
        client.shutdown().await;
        check.that("seen", self.sees(bodies[0]).await.is_some(), ());
        let asked = eventually(|| {
            let asked = self.world.java.checked(&self.java).expect("checked");
            bodies.iter().all(|body| asked.iter().any(|known| known == body)).then_some(())
        });
        check.that("java-was-asked", asked.await.is_some(), ());
        check.eq("we-were-not", bodies.map(|body| self.asked_of(body).len()), [0, 0]);
    }

    async fn we_answer_for_java(&mut self) {
        let check = self.check.step("we-answer");
        let mut ids = BTreeMap::new();
        for body in ["commit for Java", "rollback for Java"] {
            let id = self.world.java.send_transaction(&self.java, &self.topic, body, "UNKNOW").expect("stored");
            ids.insert(body, id);
        }
        self.world.java.stop_transactions(&self.java).expect("stopped");
        let (client, producer) = self.with_java().await;
        let seen = self.sees("commit for Java").await;
        check.eq("seen", seen.map(|seen| seen.message.msg_id).as_ref(), ids.get("commit for Java"));
        for (body, id) in &ids {
            let asked = eventually(|| self.asked_of(body).pop()).await;
            check.eq(format!("asked-{}", &body[..6]), asked.map(|got| got.msg_id).as_ref(), Some(id));
        }
        drop(producer);
        client.shutdown().await;
    }

    /// Another process of the Java producer's group.
    async fn with_java(&self) -> (Client, TransactionProducer) {
        let client = self.world.client::<L>().await;
        let producer = producer(&client, &self.java, &self.topic, &self.asked).await;
        (client, producer)
    }

    /// What was rolled back, and nothing else, was never seen; nothing was seen more often than a broker asked about it.
    async fn last_look(mut self) {
        before(Instant::now() + ASKED, std::future::pending::<()>()).await;
        self.look();
        let all = sorted(self.seen.iter().map(|seen| seen.body.clone()));
        let mut bodies = all.clone();
        bodies.dedup();
        let often = |body: &String| all.iter().filter(|seen| *seen == body).count();
        // A broker of 5.x that asks again before it has noted the first answer carries out both.
        let asked = |body: &String| self.asked_of(body).len().max(1);
        let too_often: Vec<_> = bodies.iter().filter(|body| often(body) > asked(body)).collect();
        self.check.that("each-seen-once", too_often.is_empty(), &too_often);
        let hidden = ["ends in rollback", "2", "rollback later", "rollback after restart", "rollback by Java"];
        for body in hidden.into_iter().chain(["rollback for Java"]) {
            self.check.that(format!("never-seen-{body}"), !bodies.iter().any(|seen| seen == body), &bodies);
        }
        self.check.eq("all-seen", bodies.len(), 13);
        self.world.java.stop_consumer(&self.witness).expect("stopped");
        if self.world.checks.version() == V4 {
            self.check.eq("no-word-too-much-on-4.9", self.asked_of("commit later").len(), 1);
        }
        self.client.shutdown().await;
    }
}
