fn main() {
    for seed in std::env::args().skip(1) {
        let seed: u64 = seed.parse().unwrap();
        let started = std::time::Instant::now();
        let report = rocketmq_testkit::sim::workload::check_with(seed, std::env::var("TRACE").is_ok(), None);
        for line in &report.trace { println!("{line}"); }
        println!("{seed} {:032x} events {} time {:?} took {:?} failure {:?}", report.hash, report.events, report.time, started.elapsed(), report.failure);
    }
}
