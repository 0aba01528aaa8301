//! The names of `mqadmin`'s commands. Each stands for words of ours, and some of their options have other letters here.

use std::ffi::OsString;

/// One command of `mqadmin`.
pub(crate) struct Alias {
    pub(crate) name: &'static str,
    /// The words that it stands for.
    pub(crate) words: &'static [&'static str],
    /// Its options whose values stand without a name here, in this order.
    places: &'static [Letters],
    /// Its options that are called otherwise here, and whose value is joined on; those that have no name here are left out.
    options: &'static [(&'static str, &'static str)],
}

/// The short and the long name of an option.
type Letters = [&'static str; 2];

const TOPIC: Letters = ["-t", "--topic"];
const GROUP: Letters = ["-g", "--groupName"];
const ID: Letters = ["-i", "--msgId"];
const USER: Letters = ["-u", "--username"];
const SUBJECT: Letters = ["-s", "--subject"];
const BROKER: Letters = ["-b", "--brokerName"];

const fn alias(
    name: &'static str,
    words: &'static [&'static str],
    places: &'static [Letters],
    options: &'static [(&'static str, &'static str)],
) -> Alias {
    Alias { name, words, places, options }
}

/// All that have a counterpart. Source: Java 5.4.0 `MQAdminStartup.initCommand`, and the options of each command.
pub(crate) const ALIASES: [Alias; 57] = [
    alias("clusterList", &["cluster", "list"], &[], &[]),
    alias("topicList", &["topic", "list"], &[], &[]),
    alias("updateTopic", &["topic", "update", "--or-create"], &[TOPIC], &[("-o", "--order="), ("-a", "--attributes=")]),
    alias("updateTopicPerm", &["topic", "update"], &[TOPIC], &[]),
    alias("deleteTopic", &["topic", "delete"], &[TOPIC], &[]),
    alias("topicRoute", &["topic", "route"], &[TOPIC], &[]),
    alias("topicStatus", &["topic", "status"], &[TOPIC], &[]),
    alias("topicClusterList", &["topic", "clusters"], &[TOPIC], &[]),
    alias(
        "updateSubGroup",
        &["group", "create"],
        &[GROUP],
        &[
            ("-s", "--consume="),
            ("-m", "--from-first="),
            ("-d", "--broadcast="),
            ("-o", "--orderly="),
            ("-q", "--retry-queues="),
            ("-r", "--retry-max="),
            ("-i", "--read-from="),
            ("-w", "--read-from-when-slow="),
            ("-a", "--notify="),
        ],
    ),
    alias("deleteSubGroup", &["group", "delete"], &[GROUP], &[("-r", "--offsets=")]),
    alias("consumerProgress", &["group", "progress"], &[GROUP], &[]),
    alias("consumerStatus", &["group", "status"], &[GROUP], &[("-i", "--member=")]),
    alias("consumerConnection", &["group", "connections"], &[GROUP], &[]),
    alias("setConsumeMode", &["group", "mode"], &[GROUP, TOPIC], &[("-m", "--mode="), ("-q", "--share=")]),
    alias("producerConnection", &["producer", "connections"], &[GROUP, TOPIC], &[]),
    alias(
        "resetOffsetByTime",
        &["offset", "reset"],
        &[GROUP, TOPIC],
        &[("-s", "--to="), ("-f", "--force="), ("-b", "--broker="), ("-q", "--queue-id="), ("-o", "--offset=")],
    ),
    alias("skipAccumulatedMessage", &["offset", "reset", "--to=end"], &[GROUP, TOPIC], &[("-f", "--force=")]),
    alias(
        "cloneGroupOffset",
        &["offset", "clone"],
        &[["-s", "--srcGroup"], ["-d", "--destGroup"], TOPIC],
        &[("-o", "")],
    ),
    alias("getConsumerStatus", &["offset", "members"], &[GROUP, TOPIC], &[("-i", "--member=")]),
    alias("queryMsgById", &["message", "get"], &[TOPIC, ID], &[]),
    alias("queryMsgByUniqueKey", &["message", "get"], &[TOPIC, ID], &[]),
    alias(
        "queryMsgByOffset",
        &["message", "get"],
        &[TOPIC],
        &[("-b", "--broker="), ("-i", "--queue-id="), ("-o", "--offset=")],
    ),
    alias(
        "queryMsgByKey",
        &["message", "query"],
        &[TOPIC],
        &[("-k", "--key="), ("-b", "--from="), ("-e", "--to="), ("-m", "--max=")],
    ),
    alias(
        "printMsg",
        &["message", "query"],
        &[TOPIC],
        &[("-s", "--tags="), ("-b", "--from="), ("-e", "--to="), ("-d", ""), ("-c", "")],
    ),
    alias(
        "printMsgByQueue",
        &["message", "query"],
        &[TOPIC],
        &[
            ("-a", "--broker="),
            ("-i", "--queue-id="),
            ("-s", "--tags="),
            ("-b", "--from="),
            ("-e", "--to="),
            ("-p", ""),
            ("-d", ""),
            ("-c", ""),
            ("-f", ""),
        ],
    ),
    alias(
        "consumeMessage",
        &["message", "query"],
        &[TOPIC],
        &[
            ("-b", "--broker="),
            ("-i", "--queue-id="),
            ("-o", "--offset="),
            ("-s", "--from="),
            ("-e", "--to="),
            ("-c", "--max="),
            ("-g", ""),
        ],
    ),
    alias(
        "sendMessage",
        &["message", "send"],
        &[TOPIC, ["-p", "--body"]],
        &[("-k", "--key="), ("-c", "--tag="), ("-b", "--broker="), ("-i", "--queue-id=")],
    ),
    alias("brokerStatus", &["broker", "status"], &[], &[]),
    alias("getBrokerConfig", &["broker", "config"], &[], &[]),
    alias("updateBrokerConfig", &["broker", "update-config"], &[["-k", "--key"], ["-v", "--value"]], &[]),
    alias("wipeWritePerm", &["namesrv", "wipe-perm"], &[BROKER], &[]),
    alias("addWritePerm", &["namesrv", "add-perm"], &[BROKER], &[]),
    alias("statsAll", &["stats"], &[TOPIC], &[]),
    alias("updateOrderConf", &["topic", "order"], &[TOPIC], &[("-m", "--do="), ("-v", "--queues=")]),
    alias(
        "queryCq",
        &["topic", "entries"],
        &[TOPIC],
        &[("-q", "--queue-id="), ("-i", "--from="), ("-c", "--count="), ("-b", "--broker="), ("-g", "--group=")],
    ),
    alias("getConsumerConfig", &["group", "config"], &[GROUP], &[]),
    alias("brokerConsumeStats", &["broker", "groups"], &[], &[("-l", "--behind="), ("-o", ""), ("-t", "--timeout=")]),
    alias("haStatus", &["broker", "slaves"], &[], &[]),
    alias("cleanExpiredCQ", &["broker", "clean-queues"], &[], &[]),
    alias("cleanUnusedTopic", &["broker", "clean-topics"], &[], &[]),
    alias("deleteExpiredCommitLog", &["broker", "clean-logs"], &[], &[]),
    alias("getColdDataFlowCtrInfo", &["broker", "cold-reads"], &[], &[]),
    alias(
        "updateColdDataFlowCtrGroupConfig",
        &["broker", "bound-cold-reads"],
        &[["-g", "--consumerGroup"], ["-v", "--threshold"]],
        &[],
    ),
    alias("removeColdDataFlowCtrGroupConfig", &["broker", "free-cold-reads"], &[["-g", "--consumerGroup"]], &[]),
    alias("getNamesrvConfig", &["namesrv", "config"], &[], &[]),
    alias("updateNamesrvConfig", &["namesrv", "update-config"], &[["-k", "--key"], ["-v", "--value"]], &[]),
    alias("updateKvConfig", &["namesrv", "set-kv"], &[["-s", "--namespace"], ["-k", "--key"], ["-v", "--value"]], &[]),
    alias("deleteKvConfig", &["namesrv", "delete-kv"], &[["-s", "--namespace"], ["-k", "--key"]], &[]),
    alias("listUser", &["user", "list"], &[], &[("-f", "--like=")]),
    alias("getUser", &["user", "get"], &[USER], &[]),
    alias("createUser", &["user", "create"], &[USER], &[("-p", "--password="), ("-t", "--type=")]),
    alias("updateUser", &["user", "update"], &[USER], &[("-p", "--password="), ("-t", "--type="), ("-s", "--status=")]),
    alias("deleteUser", &["user", "delete"], &[USER], &[]),
    alias("listAcl", &["acl", "list"], &[], &[("-s", "--subject="), ("-r", "--resource=")]),
    alias("getAcl", &["acl", "get"], &[SUBJECT], &[]),
    alias(
        "createAcl",
        &["acl", "create"],
        &[SUBJECT],
        &[("-r", "--resource="), ("-a", "--actions="), ("-d", "--decision="), ("-i", "--from=")],
    ),
    alias("deleteAcl", &["acl", "delete"], &[SUBJECT], &[("-r", "--resource=")]),
];

/// Options before the command whose value is a word of its own.
const WITH_VALUE: [&str; 12] = [
    "-n",
    "--namesrv",
    "-o",
    "--output",
    "--timeout",
    "--color",
    "--access-key",
    "--secret-key-file",
    "--tls-ca",
    "--tls-cert",
    "--tls-key",
    "--tls-name",
];

/// The same arguments, with our words in the place of those of `mqadmin`.
pub(crate) fn expand(args: Vec<OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut out: Vec<OsString> = args.next().into_iter().collect();
    while let Some(arg) = args.next() {
        let text = arg.to_str().unwrap_or_default();
        if WITH_VALUE.contains(&text) {
            out.push(arg);
            out.extend(args.next());
        } else if text.starts_with('-') {
            out.push(arg);
        } else {
            match ALIASES.iter().find(|alias| alias.name == text) {
                Some(alias) => alias.rewrite(args, &mut out),
                None => out.extend([arg].into_iter().chain(args)),
            }
            return out;
        }
    }
    out
}

impl Alias {
    fn rewrite(&self, args: impl Iterator<Item = OsString>, out: &mut Vec<OsString>) {
        out.extend(self.words.iter().map(OsString::from));
        let mut placed = vec![None; self.places.len()];
        let mut rest = Vec::new();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            let place = self.places.iter().position(|letters| letters.iter().any(|letter| arg == **letter));
            let option = self.options.iter().find(|(theirs, _)| arg == **theirs);
            // Only ours has such a value.
            let form = arg == "-o" && args.peek().is_some_and(|value| value == "json" || value == "table");
            match (place.and_then(|index| placed.get_mut(index)), option.filter(|_| !form)) {
                (Some(place), _) => *place = args.next(),
                (None, Some((_, ""))) => drop(args.next()),
                (None, Some((_, ours))) => {
                    let mut joined = OsString::from(ours);
                    joined.push(args.next().unwrap_or_default());
                    rest.push(joined);
                }
                (None, None) => rest.push(arg),
            }
        }
        out.extend(placed.into_iter().flatten().chain(rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(words: &str) -> String {
        let words = expand(words.split(' ').map(OsString::from).collect());
        words.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn names_of_mqadmin_become_words_of_ours_and_nothing_else_does() {
        assert_eq!(expanded("rmq topicRoute -t T"), "rmq topic route T");
        assert_eq!(expanded("rmq -n a:1 -o json topicRoute --topic T"), "rmq -n a:1 -o json topic route T");
        assert_eq!(expanded("rmq --output=json topicList"), "rmq --output=json topic list");
        assert_eq!(expanded("rmq topic route topicList"), "rmq topic route topicList");
        assert_eq!(expanded("rmq -n topicList"), "rmq -n topicList");
        assert_eq!(expanded("rmq"), "rmq");
    }

    #[test]
    fn options_come_to_their_places_or_have_other_names() {
        let ours = expanded("rmq queryMsgByOffset -b b -i 0 -o 5 -t T -n a:1");
        assert_eq!(ours, "rmq message get T --broker=b --queue-id=0 --offset=5 -n a:1");
        let ours = expanded("rmq resetOffsetByTime -t T -g G -s now -f true");
        assert_eq!(ours, "rmq offset reset G T --to=now --force=true");
        assert_eq!(expanded("rmq queryMsgById -i X"), "rmq message get X");
        assert_eq!(expanded("rmq printMsg -d true -t T"), "rmq message query T");
        assert_eq!(expanded("rmq updateTopic -o true -o json"), "rmq topic update --or-create --order=true -o json");
        assert_eq!(expanded("rmq updateTopic -o"), "rmq topic update --or-create --order=");
    }
}
