//! Clusters.

use clap::{Args, Subcommand};
use rocketmq_smol::Brokers;

use crate::context::Cx;
use crate::failure::Failure;
use crate::output::{Cell, Table, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// The brokers of all clusters, with their addresses, versions and rates
    #[command(after_help = "Example:\n  rmq cluster list -n 10.0.0.1:9876")]
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only this cluster
    #[arg(short, long, value_name = "CLUSTER")]
    cluster: Option<String>,
}

impl Cluster {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(cx).await,
        }
    }
}

impl List {
    async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let info = cx.ask(cx.admin.cluster()).await?;
        let wanted = |cluster: &str| self.cluster.as_deref().is_none_or(|only| only == cluster);
        let brokers: Vec<_> = info.broker_addr_table.iter().filter(|(_, broker)| wanted(&broker.cluster)).collect();
        if let (Some(cluster), true) = (&self.cluster, brokers.is_empty()) {
            return Err(Failure::refused(format!("no cluster {cluster}; 'rmq cluster list' shows those there are")));
        }
        let which = self.cluster.clone().map_or(Brokers::All, Brokers::Cluster);
        let figures = match cx.attempt(cx.admin.broker_stats(&which)).await? {
            Ok(figures) => cx.partial(figures),
            // Its place is known all the same.
            Err(error) => {
                brokers.iter().for_each(|(name, _)| cx.missed(name.as_str(), &error));
                Vec::new()
            }
        };
        let mut table = Table::new(["cluster", "broker", "id", "address", "version", "inTps", "outTps"]);
        for (name, broker) in brokers {
            let figures = figures.iter().find(|(of, _)| of == name).map(|(_, figures)| figures);
            for (id, address) in &broker.broker_addrs {
                // Masters are asked.
                let figures = figures.filter(|_| *id == 0);
                let version = figures.and_then(|figures| figures.get("brokerVersionDesc"));
                let rate = |key: &str| figures.map_or(Cell::Nothing, |figures| Cell::from(rate(figures.get(key))));
                let (put, got) = (rate("putTps"), rate("getTransferredTps"));
                table.push(row![&broker.cluster, name, *id, address, version, put, got]);
            }
        }
        Ok(cx.out.table(&table)?)
    }
}

/// Brokers tell rates over 10 s, 1 minute and 10 minutes in one text; the first is shown.
fn rate(rates: Option<&String>) -> Option<f64> {
    rates?.split_whitespace().next()?.parse().ok()
}
