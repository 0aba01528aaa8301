//! The program as such: its help, its exit codes, its README.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::kit::{Lab, program, run};

const README: &str = include_str!("../../README.md");

/// All commands by their words, those that have commands of their own left out.
fn leaves() -> Vec<(String, clap::Command)> {
    fn walk(path: &str, command: &clap::Command, out: &mut Vec<(String, clap::Command)>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let path = format!("{path} {}", inner.get_name());
            match inner.has_subcommands() {
                true => walk(&path, inner, out),
                false => out.push((path, inner.clone())),
            }
        }
    }
    let mut out = Vec::new();
    walk("rmq", &rocketmq_rmq::command(), &mut out);
    out
}

#[test]
fn every_command_has_an_example_that_can_be_read() {
    assert!(leaves().len() >= 40, "{}", leaves().len());
    for (path, command) in leaves() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<_> = help.lines().filter(|line| line.trim_start().starts_with("rmq ")).collect();
        assert!(!examples.is_empty(), "{path} has no example");
        for example in examples {
            let example = example.trim();
            assert!(example.starts_with(&path), "{example}");
            // What is behind the command is for the shell.
            let words: Vec<String> = words(example.split([';', '|', '<', '>']).next().unwrap());
            let parsed = rocketmq_rmq::command().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{example}: {:?}", parsed.err().map(|error| error.to_string()));
        }
        assert!(command.get_about().is_some(), "{path}");
    }
}

/// Words, some of them in quotes. A bar in quotes is none of the shell.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let outside = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    parts.flat_map(|(index, part)| if index % 2 == 0 { outside(part) } else { vec![part.to_owned()] }).collect()
}

#[test]
fn the_readme_lists_the_commands_and_no_others() {
    let listed: BTreeSet<String> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(words, _)| words.to_owned()))
        .filter(|words| words.starts_with("rmq "))
        .collect();
    let there: BTreeSet<String> = leaves().into_iter().map(|(path, _)| path).collect();
    assert_eq!(listed, there);
}

#[test]
fn the_readme_lists_the_names_of_mqadmin() {
    for (name, words) in rocketmq_rmq::aliases() {
        let row = README.lines().find(|line| line.contains(&format!("`{name}`")));
        let command = words.split(" --").next().unwrap();
        assert!(row.is_some_and(|row| row.starts_with(&format!("| `rmq {command}`"))), "{name}: {row:?}");
        let path: Vec<_> = command.split(' ').collect();
        assert!(leaves().iter().any(|(leaf, _)| *leaf == format!("rmq {}", path.join(" "))), "{command}");
    }
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let lab = Lab::new();
    assert_eq!(lab.run(&["cluster", "list"]).code, 0);
    assert_eq!(lab.run(&["topic", "route", "nowhere"]).code, 1);
    for words in [
        &["topic"][..],
        &["topik", "list"],
        &["topic", "list", "--output", "xml"],
        &["--timeout", "0s", "topic", "list"],
    ] {
        let ran = lab.run(words);
        assert!(ran.code == 2 && ran.out.is_empty() && !ran.err.is_empty(), "{words:?}: {ran:?}");
    }
    let begun = Instant::now();
    let ran = run(&mut program(&["cluster", "list", "-n", "127.0.0.1:1", "--timeout", "300ms"]));
    assert!(ran.code == 3 && ran.err.lines().count() == 1 && begun.elapsed() < Duration::from_secs(2), "{ran:?}");
    let ran = run(&mut program(&["cluster", "list", "-n", "no address"]));
    assert!(ran.code == 2 && ran.err.contains("host:port"), "{ran:?}");
}

#[test]
fn the_address_is_an_option_or_in_the_environment() {
    let lab = Lab::new();
    let shown = lab.shown(&["topic", "list"]);
    let namesrv = lab.cluster.namesrv();
    for words in [
        ["-n", &namesrv, "topic", "list"],
        ["topic", "list", "-n", &namesrv],
        ["topicList", "--namesrv", &namesrv, "-o=table"],
    ] {
        assert_eq!(run(&mut program(&words)).out, shown);
    }
}

#[test]
fn colours_are_for_terminals_or_those_who_ask() {
    let lab = Lab::new();
    assert!(!lab.shown(&["topic", "list"]).contains('\u{1b}'));
    assert!(lab.shown(&["topic", "list", "--color", "always"]).starts_with("\u{1b}[1mTOPIC"));
    assert!(!run(&mut program(&["--help"])).out.contains('\u{1b}'));
    assert!(run(&mut program(&["--help", "--color=always"])).out.contains('\u{1b}'));
}

#[test]
fn what_the_client_meets_is_told_to_those_who_ask() {
    let lab = Lab::new();
    let ran = lab.run(&["cluster", "list", "-v"]);
    assert!(ran.code == 0 && ran.err.lines().all(|line| line.starts_with("rmq: ")), "{ran:?}");
    assert!(ran.err.lines().last().unwrap().starts_with("rmq: took "), "{ran:?}");
}

#[test]
fn shells_have_scripts_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&mut program(&["completions", shell]));
        assert!(ran.code == 0 && ran.out.contains("wipe-perm"), "{shell}");
    }
    assert_eq!(run(&mut program(&["completions", "sh"])).code, 2);
}

#[test]
fn access_is_said_in_full_or_not_at_all() {
    let lab = Lab::new();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = |name: &str, text: &str| {
        let path = folder.join(format!("access-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (secret, empty, no_pem) = (file("secret", " s3cret\n"), file("empty", "\n"), file("pem", "nothing"));
    let usage = |words: &[&str], part: &str| {
        let (code, line) = lab.failure(&[&["cluster", "list"], words].concat());
        assert!(code == 2 && line.contains(part), "{words:?}: {code} {line}");
    };
    usage(&["--tls-cert", "c.pem"], "--tls-ca");
    usage(&["--tls-name", "n"], "--tls-ca");
    usage(&["--tls-ca", "/nowhere/ca.pem"], "/nowhere/ca.pem");
    usage(&["--tls-ca", &no_pem], "no certificate");
    usage(&["--secret-key-file", &secret], "--access-key");
    usage(&["--access-key", "me"], "the secret is missing");
    usage(&["--access-key", "me", "--secret-key-file", &empty], "the secret is missing");
    // A cluster without ACL does not mind.
    lab.shown(&["cluster", "list", "--access-key", "me", "--secret-key-file", &secret]);
    let mut with_env = lab.command(&["cluster", "list", "--access-key", "me"]);
    assert_eq!(run(with_env.env("RMQ_SECRET_KEY", "s3cret")).code, 0);
    for name in [secret, empty, no_pem] {
        std::fs::remove_file(name).unwrap();
    }
}
