//! Users of brokers, and what they may do.

use alloc::string::String;

use super::fields;
use crate::wire::codes::request::{
    AUTH_CREATE_ACL, AUTH_CREATE_USER, AUTH_DELETE_ACL, AUTH_DELETE_USER, AUTH_GET_ACL, AUTH_GET_USER, AUTH_LIST_ACL,
    AUTH_LIST_USER, AUTH_UPDATE_ACL, AUTH_UPDATE_USER,
};

fields! {
    /// Create a user; the body is [`User`](crate::wire::body::User).
    pub struct CreateUser = AUTH_CREATE_USER {
        /// The name.
        name: String = "username",
    }
}

fields! {
    /// Change a user; the body is [`User`](crate::wire::body::User).
    pub struct UpdateUser = AUTH_UPDATE_USER {
        /// The name.
        name: String = "username",
    }
}

fields! {
    /// Delete a user.
    pub struct DeleteUser = AUTH_DELETE_USER {
        /// The name.
        name: String = "username",
    }
}

fields! {
    /// A user; the body of the answer is [`User`](crate::wire::body::User), or nothing.
    pub struct GetUser = AUTH_GET_USER {
        /// The name.
        name: String = "username",
    }
}

fields! {
    /// Users; the body of the answer is a list of [`User`](crate::wire::body::User), or nothing.
    pub struct ListUsers = AUTH_LIST_USER {
        /// Only those whose name contains this.
        filter: Option<String> = "filter",
    }
}

fields! {
    /// Create what somebody may do; the body is [`Acl`](crate::wire::body::Acl).
    pub struct CreateAcl = AUTH_CREATE_ACL {
        /// Who: `User:name`.
        subject: String = "subject",
    }
}

fields! {
    /// Change what somebody may do; the body is [`Acl`](crate::wire::body::Acl).
    pub struct UpdateAcl = AUTH_UPDATE_ACL {
        /// Who: `User:name`.
        subject: String = "subject",
    }
}

fields! {
    /// Delete what somebody may do.
    pub struct DeleteAcl = AUTH_DELETE_ACL {
        /// Who: `User:name`.
        subject: String = "subject",
        /// Of this kind of policy only.
        policy: Option<String> = "policyType",
        /// With this only, such as `Topic:orders`.
        resource: Option<String> = "resource",
    }
}

fields! {
    /// What somebody may do; the body of the answer is [`Acl`](crate::wire::body::Acl), or nothing.
    pub struct GetAcl = AUTH_GET_ACL {
        /// Who: `User:name`.
        subject: String = "subject",
    }
}

fields! {
    /// What all may do; the body of the answer is a list of [`Acl`](crate::wire::body::Acl), or nothing.
    pub struct ListAcls = AUTH_LIST_ACL {
        /// Only those whose subject contains this.
        subject: Option<String> = "subjectFilter",
        /// Only with resources that contain this.
        resource: Option<String> = "resourceFilter",
    }
}
