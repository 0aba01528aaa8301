//! Which seeds a command is about.

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// So many seeds from the base on.
#[derive(Clone, Debug, Args)]
pub(crate) struct Seeds {
    /// How many seeds
    #[arg(long)]
    pub(crate) seeds: u64,
    /// The first seed: a number, or the hash of a commit
    #[arg(long, default_value = "0", value_parser = base)]
    pub(crate) base: u64,
}

impl Seeds {
    /// The seeds in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = u64> + use<> {
        let base = self.base;
        (0..self.seeds).map(move |index| base.wrapping_add(index))
    }

    /// The same seeds as words for another process.
    pub(crate) fn words(&self) -> [String; 4] {
        ["--seeds".to_owned(), self.seeds.to_string(), "--base".to_owned(), self.base.to_string()]
    }
}

/// A number, decimal or with `0x`.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("'{text}' is no number"))
}

/// A number, or the first 16 digits of the hash of a commit.
fn base(text: &str) -> Result<u64, String> {
    let is_hash = text.len() == 40 || (text.len() >= 7 && text.contains(|digit: char| digit.is_ascii_lowercase()));
    let hash = text.get(..text.len().min(16)).filter(|_| is_hash && !text.starts_with("0x"));
    match hash.and_then(|hash| u64::from_str_radix(hash, 16).ok()) {
        Some(hash) => Ok(hash),
        None => number(text).map_err(|_| format!("'{text}' is neither a number nor the hash of a commit")),
    }
}

/// A bar on the terminal, if there is one and nobody asked for figures only.
pub(crate) fn progress(of: u64, json: bool) -> ProgressBar {
    let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len}, {elapsed} of {duration} {msg}");
    ProgressBar::with_draw_target(Some(of), target).with_style(style.expect("the template keeps its rules"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_number_or_a_commit() {
        assert_eq!(base("22"), Ok(22));
        assert_eq!(base("0x1f"), Ok(31));
        assert_eq!(base("dbf473c"), Ok(0xdbf_473c));
        assert_eq!(base("0123456789abcdef0123456789abcdef01234567"), Ok(0x0123_4567_89ab_cdef));
        assert!(base("main").is_err());
        assert!(base("").is_err());
    }
}
