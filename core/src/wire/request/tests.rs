use alloc::string::String;
use bytes::Bytes;
use core::fmt::Debug;
use proptest::prelude::*;

use super::*;
use crate::ids::{BrokerName, Group, Opaque, QueueOffset, Topic};
use crate::wire::codes::request::{GET_MAX_OFFSET, GET_MIN_OFFSET};
use crate::wire::frame;
use crate::wire::header::HeaderLimits;

/// Writes and reads the fields in both codecs.
fn comes_back<T: Fields + PartialEq + Debug>(fields: &T) -> Result<(), TestCaseError> {
    for codec in [Codec::Json, Codec::Rocketmq] {
        let bytes = fields.response(0, None, codec, Bytes::new()).to_bytes(Opaque(1));
        let frame = frame::decode(&bytes, &HeaderLimits::default()).unwrap();
        let read = T::read(&frame.header.ext);
        prop_assert_eq!(read.as_ref(), Ok(fields));
    }
    Ok(())
}

/// A text, not empty: the binary codec cannot tell that from none.
fn text() -> impl Strategy<Value = String> {
    "(?s).{1,20}"
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

fn offset() -> impl Strategy<Value = QueueOffset> {
    prop_oneof![Just(0), Just(i64::MAX as u64), 0..=i64::MAX as u64].prop_map(QueueOffset::new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn sends_come_back(
        names in (text(), text(), text()), numbers in any::<[i32; 4]>(), born_timestamp: i64, properties in maybe(),
        optional in any::<(Option<i32>, Option<bool>, Option<i32>, Option<bool>)>(), broker in maybe(),
        answer in (maybe(), maybe(), maybe(), maybe()),
    ) {
        comes_back(&SendMessage {
            group: (&names.0).into(),
            topic: (&names.1).into(),
            default_topic: (&names.2).into(),
            default_topic_queues: numbers[0],
            queue_id: numbers[1],
            sys_flag: numbers[2],
            born_timestamp,
            flag: numbers[3],
            properties,
            reconsume_times: optional.0,
            unit_mode: optional.1,
            max_reconsume_times: optional.2,
            batch: optional.3,
            broker: broker.map(Into::into),
        })?;
        comes_back(&SendMessageResponse {
            msg_id: names.0,
            queue_id: numbers[0],
            queue_offset: born_timestamp,
            transaction_id: answer.0,
            batch_uniq_id: answer.1,
            recall_handle: answer.2,
            region: answer.3,
            trace_on: optional.1,
        })?;
    }

    #[test]
    fn pulls_come_back(
        names in (text(), text()), numbers in any::<[i32; 3]>(), queue_offset in offset(), longs in any::<[i64; 4]>(),
        texts in (maybe(), maybe(), maybe()), max_bytes: Option<i32>, offset_delta: Option<i64>,
    ) {
        comes_back(&PullMessage {
            group: (&names.0).into(),
            topic: (&names.1).into(),
            queue_id: numbers[0],
            queue_offset,
            max_messages: numbers[1],
            sys_flag: numbers[2],
            commit_offset: longs[0],
            suspend_millis: longs[1],
            subscription: texts.0,
            sub_version: longs[2],
            expression_type: texts.1,
            max_bytes,
            broker: texts.2.map(Into::into),
        })?;
        comes_back(&PullMessageResponse {
            suggested_broker: longs[0],
            next_begin_offset: longs[1],
            min_offset: longs[2],
            max_offset: longs[3],
            offset_delta,
        })?;
    }

    #[test]
    fn offsets_and_send_backs_come_back(
        names in (text(), text()), queue_id: i32, at in offset(), long: i64, flag: Option<bool>, most: Option<i32>,
        texts in (maybe(), maybe(), maybe()),
    ) {
        let broker = texts.0.clone().map(BrokerName::from);
        let (group, topic) = (Group::from(&names.0), Topic::from(&names.1));
        comes_back(&QueryConsumerOffset {
            group: group.clone(),
            topic: topic.clone(),
            queue_id,
            set_zero_if_not_found: flag,
            broker: broker.clone(),
        })?;
        comes_back(&QueryConsumerOffsetResponse { offset: at })?;
        comes_back(&UpdateConsumerOffset {
            group: group.clone(),
            topic: topic.clone(),
            queue_id,
            commit_offset: at,
            broker: broker.clone(),
        })?;
        comes_back(&SearchOffset { topic: topic.clone(), queue_id, timestamp: i64::from(queue_id) << 9, boundary: None })?;
        comes_back(&QueueOffsetRequest::<GET_MAX_OFFSET> { topic: topic.clone(), queue_id })?;
        comes_back(&QueueOffsetRequest::<GET_MIN_OFFSET> { topic, queue_id })?;
        comes_back(&QueueOffsetResponse { offset: at })?;
        comes_back(&SendMessageBack {
            offset: long,
            group,
            delay_level: queue_id,
            origin_msg_id: texts.1,
            origin_topic: texts.2.map(Into::into),
            unit_mode: flag,
            max_reconsume_times: most,
            broker,
        })?;
    }

    #[test]
    fn pops_come_back(
        names in (text(), text(), text()), numbers in any::<[i32; 3]>(), longs in any::<[i64; 3]>(), at in offset(),
        texts in (maybe(), maybe(), maybe(), maybe()), order: Option<bool>,
    ) {
        let (group, topic) = (Group::from(&names.0), Topic::from(&names.1));
        let broker = texts.0.clone().map(BrokerName::from);
        comes_back(&PopMessage {
            group: group.clone(),
            topic: topic.clone(),
            queue_id: numbers[0],
            max_messages: numbers[1],
            invisible_millis: longs[0],
            poll_millis: longs[1],
            born_millis: longs[2],
            init_mode: numbers[2],
            expression_type: texts.1.clone(),
            expression: texts.2.clone(),
            order,
            attempt_id: texts.3.clone(),
            broker: broker.clone(),
        })?;
        comes_back(&PopMessageResponse {
            pop_millis: longs[0],
            invisible_millis: longs[1],
            revive_queue: numbers[0],
            rest: longs[2],
            start_offsets: texts.1,
            offsets: texts.2,
            order_counts: texts.3,
        })?;
        comes_back(&AckMessage {
            group: group.clone(),
            topic: topic.clone(),
            queue_id: numbers[0],
            handle: names.2.clone(),
            offset: at,
            broker: broker.clone(),
        })?;
        comes_back(&ChangeInvisibleTime {
            group,
            topic,
            queue_id: numbers[0],
            handle: names.2,
            offset: at,
            invisible_millis: longs[0],
            broker,
        })?;
        comes_back(&ChangeInvisibleTimeResponse {
            pop_millis: longs[0],
            invisible_millis: longs[1],
            revive_queue: numbers[1],
        })?;
        comes_back(&QueryAssignmentHeader {})?;
        comes_back(&SetRequestMode {})?;
        comes_back(&BatchAckMessage {})?;
    }

    #[test]
    fn the_others_come_back(
        names in (text(), text(), text()), numbers in any::<[i32; 3]>(), order: bool, sys_flag: Option<i32>,
        attributes in maybe(), groups in (maybe(), maybe()), standard_json: Option<bool>,
    ) {
        let topic = Topic::from(&names.0);
        comes_back(&GetRouteInfo { topic: topic.clone(), standard_json })?;
        comes_back(&HeartBeat {})?;
        comes_back(&LockBatchMq {})?;
        comes_back(&UnlockBatchMq {})?;
        comes_back(&Empty)?;
        comes_back(&GetConsumerList { group: (&names.1).into() })?;
        comes_back(&NotifyConsumerIdsChanged { group: (&names.1).into() })?;
        comes_back(&ConsumeDirectly {
            group: (&names.1).into(),
            client: groups.0.clone().map(Into::into),
            msg_id: attributes.clone(),
            broker: groups.1.clone().map(Into::into),
            topic: groups.0.clone().map(Into::into),
        })?;
        comes_back(&GetRunningInfo {
            group: (&names.1).into(),
            client: (&names.2).into(),
            stacks: standard_json,
        })?;
        comes_back(&GetConsumerStatus { topic: topic.clone(), group: (&names.1).into() })?;
        comes_back(&ResetConsumerOffset {
            topic: topic.clone(),
            group: (&names.1).into(),
            timestamp: i64::from(numbers[0]) << 9,
            force: order,
        })?;
        comes_back(&InvokeResetOffset {
            topic: topic.clone(),
            group: (&names.1).into(),
            queue_id: numbers[0],
            offset: i64::from(numbers[1]),
            timestamp: i64::from(numbers[2]) << 9,
            force: order,
        })?;
        comes_back(&InvokeConsumerStatus {
            topic: topic.clone(),
            group: (&names.1).into(),
            client: groups.0.clone().map(Into::into),
        })?;
        comes_back(&UnregisterClient {
            client_id: (&names.2).into(),
            producer_group: groups.0.map(Into::into),
            consumer_group: groups.1.map(Into::into),
        })?;
        comes_back(&CreateTopic {
            topic,
            default_topic: (&names.1).into(),
            read_queues: numbers[0],
            write_queues: numbers[1],
            perm: numbers[2],
            filter_type: names.2,
            sys_flag,
            order,
            attributes,
        })?;
    }
}

#[test]
fn a_field_that_is_missing_or_of_another_type_is_told() {
    let read = |fields: &[(&'static str, &'static str)]| GetMax::read(&fields.iter().copied().collect());
    type GetMax = QueueOffsetRequest<GET_MAX_OFFSET>;
    let error = |key, missing| Err(FieldError { key, missing });
    assert_eq!(read(&[("queueId", "1")]), error("topic", true));
    assert_eq!(read(&[("topic", "t")]), error("queueId", true));
    for wrong in ["", "x", "1.0", "2147483648", " 1"] {
        assert_eq!(read(&[("topic", "t"), ("queueId", wrong)]), error("queueId", false), "{wrong}");
    }
}
