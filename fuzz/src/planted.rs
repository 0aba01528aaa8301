//! Mistakes planted in the decoders, one at a time and only under `--cfg sim_mutants`, to see that targets find them.

/// A planted mistake and the target that is to find it.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// Its number in the core.
    pub number: u32,
    /// The target.
    pub target: &'static str,
    /// What is wrong.
    pub what: &'static str,
}

/// All of them.
pub const MISTAKES: [Mistake; 10] = [
    mistake(101, "inner_batch", "missing bound: items of a batch are not counted"),
    mistake(102, "message_structured", "< for <=: the smallest record is refused"),
    mistake(103, "message_structured", "signed length: a topic of 128 bytes has a negative one"),
    mistake(104, "frame_split", "unchecked addition: length word and frame length"),
    mistake(105, "header_rmq", "allocation by the announced length"),
    mistake(106, "inflate", "the cap of inflating is ignored"),
    mistake(107, "pull_body", "unwrap of text that is not UTF-8"),
    mistake(108, "header_rmq", "fields go on behind the slice that is theirs"),
    mistake(109, "header_json", "nesting is not counted"),
    mistake(110, "header_rmq", "endless loop at a key of no bytes"),
];

/// The environment variable that says which mistake a process has.
pub const VARIABLE: &str = "PLANTED_MISTAKE";

/// Plants the mistake that [`VARIABLE`] names, if there is one and the build has mistakes.
pub fn plant() {
    #[cfg(sim_mutants)]
    if let Some(number) = std::env::var(VARIABLE).ok().and_then(|number| number.parse().ok()) {
        rocketmq_core::mutants::activate(number);
    }
}

const fn mistake(number: u32, target: &'static str, what: &'static str) -> Mistake {
    Mistake { number, target, what }
}
