//! The official administration tool, of the version of its cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{RealError, tools};

/// `mqadmin` of one cluster.
#[derive(Clone, Debug)]
pub struct MqAdmin {
    lib: PathBuf,
    namesrv: String,
    /// Its home, where it writes what it writes.
    dir: PathBuf,
}

impl MqAdmin {
    pub(super) fn new(lib: &Path, namesrv: String, dir: &Path) -> Self {
        Self { lib: lib.to_owned(), namesrv, dir: dir.to_owned() }
    }

    /// Runs one of its commands; gives what it prints. It says in words when something fails, and then ends well.
    pub fn run(&self, args: &[&str]) -> Result<String, RealError> {
        // 4.x wants to be told what to log, and 5.x tells at length how it finds that out.
        let conf = self.dir.join("tools/conf");
        std::fs::create_dir_all(&conf).map_err(RealError::io("create the folder of mqadmin"))?;
        std::fs::write(conf.join("logback_tools.xml"), "<configuration/>")
            .map_err(RealError::io("write its logging"))?;
        let mut command = Command::new(tools::find("java")?);
        command
            .args(["-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .arg(format!("-Duser.home={}", self.dir.display()))
            .arg(format!("-Drocketmq.home.dir={}", self.dir.join("tools").display()))
            .arg(format!("-Drmq.logback.configurationFile={}", conf.join("logback_tools.xml").display()))
            .arg(format!("-Djava.io.tmpdir={}", self.dir.display()))
            .arg("-cp")
            .arg(self.lib.join("*"))
            .arg("org.apache.rocketmq.tools.command.MQAdminStartup")
            .args(args)
            .args(["-n", &self.namesrv])
            .current_dir(&self.dir)
            .stderr(Stdio::piped());
        let output = tools::run(&format!("mqadmin {}", args.join(" ")), &mut command)?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(text.lines().filter(|line| !line.contains(" |-")).map(|line| format!("{line}\n")).collect())
    }
}
