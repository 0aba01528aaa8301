//! Filters by properties, on brokers that are set to have them.

use rocketmq_core::wire::body::{ClientCheck, ExpressionType, HeartbeatData};
use rocketmq_core::wire::codes::request;
use rocketmq_core::wire::subscription::SubscriptionData;

use super::{Cell, cell};
use crate::call::{BORN, Call, long_pull, message, pull, pull_as_subscribed};
use crate::lab::{Lab, heartbeat};

pub(super) fn cells() -> Vec<Cell> {
    vec![
        cell(CHECK, "good SQL", |lab| checked(lab, "a > 3 AND b IN ('x', 'y')")),
        cell(CHECK, "SQL that goes on after its end", |lab| checked(lab, "a > 3 and then some")),
        cell(CHECK, "SQL that ends too early", |lab| checked(lab, "a >")),
        cell(CHECK, "SQL that orders texts", |lab| checked(lab, "a > 'x'")),
        cell(CHECK, "SQL with a list of numbers", |lab| checked(lab, "a IN (1, 2)")),
        cell(CHECK, "SQL with a range that is none", |lab| checked(lab, "a BETWEEN 3 AND 2")),
        cell(CHECK, "SQL that compares with nothing", |lab| checked(lab, "a = NULL")),
        cell(CHECK, "SQL that is no verdict", |lab| checked(lab, "3")),
        cell(CHECK, "SQL with a text that does not end", |lab| checked(lab, "a = 'x")),
        cell(CHECK, "SQL with a sign that is none", |lab| checked(lab, "a > 3 # b")),
        cell(CHECK, "no SQL", |lab| checked(lab, "")),
        cell(CHECK, "SQL that is a property", |lab| checked(lab, "a")),
        cell(PULL, "SQL: greater", |lab| selected(lab, "a > 3")),
        cell(PULL, "SQL: at least, and negative", |lab| selected(lab, "a >= -1 AND a <= 1")),
        cell(PULL, "SQL: a fraction", |lab| selected(lab, "a < 2.5")),
        cell(PULL, "SQL: equal and not", |lab| selected(lab, "a = 2 OR b <> 'x'")),
        cell(PULL, "SQL: between", |lab| selected(lab, "a BETWEEN 2 AND 4")),
        cell(PULL, "SQL: not between", |lab| selected(lab, "a NOT BETWEEN 2 AND 4")),
        cell(PULL, "SQL: in a list", |lab| selected(lab, "b IN ('y', 'z') AND a > 0")),
        cell(PULL, "SQL: not in a list", |lab| selected(lab, "b NOT IN ('y', 'z')")),
        cell(PULL, "SQL: missing", |lab| selected(lab, "c IS NULL")),
        cell(PULL, "SQL: there", |lab| selected(lab, "c IS NOT NULL")),
        cell(PULL, "SQL: not of what is missing", |lab| selected(lab, "NOT (c = 'x')")),
        cell(PULL, "SQL: what is missing or not", |lab| selected(lab, "c = 'x' OR a = 1")),
        cell(PULL, "SQL: brackets", |lab| selected(lab, "(a = 1 OR a = 2) AND b = 'y'")),
        cell(PULL, "SQL: and before or", |lab| selected(lab, "a = 1 OR a = 2 AND b = 'z'")),
        cell(PULL, "SQL: a number of a text", |lab| selected(lab, "b > 1")),
        cell(PULL, "SQL: what cannot be compared beside what can", |lab| selected(lab, "b > 1 OR a = 1")),
        cell(PULL, "SQL: a tag", |lab| selected(lab, "TAGS = 'A' OR TAGS IS NULL")),
        cell(PULL, "SQL: texts with quotes", |lab| selected(lab, "b = 'it''s'")),
        cell(PULL, "SQL: two properties", |lab| selected(lab, "a = d")),
        cell(PULL, "SQL: true", |lab| selected(lab, "TRUE")),
        cell(PULL, "SQL: a property alone", |lab| selected(lab, "e OR a = 1")),
        cell(PULL, "SQL: nothing matches", |lab| selected(lab, "a > 100")),
        cell(PULL, "SQL: what follows is not read", |lab| selected(lab, "a > 3 b = 'x'")),
        cell(PULL, "SQL: a wrong expression lets all pass", |lab| selected(lab, "a >")),
        cell(PULL, "SQL of the heartbeat", |lab| {
            let (topic, group) = (numbered(lab), lab.group());
            let beat = beat(lab, &topic, "a > 3", BORN);
            lab.must(heartbeat(&beat));
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "wrong SQL of the heartbeat", |lab| {
            let (topic, group) = (numbered(lab), lab.group());
            let beat = beat(lab, &topic, "a >", BORN);
            lab.must(heartbeat(&beat));
            lab.ask(pull_as_subscribed(&group, &topic, 0));
        }),
        cell(PULL, "SQL of the heartbeat that became another", |lab| changed(lab, "a > 3", "a < 3")),
        cell(PULL, "SQL of the heartbeat that became wrong", |lab| changed(lab, "a > 3", "a >")),
        cell(PULL, "wrong SQL of the heartbeat that became right", |lab| changed(lab, "a >", "a > 3")),
        cell(PULL, "SQL of the heartbeat that is older", |lab| {
            let (topic, group) = (numbered(lab), lab.group());
            let beat = beat(lab, &topic, "a > 3", BORN);
            lab.must(heartbeat(&beat));
            lab.ask(pull_as_subscribed(&group, &topic, 0).with("subVersion", BORN + 1));
        }),
        cell(PULL, "held until a message matches SQL", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, sql(long_pull(&group, &topic, 0, 60_000), "a > 3"));
            lab.held(asked);
            lab.must_as(1, message(&topic, 0, &[("a", "4")]));
            lab.answer(asked);
        }),
        cell(PULL, "held while messages come that do not match SQL", |lab| {
            let (topic, group) = (lab.topic(1), lab.group());
            let asked = lab.tell_as(0, sql(long_pull(&group, &topic, 0, 3_000), "a > 3"));
            lab.held(asked);
            lab.must_as(1, message(&topic, 0, &[("a", "2")]));
            lab.answer(asked);
        }),
    ]
}

fn checked(lab: &mut Lab, expression: &str) {
    let subscription_data = SubscriptionData::sql("T".into(), expression, rocketmq_core::time::UnixMillis(BORN));
    let (client_id, group) = (lab.client_id(0).as_str().into(), lab.group().as_str().into());
    lab.ask(Call::new(CHECK).body(ClientCheck { client_id, group, subscription_data }.encode()));
}

fn selected(lab: &mut Lab, expression: &str) {
    let (topic, group) = (numbered(lab), lab.group());
    lab.ask(sql(pull(&group, &topic, 0), expression));
}

fn changed(lab: &mut Lab, before: &str, after: &str) {
    let (topic, group) = (numbered(lab), lab.group());
    for (version, expression) in (BORN..).zip([before, after]) {
        let beat = beat(lab, &topic, expression, version);
        lab.must(heartbeat(&beat));
    }
    lab.ask(pull_as_subscribed(&group, &topic, 0).with("subVersion", BORN + 1));
}

fn sql(call: Call, expression: &str) -> Call {
    call.with("subscription", expression).with("expressionType", "SQL92")
}

fn beat(lab: &Lab, topic: &str, expression: &str, version: i64) -> HeartbeatData {
    let mut beat = lab.beat(0, &[(topic, "*")]);
    let data = &mut beat.consumers[0].subscriptions[0];
    data.expression_type = ExpressionType::Sql92;
    data.sub_string = expression.to_owned();
    data.sub_version = version;
    beat
}

/// A topic whose only queue has messages with several properties.
fn numbered(lab: &mut Lab) -> String {
    let topic = lab.topic(1);
    let messages: [&[(&str, &str)]; 6] = [
        &[("TAGS", "A"), ("a", "1"), ("b", "x"), ("d", "1")],
        &[("TAGS", "B"), ("a", "2"), ("b", "y"), ("d", "3"), ("e", "true")],
        &[("a", "3"), ("b", "z"), ("c", "there")],
        &[("a", "4"), ("b", "it's")],
        &[("a", "5")],
        &[("b", "y"), ("e", "false")],
    ];
    for properties in messages {
        let call = message(&topic, 0, properties);
        lab.send_call(&topic, call);
    }
    topic
}

const PULL: i32 = request::PULL_MESSAGE;
const CHECK: i32 = request::CHECK_CLIENT_CONFIG;
