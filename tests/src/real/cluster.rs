//! One real name server and one real broker, or several such pairs that are one cluster.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ports::PortBlock;
use super::probe::{Encrypt, Probe};
use super::process::{RunDir, Watched};
use super::{MqAdmin, RealError, cache, probe, tools};

/// The supported 5.x version.
pub const V5: &str = "5.4.0";
/// The supported 4.x version.
pub const V4: &str = "4.9.7";

const POLL: Duration = Duration::from_millis(25);
const REGISTER_PATIENCE: Duration = Duration::from_millis(300);
const START_ATTEMPTS: usize = 5;

/// What cluster to start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Version of all jars, such as [`V5`].
    pub version: String,
    /// Name of the broker; `broker-a` by default.
    pub broker_name: String,
    /// Lines added to the broker's configuration; they win over the harness's own ones.
    pub broker_conf: Vec<(String, String)>,
    /// Lines added to the name server's configuration.
    pub namesrv_conf: Vec<(String, String)>,
    /// JVM options added to the broker's command line, such as `-D…` or `-Xmx1g`.
    pub broker_jvm: Vec<String>,
    /// JVM options added to the command lines of broker and name server.
    pub jvm: Vec<String>,
    /// How the harness talks to servers that take no plain text.
    pub encrypt: Option<Encrypt>,
    /// Whether the broker has a slave, which [`RealCluster::start_slave`] starts.
    pub slave: bool,
    /// Files below the home of both, with their text.
    pub files: Vec<(String, String)>,
    /// How long each process may take to become ready.
    pub boot_timeout: Duration,
}

impl Options {
    /// Options with defaults for a version.
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            broker_name: "broker-a".to_owned(),
            broker_conf: Vec::new(),
            namesrv_conf: Vec::new(),
            broker_jvm: Vec::new(),
            jvm: Vec::new(),
            encrypt: None,
            slave: false,
            files: Vec::new(),
            boot_timeout: Duration::from_secs(180),
        }
    }

    /// Adds a file below the home of both processes.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    /// Adds one line to the broker's configuration.
    #[must_use]
    pub fn conf(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.broker_conf.push((key.into(), value.into()));
        self
    }
}

/// A running cluster; everything it started ends when it is dropped or when the test process dies.
#[derive(Debug)]
pub struct RealCluster {
    options: Options,
    lib: PathBuf,
    broker: Option<Watched>,
    slave: Option<Watched>,
    namesrv: Option<Watched>,
    boots: u32,
    /// The broker listens where a slave would.
    moved: bool,
    boot_time: Duration,
    /// The ports of all name servers that the broker registers at, its own among them.
    name_servers: Vec<u16>,
    // Last, so that the folder goes after the processes and the ports after the folder.
    dir: RunDir,
    ports: PortBlock,
}

impl RealCluster {
    /// Starts a name server and a broker, and returns when the broker is registered.
    pub fn start(options: Options) -> Result<Self, RealError> {
        Self::start_together([options]).map(|[one]| one)
    }

    /// Starts what is one cluster: each has a name server and a broker of its own, and every broker is registered at every
    /// name server.
    pub fn start_together<const N: usize>(options: [Options; N]) -> Result<[Self; N], RealError> {
        let mut attempt = 1;
        loop {
            match Self::try_together(&options) {
                Err(RealError::NotReady { log, .. }) if attempt < START_ATTEMPTS && lost_port_race(&log) => {
                    attempt += 1
                }
                done => return done,
            }
        }
    }

    fn try_together<const N: usize>(options: &[Options; N]) -> Result<[Self; N], RealError> {
        let mut parts = Vec::with_capacity(N);
        for options in options {
            let lib = cache::jars(&format!("server-{}", options.version), &server_pom(&options.version))?;
            parts.push(Self::prepare(options.clone(), lib)?);
        }
        let name_servers: Vec<_> = parts.iter().map(|part| part.ports.namesrv()).collect();
        for part in &mut parts {
            part.name_servers.clone_from(&name_servers);
            part.start_namesrv()?;
        }
        std::thread::scope(|scope| {
            let booting: Vec<_> = parts.iter_mut().map(|part| scope.spawn(|| part.start_broker())).collect();
            booting.into_iter().try_for_each(|broker| broker.join().expect("booting does not panic"))
        })?;
        Ok(parts.try_into().expect("one for each of the options"))
    }

    fn prepare(options: Options, lib: PathBuf) -> Result<Self, RealError> {
        let ports = PortBlock::reserve()?;
        let dir = RunDir::new(&options.version)?;
        let name_servers = vec![ports.namesrv()];
        let cluster = Self {
            options,
            lib,
            broker: None,
            slave: None,
            namesrv: None,
            boots: 0,
            moved: false,
            boot_time: Duration::ZERO,
            name_servers,
            dir,
            ports,
        };
        cluster.write_files()?;
        Ok(cluster)
    }

    /// Address of the name server, `host:port`.
    pub fn namesrv(&self) -> String {
        format!("127.0.0.1:{}", self.ports.namesrv())
    }

    /// Addresses of all name servers that the broker registers at, as clients take them.
    pub fn name_servers(&self) -> String {
        let all: Vec<_> = self.name_servers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        all.join(";")
    }

    /// Address of the broker, `host:port`.
    pub fn broker_addr(&self) -> String {
        format!("127.0.0.1:{}", self.broker_port())
    }

    /// Address of the slave, `host:port`.
    pub fn slave_addr(&self) -> String {
        format!("127.0.0.1:{}", self.ports.slave())
    }

    /// Name of the broker.
    pub fn broker_name(&self) -> &str {
        &self.options.broker_name
    }

    /// Version of the broker.
    pub fn version(&self) -> &str {
        &self.options.version
    }

    /// The administration tool of this version, for this cluster.
    pub fn mqadmin(&self) -> MqAdmin {
        MqAdmin::new(&self.lib, self.name_servers(), self.dir.path())
    }

    /// Process id of the broker, if it runs.
    pub fn broker_pid(&self) -> Option<u32> {
        self.broker.as_ref().map(Watched::pid)
    }

    /// Process id of the name server, if it runs.
    pub fn namesrv_pid(&self) -> Option<u32> {
        self.namesrv.as_ref().map(Watched::pid)
    }

    /// How long the last start of the broker took until it was registered.
    pub fn broker_boot_time(&self) -> Duration {
        self.boot_time
    }

    /// The run folder: configurations, logs and stores.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The ends of the logs of both processes, for diagnostics.
    pub fn log_tail(&self) -> String {
        let output = |p: &Option<Watched>| p.as_ref().map_or_else(|| "(not running)".to_owned(), Watched::log_tail);
        // 5.x logs here, 4.x to its standard output.
        let logs = |who: &str| {
            let file = self.dir().join(who).join(format!("logs/rocketmqlogs/{who}.log"));
            if file.exists() { tools::tail_file(&file, 4000) } else { String::new() }
        };
        format!(
            "--- broker ---\n{}\n{}\n--- name server ---\n{}\n{}",
            logs("broker"),
            output(&self.broker),
            logs("namesrv"),
            output(&self.namesrv)
        )
    }

    /// Changes a setting of the running broker, until its next start.
    pub fn set_broker_config(&self, key: &str, value: &str) -> Result<(), RealError> {
        self.probe().configure(self.broker_port(), key, value).map_err(RealError::io(format!("set {key} to {value}")))
    }

    /// Stops the broker: with SIGKILL, or with SIGTERM and waiting for its orderly end.
    pub fn stop_broker(&mut self, kill9: bool) {
        if let Some(mut broker) = self.broker.take() {
            if kill9 {
                broker.kill();
            } else {
                broker.terminate(Duration::from_secs(60));
            }
        }
    }

    /// Has the broker do nothing at all, with its connections open, until [`RealCluster::wake_broker`].
    pub fn suspend_broker(&self) {
        if let Some(broker) = &self.broker {
            broker.suspend();
        }
    }

    /// Has a broker that was suspended go on.
    pub fn wake_broker(&self) {
        if let Some(broker) = &self.broker {
            broker.signal("CONT");
        }
    }

    /// Starts the broker on its old port and store; returns when it reports success and is registered.
    pub fn start_broker(&mut self) -> Result<(), RealError> {
        if self.broker.is_some() {
            return Ok(());
        }
        let started = Instant::now();
        let broker = self.boot("broker", self.broker_port())?;
        self.broker = Some(broker);
        self.boot_time = started.elapsed();
        Ok(())
    }

    /// Restarts the broker, which has no slave, at another address.
    pub fn move_broker(&mut self) -> Result<(), RealError> {
        self.stop_broker(false);
        self.moved = true;
        self.start_broker()
    }

    /// Gives a slave that never ran the topics, groups and offsets that its master has on disk. It would copy them by itself:
    /// one of 5.4.0 a minute after its start.
    pub fn copy_tables(&self) -> Result<(), RealError> {
        let (from, to) = (self.dir().join("store/config"), self.dir().join("slave-store/config"));
        fs::create_dir_all(&to).map_err(RealError::io("create the folder of tables"))?;
        for table in ["topics.json", "subscriptionGroup.json", "consumerOffset.json"] {
            fs::copy(from.join(table), to.join(table)).map_err(RealError::io(format!("copy {table}")))?;
        }
        Ok(())
    }

    /// Starts the slave of the broker; returns when it is registered.
    pub fn start_slave(&mut self) -> Result<(), RealError> {
        if self.slave.is_none() {
            let slave = self.boot("slave", self.ports.slave())?;
            self.slave = Some(slave);
        }
        Ok(())
    }

    /// Starts a broker process, on its old store if it had one.
    fn boot(&mut self, who: &str, port: u16) -> Result<Watched, RealError> {
        self.write_files()?; // a broker whose configuration was changed at run time has written its file anew
        self.boots += 1;
        let log = self.dir().join(format!("{who}-{}.log", self.boots));
        let mut args = vec![tools::find("java")?.into_os_string()];
        args.extend(["-Xms256m", "-Xmx512m", "-XX:MaxDirectMemorySize=512m"].map(OsString::from));
        self.jvm_args(&mut args, who);
        args.extend(self.options.broker_jvm.iter().map(OsString::from));
        self.main_args(&mut args, "org.apache.rocketmq.broker.BrokerStartup", &format!("{who}.conf"));
        let mut broker = Watched::start(&args, &log)?;
        let addr = format!("127.0.0.1:{port}");
        let (name_servers, name) = (self.name_servers.clone(), self.options.broker_name.clone());
        let (boot_timeout, probe) = (self.options.boot_timeout, self.probe());
        let booted = broker.log_watch("boot success");
        ready(&mut broker, who, "\"boot success\" in its log", boot_timeout, booted)?;
        // A 5.4.0 broker registers only if its connection to the name server, which it opens beside, is
        // there by then; if it is not, the next try comes after 10 s. So ask for another one.
        let permission = self.conf_value("brokerPermission").unwrap_or("6").to_owned();
        let mut asked = Instant::now();
        ready(&mut broker, who, "its registration at the name server", boot_timeout, || {
            let there = name_servers.iter().all(|port| probe.registered(*port, &name, &addr).unwrap_or(false));
            if !there && asked.elapsed() > REGISTER_PATIENCE {
                asked = Instant::now();
                let _ = probe.ask_to_register(port, &permission);
            }
            there
        })?;
        Ok(broker)
    }

    /// Stops the broker (orderly or with SIGKILL) and starts it again.
    pub fn restart_broker(&mut self, graceful: bool) -> Result<(), RealError> {
        self.stop_broker(!graceful);
        self.start_broker()
    }

    /// Stops the name server: with SIGKILL or with SIGTERM.
    pub fn stop_namesrv(&mut self, kill9: bool) {
        if let Some(mut namesrv) = self.namesrv.take() {
            if kill9 {
                namesrv.kill();
            } else {
                namesrv.terminate(Duration::from_secs(30));
            }
        }
    }

    /// Starts the name server on its old port; a running broker registers again within its own period.
    pub fn start_namesrv(&mut self) -> Result<(), RealError> {
        if self.namesrv.is_some() {
            return Ok(());
        }
        self.boots += 1;
        let log = self.dir().join(format!("namesrv-{}.log", self.boots));
        let mut args = vec![tools::find("java")?.into_os_string()];
        args.extend(["-Xms64m", "-Xmx256m"].map(OsString::from));
        self.jvm_args(&mut args, "namesrv");
        self.main_args(&mut args, "org.apache.rocketmq.namesrv.NamesrvStartup", "namesrv.conf");
        let mut namesrv = Watched::start(&args, &log)?;
        let port = self.ports.namesrv();
        let booted = namesrv.log_watch("boot success");
        ready(&mut namesrv, "name server", "its open port", self.options.boot_timeout, || {
            booted() && probe::port_open(port)
        })?;
        self.namesrv = Some(namesrv);
        Ok(())
    }

    fn probe(&self) -> Probe {
        Probe(self.options.encrypt.clone())
    }

    fn broker_port(&self) -> u16 {
        if self.moved { self.ports.slave() } else { self.ports.broker() }
    }

    fn jvm_args(&self, args: &mut Vec<OsString>, who: &str) {
        // Small, quick to start, and what old code needs to run on Java 17.
        args.extend(
            [
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-XX:-UsePerfData",
                "-Djava.net.preferIPv4Stack=true",
                "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
                "--add-opens=java.base/java.nio=ALL-UNNAMED",
            ]
            .map(OsString::from),
        );
        args.extend(self.options.jvm.iter().map(OsString::from));
        // The Java logs of each process go below its "user home".
        let home = self.dir().join(who);
        let dirs = [("rocketmq.home.dir", self.dir()), ("user.home", &home), ("java.io.tmpdir", self.dir())];
        for (property, dir) in dirs {
            let mut arg = OsString::from(format!("-D{property}="));
            arg.push(dir);
            args.push(arg);
        }
    }

    fn conf_value(&self, key: &str) -> Option<&str> {
        self.options.broker_conf.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    fn main_args(&self, args: &mut Vec<OsString>, class: &str, conf: &str) {
        args.push("-cp".into());
        args.push(self.lib.join("*").into_os_string());
        args.push(class.into());
        args.push("-c".into());
        args.push(self.dir().join(conf).into_os_string());
    }

    fn write_files(&self) -> Result<(), RealError> {
        let dir = self.dir();
        let store = dir.join("store");
        let mut namesrv = vec![("listenPort".to_owned(), self.ports.namesrv().to_string())];
        namesrv.extend(self.options.namesrv_conf.iter().cloned());
        let mut broker: Vec<(String, String)> = [
            ("brokerClusterName", "DefaultCluster".to_owned()),
            ("brokerName", self.options.broker_name.clone()),
            ("brokerId", "0".to_owned()),
            ("namesrvAddr", self.name_servers()),
            ("brokerIP1", "127.0.0.1".to_owned()),
            ("listenPort", self.broker_port().to_string()),
            ("haListenPort", (self.ports.broker() + 1).to_string()),
            ("storePathRootDir", store.display().to_string()),
            ("storePathCommitLog", store.join("commitlog").display().to_string()),
            ("mappedFileSizeCommitLog", (64 << 20).to_string()),
            ("maxIndexNum", "40000".to_owned()),
            ("maxHashSlotNum", "10000".to_owned()),
            ("autoCreateTopicEnable", "true".to_owned()),
            ("enablePropertyFilter", "true".to_owned()),
            ("diskMaxUsedSpaceRatio", "98".to_owned()),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
        // Properties files let the last line of a key win.
        broker.extend(self.options.broker_conf.iter().cloned());
        if self.options.slave {
            let port = self.ports.slave();
            let store = dir.join("slave-store");
            let line = |key: &str, value: String| (key.to_owned(), value);
            broker.push(line("brokerIP2", "127.0.0.1".to_owned()));
            let mut slave = broker.clone();
            slave.extend([
                line("brokerId", "1".to_owned()),
                line("brokerRole", "SLAVE".to_owned()),
                line("listenPort", port.to_string()),
                line("haListenPort", (port + 1).to_string()),
                line("storePathRootDir", store.display().to_string()),
                line("storePathCommitLog", store.join("commitlog").display().to_string()),
            ]);
            write(&dir.join("slave.conf"), &properties(&slave))?;
        }
        write(&dir.join("namesrv.conf"), &properties(&namesrv))?;
        write(&dir.join("broker.conf"), &properties(&broker))?;
        // 4.x reads its logging set-up from the home directory; 5.x has its own in the jar.
        let conf = dir.join("conf");
        fs::create_dir_all(&conf).map_err(RealError::io("create the configuration folder"))?;
        for name in ["namesrv", "broker"] {
            write(&conf.join(format!("logback_{name}.xml")), LOGBACK)?;
        }
        for (name, text) in &self.options.files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(RealError::io("create a folder of files"))?;
            write(&path, text)?;
        }
        Ok(())
    }
}

const LOGBACK: &str = r#"<configuration>
  <appender name="C" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %c{0} %m%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="C"/></root>
</configuration>
"#;

fn ready(
    process: &mut Watched,
    who: &str,
    why: &str,
    patience: Duration,
    mut done: impl FnMut() -> bool,
) -> Result<(), RealError> {
    let started = Instant::now();
    while !done() {
        let problem = match process.ended() {
            Some(status) => format!("it ended with {status} before {why}"),
            None if started.elapsed() > patience => format!("no {why} within {patience:?}"),
            None => {
                std::thread::sleep(POLL);
                continue;
            }
        };
        return Err(RealError::NotReady { who: who.to_owned(), why: problem, log: process.log_tail() });
    }
    Ok(())
}

/// Whether a log tells that somebody else took a port between our check and the start.
fn lost_port_race(log: &str) -> bool {
    ["Address already in use", "BindException", "bind failed"].iter().any(|text| log.contains(text))
}

fn write(path: &Path, text: &str) -> Result<(), RealError> {
    fs::write(path, text).map_err(RealError::io(format!("write {}", path.display())))
}

fn properties(lines: &[(String, String)]) -> String {
    lines.iter().map(|(key, value)| format!("{key}={}\n", value.replace('\\', "\\\\"))).collect()
}

fn server_pom(version: &str) -> String {
    let mut dependencies = String::new();
    for artifact in ["rocketmq-namesrv", "rocketmq-broker", "rocketmq-tools"] {
        dependencies.push_str(&format!(
            "    <dependency><groupId>org.apache.rocketmq</groupId>\
             <artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n"
        ));
    }
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  <modelVersion>4.0.0</modelVersion>\n  \
         <groupId>rocketmq.testkit</groupId><artifactId>server</artifactId><version>1</version>\n  \
         <dependencies>\n{dependencies}  </dependencies>\n</project>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_lines_win_and_backslashes_survive() {
        let text = properties(&[("a".into(), "1".into()), ("a".into(), "c:\\x".into())]);
        assert_eq!(text, "a=1\na=c:\\\\x\n");
    }

    #[test]
    fn bind_failures_are_recognised() {
        assert!(lost_port_race("java.net.BindException: Address already in use"));
        assert!(!lost_port_race("The broker boot success"));
    }
}
