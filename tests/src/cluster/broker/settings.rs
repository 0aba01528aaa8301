//! What operators read of a broker and set: 25, 26 and 28. A model has few settings and figures of the many.

use std::collections::BTreeMap;

use rocketmq_core::wire::body::KvTable;

use super::{Answer, Broker};
use crate::cluster::config::BrokerConfig;
use crate::cluster::output::Reply;

/// The settings as texts.
#[derive(Debug)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(super) fn new(cfg: &BrokerConfig) -> Self {
        let rows = [
            ("autoCreateSubscriptionGroup", cfg.auto_create_groups.to_string()),
            ("autoCreateTopicEnable", cfg.auto_create_topics.to_string()),
            ("brokerClusterName", cfg.cluster.clone()),
            ("brokerId", cfg.id.to_string()),
            ("brokerName", cfg.name.clone()),
            ("defaultTopicQueueNums", cfg.default_topic_queues.to_string()),
            ("deleteWhen", "04".to_owned()),
            ("fileReservedTime", "72".to_owned()),
            ("listenPort", cfg.address.port().to_string()),
            ("maxMessageSize", cfg.max_body.to_string()),
        ];
        Self(rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl Broker {
    /// Code 25. Names that the broker does not know are passed over, and what is set is only told again.
    pub(super) fn set_config(&mut self, body: &[u8]) -> Answer {
        for (key, value) in String::from_utf8_lossy(body).lines().filter_map(|line| line.split_once('=')) {
            if let Some(known) = self.settings.0.get_mut(key) {
                value.clone_into(known);
            }
        }
        Ok(Some(Reply::ok()))
    }

    /// Code 26.
    pub(super) fn config_text(&self) -> Answer {
        let lines: String = self.settings.0.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        Ok(Some(Reply::ok().body(lines.into_bytes())))
    }

    /// Code 28. Rates are those of a broker at rest.
    pub(super) fn runtime_figures(&self) -> Answer {
        let at_rest = "0.0 0.0 0.0".to_owned();
        let rows = [
            ("brokerVersion", self.cfg.version.to_string()),
            ("brokerVersionDesc", if self.cfg.is_v4() { "V4_9_7" } else { "V5_4_0" }.to_owned()),
            ("commitLogMaxOffset", self.store.end().to_string()),
            ("getTransferredTps", at_rest.clone()),
            ("putTps", at_rest),
        ];
        let table = rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(Some(Reply::ok().body(KvTable { table }.encode())))
    }
}
