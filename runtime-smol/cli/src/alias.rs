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

const COPY: [(&str, &str); 4] =
    [("-f", "--from="), ("--fromBroker", "--from="), ("-t", "--to="), ("--toBroker", "--to=")];

const fn alias(
    name: &'static str,
    words: &'static [&'static str],
    places: &'static [Letters],
    options: &'static [(&'static str, &'static str)],
) -> Alias {
    Alias { name, words, places, options }
}

/// All that have a counterpart. Source: Java 5.4.0 `MQAdminStartup.initCommand`, and the options of each command.
pub(crate) const ALIASES: [Alias; 63] = [
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
    alias("setCommitLogReadAheadMode", &["broker", "log-reads"], &[["-m", "--commitLogReadAheadMode"]], &[]),
    alias("producer", &["broker", "producers"], &[], &[]),
    alias(
        "queryMsgTraceById",
        &["message", "trace"],
        &[ID],
        &[("-t", "--topic="), ("-b", "--from="), ("-e", "--to="), ("-c", "--max=")],
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
    alias("copyUser", &["user", "copy"], &[["-u", "--usernames"]], &COPY),
    alias("listAcl", &["acl", "list"], &[], &[("-s", "--subject="), ("-r", "--resource=")]),
    alias("getAcl", &["acl", "get"], &[SUBJECT], &[]),
    alias(
        "createAcl",
        &["acl", "create"],
        &[SUBJECT],
        &[("-r", "--resource="), ("-a", "--actions="), ("-d", "--decision="), ("-i", "--from=")],
    ),
    alias(
        "updateAcl",
        &["acl", "update"],
        &[SUBJECT],
        &[("-r", "--resource="), ("-a", "--actions="), ("-d", "--decision="), ("-i", "--from=")],
    ),
    alias("copyAcl", &["acl", "copy"], &[["-s", "--subjects"]], &COPY),
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
            let rest: Vec<_> = args.collect();
            match ALIASES.iter().find(|alias| alias.name == text && alias.is_meant(&rest)) {
                Some(alias) => alias.rewrite(rest.into_iter(), &mut out),
                None => out.extend([arg].into_iter().chain(rest)),
            }
            return out;
        }
    }
    out
}

impl Alias {
    /// Whether it is this command with these arguments. `producer` is a group of commands of ours, none of which asks a
    /// broker, as theirs does.
    fn is_meant(&self, rest: &[OsString]) -> bool {
        self.name != "producer" || rest.iter().any(|arg| arg == "-b" || arg == "--broker")
    }

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
        assert_eq!(expanded("rmq producer -n a:1 -b b:2"), "rmq broker producers -n a:1 -b b:2");
        assert_eq!(expanded("rmq producer connections G T"), "rmq producer connections G T");
        assert_eq!(expanded("rmq producer --help"), "rmq producer --help");
    }

    /// Each as people who know it write it.
    #[test]
    fn every_command_of_mqadmin_that_is_covered_can_be_read() {
        let lines = [
            "clusterList -n a:1",
            "topicList -c C",
            "updateTopic -t T -c C -r 8 -w 8 -p 6 -o false -a +message.type=FIFO",
            "updateTopicPerm -t T -p 4 -b b:1",
            "deleteTopic -t T -c C",
            "topicRoute -t T",
            "topicStatus -t T",
            "topicClusterList -t T",
            "updateSubGroup -g G -c C -s true -m true -d true -o false -q 1 -r 16 -i 0 -w 1 -a true",
            "deleteSubGroup -g G -c C -r true",
            "consumerProgress -g G -t T",
            "consumerStatus -g G -i M",
            "consumerConnection -g G",
            "setConsumeMode -g G -t T -m POP -q 0",
            "producerConnection -g G -t T",
            "resetOffsetByTime -g G -t T -s now -f true",
            "skipAccumulatedMessage -g G -t T -f true",
            "cloneGroupOffset -s A -d B -t T -o true",
            "getConsumerStatus -g G -t T -i M",
            "queryMsgById -t T -i I",
            "queryMsgByUniqueKey -t T -i I",
            "queryMsgByOffset -t T -b b -i 0 -o 5",
            "queryMsgByKey -t T -k K -b 1 -e 2 -m 64",
            "printMsg -t T -s * -b 1 -e 2 -d true -c UTF-8",
            "printMsgByQueue -t T -a b -i 0 -s * -b 1 -e 2 -p true -d true -c UTF-8 -f false",
            "consumeMessage -t T -b b -i 0 -o 1 -c 1",
            "sendMessage -t T -p body -k K -c tag -b b -i 0",
            "queryMsgTraceById -i I -t T -b 1 -e 2 -c 64",
            "brokerStatus -b b:1",
            "getBrokerConfig -b b:1",
            "updateBrokerConfig -b b:1 -k K -v V",
            "brokerConsumeStats -b b:1 -l 1 -o false -t 5000",
            "haStatus -b b:1",
            "cleanExpiredCQ -b b:1",
            "cleanUnusedTopic -c C",
            "deleteExpiredCommitLog -b b:1",
            "getColdDataFlowCtrInfo -b b:1",
            "updateColdDataFlowCtrGroupConfig -b b:1 -g G -v 4096",
            "removeColdDataFlowCtrGroupConfig -b b:1 -g G",
            "setCommitLogReadAheadMode -b b:1 -m 1",
            "producer -b b:1",
            "wipeWritePerm -b b",
            "addWritePerm -b b",
            "statsAll -t T",
            "updateOrderConf -t T -m put -v b:4",
            "queryCq -t T -q 0 -i 0 -c 10 -b b:1 -g G",
            "getConsumerConfig -g G",
            "getNamesrvConfig",
            "updateNamesrvConfig -k K -v V",
            "updateKvConfig -s N -k K -v V",
            "deleteKvConfig -s N -k K",
            "listUser -b b:1 -f U",
            "getUser -b b:1 -u U",
            "createUser -b b:1 -u U -p P -t Normal",
            "updateUser -b b:1 -u U -p P -t Normal -s enable",
            "deleteUser -b b:1 -u U",
            "copyUser -f a:1 -t b:1 -u U,V",
            "listAcl -b b:1 -s U -r T",
            "getAcl -b b:1 -s User:U",
            "createAcl -b b:1 -s User:U -r Topic:T -a Pub,Sub -d Allow -i 10.0.0.1",
            "updateAcl -b b:1 -s User:U -r Topic:T -a Pub,Sub -d Deny -i 10.0.0.1",
            "deleteAcl -b b:1 -s User:U -r Topic:T",
            "copyAcl -f a:1 -t b:1 -s User:U",
        ];
        for line in lines {
            let words = expand(["rmq"].into_iter().chain(line.split(' ')).map(OsString::from).collect());
            let read = crate::command().try_get_matches_from(&words);
            assert!(read.is_ok(), "{line}: {words:?}: {:?}", read.err().map(|error| error.to_string()));
            assert!(words.get(1).is_some_and(|word| *word != line.split(' ').next().unwrap()), "{line}");
        }
        let names = |lines: &[&'static str]| lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        let tried: std::collections::BTreeSet<_> = names(&lines);
        assert_eq!(tried, ALIASES.iter().map(|alias| alias.name).collect());
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
