//! Users of brokers from 5.3 on, and what they may do.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Admin, AdminError, Brokers, Partial, TIMEOUT};
use crate::ids::BrokerName;
use crate::wire::Frame;
use crate::wire::body::{Acl, User};
use crate::wire::request::{
    CreateAcl, CreateUser, DeleteAcl, DeleteUser, GetAcl, GetUser, ListAcls, ListUsers, UpdateAcl, UpdateUser,
};

impl Admin {
    /// Creates a user; says which brokers did.
    ///
    /// # Errors
    /// No broker did: also when there is one of this name.
    pub async fn create_user(&self, user: &User, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = Bytes::from(user.encode());
        self.tell_brokers(brokers, &CreateUser { name: user.name.clone() }, body).await
    }

    /// Changes what is given of a user; says which brokers did.
    ///
    /// # Errors
    /// No broker did: also when there is none of this name.
    pub async fn update_user(&self, user: &User, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = Bytes::from(user.encode());
        self.tell_brokers(brokers, &UpdateUser { name: user.name.clone() }, body).await
    }

    /// Deletes a user, if there is one of this name; says which brokers did.
    ///
    /// # Errors
    /// No broker did.
    pub async fn delete_user(&self, name: &str, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        self.tell_brokers(brokers, &DeleteUser { name: name.into() }, Bytes::new()).await
    }

    /// The user of this name on each of these brokers; `None` where there is none.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn user(
        &self,
        name: &str,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, Option<User>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| match frame.body.is_empty() {
            true => Ok(None),
            false => Ok(Some(User::decode(&frame.body)?)),
        };
        self.ask_brokers(brokers, &GetUser { name: name.into() }, Bytes::new(), TIMEOUT, read).await
    }

    /// All users of each of these brokers, or those whose name contains a text.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn users(
        &self,
        filter: Option<&str>,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, Vec<User>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| {
            let mut users = User::decode_list(&frame.body)?;
            users.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(users)
        };
        let request = ListUsers { filter: filter.map(String::from) };
        self.ask_brokers(brokers, &request, Bytes::new(), TIMEOUT, read).await
    }

    /// Creates what somebody may do; says which brokers did.
    ///
    /// # Errors
    /// No broker did: also when there is such a list already, or no such user.
    pub async fn create_acl(&self, acl: &Acl, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = Bytes::from(acl.encode());
        self.tell_brokers(brokers, &CreateAcl { subject: acl.subject.clone() }, body).await
    }

    /// Changes what somebody may do with the resources that are named; says which brokers did.
    ///
    /// # Errors
    /// No broker did: also when there is no such user.
    pub async fn update_acl(&self, acl: &Acl, brokers: &Brokers) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let body = Bytes::from(acl.encode());
        self.tell_brokers(brokers, &UpdateAcl { subject: acl.subject.clone() }, body).await
    }

    /// Deletes what a subject, such as `User:name`, may do: with one resource, or all of it. Says which brokers did.
    ///
    /// # Errors
    /// No broker did: also when there is no such user.
    pub async fn delete_acl(
        &self,
        subject: &str,
        resource: Option<&str>,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<BrokerName>>, AdminError> {
        let request = DeleteAcl { subject: subject.into(), policy: None, resource: resource.map(String::from) };
        self.tell_brokers(brokers, &request, Bytes::new()).await
    }

    /// What a subject may do at each of these brokers; `None` where nothing is said of it.
    ///
    /// # Errors
    /// No broker answers: also when there is no such user.
    pub async fn acl(
        &self,
        subject: &str,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, Option<Acl>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| match frame.body.is_empty() {
            true => Ok(None),
            false => Ok(Some(Acl::decode(&frame.body)?)),
        };
        self.ask_brokers(brokers, &GetAcl { subject: subject.into() }, Bytes::new(), TIMEOUT, read).await
    }

    /// What all may do at each of these brokers, or those subjects and resources that contain a text.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn acls(
        &self,
        subject: Option<&str>,
        resource: Option<&str>,
        brokers: &Brokers,
    ) -> Result<Partial<Vec<(BrokerName, Vec<Acl>)>>, AdminError> {
        let read = |_: &BrokerName, frame: &Frame| {
            let mut acls = Acl::decode_list(&frame.body)?;
            acls.sort_by(|one, other| one.subject.cmp(&other.subject));
            Ok(acls)
        };
        let request = ListAcls { subject: subject.map(String::from), resource: resource.map(String::from) };
        self.ask_brokers(brokers, &request, Bytes::new(), TIMEOUT, read).await
    }
}
