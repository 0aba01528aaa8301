//! The harness itself, on both broker versions.

use rocketmq_testkit::real::{self, Options, RealCluster, RealError, V4, V5};

#[test]
fn v5() -> Result<(), RealError> {
    run(V5)
}

#[test]
fn v4() -> Result<(), RealError> {
    run(V4)
}

fn run(version: &str) -> Result<(), RealError> {
    if !real::available()? {
        return Ok(());
    }
    let mut cluster = RealCluster::start(Options::new(version))?;
    eprintln!("{version}: start {:?}", cluster.broker_boot_time());
    for graceful in [true, false] {
        let t = std::time::Instant::now();
        cluster.stop_broker(!graceful);
        eprintln!("{version}: stop graceful={graceful} {:?}", t.elapsed());
        cluster.start_broker()?;
        eprintln!("{version}: start {:?}", cluster.broker_boot_time());
    }
    eprintln!("{}", cluster.log_tail());
    Ok(())
}
