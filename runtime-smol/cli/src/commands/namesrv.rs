//! Name servers.

use clap::{Args, Subcommand};

use crate::context::Cx;
use crate::failure::Failure;
use crate::output::Record;

#[derive(Debug, Subcommand)]
pub(crate) enum Namesrv {
    /// Have every name server tell that a broker takes no messages any more, before it is stopped
    #[command(after_help = "Example:\n  rmq namesrv wipe-perm broker-a")]
    WipePerm(BrokerArg),
    /// Take wipe-perm back
    #[command(after_help = "Example:\n  rmq namesrv add-perm broker-a")]
    AddPerm(BrokerArg),
}

#[derive(Debug, Args)]
pub(crate) struct BrokerArg {
    /// The name of the broker
    #[arg(value_name = "BROKER")]
    broker: String,
}

impl Namesrv {
    pub(crate) async fn run(self, cx: &mut Cx<'_>) -> Result<(), Failure> {
        let (add, arg) = match self {
            Self::WipePerm(arg) => (false, arg),
            Self::AddPerm(arg) => (true, arg),
        };
        let broker = arg.broker;
        // Name servers have nothing against brokers that do not exist.
        let info = cx.ask(cx.admin.cluster()).await?;
        if !info.broker_addr_table.keys().any(|known| known.as_str() == broker) {
            return Err(Failure::refused(format!("no broker {broker}; 'rmq cluster list' shows those there are")));
        }
        let done = match add {
            true => cx.ask(cx.admin.add_write_perm(broker.as_str())).await?,
            false => cx.ask(cx.admin.wipe_write_perm(broker.as_str())).await?,
        };
        cx.partial(done);
        let text = format!("{broker} takes messages{}", if add { " again" } else { " no more" });
        Ok(cx.out.done(&text, &Record::default().with("broker", &broker).with("writable", add))?)
    }
}
