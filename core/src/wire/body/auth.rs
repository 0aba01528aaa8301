//! Users of brokers, and what they may do.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{BodyError, lenient, list, read, read_list, write};

/// A user of a broker (replies 3004 and 3005). What it shows has no password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// Its password. Brokers tell it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// `enable` or `disable`.
    #[serde(rename = "userStatus", skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `Super` for one that may do all, or `Normal`.
    #[serde(rename = "userType", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its name.
    #[serde(rename = "username", deserialize_with = "lenient")]
    pub name: String,
}

impl User {
    /// A user who may do what is allowed to it.
    #[must_use]
    pub fn normal(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { kind: Some("Normal".into()), name: name.into(), password: Some(password.into()), status: None }
    }

    /// A user who may do all.
    #[must_use]
    pub fn administrator(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { kind: Some("Super".into()), ..Self::normal(name, password) }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Reads a list of them; nothing is an empty one.
    ///
    /// # Errors
    /// It is no such list, or longer than 100,000.
    pub fn decode_list(body: &[u8]) -> Result<Vec<Self>, BodyError> {
        read_list::<MOST, _>("users", body)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "…");
        let Self { name, kind, status, .. } = self;
        f.debug_struct("User")
            .field("name", name)
            .field("password", &password)
            .field("kind", kind)
            .field("status", status)
            .finish()
    }
}

/// What somebody may do (replies 3009 and 3010).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Acl {
    /// By kind.
    #[serde(deserialize_with = "list::<MOST, _, _>")]
    pub policies: Vec<AclPolicy>,
    /// Who: `User:name`.
    #[serde(deserialize_with = "lenient")]
    pub subject: String,
}

impl Acl {
    /// What a user may do by a policy of its own.
    #[must_use]
    pub fn of_user(name: &str, entries: Vec<AclEntry>) -> Self {
        let policies = alloc::vec![AclPolicy { entries, kind: "Custom".into() }];
        Self { policies, subject: alloc::format!("User:{name}") }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is no such body.
    pub fn decode(body: &[u8]) -> Result<Self, BodyError> {
        read(body)
    }

    /// Reads a list of them; nothing is an empty one.
    ///
    /// # Errors
    /// It is no such list, or longer than 100,000.
    pub fn decode_list(body: &[u8]) -> Result<Vec<Self>, BodyError> {
        read_list::<MOST, _>("lists of what users may do", body)
    }

    /// Writes the body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write(self)
    }
}

/// A policy of an [`Acl`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AclPolicy {
    /// What is allowed or denied.
    #[serde(deserialize_with = "list::<MOST, _, _>")]
    pub entries: Vec<AclEntry>,
    /// `Custom` for one user, or `Default`.
    #[serde(rename = "policyType", deserialize_with = "lenient")]
    pub kind: String,
}

/// What is allowed or denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AclEntry {
    /// `All`, `Pub`, `Sub`, `Create`, `Update`, `Delete`, `Get`, `List`.
    #[serde(deserialize_with = "list::<MOST, _, _>")]
    pub actions: Vec<String>,
    /// `Allow` or `Deny`.
    #[serde(deserialize_with = "lenient")]
    pub decision: String,
    /// With what: `Topic:orders`, `Topic:order*`, `Group:*`, `Cluster:name`, `*`.
    #[serde(deserialize_with = "lenient")]
    pub resource: String,
    /// From these addresses only; from everywhere when there are none.
    #[serde(deserialize_with = "list::<MOST, _, _>", skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
}

impl AclEntry {
    /// Something that is allowed.
    #[must_use]
    pub fn allow(resource: impl Into<String>, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|action| String::from(*action)).collect();
        Self { actions, decision: "Allow".into(), resource: resource.into(), source_ips: Vec::new() }
    }

    /// Something that is denied.
    #[must_use]
    pub fn deny(resource: impl Into<String>, actions: &[&str]) -> Self {
        Self { decision: "Deny".into(), ..Self::allow(resource, actions) }
    }
}

/// Items of a list at most.
const MOST: usize = 100_000;
