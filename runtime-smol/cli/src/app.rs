//! The arguments of the program, and the way from them to a command.

use std::ffi::OsString;
use std::io::Write;
use std::time::{Duration, Instant};

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::access::Access;
use crate::commands::{acl, broker, cluster, doctor, group, message, namesrv, offset, producer, stats, topic, user};
use crate::context::Cx;
use crate::failure::{Exit, Failure};
use crate::output::{Form, Output};
use crate::{Streams, args};

/// A native command line for Apache RocketMQ clusters.
#[derive(Debug, Parser)]
#[command(
    name = "rmq",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:
  rmq cluster list
  rmq topic create orders -r 8 -w 8
  rmq message tail orders

The commands of mqadmin work too, with its letters: rmq topicRoute -t orders

Exit codes: 0 done; 1 refused, or not found; 2 wrong arguments; 3 not reachable; 4 some brokers failed"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The name servers, as host:port;host:port
    #[arg(
        short,
        long,
        global = true,
        env = "NAMESRV_ADDR",
        default_value = "127.0.0.1:9876",
        value_name = "ADDRESSES"
    )]
    namesrv: String,
    /// The form of what is shown
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    output: Form,
    /// The longest wait for each answer, as 500ms or 10s [default: 6s, for queries 18s]
    #[arg(long, global = true, value_parser = args::timeout, value_name = "TIME")]
    timeout: Option<Duration>,
    /// Whether to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
    /// Also tell what the client meets, and how long all took
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Clusters and their brokers
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    /// Topics: list, create, change, delete, look at
    #[command(subcommand)]
    Topic(topic::Topic),
    /// Consumer groups: members, progress, settings
    #[command(subcommand)]
    Group(group::Group),
    /// Offsets of queues and groups
    #[command(subcommand)]
    Offset(offset::Offset),
    /// Messages: send, find, follow, consume
    #[command(subcommand)]
    Message(message::Message),
    /// Producers
    #[command(subcommand)]
    Producer(producer::Producer),
    /// Brokers: figures, settings, and work to be done
    #[command(subcommand)]
    Broker(broker::Broker),
    /// Name servers: what they tell of brokers and keep, and their settings
    #[command(subcommand)]
    Namesrv(namesrv::Namesrv),
    /// Users of brokers, from 5.3 on
    #[command(subcommand)]
    User(user::User),
    /// What users may do, from 5.3 on
    #[command(subcommand)]
    Acl(acl::Acl),
    /// Backlog and rates of topics and their groups
    #[command(after_help = "Examples:\n  rmq stats\n  rmq stats orders -o json")]
    Stats(stats::Stats),
    /// What a client sees from here: whom it reaches, where a topic leads, and what lacks
    #[command(after_help = "Examples:\n  rmq doctor\n  rmq doctor orders\n  rmq doctor orders -o json")]
    Doctor(doctor::Doctor),
    /// A script for a shell, that completes the words of rmq
    #[command(after_help = "Example:\n  rmq completions bash > /etc/bash_completion.d/rmq")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The words of the program, for those who look at them.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

pub(crate) fn run(args: Vec<OsString>, streams: Streams<'_>) -> u8 {
    let begun = Instant::now();
    let color = asked_color(&args);
    let wants = |terminal: bool| match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
    };
    let (color_out, color_err) = (wants(streams.out_is_terminal), wants(streams.err_is_terminal));
    let mut command = Cli::command().color(ColorChoice::Always);
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let (to, color) = if error.use_stderr() { (streams.err, color_err) } else { (streams.out, color_out) };
            let text = error.render();
            let text = if color { text.ansi().to_string() } else { text.to_string() };
            // Nobody is left to tell that it cannot be written.
            let _ = write!(to, "{text}").and_then(|()| to.flush());
            return u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8);
        }
    };
    let verbose = cli.global.verbose;
    let form = cli.global.output;
    let out = Output { out: streams.out, form, color: color_out, progress: streams.err_is_terminal };
    let failed = match smol::block_on(cli.run(out, streams.err)) {
        Ok(exit) => exit,
        Err(failure) => {
            if failure.exit != Exit::Unread {
                let _ = writeln!(streams.err, "rmq: {}", failure.line());
            }
            failure.exit as u8
        }
    };
    if verbose {
        let _ = writeln!(streams.err, "rmq: took {:.1?}", begun.elapsed());
    }
    failed
}

/// The wish for colours, which counts for what is wrong with the arguments too.
fn asked_color(args: &[OsString]) -> Color {
    let mut texts = args.iter().filter_map(|arg| arg.to_str());
    let asked = texts.find_map(|text| text.strip_prefix("--color")).map(|rest| rest.trim_start_matches('='));
    let asked = match asked {
        Some("") => args.iter().skip_while(|arg| *arg != "--color").nth(1).and_then(|arg| arg.to_str()),
        asked => asked,
    };
    asked.and_then(|text| Color::from_str(text, true).ok()).unwrap_or_default()
}

impl Cli {
    async fn run(self, out: Output<'_>, err: &mut dyn Write) -> Result<u8, Failure> {
        let global = self.global;
        if let Command::Completions { shell } = self.command {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "rmq", &mut script);
            out.out.write_all(&script)?;
            return Ok(0);
        }
        let builder = self.access.grant(rocketmq_smol::builder().name_servers(&global.namesrv))?;
        let mut cx = Cx::connect(builder, global.timeout, out).await?;
        let mut events = global.verbose.then(|| cx.client.events());
        let done = match self.command {
            Command::Cluster(command) => command.run(&mut cx).await,
            Command::Topic(command) => command.run(&mut cx).await,
            Command::Group(command) => command.run(&mut cx).await,
            Command::Offset(command) => command.run(&mut cx).await,
            Command::Message(command) => command.run(&mut cx).await,
            Command::Producer(command) => command.run(&mut cx).await,
            Command::Broker(command) => command.run(&mut cx).await,
            Command::Namesrv(command) => command.run(&mut cx).await,
            Command::User(command) => command.run(&mut cx).await,
            Command::Acl(command) => command.run(&mut cx).await,
            Command::Stats(command) => command.run(&mut cx).await,
            Command::Doctor(command) => command.run(&mut cx).await,
            Command::Completions { .. } => Ok(()),
        };
        while let Some(event) = events.as_mut().and_then(|events| events.try_next()) {
            let _ = writeln!(err, "rmq: {event:?}");
        }
        let failed = cx.into_failed();
        for (server, error) in &failed {
            let _ = writeln!(err, "rmq: {server}: {error}");
        }
        done.map(|()| if failed.is_empty() { 0 } else { Exit::Partial as u8 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_keep_claps_rules() {
        Cli::command().debug_assert();
    }

    #[test]
    fn colours_are_asked_for_in_two_ways() {
        let of = |words: &str| asked_color(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("rmq --color never topic list"), Color::Never);
        assert_eq!(of("rmq topic list --color=always"), Color::Always);
        assert_eq!(of("rmq topic list"), Color::Auto);
        assert_eq!(of("rmq --color"), Color::Auto);
    }
}
