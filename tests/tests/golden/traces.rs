//! Trace records that Java wrote and read.

use std::collections::BTreeSet;

use rocketmq_core::config::TraceConfig;
use rocketmq_core::time::Instant;
use rocketmq_core::trace::{TraceQueue, TraceRecord, decode};
use rocketmq_testkit::real::{JavaTrace, RealError, golden};

#[test]
fn trace_records_are_written_and_read_as_java_does() -> Result<(), RealError> {
    let traces = golden::traces()?;
    let mut types = BTreeSet::new();
    for trace in &traces {
        let name = &trace.name;
        let records: Option<Vec<TraceRecord>> = trace.records.iter().map(JavaTrace::record).collect();
        let records = records.unwrap_or_else(|| panic!("{name}: a record that ours cannot be"));
        assert!(!records.is_empty(), "{name}");
        let mut text = String::new();
        records.iter().for_each(|record| record.encode(&mut text));
        assert_eq!(text, trace.text, "{name}");
        let read: Result<Vec<_>, _> = decode(trace.text.as_bytes()).collect();
        assert_eq!(read.as_ref(), Ok(&records), "{name}");
        let mut queue = TraceQueue::new(TraceConfig::default());
        assert!(queue.push(Instant::ZERO, &"TopicTest".into(), &records));
        let [message] = <[_; 1]>::try_from(queue.poll(Instant::ZERO, true).expect("a message")).expect("one");
        assert_eq!((&message.body, message.records), (&trace.text, records.len() as u64), "{name}");
        assert!(message.keys.iter().eq(&trace.keys), "{name}: {:?}", message.keys);
        types.extend(records.iter().map(std::mem::discriminant::<TraceRecord>).map(|kind| format!("{kind:?}")));
    }
    assert!(traces.len() >= 19 && types.len() == 5, "{} traces of {} types", traces.len(), types.len());
    Ok(())
}
