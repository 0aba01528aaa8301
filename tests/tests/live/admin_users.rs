//! Users and what they may do, by our admin beside the official tool, on a broker that lets only users in.

use std::time::{Duration, Instant};

use rocketmq_core::driver::{AdminError, Brokers, Client};
use rocketmq_core::ids::BrokerName;
use rocketmq_core::message::Message;
use rocketmq_core::wire::body::{Acl, AclEntry, User};

use super::checks::Scope;
use super::kit::{PATIENCE, World, producer, send_all, sleep};
use super::runtimes::Live;

/// As an administrator; `user` connects as a user with this name and secret.
pub(crate) async fn scenario<L: Live>(
    world: &World,
    admin: &Client,
    broker: &str,
    user: impl AsyncFn(String, &'static str) -> Client,
) {
    let check = world.scope::<L>("admin-users");
    let (admin, all) = (admin.admin(), Brokers::Named(world.broker_name.as_str().into()));
    let me = || Ok(vec![BrokerName::from(world.broker_name.as_str())]);
    let name = format!("admin_user_{}", L::NAME);
    let topic = format!("acl_open_{}", L::NAME);
    let told = |args: &[&str]| {
        let said = world.mqadmin.run(&[args, &["-b", broker]].concat()).expect("mqadmin");
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let has = |lines: &[String], words: &[&str]| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));

    let made = admin.create_user(&User::normal(name.as_str(), "first secret"), &all).await;
    check.eq("created-by", made.expect("a user").complete(), me());
    let again = admin.create_user(&User::normal(name.as_str(), "x"), &all).await;
    check.that("once", matches!(again, Err(AdminError::Broker { .. })), &again);
    let lines = told(&["getUser", "-u", &name]);
    check.that("java-sees-it", has(&lines, &[name.as_str(), "Normal", "enable"]), &lines);
    let known = admin.user(&name, &all).await.expect("an answer").complete().unwrap().remove(0).1.expect("a user");
    check.eq("so-do-we", (known.kind.as_deref(), known.status.as_deref()), (Some("Normal"), Some("enable")));
    check.that("no-password-is-shown", !format!("{known:?}").contains("secret"), "");
    let listed = admin.users(Some(&name), &all).await.expect("users").complete().unwrap();
    check.eq("listed", listed[0].1.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), [name.as_str()]);
    let lines = told(&["listUser"]);
    let every = admin.users(None, &all).await.expect("users").complete().unwrap();
    let known = every[0].1.iter().all(|user| has(&lines, &[&user.name]));
    check.that("all-of-java", known && every[0].1.len() >= 2, (&lines, &every));
    check.eq("nobody", admin.user("nobody_of_ours", &all).await.map(|told| told.value[0].1.clone()), Ok(None));

    // Brokers keep what they have looked up for a moment.
    let sends = async |id: &str, secret: &'static str, wanted: bool| {
        let end = Instant::now() + PATIENCE;
        let mut seen = sent::<L>(&check, &user, &name, &topic, secret).await;
        while seen != wanted && Instant::now() < end {
            sleep(Duration::from_millis(500)).await;
            seen = sent::<L>(&check, &user, &name, &topic, secret).await;
        }
        check.eq(id, seen, wanted);
    };
    sends("may-not-send-yet", "first secret", false).await;
    let acl = Acl::of_user(&name, vec![AclEntry::allow(format!("Topic:{topic}"), &["Pub"])]);
    check.eq("allowed-by", admin.create_acl(&acl, &all).await.expect("an ACL").complete(), me());
    let lines = told(&["getAcl", "-s", &acl.subject]);
    check.that("java-sees-what-is-allowed", has(&lines, &[&topic, "Pub", "Allow"]), &lines);
    let known =
        admin.acl(&acl.subject, &all).await.expect("an answer").complete().unwrap().remove(0).1.expect("an ACL");
    let resources = |acl: &Acl| {
        let entries = acl.policies.iter().flat_map(|policy| &policy.entries);
        let mut all: Vec<_> = entries.map(|entry| (entry.resource.clone(), entry.decision.clone())).collect();
        all.sort();
        all
    };
    let allowed = |resource: &str| (resource.to_owned(), "Allow".to_owned());
    check.eq("and-so-do-we", resources(&known), [allowed(&format!("Topic:{topic}"))]);
    sends("may-send", "first secret", true).await;
    sends("not-with-another", "another secret", false).await;

    let more = Acl::of_user(&name, vec![AclEntry::allow("Group:admin_users", &["Sub"])]);
    check.eq("changed-by", admin.update_acl(&more, &all).await.expect("a change").complete(), me());
    let listed = admin.acls(Some(&name), None, &all).await.expect("ACLs").complete().unwrap();
    check.eq("both", resources(&listed[0].1[0]), [allowed("Group:admin_users"), allowed(&format!("Topic:{topic}"))]);
    let lines = told(&["listAcl", "-s", &name]);
    check.that("java-sees-both", has(&lines, &["admin_users"]) && has(&lines, &[&topic]), &lines);
    let gone = admin.delete_acl(&more.subject, Some("Group:admin_users"), &all).await;
    check.eq("one-deleted-by", gone.expect("done").complete(), me());
    let left = admin.acl(&acl.subject, &all).await.expect("an answer").value.remove(0).1.expect("an ACL");
    check.eq("one-is-left", resources(&left), [allowed(&format!("Topic:{topic}"))]);

    let changed = User { password: Some("second secret".into()), ..User { name: name.clone(), ..User::default() } };
    check.eq("password-by", admin.update_user(&changed, &all).await.expect("a change").complete(), me());
    sends("the-new-one", "second secret", true).await;
    sends("not-the-old-one", "first secret", false).await;
    let off = User { status: Some("disable".into()), ..User { name: name.clone(), ..User::default() } };
    check.eq("disabled-by", admin.update_user(&off, &all).await.expect("a change").complete(), me());
    sends("kept-out", "second secret", false).await;
    let gone = admin.delete_acl(&acl.subject, None, &all).await.expect("done");
    check.eq("all-deleted-by", gone.complete(), me());
    check.eq("user-deleted-by", admin.delete_user(&name, &all).await.expect("done").complete(), me());
    let lines = told(&["listUser"]);
    check.that("java-sees-it-gone", !has(&lines, &[&name]), &lines);
    check.eq("we-too", admin.user(&name, &all).await.map(|told| told.value[0].1.clone()), Ok(None));
}

/// The second broker gets users of the first, and what they may do: one by `rmq`, one by the official tool. Then all is
/// changed at the first, and they go once more.
pub(crate) async fn copied<L: Live>(world: &World, admin: &Client, brokers: &[(&str, String); 2], access: &[&str]) {
    let check = world.scope::<L>("admin-users").step("copied");
    let admin = admin.admin();
    let [from, to] = brokers.each_ref().map(|(name, _)| Brokers::Named((*name).into()));
    let between = ["-f", &brokers[0].1, "-t", &brokers[1].1];
    let (ours, theirs) = ("copied_by_rmq", "copied_by_java");
    let entries = |resource: &str| vec![AclEntry::allow(resource, &["Pub", "Sub"])];
    for name in [ours, theirs] {
        admin.create_user(&User::normal(name, "first secret"), &from).await.expect("a user").complete().unwrap();
        let acl = Acl::of_user(name, entries("Topic:copies"));
        admin.create_acl(&acl, &from).await.expect("an ACL").complete().unwrap();
    }
    let user = async |name: &str, at: &Brokers| {
        let known = admin.user(name, at).await.expect("an answer").complete().unwrap().remove(0).1;
        known.map(|user| (user.password, user.kind, user.status))
    };
    let acl = async |name: &str, at: &Brokers| {
        let subject = format!("User:{name}");
        let known = admin.acl(&subject, at).await.expect("an answer").complete().unwrap().remove(0).1;
        let mut entries: Vec<_> =
            known.expect("an ACL").policies.into_iter().flat_map(|policy| policy.entries).collect();
        entries.sort_by(|one, other| one.resource.cmp(&other.resource));
        entries
    };
    for round in ["new", "known"] {
        let check = check.step(round);
        for (command, option, names) in [
            ("copyUser", "-u", [ours.to_owned(), theirs.to_owned()]),
            ("copyAcl", "-s", [ours, theirs].map(|name| format!("User:{name}"))),
        ] {
            let words = |name| [&[command][..], &between, &[option, name]].concat();
            let (code, out, err) = super::cli::rmq(world, &[&words(&names[0]), access].concat());
            check.that(format!("{command}-by-rmq"), code == 0 && !out.contains("secret"), (out, err));
            let said = world.mqadmin.run(&words(&names[1])).expect("mqadmin");
            check.that(format!("{command}-by-java"), said.contains("success"), &said);
        }
        // What is not shown is compared all the same.
        let (there, wanted) = (user(ours, &to).await, user(ours, &from).await);
        check.that("user", there.is_some() && there == wanted, there.map(|(_, kind, status)| (kind, status)));
        check.that("user-as-java", user(ours, &to).await == user(theirs, &to).await, ());
        check.eq("allowed", acl(ours, &to).await, acl(ours, &from).await);
        check.eq("allowed-as-java", acl(ours, &to).await, acl(theirs, &to).await);
        for name in [ours, theirs] {
            let changed = User { status: Some("disable".into()), ..User::normal(name, "second secret") };
            admin.update_user(&changed, &from).await.expect("a change").complete().unwrap();
            let more = Acl::of_user(name, entries("Group:copies"));
            admin.update_acl(&more, &from).await.expect("a change").complete().unwrap();
        }
    }
    let (code, out, err) = super::cli::rmq(world, &[&["copyUser"][..], &between, access].concat());
    let all = admin.users(None, &from).await.expect("users").complete().unwrap().remove(0).1;
    check.that("all", code == 0 && all.len() >= 3 && all.iter().all(|user| out.contains(&user.name)), (out, err));
    let (code, _, err) = super::cli::rmq(world, &[&["copyUser"][..], &between, &["-u", "nobody"], access].concat());
    check.that("nobody", code == 1 && err.contains("no user nobody"), err);
}

/// Whether a user may send to a topic.
async fn sent<L: Live>(
    check: &Scope,
    user: &impl AsyncFn(String, &'static str) -> Client,
    name: &str,
    topic: &str,
    secret: &'static str,
) -> bool {
    let client = user(name.to_owned(), secret).await;
    let producer = producer(&client, &format!("admin_users_{}", L::NAME)).await;
    let result = send_all(&producer, 1, vec![Message::new(topic, "m")]).await.remove(0);
    if let Err(error) = &result {
        check.that(format!("told-why-{}", secret.replace(' ', "-")), error.denied().is_some(), error);
    }
    client.shutdown().await;
    result.is_ok()
}
