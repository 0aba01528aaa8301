//! Tables that brokers of 5.x tell page by page: topics and groups.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Admin, AdminError, Brokers, Partial, TIMEOUT};
use crate::ids::{BrokerName, Endpoint, Group, Topic};
use crate::wire::Frame;
use crate::wire::body::{DataVersion, GroupConfig, GroupConfigs, TopicConfig, TopicConfigs};
use crate::wire::request::{Fields, GetGroupConfigs, GetTopicConfigs, GroupTotal, Request, TopicTotal};

/// A table of a broker.
pub(super) trait Paged {
    type Key: Ord;
    type Row;
    type Request: Request;

    /// Asks for what follows so many rows of this version.
    fn ask(from: i32, version: String) -> Self::Request;

    fn read(frame: &Frame) -> Result<Page<Self::Key, Self::Row>, AdminError>;
}

/// A page of a table.
pub(super) struct Page<K, R> {
    rows: BTreeMap<K, R>,
    version: DataVersion,
    /// Rows of the whole table; nothing when the page is the whole.
    total: Option<i32>,
}

/// What was read so far of the table of one broker.
struct Reading<P: Paged> {
    broker: BrokerName,
    master: Endpoint,
    rows: BTreeMap<P::Key, P::Row>,
    version: Option<DataVersion>,
    pages: u32,
}

impl<P: Paged> Reading<P> {
    fn request(&self) -> P::Request {
        let version = self.version.map(|version| String::from_utf8_lossy(&version.encode()).into_owned());
        P::ask(i32::try_from(self.rows.len()).unwrap_or(i32::MAX), version.unwrap_or_default())
    }

    /// Takes a page; tells whether it was the last.
    fn take(&mut self, page: Page<P::Key, P::Row>) -> Result<bool, AdminError> {
        // Of another version it is the first again.
        if self.version.is_some_and(|known| known != page.version) {
            self.rows.clear();
        }
        let none = page.rows.is_empty();
        self.version = Some(page.version);
        self.rows.extend(page.rows);
        self.pages = self.pages.saturating_add(1);
        let Some(total) = page.total else { return Ok(true) };
        if i32::try_from(self.rows.len()).unwrap_or(i32::MAX) >= total {
            return Ok(true);
        }
        // A table that changes all the time has no end.
        match none || self.pages >= MOST_PAGES {
            true => Err(AdminError::Unreadable(alloc::format!(
                "{} of {total} rows after {} pages",
                self.rows.len(),
                self.pages
            ))),
            false => Ok(false),
        }
    }
}

impl Admin {
    /// The table of each of these brokers, page by page and all at once.
    pub(super) async fn tables<P: Paged>(
        &self,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, BTreeMap<P::Key, P::Row>)>>, AdminError> {
        let Partial { value: masters, mut failed } = self.masters(brokers).await?;
        let reading =
            |(broker, master)| Reading::<P> { broker, master, rows: BTreeMap::new(), version: None, pages: 0 };
        let mut open: Vec<_> = masters.into_iter().map(reading).collect();
        let mut value = Vec::new();
        while !open.is_empty() {
            let calls: Vec<_> = open
                .into_iter()
                .map(|reading| {
                    let call = self.call(&reading.master, &reading.request(), Bytes::new(), TIMEOUT);
                    (reading, call)
                })
                .collect();
            open = Vec::new();
            for (mut reading, call) in calls {
                let page = Self::answer_of(call.await).and_then(|frame| P::read(&frame));
                match page.and_then(|page| reading.take(page)) {
                    Ok(true) => value.push((reading.broker, reading.rows)),
                    Ok(false) => open.push(reading),
                    Err(error) => drop(failed.insert(String::from(reading.broker.as_str()), error)),
                }
            }
        }
        value.sort_by(|(one, _), (other, _)| one.cmp(other));
        Partial { value, failed }.of_some()
    }
}

/// The topics of a broker.
pub(super) struct Topics;

impl Paged for Topics {
    type Key = Topic;
    type Row = TopicConfig;
    type Request = GetTopicConfigs;

    fn ask(from: i32, version: String) -> GetTopicConfigs {
        GetTopicConfigs { from, version, most: PAGE }
    }

    fn read(frame: &Frame) -> Result<Page<Topic, TopicConfig>, AdminError> {
        let TopicConfigs { data_version: version, topic_config_table: rows } = TopicConfigs::decode(&frame.body)?;
        Ok(Page { rows, version, total: TopicTotal::read(&frame.header.ext)?.total })
    }
}

/// The groups of a broker.
pub(super) struct Groups;

impl Paged for Groups {
    type Key = Group;
    type Row = GroupConfig;
    type Request = GetGroupConfigs;

    fn ask(from: i32, version: String) -> GetGroupConfigs {
        GetGroupConfigs { from, version, most: PAGE }
    }

    fn read(frame: &Frame) -> Result<Page<Group, GroupConfig>, AdminError> {
        let GroupConfigs { data_version: version, subscription_group_table: rows } = GroupConfigs::decode(&frame.body)?;
        Ok(Page { rows, version, total: GroupTotal::read(&frame.header.ext)?.total })
    }
}

/// Rows of a page. Java: `maxPageSizeInGetMetadata`.
const PAGE: i32 = 2_000;
/// Pages of a table at most: brokers may be told to put few rows on each, and a table that changes meanwhile begins anew.
const MOST_PAGES: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading<Topics> {
        Reading { broker: "a".into(), master: "a:1".into(), rows: BTreeMap::new(), version: None, pages: 0 }
    }

    fn page(topics: &[&str], counter: i64, total: Option<i32>) -> Page<Topic, TopicConfig> {
        let rows = topics.iter().map(|topic| (Topic::from(*topic), TopicConfig::new(*topic, 1))).collect();
        Page { rows, version: DataVersion { counter, ..DataVersion::default() }, total }
    }

    fn names(reading: &Reading<Topics>) -> Vec<&str> {
        reading.rows.keys().map(Topic::as_str).collect()
    }

    #[test]
    fn pages_of_one_version_are_put_together() {
        let mut reading = reading();
        assert_eq!((reading.request().from, &*reading.request().version), (0, ""));
        assert_eq!(reading.take(page(&["a", "b"], 7, Some(3))), Ok(false));
        let next = reading.request();
        assert_eq!((next.from, &*next.version), (2, r#"{"counter":7,"stateVersion":0,"timestamp":0}"#));
        assert_eq!(reading.take(page(&["c"], 7, Some(3))), Ok(true));
        assert_eq!(names(&reading), ["a", "b", "c"]);
    }

    #[test]
    fn a_table_that_changed_is_read_anew() {
        let mut reading = reading();
        assert_eq!(reading.take(page(&["a", "b"], 7, Some(3))), Ok(false));
        assert_eq!(reading.take(page(&["b", "c"], 8, Some(3))), Ok(false));
        assert_eq!(reading.request().from, 2);
        assert_eq!(reading.take(page(&["d"], 8, Some(3))), Ok(true));
        assert_eq!(names(&reading), ["b", "c", "d"]);
    }

    #[test]
    fn an_old_broker_has_one_page() {
        let mut reading = reading();
        assert_eq!(reading.take(page(&["a"], 7, None)), Ok(true));
    }

    #[test]
    fn a_table_without_an_end_is_an_error() {
        let mut reading = reading();
        assert_eq!(reading.take(page(&["a"], 7, Some(2))), Ok(false));
        assert!(reading.take(page(&[], 7, Some(2))).is_err(), "nothing more comes");
        let mut changing = self::reading();
        let ends = (0..MOST_PAGES).map(|at| changing.take(page(&["a"], i64::from(at), Some(2)))).collect::<Vec<_>>();
        assert!(ends.last().is_some_and(Result::is_err), "it changes all the time");
        assert!(ends.iter().rev().skip(1).all(|end| *end == Ok(false)));
    }
}
