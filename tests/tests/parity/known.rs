//! Where the models are known to answer otherwise than a real server, and why that is no harm.

use crate::cells::Cell;

/// A field in which the answers differ in these cells.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) field: &'static str,
    pub(crate) cells: &'static [(i32, &'static str)],
    pub(crate) reason: &'static str,
}

impl Known {
    pub(crate) fn is_about(&self, cell: &Cell) -> bool {
        self.cells.contains(&(cell.code, cell.situation))
    }
}

/// A 5.4.0 cluster.
pub(crate) const V5: &[Known] = &[
    EXCEPTIONS,
    Known {
        field: "remark",
        reason: EXCEPTION,
        cells: &[
            (223, "group without members"),
            (3010, "without access control"),
            (310, "empty body"),
            (36, "dead, without the topic of the message"),
            (200_050, "without its topic"),
            (200_051, "garbage for a handle"),
            (200_053, "garbage for a handle"),
            (200_151, "garbage for a body"),
        ],
    },
];

/// A 4.9.7 cluster.
pub(crate) const V4: &[Known] = &[
    EXCEPTIONS,
    Known {
        field: "remark",
        reason: EXCEPTION,
        cells: &[
            (223, "group without members"),
            (11, "fewer than none"),
            (15, "garbage for the offset"),
            (15, "no offset"),
            (46, "no body"),
        ],
    },
    Known {
        field: "body brokerDatas",
        reason: ACTING_MASTER,
        cells: &[
            (100, "order of a topic"),
            (105, "after fewer queues"),
            (105, "after more queues"),
            (105, "after the topic became read-only"),
            (105, "binary header"),
            (105, "client before standard JSON"),
            (105, "field nobody knows"),
            (105, "garbage for a boolean"),
            (105, "more queues to read than to write"),
            (105, "new client that does not want standard JSON"),
            (105, "old client that asks for standard JSON"),
            (105, "ordered topic"),
            (105, "retry topic made by a heartbeat"),
            (105, "template topic"),
            (105, "topic made by a send"),
            (105, "topic named like the broker"),
            (105, "topic named like the cluster"),
            (105, "topic of the delayed messages"),
            (105, "topic that was just created"),
            (105, "topic with system flags"),
            (17, "oneway"),
        ],
    },
    Known {
        field: "body brokerAddrTable",
        reason: ACTING_MASTER,
        cells: &[(106, "a body that nobody reads"), (106, "binary header"), (106, "one broker")],
    },
    Known {
        field: "field MSG_REGION",
        reason: EXCEPTION_AFTER_FIELDS,
        cells: &[(10, "without its topic"), (310, "without its topic")],
    },
    Known {
        field: "field TRACE_ON",
        reason: EXCEPTION_AFTER_FIELDS,
        cells: &[(10, "without its topic"), (310, "without its topic")],
    },
    Known {
        field: "closed",
        reason: "4.9.7 skips what it cannot read; no client of ours writes it, and a model that closes shows if one did",
        cells: &[(30, "header that is no JSON")],
    },
];

/// What both answer with the text of an exception.
const EXCEPTIONS: Known = Known {
    field: "remark",
    reason: EXCEPTION,
    cells: &[
        (10, "garbage for its queue"),
        (10, "without its topic"),
        (11, "garbage for its offset"),
        (11, "without its flags"),
        (11, "without its offset"),
        (11, "without its topic"),
        (14, "garbage for the queue"),
        (17, "garbage for the filter type"),
        (17, "garbage for the number of queues"),
        (17, "garbage for the permissions"),
        (17, "without a name"),
        (17, "without the number of queues"),
        (29, "no time"),
        (30, "garbage for the queue"),
        (30, "no queue"),
        (30, "no topic"),
        (31, "no queue"),
        (310, "garbage for its queue"),
        (310, "level that is no number"),
        (310, "queue beyond 32 bits"),
        (310, "without its birth"),
        (310, "without its queue"),
        (310, "without its topic"),
        (32, "no topic"),
        (320, "empty body"),
        (320, "garbage for a body"),
        (33, "no position"),
        (34, "garbage for a body"),
        (34, "no body"),
        (36, "garbage for the level"),
        (36, "no group"),
        (36, "no level"),
        (36, "no position"),
        (36, "position inside a message"),
        (38, "no group"),
        (41, "garbage for a body"),
        (42, "garbage for a body"),
        (46, "SQL that ends too early"),
        (46, "SQL that orders texts"),
        (46, "SQL with a list of numbers"),
        (46, "SQL with a range that is none"),
        (46, "SQL that compares with nothing"),
        (46, "SQL that is no verdict"),
        (46, "SQL with a text that does not end"),
        (46, "SQL with a sign that is none"),
        (46, "no SQL"),
        (46, "garbage for a body"),
    ],
};

const EXCEPTION: &str = "the text of a Java exception, often with its line of code; the code of the answer is the same";
const EXCEPTION_AFTER_FIELDS: &str =
    "an exception that comes when the fields of the answer are set; it has no more to say";
const ACTING_MASTER: &str = "4.9.7 has no enableActingMaster; no client of ours reads it";
