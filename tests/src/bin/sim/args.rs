//! The words after the command: `--name value` and `--name`.

use std::collections::BTreeMap;

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Args(BTreeMap<String, String>);

impl Args {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("'{word}' is not of the form --name"))?;
            let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_default();
            args.0.insert(name.to_owned(), value);
        }
        Ok(args)
    }

    /// The words again.
    pub(crate) fn words(&self) -> Vec<String> {
        let word = |(name, value): (&String, &String)| [format!("--{name}"), value.clone()];
        self.0.iter().flat_map(word).filter(|word| !word.is_empty()).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A number, decimal or with `0x`.
    pub(crate) fn number(&self, name: &str, default: Option<u64>) -> Result<u64, String> {
        match (self.text(name), default) {
            (Some(text), _) => number(text).ok_or_else(|| format!("--{name} '{text}' is no number")),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(format!("--{name} is missing")),
        }
    }

    /// The first seed: a number, or the hash of a commit.
    pub(crate) fn base(&self) -> Result<u64, String> {
        let Some(text) = self.text("base") else { return Ok(0) };
        let hash = text.get(..16).filter(|_| text.len() >= 40).and_then(|hash| u64::from_str_radix(hash, 16).ok());
        hash.or_else(|| number(text)).ok_or_else(|| format!("--base '{text}' is neither a commit nor a number"))
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
